package reqws

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matryer/is"

	"github.com/reqws/reqws/internal/conn"
	"github.com/reqws/reqws/internal/wiretest"
	"github.com/reqws/reqws/reqwstest"
)

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("not within 10 s: " + what)
		}
	}
}

// overTLS are the ways in which streams that park reach their server.
var overTLS = map[string][]reqwstest.Option{
	"ws":          nil,
	"wss TLS 1.2": {reqwstest.TLS(func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 })},
	"wss TLS 1.3": {reqwstest.TLS()},
}

// parksOver runs test over each of them, with and without a reader ahead of the loop.
func parksOver(t *testing.T, test func(t *testing.T, new func(t *testing.T, steps ...reqwstest.Step) *reqwstest.Server, opts ...Option)) {
	for name, over := range overTLS {
		for _, ahead := range []int{0, 1000} {
			t.Run(fmt.Sprintf("%s/ReadAhead=%d", name, ahead), func(t *testing.T) {
				test(t, func(t *testing.T, steps ...reqwstest.Step) *reqwstest.Server {
					return reqwstest.New(t, append([]reqwstest.Option{reqwstest.Script(steps...).Repeat()}, over...)...)
				}, ReadAhead(ahead))
			})
		}
	}
}

func TestIdleStreamsHaveNoGoroutine(t *testing.T) { parksOver(t, testIdleStreams) }

func testIdleStreams(t *testing.T, new func(t *testing.T, steps ...reqwstest.Step) *reqwstest.Server, opts ...Option) {
	is := is.New(t)
	reqwstest.NoLeaks(t)
	wiretest.NoFDLeaks(t)
	const n = 50
	srv := new(t, reqwstest.Accept(), reqwstest.EchoUntilClose())
	var echoed atomic.Int32
	req := New(URL(srv.URL), TLSConfig(srv.TLSConfig()), Into(Each(func(f Frame) Directive {
		if f.Kind == KindText {
			echoed.Add(1)
		}
		return Cont()
	}))).With(opts...)
	var streams []*Response
	for range n {
		resp, err := req.Do(t.Context())
		is.NoErr(err)
		streams = append(streams, resp)
	}
	if strings.HasPrefix(srv.URL, "ws:") {
		is.Equal(conn.Parked(), n) // they wait from the start
		is.Equal(loops(), 0)
	}

	for round := range 3 {
		for _, resp := range streams {
			is.NoErr(resp.Send(t.Context(), Text(fmt.Sprint("round ", round))))
		}
		eventually(t, "all echoed", func() bool { return echoed.Load() == int32(n*(round+1)) })
	}
	eventually(t, "all parked again", func() bool { return conn.Parked() == n && loops() == 0 })

	for i, resp := range streams {
		if i%2 == 0 {
			is.NoErr(resp.Close(1000, ""))
			is.NoErr(resp.Wait())
		} else {
			is.NoErr(resp.CloseNow())
			is.Equal(fmt.Sprint(resp.Wait()), fmt.Sprintf("reqws: stream: %s/: the stream is closed", srv.URL))
		}
	}
	is.Equal(conn.Parked(), 0)
}

// loops counts the goroutines of streams.
func loops() int {
	buf := make([]byte, 1<<20)
	buf = buf[:runtime.Stack(buf, true)]
	return bytes.Count(buf, []byte("reqws.(*stream).run(")) + bytes.Count(buf, []byte("reqws.(*ahead).read("))
}

// A parked stream notices every kind of end.
func TestParkedStreamsEnd(t *testing.T) { parksOver(t, testParkedStreamsEnd) }

func testParkedStreamsEnd(t *testing.T, new func(t *testing.T, steps ...reqwstest.Step) *reqwstest.Server, opts ...Option) {
	endings := []struct {
		name  string
		steps []reqwstest.Step
		end   func(resp *Response, cancel func())
		err   string
	}{
		{"the peer closes", []reqwstest.Step{reqwstest.SendClose(1001, "bye"), reqwstest.ExpectCloseCode(1001)}, nil, "closed by the peer: status = StatusGoingAway and reason = \"bye\""},
		{"the peer drops", []reqwstest.Step{reqwstest.Drop()}, nil, "the connection ended without a close frame: unexpected EOF"},
		{"the peer resets", []reqwstest.Step{reqwstest.Reset()}, nil, "read: connection reset by peer"},
		{"ctx ends", []reqwstest.Step{reqwstest.ExpectCloseCode(1001)}, func(_ *Response, cancel func()) { cancel() }, "context canceled"},
		{"Close", []reqwstest.Step{reqwstest.ExpectClose(3000, "x"), reqwstest.SendClose(3000, "")}, func(resp *Response, _ func()) { _ = resp.Close(3000, "x") }, ""},
		{"CloseNow", []reqwstest.Step{reqwstest.ExpectGone()}, func(resp *Response, _ func()) { _ = resp.CloseNow() }, "the stream is closed"},
		{"a close frame sent", []reqwstest.Step{reqwstest.ExpectClose(1000, ""), reqwstest.SendClose(1000, "")}, func(resp *Response, _ func()) {
			_ = resp.Send(context.Background(), Close(1000, ""))
		}, ""},
	}
	for _, tt := range endings {
		t.Run(tt.name, func(t *testing.T) {
			is := is.New(t)
			reqwstest.NoLeaks(t)
			wiretest.NoFDLeaks(t)
			begin := make(chan struct{})
			steps := append([]reqwstest.Step{reqwstest.Accept(), reqwstest.Await(begin)}, tt.steps...)
			srv := new(t, steps...)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			broke := make(chan error, 2)
			resp, err := New(URL(srv.URL), TLSConfig(srv.TLSConfig()), Into(func(in Event, _ *Response) Directive {
				if in.Err != nil {
					broke <- in.Err
				}
				return Cont()
			})).With(opts...).Do(ctx)
			is.NoErr(err)
			eventually(t, "parked", func() bool { return conn.Parked() == 1 && loops() == 0 })
			close(begin)
			if tt.end != nil {
				tt.end(resp, cancel)
			}
			err = resp.Wait()
			if tt.err == "" {
				is.NoErr(err)
				is.Equal(len(broke), 0)
				return
			}
			is.True(err != nil)
			is.Equal(err.Error(), "reqws: stream: "+srv.URL+"/: "+tt.err)
			is.Equal(<-broke, err) // the handler was told, once
			is.Equal(len(broke), 0)
		})
	}
}

// Streams that are sent to, pulled from and ended at random, parked and awake,
// lose nothing and leave nothing behind.
func TestParkingUnderStress(t *testing.T) {
	reqwstest.NoLeaks(t)
	wiretest.NoFDLeaks(t)
	srv := reqwstest.New(t, reqwstest.Script(reqwstest.Accept(), reqwstest.EchoUntilClose()).Repeat())
	req := New(URL(srv.URL))
	var wg sync.WaitGroup
	for range 30 {
		wg.Go(func() {
			resp, err := req.Do(context.Background())
			if err != nil {
				t.Error(err)
				return
			}
			for i := range 100 {
				if rand.IntN(10) == 0 {
					runtime.Gosched()
				}
				want := fmt.Sprint("message ", i)
				if err := resp.Send(context.Background(), Text(want)); err != nil {
					t.Error(err)
					return
				}
				frames, err := resp.Receive(context.Background())
				if err != nil || len(frames) != 1 || frames[0].Text() != want {
					t.Errorf("got %v %v, want %s", frames, err, want)
					return
				}
			}
			if rand.IntN(2) == 0 {
				if err := resp.Close(1000, ""); err != nil {
					t.Error(err)
				}
				if _, err := resp.Receive(context.Background()); err != io.EOF {
					t.Errorf("after Close: %v", err)
				}
			} else {
				_ = resp.CloseNow()
			}
		})
	}
	wg.Wait()
}

// Descriptors are reused as soon as they are free: no stream may be woken, or left asleep, for
// another one that had its number before.
func TestStreamsThatComeAndGoHearAll(t *testing.T) {
	ends := map[string]func(resp *Response, cancel func()){
		"CloseNow": func(resp *Response, _ func()) { _ = resp.CloseNow() },
		"ctx":      func(_ *Response, cancel func()) { cancel() },
		"Close":    func(resp *Response, _ func()) { _ = resp.Close(1000, "") },
	}
	for name, end := range ends {
		for _, procs := range []int{1, runtime.GOMAXPROCS(0)} {
			t.Run(fmt.Sprintf("%s/GOMAXPROCS=%d", name, procs), func(t *testing.T) {
				defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
				reqwstest.NoLeaks(t)
				wiretest.NoFDLeaks(t)
				srv := reqwstest.New(t, reqwstest.Script(
					reqwstest.Accept(),
					reqwstest.Do(func(*reqwstest.Conn) error { runtime.Gosched(); return nil }),
					reqwstest.SendText("hey"),
					reqwstest.EchoUntilClose(),
				).Repeat())
				req := New(URL(srv.URL), Logger(nil))
				var all sync.WaitGroup
				for range 50 {
					all.Go(func() {
						for range 20 {
							ctx, cancel := context.WithCancel(context.Background())
							resp, err := req.Do(ctx)
							if err != nil {
								t.Error(err)
								cancel()
								return
							}
							patience, stop := context.WithTimeout(ctx, 20*time.Second)
							if frames, err := resp.Receive(patience); err != nil || frames[0].Text() != "hey" {
								t.Errorf("deaf: %v %v", frames, err)
							}
							stop()
							end(resp, cancel)
							if rand.IntN(2) == 0 {
								_ = resp.Wait()
							}
							cancel()
						}
					})
				}
				all.Wait()
			})
		}
	}
}

// What a peer says before it drops the connection, and that it does, is heard by a parked stream
// however the two fall together: an event for both, or one for each, before, while or after the stream reads.
func TestAParkedStreamHearsTheLastWord(t *testing.T) { parksOver(t, testTheLastWord) }

func testTheLastWord(t *testing.T, new func(t *testing.T, steps ...reqwstest.Step) *reqwstest.Server, opts ...Option) {
	reqwstest.NoLeaks(t)
	wiretest.NoFDLeaks(t)
	const n = 100
	words := func(k int) []reqwstest.Step {
		steps := []reqwstest.Step{reqwstest.Accept()}
		for i := range k {
			steps = append(steps, reqwstest.SendText(fmt.Sprint(i)), reqwstest.Do(func(*reqwstest.Conn) error {
				for range rand.IntN(5) {
					runtime.Gosched()
				}
				return nil
			}))
		}
		return append(steps, reqwstest.Drop())
	}
	for k := range 4 {
		t.Run(fmt.Sprint(k), func(t *testing.T) {
			srv := new(t, words(k)...)
			var heard, ended atomic.Int32
			req := New(URL(srv.URL), TLSConfig(srv.TLSConfig()), Into(func(in Event, _ *Response) Directive {
				heard.Add(int32(len(in.Frames)))
				if in.Err != nil {
					ended.Add(1)
				}
				return Cont()
			})).With(opts...)
			var all sync.WaitGroup
			for range n {
				all.Go(func() {
					resp, err := req.Do(context.Background())
					if err != nil {
						t.Error(err)
						return
					}
					select {
					case <-resp.Done():
					case <-time.After(20 * time.Second):
						t.Error("deaf")
					}
				})
			}
			all.Wait()
			is := is.New(t)
			is.Equal(heard.Load(), int32(n*k))
			is.Equal(ended.Load(), int32(n))
		})
	}
}

// A stream of a testing/synctest bubble over a real socket keeps its goroutine: the poller is
// outside of the bubble.
func TestRealSocketsInABubble(t *testing.T) {
	is := is.New(t)
	srv := reqwstest.New(t, reqwstest.Script(reqwstest.Accept(), reqwstest.EchoUntilClose()).Repeat())
	outside, err := New(URL(srv.URL)).Do(t.Context())
	is.NoErr(err)
	is.Equal(conn.Parked(), 1)
	for range 3 {
		synctest.Test(t, func(t *testing.T) {
			resp, err := New(URL(srv.URL)).Do(t.Context())
			is.NoErr(err)
			is.Equal(conn.Parked(), 1) // that of outside
			is.NoErr(resp.Send(t.Context(), Text("x")))
			frames, err := resp.Receive(t.Context())
			is.NoErr(err)
			is.Equal(frames[0].Text(), "x")
			is.NoErr(resp.Close(1000, ""))
		})
	}
	is.NoErr(outside.Close(1000, ""))
}

// A stream that ends with what OnOpen says on its second connection waits for the server's end itself,
// and leaves nothing parked.
func TestABadReplyOfOnOpenAfterReconnecting(t *testing.T) {
	for _, ahead := range []int{0, 1000} {
		t.Run(fmt.Sprint(ahead), func(t *testing.T) {
			is := is.New(t)
			reqwstest.NoLeaks(t)
			wiretest.NoFDLeaks(t)
			sawEnd := make(chan struct{})
			srv := reqwstest.New(t,
				reqwstest.Script(reqwstest.Accept(), reqwstest.Reset()),
				reqwstest.Script(reqwstest.Accept(), reqwstest.ExpectCloseCode(1011), reqwstest.ExpectEOF(), reqwstest.Do(func(*reqwstest.Conn) error {
					close(sawEnd)
					return nil
				})),
			)
			opened := 0
			resp, err := New(URL(srv.URL), ReadAhead(ahead), Reconnect(1), Logger(nil), ReconnectFunc(func(error) RetryDecision { return AgainAfter(0) }),
				OnOpen(func(*Response) Directive {
					if opened++; opened == 2 {
						return Cont(Pong(make([]byte, 126)))
					}
					return Cont()
				}), Into(func(Event, *Response) Directive { return Cont() })).Do(t.Context())
			is.NoErr(err)
			is.True(resp.Wait() != nil)
			select {
			case <-sawEnd:
			default:
				t.Error("the stream did not wait for the server")
			}
			is.Equal(conn.Parked(), 0)
		})
	}
}
