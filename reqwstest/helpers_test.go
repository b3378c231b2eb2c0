package reqwstest_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	. "github.com/reqws/reqws/reqwstest"
)

// recorder is a TB that keeps what it is told.
type recorder struct {
	mu       sync.Mutex
	failures []string
	cleanups []func()
}

type fatal string

func (r *recorder) Helper()          {}
func (r *recorder) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) { panic(fatal(fmt.Sprintf(format, args...))) }

func (r *recorder) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.failures) > 0
}

func (r *recorder) end() {
	for i := len(r.cleanups) - 1; i >= 0; i-- {
		r.cleanups[i]()
	}
}

// report is all failures that a test of client against a server would show.
func report(client func(*Server), options ...Option) string {
	r := &recorder{}
	srv := New(r, options...)
	client(srv)
	r.end()
	return strings.Join(r.failures, "\n")
}

// peer is a client that does as told. Its failures end the test.
type peer struct {
	net.Conn
	t testing.TB
	r *bufio.Reader
}

func dial(t testing.TB, srv *Server) *peer {
	t.Helper()
	u, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := srv.DialContext(context.Background(), "tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	if u.Scheme == "wss" {
		c := srv.TLSConfig()
		c.ServerName = u.Hostname()
		conn = tls.Client(conn, c)
	}
	return &peer{conn, t, bufio.NewReader(conn)}
}

const handshake = "GET /chat?x=1 HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\n" +
	"Connection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

// open dials and shakes hands.
func open(t testing.TB, srv *Server) *peer {
	t.Helper()
	p := dial(t, srv)
	p.ask(handshake)
	return p
}

func (p *peer) raw(s string) {
	p.t.Helper()
	if _, err := p.Write([]byte(s)); err != nil {
		p.t.Fatal(err)
	}
}

// ask sends a request and returns the answer without its body.
func (p *peer) ask(request string) *http.Response {
	p.t.Helper()
	p.raw(request)
	method, _, _ := strings.Cut(request, " ")
	resp, err := http.ReadResponse(p.r, &http.Request{Method: method})
	if err != nil {
		p.t.Fatal(err)
	}
	return resp
}

// send masks the frames and sends them in one write.
func (p *peer) send(frames ...Frame) {
	p.t.Helper()
	var b []byte
	for _, f := range frames {
		b = append(b, Encode(Masked(f))...)
	}
	p.raw(string(b))
}

// next reads a frame and shows it, or the error.
func (p *peer) next() string {
	f, err := Decode(p.r)
	if err != nil {
		return err.Error()
	}
	return f.String()
}
