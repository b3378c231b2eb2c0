package reqws

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

// transport performs requests as the options of the group connect say. It is
// shared by all executions of a Request.
type transport struct {
	timeout     time.Duration
	hostname    string
	tls         *tls.Config // never changed, only cloned; may be nil
	dialContext func(ctx context.Context, network, addr string) (net.Conn, error)
	proxy       func(*http.Request) (*url.URL, error)
	proxyHeader http.Header
	protocols   []Protocol // in order of preference
	named       bool       // by the user
	http2       http.HTTP2Config
	pool        h2.Pool

	mu      sync.Mutex
	learned map[string]Protocol // what a server has, by origin
}

func newTransport(c *config) *transport {
	t := &transport{
		timeout:     c.connectTimeout,
		hostname:    c.hostname,
		tls:         c.tls,
		dialContext: c.dialContext,
		proxy:       c.proxy,
		proxyHeader: c.proxyHeader,
		protocols:   c.protocols,
		named:       c.protocolsNamed,
		http2:       c.http2,
	}
	if t.dialContext == nil {
		t.dialContext = new(net.Dialer).DialContext
	}
	if t.proxy == nil {
		t.proxy = proxyFromEnvironment()
	}
	return t
}

// RoundTrip performs one exchange. req has an http or https URL; the header
// "Upgrade: websocket" makes it a WebSocket handshake, whose success is a 101, or
// a 200 over HTTP/2, with an *netconn.Conn for its body: then nothing of the
// handshake is left, no deadline either.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	way := &trip{transport: t, req: req, url: req.URL}
	opens := strings.EqualFold(req.Header.Get("Upgrade"), "websocket")
	if opens {
		shown := *req.URL
		shown.Scheme = asWebSocket(shown.Scheme)
		way.url = &shown
	}
	way.enter(failure.Proxy)
	if err := way.chooseProxy(); err != nil {
		return nil, way.fail(req.Context(), err)
	}
	way.enter(failure.Request)
	if err := checkSent(req); err != nil {
		return nil, way.fail(req.Context(), err)
	}
	if !opens {
		return way.plain()
	}

	ctx, cancel := bound(req.Context(), t.timeout)
	resp, err := way.handshake(ctx)
	if err != nil {
		cancel()
		return nil, err
	}
	if _, open := resp.Body.(*netconn.Conn); open {
		cancel()
		return resp, nil
	}
	resp.Body = &boundBody{resp.Body, way, ctx, cancel}
	return resp, nil
}

// boundBody is the body of a refused handshake: reading it still takes from the
// connect timeout, and reading it to its end releases it.
type boundBody struct {
	io.ReadCloser
	trip   *trip
	ctx    context.Context
	cancel context.CancelFunc
}

func (b *boundBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		b.Close()
	} else if err != nil {
		err = b.trip.fail(b.ctx, err)
	}
	return n, err
}

func (b *boundBody) Close() error {
	b.cancel()
	return b.ReadCloser.Close()
}
