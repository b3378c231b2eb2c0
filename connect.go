package reqws

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/coder/websocket"

	"github.com/reqws/reqws/internal/dial"
	"github.com/reqws/reqws/internal/host"
)

// connectConfig is what the options of the group connect come to.
type connectConfig struct {
	timeout     time.Duration
	protocols   []Protocol
	named       bool // protocols, by the user
	hostname    string
	tls         *tls.Config
	dialContext func(ctx context.Context, network, addr string) (net.Conn, error)
	proxy       func(*http.Request) (*url.URL, error)
	proxyHeader http.Header
	http2       http.HTTP2Config
	compression websocket.CompressionMode

	transport http.RoundTripper // the user's, or else
	own       *dial.Transport   // made of these, and shared by all who have the same
}

func (c *connectConfig) newTransport() *dial.Transport {
	d := dial.Config{
		Timeout:      c.timeout,
		TLS:          c.tls,
		DialContext:  c.dialContext,
		Proxy:        c.proxy,
		ProxyHeader:  c.proxyHeader,
		Named:        c.named,
		HTTP2:        c.http2,
		ProxyRefusal: refusedByProxy,
	}
	if c.dialContext != nil {
		d.DialContext = c.dialChecked
	}
	for _, p := range c.protocols {
		d.Protocols = append(d.Protocols, dial.Protocol(p)) // which has the same values
	}
	return dial.New(d)
}

// dialChecked calls the user's function.
func (c *connectConfig) dialChecked(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := c.dialContext(ctx, network, addr)
	if err == nil && isNil(conn) {
		err = errors.New("DialContext returned neither a connection nor an error")
	}
	return conn, err
}

// refusedByProxy makes the error of a proxy's answer to CONNECT.
func refusedByProxy(connect *http.Request, resp *http.Response, body []byte) error {
	return &ProxyError{
		StatusCode: resp.StatusCode,
		Header:     resp.Header,
		Body:       body,
		says:       excerpt(resp.Header, body, secretsIn(connect)),
	}
}

// serverOf says what TLS is to know of the server that h leads to. Hostname stands for the
// user's own server: where a redirect leads to another one, the URL's host counts.
func (c *connectConfig) serverOf(h *hop) dial.Server {
	s := dial.Server{Foreign: h.foreign}
	if !h.crossOrigin {
		s.Name = host.Unbracketed(c.hostname)
	}
	return s
}

// Protocol is a version of HTTP that a handshake can be spoken in.
type Protocol uint8

const (
	HTTP1 Protocol = iota + 1 // Upgrade (RFC 6455)
	HTTP2                     // extended CONNECT (RFC 8441)
)

// ConnectTimeout bounds each attempt to connect: name lookup, dial, proxy, TLS
// and handshake together. The default is 30s; 0 means no limit. Of a plain http or
// https request it bounds the connecting, not the answer: that is up to ctx.
func ConnectTimeout(d time.Duration) Option {
	return checked("ConnectTimeout", d, notNegative, func(c *config, d time.Duration) { c.connect.timeout = d }).connecting()
}

// Protocols sets which versions of HTTP are tried, in order of preference. The
// default is HTTP1, then HTTP2. With both, the second is tried where the server has not
// the first, and what it has is remembered for its origin:
//
//   - HTTP2 after HTTP1: the server refuses http/1.1 in ALPN, answers 426 or 505, or
//     answers in HTTP/2. In the clear, where HTTP/2 is spoken with prior knowledge, also if
//     it hangs up without a word: not by default, since most servers that do have trouble,
//     but where this option names both, once for each origin that has not spoken HTTP/1.1 yet.
//   - HTTP1 after HTTP2: the server refuses h2 in ALPN or chooses http/1.1, does not
//     offer extended CONNECT (RFC 8441), resets the stream or goes away with
//     HTTP_1_1_REQUIRED, or answers 426 or 505. In the clear also if it answers in
//     HTTP/1.1 or hangs up.
func Protocols(ps ...Protocol) Option {
	return checked("Protocols", slices.Clone(ps), func(ps []Protocol) error {
		if len(ps) == 0 {
			return errors.New("there must be one at least")
		}
		for i, p := range ps {
			if p != HTTP1 && p != HTTP2 {
				return fmt.Errorf("unknown protocol %d", p)
			}
			if slices.Contains(ps[:i], p) {
				return errors.New("a protocol is given twice")
			}
		}
		return nil
	}, func(c *config, ps []Protocol) { c.connect.protocols, c.connect.named = ps, true }).connecting()
}

// Hostname sets the name that is used for SNI, certificate verification and the
// Host header, in place of the URL's, which is still what is dialled.
func Hostname(name string) Option {
	return checked("Hostname", name, checkHostname, func(c *config, name string) { c.connect.hostname = name })
}

// TLSConfig sets the TLS configuration for wss and https. It is cloned, never
// changed; its ServerName stands where it is set. NextProtos is set as
// [Protocols] asks. Its client certificates are not shown to another origin that a
// redirect leads to (see [RedirectTrusted]).
func TLSConfig(t *tls.Config) Option {
	return option("TLSConfig", func(c *config) { c.connect.tls = t.Clone() }).connecting()
}

// DialContext sets the function that opens network connections, to servers
// and proxies alike; the default is that of a net.Dialer. It must be safe for
// concurrent use and must end with its ctx. The deadlines of its connections must
// work.
func DialContext(f func(ctx context.Context, network, addr string) (net.Conn, error)) Option {
	return checked("DialContext", f, notNilFunc,
		func(c *config, f func(context.Context, string, string) (net.Conn, error)) { c.connect.dialContext = f }).connecting()
}

// Proxy sets the function that chooses the proxy of a request; a nil URL means
// none. The URL's scheme is http, https, socks5 or socks5h, its userinfo the
// credentials. The request has the scheme http for ws and https for wss. nil means
// no proxy at all. The default is the environment: HTTP_PROXY, HTTPS_PROXY, NO_PROXY.
//
// WebSockets, and https, go through CONNECT; plain http is forwarded by http and
// https proxies. Names are looked up by the proxy, with socks5 as with socks5h. An https
// proxy is verified against the roots of [TLSConfig].
func Proxy(f func(*http.Request) (*url.URL, error)) Option {
	if f == nil {
		f = func(*http.Request) (*url.URL, error) { return nil, nil }
	}
	return option("Proxy", func(c *config) { c.connect.proxy = f }).connecting()
}

// ProxyURL sends everything through one proxy. See [Proxy] for the schemes; a
// bare host:port is an http proxy.
func ProxyURL(u string) Option {
	return fallible("ProxyURL", func(c *config) error {
		p, err := dial.ParseProxy(u)
		if err != nil {
			return err
		}
		c.connect.proxy = func(*http.Request) (*url.URL, error) { return p, nil }
		return nil
	}).inPlaceOf("Proxy").connecting()
}

// ProxyHeader sets headers that are sent to an http or https proxy with
// CONNECT.
func ProxyHeader(h http.Header) Option {
	h = h.Clone()
	return fallible("ProxyHeader", func(c *config) error {
		if err := checkHeaders(h); err != nil {
			return err
		}
		c.connect.proxyHeader = h
		return nil
	}).connecting()
}

// HTTP2Settings sets what HTTP/2 connections announce and how they are kept
// alive. The zero value of each field means this package's default.
func HTTP2Settings(s http.HTTP2Config) Option {
	return option("HTTP2Settings", func(c *config) { c.connect.http2 = s }).connecting()
}

// Compression offers permessage-deflate (RFC 7692): with
// websocket.CompressionContextTakeover or CompressionNoContextTakeover. The
// default is CompressionDisabled.
func Compression(m websocket.CompressionMode) Option {
	return checked("Compression", m, func(m websocket.CompressionMode) error {
		switch m {
		case websocket.CompressionDisabled, websocket.CompressionContextTakeover, websocket.CompressionNoContextTakeover:
			return nil
		}
		return fmt.Errorf("unknown mode %d", m)
	}, func(c *config, m websocket.CompressionMode) { c.connect.compression = m })
}

// Transport sets what performs the HTTP exchange in place of this package's own
// dialing: the options of the group connect (see the package page) then have no
// effect, but for [ConnectTimeout] and [Compression]. It gets http and https URLs, and
// the body of a 101 must be an io.ReadWriteCloser, as net/http's Transport makes it. nil
// restores the default.
func Transport(rt http.RoundTripper) Option {
	return checked("Transport", rt, noNilPointer, func(c *config, rt http.RoundTripper) { c.connect.transport = rt })
}

// checkHostname says what is wrong with the value of the option Hostname: it is
// a host name, or an IP address as URLs have it.
func checkHostname(name string) error {
	if ip, err := netip.ParseAddr(host.Unbracketed(name)); err == nil && ip.Is6() == strings.HasPrefix(name, "[") {
		return nil
	}
	labels := strings.Split(strings.TrimSuffix(name, "."), ".")
	if len(name) > 253 || slices.ContainsFunc(labels, badLabel) {
		return fmt.Errorf("%q is no host name", name)
	}
	return nil
}

func badLabel(label string) bool {
	return label == "" || len(label) > 63 || strings.ContainsFunc(label, func(r rune) bool {
		return !(r == '-' || r == '_' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z')
	})
}
