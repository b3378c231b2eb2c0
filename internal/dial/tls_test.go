package dial

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/matryer/is"

	"github.com/reqws/reqws/internal/failure"
	"github.com/reqws/reqws/internal/wiretest"
	"github.com/reqws/reqws/reqwstest"
)

func TestServerName(t *testing.T) {
	elsewhere := context.WithValue(t.Context(), elsewhere{}, true)
	tests := []struct {
		name     string
		ctx      context.Context
		host     string
		hostname string
		config   string // ServerName in the user's configuration
		want     string // SNI
	}{
		{"the URL's host", t.Context(), "a.example.com", "", "", "a.example.com"},
		{"with a port", t.Context(), "a.example.com:8443", "", "", "a.example.com"},
		{"with a dot at the end", t.Context(), "a.example.com.", "", "", "a.example.com"},
		{"an IP address has no SNI", t.Context(), "127.0.0.1", "", "", ""},
		{"IPv6", t.Context(), "[::1]:8443", "", "", ""},
		{"IPv6 with a zone", t.Context(), "[::1%25lo]", "", "", ""},
		{"Hostname", t.Context(), "127.0.0.1", "b.example.com", "", "b.example.com"},
		{"Hostname that is an address", t.Context(), "a.example.com", "[::1]", "", ""},
		{"Hostname, after a redirect to another origin", elsewhere, "a.example.com", "b.example.com", "", "a.example.com"},
		{"TLSConfig before Hostname", t.Context(), "a.example.com", "b.example.com", "c.example.com", "c.example.com"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			is := is.New(t)
			srv := reqwstest.NewMemory(t, reqwstest.TLS(), reqwstest.Script(reqwstest.Accept()))
			config := srv.TLSConfig()
			config.ServerName = tt.config
			opts := []Option{DialContext(srv.DialContext), TLSConfig(config)}
			if tt.hostname != "" {
				opts = append(opts, Hostname(tt.hostname))
			}
			resp, err := handshakeOver(tt.ctx, "wss://"+tt.host, opts...)
			is.NoErr(err)
			is.NoErr(resp.Body.Close())
			got := srv.Requests()[0].TLS
			is.Equal(got.ServerName, tt.want)
			is.Equal(got.NegotiatedProtocol, "http/1.1")
		})
	}
}

func TestTLSErrors(t *testing.T) {
	refused := errors.New("not the pinned key")
	rejects := reqwstest.Script(wiretest.ExpectTLSError())
	tests := []struct {
		name   string
		server []reqwstest.Option
		change func(*tls.Config)
		host   string
		err    string
		is     error
		as     any
	}{
		{"unknown authority", []reqwstest.Option{rejects}, func(c *tls.Config) { c.RootCAs = x509.NewCertPool() }, "example.com",
			"certificate signed by unknown authority", nil, new(x509.UnknownAuthorityError)},
		{"another name", []reqwstest.Option{rejects}, func(*tls.Config) {}, "else.where",
			"certificate is valid for", nil, new(x509.HostnameError)},
		{"pinning", []reqwstest.Option{rejects}, func(c *tls.Config) { c.VerifyConnection = func(tls.ConnectionState) error { return refused } }, "example.com",
			"not the pinned key", refused, nil},
		{"no common protocol", []reqwstest.Option{rejects, wiretest.ALPN("h3")}, func(*tls.Config) {}, "example.com",
			"the peer has none of the protocols offered (http/1.1): remote error: tls: no application protocol", nil, nil},
		{"no common version", []reqwstest.Option{rejects}, func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }, "example.com",
			"protocol version not supported", nil, nil},
		{"no client certificate", []reqwstest.Option{rejects, wiretest.RequireClientCert()}, func(c *tls.Config) { c.Certificates = nil }, "example.com",
			"certificate required", nil, nil},
		{"no client certificate, TLS 1.2", []reqwstest.Option{rejects, wiretest.RequireClientCert()}, func(c *tls.Config) {
			c.Certificates, c.MaxVersion = nil, tls.VersionTLS12
		}, "example.com", "remote error: tls: ", nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			is := is.New(t)
			srv := reqwstest.NewMemory(t, append(tt.server, reqwstest.TLS())...)
			config := srv.TLSConfig()
			config.ServerName = ""
			tt.change(config)
			_, err := handshakeOver(t.Context(), "wss://"+tt.host+"/p?token=secret", DialContext(srv.DialContext), TLSConfig(config), Protocols(HTTP1))
			is.True(err != nil)
			is.True(strings.HasPrefix(err.Error(), "reqws: TLS: wss://"+tt.host+"/p: "))
			is.True(strings.Contains(err.Error(), tt.err))
			is.True(!strings.Contains(err.Error(), "secret"))
			is.True(tt.is == nil || errors.Is(err, tt.is))
			is.True(tt.as == nil || errors.As(err, tt.as))
		})
	}
}

func TestServerWithoutTLS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		srv := lan{"host:443": func(conn net.Conn) {
			conn.Read(make([]byte, 1))
			conn.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
			silent(conn)
		}}
		_, err := handshakeOver(t.Context(), "wss://host", DialContext(srv.dial))
		is.True(strings.HasPrefix(err.Error(), "reqws: TLS: wss://host: the peer speaks HTTP without TLS: "))
	})
}

// A peer that hangs up within TLS is told from one that does so after it.
func TestHangUpWithinTLS(t *testing.T) {
	for name, host := range map[string]func(net.Conn){
		"at once":         func(conn net.Conn) { conn.Read(make([]byte, 1)) },
		"within a record": func(conn net.Conn) { conn.Read(make([]byte, 1)); conn.Write([]byte("\x16\x03\x03\x00\x7a\x02")) },
		"within a message": func(conn net.Conn) {
			conn.Read(make([]byte, 1))
			conn.Write([]byte("\x16\x03\x03\x00\x04\x02\x00\x00\x76"))
		},
	} {
		for _, protocols := range [][]Protocol{{HTTP1}, {HTTP2}, {HTTP1, HTTP2}} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					is := is.New(t)
					_, err := handshakeOver(t.Context(), "wss://host", DialContext(lan{"host:443": host}.dial), Protocols(protocols...))
					is.True(strings.HasPrefix(err.Error(), "reqws: TLS: wss://host: the peer hung up during the TLS handshake: "))
					is.True(failure.IsTransient(err))
				})
			})
		}
	}
}

func TestClientCertificate(t *testing.T) {
	is := is.New(t)
	srv := reqwstest.NewTLS(t, wiretest.RequireClientCert(), reqwstest.Script(reqwstest.Accept(), reqwstest.EchoUntilClose()).Times(2))
	config := srv.TLSConfig()
	echoes(t, opens(t, srv.URL, TLSConfig(config)))

	certificate := config.Certificates[0]
	config.Certificates = nil
	type key struct{}
	asked := false
	config.GetClientCertificate = func(info *tls.CertificateRequestInfo) (*tls.Certificate, error) {
		asked = info.Context().Value(key{}) == "value"
		return &certificate, nil
	}
	resp, err := handshakeOver(context.WithValue(t.Context(), key{}, "value"), srv.URL, TLSConfig(config))
	is.NoErr(err)
	is.True(asked) // with the values of the caller's ctx
	echoes(t, resp.Body.(*Conn))
	is.NoErr(resp.Body.Close())
}

func TestServerWithoutALPN(t *testing.T) {
	srv := reqwstest.NewTLS(t, wiretest.ALPN(), reqwstest.Script(reqwstest.Accept(), reqwstest.EchoUntilClose()).Times(2))
	echoes(t, opens(t, srv.URL, TLSConfig(srv.TLSConfig())))
	echoes(t, opens(t, srv.URL, TLSConfig(srv.TLSConfig()), Protocols(HTTP2, HTTP1)))
}

// The user goes on using the configuration while it is in use here.
func TestCallersTLSConfigIsNotChanged(t *testing.T) {
	is := is.New(t)
	srv := reqwstest.NewTLS(t, reqwstest.Script(reqwstest.Accept(), reqwstest.EchoUntilClose()).Repeat())
	config := srv.TLSConfig()
	config.ServerName, config.NextProtos = "", []string{"mine"}
	tr := transportOf(TLSConfig(config))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			resp, err := tr.RoundTrip(opening(t.Context(), srv.URL))
			is.NoErr(err)
			is.NoErr(resp.Body.Close())
		})
		config.ServerName = ""
	}
	wg.Wait()
	is.Equal(config.NextProtos, []string{"mine"})
	is.Equal(config.ServerName, "")
}

// Neither a TLS session nor an HTTP/2 connection that was made with the certificate
// is used where that is not to be shown.
func TestForeignServersShareNoConnection(t *testing.T) {
	is := is.New(t)
	to := func(s Server) *roundTrip {
		req, err := http.NewRequestWithContext(WithServer(t.Context(), s), "GET", "https://example.com/", nil)
		is.NoErr(err)
		config := &tls.Config{Certificates: make([]tls.Certificate, 1), ClientSessionCache: tls.NewLRUClientSessionCache(1)}
		return &roundTrip{Transport: New(Config{TLS: config}), req: req}
	}
	own, foreign := to(Server{}), to(Server{Foreign: true})
	is.True(own.origin() != foreign.origin())
	is.True(own.serverTLS(nil).ClientSessionCache != nil)
	is.Equal(len(own.serverTLS(nil).Certificates), 1)
	is.Equal(foreign.serverTLS(nil).ClientSessionCache, nil)
	is.Equal(len(foreign.serverTLS(nil).Certificates), 0)
	is.Equal(len(foreign.TLS.Certificates), 1) // the user's stays as it is
}

// A cache of sessions that the user has put into the configuration serves all connections, though
// each has a copy of that; without one no session is resumed.
func TestResumption(t *testing.T) {
	reqwstest.NoLeaks(t)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, cache := range []tls.ClientSessionCache{nil, tls.NewLRUClientSessionCache(4)} {
			is := is.New(t)
			srv := reqwstest.NewTLS(t, reqwstest.Script(reqwstest.Accept(), reqwstest.EchoUntilClose()).Repeat(),
				reqwstest.TLS(func(c *tls.Config) { c.MaxVersion = version }))
			config := srv.TLSConfig()
			config.ClientSessionCache = cache
			tr := transportOf(TLSConfig(config))
			for n := range 3 {
				resp, err := tr.RoundTrip(opening(t.Context(), srv.URL))
				is.NoErr(err)
				is.Equal(resp.TLS.Version, version)
				is.Equal(resp.TLS.DidResume, n > 0 && cache != nil)
				echoes(t, resp.Body.(*Conn))
				is.NoErr(resp.Body.Close())
			}
		}
	}
}
