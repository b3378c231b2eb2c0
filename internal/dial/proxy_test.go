package dial

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matryer/is"

	"github.com/reqws/reqws/internal/failure"
	"github.com/reqws/reqws/internal/wiretest"
	"github.com/reqws/reqws/reqwstest"
)

// gateway is a proxy in front of one scripted server, whatever the address asked
// for. It notes what it was asked.
type gateway struct {
	target *reqwstest.Server
	user   string // with the password, as user:password; none needed if empty

	mu    sync.Mutex
	asked []string
	heads []http.Header
}

func (g *gateway) note(addr string, head http.Header) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked = append(g.asked, addr)
	g.heads = append(g.heads, head)
}

// join copies both ways until one side is done.
func (g *gateway) join(client io.Writer, fromClient io.Reader) {
	server, err := g.target.DialContext(context.Background(), "tcp", "")
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		defer server.Close()
		io.Copy(server, fromClient)
	}()
	io.Copy(client, server)
}

// connect is an http proxy.
func (g *gateway) connect(client net.Conn) {
	br := bufio.NewReader(client)
	req, err := http.ReadRequest(br)
	if err != nil {
		return
	}
	g.note(req.Method+" "+req.RequestURI+" "+req.Host, req.Header)
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte(g.user))
	if g.user != "" && req.Header.Get("Proxy-Authorization") != want {
		io.WriteString(client, "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=x\r\nContent-Length: 7\r\n\r\nwho?\r\n\x1b")
		return
	}
	io.WriteString(client, "HTTP/1.1 200 Connection established\r\n\r\n")
	g.join(client, br)
}

// socks is a SOCKS5 proxy (RFC 1928, RFC 1929).
func (g *gateway) socks(client net.Conn) {
	br := bufio.NewReader(client)
	next := func(n int) []byte {
		b := make([]byte, n)
		io.ReadFull(br, b)
		return b
	}
	methods := next(int(next(2)[1]))
	method, auth := byte(0), ""
	if g.user != "" {
		method = 2
		if !strings.Contains(string(methods), "\x02") {
			client.Write([]byte{5, 0xFF})
			return
		}
	}
	client.Write([]byte{5, method})
	if method == 2 {
		auth = string(next(int(next(2)[1])))
		auth += ":" + string(next(int(next(1)[0])))
		if auth != g.user {
			client.Write([]byte{1, 1})
			return
		}
		client.Write([]byte{1, 0})
	}
	var host string
	kind := next(4)[3]
	switch kind {
	case 1:
		host = net.IP(next(4)).String()
	case 4:
		host = net.IP(next(16)).String()
	case 3:
		host = string(next(int(next(1)[0])))
	}
	port := next(2)
	g.note(fmt.Sprintf("%d %s:%d", kind, host, int(port[0])<<8|int(port[1])), nil)
	if g.target == nil {
		client.Write([]byte{5, 5, 0, 1, 0, 0, 0, 0, 0, 0}) // connection refused
		return
	}
	client.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
	g.join(client, br)
}

func TestHTTPProxy(t *testing.T) {
	tests := []struct {
		name  string
		url   string
		proxy string
		asked string
	}{
		{"ws", "ws://reqwstest.test/p", "http://proxy:3128", "CONNECT reqwstest.test:80 reqwstest.test:80"},
		{"wss", "wss://reqwstest.test/p", "http://proxy:3128", "CONNECT reqwstest.test:443 reqwstest.test:443"},
		{"a port", "ws://reqwstest.test:81", "http://proxy:3128", "CONNECT reqwstest.test:81 reqwstest.test:81"},
		{"IPv6 with a zone", "ws://[fe80::1%25lo]", "http://proxy:3128", "CONNECT [fe80::1]:80 [fe80::1]:80"},
		{"IPv6", "wss://[::1]", "http://[2001:db8::1]:3128", "CONNECT [::1]:443 [::1]:443"},
		{"default port", "ws://reqwstest.test", "http://proxy", "CONNECT reqwstest.test:80 reqwstest.test:80"},
		{"no scheme", "ws://reqwstest.test", "proxy:3128", "CONNECT reqwstest.test:80 reqwstest.test:80"},
		{"credentials", "ws://reqwstest.test", "http://user:p%40ss@proxy:3128", "CONNECT reqwstest.test:80 reqwstest.test:80"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			reqwstest.NoLeaks(t)
			is := is.New(t)
			options := []reqwstest.Option{reqwstest.Script(reqwstest.Accept(), reqwstest.EchoUntilClose())}
			if strings.HasPrefix(tt.url, "wss") {
				options = append(options, reqwstest.TLS())
			}
			srv := reqwstest.NewMemory(t, options...)
			g := &gateway{target: srv}
			if strings.Contains(tt.proxy, "@") {
				g.user = "user:p@ss"
			}
			hosts := lan{"proxy:3128": g.connect, "proxy:80": g.connect, "[2001:db8::1]:3128": g.connect}
			config := srv.TLSConfig()
			config.ServerName = ""
			conn := opens(t, tt.url, ProxyURL(tt.proxy), DialContext(hosts.dial), TLSConfig(config))
			echoes(t, conn)
			is.Equal(g.asked, []string{tt.asked})
			is.NoErr(conn.Close())
		})
	}
}

func TestProxyHeader(t *testing.T) {
	is := is.New(t)
	srv := reqwstest.NewMemory(t, reqwstest.Script(reqwstest.Accept(), reqwstest.EchoUntilClose()))
	g := &gateway{target: srv}
	tr := transportOf(
		ProxyURL("http://user:password@proxy:3128"), DialContext(lan{"proxy:3128": g.connect}.dial),
		ProxyHeader(http.Header{"x-site": {"a", "b"}, "Proxy-Authorization": {"Bearer token"}}),
	)
	req := opening(t.Context(), "ws://reqwstest.test")
	req.Header.Set("User-Agent", "bot/1.0")
	req.Header.Set("Authorization", "secret")
	resp, err := tr.RoundTrip(req)
	is.NoErr(err)
	is.NoErr(resp.Body.Close())
	is.Equal(g.heads, []http.Header{{"X-Site": {"a", "b"}, "Proxy-Authorization": {"Bearer token"}, "User-Agent": {"bot/1.0"}}})
	is.Equal(srv.Requests()[0].Header.Get("Proxy-Authorization"), "")
	is.Equal(srv.Requests()[0].Header.Get("X-Site"), "")
}

// What a proxy sends in one piece with its 200 is the server's.
func TestBytesBehindTheProxysAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		hosts := lan{"proxy:80": answering("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" + switching + "\x81\x02hi")}
		resp, err := handshakeOver(t.Context(), "ws://host", ProxyURL("http://proxy"), DialContext(hosts.dial))
		is.NoErr(err)
		got := make([]byte, 4)
		_, err = io.ReadFull(resp.Body, got)
		is.NoErr(err)
		is.Equal(string(got), "\x81\x02hi")
		is.NoErr(resp.Body.Close())
	})
}

func TestHTTPSProxy(t *testing.T) {
	reqwstest.NoLeaks(t)
	t.Run("in front of ws", func(t *testing.T) {
		is := is.New(t)
		srv := reqwstest.NewMemory(t, reqwstest.TLS(), reqwstest.Script(
			reqwstest.Do(func(c *reqwstest.Conn) error {
				_, err := c.ReadRequest()
				return err
			}),
			wiretest.SendRaw([]byte("HTTP/1.1 200 OK\r\n\r\n")), reqwstest.Accept(), reqwstest.EchoUntilClose()))
		config := srv.TLSConfig()
		config.ServerName = "not.the.proxy"
		config.VerifyConnection = func(tls.ConnectionState) error { return errors.New("a pin of the server's") }
		conn := opens(t, "ws://host", ProxyURL("https://user:password@reqwstest.test:3128"), DialContext(srv.DialContext), TLSConfig(config))
		echoes(t, conn)
		is.NoErr(conn.Close())
		is.Equal(srv.Requests()[0].TLS.ServerName, "reqwstest.test")
		is.Equal(srv.Requests()[0].Header.Get("Proxy-Authorization"), "Basic "+base64.StdEncoding.EncodeToString([]byte("user:password")))
	})
	t.Run("in front of wss", func(t *testing.T) {
		is := is.New(t)
		target := reqwstest.NewMemory(t, reqwstest.TLS(), reqwstest.Script(reqwstest.Accept(), reqwstest.EchoUntilClose()))
		g := &gateway{target: target}
		front := reqwstest.NewMemory(t, reqwstest.TLS(), reqwstest.Script(
			reqwstest.Do(func(c *reqwstest.Conn) error {
				_, err := c.ReadRequest()
				return err
			}),
			wiretest.SendRaw([]byte("HTTP/1.1 200 OK\r\n\r\n")),
			reqwstest.Do(func(c *reqwstest.Conn) error {
				g.join(c, c)
				return nil
			})))
		conn := opens(t, "wss://reqwstest.test", ProxyURL("https://localhost:3128"), DialContext(front.DialContext), TLSConfig(target.TLSConfig()))
		echoes(t, conn)
		is.NoErr(conn.Close())
	})
	t.Run("not trusted", func(t *testing.T) {
		is := is.New(t)
		srv := reqwstest.NewMemory(t, reqwstest.TLS(), reqwstest.Script(wiretest.ExpectTLSError()))
		_, err := handshakeOver(t.Context(), "wss://host/p", ProxyURL("https://user:secret@reqwstest.test"), DialContext(srv.DialContext))
		is.True(strings.HasPrefix(err.Error(), "reqws: proxy: wss://host/p: proxy https://reqwstest.test: TLS: tls: failed to verify certificate"))
		is.True(!strings.Contains(err.Error(), "secret"))
	})
}

func TestSOCKS5(t *testing.T) {
	tests := []struct{ name, url, proxy, user, asked string }{
		{"by name", "ws://reqwstest.test", "socks5://proxy:9050", "", "3 reqwstest.test:80"},
		{"socks5h", "wss://reqwstest.test", "socks5h://proxy:9050", "", "3 reqwstest.test:443"},
		{"IPv4", "ws://192.0.2.1:81", "socks5://proxy:9050", "", "1 192.0.2.1:81"},
		{"IPv6 with a zone", "ws://[fe80::1%25lo]", "socks5://proxy:9050", "", "4 fe80::1:80"},
		{"IPv6", "ws://[2001:db8::2]:81", "socks5://proxy:9050", "", "4 2001:db8::2:81"},
		{"default port", "ws://reqwstest.test", "socks5://proxy", "", "3 reqwstest.test:80"},
		{"credentials", "ws://reqwstest.test", "socks5://user:p%40ss@proxy:9050", "user:p@ss", "3 reqwstest.test:80"},
		{"credentials not asked for", "ws://reqwstest.test", "socks5://user:p%40ss@proxy:9050", "", "3 reqwstest.test:80"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			reqwstest.NoLeaks(t)
			is := is.New(t)
			options := []reqwstest.Option{reqwstest.Script(reqwstest.Accept(), reqwstest.EchoUntilClose())}
			if strings.HasPrefix(tt.url, "wss") {
				options = append(options, reqwstest.TLS())
			}
			srv := reqwstest.NewMemory(t, options...)
			g := &gateway{target: srv, user: tt.user}
			conn := opens(t, tt.url, ProxyURL(tt.proxy), DialContext(lan{"proxy:9050": g.socks, "proxy:1080": g.socks}.dial), TLSConfig(srv.TLSConfig()))
			echoes(t, conn)
			is.Equal(g.asked, []string{tt.asked})
			is.NoErr(conn.Close())
		})
	}
}

func TestProxyFailures(t *testing.T) {
	locked := &gateway{user: "user:password"}
	refusing := &gateway{}
	tests := []struct {
		name  string
		proxy string
		host  func(net.Conn)
		err   string // behind "reqws: proxy: wss://host/p: "
		is    error

		passes bool // it is worth another try
	}{
		{"unreachable", "http://user:secret@nowhere:3128", nil, "proxy http://nowhere:3128: dial tcp: connection refused", syscall.ECONNREFUSED, true},
		{"407", "http://user:secret@proxy:3128", locked.connect, "proxy http://proxy:3128: refused to connect: 407 Proxy Authentication Required", nil, false},
		{"403", "http://user:secret@proxy:3128", answering("HTTP/1.1 403 Forbidden\r\nContent-Length: 21\r\n\r\n<h1>\n\t  Denied </h1>\n"), "proxy http://proxy:3128: refused to connect: 403 Forbidden", nil, false},
		{"502 with a body without end", "http://user:secret@proxy:3128", answering("HTTP/1.1 502 Bad Gateway\r\n\r\n" + strings.Repeat("x", 10_000)), "proxy http://proxy:3128: refused to connect: 502 Bad Gateway", nil, true},
		{"503 with a body that stalls", "http://user:secret@proxy:3128", answering("HTTP/1.1 503 Busy\r\nContent-Length: 100\r\n\r\nnot n\xffow"), "proxy http://proxy:3128: refused to connect: 503 Service Unavailable", nil, true},
		{"504 without a body", "http://user:secret@proxy:3128", answering("HTTP/1.1 504 Gateway Timeout\r\nContent-Length: 0\r\n\r\n"), "proxy http://proxy:3128: refused to connect: 504 Gateway Timeout", nil, true},
		{"a redirect", "http://user:secret@proxy:3128", answering("HTTP/1.1 302 Found\r\nLocation: http://portal/\r\nContent-Length: 0\r\n\r\n"), "proxy http://proxy:3128: refused to connect: 302 Found", nil, false},
		{"a 101", "http://user:secret@proxy:3128", answering(switching), "proxy http://proxy:3128: refused to connect: 101 Switching Protocols", nil, false},
		{"speaks TLS", "http://user:secret@proxy:3128", answering("\x15\x03\x01\x00\x02\x02\x46"), "proxy http://proxy:3128: the peer answered in TLS", nil, false},
		{"a line that is no header", "http://user:secret@proxy:3128", answering("HTTP/1.1 407 No\r\nSet-Cookie session=secret\r\n\r\n"), "proxy http://proxy:3128: the answer has a malformed header line", nil, false},
		{"hangs up in TLS", "https://user:secret@proxy:3128", func(conn net.Conn) { conn.Read(make([]byte, 1)) }, "proxy https://proxy:3128: TLS: the peer hung up during the TLS handshake: EOF", io.EOF, true},
		{"hangs up", "http://user:secret@proxy:3128", hangingUp(""), "proxy http://proxy:3128: the connection was closed before the answer was complete: unexpected EOF", io.ErrUnexpectedEOF, true},
		{"speaks something else", "http://user:secret@proxy:3128", answering("220 mail\r\n"), `proxy http://proxy:3128: the answer is not HTTP/1.1`, nil, false},
		{"without TLS", "https://user:secret@proxy:3128", func(conn net.Conn) {
			conn.Read(make([]byte, 1))
			io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\n\r\n")
		}, "proxy https://proxy:3128: TLS: the peer speaks HTTP without TLS", nil, false},
		{"SOCKS5 with a wrong password", "socks5://user:secret@proxy:3128", locked.socks, "proxy socks5://proxy:3128: username/password authentication failed", nil, false},
		{"SOCKS5 without a password", "socks5h://proxy:3128", locked.socks, "proxy socks5h://proxy:3128: no acceptable authentication methods", nil, false},
		{"SOCKS5 refuses", "socks5://proxy:3128", refusing.socks, "proxy socks5://proxy:3128: unknown error connection refused", nil, false},
		{"SOCKS5 hangs up", "socks5://proxy:3128", func(conn net.Conn) { conn.Read(make([]byte, 8)) }, "proxy socks5://proxy:3128: the connection was closed before the answer was complete: unexpected EOF", io.ErrUnexpectedEOF, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				is := is.New(t)
				start := time.Now()
				_, err := handshakeOver(t.Context(), "wss://host/p?token=secret", ProxyURL(tt.proxy), DialContext(lan{"proxy:3128": tt.host}.dial))
				is.True(err != nil)
				is.True(strings.HasPrefix(err.Error(), "reqws: proxy: wss://host/p: "+tt.err))
				is.True(!strings.Contains(err.Error(), "secret"))
				is.Equal(errors.As(err, new(*refused)), strings.Contains(tt.err, "refused to connect: "))
				is.Equal(failure.IsTransient(err), tt.passes)
				is.True(tt.is == nil || errors.Is(err, tt.is))
				is.True(time.Since(start) <= time.Second) // nobody waits for a body
			})
		})
	}
}

func TestChoosingTheProxy(t *testing.T) {
	target := func(t *testing.T) (*reqwstest.Server, *gateway) {
		srv := reqwstest.NewMemory(t, reqwstest.Script(reqwstest.Accept(), reqwstest.EchoUntilClose()))
		return srv, &gateway{target: srv}
	}
	t.Run("function", func(t *testing.T) {
		is := is.New(t)
		_, g := target(t)
		var seen []string
		choose := func(req *http.Request) (*url.URL, error) {
			seen = append(seen, req.URL.String())
			return url.Parse("http://proxy")
		}
		echoes(t, opens(t, "ws://host/p", Proxy(choose), DialContext(lan{"proxy:80": g.connect}.dial)))
		is.Equal(seen, []string{"http://host/p"})
	})
	t.Run("none", func(t *testing.T) {
		t.Setenv("HTTP_PROXY", "http://env")
		srv, _ := target(t)
		echoes(t, opens(t, "ws://host/p", Proxy(nil), DialContext(srv.DialContext)))
	})
	t.Run("error", func(t *testing.T) {
		is := is.New(t)
		mine := errors.New("mine")
		choose := func(*http.Request) (*url.URL, error) {
			return nil, &url.Error{Op: "parse", URL: "http://user:secret@proxy", Err: mine}
		}
		_, err := handshakeOver(t.Context(), "ws://host/p", Proxy(choose))
		is.Equal(err.Error(), "reqws: proxy: ws://host/p: choosing it: mine")
		is.True(errors.Is(err, mine))
	})
	for _, bad := range []string{"ftp://user:secret@proxy", "http://user:secret@:80", "socks5://:secret@proxy", "//user:secret@proxy", "http://user:secret@proxy:99999"} {
		t.Run(bad, func(t *testing.T) {
			is := is.New(t)
			choose := func(*http.Request) (*url.URL, error) { return url.Parse(bad) }
			_, err := handshakeOver(t.Context(), "ws://host/p", Proxy(choose), DialContext(lan{}.dial))
			is.True(strings.HasPrefix(err.Error(), "reqws: proxy: ws://host/p: "))
			is.True(!strings.Contains(err.Error(), "secret"))
		})
	}

	env := []struct {
		name  string
		vars  map[string]string
		url   string
		proxy string // dialled, if not the server itself
	}{
		{"HTTP_PROXY", map[string]string{"HTTP_PROXY": "http://proxy:1"}, "ws://host", "proxy:1"},
		{"lower case", map[string]string{"http_proxy": "http://proxy:1"}, "ws://host", "proxy:1"},
		{"HTTPS_PROXY is for wss", map[string]string{"HTTPS_PROXY": "http://proxy:1"}, "ws://host", "host:80"},
		{"HTTPS_PROXY", map[string]string{"HTTPS_PROXY": "http://proxy:1"}, "wss://host", "proxy:1"},
		{"no scheme", map[string]string{"HTTP_PROXY": "proxy:1"}, "ws://host", "proxy:1"},
		{"socks5", map[string]string{"HTTP_PROXY": "socks5://proxy:1"}, "ws://host", "proxy:1"},
		{"NO_PROXY", map[string]string{"HTTP_PROXY": "http://proxy:1", "NO_PROXY": "host"}, "ws://host", "host:80"},
		{"NO_PROXY, subdomain", map[string]string{"HTTP_PROXY": "http://proxy:1", "NO_PROXY": "example.com"}, "ws://a.example.com", "a.example.com:80"},
		{"NO_PROXY, another port", map[string]string{"HTTP_PROXY": "http://proxy:1", "NO_PROXY": "host:81"}, "ws://host", "proxy:1"},
		{"NO_PROXY, network", map[string]string{"HTTP_PROXY": "http://proxy:1", "NO_PROXY": "192.0.2.0/24"}, "ws://192.0.2.7", "192.0.2.7:80"},
		{"NO_PROXY, all", map[string]string{"HTTP_PROXY": "http://proxy:1", "NO_PROXY": "*"}, "ws://host", "host:80"},
		{"NO_PROXY, a dot at the end", map[string]string{"HTTP_PROXY": "http://proxy:1", "NO_PROXY": "other, example.com."}, "ws://a.example.com", "a.example.com:80"},
		{"NO_PROXY, a dot at the end and a port", map[string]string{"HTTP_PROXY": "http://proxy:1", "NO_PROXY": "host.:80"}, "ws://host", "host:80"},
		{"NO_PROXY, a dot at the end of the host", map[string]string{"HTTP_PROXY": "http://proxy:1", "no_proxy": "host"}, "ws://host.", "host.:80"},
		{"NO_PROXY, dots at both ends", map[string]string{"HTTP_PROXY": "http://proxy:1", "NO_PROXY": "host."}, "ws://host.:80", "host.:80"},
		{"NO_PROXY, not IDNA", map[string]string{"HTTP_PROXY": "http://proxy:1", "NO_PROXY": "bücher.example."}, "ws://xn--bcher-kva.example", "xn--bcher-kva.example:80"},
		{"localhost with a dot", map[string]string{"HTTP_PROXY": "http://proxy:1"}, "ws://localhost.", "localhost.:80"},
		{"a broken variable that does not matter", map[string]string{"HTTP_PROXY": "http://proxy:1", "HTTPS_PROXY": "http://a b"}, "ws://host", "proxy:1"},
		{"a broken variable that is not asked", map[string]string{"HTTP_PROXY": "http://a b", "NO_PROXY": "host"}, "ws://host", "host:80"},
		{"a slash at the end", map[string]string{"HTTP_PROXY": "http://proxy:1/"}, "ws://host", "proxy:1"},
		{"loopback", map[string]string{"HTTP_PROXY": "http://proxy:1"}, "ws://127.0.0.1", "127.0.0.1:80"},
		{"localhost", map[string]string{"HTTP_PROXY": "http://proxy:1"}, "ws://localhost", "localhost:80"},
	}
	for _, tt := range env {
		t.Run(tt.name, func(t *testing.T) {
			is := is.New(t)
			for _, name := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "REQUEST_METHOD"} {
				t.Setenv(name, tt.vars[name])
			}
			var dialled []string
			stop := errors.New("far enough")
			_, err := handshakeOver(t.Context(), tt.url, DialContext(func(_ context.Context, _, addr string) (net.Conn, error) {
				dialled = append(dialled, addr)
				return nil, stop
			}))
			is.True(errors.Is(err, stop))
			is.Equal(dialled, []string{tt.proxy})
		})
	}
	for _, bad := range []string{"http://user:100%@canary:3128", "http://user:can#ary@canary:3128", "http://user:12#canary@p:3128", "http://user:12?canary@p", "http://user:12/canary@p",
		"http://canary:3128 ", " http://canary:3128", "http://canary:99999", "canary://p", "http://", "socks4://canary:1", "http://user:canary123@:80"} {
		for _, name := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"} {
			t.Run(name+" "+bad, func(t *testing.T) {
				is := is.New(t)
				for _, other := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "REQUEST_METHOD"} {
					t.Setenv(other, "")
				}
				t.Setenv(name, bad)
				u := map[bool]string{true: "wss://host/p", false: "ws://host/p"}[strings.EqualFold(name, "HTTPS_PROXY")]
				_, err := handshakeOver(t.Context(), u, DialContext(func(context.Context, string, string) (net.Conn, error) {
					t.Error("something was dialled")
					return nil, errors.New("no")
				}))
				is.True(strings.HasPrefix(err.Error(), "reqws: proxy: "+u+": choosing it: the variable "+name+": "))
				is.True(!strings.Contains(err.Error(), "can"))
			})
		}
	}
	t.Run("CGI", func(t *testing.T) {
		is := is.New(t)
		t.Setenv("HTTP_PROXY", "http://proxy:1")
		t.Setenv("REQUEST_METHOD", "GET")
		_, err := handshakeOver(t.Context(), "ws://host", DialContext(lan{}.dial))
		is.True(strings.HasPrefix(err.Error(), "reqws: proxy: ws://host: choosing it: "))
	})
}

func TestPlainThroughProxies(t *testing.T) {
	reqwstest.NoLeaks(t, "net/http")
	get := func(t *testing.T, u string, opts ...Option) (*http.Response, error) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, u, nil)
		is.New(t).NoErr(err)
		return transportOf(opts...).RoundTrip(req)
	}
	t.Run("http asks the proxy itself", func(t *testing.T) {
		is := is.New(t)
		srv := reqwstest.NewMemory(t, reqwstest.Script(reqwstest.Respond(200, nil, "from the proxy")))
		resp, err := get(t, "http://host/p?q=1", ProxyURL("http://user:password@proxy"), DialContext(srv.DialContext))
		is.NoErr(err)
		body, err := io.ReadAll(resp.Body)
		is.NoErr(err)
		is.Equal(string(body), "from the proxy")
		is.NoErr(resp.Body.Close())
		is.Equal(srv.Requests()[0].RequestURI, "http://host/p?q=1")
		is.Equal(srv.Requests()[0].Header.Get("Proxy-Authorization"), "Basic "+base64.StdEncoding.EncodeToString([]byte("user:password")))
	})
	t.Run("http over https", func(t *testing.T) {
		is := is.New(t)
		srv := reqwstest.NewMemory(t, reqwstest.TLS(), reqwstest.Script(reqwstest.Respond(200, nil, "")))
		resp, err := get(t, "http://host/p", ProxyURL("https://localhost"), DialContext(srv.DialContext), TLSConfig(srv.TLSConfig()))
		is.NoErr(err)
		is.NoErr(resp.Body.Close())
		is.Equal(srv.Requests()[0].RequestURI, "http://host/p")
		is.Equal(srv.Requests()[0].TLS.ServerName, "localhost")
	})
	for _, proxy := range []string{"http://proxy", "socks5://proxy"} {
		t.Run("https through "+proxy, func(t *testing.T) {
			is := is.New(t)
			srv := reqwstest.NewMemory(t, reqwstest.TLS(), reqwstest.Script(reqwstest.Respond(200, nil, "hello")))
			g := &gateway{target: srv}
			resp, err := get(t, "https://reqwstest.test/p", ProxyURL(proxy), TLSConfig(srv.TLSConfig()),
				DialContext(lan{"proxy:80": g.connect, "proxy:1080": g.socks}.dial))
			is.NoErr(err)
			body, err := io.ReadAll(resp.Body)
			is.NoErr(err)
			is.Equal(string(body), "hello")
			is.NoErr(resp.Body.Close())
			is.Equal(len(g.asked), 1)
		})
	}
	t.Run("refused", func(t *testing.T) {
		is := is.New(t)
		_, err := get(t, "https://host/p?token=secret", ProxyURL("http://u:secret@proxy"), DialContext(lan{"proxy:80": answering("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")}.dial))
		is.Equal(err.Error(), "reqws: proxy: https://host/p: proxy http://proxy: refused to connect: 403 Forbidden")
	})
	t.Run("the proxy's word is not the server's", func(t *testing.T) {
		is := is.New(t)
		_, err := get(t, "https://host/p", ProxyURL("http://proxy"), DialContext(lan{"proxy:80": answering("HTTP/1.1 403 Forbidden\r\nX-By: me\r\nContent-Length: 2\r\n\r\nno")}.dial))
		var refusal *refused
		is.True(errors.As(err, &refusal))
		is.Equal(refusal.status, 403)
		is.Equal(refusal.header.Get("X-By"), "me")
		is.Equal(string(refusal.body), "no")
	})
	t.Run("unreachable", func(t *testing.T) {
		is := is.New(t)
		_, err := get(t, "http://host/p?token=secret", ProxyURL("http://u:secret@proxy"), DialContext(lan{}.dial))
		is.Equal(err.Error(), "reqws: proxy: http://host/p: proxy http://proxy: dial tcp: connection refused")
	})
}
