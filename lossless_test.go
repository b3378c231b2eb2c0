package reqws_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/matryer/is"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/reqwstest"
)

// A clean close loses nothing that Send said nil for, though the socket holds bytes that
// nobody reads any more: pongs here.
func TestACloseLosesNothing(t *testing.T) {
	const n, size = 100, 10_000
	for name, server := range servers {
		for _, ends := range []string{"Close", "Halt"} {
			t.Run(name+"/"+ends, func(t *testing.T) {
				tidy(t)
				is := is.New(t)
				got := 0
				srv := server(t, reqwstest.BufferSize(32<<10), reqwstest.Script(
					reqwstest.Accept(),
					reqwstest.Send(reqwstest.Text("begin")),
					reqwstest.Do(func(c *reqwstest.Conn) error {
						for {
							op, p, err := c.ReadMessage()
							switch {
							case err != nil:
								return fmt.Errorf("after %d messages: %w", got, err)
							case op == reqwstest.OpPing:
								// The client may have stopped to read: then this finds nobody.
								_ = c.WriteFrame(reqwstest.Pong(p), reqwstest.Text("more"))
							case op == reqwstest.OpClose:
								return c.WriteFrame(reqwstest.Close(1000, ""))
							default:
								got++
							}
						}
					}),
				))
				send := func(resp *reqws.Response) {
					for range n {
						is.NoErr(resp.Send(context.Background(), reqws.Binary(make([]byte, size)), reqws.Ping("x")))
					}
				}
				req := to(srv, reqws.CloseTimeout(time.Minute))
				var resp *reqws.Response
				var err error
				if ends == "Halt" {
					resp, err = req.Do(t.Context(), reqws.Into(func(_ reqws.Event, r *reqws.Response) reqws.Directive {
						send(r)
						return reqws.Halt()
					}))
					is.NoErr(err)
				} else {
					resp, err = req.Do(t.Context(), (&witness{}).into())
					is.NoErr(err)
					send(resp)
					is.NoErr(resp.Close(1000, ""))
				}
				is.NoErr(resp.Wait())
				is.NoErr(srv.Wait(t.Context()))
				is.Equal(got, n)
			})
		}
	}
}

// After the closing handshake the client shuts down its side, and leaves it to the server
// to end the connection (RFC 6455, section 7.1.1), for as long as CloseTimeout says.
func TestTheServerEndsTheConnection(t *testing.T) {
	for _, tc := range []struct {
		name  string
		waits time.Duration
		took  time.Duration
	}{
		{"at once", 0, 0},
		{"after a while", 2 * time.Second, 2 * time.Second},
		{"too late", 10 * time.Second, 5 * time.Second},
	} {
		for _, tls := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/tls=%v", tc.name, tls), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					is := is.New(t)
					options := []reqwstest.Option{reqwstest.Script(
						reqwstest.Accept(),
						reqwstest.SendClose(1000, ""),
						reqwstest.ExpectClose(1000, ""),
						reqwstest.ExpectEOF(), // the client has said its part
						reqwstest.Sleep(tc.waits),
						reqwstest.Drop(),
					)}
					if tls {
						options = append(options, reqwstest.TLS())
					}
					srv := reqwstest.NewMemory(t, options...)
					start := time.Now()
					is.NoErr(to(srv).Run(t.Context(), (&witness{}).into()))
					is.Equal(time.Since(start), tc.took)
					is.NoErr(srv.Wait(t.Context()))
				})
			})
		}
	}
}

// Whatever a handler does, nobody who ends its stream waits for longer than CloseTimeout.
func TestTheEndDoesNotWaitForAHandler(t *testing.T) {
	const timeout = time.Second
	stuck := func(t *testing.T, told bool, first func(*reqws.Response, func()), then func(*reqws.Response) error) {
		synctest.Test(t, func(t *testing.T) {
			is := is.New(t)
			srv := reqwstest.NewMemory(t, reqwstest.Script(reqwstest.Accept(), reqwstest.SendText("go"), reqwstest.Stall()))
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			leave, inside := make(chan struct{}), make(chan struct{})
			var once sync.Once
			resp, err := to(srv, reqws.CloseTimeout(timeout)).Do(ctx, reqws.Into(func(in reqws.Event, _ *reqws.Response) reqws.Directive {
				once.Do(func() { close(inside) })
				if !told || in.Err != nil {
					<-leave
				}
				return reqws.Cont()
			}))
			is.NoErr(err)
			<-inside
			start := time.Now()
			first(resp, cancel)
			synctest.Wait()
			is.True(time.Since(start) <= timeout)
			start = time.Now()
			err = then(resp)
			t.Log(err)
			is.True(time.Since(start) <= timeout)
			close(leave)
			_ = resp.Wait()
			is.NoErr(resp.Close(1000, "")) // the end was before
		})
	}
	firsts := map[string]func(*reqws.Response, func()){
		"nothing":   func(*reqws.Response, func()) {},
		"Close":     func(r *reqws.Response, _ func()) { _ = r.Close(1000, "") },
		"CloseNow":  func(r *reqws.Response, _ func()) { _ = r.CloseNow() },
		"ctx ended": func(_ *reqws.Response, cancel func()) { cancel() },
		"a Send": func(r *reqws.Response, _ func()) {
			_ = r.Send(context.Background(), reqws.Close(1000, ""))
		},
	}
	thens := map[string]func(*reqws.Response) error{
		"Close":    func(r *reqws.Response) error { return r.Close(1000, "") },
		"CloseNow": (*reqws.Response).CloseNow,
	}
	for before, first := range firsts {
		for name, then := range thens {
			for _, told := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s after %s/told=%v", name, before, told), func(t *testing.T) { stuck(t, told, first, then) })
			}
		}
	}
}

// What the handler answered and could not be written, or was not answered by a close frame, is
// no clean end.
func TestAnswersThatAreLost(t *testing.T) {
	order := reqws.Text("the order")
	for _, tc := range []struct {
		name    string
		leaves  []reqwstest.Step // the peer, before the handler answers
		answer  reqws.Directive
		want    error // by errors.Is; nil: a clean end
		memory  bool  // in memory alone: the network may be too slow to tell
		noClose bool  // the peer closes with a frame of its own
	}{
		{"Halt after a reset", []reqwstest.Step{reqwstest.Reset()}, reqws.Halt(order), syscall.ECONNRESET, false, false},
		{"Halt without replies after a reset", []reqwstest.Step{reqwstest.Reset()}, reqws.Halt(), syscall.ECONNRESET, false, false},
		{"Cont after a reset", []reqwstest.Step{reqwstest.Reset()}, reqws.Cont(order), syscall.ECONNRESET, false, false},
		{"Halt after a drop", []reqwstest.Step{reqwstest.Drop()}, reqws.Halt(order), syscall.EPIPE, true, false},
		{"Halt, and the peer hangs up", nil, reqws.Halt(order), io.ErrUnexpectedEOF, false, false},
		{"Halt on the peer's close, and it is gone", []reqwstest.Step{reqwstest.SendClose(1001, ""), reqwstest.Drop()}, reqws.Halt(), nil, true, true},
		{"Halt with replies on the peer's close, and it is gone", []reqwstest.Step{reqwstest.SendClose(1000, ""), reqwstest.Drop()}, reqws.Halt(order), syscall.EPIPE, true, true},
		{"replies to the peer's clean close, and it is gone", []reqwstest.Step{reqwstest.SendClose(1000, ""), reqwstest.Drop()}, reqws.Cont(order), syscall.EPIPE, true, true},
	} {
		for name, server := range servers {
			if tc.memory && name != "memory" {
				continue
			}
			t.Run(tc.name+"/"+name, func(t *testing.T) {
				tidy(t)
				is := is.New(t)
				gone := make(chan struct{})
				steps := append([]reqwstest.Step{reqwstest.Accept(), reqwstest.SendText("go")}, tc.leaves...)
				steps = append(steps, reqwstest.Do(func(*reqwstest.Conn) error { close(gone); return nil }))
				if tc.leaves == nil {
					steps = append(steps, reqwstest.ExpectText("the order"), reqwstest.ExpectClose(1000, ""), reqwstest.Drop())
				}
				srv := server(t, reqwstest.Script(steps...))
				err := to(srv).Run(t.Context(), reqws.Into(func(in reqws.Event, _ *reqws.Response) reqws.Directive {
					if in.Err != nil {
						return reqws.Cont()
					}
					if last := in.Frames[len(in.Frames)-1]; tc.noClose && last.Kind != reqws.KindClose {
						return reqws.Cont()
					}
					<-gone
					return tc.answer
				}))
				if tc.want == nil {
					is.NoErr(err)
					return
				}
				if !errors.Is(err, tc.want) && !(tc.want == syscall.ECONNRESET && errors.Is(err, syscall.EPIPE)) {
					t.Errorf("got %v, want %v", err, tc.want)
				}
			})
		}
	}
}

// The first error of the socket is the stream's: that of a Send, where that meets it first.
func TestAResetUnderSends(t *testing.T) {
	for range 20 {
		t.Run("", func(t *testing.T) {
			tidy(t)
			is := is.New(t)
			srv := reqwstest.New(t, reqwstest.Script(reqwstest.Accept(), reqwstest.ExpectText("x"), reqwstest.Reset()))
			resp, err := to(srv).Do(t.Context())
			is.NoErr(err)
			var all sync.WaitGroup
			for range 8 {
				all.Go(func() {
					for resp.Send(t.Context(), reqws.Text("x")) == nil {
					}
				})
			}
			all.Wait()
			err = resp.Wait()
			if !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// A close frame without a code is the usual clean end of many servers, and can be sent.
func TestABareClose(t *testing.T) {
	bare := reqwstest.Close(0, "")
	for _, tc := range []struct {
		name   string
		server []reqwstest.Step
		client func(*reqws.Response) error
	}{
		{"the peer's", []reqwstest.Step{reqwstest.Send(bare), reqwstest.ExpectFrames(bare)}, nil},
		{"by Close", []reqwstest.Step{reqwstest.ExpectFrames(bare), reqwstest.Send(bare)}, func(r *reqws.Response) error { return r.Close(0, "") }},
		{"by Send", []reqwstest.Step{reqwstest.ExpectFrames(reqwstest.Text("x"), bare), reqwstest.Send(bare)}, func(r *reqws.Response) error {
			return r.Send(context.Background(), reqws.Text("x"), reqws.Frame{Kind: reqws.KindClose})
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tidy(t)
			is := is.New(t)
			srv := reqwstest.New(t, reqwstest.Script(append([]reqwstest.Step{reqwstest.Accept()}, tc.server...)...))
			w := &witness{}
			resp, err := to(srv).Do(t.Context(), w.into())
			is.NoErr(err)
			_, _, ok := resp.PeerClose()
			is.True(!ok || tc.client == nil)
			if tc.client != nil {
				is.NoErr(tc.client(resp))
			}
			is.NoErr(resp.Wait())
			is.Equal(w.errs, nil)
			code, reason, ok := resp.PeerClose()
			is.True(ok)
			is.Equal(code, websocket.StatusNoStatusRcvd)
			is.Equal(reason, "")
		})
	}
}

// A handler that is told of the end may wait for the Sends that the end finds under way.
func TestAHandlerThatWaitsForSendsAtTheEnd(t *testing.T) {
	for name, server := range servers {
		t.Run(name, func(t *testing.T) {
			tidy(t)
			is := is.New(t)
			srv := server(t, reqwstest.Script(
				reqwstest.Accept(),
				reqwstest.Do(func(c *reqwstest.Conn) error {
					_, err := io.ReadFull(c, make([]byte, 1000)) // a Send is under way
					return err
				}),
				reqwstest.Do((*reqwstest.Conn).CloseWrite),
				reqwstest.Stall(),
			))
			var sends sync.WaitGroup
			errs := make([]error, 3)
			resp, err := to(srv, reqws.WriteTimeout(0)).Do(t.Context(), reqws.Into(func(in reqws.Event, _ *reqws.Response) reqws.Directive {
				is.True(in.Err != nil)
				sends.Wait()
				return reqws.Cont()
			}))
			is.NoErr(err)
			for i := range errs {
				sends.Go(func() { errs[i] = resp.Send(context.Background(), reqws.Binary(make([]byte, 32<<20))) })
			}
			err = resp.Wait()
			is.True(errors.Is(err, io.ErrUnexpectedEOF))
			for _, sent := range errs {
				is.True(errors.Is(sent, io.ErrUnexpectedEOF))
			}
		})
	}
}

// A handler that closes its stream and then halts it, too, is not told what it did.
func TestCloseAndThenHalt(t *testing.T) {
	mine := errors.New("mine")
	closes := map[string]func(*reqws.Response){
		"Close":    func(r *reqws.Response) { _ = r.Close(1000, "") },
		"CloseNow": func(r *reqws.Response) { _ = r.CloseNow() },
		"Send":     func(r *reqws.Response) { _ = r.Send(context.Background(), reqws.Close(1000, "")) },
	}
	for name, closes := range closes {
		for _, answer := range []reqws.Directive{reqws.Halt(), reqws.Halt(reqws.Text("late")), reqws.Fail(mine), reqws.Fail(mine, reqws.Text("late"))} {
			t.Run(fmt.Sprint(name, " ", answer), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					is := is.New(t)
					srv := reqwstest.NewMemory(t, reqwstest.Script(
						reqwstest.Accept(),
						reqwstest.SendText("go"),
						reqwstest.Do(func(c *reqwstest.Conn) error {
							if _, err := c.ReadFrame(); err == nil {
								_ = c.WriteFrame(reqwstest.Close(1000, ""))
							}
							return nil
						}),
					))
					calls := 0
					err := to(srv).Run(t.Context(), reqws.Into(func(_ reqws.Event, r *reqws.Response) reqws.Directive {
						calls++
						closes(r)
						return answer
					}))
					is.Equal(calls, 1)
					switch {
					case answer.Err() != nil:
						is.True(errors.Is(err, mine))
					case name == "CloseNow":
						is.True(errors.Is(err, reqws.ErrClosed))
					default:
						is.NoErr(err)
					}
				})
			})
		}
	}
}

// An OnOpen that closes the stream, in whatever way, and then answers what cannot be sent, ends
// it once.
func TestOnOpenThatClosesAndAnswers(t *testing.T) {
	closes := map[string]func(*reqws.Response){
		"nothing":  func(*reqws.Response) {},
		"Close":    func(r *reqws.Response) { _ = r.Close(1000, "") },
		"CloseNow": func(r *reqws.Response) { _ = r.CloseNow() },
		"Send": func(r *reqws.Response) {
			_ = r.Send(context.Background(), reqws.Close(1000, ""))
		},
	}
	answers := map[string]reqws.Directive{
		"bad": reqws.Cont(reqws.Text("\xff")), "bad halt": reqws.Halt(reqws.Ping(strings.Repeat("x", 126))), "good": reqws.Cont(reqws.Text("x")),
		"halt": reqws.Halt(), "fail": reqws.Fail(io.ErrNoProgress),
	}
	for how, closing := range closes {
		for name, answer := range answers {
			for kind, server := range servers {
				t.Run(how+"/"+name+"/"+kind, func(t *testing.T) {
					tidy(t)
					is := is.New(t)
					srv := server(t, reqwstest.Script(reqwstest.Accept(), reqwstest.Do(func(c *reqwstest.Conn) error {
						for {
							if op, _, err := c.ReadMessage(); err != nil {
								return nil
							} else if op == reqwstest.OpClose {
								_ = c.WriteFrame(reqwstest.Close(1000, "")) // the client may be gone
								return nil
							}
						}
					})))
					resp, err := to(srv, reqws.CloseTimeout(10*time.Second)).Do(t.Context(), (&witness{}).into(),
						reqws.OnOpen(func(r *reqws.Response) reqws.Directive { closing(r); return answer }))
					if how == "nothing" && strings.HasPrefix(name, "bad") {
						var pe *reqws.ProtocolError
						is.True(errors.As(err, &pe))
						return
					}
					if err == nil {
						_ = resp.CloseNow()
						_ = resp.Wait()
					}
				})
			}
		}
	}
}

// Streams that are closed about when they would park, close as all others do.
func TestCloseWhenTheStreamFallsSilent(t *testing.T) {
	tidy(t)
	is := is.New(t)
	const n = 200
	srv := reqwstest.New(t, reqwstest.Script(reqwstest.Accept(), reqwstest.EchoUntilClose()).Times(n))
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			resp, err := to(srv).Do(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			for range 3 { // so that it keeps its goroutine for a second
				_ = resp.Send(t.Context(), reqws.Text("x"))
				_, _ = resp.Receive(t.Context())
			}
			time.Sleep(950*time.Millisecond + time.Duration(i)*time.Millisecond/2) // any moment will do
			if err := resp.Close(1000, ""); err != nil {
				t.Error(err)
			}
			if errors.Is(resp.Wait(), os.ErrDeadlineExceeded) {
				t.Error(resp.Wait())
			}
		})
	}
	all.Wait()
	is.NoErr(srv.Wait(t.Context()))
}

// What a peer sends on and on after a close frame that says what it, or the handler, did wrong
// is read, and not kept.
func TestAFloodAfterTheEnd(t *testing.T) {
	const flood = 64 << 20
	bad := func(*reqws.Response) reqws.Directive { return reqws.Cont(reqws.Text("\xff")) }
	for name, tc := range map[string]struct {
		first   reqwstest.Frame
		options []reqws.Option
	}{
		"bad reply":             {reqwstest.Text("go"), []reqws.Option{reqws.Into(func(_ reqws.Event, r *reqws.Response) reqws.Directive { return bad(r) })}},
		"bad reply to an open":  {reqwstest.Text("go"), []reqws.Option{reqws.OnOpen(bad)}},
		"a violation":           {reqwstest.Frame{Fin: true, Op: 3}, nil},
		"a close frame":         {reqwstest.Close(1001, ""), nil},
		"inside of a message":   {reqwstest.Frame{Op: reqwstest.OpText, Payload: []byte("\xff")}, nil},
		"a message too big":     {reqwstest.Frame{Fin: true, Op: reqwstest.OpBinary, Length: 1 << 40}, nil},
		"a halt and no answer":  {reqwstest.Text("go"), []reqws.Option{reqws.Into(func(reqws.Event, *reqws.Response) reqws.Directive { return reqws.Halt() })}},
		"a frame that is bogus": {reqwstest.Frame{Fin: true, RSV: 7, Op: reqwstest.OpText}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			tidy(t)
			is := is.New(t)
			srv := reqwstest.New(t, reqwstest.Script(
				reqwstest.Accept(),
				reqwstest.Send(tc.first),
				reqwstest.Do(func(c *reqwstest.Conn) error {
					if _, err := c.ReadFrame(); err != nil {
						return err
					}
					p := reqwstest.Encode(reqwstest.Binary(make([]byte, 1<<20)))
					for range flood >> 20 {
						if _, err := c.Write(p); err != nil {
							return err
						}
					}
					return nil
				}),
			))
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			resp, err := to(srv, tc.options...).Do(t.Context())
			if err == nil {
				err = resp.Wait()
			}
			is.True(err != nil)
			is.NoErr(srv.Wait(t.Context()))
			runtime.ReadMemStats(&after)
			is.True(after.TotalAlloc-before.TotalAlloc < flood/2)
		})
	}
}
