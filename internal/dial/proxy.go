package dial

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"

	"golang.org/x/net/proxy"

	"github.com/reqws/reqws/internal/failure"
	"github.com/reqws/reqws/internal/host"
)

// proxyError says that it was the proxy that something went wrong with.
type proxyError struct {
	proxy string // scheme, host and port; never its credentials
	err   error
}

func (e *proxyError) Error() string { return "proxy " + e.proxy + ": " + e.err.Error() }
func (e *proxyError) Unwrap() error { return e.err }

// chooseProxy asks for the proxy of this request.
func (t *roundTrip) chooseProxy() error {
	via, err := t.Proxy(t.req)
	if err != nil {
		return fmt.Errorf("choosing it: %w", failure.WithoutURL(err))
	}
	if via == nil {
		return nil
	}
	if err := checkProxy(via); err != nil {
		return err // without its name, which may not be what it looks like
	}
	t.via = via
	return nil
}

// proxyName is how errors call a proxy: without its credentials.
func proxyName(via *url.URL) string {
	return via.Scheme + "://" + via.Host
}

// tunnel connects to the request's server through the proxy. The names of servers are resolved
// by the proxy, with socks5 as with socks5h (net/http does so too).
func (t *roundTrip) tunnel(ctx context.Context) (net.Conn, error) {
	target := *t.req.URL
	target.Host = host.WithoutZone(target.Host)
	addr, err := address(&target)
	if err != nil {
		return nil, err
	}
	conn, err := t.connectToProxy(ctx)
	if err != nil {
		return nil, err
	}
	var rest []byte
	err = closeAtEnd(ctx, conn, func() (err error) {
		if isSOCKS(t.via) {
			return socksConnect(conn, t.via, addr)
		}
		rest, err = t.httpConnect(ctx, conn, addr)
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(rest) > 0 {
		return &Conn{Conn: conn, Rest: rest}, nil
	}
	return conn, nil
}

// connectToProxy connects to the proxy itself.
func (t *roundTrip) connectToProxy(ctx context.Context) (net.Conn, error) {
	addr, err := address(t.via)
	if err != nil {
		return nil, err
	}
	conn, err := t.DialContext(ctx, "tcp", addr)
	if err != nil || t.via.Scheme != "https" {
		return conn, err
	}
	config := t.proxyTLS(t.via)
	secured := tls.Client(conn, config)
	if err := closeAtEnd(ctx, conn, func() error { return secured.HandshakeContext(ctx) }); err != nil {
		return nil, fmt.Errorf("TLS: %w", explainTLS(err, config))
	}
	return secured, nil
}

// proxyTLS is the configuration for TLS with an https proxy. It takes from the
// user's what holds for any peer, the authorities above all. What is meant for the
// server, client certificates and pins, is kept from the proxy.
func (t *Transport) proxyTLS(via *url.URL) *tls.Config {
	config := &tls.Config{ServerName: via.Hostname(), NextProtos: []string{alpnHTTP1}}
	if t.TLS != nil {
		config.RootCAs = t.TLS.RootCAs
		config.MinVersion, config.MaxVersion = t.TLS.MinVersion, t.TLS.MaxVersion
		config.CipherSuites, config.CurvePreferences = t.TLS.CipherSuites, t.TLS.CurvePreferences
		config.Time, config.Rand, config.KeyLogWriter = t.TLS.Time, t.TLS.Rand, t.TLS.KeyLogWriter
		// With a check of the user's own, InsecureSkipVerify only makes room for it.
		config.InsecureSkipVerify = t.TLS.InsecureSkipVerify &&
			t.TLS.VerifyConnection == nil && t.TLS.VerifyPeerCertificate == nil
	}
	return config
}

// socksConnect asks a SOCKS5 proxy for a connection to addr. It is given no ctx:
// closeAtEnd ends it, and so no deadline is left on the connection.
func socksConnect(conn net.Conn, via *url.URL, addr string) error {
	var auth *proxy.Auth
	if via.User != nil {
		password, _ := via.User.Password()
		auth = &proxy.Auth{User: via.User.Username(), Password: password}
	}
	dialer, err := proxy.SOCKS5("tcp", via.Host, auth, connected{conn})
	if err != nil {
		return err
	}
	_, err = dialer.Dial("tcp", addr)
	var op *net.OpError
	if errors.As(err, &op) { // its prefix only repeats the addresses
		err = op.Err
	}
	return explainLoss(err)
}

// connected is a dialer that has dialled.
type connected struct{ net.Conn }

func (c connected) Dial(string, string) (net.Conn, error) { return c.Conn, nil }

// httpConnect asks an http or https proxy for a tunnel to addr (RFC 9110, section
// 9.3.6) and returns what the proxy sent behind its answer: it is the server's.
func (t *roundTrip) httpConnect(ctx context.Context, conn net.Conn, addr string) (rest []byte, err error) {
	req := &http.Request{
		Method: http.MethodConnect,
		URL:    &url.URL{Opaque: addr},
		Host:   addr,
		Header: http.Header{"User-Agent": {t.req.UserAgent()}},
	}
	if user := t.via.User; user != nil {
		password, _ := user.Password()
		req.Header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password)))
	}
	for name, values := range t.ProxyHeader {
		req.Header[http.CanonicalHeaderKey(name)] = values
	}
	var request bytes.Buffer
	if err := req.Write(&request); err != nil {
		return nil, err
	}
	if _, err := conn.Write(request.Bytes()); err != nil {
		return nil, err
	}
	answer := readAnswer(conn, nil)
	resp, err := answer.head(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 == 2 {
		rest = answer.rest()
		answer.release()
		return rest, nil
	}
	body := ReadStart(ctx, &connBody{resp.Body, conn, func() bool { return true }})
	return nil, t.ProxyRefusal(req, resp, body)
}
