package interop

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/matryer/is"

	"github.com/reqws/reqws"
)

// startNginx puts nginx with TLS, as ws.example.com, in front of b. server is the
// rest of the configuration of its one server.
func startNginx(t *testing.T, ca *authority, b *backend, listen, server string) *program {
	path := find(t, "nginx", "nginx")
	cert, key := ca.files("ws.example.com")
	dir := t.TempDir()
	return start(t, path, func(port string) []string {
		return []string{"-p", dir, "-e", "stderr", "-c", file(t, "nginx.conf", `
daemon off;
worker_processes 1;
pid %[1]s/nginx.pid;
error_log stderr notice;
events { worker_connections 256; }
http {
	access_log off;
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
	server {
		listen 127.0.0.1:%[2]s %[3]s;
		server_name ws.example.com;
		ssl_certificate %[4]s;
		ssl_certificate_key %[5]s;
		proxy_http_version 1.1;
		proxy_set_header Upgrade $http_upgrade;
		proxy_set_header Connection "upgrade";
		proxy_set_header Host $host;
		proxy_set_header X-Client $ssl_client_s_dn;
		%[6]s
		location / { proxy_pass http://%[7]s; }
	}
}
`, dir, port, listen, cert, key, server, b.addr())}
	})
}

// through is how to get through p to a server of another name.
func through(p *program, ca *authority, certs ...tls.Certificate) reqws.Option {
	return reqws.Options(
		reqws.URL("wss://"+p.addr+"/path?and=query"),
		reqws.Hostname("ws.example.com"),
		reqws.TLSConfig(&tls.Config{RootCAs: ca.pool(), Certificates: certs}),
	)
}

func TestNginx(t *testing.T) {
	ca := newAuthority(t, "Test CA")
	b := newBackend(t, plain)
	nginx := startNginx(t, ca, b, "ssl", "")
	for name, mode := range map[string]websocket.CompressionMode{
		"plain": websocket.CompressionDisabled, "compressed": websocket.CompressionContextTakeover,
	} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			resp := open(t, through(nginx, ca), reqws.Compression(mode), reqws.Subprotocols("other", "echo"))
			is.Equal(resp.StatusCode, http.StatusSwitchingProtocols)
			is.Equal(resp.Subprotocol, "echo")
			is.Equal(b.last().Host, "ws.example.com")
			is.Equal(b.last().RequestURI, "/path?and=query")
			is.Equal(resp.Header.Get("Sec-WebSocket-Extensions") != "", mode != websocket.CompressionDisabled)
			exchange(t, resp, append(messages(70000), reqws.Text(text(10_000_000))))
			is.NoErr(resp.Close(4001, "enough"))
			is.Equal(int(b.how(t).code), 4001)
		})
	}
}

func TestNginxClientCertificate(t *testing.T) {
	ca, other := newAuthority(t, "Test CA"), newAuthority(t, "Other CA")
	b := newBackend(t, plain)
	server := "ssl_verify_client on;\nssl_client_certificate " + ca.file() + ";"
	for _, version := range []string{"TLSv1.2", "TLSv1.3"} {
		nginx := startNginx(t, ca, b, "ssl", server+"\nssl_protocols "+version+";")
		t.Run(version, func(t *testing.T) {
			t.Run("right", func(t *testing.T) {
				is := is.New(t)
				resp := open(t, through(nginx, ca, ca.issue("client-7")))
				is.Equal(b.last().Header.Get("X-Client"), "CN=client-7")
				exchange(t, resp, messages(70000))
				is.NoErr(resp.Close(1000, ""))
				is.Equal(b.how(t).code, websocket.StatusNormalClosure)
			})
			// nginx completes the TLS handshake, and then answers over it. A client does
			// not send a certificate that is of none of the authorities in the server's
			// list, so to nginx a wrong one is none.
			for name, certs := range map[string][]tls.Certificate{
				"none": nil, "of another authority": {other.issue("client-7")},
			} {
				t.Run(name, func(t *testing.T) {
					is := is.New(t)
					err := refused(t, through(nginx, ca, certs...))
					t.Log(err)
					var he *reqws.HTTPError
					is.True(errors.As(err, &he))
					is.Equal(he.StatusCode, http.StatusBadRequest)
					is.True(strings.Contains(string(he.Body), "No required SSL certificate was sent"))
				})
			}
			t.Run("of another authority, insisting", func(t *testing.T) {
				is := is.New(t)
				wrong := other.issue("client-7")
				err := refused(t, through(nginx, ca), reqws.TLSConfig(&tls.Config{
					RootCAs: ca.pool(),
					GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
						return &wrong, nil
					},
				}))
				t.Log(err)
				var he *reqws.HTTPError
				is.True(errors.As(err, &he))
				is.Equal(he.StatusCode, http.StatusBadRequest)
				is.True(strings.Contains(string(he.Body), "The SSL certificate error"))
			})
		})
	}
}

func TestNginxServerCertificate(t *testing.T) {
	ca, other := newAuthority(t, "Test CA"), newAuthority(t, "Other CA")
	nginx := startNginx(t, ca, newBackend(t, plain), "ssl", "")
	t.Run("unknown authority", func(t *testing.T) {
		is := is.New(t)
		err := refused(t, through(nginx, other))
		t.Log(err)
		var unknown x509.UnknownAuthorityError
		is.True(errors.As(err, &unknown))
		is.True(strings.HasPrefix(err.Error(), "reqws: TLS: "))
	})
	t.Run("another name", func(t *testing.T) {
		is := is.New(t)
		err := refused(t, through(nginx, ca), reqws.Hostname("elsewhere.example.com"))
		t.Log(err)
		var name x509.HostnameError
		is.True(errors.As(err, &name))
	})
	t.Run("pinned", func(t *testing.T) {
		is := is.New(t)
		pin := errors.New("not the certificate we know")
		err := refused(t, through(nginx, ca), reqws.TLSConfig(&tls.Config{
			RootCAs:          ca.pool(),
			VerifyConnection: func(tls.ConnectionState) error { return pin },
		}))
		is.True(errors.Is(err, pin))
	})
}

// nginx speaks HTTP/2, but knows no WebSocket in it.
func TestNginxFallback(t *testing.T) {
	ca := newAuthority(t, "Test CA")
	b := newBackend(t, plain)
	nginx := startNginx(t, ca, b, "ssl http2", "")
	for name, protocols := range map[string][]reqws.Protocol{
		"HTTP/2 first":   {reqws.HTTP2, reqws.HTTP1},
		"HTTP/1.1 first": {reqws.HTTP1, reqws.HTTP2},
	} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			req := reqws.New(through(nginx, ca), reqws.Protocols(protocols...))
			for range 3 { // the first one learns
				resp, err := req.Do(within(t, 20e9))
				is.NoErr(err)
				is.Equal(resp.Proto, "HTTP/1.1")
				exchange(t, resp, messages(100))
				is.NoErr(resp.Close(1000, ""))
				is.Equal(b.how(t).code, websocket.StatusNormalClosure)
			}
		})
	}
	t.Run("HTTP/2 alone", func(t *testing.T) {
		is := is.New(t)
		err := refused(t, through(nginx, ca), reqws.Protocols(reqws.HTTP2))
		t.Log(err)
		is.True(strings.Contains(err.Error(), "extended CONNECT"))
	})
}

// What nginx itself answers.
func TestNginxAnswers(t *testing.T) {
	ca := newAuthority(t, "Test CA")
	b := newBackend(t, plain)
	nginx := startNginx(t, ca, b, "ssl", `
		location /gone { proxy_pass http://127.0.0.1:`+freePort(t)+`; }
		location /private { return 403 "keep out"; }
		location /moved { return 302 /here?k=v; }
		location /idle { proxy_pass http://`+b.addr()+`; proxy_read_timeout 1s; }
`)
	at := func(path string) reqws.Option {
		return reqws.Options(through(nginx, ca), reqws.URL("wss://"+nginx.addr+path))
	}
	t.Run("no backend", func(t *testing.T) {
		is := is.New(t)
		var he *reqws.HTTPError
		is.True(errors.As(refused(t, at("/gone")), &he))
		is.Equal(he.StatusCode, http.StatusBadGateway)
		is.True(strings.Contains(string(he.Body), "502 Bad Gateway"))
	})
	t.Run("forbidden", func(t *testing.T) {
		is := is.New(t)
		var he *reqws.HTTPError
		is.True(errors.As(refused(t, at("/private")), &he))
		is.Equal(he.StatusCode, http.StatusForbidden)
		is.Equal(string(he.Body), "keep out")
	})
	t.Run("redirect", func(t *testing.T) {
		is := is.New(t)
		// nginx makes an absolute https URL of it.
		resp := open(t,
			reqws.URL("wss://ws.example.com:"+nginx.port()+"/moved"),
			reqws.TLSConfig(&tls.Config{RootCAs: ca.pool()}),
			reqws.DialContext(func(ctx context.Context, network, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, nginx.addr)
			}),
		)
		is.Equal(b.last().RequestURI, "/here?k=v")
		is.NoErr(resp.Close(1000, ""))
	})
	t.Run("cut off when idle", func(t *testing.T) {
		is := is.New(t)
		resp := open(t, at("/idle"))
		exchange(t, resp, messages(100))
		err := resp.Wait()
		t.Log(err)
		is.True(errors.Is(err, io.ErrUnexpectedEOF))
	})
}

// When nginx is stopped, its connections end without a close frame.
func TestNginxStops(t *testing.T) {
	is := is.New(t)
	ca := newAuthority(t, "Test CA")
	nginx := startNginx(t, ca, newBackend(t, plain), "ssl", "")
	resp := open(t, through(nginx, ca))
	exchange(t, resp, messages(100))
	nginx.stop(t)
	err := resp.Wait()
	t.Log(err)
	is.True(err != nil)
	is.True(strings.Contains(err.Error(), "wss://"+nginx.addr+"/path: "))
}
