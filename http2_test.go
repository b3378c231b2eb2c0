package reqws

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matryer/is"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/reqws/reqws/internal/dial"
	"github.com/reqws/reqws/internal/h2"
	"github.com/reqws/reqws/internal/netconn"
	"github.com/reqws/reqws/reqwstest"
)

// host2 is a server that speaks HTTP/1.1 or HTTP/2, as the client begins.
type host2 struct {
	resets   bool           // each stream is refused
	http1    func(net.Conn) // nil: hangs up
	http2    bool           // otherwise the preface is a bad request
	conn     net.Conn       // the last one in HTTP/2
	extended bool           // extended CONNECT is allowed (RFC 8441, section 3)
	status   string         // of the answer to it, 200 if empty
	requires string         // that HTTP/1.1 is required: how it says so
	extra    [2]string      // one more field of the answer

	mu      sync.Mutex
	conns   int
	refused int                 // by TLS
	streams []map[string]string // the headers of each
}

func (h *host2) counts() (conns, streams int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.conns, len(h.streams)
}

// peeked is a connection some of which has been read into a buffer.
type peeked struct {
	net.Conn
	br *bufio.Reader
}

func (p peeked) Read(b []byte) (int, error) { return p.br.Read(b) }

func (h *host2) serve(conn net.Conn) {
	h.mu.Lock()
	h.conns++
	h.mu.Unlock()
	conn = peeked{conn, bufio.NewReader(conn)}
	start, _ := conn.(peeked).br.Peek(4)
	switch {
	case string(start) != "PRI " && h.http1 != nil:
		h.http1(conn)
	case string(start) == "PRI " && h.http2:
		h.serve2(conn)
	case string(start) == "PRI " && h.http1 != nil:
		hangingUp("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")(conn)
	}
}

// certificate is one for example.com, and those who trust it.
var certificate = sync.OnceValues(func() (tls.Certificate, *x509.CertPool) {
	srv := httptest.NewTLSServer(nil)
	defer srv.Close()
	return srv.TLS.Certificates[0], srv.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
})

// overTLS is serve behind TLS that knows the protocols alpn, or no ALPN if there
// are none. Go's servers of h2 let clients of http/1.1 pass; this one does not.
func (h *host2) overTLS(alpn []string) func(net.Conn) {
	cert, _ := certificate()
	config := &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		config := &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: alpn}
		known := func(offered string) bool { return slices.Contains(alpn, offered) }
		if len(alpn) > 0 && !slices.ContainsFunc(hello.SupportedProtos, known) {
			config.NextProtos = []string{"none"}
		}
		return config, nil
	}}
	return func(conn net.Conn) {
		secured := tls.Server(conn, config)
		if secured.Handshake() == nil {
			h.serve(secured)
			return
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.refused++
	}
}

// serve2 is an HTTP/2 server that echoes each stream.
func (h *host2) serve2(conn net.Conn) {
	io.ReadFull(conn, make([]byte, len(http2.ClientPreface)))
	h.conn = conn
	fr := http2.NewFramer(conn, conn)
	fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if h.requires == "GOAWAY at once" {
		fr.WriteSettings()
		fr.WriteGoAway(0, http2.ErrCodeHTTP11Required, nil)
	} else if h.extended {
		fr.WriteSettings(http2.Setting{ID: http2.SettingEnableConnectProtocol, Val: 1})
	} else {
		fr.WriteSettings()
	}
	for {
		f, err := fr.ReadFrame()
		if err != nil {
			return
		}
		switch f := f.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				fr.WriteSettingsAck()
			}
		case *http2.MetaHeadersFrame:
			h.answer(fr, f)
		case *http2.DataFrame:
			fr.WriteData(f.StreamID, false, f.Data())
		}
	}
}

func (h *host2) answer(fr *http2.Framer, f *http2.MetaHeadersFrame) {
	head := make(map[string]string)
	for _, field := range f.Fields {
		head[field.Name] = field.Value
	}
	h.mu.Lock()
	h.streams = append(h.streams, head)
	h.mu.Unlock()
	switch h.requires {
	case "RST_STREAM":
		fr.WriteRSTStream(f.StreamID, http2.ErrCodeHTTP11Required)
		return
	case "GOAWAY":
		fr.WriteGoAway(0, http2.ErrCodeHTTP11Required, []byte("h1 please"))
		return
	case "GOAWAY, and hangs up":
		fr.WriteGoAway(f.StreamID, http2.ErrCodeHTTP11Required, nil)
		h.conn.Close()
		return
	}
	if h.resets {
		fr.WriteRSTStream(f.StreamID, http2.ErrCodeRefusedStream)
		return
	}
	status := h.status
	if status == "" {
		status = "200"
	}
	var block strings.Builder
	enc := hpack.NewEncoder(&block)
	enc.WriteField(hpack.HeaderField{Name: ":status", Value: status})
	if h.extra[0] != "" {
		enc.WriteField(hpack.HeaderField{Name: h.extra[0], Value: h.extra[1]})
	}
	fr.WriteHeaders(http2.HeadersFrameParam{StreamID: f.StreamID, BlockFragment: []byte(block.String()), EndHeaders: true})
	if status != "200" {
		fr.WriteData(f.StreamID, true, []byte("no!"))
	}
}

// upgrading switches protocols and echoes bytes.
func upgrading(conn net.Conn) {
	readHead(conn)
	io.WriteString(conn, switching)
	io.Copy(conn, conn)
}

const (
	upgradeRequired = "HTTP/1.1 426 Upgrade Required\r\nUpgrade: h2c\r\nContent-Length: 5\r\n\r\nHTTP2"
	notSupported    = "HTTP/1.1 505 HTTP Version Not Supported\r\nContent-Length: 5\r\n\r\nHTTP2"
	unauthorized    = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 5\r\n\r\nHTTP1"
)

func TestProtocolsInTheClear(t *testing.T) {
	both, reverse := []Protocol{HTTP1, HTTP2}, []Protocol{HTTP2, HTTP1}
	tests := []struct {
		name      string
		protocols []Protocol
		host      *host2
		status    int    // 0: an error
		proto     string // of the answer
		body      string // of a refusal
		err       error
		conns     [2]int // in all, after one handshake and after another one
	}{
		{name: "HTTP/1.1", protocols: both, host: &host2{http1: upgrading, http2: true, extended: true}, status: 101, proto: "HTTP/1.1", conns: [2]int{1, 2}},
		{name: "HTTP/1.1 refused", protocols: both, host: &host2{http1: answering(unauthorized), http2: true, extended: true}, status: 401, proto: "HTTP/1.1", body: "HTTP1", conns: [2]int{1, 2}},
		{name: "426", protocols: both, host: &host2{http1: answering(upgradeRequired), http2: true, extended: true}, status: 200, proto: "HTTP/2.0", conns: [2]int{2, 2}},
		{name: "505", protocols: both, host: &host2{http1: answering(notSupported), http2: true, extended: true}, status: 200, proto: "HTTP/2.0", conns: [2]int{2, 2}},
		{name: "426, then 403", protocols: both, host: &host2{http1: answering(upgradeRequired), http2: true, extended: true, status: "403"}, status: 403, proto: "HTTP/2.0", body: "no!", conns: [2]int{2, 3}},
		{name: "426 without HTTP/2", protocols: both, host: &host2{http1: answering(upgradeRequired)}, status: 426, proto: "HTTP/1.1", body: "HTTP2", conns: [2]int{2, 4}},
		{name: "426 without extended CONNECT", protocols: both, host: &host2{http1: answering(upgradeRequired), http2: true}, status: 426, proto: "HTTP/1.1", body: "HTTP2", conns: [2]int{2, 4}},
		{name: "HTTP/1.1 alone", protocols: []Protocol{HTTP1}, host: &host2{http1: answering(upgradeRequired), http2: true, extended: true}, status: 426, proto: "HTTP/1.1", body: "HTTP2", conns: [2]int{1, 2}},
		{name: "HTTP/2", protocols: reverse, host: &host2{http1: upgrading, http2: true, extended: true}, status: 200, proto: "HTTP/2.0", conns: [2]int{1, 1}},
		{name: "HTTP/2 refused", protocols: reverse, host: &host2{http1: upgrading, http2: true, extended: true, status: "404"}, status: 404, proto: "HTTP/2.0", body: "no!", conns: [2]int{1, 2}},
		{name: "HTTP/2 without extended CONNECT", protocols: reverse, host: &host2{http1: upgrading, http2: true}, status: 101, proto: "HTTP/1.1", conns: [2]int{2, 3}},
		{name: "no HTTP/2", protocols: reverse, host: &host2{http1: upgrading}, status: 101, proto: "HTTP/1.1", conns: [2]int{2, 3}},
		{name: "no HTTP/2, and hangs up", protocols: reverse, host: &host2{http1: upgrading}, status: 101, proto: "HTTP/1.1", conns: [2]int{2, 4}},
		{name: "HTTP/2 alone, and hangs up on HTTP/1.1", protocols: both, host: &host2{http2: true, extended: true}, status: 200, proto: "HTTP/2.0", conns: [2]int{2, 2}},
		{name: "HTTP/2 alone, and hangs up, by default", host: &host2{http2: true, extended: true}, err: io.ErrUnexpectedEOF, conns: [2]int{1, 2}},
		{name: "HTTP/2 alone, and says so", protocols: both, host: &host2{http1: answering("\x00\x00\x00\x04\x00\x00\x00\x00\x00"), http2: true, extended: true}, status: 200, proto: "HTTP/2.0", conns: [2]int{2, 2}},
		{name: "HTTP/2 alone, and says so, by default", host: &host2{http1: answering("\x00\x00\x00\x04\x00\x00\x00\x00\x00"), http2: true, extended: true}, status: 200, proto: "HTTP/2.0", conns: [2]int{2, 2}},
		{name: "neither", protocols: both, host: &host2{}, err: io.ErrUnexpectedEOF, conns: [2]int{2, 3}},
		{name: "half an answer", protocols: both, host: &host2{http1: hangingUp("HTTP/1.1 1"), http2: true, extended: true}, err: io.ErrUnexpectedEOF, conns: [2]int{1, 2}},
		{name: "505 over HTTP/2", protocols: reverse, host: &host2{http1: upgrading, http2: true, extended: true, status: "505"}, status: 101, proto: "HTTP/1.1", conns: [2]int{2, 3}},
		{name: "426 over HTTP/2", protocols: reverse, host: &host2{http1: upgrading, http2: true, extended: true, status: "426"}, status: 101, proto: "HTTP/1.1", conns: [2]int{2, 3}},
		{name: "505 over both", protocols: reverse, host: &host2{http1: answering(notSupported), http2: true, extended: true, status: "505"}, status: 505, proto: "HTTP/1.1", body: "HTTP2", conns: [2]int{2, 4}},
		{name: "RST_STREAM with HTTP_1_1_REQUIRED", protocols: reverse, host: &host2{http1: upgrading, http2: true, extended: true, requires: "RST_STREAM"}, status: 101, proto: "HTTP/1.1", conns: [2]int{2, 3}},
		{name: "GOAWAY with HTTP_1_1_REQUIRED", protocols: reverse, host: &host2{http1: upgrading, http2: true, extended: true, requires: "GOAWAY"}, status: 101, proto: "HTTP/1.1", conns: [2]int{2, 3}},
		{name: "GOAWAY with HTTP_1_1_REQUIRED at once", protocols: reverse, host: &host2{http1: upgrading, http2: true, extended: true, requires: "GOAWAY at once"}, status: 101, proto: "HTTP/1.1", conns: [2]int{2, 3}},
		{name: "GOAWAY with HTTP_1_1_REQUIRED that does not name the stream", protocols: reverse, host: &host2{http1: upgrading, http2: true, extended: true, requires: "GOAWAY, and hangs up"}, status: 101, proto: "HTTP/1.1", conns: [2]int{2, 3}},
		{name: "HTTP_1_1_REQUIRED and HTTP/2 alone", protocols: []Protocol{HTTP2}, host: &host2{http2: true, extended: true, requires: "GOAWAY"}, err: h2.ErrHTTP11Required, conns: [2]int{1, 2}},
		{name: "HTTP/2 alone, without extended CONNECT", protocols: []Protocol{HTTP2}, host: &host2{http1: upgrading, http2: true}, err: h2.ErrNoExtendedConnect, conns: [2]int{1, 2}},
		{name: "HTTP/2 alone, but there is none", protocols: []Protocol{HTTP2}, host: &host2{http1: upgrading}, err: h2.ErrNotHTTP2, conns: [2]int{1, 2}},
		{name: "HTTP/2 alone", protocols: []Protocol{HTTP2}, host: &host2{http2: true, extended: true}, status: 200, proto: "HTTP/2.0", conns: [2]int{1, 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				is := is.New(t)
				host := tt.host.serve
				if strings.HasSuffix(tt.name, "hangs up") {
					host = func(conn net.Conn) {
						b := make([]byte, 1)
						if conn.Read(b); b[0] == 'P' {
							tt.host.conns++
							return
						}
						tt.host.serve(peeked{conn, bufio.NewReader(io.MultiReader(strings.NewReader(string(b)), conn))})
					}
				}
				opts := []Option{DialContext(lan{"host:80": host}.dial)}
				if tt.protocols != nil {
					opts = append(opts, Protocols(tt.protocols...))
				}
				tr := transportOf(opts...)
				for _, conns := range tt.conns {
					resp, err := tr.RoundTrip(opening(t.Context(), "ws://host/p?q=1"))
					synctest.Wait()
					got, _ := tt.host.counts()
					is.Equal(got, conns)
					if tt.err != nil {
						is.True(errors.Is(err, tt.err))
						is.True(strings.HasPrefix(err.Error(), "reqws: handshake: ws://host/p: "))
						is.True(!strings.HasSuffix(tt.name, "HTTP/2 alone") || !isTransient(err))
						continue
					}
					is.NoErr(err)
					is.Equal(resp.StatusCode, tt.status)
					is.Equal(resp.Proto, tt.proto)
					if conn, ok := resp.Body.(*netconn.Conn); ok {
						is.Equal(tt.body, "")
						_, err := conn.Write([]byte("echo"))
						is.NoErr(err)
						b := make([]byte, 4)
						_, err = io.ReadFull(conn, b)
						is.NoErr(err)
						is.Equal(string(b), "echo")
						defer conn.Close()
						continue
					}
					body, err := io.ReadAll(resp.Body)
					is.NoErr(err)
					is.Equal(string(body), tt.body)
					is.NoErr(resp.Body.Close())
				}
			})
		})
	}
}

func TestProtocolsOverTLS(t *testing.T) {
	both, reverse := []Protocol{HTTP1, HTTP2}, []Protocol{HTTP2, HTTP1}
	tests := []struct {
		name      string
		protocols []Protocol
		alpn      []string
		host      *host2
		refused   int // connections that TLS refuses, in both handshakes
		status    int
		proto     string
		err       string
		is        error
		conns     [2]int // that TLS did not refuse
	}{
		{name: "HTTP/1.1", protocols: both, alpn: []string{"h2", "http/1.1"}, host: &host2{http1: upgrading, http2: true, extended: true}, status: 101, proto: "HTTP/1.1", conns: [2]int{1, 2}},
		{name: "ALPN refuses HTTP/1.1", protocols: both, alpn: []string{"h2"}, host: &host2{http2: true, extended: true}, refused: 1, status: 200, proto: "HTTP/2.0", conns: [2]int{1, 1}},
		{name: "ALPN refuses both", protocols: both, alpn: []string{"h3"}, host: &host2{}, refused: 4, err: "reqws: TLS: wss://example.com/p: the peer has none of the protocols offered (h2): remote error: tls: no application protocol"},
		{name: "ALPN refuses HTTP/1.1 and there is no extended CONNECT", protocols: both, alpn: []string{"h2"}, host: &host2{http2: true}, refused: 2, err: "reqws: handshake: wss://example.com/p: ", is: h2.ErrNoExtendedConnect, conns: [2]int{1, 2}},
		{name: "426", protocols: both, alpn: []string{"h2", "http/1.1"}, host: &host2{http1: answering(upgradeRequired), http2: true, extended: true}, status: 200, proto: "HTTP/2.0", conns: [2]int{2, 2}},
		{name: "HTTP/1.1 alone", protocols: []Protocol{HTTP1}, alpn: []string{"h2"}, host: &host2{}, refused: 2, err: "reqws: TLS: wss://example.com/p: the peer has none of the protocols offered (http/1.1)"},
		{name: "HTTP/2", protocols: reverse, alpn: []string{"http/1.1", "h2"}, host: &host2{http1: upgrading}, status: 101, proto: "HTTP/1.1", conns: [2]int{1, 2}},
		{name: "HTTP/2 chosen", protocols: reverse, alpn: []string{"h2", "http/1.1"}, host: &host2{http1: upgrading, http2: true, extended: true}, status: 200, proto: "HTTP/2.0", conns: [2]int{1, 1}},
		{name: "HTTP/1.1 chosen", protocols: reverse, alpn: []string{"http/1.1"}, host: &host2{http1: upgrading}, status: 101, proto: "HTTP/1.1", conns: [2]int{1, 2}},
		{name: "no extended CONNECT", protocols: reverse, alpn: []string{"h2", "http/1.1"}, host: &host2{http1: upgrading, http2: true}, status: 101, proto: "HTTP/1.1", conns: [2]int{2, 3}},
		{name: "no ALPN", protocols: reverse, alpn: []string{}, host: &host2{http1: upgrading}, status: 101, proto: "HTTP/1.1", conns: [2]int{1, 2}},
		{name: "HTTP/2 alone, without ALPN", protocols: []Protocol{HTTP2}, alpn: []string{}, host: &host2{http1: upgrading}, err: "reqws: handshake: wss://example.com/p: ", is: dial.ErrNoHTTP2, conns: [2]int{1, 2}},
		{name: "HTTP/2 alone, refused by ALPN", protocols: []Protocol{HTTP2}, alpn: []string{"http/1.1"}, host: &host2{}, refused: 2, err: "reqws: TLS: wss://example.com/p: the peer has none of the protocols offered (h2)"},
	}
	_, roots := certificate()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				is := is.New(t)
				tr := transportOf(
					DialContext(lan{"example.com:443": tt.host.overTLS(tt.alpn)}.dial),
					Protocols(tt.protocols...), TLSConfig(&tls.Config{RootCAs: roots}),
				)
				for _, conns := range tt.conns {
					resp, err := tr.RoundTrip(opening(t.Context(), "wss://example.com/p?q=1"))
					synctest.Wait()
					got, _ := tt.host.counts()
					is.Equal(got, conns)
					if tt.err != "" {
						is.True(err != nil)
						is.True(strings.HasPrefix(err.Error(), tt.err))
						is.True(tt.is == nil || errors.Is(err, tt.is))
						continue
					}
					is.NoErr(err)
					is.Equal(resp.StatusCode, tt.status)
					is.Equal(resp.Proto, tt.proto)
					defer resp.Body.Close()
					conn := resp.Body.(*netconn.Conn)
					_, err = conn.Write([]byte("echo"))
					is.NoErr(err)
					b := make([]byte, 4)
					_, err = io.ReadFull(conn, b)
					is.NoErr(err)
					is.Equal(string(b), "echo")
				}
				is.Equal(tt.host.refused, tt.refused)
			})
		})
	}
}

func TestExtendedConnectRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		host := &host2{http2: true, extended: true}
		tr := transportOf(DialContext(lan{"host:80": host.serve}.dial), Protocols(HTTP2))
		req := opening(t.Context(), "ws://host/p?q=1")
		req.Header.Set("Sec-WebSocket-Protocol", "chat")
		req.Header.Set("Authorization", "Bearer x")
		resp, err := tr.RoundTrip(req)
		is.NoErr(err)
		is.Equal(resp.Request, req)
		is.True(req.Header.Get("Sec-WebSocket-Key") != "") // not changed
		_, ok := resp.Body.(*netconn.Conn).Conn.(*h2.Stream)
		is.True(ok)
		is.Equal(host.streams, []map[string]string{{
			":method": "CONNECT", ":protocol": "websocket", ":scheme": "http", ":authority": "host", ":path": "/p?q=1",
			"sec-websocket-version": "13", "sec-websocket-protocol": "chat", "authorization": "Bearer x",
		}})
		is.NoErr(resp.Body.Close())
	})
}

// A server that has spoken HTTP/1.1 is not asked in HTTP/2 when it hangs up.
func TestAHangUpIsNoWishForAnotherProtocol(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		host := &host2{http1: upgrading}
		tr := transportOf(DialContext(lan{"host:80": func(c net.Conn) { host.serve(c) }}.dial), Protocols(HTTP1, HTTP2))
		resp, err := tr.RoundTrip(opening(t.Context(), "ws://host"))
		is.NoErr(err)
		is.NoErr(resp.Body.Close())
		host = &host2{http2: true, extended: true}
		_, err = tr.RoundTrip(opening(t.Context(), "ws://host"))
		is.True(errors.Is(err, io.ErrUnexpectedEOF))
		is.True(isTransient(err))
		conns, _ := host.counts()
		is.Equal(conns, 1)
	})
}

// The zone of an IPv6 address says something to this machine alone.
func TestNoZoneLeavesThisMachine(t *testing.T) {
	for _, tt := range []struct{ host, set, want string }{
		{"[fe80::1%25lo]", "", "[fe80::1]"},
		{"[fe80::1%25lo]:8080", "", "[fe80::1]:8080"},
		{"[fe80::1]:8080", "", "[fe80::1]:8080"},
		{"host", "[fe80::1%lo]:1", "[fe80::1]:1"},
		{"host", "", "host"},
	} {
		for _, p := range []Protocol{HTTP1, HTTP2} {
			synctest.Test(t, func(t *testing.T) {
				is := is.New(t)
				host := &host2{http2: true, extended: true}
				heads := make(chan string, 1)
				dial := DialContext(func(context.Context, string, string) (net.Conn, error) {
					client, server := reqwstest.Pipe()
					go func() {
						defer server.Close()
						if p == HTTP2 {
							host.serve(server)
							return
						}
						heads <- readHead(server)
						io.WriteString(server, switching)
					}()
					return client, nil
				})
				req := opening(t.Context(), "ws://"+tt.host)
				req.Host = tt.set
				resp, err := transportOf(dial, Protocols(p)).RoundTrip(req)
				is.NoErr(err)
				is.NoErr(resp.Body.Close())
				if p == HTTP2 {
					is.Equal(host.streams[0][":authority"], tt.want)
				} else {
					is.True(strings.Contains(<-heads, "\r\nHost: "+tt.want+"\r\n"))
				}
			})
		}
	}
}

// What is wrong with the fields of an answer in HTTP/2 is told without them.
func TestBadFieldsAreNotQuoted(t *testing.T) {
	for _, extra := range [][2]string{{"Upper canary", "x"}, {"x-canary\x00", "x"}, {"x", "canary\n"}, {":canary", "x"}, {":status", "canary"}} {
		for _, u := range []string{"ws://example.com/", "http://example.com/"} {
			synctest.Test(t, func(t *testing.T) {
				is := is.New(t)
				host := &host2{http2: true, extended: true, extra: extra}
				_, err := New(URL(u), Protocols(HTTP2), Retry(Never), DialContext(func(context.Context, string, string) (net.Conn, error) {
					client, server := reqwstest.Pipe()
					go func() {
						defer server.Close()
						host.serve(server)
					}()
					return client, nil
				})).Do(t.Context())
				is.True(err != nil)
				is.True(strings.Contains(err.Error(), "PROTOCOL_ERROR"))
				hides(t, shown(err))
			})
		}
	}
}

func TestStreamsShareAConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		host := &host2{http2: true, extended: true}
		g := func(conn net.Conn) {
			readHead(conn)
			io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
			host.serve(conn)
		}
		viaProxy := false
		tr := transportOf(
			DialContext(lan{"host:80": host.serve, "host:81": host.serve, "proxy:80": g}.dial), Protocols(HTTP2),
			Proxy(func(*http.Request) (*url.URL, error) {
				if viaProxy {
					return dial.ParseProxy("proxy")
				}
				return nil, nil
			}),
		)
		var wg sync.WaitGroup
		var mu sync.Mutex
		var all []*http.Response
		open := func(u string) {
			wg.Go(func() {
				resp, err := tr.RoundTrip(opening(t.Context(), u))
				is.NoErr(err)
				mu.Lock()
				defer mu.Unlock()
				all = append(all, resp)
			})
		}
		for range 10 {
			open("ws://host/a")
		}
		wg.Wait()
		conns, streams := host.counts()
		is.Equal(conns, 1)
		is.Equal(streams, 10)

		open("ws://host:81/a") // another origin
		wg.Wait()
		viaProxy = true
		open("ws://host/a") // another way
		wg.Wait()
		conns, _ = host.counts()
		is.Equal(conns, 3)

		is.NoErr(all[0].Body.Close()) // alone
		_, err := all[1].Body.(*netconn.Conn).Write([]byte("echo"))
		is.NoErr(err)
		_, err = io.ReadFull(all[1].Body, make([]byte, 4))
		is.NoErr(err)
		for _, resp := range all {
			resp.Body.Close()
		}
	})
}

// A server of HTTP/1.1 may wait for the rest of what is no request to it. Then its
// own answer stands, once the time is up.
func TestUpgradeRequiredBeforeSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		first := true
		start := time.Now()
		resp, err := handshakeOver(t.Context(), "ws://host", DialContext(lan{"host:80": func(conn net.Conn) {
			if first {
				first = false
				answering(upgradeRequired)(conn)
			}
			silent(conn)
		}}.dial))
		is.NoErr(err)
		is.Equal(time.Since(start), 30*time.Second)
		is.Equal(resp.StatusCode, http.StatusUpgradeRequired)
		body, err := io.ReadAll(resp.Body)
		is.NoErr(err)
		is.Equal(string(body), "HTTP2")
	})
}

// A dial that several wait for fails each of them, with its own URL.
func TestSharedDialFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		tr := transportOf(Protocols(HTTP2), DialContext(func(ctx context.Context, _, _ string) (net.Conn, error) {
			time.Sleep(time.Second)
			return nil, syscall.ECONNREFUSED
		}))
		var wg sync.WaitGroup
		for _, path := range []string{"/a", "/b"} {
			wg.Go(func() {
				_, err := tr.RoundTrip(opening(t.Context(), "ws://host"+path))
				is.True(errors.Is(err, syscall.ECONNREFUSED))
				is.Equal(err.Error(), "reqws: dial: ws://host"+path+": connection refused")
			})
		}
		wg.Wait()
	})
}

// One who gives up does not take the shared dial along.
func TestSharedDialGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		host := &host2{http2: true, extended: true}
		tr := transportOf(Protocols(HTTP2), DialContext(func(ctx context.Context, network, addr string) (net.Conn, error) {
			time.Sleep(2 * time.Second)
			return lan{"host:80": host.serve}.dial(ctx, network, addr)
		}))
		var wg sync.WaitGroup
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := tr.RoundTrip(opening(ctx, "ws://host/a"))
			is.True(errors.Is(err, context.DeadlineExceeded))
			is.True(strings.HasPrefix(err.Error(), "reqws: dial: ws://host/a: "))
		})
		time.Sleep(time.Millisecond)
		wg.Go(func() {
			resp, err := tr.RoundTrip(opening(t.Context(), "ws://host/b"))
			is.NoErr(err)
			is.NoErr(resp.Body.Close())
		})
		wg.Wait()
		conns, _ := host.counts()
		is.Equal(conns, 1)
	})
}

// The server that was found to want HTTP/2 does not any more.
func TestWhatWasLearnedIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		host := &host2{http1: answering(upgradeRequired), http2: true, extended: true}
		tr := transportOf(DialContext(lan{"host:80": func(c net.Conn) { host.serve(c) }}.dial))
		proto := func() string {
			resp, err := tr.RoundTrip(opening(t.Context(), "ws://host"))
			is.NoErr(err)
			is.NoErr(resp.Body.Close())
			return resp.Proto
		}
		is.Equal(proto(), "HTTP/2.0")
		is.Equal(proto(), "HTTP/2.0")
		host = &host2{http1: upgrading}
		is.Equal(proto(), "HTTP/1.1")
		is.Equal(proto(), "HTTP/1.1")
		conns, _ := host.counts()
		is.Equal(conns, 3) // HTTP/2, and two of HTTP/1.1
	})
}

func TestStreamThatWasNotProcessed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		host := &host2{http1: upgrading, http2: true, extended: true, resets: true}
		_, err := handshakeOver(t.Context(), "ws://host", DialContext(lan{"host:80": host.serve}.dial), Protocols(HTTP2, HTTP1))
		is.True(errors.Is(err, h2.ErrNotProcessed))
		is.True(strings.HasPrefix(err.Error(), "reqws: handshake: ws://host: http2: "))
		is.True(isTransient(err))
	})
}

// TestGoServer runs the tests named TestWithGoServer in a process of their own:
// net/http's server offers extended CONNECT only if GODEBUG says so from the start.
func TestGoServer(t *testing.T) {
	if strings.Contains(os.Getenv("GODEBUG"), "http2xconnect=1") {
		t.Skip("this is that process")
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestWithGoServer", "-test.v")
	cmd.Env = append(os.Environ(), "GODEBUG=http2xconnect=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestWithGoServer") {
		t.Fatalf("%v\n%s", err, out)
	}
}

func TestWithGoServer(t *testing.T) {
	if !strings.Contains(os.Getenv("GODEBUG"), "http2xconnect=1") {
		t.Skip("run by TestGoServer")
	}
	is := is.New(t)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get(":protocol") != "websocket" || r.Header.Get("Sec-Websocket-Key") != "" {
			http.Error(w, "that is no extended CONNECT", http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusOK)
		w.Write(reqwstest.Encode(reqwstest.Text("over "+r.Proto), reqwstest.Close(1000, "")))
		http.NewResponseController(w).Flush()
		io.Copy(io.Discard, r.Body)
	}))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	roots := srv.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	for _, protocols := range [][]Protocol{{HTTP2, HTTP1}, {HTTP2}, {HTTP1, HTTP2}} {
		var got []string
		err := New(
			URL("wss"+strings.TrimPrefix(srv.URL, "https")),
			TLSConfig(&tls.Config{RootCAs: roots}),
			Protocols(protocols...),
			Into(Each(func(f Frame) Directive {
				got = append(got, f.String())
				return Cont()
			})),
		).Run(t.Context())
		if protocols[0] == HTTP1 { // the handler refuses that, and no other protocol would help
			var refused *HTTPError
			is.True(errors.As(err, &refused))
			is.Equal(refused.StatusCode, http.StatusBadRequest)
			continue
		}
		is.NoErr(err)
		is.Equal(got, []string{`text "over HTTP/2.0"`, `close 1000`})
	}
}

func TestRefusedStreamBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		host := &host2{http2: true, extended: true, status: "403"}
		resp, err := handshakeOver(t.Context(), "ws://host", DialContext(lan{"host:80": host.serve}.dial), Protocols(HTTP2))
		is.NoErr(err)
		body, err := io.ReadAll(resp.Body) // and this closes it
		is.NoErr(err)
		is.Equal(string(body), "no!")
	})
}
