package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/coder/websocket"

	"github.com/reqws/reqws"
)

// request is the command line as options of a request.
func (f *flags) request(std stdio) ([]reqws.Option, error) {
	var all []reqws.Option
	for _, part := range []func() ([]reqws.Option, error){
		f.requestOptions,
		func() ([]reqws.Option, error) { return f.credentialOptions(std) },
		f.awsOptions, f.proxyOptions, f.tlsOptions, f.connectionOptions, f.lifeOptions,
	} {
		options, err := part()
		if err != nil {
			return nil, err
		}
		all = append(all, options...)
	}
	return all, nil
}

func (f *flags) requestOptions() ([]reqws.Option, error) {
	options := []reqws.Option{reqws.URL(f.url), reqws.Subprotocols(f.subprotocols...)}
	header, err := headers("header", f.headers)
	if err != nil {
		return nil, err
	}
	options = append(options, reqws.Headers(header))
	for _, q := range f.query {
		name, value, found := strings.Cut(q, "=")
		if !found || name == "" {
			return nil, usagef("--query %s: it is name=value", q)
		}
		options = append(options, reqws.Param(name, value))
	}
	params := map[string]any{}
	for _, p := range f.path {
		name, value, found := strings.Cut(p, "=")
		if !found || name == "" {
			return nil, usagef("--path %s: it is name=value", p)
		}
		params[name] = value
	}
	if len(params) > 0 {
		options = append(options, reqws.PathParams(params))
	}
	if f.base != "" {
		options = append(options, reqws.BaseURL(f.base))
	}
	if f.cookies {
		jar, err := cookiejar.New(nil)
		if err != nil {
			return nil, err
		}
		options = append(options, reqws.CookieJar(jar))
	}
	return f.bodyOptions(options)
}

func (f *flags) bodyOptions(options []reqws.Option) ([]reqws.Option, error) {
	method := f.method
	for _, b := range []struct{ flag, value, contentType string }{
		{"data", f.data, "application/x-www-form-urlencoded"}, {"json-data", f.jsonData, "application/json"},
	} {
		if b.value == "" {
			continue
		}
		body := []byte(b.value)
		if file, isFile := strings.CutPrefix(b.value, "@"); isFile {
			var err error
			if body, err = os.ReadFile(file); err != nil {
				return nil, usagef("--%s: %w", b.flag, err)
			}
		}
		if method == "" {
			method = http.MethodPost
		}
		options = append(options, reqws.Body(b.contentType, body))
	}
	if method != "" {
		options = append(options, reqws.Method(method))
	}
	return options, nil
}

// headers reads lines of the form Name: value.
func headers(flag string, lines []string) (http.Header, error) {
	h := http.Header{}
	for _, line := range lines {
		name, value, found := strings.Cut(line, ":")
		if !found || strings.TrimSpace(name) == "" {
			return nil, usagef("--%s: a line without a colon: it is 'Name: value'", flag)
		}
		h.Add(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	return h, nil
}

func (f *flags) proxyOptions() ([]reqws.Option, error) {
	var options []reqws.Option
	if f.proxy != "" {
		options = append(options, reqws.ProxyURL(f.proxy))
	}
	if f.noProxy {
		options = append(options, reqws.Proxy(func(*http.Request) (*url.URL, error) { return nil, nil }))
	}
	if len(f.proxyHeaders) > 0 {
		h, err := headers("proxy-header", f.proxyHeaders)
		if err != nil {
			return nil, err
		}
		options = append(options, reqws.ProxyHeader(h))
	}
	return options, nil
}

func (f *flags) tlsOptions() ([]reqws.Option, error) {
	if f.cacert == "" && f.cert == "" && !f.insecure {
		return nil, nil
	}
	cfg := &tls.Config{InsecureSkipVerify: f.insecure} //nolint:gosec // as the user asks
	if f.cacert != "" {
		pem, err := os.ReadFile(f.cacert)
		if err != nil {
			return nil, usagef("--cacert: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, usagef("--cacert %s: there is no certificate in it", f.cacert)
		}
	}
	if f.cert != "" {
		key := f.key
		if key == "" {
			key = f.cert
		}
		c, err := tls.LoadX509KeyPair(f.cert, key)
		if err != nil {
			return nil, usagef("--cert: %w", err)
		}
		cfg.Certificates = []tls.Certificate{c}
	}
	return []reqws.Option{reqws.TLSConfig(cfg)}, nil
}

func (f *flags) connectionOptions() ([]reqws.Option, error) {
	options := []reqws.Option{
		reqws.ConnectTimeout(f.connectTimeout), reqws.MaxRedirects(f.maxRedirects), reqws.Redirect(!f.noRedirect),
		reqws.RedirectTrusted(f.redirectTrusted), reqws.MaxMessageSize(f.maxMessage),
	}
	switch {
	case f.http1:
		options = append(options, reqws.Protocols(reqws.HTTP1))
	case f.http2:
		options = append(options, reqws.Protocols(reqws.HTTP2))
	}
	if f.compress {
		options = append(options, reqws.Compression(websocket.CompressionContextTakeover))
	}
	if f.hostname != "" {
		options = append(options, reqws.Hostname(f.hostname))
	}
	dial, err := f.dialer()
	if dial != nil {
		options = append(options, reqws.DialContext(dial))
	}
	return options, err
}

func (f *flags) lifeOptions() ([]reqws.Option, error) {
	interval, timeout, err := f.beats()
	if err != nil {
		return nil, err
	}
	options := []reqws.Option{
		reqws.Heartbeat(interval, timeout), reqws.WriteTimeout(f.writeTimeout), reqws.CloseTimeout(f.closeTimeout),
		reqws.Reconnect(f.reconnect),
	}
	if f.retry == 0 {
		options = append(options, reqws.Retry(reqws.Never))
	} else {
		options = append(options, reqws.MaxRetries(f.retry))
	}
	if f.set("retry-delay") {
		d := f.retryDelay
		if d < 0 {
			return nil, usagef("--retry-delay %v is negative", d)
		}
		options = append(options, reqws.RetryDelay(func(int) time.Duration { return d }))
	}
	return options, nil
}

// isWebSocket reports whether the URL is one.
func (f *flags) isWebSocket() bool {
	u := f.url
	if f.base != "" && !strings.Contains(u, "://") {
		u = f.base
	}
	scheme, _, _ := strings.Cut(u, "://")
	return !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https")
}

var errNoTerminal = fmt.Errorf("a password is needed, and there is no terminal to ask for it")
