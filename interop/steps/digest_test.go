package steps

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"
	"github.com/icholy/digest"
	"github.com/matryer/is"

	"github.com/reqws/reqws"
)

// guarded asks for Digest (RFC 7616) and echoes to those who know the password.
type guarded struct {
	*httptest.Server
	mu     sync.Mutex
	nonces int
	asked  []string // the status of each answer, and the count in the credentials it was given to
	bodies []string
	once   bool // a nonce is good for one request
	spent  map[string]bool
}

func newGuarded(t *testing.T, once bool) *guarded {
	g := &guarded{once: once, spent: map[string]bool{}}
	g.Server = httptest.NewServer(g)
	t.Cleanup(g.Close)
	return g
}

func (g *guarded) ws() string { return "ws" + strings.TrimPrefix(g.URL, "http") }

func (g *guarded) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	count, ok := g.admits(r)
	g.mu.Lock()
	status := http.StatusOK
	if !ok {
		status = http.StatusUnauthorized
		g.nonces++
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Digest realm="rooms", nonce="n%d", qop="auth", algorithm=SHA-256`, g.nonces))
	}
	g.asked = append(g.asked, fmt.Sprint(status, " ", count))
	g.bodies = append(g.bodies, string(body))
	g.mu.Unlock()
	switch {
	case !ok:
		w.WriteHeader(status)
		io.WriteString(w, "who are you?")
	case r.Header.Get("Upgrade") == "":
		io.WriteString(w, "plain")
	default:
		accept(w, r)
	}
}

// admits computes what the answer to the challenge has to be from the request as it came.
func (g *guarded) admits(r *http.Request) (count int, ok bool) {
	got, err := digest.ParseCredentials(r.Header.Get("Authorization"))
	if err != nil {
		return 0, false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.once && g.spent[got.Nonce] {
		return got.Nc, false
	}
	g.spent[got.Nonce] = true
	want, err := digest.Digest(&digest.Challenge{Realm: "rooms", Nonce: got.Nonce, QOP: []string{"auth"}, Algorithm: "SHA-256"},
		digest.Options{Method: r.Method, URI: r.URL.RequestURI(), Count: got.Nc, Cnonce: got.Cnonce, Username: "bot", Password: "canary"})
	return got.Nc, err == nil && got.URI == r.URL.RequestURI() && got.Response == want.Response
}

func (g *guarded) answers() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]string(nil), g.asked...)
}

// nextKey is the key of the round tripper that a request goes on to.
type nextKey struct{}

// digesting is the step with one Transport for all, which keeps the server's challenge for the next request. What
// comes next is another one for each stream, so it travels with the request.
func digesting(password string) reqws.Step {
	shared := &digest.Transport{Username: "bot", Password: password, Transport: reqws.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
		return r.Context().Value(nextKey{}).(http.RoundTripper).RoundTrip(r)
	})}
	return func(next http.RoundTripper) http.RoundTripper {
		return reqws.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
			return shared.RoundTrip(r.WithContext(context.WithValue(r.Context(), nextKey{}, next)))
		})
	}
}

// anew is the step as one would first write it.
func anew(password string) reqws.Step {
	return func(next http.RoundTripper) http.RoundTripper {
		return &digest.Transport{Username: "bot", Password: password, Transport: next}
	}
}

func TestDigest(t *testing.T) {
	for name, option := range map[string]func(reqws.Step) reqws.Option{
		"Use":  func(s reqws.Step) reqws.Option { return reqws.Use(s) },
		"Auth": reqws.Auth,
	} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			g := newGuarded(t, false)
			req := reqws.New(reqws.URL(g.ws()+"/rooms/:room?a=b%2Fc"), reqws.PathParams(map[string]any{"room": "räume"}), option(anew("canary")))
			resp, err := req.Do(t.Context())
			is.NoErr(err)
			is.Equal(g.answers(), []string{"401 0", "200 1"}) // the challenge is no failure that a retry follows
			is.Equal(resp.Request.Header.Get("Authorization"), "REDACTED")
			is.True(!strings.Contains(fmt.Sprint(resp.Request.URL, resp.Request.Header), "canary"))
			echo(t, resp)

			resp, err = req.Do(t.Context(), reqws.URL(g.URL+"/plain"), reqws.PathParams(nil))
			is.NoErr(err)
			is.Equal(string(resp.Body), "plain")
			is.Equal(g.answers()[2:], []string{"401 0", "200 1"})

			conn, _, err := req.Dial(t.Context())
			is.NoErr(err)
			defer conn.CloseNow()
			is.NoErr(conn.Write(t.Context(), websocket.MessageText, []byte("hello")))
			_, data, err := conn.Read(t.Context())
			is.NoErr(err)
			is.Equal(string(data), "hello")
		})
	}
}

// A wrong password is a refusal with the server's own words.
func TestDigestRefused(t *testing.T) {
	is := is.New(t)
	g := newGuarded(t, false)
	_, err := reqws.New(reqws.URL(g.ws()), reqws.Use(anew("wrong canary"))).Do(t.Context())
	var refused *reqws.HTTPError
	is.True(errors.As(err, &refused))
	is.Equal(refused.StatusCode, http.StatusUnauthorized)
	is.Equal(string(refused.Body), "who are you?")
	is.True(!strings.Contains(err.Error(), "canary"))
	is.Equal(g.answers(), []string{"401 0", "401 1"})
}

// A server that answers 401 without a challenge of Digest: the Transport has drained and closed the body of what it returns.
func TestDigestWithoutChallenge(t *testing.T) {
	is := is.New(t)
	srv := newServer(t, http.StatusUnauthorized)
	_, err := reqws.New(reqws.URL(srv.ws()), reqws.Use(anew("canary"))).Do(t.Context())
	var refused *reqws.HTTPError
	is.True(errors.As(err, &refused))
	is.Equal(refused.StatusCode, http.StatusUnauthorized)
}

// Each attempt and each hop computes the credentials for what it asks for. Under Auth the
// challenge of another origin is not answered.
func TestDigestAgain(t *testing.T) {
	for _, c := range []struct {
		name   string
		option reqws.Option
		want   []string
	}{
		{"Use", reqws.Use(anew("canary")), []string{"401 0", "200 1"}},
		{"Auth", reqws.Auth(anew("canary")), []string{"401 0"}},
		{"Auth, trusted", reqws.Options(reqws.Auth(anew("canary")), reqws.RedirectTrusted(true)), []string{"401 0", "200 1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			is := is.New(t)
			g := newGuarded(t, false)
			n := 0
			front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if n++; n == 1 {
					w.WriteHeader(http.StatusServiceUnavailable)
					return
				}
				http.Redirect(w, r, g.URL+"/there", http.StatusTemporaryRedirect)
			}))
			defer front.Close()
			resp, err := reqws.New(reqws.URL("ws"+strings.TrimPrefix(front.URL, "http")), at1ms, c.option).Do(t.Context())
			is.Equal(g.answers(), c.want)
			if len(c.want) == 1 {
				is.True(err != nil)
				return
			}
			is.NoErr(err)
			echo(t, resp)
		})
	}
}

// What a Transport keeps of the challenge saves a handshake for the next stream, until the server wants a new one.
func TestDigestShared(t *testing.T) {
	for _, c := range []struct {
		once bool
		want []string
	}{
		{false, []string{"401 0", "200 1", "200 2", "200 3"}},
		{true, []string{"401 0", "200 1", "401 2", "200 1", "401 2", "200 1"}},
	} {
		t.Run(fmt.Sprint("nonces used once ", c.once), func(t *testing.T) {
			is := is.New(t)
			g := newGuarded(t, c.once)
			req := reqws.New(reqws.URL(g.ws()), reqws.Use(digesting("canary")))
			for range 3 {
				resp, err := req.Do(t.Context())
				is.NoErr(err)
				echo(t, resp)
			}
			is.Equal(g.answers(), c.want)
		})
	}
}

// The end of ctx between the two requests is an end.
func TestDigestCancelled(t *testing.T) {
	is := is.New(t)
	ctx, cancel := context.WithCancel(t.Context())
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("WWW-Authenticate", `Digest realm="r", nonce="n", qop="auth"`)
		w.WriteHeader(http.StatusUnauthorized)
		cancel()
	}))
	defer srv.Close()
	_, err := reqws.New(reqws.URL("ws"+strings.TrimPrefix(srv.URL, "http")), reqws.Use(anew("canary"))).Do(ctx)
	is.True(errors.Is(err, context.Canceled))
}
