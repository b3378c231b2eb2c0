package dial

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matryer/is"

	"github.com/reqws/reqws/internal/pipe"
)

// pieces is a connection that gives what it has in pieces, and then its end.
type pieces struct {
	net.Conn
	left []byte
	next func() int // the size of a piece
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.left) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), p.next())], p.left)
	p.left = p.left[n:]
	return n, nil
}

// However an answer comes in, it is understood the same way; nothing of it gets
// into an error, and what is behind the head of one that opens is kept whole.
func fuzzHead(f *testing.F, method string, opens func(status int) bool) {
	f.Fuzz(func(t *testing.T, answer []byte) {
		is := is.New(t)
		read := func(next func() int) (status int, rest string, text string) {
			conn := &pieces{left: answer, next: next}
			r := readAnswer(conn, nil)
			resp, err := r.head(&http.Request{Method: method})
			is.True(cap(r.buf) <= 4*(len(answer)+4096)) // what it holds is bounded by what came
			if err != nil {
				return 0, "", err.Error()
			}
			is.True(resp.ProtoMajor == 1)
			if opens(resp.StatusCode) {
				return resp.StatusCode, string(append(r.rest(), conn.left...)), ""
			}
			body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
			return resp.StatusCode, fmt.Sprintf("%q %v", body, err == nil), ""
		}
		all := func(n int) func() int { return func() int { return n } }
		rnd := rand.New(rand.NewPCG(uint64(len(answer)), 1))
		status, rest, text := read(all(1))
		for _, next := range []func() int{all(2), all(7), all(len(answer) + 1), func() int { return 1 + rnd.IntN(40) }} {
			again, restAgain, textAgain := read(next)
			is.Equal(status, again)
			is.Equal(text, textAgain)
			is.Equal(rest, restAgain)
		}
		if opens(status) {
			is.True(strings.HasSuffix(string(answer), rest))
		}
		known := []string{"", "the connection was closed before the answer was complete: unexpected EOF"}
		for _, err := range []error{errHeadTooBig, errNotHTTP, errBadHeader, errSpeaksTLS, errSpeaksH2} {
			known = append(known, err.Error())
		}
		is.True(slices.Contains(known, text))
	})
}

func FuzzAnswer(f *testing.F) {
	fuzzHead(f, http.MethodGet, func(status int) bool { return status == http.StatusSwitchingProtocols })
}

func FuzzProxyAnswer(f *testing.F) {
	fuzzHead(f, http.MethodConnect, func(status int) bool { return status/100 == 2 })
}

func TestHandshakeRequestOnTheWire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		client, server := pipe.New()
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
		{"no HTTP, without end", answering(strings.Repeat("x", 3<<20)), 0, "", "handshake: ws://host/p: the head of the answer is larger than 1048576 bytes", errHeadTooBig},
		{"a long line", answering(strings.Repeat("x", 100<<10) + "\r\n\r\n"), 0, "", "the answer is not HTTP/1.1", nil},
		{"a head without end", answering("HTTP/1.1 101 Switching Protocols\r\n" + strings.Repeat("X-Y: "+strings.Repeat("z", 1000)+"\r\n", 2000)), 0, "", "the head of the answer is larger", errHeadTooBig},
		{"interim answers without end", answering(strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 100_000)), 0, "", "the head of the answer is larger", errHeadTooBig},
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
				conn, open := resp.Body.(*Conn)
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
