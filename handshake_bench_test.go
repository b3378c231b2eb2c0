package reqws_test

import (
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/tls"
	"encoding/base64"
	"io"
	"net"
	"runtime/debug"
	"testing"

	"github.com/matryer/is"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/internal/pipe"
	"github.com/reqws/reqws/reqwstest"
)

// gatehouse opens each connection that is made to it, and waits for the client to go. It allocates
// next to nothing, so that a count of allocations is one of the client's.
type gatehouse struct {
	addr   string
	secure *tls.Config // of its clients; nil: in the clear
	last   []byte      // frames behind the answer
	dial   func(context.Context, string, string) (net.Conn, error)
}

// newGatehouse makes one that is reached over "tcp", "tls" or "memory".
func newGatehouse(tb testing.TB, transport string) *gatehouse {
	tb.Helper()
	g := &gatehouse{}
	if transport == "memory" {
		g.addr = "127.0.0.1:80"
		g.dial = func(context.Context, string, string) (net.Conn, error) {
			client, server := pipe.New()
			go g.open(server)
			return client, nil
		}
		return g
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	is.New(tb).NoErr(err)
	tb.Cleanup(func() { ln.Close() })
	g.addr, g.dial = ln.Addr().String(), new(net.Dialer).DialContext
	if transport == "tls" {
		var server *tls.Config
		g.secure = reqwstest.NewTLS(tb, reqwstest.TLS(func(c *tls.Config) { server = c })).TLSConfig()
		g.secure.ServerName = "127.0.0.1"
		ln = tls.NewListener(ln, server)
	}
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go g.open(conn)
		}
	}()
	return g
}

// open is one connection of a gatehouse.
func (g *gatehouse) open(conn net.Conn) {
	defer conn.Close()
	in := make([]byte, 1<<10)
	n := 0
	for !bytes.HasSuffix(in[:n], []byte("\r\n\r\n")) {
		m, err := conn.Read(in[n:])
		if err != nil {
			return
		}
		n += m
	}
	name := []byte("\r\nSec-WebSocket-Key: ")
	at := bytes.Index(in[:n], name) + len(name)
	sum := sha1.Sum(append(in[at:at+24:at+24], "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"...))
	out := append(in[:0], "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "...)
	out = append(base64.StdEncoding.AppendEncode(out, sum[:]), "\r\n\r\n"...)
	out = append(out, g.last...)
	if _, err := conn.Write(out); err == nil {
		_, _ = io.ReadFull(conn, in)
	}
}

// request is what opens a WebSocket at g.
func (g *gatehouse) request(opts ...reqws.Option) *reqws.Request {
	opts = append([]reqws.Option{reqws.URL("ws://" + g.addr + "/p?a=b")}, opts...)
	switch {
	case g.secure != nil:
		opts = append(opts, reqws.URL("wss://"+g.addr+"/p?a=b"), reqws.TLSConfig(g.secure))
	case g.addr == "127.0.0.1:80":
		opts = append(opts, reqws.DialContext(g.dial))
	}
	return reqws.New(opts...)
}

// bare does by hand what a handshake cannot do without: one request, one answer.
func (g *gatehouse) bare(tb testing.TB, in []byte) {
	conn, err := g.dial(context.Background(), "tcp", g.addr)
	if err == nil && g.secure != nil {
		conn = tls.Client(conn, g.secure)
	}
	if err == nil {
		_, err = conn.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"))
	}
	for n := 0; err == nil && !bytes.HasSuffix(in[:n], []byte("\r\n\r\n")); {
		var m int
		m, err = conn.Read(in[n:])
		n += m
	}
	if err != nil {
		tb.Fatal(err)
	}
	conn.Close()
}

// once opens a connection and drops it.
func (g *gatehouse) once(tb testing.TB, req *reqws.Request) {
	resp, err := req.Do(context.Background())
	if err != nil {
		tb.Fatal(err)
	}
	_ = resp.CloseNow()
	<-resp.Done()
}

// A handshake from New's Request to the end of the connection, the server's half included.
func BenchmarkHandshake(b *testing.B) {
	for _, transport := range []string{"tcp", "tls", "memory"} {
		b.Run("transport="+transport, func(b *testing.B) {
			g := newGatehouse(b, transport)
			req := g.request()
			b.ReportAllocs()
			for b.Loop() {
				g.once(b, req)
			}
		})
	}
}

// What the library allocates for a handshake, beyond what a dial, a write and reads take.
func TestAllocationsOfAHandshake(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for transport, most := range map[string]float64{"tcp": 53, "tls": 91, "memory": 59} {
		t.Run(transport, func(t *testing.T) {
			defer debug.SetGCPercent(debug.SetGCPercent(-1)) // it empties the pools
			g := newGatehouse(t, transport)
			req, in := g.request(), make([]byte, 1<<10)
			for range 20 {
				g.once(t, req)
				g.bare(t, in)
			}
			bare := testing.AllocsPerRun(100, func() { g.bare(t, in) })
			ours := testing.AllocsPerRun(100, func() { g.once(t, req) })
			t.Logf("%v, of which a bare exchange takes %v", ours, bare)
			if ours-bare > most {
				t.Errorf("%v allocations beyond the %v of a bare exchange, want at most %v", ours-bare, bare, most)
			}
		})
	}
}
