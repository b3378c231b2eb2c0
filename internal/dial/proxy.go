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
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpproxy"
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

// proxyFromEnvironment chooses as HTTP_PROXY, HTTPS_PROXY and NO_PROXY (or their
// lower-case forms) said when it was called. Package httpproxy goes without a proxy
// where it cannot read a variable, so it only decides whether one applies.
func proxyFromEnvironment() func(*http.Request) (*url.URL, error) {
	env := httpproxy.FromEnvironment()
	env.NoProxy = withoutRootDots(env.NoProxy)
	proxies := map[string]func() (*url.URL, error){
		"http":  proxyVariable(&env.HTTPProxy, "http_proxy", "HTTP_PROXY"),
		"https": proxyVariable(&env.HTTPSProxy, "https_proxy", "HTTPS_PROXY"),
	}
	choose := env.ProxyFunc()
	return func(req *http.Request) (*url.URL, error) {
		u := *req.URL
		u.Host = withoutRootDots(u.Host)
		via, err := choose(&u)
		if via == nil || err != nil {
			return nil, err
		}
		return proxies[u.Scheme]()
	}
}

// proxyVariable reads value, which came from the first of names that is set, and
// puts what can be read in its place. No error shows the value.
func proxyVariable(value *string, names ...string) func() (*url.URL, error) {
	u, err := ParseProxy(*value)
	if err != nil {
		name := names[slices.IndexFunc(names, func(n string) bool { return os.Getenv(n) != "" || n == names[len(names)-1] })]
		err = fmt.Errorf("the variable %s: %w", name, err)
	}
	if *value != "" {
		*value = "http://proxy"
	}
	return func() (*url.URL, error) { return u, err }
}

// withoutRootDots takes the dots off that end the names of a list, or of a host
// with a port: example.com. is example.com (RFC 1034, section 3.1).
func withoutRootDots(names string) string {
	list := strings.Split(names, ",")
	for i, name := range list {
		list[i] = strings.TrimSuffix(strings.Replace(strings.TrimSpace(name), ".:", ":", 1), ".")
	}
	return strings.Join(list, ",")
}

// ParseProxy reads the value of the option ProxyURL. Like the environment's it
// may be host:port alone, which is an http proxy. No error shows the value, since
// it may hold credentials.
func ParseProxy(s string) (*url.URL, error) {
	if !strings.Contains(s, "://") {
		s = "http://" + s
	}
	u, err := url.Parse(s)
	if err != nil {
		return nil, errors.New("the value is no valid URL (not shown, since it may hold a password)")
	}
	return u, checkProxy(u)
}

// checkProxy says why u cannot be the URL of a proxy. It quotes nothing: where a
// password has a # or a slash in it, any part may be a piece of that.
func checkProxy(u *url.URL) error {
	if !slices.Contains([]string{"http", "https", "socks5", "socks5h"}, u.Scheme) {
		return errors.New("its scheme is not one of http, https, socks5 and socks5h")
	}
	if u.Hostname() == "" {
		return errors.New("the proxy's URL has no host")
	}
	if u.Fragment != "" || u.RawQuery != "" || u.ForceQuery || strings.Contains(u.Path, "@") {
		return errors.New("the proxy's URL goes on behind host and port (a #, ? or / in a password is written %23, %3F, %2F)")
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return errors.New("the proxy's URL has a port that is not one of 1 to 65535")
		}
	}
	if isSOCKS(u) && u.User != nil {
		password, _ := u.User.Password()
		if n := len(u.User.Username()); n == 0 || n > 255 || len(password) > 255 {
			return errors.New("SOCKS5 takes a user name of 1 to 255 bytes and a password of at most 255") // RFC 1929, section 2
		}
	}
	return nil
}

func isSOCKS(u *url.URL) bool { return strings.HasPrefix(u.Scheme, "socks5") }

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

// through connects to addr through the proxy. The names of servers are resolved
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
	answer := readAnswer(conn)
	resp, err := answer.head(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 == 2 {
		return answer.rest(), nil
	}
	body := ReadStart(ctx, &connBody{resp.Body, conn, func() bool { return true }})
	return nil, t.ProxyRefusal(req, resp, body)
}
