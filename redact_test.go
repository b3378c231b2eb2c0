package reqws

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matryer/is"

	"github.com/reqws/reqws/reqwstest"
)

var verbs = []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%X", "%t", "%T", "%10v", "%-40q", "%.3s"}

// shown is all that fmt, log/slog and encoding/json show of v.
func shown(v any) string {
	var b bytes.Buffer
	for _, verb := range verbs {
		fmt.Fprintf(&b, verb+"\n", v)
		fmt.Fprintf(&b, verb+"\n", []any{v})
		fmt.Fprintf(&b, verb+"\n", struct{ V any }{v})
		fmt.Fprintf(&b, verb+"\n", map[string]any{"k": v})
	}
	fmt.Fprintln(&b, v)
	for _, h := range []slog.Handler{slog.NewTextHandler(&b, nil), slog.NewJSONHandler(&b, nil)} {
		slog.New(h).Info("m", "v", v, "in", struct{ V any }{v}, slog.Group("g", "v", v))
	}
	data, _ := json.Marshal(v)
	b.Write(data)
	return b.String()
}

// hides fails where text holds a secret, in any form in which it may have gone
// out.
func hides(t *testing.T, text string) {
	t.Helper()
	for _, secret := range []string{"canary", "CANARY", basicValue("u", "canary")[6:], basicValue("canary", "")[6:], fmt.Sprintf("%x", "canary"), fmt.Sprintf("%X", "canary"), fmt.Sprint([]byte("canary"))} {
		if i := strings.Index(text, secret); i >= 0 {
			t.Errorf("a secret shows: …%s…", text[max(0, i-100):min(len(text), i+100)])
		}
	}
}

// secrets is a Request with one in each place that may hold one.
func secrets() []Option {
	key := SigV4{AccessKeyID: "canary", SecretAccessKey: "canary", SessionToken: "canary", Service: "execute-api"}
	return []Option{
		URL("ws://u:canary@example.com/:room?token=canary"),
		PathParams(map[string]any{"room": "go"}),
		Header("Authorization", "Bearer canary"),
		Headers(http.Header{"cookie": {"canary"}, "X-Api-Key": {"canary"}, "x-my_token": {"canary"}}),
		Params(map[string]any{"access_token": "canary"}),
		Param("key", "canary"),
		Auth(Basic("u", "canary")),
		AWSSigV4(key),
		ProxyHeader(http.Header{"Proxy-Authorization": {"canary"}}),
		TLSConfig(&tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{[]byte("canary")}, PrivateKey: "canary"}}}),
	}
}

func TestNothingSecretIsShown(t *testing.T) {
	is := is.New(t)
	opts := append(secrets(), ProxyURL("http://u:canary@proxy.example:8080"))
	r := New(opts...)
	for _, v := range []any{r, *r, SigV4{AccessKeyID: "canary", SecretAccessKey: "canary", SessionToken: "canary"},
		&SigV4{SecretAccessKey: "canary"}, opts, Options(opts...)} {
		hides(t, shown(v))
	}
	is.Equal(fmt.Sprintf("%+v", r), "reqws.Request{ws://example.com/:room}")
	is.Equal(fmt.Sprintf("%q", r), `"reqws.Request{ws://example.com/:room}"`)
	is.Equal(fmt.Sprint(Request{}), "reqws.Request{}")
	is.Equal(fmt.Sprint((*Request)(nil)), "<nil>")
	is.Equal(fmt.Sprint(New(URL("ws://u:canary/@x"))), "reqws.Request{invalid URL}")
	is.Equal(fmt.Sprint(New()), "reqws.Request{(no URL)}")
	is.Equal(fmt.Sprint(SigV4{SecretAccessKey: "canary", Service: "s3", Region: "r", Presign: time.Minute}), "reqws.SigV4{Service: s3, Region: r, Presign: 1m0s, keys REDACTED}")
	is.Equal(fmt.Sprint(Response{}), "reqws.Response{ 0 , (no URL)}")
}

func TestNothingSecretInTheResponse(t *testing.T) {
	is := is.New(t)
	for _, presign := range []time.Duration{0, time.Minute} {
		srv := reqwstest.NewMemory(t, reqwstest.Script(reqwstest.Accept(reqwstest.WithHeader("Set-Cookie", "canary"))))
		key := SigV4{AccessKeyID: "canary", SecretAccessKey: "canary", SessionToken: "canary", Service: "execute-api", Presign: presign}
		resp, err := New(append(secrets(), AWSSigV4(key), DialContext(srv.DialContext))...).Do(t.Context())
		is.NoErr(err)
		resp.CloseNow()
		is.True(bytes.Contains(srv.Requests()[0].Head, []byte("canary"))) // they were sent
		hides(t, fmt.Sprintf("%+v %+v %+v", resp, *resp, resp.Request.URL))
		hides(t, shown(resp.Request.Header))
		var b bytes.Buffer
		for _, verb := range verbs {
			fmt.Fprintf(&b, verb, resp)
			fmt.Fprintf(&b, verb, *resp)
			fmt.Fprintf(&b, verb, resp.Request)
			fmt.Fprintf(&b, verb, resp.Request.URL)
		}
		slog.New(slog.NewTextHandler(&b, nil)).Info("m", "v", resp, "w", *resp)
		slog.New(slog.NewJSONHandler(&b, nil)).Info("m", "v", resp, "w", *resp)
		hides(t, b.String())
		is.Equal(fmt.Sprint(resp), "reqws.Response{HTTP/1.1 101 Switching Protocols, ws://example.com/go}")
		is.Equal(resp.Request.Host, "example.com")
		is.Equal(resp.Request.URL.Path, "/go")
	}
}

// noTLS answers the start of a TLS handshake in plain HTTP.
func noTLS(c *reqwstest.Conn) error {
	if _, err := io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n"); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, c)
	return err
}

// Errors and log lines of executions that fail, each in another phase.
func TestNothingSecretInErrorsAndLogs(t *testing.T) {
	const nothing = "http://canary:canary@127.0.0.1:1" // a proxy that is not there
	redirect := func(to string) reqwstest.Option { return reqwstest.Script(reqwstest.Redirect(302, to)) }
	tests := []struct {
		name string
		opts []Option
		srv  []reqwstest.Option
	}{
		{"url", []Option{URL("ws://u:canary@[::1/")}, nil},
		{"url port", []Option{URL("ws://u:canary/@host/")}, nil},
		{"scheme", []Option{URL("ftp://u:canary@host/?canary")}, nil},
		{"option", []Option{Header("X-A", "canary\n")}, nil},
		{"auth", []Option{Auth(Bearer("canary\r"))}, nil},
		{"step", []Option{Use(func(next http.RoundTripper) http.RoundTripper {
			return RoundTripFunc(func(req *http.Request) (*http.Response, error) {
				return nil, fmt.Errorf("step: %w", &url.Error{Op: "Get", URL: "http://x/?canary", Err: &url.Error{Op: "Get", URL: "canary", Err: errors.New("inner")}})
			})
		})}, nil},
		{"step around a failure", []Option{Use(func(next http.RoundTripper) http.RoundTripper {
			return RoundTripFunc(func(req *http.Request) (*http.Response, error) {
				_, err := next.RoundTrip(req)
				return nil, &url.Error{Op: "Get", URL: req.URL.String() + "canary", Err: err}
			})
		})}, []reqwstest.Option{reqwstest.DialError(syscall.ECONNREFUSED), reqwstest.DialError(syscall.ECONNREFUSED), reqwstest.DialError(syscall.ECONNREFUSED), reqwstest.DialError(syscall.ECONNREFUSED)}},
		{"dial", nil, []reqwstest.Option{reqwstest.DialError(syscall.ECONNREFUSED), reqwstest.DialError(syscall.EHOSTUNREACH)}},
		{"proxy", []Option{ProxyURL(nothing)}, []reqwstest.Option{reqwstest.DialError(syscall.ENETUNREACH)}},
		{"proxy refuses", []Option{ProxyURL(nothing)}, []reqwstest.Option{reqwstest.Script(reqwstest.Respond(407, nil, ""))}},
		{"no TLS", []Option{URL("wss://u:canary@example.com/?canary=canary")}, []reqwstest.Option{reqwstest.Script(reqwstest.Do(noTLS))}},
		{"wrong accept", nil, []reqwstest.Option{reqwstest.Script(reqwstest.Accept(reqwstest.WithAccept("x")))}},
		{"no HTTP", nil, []reqwstest.Option{reqwstest.Script(reqwstest.RawResponse("nonsense\r\n\r\n"))}},
		{"refused", []Option{HTTPErrors(RaiseErrors)}, []reqwstest.Option{reqwstest.Script(reqwstest.Refuse(401, nil, ""))}},
		{"redirects", []Option{MaxRedirects(1)}, []reqwstest.Option{redirect("/a?canary=1"), redirect("http://u:canary@other.example/")}},
		{"location", nil, []reqwstest.Option{redirect("http://canary:canary/%zz")}},
		{"silent", []Option{ConnectTimeout(time.Second), MaxRetries(1)}, []reqwstest.Option{reqwstest.Script(reqwstest.Stall()).Times(2)}},
		{"busy", []Option{HTTPErrors(RaiseErrors)}, []reqwstest.Option{reqwstest.Script(reqwstest.Refuse(503, nil, "")).Times(4)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				is := is.New(t)
				srv := reqwstest.NewMemory(t, tt.srv...)
				var log bytes.Buffer
				opts := append(secrets(), TLSConfig(nil), DialContext(srv.DialContext), RedirectLogLevel(slog.LevelError),
					Logger(slog.New(slog.NewTextHandler(&log, nil))))
				_, err := New(append(opts, tt.opts...)...).Do(context.Background())
				is.True(err != nil)
				is.True(strings.HasPrefix(err.Error(), "reqws: "))
				for e := err; e != nil; e = errors.Unwrap(e) {
					for _, verb := range verbs {
						hides(t, fmt.Sprintf(verb, e))
					}
				}
				hides(t, log.String())
			})
		})
	}
}

// What Response keeps of the request is small, and shares nothing with it.
func TestRedacted(t *testing.T) {
	is := is.New(t)
	req, err := http.NewRequest("GET", "ws://u:canary@example.com/a%2Fb?x=1&Token=canary&X-Amz-Signature=canary&X-Amz-Date=d&flag&sig%6Eature=canary&%zz=1", nil)
	is.NoErr(err)
	req.Host = "virtual.example"
	req.Header = http.Header{
		"Authorization": {"canary"}, "Proxy-Authorization": {"canary"}, "Cookie": {"canary", "canary"}, "x-amz-security-token": {"canary"},
		"X-Secret-Thing": {"canary"}, "X-Auth-Token": {"canary"}, "Sec-Websocket-Key": {"canary"}, "X-Room": {"go", "lang"}, "Sec-Websocket-Protocol": {"v1"},
	}
	got := redacted(req)
	hides(t, shown(got.Header)+got.URL.String())
	is.Equal(got.Method, "GET")
	is.Equal(got.Host, "virtual.example")
	is.Equal(got.Proto, "HTTP/1.1")
	is.Equal(got.URL.String(), "ws://example.com/a%2Fb?x=1&Token=REDACTED&X-Amz-Signature=REDACTED&X-Amz-Date=d&flag&sig%6Eature=REDACTED&%zz=1")
	is.Equal(got.Header, http.Header{
		"Authorization": {"REDACTED"}, "Proxy-Authorization": {"REDACTED"}, "Cookie": {"REDACTED", "REDACTED"}, "x-amz-security-token": {"REDACTED"},
		"X-Secret-Thing": {"REDACTED"}, "X-Auth-Token": {"REDACTED"}, "X-Room": {"go", "lang"}, "Sec-Websocket-Protocol": {"v1"},
	})
	got.Header["X-Room"][0] = "x"
	_ = append(got.Header["X-Room"], "y")
	is.Equal(req.Header["X-Room"], []string{"go", "lang"})
	is.Equal(got.Header["Cookie"], []string{"REDACTED", "REDACTED"})
	is.Equal(got.Context(), context.Background()) // no ctx, with all that it may hold
}

func TestIsSecretName(t *testing.T) {
	for _, name := range []string{"Authorization", "Proxy-Authorization", "Cookie", "X-API-Key", "api_key", "apikey", "key", "access_token", "X-Amz-Security-Token",
		"X-Amz-Signature", "X-Amz-Credential", "client_secret", "Password", "sig", "X-CSRF-Token", "session_id", "X-Auth", "code"} {
		if !isSecretName(name) {
			t.Errorf("%s is secret", name)
		}
	}
	for _, name := range []string{"", "Host", "Origin", "User-Agent", "Accept", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders", "author", "keyboard", "room",
		"Sec-WebSocket-Protocol", "language-code", "X-Request-Id"} {
		if isSecretName(name) {
			t.Errorf("%s is no secret", name)
		}
	}
}

func TestSafeURL(t *testing.T) {
	is := is.New(t)
	u, err := url.Parse("wss://u:canary@example.com:1/a%2Fb?canary#canary")
	is.NoErr(err)
	is.Equal(safeURL(u), "wss://example.com:1/a%2Fb")
	is.Equal(safeURL(&url.URL{Opaque: "canary"}), "(no URL)")
	is.Equal(safeURL(nil), "(no URL)")
}

func TestFail(t *testing.T) {
	is := is.New(t)
	is.NoErr(fail("dial", nil, nil))
	deep := fail("dial", &url.URL{Scheme: "ws", Host: "h"}, syscall.ECONNREFUSED)
	// What is around the URL of a url.Error goes with it, the phase inside stays.
	err := fail("request", nil, fmt.Errorf("outer canary: %w", &url.Error{Op: "Get", URL: "canary", Err: deep}))
	is.Equal(err.Error(), "reqws: dial: ws://h: connection refused")
	is.True(errors.Is(err, syscall.ECONNREFUSED))
	// A step's own words stay.
	is.Equal(fail("request", nil, fmt.Errorf("mine: %w", deep)).Error(), "mine: reqws: dial: ws://h: connection refused")
}
