package dial

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/reqws/reqws/internal/host"
)

// Option sets one thing of a test's Config, as the options of the same names do that users have.
type Option func(*settings)

type settings struct {
	Config
	hostname string
}

func DialContext(f func(ctx context.Context, network, addr string) (net.Conn, error)) Option {
	return func(s *settings) { s.DialContext = f }
}
func TLSConfig(c *tls.Config) Option        { return func(s *settings) { s.TLS = c.Clone() } }
func ConnectTimeout(d time.Duration) Option { return func(s *settings) { s.Timeout = d } }
func ProxyHeader(h http.Header) Option      { return func(s *settings) { s.ProxyHeader = h } }
func Hostname(name string) Option           { return func(s *settings) { s.hostname = name } }
func Protocols(ps ...Protocol) Option {
	return func(s *settings) { s.Protocols, s.Named = ps, true }
}

func Proxy(f func(*http.Request) (*url.URL, error)) Option {
	if f == nil {
		f = func(*http.Request) (*url.URL, error) { return nil, nil }
	}
	return func(s *settings) { s.Config.Proxy = f }
}

func ProxyURL(u string) Option {
	return func(s *settings) { s.Config.Proxy = func(*http.Request) (*url.URL, error) { return ParseProxy(u) } }
}

// settingsOf is what opts come to, on top of the defaults that users have.
func settingsOf(opts []Option) settings {
	s := settings{Config: Config{Timeout: 30 * time.Second, Protocols: []Protocol{HTTP1, HTTP2}, ProxyRefusal: refuse}}
	for _, o := range opts {
		o(&s)
	}
	return s
}

func transportOf(opts ...Option) *Transport { return New(settingsOf(opts).Config) }

// handshakeOver sends one handshake over a transport.
func handshakeOver(ctx context.Context, u string, opts ...Option) (*http.Response, error) {
	s := settingsOf(opts)
	if s.hostname != "" && ctx.Value(elsewhere{}) == nil {
		ctx = WithServer(ctx, Server{Name: host.Unbracketed(s.hostname)})
	}
	return New(s.Config).RoundTrip(opening(ctx, u))
}

// elsewhere marks the ctx of a request that has left the server that Hostname is for.
type elsewhere struct{}

// refused is the refusal of a proxy.
type refused struct {
	status int
	header http.Header
	body   []byte
}

func refuse(_ *http.Request, resp *http.Response, body []byte) error {
	return &refused{resp.StatusCode, resp.Header, body}
}

func (e *refused) Error() string {
	return fmt.Sprintf("refused to connect: %d %s", e.status, http.StatusText(e.status))
}
func (e *refused) Retryable() bool { return e.status >= 500 }
