package reqws

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/reqws/reqws/reqwstest"
)

func TestBodyOnTheWire(t *testing.T) {
	tests := []struct {
		name string
		opts []Option
		body string
		want map[string]string // headers
	}{
		{"none", nil, "", map[string]string{"Content-Type": "", "Content-Length": "0"}},
		{"bytes", []Option{Body("text/plain; charset=utf-8", []byte("hi"))}, "hi", map[string]string{"Content-Type": "text/plain; charset=utf-8", "Content-Length": "2"}},
		{"without a type", []Option{Body("", []byte("hi"))}, "hi", map[string]string{"Content-Type": "", "Content-Length": "2"}},
		{"empty", []Option{Body("text/plain", nil)}, "", map[string]string{"Content-Type": "text/plain", "Content-Length": "0"}},
		{"JSON", []Option{JSONBody(map[string]any{"a": []int{1}})}, `{"a":[1]}`, map[string]string{"Content-Type": "application/json", "Content-Length": "9"}},
		{"JSON null", []Option{JSONBody(nil)}, "null", map[string]string{"Content-Type": "application/json"}},
		{"JSON as it is", []Option{JSONBody(json.RawMessage(`{"b":2}`))}, `{"b":2}`, nil},
		{"a header beats the type", []Option{Header("content_type", "application/vnd.x+json"), JSONBody(1)}, "1", map[string]string{"Content-Type": "application/vnd.x+json"}},
		{"a header takes the type back", []Option{JSONBody(1), Header("Content-Type", nil)}, "1", map[string]string{"Content-Type": ""}},
		{"later stands", []Option{JSONBody(1), Body("text/x", []byte("a"))}, "a", map[string]string{"Content-Type": "text/x"}},
		{"later stands, JSON", []Option{Body("text/x", []byte("a")), JSONBody(1)}, "1", map[string]string{"Content-Type": "application/json"}},
		{"taken back", []Option{JSONBody(1), Body("", nil)}, "", map[string]string{"Content-Type": "", "Content-Length": "0"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			is := is.New(t)
			srv := reqwstest.NewMemory(t, reqwstest.Script(reqwstest.Respond(200, nil, "")))
			_, err := New(URL("http://example.com/"), Method("POST"), DialContext(srv.DialContext)).Do(t.Context(), tt.opts...)
			is.NoErr(err)
			got := srv.Requests()[0]
			is.Equal(string(got.Body), tt.body)
			for name, value := range tt.want {
				is.Equal(got.Header.Get(name), value)
			}
			is.True(len(got.Header.Values("Content-Type")) <= 1)
		})
	}
}

// Each attempt sends the whole body, also where a step has read it.
func TestBodyIsSentAgain(t *testing.T) {
	is := is.New(t)
	srv := reqwstest.NewMemory(t,
		reqwstest.Script(reqwstest.Respond(503, nil, "")),
		reqwstest.Script(reqwstest.Redirect(308, "/b")),
		reqwstest.Script(reqwstest.Drop()),
		reqwstest.Script(reqwstest.Respond(200, nil, "")))
	body := []byte("whole")
	opts := []Option{URL("http://example.com/"), Method("PUT"), Retry(Transient), Body("text/x", body), DialContext(srv.DialContext), Logger(nil),
		RetryDelay(func(int) time.Duration { return 0 })}
	body[0] = 'W' // the option has a copy
	_, err := New(opts...).Do(t.Context(), Use(func(next http.RoundTripper) http.RoundTripper {
		return RoundTripFunc(func(req *http.Request) (*http.Response, error) {
			data, err := io.ReadAll(req.Body)
			is.NoErr(err)
			is.Equal(string(data), "whole")
			is.Equal(req.ContentLength, int64(5))
			req = req.Clone(req.Context())
			req.Body, err = req.GetBody()
			is.NoErr(err)
			return next.RoundTrip(req)
		})
	}))
	is.NoErr(err)
	is.Equal(len(srv.Requests()), 3) // the connection that was dropped read none
	for _, r := range srv.Requests() {
		is.Equal(string(r.Body), "whole")
		is.Equal(r.Method, "PUT")
	}
}

// closedConn says when it has been closed.
type closedConn struct {
	net.Conn
	once   sync.Once
	closed chan struct{}
}

func (c *closedConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// A server that hangs up before net/http has begun to write is tried again as one
// that does so later.
func TestPlainConnectionThatIsClosedAtOnce(t *testing.T) {
	is := is.New(t)
	reqwstest.NoLeaks(t)
	srv := reqwstest.NewMemory(t, reqwstest.Script(reqwstest.Drop()), reqwstest.Script(reqwstest.Respond(200, nil, "")))
	var first *closedConn
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := srv.DialContext(ctx, network, addr)
		if first == nil && err == nil {
			first = &closedConn{Conn: conn, closed: make(chan struct{})}
			return first, nil
		}
		return conn, err
	}
	waits := func(next http.RoundTripper) http.RoundTripper {
		return RoundTripFunc(func(req *http.Request) (*http.Response, error) {
			return next.RoundTrip(req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
				GotConn: func(httptrace.GotConnInfo) { <-first.closed },
			})))
		})
	}
	resp, err := New(URL("http://example.com/"), DialContext(dial), Use(waits), Logger(nil), RetryDelay(func(int) time.Duration { return 0 })).Do(t.Context())
	is.NoErr(err)
	is.Equal(resp.StatusCode, 200)
}

// A handshake has no body, whatever the Request has for plain URLs.
func TestBodyOfAHandshake(t *testing.T) {
	is := is.New(t)
	srv := reqwstest.NewMemory(t, reqwstest.Script(reqwstest.Redirect(307, "/b")), reqwstest.Script(reqwstest.Accept()).Times(3))
	r := New(JSONBody(1), Method("POST"), DialContext(srv.DialContext))
	resp, err := r.Do(t.Context(), URL("ws://example.com/"))
	is.NoErr(err)
	is.NoErr(resp.CloseNow())
	for _, u := range []string{"ws://example.com/", "http://example.com/"} {
		conn, _, err := r.Dial(t.Context(), URL(u))
		is.NoErr(err)
		is.NoErr(conn.CloseNow())
	}
	for _, got := range srv.Requests() { // whose server checks the method and that there is no body
		is.Equal(got.Header.Get("Content-Type"), "")
		is.Equal(got.Header.Get("Content-Length"), "")
	}
}

// AWS signs the hash of the body.
func TestBodyIsSigned(t *testing.T) {
	is := is.New(t)
	srv := reqwstest.NewMemory(t, reqwstest.Script(reqwstest.Respond(200, nil, "")))
	keys := vectorKeys("")
	keys.Service = "s3" // which sends the hash, too
	_, err := New(URL("http://example.com/"), Method("PUT"), Body("text/x", []byte("signed")), AWSSigV4(keys), DialContext(srv.DialContext)).Do(t.Context())
	is.NoErr(err)
	got := srv.Requests()[0]
	sum := sha256.Sum256([]byte("signed"))
	is.Equal(got.Header.Get("X-Amz-Content-Sha256"), hex.EncodeToString(sum[:]))
	is.True(strings.Contains(got.Header.Get("Authorization"), "SignedHeaders=content-length;content-type;host;"))
	is.Equal(string(got.Body), "signed")
}
