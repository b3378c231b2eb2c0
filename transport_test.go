package reqws

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matryer/is"

	"github.com/reqws/reqws/internal/dial"
	"github.com/reqws/reqws/internal/netconn"
	"github.com/reqws/reqws/reqwstest"
)

// opening returns the handshake request that coder's Dial makes for a ws or wss
// URL.
func opening(ctx context.Context, u string) *http.Request {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http"+strings.TrimPrefix(u, "ws"), nil)
	if err != nil {
		panic(err)
	}
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "websocket")
	req.Header.Set("Sec-WebSocket-Version", "13")
	req.Header.Set("Sec-WebSocket-Key", base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%016d", keys.Add(1))))
	return req
}

// keys makes every key a fresh one: the server checks that.
var keys atomic.Int64

// transportOf is what the options of the group connect make.
func transportOf(opts ...Option) *dial.Transport { return defaults().with(opts).connect.own }

// handshakeOver sends one handshake over a transport.
func handshakeOver(ctx context.Context, u string, opts ...Option) (*http.Response, error) {
	c := defaults().with(opts).connect
	return c.own.RoundTrip(opening(c.withServer(ctx, hopOf(ctx)), u))
}

// opens sends one handshake and returns the connection that it must open.
func opens(t testing.TB, u string, opts ...Option) *netconn.Conn {
	t.Helper()
	resp, err := handshakeOver(t.Context(), u, opts...)
	if err != nil {
		t.Fatal(err)
	}
	conn, ok := resp.Body.(*netconn.Conn)
	if !ok {
		t.Fatalf("status %s with a body of %T", resp.Status, resp.Body)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// echoes checks that a server behind conn, which echoes, is there.
func echoes(t testing.TB, conn net.Conn) {
	t.Helper()
	is := is.New(t)
	frame := []byte{0x82, 0x84, 0, 0, 0, 0, 'e', 'c', 'h', 'o'} // binary, masked
	rand.Read(frame[2:6])
	for i := range 4 {
		frame[6+i] ^= frame[2+i]
	}
	_, err := conn.Write(frame)
	is.NoErr(err)
	got := make([]byte, 6)
	_, err = io.ReadFull(conn, got)
	is.NoErr(err)
	is.Equal(string(got), "\x82\x04echo")
}

// lan is a network in memory: a function per address that plays the host.
type lan map[string]func(net.Conn)

func (l lan) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	host, ok := l[addr]
	if !ok {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if host == nil { // it never answers
		<-ctx.Done()
		return nil, ctx.Err()
	}
	client, server := reqwstest.Pipe()
	go func() {
		defer server.Close()
		host(server)
	}()
	return client, nil
}

// silent takes everything and says nothing until the client is gone.
func silent(conn net.Conn) { io.Copy(io.Discard, conn) }

// answering reads one request and sends raw bytes; then it waits for the client
// to go.
func answering(raw string) func(net.Conn) {
	return func(conn net.Conn) {
		readHead(conn)
		io.WriteString(conn, raw)
		silent(conn)
	}
}

// hangingUp reads one request, sends raw bytes and closes.
func hangingUp(raw string) func(net.Conn) {
	return func(conn net.Conn) {
		readHead(conn)
		io.WriteString(conn, raw)
	}
}

// readHead reads up to the empty line, one byte at a time: what follows is
// somebody else's.
func readHead(conn net.Conn) string {
	var head strings.Builder
	for b := make([]byte, 1); !strings.HasSuffix(head.String(), "\r\n\r\n"); {
		if _, err := conn.Read(b); err != nil {
			break
		}
		head.Write(b)
	}
	return head.String()
}

const switching = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"

func TestHandshakeOpensTheBareConnection(t *testing.T) {
	reqwstest.NoLeaks(t)
	reqwstest.NoFDLeaks(t)
	t.Run("ws", func(t *testing.T) {
		is := is.New(t)
		srv := reqwstest.New(t, reqwstest.Script(reqwstest.Accept(), reqwstest.EchoUntilClose()))
		conn := opens(t, srv.URL)
		_, ok := conn.Conn.(*net.TCPConn)
		is.True(ok)
		echoes(t, conn)
		is.NoErr(conn.Close())
	})
	t.Run("wss", func(t *testing.T) {
		is := is.New(t)
		srv := reqwstest.NewTLS(t, reqwstest.Script(reqwstest.Accept(), reqwstest.EchoUntilClose()))
		resp, err := handshakeOver(t.Context(), srv.URL, TLSConfig(srv.TLSConfig()))
		is.NoErr(err)
		is.True(resp.TLS.HandshakeComplete)
		conn := resp.Body.(*netconn.Conn)
		secured, ok := conn.Conn.(*tls.Conn)
		is.True(ok)
		_, ok = netconn.Bare(secured).(*net.TCPConn)
		is.True(ok)
		echoes(t, conn)
		is.NoErr(conn.Close())
	})
}

// strict is a connection on which no deadline may be set.
type strict struct {
	net.Conn
	t testing.TB
}

func (s strict) SetDeadline(time.Time) error {
	s.t.Error("a deadline was set")
	return os.ErrNoDeadline
}
func (s strict) SetReadDeadline(t time.Time) error  { return s.SetDeadline(t) }
func (s strict) SetWriteDeadline(t time.Time) error { return s.SetDeadline(t) }

func TestHandshakeLeavesNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		hosts := lan{"host:80": answering(switching)}
		ctx, cancel := context.WithCancel(t.Context())
		resp, err := handshakeOver(ctx, "ws://host", DialContext(
			func(ctx context.Context, network, addr string) (net.Conn, error) {
				conn, err := hosts.dial(ctx, network, addr)
				return strict{conn, t}, err
			}))
		is.NoErr(err)
		conn := resp.Body.(*netconn.Conn)
		cancel()                   // no longer has a say
		time.Sleep(24 * time.Hour) // nor has the connect timeout
		_, err = conn.Write([]byte("still here"))
		is.NoErr(err)
		is.NoErr(conn.Close())
	})
}

func TestHandshakeRequestOnTheWire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		client, server := reqwstest.Pipe()
		req := opening(t.Context(), "ws://user:secret@host:8080")
		req.Host = "other.example"
		req.Header.Set("Sec-Websocket-Key", "the key")
		req.Header["x-custom"] = []string{"1", "2"}
		tr := transportOf(DialContext(func(context.Context, string, string) (net.Conn, error) { return client, nil }))
		heads := make(chan string, 1)
		go func() {
			heads <- readHead(server)
			io.WriteString(server, switching)
		}()
		resp, err := tr.RoundTrip(req)
		is.NoErr(err)
		is.Equal(resp.Request, req)
		is.Equal(req.Header["Sec-Websocket-Key"], []string{"the key"}) // not changed
		head := <-heads
		is.True(strings.HasPrefix(head, "GET / HTTP/1.1\r\nHost: other.example\r\n"))
		is.True(strings.Contains(head, "\r\nSec-WebSocket-Key: the key\r\n"))
		is.True(strings.Contains(head, "\r\nSec-WebSocket-Version: 13\r\n"))
		is.True(strings.Contains(head, "\r\nx-custom: 1\r\nx-custom: 2\r\n"))
		is.True(!strings.Contains(head, "secret"))
		resp.Body.Close()
	})
}

func TestAnswers(t *testing.T) {
	tests := []struct {
		name   string
		host   func(net.Conn)
		status int
		rest   string // what can be read from the connection or body
		err    string // a part of it
		is     error
	}{
		{"switching", answering(switching), 101, "", "", nil},
		{"frames behind the 101", answering(switching + "\x81\x02hi"), 101, "\x81\x02hi", "", nil},
		{"interim answers", answering("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\n" + switching), 101, "", "", nil},
		{"refusal with a length", answering("HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nno!\n"), 403, "no!\n", "", nil},
		{"refusal in chunks", answering("HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nno!\r\n0\r\n\r\n"), 503, "no!", "", nil},
		{"refusal up to the end", hangingUp("HTTP/1.0 404 Not Found\r\n\r\nnot here"), 404, "not here", "", nil},
		{"a 200", answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"), 200, "hi", "", nil},
		{"nothing", hangingUp(""), 0, "", "handshake: ws://host/p: the connection was closed before the answer was complete", io.ErrUnexpectedEOF},
		{"half a head", hangingUp("HTTP/1.1 101 Switching Protocols\r\nUpgr"), 0, "", "handshake: ws://host/p: the connection was closed before", io.ErrUnexpectedEOF},
		{"only an interim answer", hangingUp("HTTP/1.1 100 Continue\r\n\r\n"), 0, "", "handshake: ws://host/p: the connection was closed before", io.ErrUnexpectedEOF},
		{"no HTTP", answering("SSH-2.0-OpenSSH_9.9\r\n"), 0, "", `handshake: ws://host/p: the answer is not HTTP/1.1`, nil},
		{"a bad header", answering("HTTP/1.1 101 Switching Protocols\r\nno colon\r\n\r\n"), 0, "", "handshake: ws://host/p: the answer has a malformed header line", nil},
		{"no HTTP, without end", answering(strings.Repeat("x", 3<<20)), 0, "", "handshake: ws://host/p: the head of the answer is larger than 1048576 bytes", dial.ErrHeadTooBig},
		{"a long line", answering(strings.Repeat("x", 100<<10) + "\r\n\r\n"), 0, "", "the answer is not HTTP/1.1", nil},
		{"a head without end", answering("HTTP/1.1 101 Switching Protocols\r\n" + strings.Repeat("X-Y: "+strings.Repeat("z", 1000)+"\r\n", 2000)), 0, "", "the head of the answer is larger", dial.ErrHeadTooBig},
		{"interim answers without end", answering(strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 100_000)), 0, "", "the head of the answer is larger", dial.ErrHeadTooBig},
		{"a reset", func(conn net.Conn) {
			readHead(conn)
			conn.(interface{ Reset() error }).Reset()
		}, 0, "", "handshake: ws://host/p: ", syscall.ECONNRESET},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				is := is.New(t)
				resp, err := handshakeOver(t.Context(), "ws://host/p?token=secret", DialContext(lan{"host:80": tt.host}.dial))
				if tt.err != "" {
					is.True(err != nil)
					is.True(strings.Contains(err.Error(), tt.err))
					is.True(len(err.Error()) < 500)
					is.True(!strings.Contains(err.Error(), "secret"))
					is.True(tt.is == nil || errors.Is(err, tt.is))
					return
				}
				is.NoErr(err)
				is.Equal(resp.StatusCode, tt.status)
				conn, open := resp.Body.(*netconn.Conn)
				is.Equal(open, tt.status == 101)
				if !open {
					body, err := io.ReadAll(resp.Body)
					is.NoErr(err)
					is.Equal(string(body), tt.rest)
					is.NoErr(resp.Body.Close()) // at the end it is closed already
					return
				}
				got := make([]byte, len(tt.rest))
				_, err = io.ReadFull(iotest1{conn}, got)
				is.NoErr(err)
				is.Equal(string(got), tt.rest)
				is.True(conn.Rest == nil)
				is.NoErr(conn.Close())
			})
		})
	}
}

// iotest1 reads one byte at a time.
type iotest1 struct{ io.Reader }

func (r iotest1) Read(p []byte) (int, error) { return r.Reader.Read(p[:min(len(p), 1)]) }

func TestRefusalBody(t *testing.T) {
	const endless = "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 1000\r\n\r\nsome"
	t.Run("closed early", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			is := is.New(t)
			resp, err := handshakeOver(t.Context(), "ws://host", DialContext(lan{"host:80": answering(endless)}.dial))
			is.NoErr(err)
			start := time.Now()
			is.NoErr(resp.Body.Close())
			is.Equal(time.Since(start), 0*time.Second) // and the host, a goroutine of this bubble, has ended
		})
	})
	t.Run("never closed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			is := is.New(t)
			_, err := handshakeOver(t.Context(), "ws://host", ConnectTimeout(time.Second), DialContext(lan{"host:80": answering(endless)}.dial))
			is.NoErr(err)
			time.Sleep(2 * time.Second) // the connect timeout ends the host
		})
	})
	t.Run("stalls", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			is := is.New(t)
			start := time.Now()
			resp, err := handshakeOver(t.Context(), "ws://host", DialContext(lan{"host:80": answering(endless)}.dial))
			is.NoErr(err)
			got, err := io.ReadAll(resp.Body)
			is.Equal(string(got), "some")
			is.True(errors.Is(err, context.DeadlineExceeded))
			is.Equal(err.Error(), "reqws: handshake: ws://host: no answer within the connect timeout of 30s")
			is.Equal(time.Since(start), 30*time.Second)
			is.NoErr(resp.Body.Close())
		})
	})
	t.Run("cut off", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			is := is.New(t)
			resp, err := handshakeOver(t.Context(), "ws://host", DialContext(lan{"host:80": hangingUp(endless)}.dial))
			is.NoErr(err)
			_, err = io.ReadAll(resp.Body)
			is.True(errors.Is(err, io.ErrUnexpectedEOF))
			is.NoErr(resp.Body.Close())
		})
	})
}

// parting is a connection whose end comes with its last bytes, as a TLS 1.2
// connection's does whose close_notify came in the same segment.
type parting struct{ net.Conn }

func (p parting) Read(b []byte) (int, error) {
	n, err := p.Conn.Read(b)
	if n > 0 && err == nil {
		err = io.EOF
	}
	return n, err
}

// How one server's connection ended is nothing to the next one's handshake.
func TestOneServersEndIsNotAnothers(t *testing.T) {
	hosts := lan{
		"parting:80": answering(switching),
		"broken:80":  answering("HTTP/1.1 101 Switch"),
		"huge:80":    answering(strings.Repeat("x", 2<<20)),
		"proxy:80":   answering("HTTP/1.1 200 OK\r\n\r\n" + switching + "\x81\x02ok"),
		"healthy:80": func(conn net.Conn) {
			readHead(conn)
			io.WriteString(conn, switching) // and then the rest, on its own
			io.WriteString(conn, "\x81\x02ok")
			silent(conn)
		},
	}
	dial := DialContext(func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := hosts.dial(ctx, network, addr)
		if err == nil && (addr == "parting:80" || addr == "broken:80") {
			conn = parting{conn}
		}
		return conn, err
	})
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		for i := range 60 {
			_, _ = handshakeOver(t.Context(), "ws://"+[]string{"broken", "huge"}[i%2], dial)
			resp, err := handshakeOver(t.Context(), "ws://parting", dial)
			is.NoErr(err) // its end is the reader's to meet
			resp.Body.Close()
			for _, opts := range [][]Option{{dial}, {dial, ProxyURL("http://proxy")}} {
				resp, err := handshakeOver(t.Context(), "ws://healthy", opts...)
				is.NoErr(err)
				got := make([]byte, 4)
				_, err = io.ReadFull(resp.Body, got)
				is.NoErr(err)
				is.Equal(string(got), "\x81\x02ok")
				is.NoErr(resp.Body.Close())
			}
		}
	})
}

// phases are hosts that stop answering in one of the phases.
var phases = []struct {
	phase string
	url   string
	shown string
	opts  []Option
}{
	{"lookup", "ws://host/p", "ws://host/p", []Option{DialContext(func(ctx context.Context, _, _ string) (net.Conn, error) {
		httptrace.ContextClientTrace(ctx).DNSStart(httptrace.DNSStartInfo{Host: "host"})
		<-ctx.Done()
		return nil, &net.DNSError{Err: "i/o timeout", Name: "host", IsTimeout: true}
	})}},
	{"dial", "ws://host/p", "ws://host/p", []Option{DialContext(lan{"host:80": nil}.dial)}},
	{"dial", "ws://host/p", "ws://host/p", []Option{DialContext(func(ctx context.Context, _, addr string) (net.Conn, error) {
		trace := httptrace.ContextClientTrace(ctx)
		trace.DNSStart(httptrace.DNSStartInfo{Host: "host"})
		trace.DNSDone(httptrace.DNSDoneInfo{})
		return lan{"host:80": nil}.dial(ctx, "tcp", addr)
	})}},
	{"dial", "wss://host/p", "wss://host/p", []Option{DialContext(lan{"host:443": nil}.dial), Protocols(HTTP2)}},
	{"proxy", "wss://host/p", "wss://host/p", []Option{ProxyURL("http://u:secret@proxy:3128"), DialContext(lan{"proxy:3128": nil}.dial)}},
	{"proxy", "wss://host/p", "wss://host/p", []Option{ProxyURL("http://u:secret@proxy:3128"), DialContext(lan{"proxy:3128": silent}.dial)}},
	{"proxy", "ws://host/p", "ws://host/p", []Option{ProxyURL("https://u:secret@proxy:3128"), DialContext(lan{"proxy:3128": silent}.dial)}},
	{"proxy", "ws://host/p", "ws://host/p", []Option{ProxyURL("socks5://u:secret@proxy:1080"), DialContext(lan{"proxy:1080": silent}.dial)}},
	{"TLS", "wss://host/p", "wss://host/p", []Option{DialContext(lan{"host:443": silent}.dial)}},
	{"TLS", "wss://host/p", "wss://host/p", []Option{DialContext(lan{"host:443": silent}.dial), Protocols(HTTP2, HTTP1)}},
	{"TLS", "wss://host/p", "wss://host/p", []Option{ProxyURL("http://proxy"), DialContext(lan{"proxy:80": answering("HTTP/1.1 200 OK\r\n\r\n")}.dial)}},
	{"handshake", "ws://host/p", "ws://host/p", []Option{DialContext(lan{"host:80": silent}.dial)}},
	{"handshake", "ws://host/p", "ws://host/p", []Option{DialContext(lan{"host:80": answering("HTTP/1.1 101")}.dial)}},
	{"handshake", "ws://host/p", "ws://host/p", []Option{DialContext(lan{"host:80": silent}.dial), Protocols(HTTP2, HTTP1)}},
}

func TestConnectTimeoutSaysInWhichPhase(t *testing.T) {
	for _, tt := range phases {
		t.Run(tt.phase, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				is := is.New(t)
				start := time.Now()
				_, err := handshakeOver(t.Context(), tt.url+"?token=secret", append(tt.opts, ConnectTimeout(30*time.Second))...)
				is.Equal(time.Since(start), 30*time.Second)
				is.True(strings.HasPrefix(err.Error(), "reqws: "+tt.phase+": "+tt.shown+": "))
				is.True(strings.HasSuffix(err.Error(), ": no answer within the connect timeout of 30s"))
				is.True(!strings.Contains(err.Error(), "secret"))
				is.True(errors.Is(err, context.DeadlineExceeded))
				var timeout net.Error
				is.True(errors.As(err, &timeout))
				is.True(timeout.Timeout())
			})
		})
	}
}

// The resolver of package net waits for a name server when ctx ends.
func TestContextEndsLookup(t *testing.T) {
	is := is.New(t)
	ctx, cancel := context.WithCancel(t.Context())
	dialer := &net.Dialer{Resolver: &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		cancel()
		<-ctx.Done()
		return nil, ctx.Err()
	}}}
	_, err := handshakeOver(ctx, "ws://mute.example/p", DialContext(dialer.DialContext))
	is.Equal(err.Error(), "reqws: lookup: ws://mute.example/p: context canceled")
	is.True(errors.Is(err, context.Canceled))
}

func TestContextEndsEachPhase(t *testing.T) {
	mine := errors.New("mine")
	ends := map[string]struct {
		ctx func(context.Context) (context.Context, context.CancelFunc)
		is  []error
	}{
		"deadline": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Second)
		}, []error{context.DeadlineExceeded}},
		"cancel": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(time.Second, cancel)
			return ctx, cancel
		}, []error{context.Canceled}},
		"cause": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancelCause(ctx)
			time.AfterFunc(time.Second, func() { cancel(mine) })
			return ctx, func() { cancel(nil) }
		}, []error{context.Canceled, mine}},
	}
	for name, end := range ends {
		for _, tt := range phases {
			t.Run(tt.phase+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					is := is.New(t)
					ctx, cancel := end.ctx(t.Context())
					defer cancel()
					start := time.Now()
					_, err := handshakeOver(ctx, tt.url, append(tt.opts, ConnectTimeout(0))...)
					is.Equal(time.Since(start), time.Second)
					is.True(strings.HasPrefix(err.Error(), "reqws: "+tt.phase+": "+tt.shown+": "))
					for _, target := range end.is {
						is.True(errors.Is(err, target))
					}
					is.True(!errors.As(err, new(dial.TimeoutError)))
				})
			})
		}
	}
}

func TestCancelledBeforeTheStart(t *testing.T) {
	for _, tt := range phases {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			_, err := handshakeOver(ctx, tt.url, tt.opts...)
			is.New(t).True(errors.Is(err, context.Canceled))
		})
	}
}

func TestDialErrors(t *testing.T) {
	tests := []struct {
		name string
		url  string
		dial func(context.Context, string, string) (net.Conn, error)
		err  string
		is   error
	}{
		{"refused", "ws://host/p", lan{}.dial, "reqws: dial: ws://host/p: dial tcp: connection refused", syscall.ECONNREFUSED},
		{"no such host", "wss://host/p", func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "host", IsNotFound: true}}
		}, "reqws: lookup: wss://host/p: dial tcp: lookup host: no such host", nil},
		{"nothing at all", "ws://host/p", func(context.Context, string, string) (net.Conn, error) { return nil, nil },
			"reqws: dial: ws://host/p: DialContext returned neither a connection nor an error", nil},
		{"no host", "ws:///p", lan{}.dial, "reqws: lookup: ws:///p: the URL has no host", nil},
		{"bad host", "ws://a\u200d.example/p", lan{}.dial, "reqws: lookup: ws://a%E2%80%8D.example/p: the host name is not valid: idna: invalid label", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			is := is.New(t)
			_, err := handshakeOver(t.Context(), tt.url, DialContext(tt.dial))
			is.True(err != nil)
			is.True(strings.HasPrefix(err.Error(), tt.err))
			is.True(tt.is == nil || errors.Is(err, tt.is))
		})
	}
}

func TestTransportIsSafeForConcurrentUse(t *testing.T) {
	reqwstest.NoLeaks(t)
	is := is.New(t)
	srv := reqwstest.NewTLS(t, reqwstest.Script(reqwstest.Accept(), reqwstest.EchoUntilClose()).Repeat())
	tr := transportOf(TLSConfig(srv.TLSConfig()))
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			resp, err := tr.RoundTrip(opening(t.Context(), srv.URL))
			is.NoErr(err)
			echoes(t, resp.Body.(*netconn.Conn))
			is.NoErr(resp.Body.Close())
		})
	}
	wg.Wait()
}

func TestTrace(t *testing.T) {
	is := is.New(t)
	srv := reqwstest.NewTLS(t, reqwstest.Script(reqwstest.Accept(), reqwstest.EchoUntilClose()))
	var seen []string
	note := func(s string) { seen = append(seen, s) }
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		ConnectStart:         func(string, string) { note("connect") },
		ConnectDone:          func(string, string, error) { note("connected") },
		TLSHandshakeStart:    func() { note("TLS") },
		TLSHandshakeDone:     func(s tls.ConnectionState, err error) { note(fmt.Sprint("TLS done ", s.HandshakeComplete, err)) },
		GotConn:              func(httptrace.GotConnInfo) { note("conn") },
		WroteRequest:         func(i httptrace.WroteRequestInfo) { note(fmt.Sprint("wrote ", i.Err)) },
		GotFirstResponseByte: func() { note("first byte") },
	})
	resp, err := handshakeOver(ctx, srv.URL, TLSConfig(srv.TLSConfig()))
	is.NoErr(err)
	is.NoErr(resp.Body.Close())
	is.Equal(seen, []string{"connect", "connected", "TLS", "TLS done true <nil>", "conn", "wrote <nil>", "first byte"})
}

func TestPlain(t *testing.T) {
	reqwstest.NoLeaks(t, "net/http")
	reqwstest.NoFDLeaks(t)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s over %s", r.Method, r.URL.Path, r.Proto)
	})
	get := func(t *testing.T, u string, opts ...Option) (string, error) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, u, nil)
		is.New(t).NoErr(err)
		resp, err := transportOf(opts...).RoundTrip(req)
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		return string(body), err
	}
	t.Run("http", func(t *testing.T) {
		is := is.New(t)
		srv := httptest.NewServer(handler)
		defer srv.Close()
		got, err := get(t, srv.URL+"/p")
		is.NoErr(err)
		is.Equal(got, "GET /p over HTTP/1.1")
	})
	for _, tt := range []struct {
		protocols []Protocol
		want      string
	}{
		{[]Protocol{HTTP1}, "GET /p over HTTP/1.1"},
		{[]Protocol{HTTP2}, "GET /p over HTTP/2.0"},
		{[]Protocol{HTTP2, HTTP1}, "GET /p over HTTP/2.0"},
	} {
		t.Run(fmt.Sprint("https ", tt.protocols), func(t *testing.T) {
			is := is.New(t)
			srv := httptest.NewUnstartedServer(handler)
			srv.EnableHTTP2 = true
			srv.StartTLS()
			defer srv.Close()
			roots := srv.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
			got, err := get(t, srv.URL+"/p", Protocols(tt.protocols...), TLSConfig(&tls.Config{RootCAs: roots}))
			is.NoErr(err)
			is.Equal(got, tt.want)
		})
	}
	t.Run("refused", func(t *testing.T) {
		is := is.New(t)
		_, err := get(t, "https://host/p?token=secret", DialContext(lan{}.dial))
		is.Equal(err.Error(), "reqws: dial: https://host/p: dial tcp: connection refused")
	})
	for _, answer := range []string{"HTTP/1.1 secret\r\n\r\n", "secret\r\n", "HTTP/1.1 200 OK\r\nSet-Cookie session=secret\r\n\r\n", "HTTP/1.1 200 OK\r\n secret: x\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: secret\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: secret\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2secret\r\n\r\n"} {
		t.Run("a bad answer", func(t *testing.T) {
			is := is.New(t)
			_, err := get(t, "http://host/p", DialContext(lan{"host:80": hangingUp(answer)}.dial))
			is.True(strings.HasPrefix(err.Error(), "reqws: request: http://host/p: "))
			is.True(!strings.Contains(err.Error(), "secret"))
		})
	}
	t.Run("no answer", func(t *testing.T) {
		is := is.New(t)
		_, err := get(t, "http://host/p?token=secret", DialContext(lan{"host:80": hangingUp("")}.dial))
		is.True(errors.Is(err, io.EOF))
		is.True(strings.HasPrefix(err.Error(), "reqws: request: http://host/p: "))
		is.True(!strings.Contains(err.Error(), "secret"))
	})
	t.Run("timeout", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			is := is.New(t)
			start := time.Now()
			_, err := get(t, "https://host/p", DialContext(lan{"host:443": silent}.dial))
			is.Equal(time.Since(start), 30*time.Second)
			is.Equal(err.Error(), "reqws: TLS: https://host/p: no answer within the connect timeout of 30s")
		})
	})
	t.Run("cancelled", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			is := is.New(t)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://host/p", nil)
			is.NoErr(err)
			_, err = transportOf(DialContext(lan{"host:80": nil}.dial)).RoundTrip(req)
			is.True(errors.Is(err, context.DeadlineExceeded))
			is.True(strings.HasPrefix(err.Error(), "reqws: "))
		})
	})
}
