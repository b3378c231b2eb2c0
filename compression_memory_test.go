package reqws_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/internal/wiretest"
	"github.com/reqws/reqws/reqwstest"
)

// switching is the answer to a handshake with key that accepts extensions.
func switching(key, extensions string) string {
	if extensions != "" {
		extensions = "Sec-WebSocket-Extensions: " + extensions + "\r\n"
	}
	return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Accept: " + reqwstest.AcceptKey(key) + "\r\n" + extensions + "\r\n"
}

// canned is a connection whose peer sends what a test puts into it, and takes
// everything; neither allocates.
type canned struct {
	net.Conn
	extensions string
	in         chan []byte
	rest       []byte
	open       bool
	wrote      chan struct{}
	late       chan struct{} // has an element when the read deadline has passed, for one Read
}

func newCanned(extensions string) *canned {
	return &canned{
		extensions: extensions,
		in:         make(chan []byte, 1), wrote: make(chan struct{}, 1), late: make(chan struct{}, 1),
	}
}

func (c *canned) Read(p []byte) (int, error) {
	for len(c.rest) == 0 {
		select {
		case more, ok := <-c.in:
			if !ok {
				return 0, io.EOF
			}
			c.rest = more
		case <-c.late:
			return 0, os.ErrDeadlineExceeded
		}
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

func (c *canned) Write(p []byte) (int, error) {
	if !c.open {
		c.open = true
		req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(string(p))))
		if err != nil {
			return 0, err
		}
		c.in <- []byte(switching(req.Header.Get("Sec-WebSocket-Key"), c.extensions))
		return len(p), nil
	}
	c.wrote <- struct{}{}
	return len(p), nil
}

// dialling hands out c.
func dialling(c net.Conn) func(context.Context, string, string) (net.Conn, error) {
	return func(context.Context, string, string) (net.Conn, error) { return c, nil }
}

func (*canned) Close() error { return nil }

// SetReadDeadline knows two deadlines: none, and one that has passed.
func (c *canned) SetReadDeadline(t time.Time) error {
	select {
	case <-c.late:
	default:
	}
	if t.IsZero() || time.Now().Before(t) {
		return nil
	}
	select {
	case c.late <- struct{}{}:
	default:
	}
	return nil
}

func (*canned) SetWriteDeadline(time.Time) error { return nil }

// A compressed message in and a compressed reply out allocate nothing.
func TestCompressionAllocates(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for _, extensions := range []string{deflate, deflate + "; client_no_context_takeover; server_no_context_takeover"} {
		for _, size := range []int{200, 1000, 50_000} {
			t.Run(fmt.Sprint(extensions, " ", size), func(t *testing.T) {
				is := is.New(t)
				c := newCanned(extensions)
				text := reqwstest.Text(prose(1, size))
				stream := []reqwstest.Frame{wiretest.Deflate(text)}
				if extensions == deflate { // from the second on each refers to the one before, and they are alike
					stream = wiretest.DeflateStream(text, text, text)
				}
				answered := 0
				resp, err := reqws.New(
					reqws.URL("ws://host"), reqws.Compression(takeover),
					reqws.DialContext(dialling(c)),
					reqws.Into(func(in reqws.Event, _ *reqws.Response) reqws.Directive {
						if in.Err != nil || len(in.Frames) != 1 || len(in.Frames[0].Data) != size {
							return reqws.Halt()
						}
						answered++
						return reqws.Cont(in.Frames[0])
					}),
				).Do(t.Context())
				is.NoErr(err)
				for _, f := range stream {
					c.in <- reqwstest.Encode(f)
					<-c.wrote
				}
				last := reqwstest.Encode(stream[len(stream)-1])
				exchange := func() {
					c.in <- last
					<-c.wrote
				}
				for range 100 {
					exchange()
				}
				is.Equal(testing.AllocsPerRun(200, exchange), 0.0)
				is.Equal(answered, len(stream)+100+1+200)
				is.NoErr(resp.CloseNow())
				close(c.in)
				<-resp.Done()
			})
		}
	}
}

// feeder is a server that holds next to nothing itself: each connection gets the
// same bytes, and what it sends is only counted.
type feeder struct {
	net.Listener
	extensions string
	send       []byte
	wg         sync.WaitGroup
}

func (f *feeder) serve() {
	for {
		conn, err := f.Accept()
		if err != nil {
			return
		}
		f.wg.Go(func() {
			defer conn.Close()
			if _, err := conn.Write(append([]byte(switching(readKey(conn), f.extensions)), f.send...)); err != nil {
				return
			}
			var drop [64]byte
			for err == nil {
				_, err = conn.Read(drop[:])
			}
		})
	}
}

// readKey reads a handshake, on a goroutine whose stack stays small.
func readKey(conn net.Conn) string {
	key := make(chan string)
	go func() {
		req, err := http.ReadRequest(bufio.NewReader(conn))
		if err != nil {
			key <- ""
			return
		}
		key <- req.Header.Get("Sec-WebSocket-Key")
	}()
	return <-key
}

// What a connection holds while it waits, after it has exchanged messages: the
// windows that were agreed on, as far as they are filled, and no compressor.
func TestCompressionIdleMemory(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector takes memory of its own")
	}
	const none = deflate + "; client_no_context_takeover; server_no_context_takeover"
	perConn := func(extensions string, size int) int {
		before := inUse()
		conns := idle(t, extensions, size)
		after := inUse()
		n := (after - before) / len(conns)
		for _, resp := range conns {
			_ = resp.CloseNow()
			<-resp.Done()
		}
		return n
	}
	perConn("", 1000) // fills the pools
	perConn(deflate, 1000)
	for _, c := range []struct {
		extensions string
		size       int // of the message that came last, and was sent back
		most       int // bytes more than a plain connection
	}{
		{none, 1000, 600},
		{none, 100_000, 600},
		{deflate, 1000, 4 << 10},
		{deflate, 100_000, 44 << 10},
		{deflate + "; server_max_window_bits=10", 100_000, 5 << 10},
	} {
		plain, packed := perConn("", c.size), perConn(c.extensions, c.size)
		t.Logf("%s, after %d bytes each way: %d bytes, %d more than without", c.extensions, c.size, packed, packed-plain)
		if packed-plain > c.most {
			t.Errorf("that is more than %d", c.most)
		}
	}
}

// inUse is what the program holds on the heap now, after all that can go has gone.
// Stacks are those of the server here: idle connections have no goroutine.
func inUse() int {
	for range 3 { // pools take two to become empty
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// idle opens connections each of which has got and sent one message of size bytes.
func idle(t *testing.T, extensions string, size int) []*reqws.Response {
	const conns = 300
	is := is.New(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	is.NoErr(err)
	message := reqwstest.Text(prose(1, size))
	if extensions != "" {
		message = wiretest.Deflate(message)
	}
	srv := &feeder{Listener: ln, extensions: extensions, send: reqwstest.Encode(message)}
	go srv.serve()
	t.Cleanup(func() {
		ln.Close()
		srv.wg.Wait()
	})
	got := make(chan int)
	req := reqws.New(reqws.URL("ws://"+ln.Addr().String()), reqws.Compression(takeover),
		reqws.Into(func(in reqws.Event, resp *reqws.Response) reqws.Directive {
			if in.Err == nil {
				got <- len(in.Frames[0].Data)
				return reqws.Cont(in.Frames...)
			}
			return reqws.Cont()
		}))
	var open []*reqws.Response
	for range conns {
		resp, err := req.Do(t.Context())
		is.NoErr(err)
		is.Equal(<-got, size)
		open = append(open, resp)
	}
	for _, resp := range open {
		is.NoErr(resp.Send(t.Context(), reqws.Text("the reply is out")))
	}
	return open
}
