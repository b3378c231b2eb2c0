package interop

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/matryer/is"

	"github.com/reqws/reqws"
)

// backend is a plain WebSocket server that the programs are put in front of.
type backend struct {
	*httptest.Server
	ended chan ending // of each connection

	mu       sync.Mutex
	requests []*http.Request
}

// ending is how a connection ended, as the backend saw it.
type ending struct {
	code   websocket.StatusCode // of the client's close frame, -1 if none came
	reason string
	err    error
}

// newBackend starts a server that echoes, and at /close is the first to close.
func newBackend(t *testing.T, start func(*httptest.Server)) *backend {
	b := &backend{ended: make(chan ending, 4096)}
	b.Server = httptest.NewUnstartedServer(http.HandlerFunc(b.serve))
	b.Config.ErrorLog = log.New(io.Discard, "", 0) // clients may not like its certificate
	start(b.Server)
	t.Cleanup(b.Close)
	return b
}

var (
	plain   = (*httptest.Server).Start
	overTLS = (*httptest.Server).StartTLS
)

func (b *backend) addr() string { return b.Listener.Addr().String() }

func (b *backend) port() string {
	_, port, _ := net.SplitHostPort(b.addr())
	return port
}

func (b *backend) wsURL() string { return "ws" + strings.TrimPrefix(b.URL, "http") }

// last returns the request that was accepted last.
func (b *backend) last() *http.Request {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.requests[len(b.requests)-1]
}

func (b *backend) serve(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	b.requests = append(b.requests, r)
	b.mu.Unlock()
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		CompressionMode: websocket.CompressionContextTakeover,
		Subprotocols:    []string{"echo"},
	})
	if err != nil {
		return
	}
	conn.SetReadLimit(-1)
	if r.URL.Path == "/close" {
		code, _ := strconv.Atoi(r.URL.Query().Get("code"))
		err := conn.Close(websocket.StatusCode(code), "the backend is first")
		b.ended <- ending{code: websocket.CloseStatus(err), err: err}
		return
	}
	err = echo(r.Context(), conn)
	_ = conn.CloseNow()
	end := ending{code: websocket.CloseStatus(err), err: err}
	var ce websocket.CloseError
	if errors.As(err, &ce) {
		end.reason = ce.Reason
	}
	b.ended <- end
}

func echo(ctx context.Context, conn *websocket.Conn) error {
	for {
		kind, data, err := conn.Read(ctx)
		if err != nil {
			return err
		}
		if err := conn.Write(ctx, kind, data); err != nil {
			return err
		}
	}
}

// how the next of its connections ended.
func (b *backend) how(t *testing.T) ending {
	t.Helper()
	select {
	case end := <-b.ended:
		return end
	case <-time.After(20 * time.Second):
		t.Fatal("the backend has not seen the connection end")
		return ending{}
	}
}

// within bounds a test's traffic.
func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// open connects, pulling; no test wants a retry that hides a failure.
func open(t *testing.T, opts ...reqws.Option) *reqws.Response {
	t.Helper()
	resp, err := reqws.New(opts...).Do(within(t, time.Minute), reqws.Retry(reqws.Never), reqws.HTTPErrors(reqws.RaiseErrors))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.CloseNow() })
	return resp
}

// refused is the error of a connection that must not come about.
func refused(t *testing.T, opts ...reqws.Option) error {
	t.Helper()
	resp, err := reqws.New(opts...).Do(within(t, time.Minute), reqws.Retry(reqws.Never), reqws.HTTPErrors(reqws.RaiseErrors))
	if err == nil {
		_ = resp.CloseNow()
		t.Fatal("it connected")
	}
	return err
}

// messages returns texts and binaries of all the sizes at which something changes
// in how they are framed, compressed or written, up to most bytes.
func messages(most int) []reqws.Frame {
	var frames []reqws.Frame
	for i, size := range []int{0, 1, 100, 125, 126, 127, 128, 511, 512, 4096, 65535, 65536, 70000, 1 << 20, 10_000_000} {
		if size > most {
			break
		}
		noise := make([]byte, size)
		rand.NewChaCha8([32]byte{byte(i)}).Read(noise)
		frames = append(frames, reqws.Text(text(size)), reqws.Binary(noise), reqws.Binary(text(size)))
		if i%3 == 0 {
			frames = append(frames, reqws.Ping("a ping"))
		}
	}
	return frames
}

// feed is half a megabyte of JSON.
var feed = sync.OnceValue(func() string {
	var b strings.Builder
	for i := 0; b.Len() < 500_000; i++ {
		fmt.Fprintf(&b, `{"n":%d,"name":"größe %d","price":%d.%02d}`, i, i%97, i*7919%10007, i%100)
	}
	return b.String()
})

// text returns size bytes of it.
func text(size int) string {
	whole := strings.ToValidUTF8(strings.Repeat(feed(), size/len(feed())+1)[:size], "") // the cut may be inside a character
	return whole + strings.Repeat("~", size-len(whole))
}

// exchange sends frames, and expects each of the messages among them back, in
// order, while it sends.
func exchange(t *testing.T, resp *reqws.Response, frames []reqws.Frame) {
	t.Helper()
	is := is.New(t)
	ctx := within(t, time.Minute)
	sent := make(chan error, 1)
	go func() {
		for _, f := range frames {
			if err := resp.Send(ctx, f); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	next := pull(t, resp)
	for i, want := range frames {
		if want.Kind == reqws.KindPing {
			continue
		}
		got := next()
		if got.Kind != want.Kind || !bytes.Equal(got.Data, want.Data) {
			t.Fatalf("message %d: got %v, want %v", i, got, want)
		}
	}
	is.NoErr(<-sent)
}

// pull returns a function for the next message.
func pull(t *testing.T, resp *reqws.Response) (next func() reqws.Frame) {
	ctx := within(t, time.Minute)
	var frames []reqws.Frame
	return func() reqws.Frame {
		t.Helper()
		for {
			for len(frames) > 0 {
				f := frames[0]
				frames = frames[1:]
				if f.Kind == reqws.KindText || f.Kind == reqws.KindBinary {
					return f
				}
			}
			var err error
			if frames, err = resp.Receive(ctx); err != nil && len(frames) == 0 {
				t.Fatalf("receive: %v", err)
			}
		}
	}
}
