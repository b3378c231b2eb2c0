package dial

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/matryer/is"

	"github.com/reqws/reqws/internal/pipe"
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

// opens sends one handshake and returns the connection that it must open.
func opens(t testing.TB, u string, opts ...Option) *Conn {
	t.Helper()
	resp, err := handshakeOver(t.Context(), u, opts...)
	if err != nil {
		t.Fatal(err)
	}
	conn, ok := resp.Body.(*Conn)
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
	client, server := pipe.New()
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
