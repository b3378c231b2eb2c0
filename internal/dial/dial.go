// Package dial goes from a URL to an open connection: it looks up and connects, through a proxy
// where there is one, secures with TLS, and shakes hands in HTTP/1.1 or HTTP/2, or in the other
// one where the server wants that.
package dial

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/reqws/reqws/internal/failure"
	"github.com/reqws/reqws/internal/h2"
	"github.com/reqws/reqws/internal/netconn"
)

// Conn is the body of an answer that opened a WebSocket: the connection itself, and what came
// behind the answer.
type Conn = netconn.Conn

// Protocol is a version of HTTP that a handshake can be spoken in.
type Protocol uint8

const (
	HTTP1 Protocol = iota + 1 // Upgrade (RFC 6455)
	HTTP2                     // extended CONNECT (RFC 8441)
)

// Config says how to connect. It is not changed, nor may it be after New.
type Config struct {
	Timeout     time.Duration // for all up to the answer; 0 is none
	TLS         *tls.Config   // may be nil
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
	Proxy       func(*http.Request) (*url.URL, error) // nil: as the environment says
	ProxyHeader http.Header                           // for CONNECT
	Protocols   []Protocol                            // in order of preference
	Named       bool                                  // they were named by the user
	HTTP2       http.HTTP2Config
	// ProxyRefusal makes the error of a proxy's refusal, of which body is the start.
	ProxyRefusal func(connect *http.Request, resp *http.Response, body []byte) error
}

// Transport performs requests over connections that it opens. It is safe for concurrent use.
type Transport struct {
	Config
	pool      h2.Pool
	looksUp   bool  // the dialer is the user's, and may look up what it will
	timeLimit error // what a ctx ends with that Timeout has ended

	mu      sync.Mutex
	learned map[origin]Protocol // what a server has
}

// New returns a Transport. An unset DialContext is that of a net.Dialer.
func New(c Config) *Transport {
	t := &Transport{Config: c, looksUp: c.DialContext != nil, timeLimit: TimeoutError(c.Timeout)}
	if c.DialContext == nil {
		t.DialContext = new(net.Dialer).DialContext
	}
	if c.Proxy == nil {
		t.Proxy = proxyFromEnvironment()
	}
	return t
}

// Server says more of a request's server than its URL does. It goes with the context of the
// request.
type Server struct {
	Name    string // in TLS, in place of the URL's host; "" is that
	Foreign bool   // it is not to see client certificates
}

type serverKey struct{}

// WithServer returns ctx for a request to s.
func WithServer(ctx context.Context, s Server) context.Context {
	return context.WithValue(ctx, serverKey{}, s)
}

// server is what WithServer said of the request's.
func (t *roundTrip) server() Server {
	s, _ := t.req.Context().Value(serverKey{}).(Server)
	return s
}

// RoundTrip performs one exchange. req has an http or https URL; the header
// "Upgrade: websocket" makes it a WebSocket handshake, whose success is a 101, or
// a 200 over HTTP/2, with a *Conn for its body: then nothing of the
// handshake is left, no deadline either.
func (tr *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if strings.EqualFold(req.Header.Get("Upgrade"), "websocket") {
		ctx, cancel := tr.Bound(req.Context())
		return tr.Open(ctx, cancel, req)
	}
	t := tr.begin(req)
	if err := t.chooseProxy(); err != nil {
		return nil, t.fail(req.Context(), err)
	}
	return t.plain()
}

// Open is RoundTrip for a handshake within ctx, which is one of Bound; once nothing is left to be
// bounded it calls cancel.
func (tr *Transport) Open(ctx context.Context, cancel context.CancelFunc, req *http.Request) (*http.Response, error) {
	t := tr.begin(req)
	t.opens = true
	if err := t.chooseProxy(); err != nil {
		cancel()
		return nil, t.fail(req.Context(), err)
	}
	resp, err := t.handshake(ctx)
	if err != nil {
		cancel()
		return nil, err
	}
	if _, open := resp.Body.(*Conn); open {
		cancel()
		return resp, nil
	}
	resp.Body = &timedBody{resp.Body, t, ctx, cancel}
	return resp, nil
}

// begin begins an exchange, with the choice of a proxy.
func (tr *Transport) begin(req *http.Request) *roundTrip {
	t := &roundTrip{Transport: tr, req: req, watch: stopwatchOf(req.Context())}
	t.enter(failure.Proxy)
	return t
}

// timedBody is the body of a refused handshake: reading it still takes from the
// connect timeout, and reading it to its end releases it.
type timedBody struct {
	io.ReadCloser
	roundTrip *roundTrip
	ctx       context.Context
	cancel    context.CancelFunc
}

func (b *timedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		b.Close()
	} else if err != nil {
		err = b.roundTrip.fail(b.ctx, err)
	}
	return n, err
}

func (b *timedBody) Close() error {
	b.cancel()
	return b.ReadCloser.Close()
}
