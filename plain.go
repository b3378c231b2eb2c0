package reqws

import (
	"context"
	"errors"
	"net"
	"net/http"
)

// plain performs an ordinary HTTP exchange: net/http does, over connections made
// as for a WebSocket. Each exchange has a connection of its own, since a Request
// has no Close that could end idle ones.
func (a *attempt) plain() (*http.Response, error) {
	once := &http.Transport{
		DisableKeepAlives: true,
		DialContext:       a.dialPlain(a.reach),
		DialTLSContext: a.dialPlain(func(ctx context.Context) (net.Conn, error) {
			return a.open(ctx, alpn(a.protocols)...)
		}),
		HTTP2:     &a.http2,
		Protocols: new(http.Protocols),
	}
	if a.via != nil && a.req.URL.Scheme == "http" && !isSOCKS(a.via) {
		a.forward(once)
	}
	for _, p := range a.protocols {
		switch p {
		case HTTP1:
			once.Protocols.SetHTTP1(true)
		case HTTP2:
			once.Protocols.SetHTTP2(true)
			once.Protocols.SetUnencryptedHTTP2(true)
		}
	}
	resp, err := once.RoundTrip(a.req)
	if err == nil {
		return resp, nil
	}
	var known *phaseError // net/http may have wrapped what the dial functions return
	if errors.As(err, &known) {
		return nil, known
	}
	return nil, a.fail(a.req.Context(), phaseRequest, err)
}

// forward sends the request to the proxy itself, with the whole URL in it (RFC
// 9112, section 3.2.2): few proxies open tunnels to the ports of plain http.
func (a *attempt) forward(once *http.Transport) {
	dial := a.dialPlain(func(ctx context.Context) (net.Conn, error) {
		conn, err := a.reachProxy(ctx)
		return conn, a.failProxy(ctx, err)
	})
	once.Proxy = http.ProxyURL(a.via)
	once.DialContext, once.DialTLSContext = dial, dial
}

// dialPlain makes a dial function for net/http, bounded by the connect timeout
// and by the caller's ctx: the one of net/http goes on when the request is
// cancelled.
func (a *attempt) dialPlain(dial func(context.Context) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
	return func(context.Context, string, string) (net.Conn, error) {
		ctx, cancel := bound(a.req.Context(), a.timeout)
		defer cancel()
		return dial(ctx)
	}
}
