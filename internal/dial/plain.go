package dial

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/reqws/reqws/internal/failure"
)

// plain performs an ordinary HTTP exchange: net/http does, over connections made
// as for a WebSocket. Each exchange has a connection of its own, since a Request
// has no Close that could end idle ones.
func (t *roundTrip) plain() (*http.Response, error) {
	once := &http.Transport{
		DisableKeepAlives: true,
		DialContext:       t.dialPlain(t.connect),
		DialTLSContext: t.dialPlain(func(ctx context.Context) (net.Conn, error) {
			return t.open(ctx, alpn(t.Protocols)...)
		}),
		HTTP2:     &t.HTTP2,
		Protocols: new(http.Protocols),
	}
	if t.via != nil && t.req.URL.Scheme == "http" && !isSOCKS(t.via) {
		t.forward(once)
	}
	for _, p := range t.Protocols {
		switch p {
		case HTTP1:
			once.Protocols.SetHTTP1(true)
		case HTTP2:
			once.Protocols.SetHTTP2(true)
			once.Protocols.SetUnencryptedHTTP2(true)
		}
	}
	resp, err := once.RoundTrip(t.req)
	if err == nil {
		return resp, nil
	}
	var known *failure.Error // net/http may have wrapped what the dial functions return
	if errors.As(err, &known) {
		return nil, known
	}
	t.enter(failure.Request)
	return nil, t.fail(t.req.Context(), lostBefore(failure.Unquoted(err)))
}

// lostBefore gives a kind to the error that net/http has where the server closes a
// connection before the request is on its way, and which says that it was idle.
func lostBefore(err error) error {
	if strings.HasSuffix(err.Error(), "server closed idle connection") {
		return fmt.Errorf("the connection was closed before the request was sent: %w", io.ErrUnexpectedEOF)
	}
	return err
}

// forward sends the request to the proxy itself, with the whole URL in it (RFC
// 9112, section 3.2.2): few proxies open tunnels to the ports of plain http.
func (t *roundTrip) forward(once *http.Transport) {
	dial := t.dialPlain(func(ctx context.Context) (net.Conn, error) {
		t.enter(failure.Proxy)
		conn, err := t.connectToProxy(ctx)
		return conn, t.fail(ctx, err)
	})
	once.Proxy = http.ProxyURL(t.via)
	once.DialContext, once.DialTLSContext = dial, dial
}

// dialPlain makes a dial function for net/http, bounded by the connect timeout
// and by the caller's ctx: the one of net/http goes on when the request is
// cancelled.
func (t *roundTrip) dialPlain(dial func(context.Context) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
	return func(context.Context, string, string) (net.Conn, error) {
		ctx, cancel := t.Bound(t.req.Context())
		defer cancel()
		conn, err := dial(ctx)
		if err == nil {
			t.enter(failure.Request)
		}
		return conn, err
	}
}
