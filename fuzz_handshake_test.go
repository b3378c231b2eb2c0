package reqws

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// answering is a connection to a server that answers each request with the same bytes, in pieces of n, and goes.
// "ACCEPT" in them is what the key of the request calls for.
type answering struct {
	net.Conn
	bytes []byte
	n     int
	asked bytes.Buffer
	left  []byte
	ready bool
}

func (a *answering) Write(p []byte) (int, error) {
	a.asked.Write(p)
	if _, key, ok := bytes.Cut(a.asked.Bytes(), []byte("Sec-WebSocket-Key: ")); ok && !a.ready && bytes.Contains(key, []byte("\r\n\r\n")) {
		key, _, _ = bytes.Cut(key, []byte("\r\n"))
		a.left, a.ready = bytes.ReplaceAll(a.bytes, []byte("ACCEPT"), []byte(acceptKey(string(key)))), true
	}
	return len(p), nil
}

func (a *answering) Read(p []byte) (int, error) {
	if len(a.left) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), a.n)], a.left)
	a.left = a.left[n:]
	return n, nil
}

func (*answering) Close() error                     { return nil }
func (*answering) SetDeadline(time.Time) error      { return nil }
func (*answering) SetReadDeadline(time.Time) error  { return nil }
func (*answering) SetWriteDeadline(time.Time) error { return nil }

// FuzzHandshake: whatever a server answers, and then sends, in whatever pieces, it ends in the same way.
func FuzzHandshake(f *testing.F) {
	const opening = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ACCEPT\r\n"
	f.Add([]byte(opening+"\r\n\x81\x05Hello\x89\x01p\x88\x02\x03\xe8"), uint8(3))
	f.Add([]byte(opening+"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00"), uint8(1))
	f.Add([]byte(opening+"Sec-WebSocket-Protocol: chat\r\n\r\n\x01\x01a\x80\x01b\x88\x00"), uint8(20))
	f.Add([]byte("HTTP/1.1 403 Forbidden\r\nContent-Length: 5\r\n\r\nsorry"), uint8(2))
	f.Add([]byte("HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n"), uint8(9))
	f.Add([]byte("HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n"), uint8(5))
	f.Add([]byte("HTTP/1.1 103 Early Hints\r\n\r\n"+opening+"\r\n"), uint8(7))
	f.Fuzz(func(t *testing.T, answer []byte, piece uint8) {
		run := func(n int) string {
			var got strings.Builder
			err := New(URL("ws://example.com/"), Proxy(nil), Protocols(HTTP1), Retry(Never), MaxRedirects(2), Logger(nil), Heartbeat(0, 0),
				Subprotocols("chat"), Compression(websocket.CompressionContextTakeover), MaxMessageSize(1<<16),
				DialContext(func(context.Context, string, string) (net.Conn, error) { return &answering{bytes: answer, n: n}, nil }),
				Into(Each(func(f Frame) Directive {
					fmt.Fprintln(&got, f)
					return Cont()
				}))).Run(t.Context())
			return fmt.Sprint(&got, err)
		}
		whole, cut := run(len(answer)+1), run(1+int(piece))
		if whole != cut {
			t.Fatalf("whole:\n%s\nin pieces:\n%s", whole, cut)
		}
	})
}
