package reqws_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
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

// What had been read ahead is delivered before what the stream ended with, unless this side ended it:
// then it is discarded.
func TestReadAheadAndTheEnd(t *testing.T) {
	first, rest := []string{`text "work"`}, []string{`text "a"`, `text "b"`}
	closed := func(s string) []string { return append(append([]string(nil), rest...), s) }
	const work = 50 * time.Second // of slow
	for _, tt := range []struct {
		name  string
		steps []reqwstest.Step                          // of the server, two seconds after the rest was sent
		opts  []reqws.Option                            // of the client
		end   func(resp *reqws.Response, cancel func()) // called then
		took  time.Duration                             // what end takes
		rest  []string                                  // what the handler still sees
		err   error                                     // nil: a clean end
		at    time.Duration                             // when the stream ends
	}{
		{"the peer closes", []reqwstest.Step{reqwstest.SendClose(1000, "bye"), reqwstest.ExpectClose(1000, "")}, nil, nil, 0, closed(`close 1000 "bye"`), nil, work},
		{"the peer closes with 1001", []reqwstest.Step{reqwstest.SendClose(1001, ""), reqwstest.ExpectClose(1001, "")}, nil, nil, 0, closed(`close 1001`), websocket.CloseError{Code: 1001}, work},
		{"the peer drops", []reqwstest.Step{reqwstest.Drop()}, nil, nil, 0, rest, io.ErrUnexpectedEOF, work},
		{"the peer resets", []reqwstest.Step{reqwstest.Reset()}, nil, nil, 0, rest, syscall.ECONNRESET, work},
		{"the peer breaks the protocol", []reqwstest.Step{
			reqwstest.Send(reqwstest.Frame{Fin: true, RSV: reqwstest.RSV1, Op: reqwstest.OpText}), reqwstest.ExpectCloseCode(1002),
		}, nil, nil, 0, rest, &reqws.ProtocolError{Code: 1002}, work},
		{"silence", []reqwstest.Step{reqwstest.Stall()}, nil, nil, 0, rest, reqws.ErrPeerUnresponsive, work},
		{"a bad frame of the user's", []reqwstest.Step{reqwstest.ExpectGone()}, []reqws.Option{reqws.HeartbeatFrame(func() reqws.Frame { return reqws.Frame{} })}, nil,
			0, rest, &reqws.ProtocolError{Code: 1002}, work},
		{"ctx ends", []reqwstest.Step{reqwstest.ExpectCloseCode(1001)}, nil, func(_ *reqws.Response, cancel func()) { cancel() }, 0, nil, context.Canceled, work},
		{"CloseNow", []reqwstest.Step{reqwstest.ExpectGone()}, nil, func(resp *reqws.Response, _ func()) { _ = resp.CloseNow() }, 0, nil, reqws.ErrClosed, work},
		{"Close", []reqwstest.Step{reqwstest.ExpectClose(3000, ""), reqwstest.SendClose(3000, ""), reqwstest.ExpectGone()}, nil, func(resp *reqws.Response, _ func()) { _ = resp.Close(3000, "") },
			5 * time.Second, nil, nil, work},
		{"a close frame sent", []reqwstest.Step{reqwstest.ExpectClose(3000, ""), reqwstest.SendClose(3000, ""), reqwstest.ExpectGone()}, []reqws.Option{reqws.CloseTimeout(2 * work)},
			func(resp *reqws.Response, _ func()) { _ = resp.Send(context.Background(), reqws.Close(3000, "")) }, 0, nil, nil, work},
	} {
		for way, execute := range executions {
			t.Run(tt.name+"/"+way, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					tidy(t)
					is := is.New(t)
					srv := reqwstest.NewMemory(t, reqwstest.Script(append([]reqwstest.Step{
						reqwstest.Accept(), reqwstest.SendText("work"), gap(),
						reqwstest.SendText("a"), reqwstest.SendText("b"), gap(),
					}, tt.steps...)...))
					w := slow()
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					onOpen := reqws.OnOpen(func(resp *reqws.Response) reqws.Directive {
						if tt.end != nil {
							go func() {
								time.Sleep(2 * time.Second)
								start := time.Now()
								tt.end(resp, cancel)
								is.Equal(time.Since(start), tt.took)
							}()
						}
						return reqws.Cont()
					})
					start := time.Now()
					err := execute(ctx, to(srv, tt.opts...), w.into(), onOpen, reqws.ReadAhead(1<<10))
					is.Equal(time.Since(start), tt.at)
					is.Equal(w.frames(), append(append([]string(nil), first...), tt.rest...))
					if tt.err == nil {
						is.NoErr(err)
						is.Equal(len(w.errs), 0)
						return
					}
					var protocol, want *reqws.ProtocolError
					if errors.As(tt.err, &want) {
						is.True(errors.As(err, &protocol))
						is.Equal(protocol.Code, want.Code)
					} else {
						is.True(errors.Is(err, tt.err))
					}
					is.Equal(len(w.errs), 1)
					is.Equal(fmt.Sprint(w.errs[0]), fmt.Sprint(err))
				})
			})
		}
	}
}

// A handler that ends the stream does so though more was read ahead, and though the reader waits for
// room: the rest is discarded, the replies leave, and the closing handshake goes on as ever.
func TestReadAheadAndHalt(t *testing.T) {
	oops := errors.New("oops")
	for _, tt := range []struct {
		name   string
		answer reqws.Directive
		code   int
		check  func(error) bool
	}{
		{"Halt", reqws.Halt(reqws.Text("bye")), 1000, func(err error) bool { return err == nil }},
		{"Fail", reqws.Fail(oops, reqws.Text("bye")), 1011, func(err error) bool { return errors.Is(err, oops) }},
		{"a close frame", reqws.Cont(reqws.Text("bye"), reqws.Close(4000, "")), 4000, func(err error) bool { return err == nil }},
		{"a bad reply", reqws.Cont(reqws.Pong(make([]byte, 126))), 1011, func(err error) bool { return errors.As(err, new(*reqws.ProtocolError)) }},
	} {
		for way, execute := range executions {
			for _, n := range []int{1, 1 << 22} {
				for _, closeTimeout := range []time.Duration{0, 3 * time.Second} {
					for _, answers := range []bool{true, false} {
						t.Run(fmt.Sprintf("%s/%s/%d/%v/%v", tt.name, way, n, closeTimeout, answers), func(t *testing.T) {
							synctest.Test(t, func(t *testing.T) {
								tidy(t)
								is := is.New(t)
								steps := []reqwstest.Step{reqwstest.Accept(), reqwstest.SendText("work"), gap(), reqwstest.Do(func(c *reqwstest.Conn) error {
									for range 1000 {
										if err := c.WriteFrame(reqwstest.Binary(make([]byte, 1000))); err != nil && closeTimeout > 0 {
											return err
										}
									}
									return nil
								})}
								if tt.code != 1011 || tt.name == "Fail" {
									steps = append(steps, reqwstest.ExpectText("bye"))
								}
								steps = append(steps, reqwstest.ExpectCloseCode(tt.code))
								switch {
								case closeTimeout == 0:
									steps = append(steps, reqwstest.ExpectGone())
								case answers:
									steps = append(steps, reqwstest.SendClose(tt.code, ""))
								default:
									steps = append(steps, reqwstest.Stall())
								}
								srv := reqwstest.NewMemory(t, reqwstest.Script(steps...))
								w := &witness{answer: func(in reqws.Event, _ *reqws.Response) reqws.Directive {
									if in.Err == nil {
										time.Sleep(time.Minute)
									}
									return tt.answer
								}}
								start := time.Now()
								err := execute(t.Context(), to(srv), w.into(), reqws.ReadAhead(n), reqws.CloseTimeout(closeTimeout), reqws.Heartbeat(0, 0))
								took := time.Since(start) - time.Minute
								switch {
								case closeTimeout == 0:
									is.True(took <= 100*time.Millisecond)
								case answers:
									is.Equal(took, time.Duration(0))
								default:
									is.Equal(took, closeTimeout)
								}
								if answers || closeTimeout == 0 {
									is.True(tt.check(err))
								} else {
									is.True(err != nil)
								}
								is.Equal(w.frames(), []string{`text "work"`})
							})
						})
					}
				}
			}
		}
	}
}

// Each connection's frames are handled before its end is, with the Response that they came with, and
// that before the next connection's.
func TestReadAheadAndReconnect(t *testing.T) {
	for way, execute := range executions {
		t.Run(way, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tidy(t)
				is := is.New(t)
				link := func(name string, end ...reqwstest.Step) *reqwstest.ConnScript {
					return reqwstest.Script(append([]reqwstest.Step{
						reqwstest.Accept(reqwstest.WithHeader("Link", name)),
						reqwstest.SendText("work"), gap(), reqwstest.SendText(name),
					}, end...)...)
				}
				late := reqwstest.ExpectText("late")
				srv := reqwstest.NewMemory(t,
					link("1", reqwstest.Drop()),
					link("2", reqwstest.Stall()),
					link("3", reqwstest.SendClose(1012, ""), late, late, reqwstest.ExpectClose(1012, "")),
					link("4", reqwstest.SendClose(1000, ""), late, late, reqwstest.ExpectClose(1000, "")),
				)
				var log []string
				err := execute(t.Context(), to(srv), reqws.ReadAhead(1<<10), reqws.Reconnect(3), atOnce(),
					reqws.Into(func(in reqws.Event, resp *reqws.Response) reqws.Directive {
						name := resp.Header.Get("Link")
						if in.Err != nil {
							log = append(log, name+" ended")
							return reqws.Cont()
						}
						time.Sleep(time.Minute)
						is.Equal(resp.Header.Get("Link"), name)
						log = append(log, fmt.Sprint(name, " ", listed(in.Frames)))
						return reqws.Cont(reqws.Text("late"))
					}))
				is.NoErr(err)
				is.Equal(log, []string{
					`1 [text "work"]`, `1 [text "1"]`, "1 ended",
					`2 [text "work"]`, `2 [text "2"]`, "2 ended",
					`3 [text "work"]`, `3 [text "3" close 1012]`, "3 ended",
					`4 [text "work"]`, `4 [text "4" close 1000]`,
				})
			})
		})
	}
}

// Wait and Close inside the handler know where they are.
func TestInsideAHandlerWithReadAhead(t *testing.T) {
	for way, execute := range executions {
		t.Run(way, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tidy(t)
				is := is.New(t)
				srv := reqwstest.NewMemory(t, reqwstest.Script(
					reqwstest.Accept(), reqwstest.SendText("go"), reqwstest.ExpectClose(1000, ""), reqwstest.SendClose(1000, ""),
				))
				start := time.Now()
				is.NoErr(execute(t.Context(), to(srv), reqws.ReadAhead(1), reqws.Into(func(_ reqws.Event, resp *reqws.Response) reqws.Directive {
					is.True(resp.Wait() != nil)
					is.NoErr(resp.Close(1000, ""))
					return reqws.Cont()
				})))
				is.Equal(time.Since(start), time.Duration(0))
			})
		})
	}
}

// A panic reaches the caller of Run, and the reader ends; the same holds where the handler ends its
// goroutine.
func TestAPanicWithReadAhead(t *testing.T) {
	for _, where := range []string{"reading", "full", "ended"} {
		for _, goexit := range []bool{false, true} {
			t.Run(fmt.Sprint(where, "/", goexit), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					tidy(t)
					is := is.New(t)
					steps := []reqwstest.Step{reqwstest.Accept(), reqwstest.SendText("go")}
					n := 1 << 20
					switch where {
					case "full":
						n, steps = 1, append(steps, gap(), reqwstest.Send(reqwstest.Text("a"), reqwstest.Text("b"), reqwstest.Text("c")))
					case "ended":
						steps = append(steps, gap(), reqwstest.SendClose(1000, ""))
					}
					srv := reqwstest.NewMemory(t, reqwstest.Script(append(steps, reqwstest.ExpectGone())...))
					var resp *reqws.Response
					returned := make(chan any, 1)
					go func() {
						defer func() { returned <- recover() }()
						_ = to(srv).Run(t.Context(), reqws.ReadAhead(n), reqws.Heartbeat(0, 0), reqws.Into(func(_ reqws.Event, r *reqws.Response) reqws.Directive {
							resp = r
							time.Sleep(time.Minute)
							if goexit {
								runtime.Goexit()
							}
							panic("oops")
						}))
						t.Error("Run returned")
					}()
					if r := <-returned; !goexit {
						is.Equal(r, "oops")
					}
					is.True(resp.Wait() != nil)
				})
			})
		}
	}
}

// Streams that end at any moment, in any way, end for good: nothing is left behind, and nobody waits for
// anybody.
func TestReadAheadUnderStress(t *testing.T) {
	for name, server := range servers {
		for _, procs := range []int{1, runtime.GOMAXPROCS(0)} {
			t.Run(fmt.Sprintf("%s/GOMAXPROCS=%d", name, procs), func(t *testing.T) {
				defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
				tidy(t)
				srv := server(t, reqwstest.BufferSize(4096), reqwstest.Script(
					reqwstest.Accept(),
					reqwstest.Do(func(c *reqwstest.Conn) error {
						go func() {
							for i := range 500 { // or until the client has enough
								if c.WriteFrame(reqwstest.Text(fmt.Sprint(i)), reqwstest.Ping("p")) != nil {
									return
								}
							}
							_ = c.WriteFrame(reqwstest.Close(1000, ""))
						}()
						_, _ = io.Copy(io.Discard, c)
						return nil
					}),
				).Repeat())
				var all sync.WaitGroup
				for i := range 36 {
					execute := executions[[]string{"Run", "Do"}[i%2]]
					req := to(srv, reqws.ReadAhead(1+rand.IntN(2000)), reqws.CloseTimeout(time.Second))
					all.Go(func() { endSomehow(t, execute, req, i/2%6, rand.IntN(500)) })
				}
				all.Wait()
			})
		}
	}
}

// endSomehow ends a stream in one of six ways after some messages, which must be in order.
func endSomehow(t *testing.T, execute func(context.Context, *reqws.Request, ...reqws.Option) error, req *reqws.Request, how, after int) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen := 0
	err := execute(ctx, req, reqws.Into(reqws.EachWith(func(f reqws.Frame, resp *reqws.Response) reqws.Directive {
		if f.Kind != reqws.KindText {
			return reqws.Cont()
		}
		if f.Text() != fmt.Sprint(seen) {
			t.Errorf("%v in place of %d", f, seen)
		}
		if seen++; seen != after {
			return reqws.Cont(f)
		}
		switch how {
		case 0:
			return reqws.Halt()
		case 1:
			cancel()
		case 2:
			_ = resp.CloseNow()
		case 3:
			_ = resp.Close(1000, "")
		case 4:
			return reqws.Cont(reqws.Pong(make([]byte, 126)))
		}
		return reqws.Cont()
	})))
	if how == 5 && (err != nil || seen != 500) {
		t.Errorf("%d seen, %v", seen, err)
	}
}
