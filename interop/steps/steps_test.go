// Package steps holds wrappers of http.RoundTripper that others wrote against
// what this module promises of them: that each one is a Step.
package steps

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/matryer/is"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/reqws/reqws"
)

// server echoes messages. It refuses each request that first has a status for.
type server struct {
	*httptest.Server
	mu   sync.Mutex
	seen []http.Header
}

func (s *server) ws() string { return "ws" + strings.TrimPrefix(s.URL, "http") }

func (s *server) headers(name string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var values []string
	for _, h := range s.seen {
		values = append(values, h.Get(name))
	}
	return values
}

func newServer(t *testing.T, refuse ...int) *server {
	s := &server{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		n := len(s.seen)
		s.seen = append(s.seen, r.Header)
		s.mu.Unlock()
		switch {
		case n < len(refuse):
			w.WriteHeader(refuse[n])
			return
		case r.Header.Get("Upgrade") == "":
			w.Write([]byte("plain"))
			return
		}
		accept(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

// accept opens a WebSocket and sends back what comes.
func accept(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer conn.CloseNow()
	for {
		kind, data, err := conn.Read(r.Context())
		if err != nil || conn.Write(r.Context(), kind, data) != nil {
			return
		}
	}
}

// echo sends a message, gets it back and closes.
func echo(t *testing.T, resp *reqws.Response) {
	t.Helper()
	is := is.New(t)
	is.Equal(resp.StatusCode, http.StatusSwitchingProtocols)
	is.NoErr(resp.Send(t.Context(), reqws.Text("hello")))
	frames, err := resp.Receive(t.Context())
	is.NoErr(err)
	is.Equal(frames[0].Text(), "hello")
	is.NoErr(resp.Close(websocket.StatusNormalClosure, ""))
	is.NoErr(resp.Wait())
}

// at1ms makes retries quick.
var at1ms = reqws.Options(reqws.RetryDelay(func(int) time.Duration { return time.Millisecond }), reqws.Logger(nil))

func oauth(source oauth2.TokenSource) reqws.Step {
	return func(next http.RoundTripper) http.RoundTripper {
		return &oauth2.Transport{Source: source, Base: next}
	}
}

func TestOAuth2(t *testing.T) {
	// A token endpoint that gives out a new token each time, which is used once.
	var issued int
	tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		issued++
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(map[string]any{"access_token": "t" + string(rune('0'+issued)), "token_type": "Bearer", "expires_in": 1})
	}))
	defer tokens.Close()
	config := clientcredentials.Config{ClientID: "bot", ClientSecret: "canary", TokenURL: tokens.URL}

	for name, option := range map[string]func(reqws.Step) reqws.Option{
		"Use":  func(s reqws.Step) reqws.Option { return reqws.Use(s) },
		"Auth": reqws.Auth,
	} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			issued = 0
			srv := newServer(t, 503)
			resp, err := reqws.New(reqws.URL(srv.ws()), at1ms, option(oauth(config.TokenSource(t.Context())))).Do(t.Context())
			is.NoErr(err)
			is.Equal(srv.headers("Authorization"), []string{"Bearer t1", "Bearer t2"}) // anew on each attempt
			is.Equal(resp.Request.Header.Get("Authorization"), "REDACTED")
			echo(t, resp)

			resp, err = reqws.New(reqws.URL(srv.URL), option(oauth(config.TokenSource(t.Context())))).Do(t.Context())
			is.NoErr(err)
			is.Equal(string(resp.Body), "plain")
		})
	}
}

// As a step of Auth it stays behind on the way to another origin; the same
// step in Use would go along, since nobody can know what it does.
func TestOAuth2AndRedirect(t *testing.T) {
	is := is.New(t)
	other := newServer(t)
	srv := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	defer srv.Close()
	source := oauth2.StaticTokenSource(&oauth2.Token{AccessToken: "t"})
	resp, err := reqws.New(reqws.URL("ws"+strings.TrimPrefix(srv.URL, "http")), reqws.Auth(oauth(source))).Do(t.Context())
	is.NoErr(err)
	is.Equal(other.headers("Authorization"), []string{""})
	echo(t, resp)
}

type failing struct{}

func (failing) Token() (*oauth2.Token, error) { return nil, errors.New("no token to be had") }

func TestOAuth2Fails(t *testing.T) {
	is := is.New(t)
	_, err := reqws.New(reqws.URL("ws://127.0.0.1:1/?token=canary"), reqws.Use(oauth(failing{}))).Do(t.Context())
	is.True(err != nil)
	is.True(strings.HasSuffix(err.Error(), "no token to be had"))
	is.True(!strings.Contains(err.Error(), "canary"))
}

func TestOtelHTTP(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	defer provider.Shutdown(context.Background())
	traced := func(next http.RoundTripper) http.RoundTripper {
		return otelhttp.NewTransport(next, otelhttp.WithTracerProvider(provider), otelhttp.WithPropagators(propagation.TraceContext{}))
	}
	status := func(span tracetest.SpanStub) int64 {
		for _, a := range span.Attributes {
			if a.Key == attribute.Key("http.response.status_code") {
				return a.Value.AsInt64()
			}
		}
		return 0
	}

	t.Run("WebSocket", func(t *testing.T) {
		is := is.New(t)
		spans.Reset()
		srv := newServer(t, 503)
		ctx, parent := provider.Tracer("test").Start(t.Context(), "parent")
		resp, err := reqws.New(reqws.URL(srv.ws()), at1ms, reqws.Use(traced)).Do(ctx)
		is.NoErr(err)
		echo(t, resp)
		parent.End()

		got := spans.GetSpans()
		is.Equal(len(got), 3) // one for each attempt, and the parent
		for i, header := range srv.headers("Traceparent") {
			is.True(strings.Contains(header, got[i].SpanContext.TraceID().String()))
			is.True(strings.Contains(header, got[i].SpanContext.SpanID().String()))
			is.Equal(got[i].Parent.SpanID(), parent.SpanContext().SpanID())
		}
		is.Equal(status(got[0]), int64(503))
		is.Equal(got[0].Status.Code, codes.Error)
		is.Equal(status(got[1]), int64(101))
	})

	t.Run("plain", func(t *testing.T) {
		is := is.New(t)
		spans.Reset()
		resp, err := reqws.New(reqws.URL(newServer(t).URL), reqws.Use(traced)).Do(t.Context())
		is.NoErr(err)
		is.Equal(string(resp.Body), "plain")
		is.Equal(len(spans.GetSpans()), 1)
		is.Equal(status(spans.GetSpans()[0]), int64(200))
	})

	t.Run("failure", func(t *testing.T) {
		is := is.New(t)
		spans.Reset()
		_, err := reqws.New(reqws.URL("ws://example.com/"), reqws.Retry(reqws.Never), reqws.Use(traced),
			reqws.DialContext(func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no network") })).Do(t.Context())
		is.True(err != nil)
		is.Equal(len(spans.GetSpans()), 1)
		is.Equal(spans.GetSpans()[0].Status.Code, codes.Error)
	})

	t.Run("with OAuth 2, in order", func(t *testing.T) {
		is := is.New(t)
		spans.Reset()
		srv := newServer(t)
		resp, err := reqws.New(reqws.URL(srv.ws()), reqws.Use(traced, oauth(oauth2.StaticTokenSource(&oauth2.Token{AccessToken: "t"})))).Do(t.Context())
		is.NoErr(err)
		echo(t, resp)
		is.Equal(srv.headers("Authorization"), []string{"Bearer t"})
		is.Equal(len(spans.GetSpans()), 1)
	})
}
