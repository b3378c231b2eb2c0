package reqws_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
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

// Halt sends the replies, then a close frame 1000 unless they have one, all in
// one write, and waits for the peer's.
func TestHalt(t *testing.T) {
	for _, tc := range []struct {
		name    string
		replies []reqws.Frame
		want    []reqwstest.Frame
	}{
		{"bare", nil, []reqwstest.Frame{reqwstest.Close(1000, "")}},
		{"with replies", []reqws.Frame{reqws.Text("a"), reqws.Binary("b")},
			[]reqwstest.Frame{reqwstest.Text("a"), reqwstest.Binary("b"), reqwstest.Close(1000, "")}},
		{"with a close frame", []reqws.Frame{reqws.Text("a"), reqws.Close(4000, "mine")},
			[]reqwstest.Frame{reqwstest.Text("a"), reqwstest.Close(4000, "mine")}},
	} {
		for _, each := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/each=%v", tc.name, each), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					is := is.New(t)
					srv := reqwstest.NewMemory(t, reqwstest.Script(
						reqwstest.Accept(),
						reqwstest.Send(reqwstest.Text("go"), reqwstest.Text("never seen by Each")),
						reqwstest.ExpectFrames(tc.want...),
						reqwstest.Send(reqwstest.Text("discarded"), reqwstest.Ping("not answered")),
						reqwstest.SendClose(int(1000), ""),
						reqwstest.ExpectEOF(),
					))
					calls := 0
					handler := func(reqws.Event, *reqws.Response) reqws.Directive {
						calls++
						return reqws.Halt(tc.replies...)
					}
					if each {
						handler = reqws.Each(func(reqws.Frame) reqws.Directive {
							calls++
							return reqws.Halt(tc.replies...)
						})
					}
					is.NoErr(to(srv).Run(t.Context(), reqws.Into(handler)))
					is.Equal(calls, 1)
					is.NoErr(srv.Wait(t.Context()))
					is.Equal(len(srv.Conns()[0].WriteSizes()), 2) // the handshake, and all the rest
				})
			})
		}
	}
}

// A reply that is a close frame ends the stream as Halt does, with its code: also
// in the middle of what Each collects.
func TestCloseAsAReply(t *testing.T) {
	for _, each := range []bool{false, true} {
		t.Run(fmt.Sprint("each=", each), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				is := is.New(t)
				srv := reqwstest.NewMemory(t, reqwstest.Script(
					reqwstest.Accept(),
					reqwstest.Send(reqwstest.Text("go"), reqwstest.Text("more")),
					reqwstest.ExpectFrames(reqwstest.Text("bye"), reqwstest.Close(4000, "enough")),
					reqwstest.SendText("discarded"),
					reqwstest.SendClose(4000, "enough"),
					reqwstest.ExpectEOF(),
				))
				calls := 0
				bye := func() reqws.Directive {
					calls++
					return reqws.Cont(reqws.Text("bye"), reqws.Close(4000, "enough"))
				}
				handler := func(reqws.Event, *reqws.Response) reqws.Directive { return bye() }
				if each {
					handler = reqws.Each(func(reqws.Frame) reqws.Directive { return bye() })
				}
				is.NoErr(to(srv).Run(t.Context(), reqws.Into(handler)))
				is.Equal(calls, 1)
			})
		})
	}
}

// A peer that leaves the close frame unanswered is waited for exactly as long as
// CloseTimeout says. That is no clean end of a Halt; after Close it is Close that says so.
func TestCloseTimeout(t *testing.T) {
	for _, timeout := range []time.Duration{0, time.Second, 5 * time.Second, time.Hour} {
		t.Run(timeout.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				is := is.New(t)
				script := reqwstest.Script(
					reqwstest.Accept(),
					reqwstest.SendText("go"),
					reqwstest.ExpectClose(1000, ""),
					reqwstest.ExpectEOF(),
				).Times(2)
				srv := reqwstest.NewMemory(t, script)
				req := to(srv, reqws.CloseTimeout(timeout))

				w := &witness{answer: func(reqws.Event, *reqws.Response) reqws.Directive { return reqws.Halt() }}
				start := time.Now()
				unanswered := func(err error) {
					t.Helper()
					is.Equal(time.Since(start), timeout)
					if timeout == 0 {
						is.NoErr(err) // it was not to wait
						return
					}
					is.True(errors.Is(err, os.ErrDeadlineExceeded))
					is.True(strings.Contains(err.Error(), "close timeout of "+timeout.String()))
				}
				unanswered(req.Run(t.Context(), w.into()))
				is.Equal(w.errs, nil)

				resp, err := req.Do(t.Context())
				is.NoErr(err)
				start = time.Now()
				unanswered(resp.Close(1000, ""))
				is.NoErr(resp.Wait())
			})
		})
	}
}

// A peer that keeps sending does not put off the close timeout.
func TestCloseTimeoutWithATalkativePeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		srv := reqwstest.NewMemory(t, reqwstest.Script(
			reqwstest.Accept(),
			reqwstest.ExpectClose(1000, ""),
			reqwstest.Do(func(c *reqwstest.Conn) error {
				for c.WriteFrame(reqwstest.Text("still here")) == nil {
					time.Sleep(time.Second)
				}
				return nil
			}),
		))
		resp, err := to(srv).Do(t.Context())
		is.NoErr(err)
		start := time.Now()
		is.True(errors.Is(resp.Close(1000, ""), os.ErrDeadlineExceeded))
		is.Equal(time.Since(start), 5*time.Second)
		is.NoErr(resp.Wait())
	})
}

// Close of a connection that takes no bytes says that it could not send its frame,
// in the time that it would wait for the answer.
func TestCloseOfAStalledConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		srv := reqwstest.NewMemory(t, reqwstest.Script(reqwstest.Accept(), reqwstest.Stall()))
		resp, err := to(srv).Do(t.Context())
		is.NoErr(err)
		sent := make(chan error, 1)
		go func() { sent <- resp.Send(t.Context(), reqws.Binary(make([]byte, 1<<20))) }()
		synctest.Wait()
		start := time.Now()
		err = resp.Close(1000, "")
		is.True(err != nil)
		is.True(strings.Contains(err.Error(), "the close frame could not be sent"))
		is.Equal(time.Since(start), 5*time.Second)
		is.True(errors.Is(<-sent, reqws.ErrClosed))
		is.True(errors.Is(resp.Wait(), reqws.ErrClosed))
	})
}

// Close from outside sends the close frame, waits for the peer's, and discards
// what comes before it.
func TestCloseFromOutside(t *testing.T) {
	for _, mode := range []string{"handler", "mailbox", "pull"} {
		t.Run(mode, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				is := is.New(t)
				srv := reqwstest.NewMemory(t, reqwstest.Script(
					reqwstest.Accept(),
					reqwstest.ExpectClose(3456, "so long"),
					reqwstest.Sleep(time.Second),
					reqwstest.Send(reqwstest.Text("discarded"), reqwstest.Ping("not answered")),
					reqwstest.Sleep(time.Second),
					reqwstest.SendClose(3456, ""),
					reqwstest.ExpectEOF(),
				))
				w := &witness{}
				box := make(chan reqws.Message, 10)
				option := map[string]reqws.Option{"handler": w.into(), "mailbox": reqws.IntoMailbox(box), "pull": {}}[mode]
				resp, err := to(srv).Do(t.Context(), option)
				is.NoErr(err)
				start := time.Now()
				is.NoErr(resp.Close(3456, "so long"))
				is.Equal(time.Since(start), 2*time.Second)
				<-resp.Done()
				is.NoErr(resp.Wait())
				is.Equal(w.frames(), nil)
				is.Equal(w.errs, nil)
				switch mode {
				case "mailbox":
					m := <-box
					is.Equal(m.Frames, nil)
					is.Equal(m.Err, io.EOF)
				case "pull":
					_, err := resp.Receive(t.Context())
					is.Equal(err, io.EOF)
				}
				is.NoErr(resp.Close(1000, "again"))
				is.NoErr(resp.CloseNow())
			})
		})
	}
}

// The code of the peer's answer does not matter: the stream was closed from here.
func TestCloseAnsweredWithAnotherCode(t *testing.T) {
	for range 50 { // the answer may be faster than the one who asked for it
		t.Run("", func(t *testing.T) {
			tidy(t)
			is := is.New(t)
			srv := reqwstest.New(t, reqwstest.Script(
				reqwstest.Accept(),
				reqwstest.ExpectClose(1000, ""),
				reqwstest.SendClose(1001, "going anyway"),
			))
			w := &witness{}
			resp, err := to(srv).Do(t.Context(), w.into())
			is.NoErr(err)
			is.NoErr(resp.Close(1000, ""))
			is.NoErr(resp.Wait())
			is.Equal(w.frames(), nil)
		})
	}
}

// A peer that is gone at once, in place of an answer, is an error of Close and
// not one of Wait: however fast it goes.
func TestCloseAnsweredWithTheEnd(t *testing.T) {
	for _, server := range []func(reqwstest.TB, ...reqwstest.Option) *reqwstest.Server{reqwstest.New, reqwstest.NewTLS, reqwstest.NewMemory} {
		for range 30 {
			t.Run("", func(t *testing.T) {
				tidy(t)
				is := is.New(t)
				srv := server(t, reqwstest.Script(reqwstest.Accept(), reqwstest.ExpectClose(1000, ""), reqwstest.Drop()))
				w := &witness{}
				resp, err := to(srv).Do(t.Context(), w.into())
				is.NoErr(err)
				err = resp.Close(1000, "")
				is.True(errors.Is(err, io.ErrUnexpectedEOF))
				is.True(strings.Contains(err.Error(), "did not answer"))
				is.NoErr(resp.Wait())
				is.Equal(w.errs, nil)
			})
		}
	}
}

// A close frame that may not be sent is refused, and changes nothing.
func TestCloseWithABadCode(t *testing.T) {
	tidy(t)
	is := is.New(t)
	srv := reqwstest.New(t, reqwstest.Script(
		reqwstest.Accept(),
		reqwstest.ExpectText("still open"),
		reqwstest.ExpectClose(1000, ""),
		reqwstest.SendClose(1000, ""),
	))
	resp, err := to(srv).Do(t.Context())
	is.NoErr(err)
	for _, bad := range []struct {
		code   websocket.StatusCode
		reason string
	}{{1005, ""}, {1006, ""}, {0, "why"}, {999, ""}, {70000, ""}, {1000, strings.Repeat("x", 124)}, {1000, "\xff"}} {
		var pe *reqws.ProtocolError
		is.True(errors.As(resp.Close(bad.code, bad.reason), &pe))
	}
	is.NoErr(resp.Send(t.Context(), reqws.Text("still open")))
	is.NoErr(resp.Close(1000, ""))
}

// Close inside a handler returns at once; what the handler answers then is not
// sent, and it is not called again.
func TestCloseInsideAHandler(t *testing.T) {
	for _, each := range []bool{false, true} {
		for _, then := range []string{"cont", "halt"} {
			t.Run(fmt.Sprintf("each=%v/%s", each, then), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					is := is.New(t)
					srv := reqwstest.NewMemory(t, reqwstest.Script(
						reqwstest.Accept(),
						reqwstest.SendText("go"),
						reqwstest.ExpectFrames(reqwstest.Close(4001, "from inside")),
						reqwstest.Sleep(time.Second),
						reqwstest.SendText("discarded"),
						reqwstest.SendClose(4001, ""),
						reqwstest.ExpectEOF(),
					))
					calls := 0
					var resp *reqws.Response
					closes := func() reqws.Directive {
						calls++
						start := time.Now()
						is.NoErr(resp.Close(4001, "from inside"))
						is.NoErr(resp.Close(4001, "twice"))
						is.Equal(time.Since(start), 0*time.Second)
						if then == "halt" {
							return reqws.Halt(reqws.Text("not sent"))
						}
						return reqws.Cont(reqws.Text("not sent"))
					}
					handler := func(_ reqws.Event, r *reqws.Response) reqws.Directive { resp = r; return closes() }
					if each {
						handler = reqws.Each(func(reqws.Frame) reqws.Directive { return closes() })
					}
					is.NoErr(to(srv).Run(t.Context(), reqws.Into(handler), reqws.OnOpen(func(r *reqws.Response) reqws.Directive {
						resp = r
						return reqws.Cont()
					})))
					is.Equal(calls, 1)
				})
			})
		}
	}
}

// Close inside OnOpen neither.
func TestCloseInsideOnOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		srv := reqwstest.NewMemory(t, reqwstest.Script(
			reqwstest.Accept(reqwstest.WithFrames(reqwstest.Text("early"))),
			reqwstest.ExpectFrames(reqwstest.Close(4001, "")),
			reqwstest.SendClose(4001, ""),
		))
		w := &witness{}
		is.NoErr(to(srv, w.into()).Run(t.Context(), reqws.OnOpen(func(resp *reqws.Response) reqws.Directive {
			is.NoErr(resp.Close(4001, ""))
			return reqws.Cont(reqws.Text("not sent"))
		})))
		is.Equal(w.frames(), nil)
	})
}

// A goroutine that a handler started is not inside of it: its Close waits.
func TestCloseBesideAHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		srv := reqwstest.NewMemory(t, reqwstest.Script(
			reqwstest.Accept(),
			reqwstest.SendText("go"),
			reqwstest.ExpectClose(1000, ""),
			reqwstest.Sleep(time.Second),
			reqwstest.SendClose(1000, ""),
		))
		var waited time.Duration
		var all sync.WaitGroup
		is.NoErr(to(srv).Run(t.Context(), reqws.Into(func(_ reqws.Event, resp *reqws.Response) reqws.Directive {
			all.Go(func() {
				start := time.Now()
				is.NoErr(resp.Close(1000, ""))
				waited = time.Since(start)
			})
			synctest.Wait()
			return reqws.Cont()
		})))
		all.Wait()
		is.Equal(waited, time.Second)
	})
}

// Close from many goroutines at once sends one close frame, and all wait.
func TestCloseConcurrently(t *testing.T) {
	tidy(t)
	is := is.New(t)
	srv := reqwstest.New(t, reqwstest.Script(
		reqwstest.Accept(),
		reqwstest.ExpectClose(1000, ""),
		reqwstest.SendClose(1000, ""),
		reqwstest.ExpectEOF(),
	))
	resp, err := to(srv).Do(t.Context())
	is.NoErr(err)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			is.NoErr(resp.Close(1000, ""))
			select {
			case <-resp.Done():
			default:
				t.Error("Close returned before the end")
			}
		})
	}
	all.Wait()
	is.NoErr(resp.Wait())
}

// CloseNow sends nothing and does not wait.
func TestCloseNow(t *testing.T) {
	for _, server := range []func(reqwstest.TB, ...reqwstest.Option) *reqwstest.Server{reqwstest.New, reqwstest.NewTLS, reqwstest.NewMemory} {
		t.Run("", func(t *testing.T) {
			tidy(t)
			is := is.New(t)
			srv := server(t, reqwstest.Script(reqwstest.Accept(), reqwstest.ExpectGone()))
			w := &witness{}
			resp, err := to(srv).Do(t.Context(), w.into())
			is.NoErr(err)
			is.NoErr(resp.CloseNow())
			is.NoErr(resp.CloseNow())
			is.True(errors.Is(resp.Wait(), reqws.ErrClosed))
			is.Equal(len(w.errs), 1)
			is.True(errors.Is(w.errs[0], reqws.ErrClosed))
			is.NoErr(srv.Wait(t.Context()))
			is.Equal(shown(srv.Conns()[0]), nil)
		})
	}
}

// CloseNow works inside a handler, whatever that answers.
func TestCloseNowInsideAHandler(t *testing.T) {
	for name, directive := range map[string]reqws.Directive{
		"cont": reqws.Cont(), "reply": reqws.Cont(reqws.Text("not sent")), "halt": reqws.Halt(reqws.Text("not sent")),
	} {
		t.Run(name, func(t *testing.T) {
			tidy(t)
			is := is.New(t)
			srv := reqwstest.New(t, reqwstest.Script(reqwstest.Accept(), reqwstest.SendText("go"), reqwstest.ExpectGone()))
			w := &witness{answer: func(_ reqws.Event, resp *reqws.Response) reqws.Directive {
				is.NoErr(resp.CloseNow())
				return directive
			}}
			err := to(srv).Run(t.Context(), w.into())
			is.True(errors.Is(err, reqws.ErrClosed))
			told := 1
			if directive.Halts() { // it is not called again
				told = 0
			}
			is.Equal(len(w.errs), told)
			is.Equal(w.frames(), []string{`text "go"`})
		})
	}
}

// CloseNow does not wait for a peer that takes nothing, over TLS neither.
func TestCloseNowOfAStalledConnection(t *testing.T) {
	for _, server := range []func(reqwstest.TB, ...reqwstest.Option) *reqwstest.Server{reqwstest.New, reqwstest.NewTLS} {
		t.Run("", func(t *testing.T) {
			tidy(t)
			is := is.New(t)
			srv := server(t, reqwstest.Script(reqwstest.Accept(), reqwstest.Stall()))
			resp, err := to(srv).Do(t.Context())
			is.NoErr(err)
			var all sync.WaitGroup
			all.Go(func() {
				is.True(errors.Is(resp.Send(t.Context(), reqws.Binary(make([]byte, 32<<20))), reqws.ErrClosed))
			})
			for range 100 { // until the socket is full, most likely
				runtime.Gosched()
				time.Sleep(time.Millisecond)
			}
			start := time.Now()
			is.NoErr(resp.CloseNow())
			all.Wait()
			is.True(errors.Is(resp.Wait(), reqws.ErrClosed))
			is.True(time.Since(start) < 3*time.Second) // TLS would give its goodbye 5 s
		})
	}
}

// The peer's close frame reaches the handler as the last frame of its batch, is
// answered with the same code in one write with the replies, and decides the
// error.
func TestThePeerCloses(t *testing.T) {
	for _, tc := range []struct {
		code   int
		reason string
		shown  string
		err    string
	}{
		{1000, "", "close 1000", ""},
		{1000, "done", `close 1000 "done"`, ""},
		{1001, "", "close 1001", "StatusGoingAway"},
		{1001, "restart", `close 1001 "restart"`, "restart"},
		{3000, "mine", `close 3000 "mine"`, "mine"},
		{1011, "", "close 1011", "StatusInternalError"},
		{0, "", "close", ""},
	} {
		for _, mode := range []string{"handler", "each", "pull", "mailbox"} {
			t.Run(fmt.Sprintf("%d %q/%s", tc.code, tc.reason, mode), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					is := is.New(t)
					want := []reqwstest.Frame{reqwstest.Text("reply"), reqwstest.Close(tc.code, "")}
					if mode == "pull" || mode == "mailbox" {
						want = want[1:]
					}
					srv := reqwstest.NewMemory(t, reqwstest.Script(
						reqwstest.Accept(),
						reqwstest.Send(reqwstest.Text("last"), reqwstest.Close(tc.code, tc.reason)),
						reqwstest.ExpectFrames(want...),
						reqwstest.ExpectEOF(),
					))
					var got []string
					box := make(chan reqws.Message, 2)
					option := map[string]reqws.Option{
						"handler": reqws.Into(func(in reqws.Event, _ *reqws.Response) reqws.Directive {
							is.NoErr(in.Err) // a clean end of the connection, whatever the code
							got = append(got, listed(in.Frames)...)
							return reqws.Cont(reqws.Text("reply"))
						}),
						"each": reqws.Into(reqws.Each(func(f reqws.Frame) reqws.Directive {
							got = append(got, f.String())
							if f.Kind == reqws.KindText {
								return reqws.Cont(reqws.Text("reply"))
							}
							return reqws.Cont()
						})),
						"mailbox": reqws.IntoMailbox(box),
						"pull":    {},
					}[mode]
					if tc.err != "" && mode == "handler" {
						option = reqws.Into(func(in reqws.Event, _ *reqws.Response) reqws.Directive {
							got = append(got, listed(in.Frames)...)
							return reqws.Cont(reqws.Text("reply"))
						})
					}
					resp, err := to(srv).Do(t.Context(), option)
					is.NoErr(err)
					err = resp.Wait()
					var last error
					switch mode {
					case "pull":
						frames, err := resp.Receive(t.Context())
						is.NoErr(err)
						got = listed(frames)
						_, last = resp.Receive(t.Context())
					case "mailbox":
						m := <-box
						is.NoErr(m.Err)
						got = listed(m.Frames)
						last = (<-box).Err
					}
					is.Equal(got, []string{`text "last"`, tc.shown})
					if tc.err == "" {
						is.NoErr(err)
						is.True(last == nil || last == io.EOF)
						return
					}
					var ce websocket.CloseError
					is.True(errors.As(err, &ce))
					is.Equal(int(ce.Code), tc.code)
					is.Equal(ce.Reason, tc.reason)
					is.Equal(int(websocket.CloseStatus(err)), tc.code)
					is.True(strings.Contains(err.Error(), tc.err))
					is.True(last == nil || last == err)
					is.NoErr(srv.Wait(t.Context()))
					is.Equal(len(srv.Conns()[0].WriteSizes()), 2)
				})
			})
		}
	}
}

// Also one that does not wait for anything answers the peer's close frame.
func TestThePeerClosesWithoutACloseTimeout(t *testing.T) {
	for range 20 {
		t.Run("", func(t *testing.T) {
			tidy(t)
			is := is.New(t)
			srv := reqwstest.New(t, reqwstest.Script(
				reqwstest.Accept(),
				reqwstest.Send(reqwstest.Text("last"), reqwstest.Close(1000, "")),
				reqwstest.ExpectFrames(reqwstest.Text("last"), reqwstest.Close(1000, "")),
			))
			err := to(srv, reqws.CloseTimeout(0)).Run(t.Context(), reqws.Into(func(in reqws.Event, _ *reqws.Response) reqws.Directive {
				runtime.Gosched()
				return reqws.Cont(in.Frames[0])
			}))
			is.NoErr(err)
		})
	}
}

// A handler that knows better answers the peer's close itself, or halts.
func TestThePeerClosesAndTheHandlerAnswers(t *testing.T) {
	for _, tc := range []struct {
		name   string
		answer reqws.Directive
		want   reqwstest.Frame
		clean  bool
	}{
		{"with another code", reqws.Cont(reqws.Close(4000, "mine")), reqwstest.Close(4000, "mine"), false},
		{"halts", reqws.Halt(), reqwstest.Close(1001, ""), true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				is := is.New(t)
				srv := reqwstest.NewMemory(t, reqwstest.Script(
					reqwstest.Accept(),
					reqwstest.SendClose(1001, "theirs"),
					reqwstest.ExpectFrames(tc.want),
					reqwstest.ExpectEOF(),
				))
				err := to(srv).Run(t.Context(), reqws.Into(func(reqws.Event, *reqws.Response) reqws.Directive { return tc.answer }))
				is.Equal(err == nil, tc.clean)
				is.Equal(websocket.CloseStatus(err) == 1001, !tc.clean)
			})
		})
	}
}

// Nothing that comes behind a close frame is looked at.
func TestNothingFollowsThePeersClose(t *testing.T) {
	tidy(t)
	is := is.New(t)
	srv := reqwstest.New(t, reqwstest.Script(
		reqwstest.Accept(),
		reqwstest.SendRaw(append(reqwstest.Encode(reqwstest.Close(1000, ""), reqwstest.Text("late")), 0xff, 0xff)),
		reqwstest.ExpectClose(1000, ""),
		reqwstest.ExpectGone(),
	))
	w := &witness{}
	is.NoErr(to(srv).Run(t.Context(), w.into()))
	is.Equal(w.frames(), []string{"close 1000"})
}

// A peer that sends its close frame and is gone has closed all the same, though
// the answer finds nobody.
func TestThePeerClosesAndIsGone(t *testing.T) {
	for _, server := range []func(reqwstest.TB, ...reqwstest.Option) *reqwstest.Server{reqwstest.New, reqwstest.NewTLS, reqwstest.NewMemory} {
		for _, leave := range []reqwstest.Step{reqwstest.Drop(), reqwstest.HalfClose()} {
			t.Run(leave.String(), func(t *testing.T) {
				tidy(t)
				is := is.New(t)
				gone := make(chan struct{})
				srv := server(t, reqwstest.Script(
					reqwstest.Accept(),
					reqwstest.Send(reqwstest.Text("a"), reqwstest.Close(1001, "restart")),
					leave,
					reqwstest.Do(func(*reqwstest.Conn) error { close(gone); return nil }),
				))
				w := &witness{answer: func(reqws.Event, *reqws.Response) reqws.Directive {
					<-gone
					return reqws.Cont(reqws.Text("reply"), reqws.Text("reply"))
				}}
				err := to(srv).Run(t.Context(), w.into())
				is.Equal(websocket.CloseStatus(err), websocket.StatusGoingAway)
				is.Equal(w.frames(), []string{`text "a"`, `close 1001 "restart"`})
				is.Equal(len(w.errs), 1)
			})
		}
	}
}

// Of what a peer sent before it was gone nothing is lost, though sending to it
// fails first.
func TestWhatCameBeforeThePeerWasGone(t *testing.T) {
	for _, server := range []func(reqwstest.TB, ...reqwstest.Option) *reqwstest.Server{reqwstest.New, reqwstest.NewMemory} {
		t.Run("", func(t *testing.T) {
			tidy(t)
			is := is.New(t)
			gone := make(chan struct{})
			first := make(chan struct{})
			srv := server(t, reqwstest.Script(
				reqwstest.Accept(),
				reqwstest.SendText("a"),
				reqwstest.Await(first),
				reqwstest.Send(reqwstest.Text("b"), reqwstest.Close(1001, "restart")),
				reqwstest.Drop(),
				reqwstest.Do(func(*reqwstest.Conn) error { close(gone); return nil }),
			))
			calls := 0
			w := &witness{answer: func(in reqws.Event, resp *reqws.Response) reqws.Directive {
				if calls++; calls == 1 {
					close(first)
					<-gone
					for resp.Send(t.Context(), reqws.Text("anybody there?")) == nil {
					}
				}
				return reqws.Cont(reqws.Text("reply"))
			}}
			err := to(srv).Run(t.Context(), w.into())
			is.Equal(websocket.CloseStatus(err), websocket.StatusGoingAway)
			is.Equal(w.frames(), []string{`text "a"`, `text "b"`, `close 1001 "restart"`})
		})
	}
}

// A connection that ends without a close frame is an unexpected end, in every
// mode; the handler is told once.
func TestThePeerIsGone(t *testing.T) {
	part := reqwstest.Encode(reqwstest.Text("only a part of this arrives"))[:10]
	for _, tc := range []struct {
		name  string
		steps []reqwstest.Step
		want  error
	}{
		{"end between frames", []reqwstest.Step{reqwstest.Drop()}, io.ErrUnexpectedEOF},
		{"half-close", []reqwstest.Step{reqwstest.HalfClose()}, io.ErrUnexpectedEOF},
		{"end inside a frame", []reqwstest.Step{reqwstest.SendRaw(part), reqwstest.Drop()}, io.ErrUnexpectedEOF},
		{"end inside a header", []reqwstest.Step{reqwstest.SendRaw(part[:1]), reqwstest.Drop()}, io.ErrUnexpectedEOF},
		{"end inside a message", []reqwstest.Step{reqwstest.Send(reqwstest.Frame{Op: reqwstest.OpText, Payload: []byte("x")}), reqwstest.Drop()}, io.ErrUnexpectedEOF},
		{"reset", []reqwstest.Step{reqwstest.Reset()}, syscall.ECONNRESET},
	} {
		for name, server := range map[string]func(reqwstest.TB, ...reqwstest.Option) *reqwstest.Server{
			"ws": reqwstest.New, "wss": reqwstest.NewTLS, "memory": reqwstest.NewMemory,
		} {
			t.Run(tc.name+"/"+name, func(t *testing.T) {
				tidy(t)
				is := is.New(t)
				handled := make(chan struct{})
				steps := append([]reqwstest.Step{reqwstest.Accept(), reqwstest.SendText("before"), reqwstest.Await(handled)}, tc.steps...)
				srv := server(t, reqwstest.Script(steps...))
				w := &witness{}
				w.answer = func(in reqws.Event, _ *reqws.Response) reqws.Directive {
					if in.Err == nil {
						close(handled)
					}
					return reqws.Cont()
				}
				err := to(srv).Run(t.Context(), w.into())
				is.True(errors.Is(err, tc.want))
				is.True(err != io.EOF && !errors.Is(err, io.EOF))
				is.Equal(websocket.CloseStatus(err), websocket.StatusCode(-1))
				is.Equal(w.frames(), []string{`text "before"`})
				is.Equal(len(w.errs), 1)
				is.Equal(w.errs[0], err)
				is.True(strings.Contains(err.Error(), srv.URL))
			})
		}
	}
}

// ctx is the stream's life: its end breaks it off, with a close frame 1001 where
// one can be sent.
func TestTheEndOfCtx(t *testing.T) {
	for name, server := range map[string]func(reqwstest.TB, ...reqwstest.Option) *reqwstest.Server{
		"ws": reqwstest.New, "wss": reqwstest.NewTLS, "memory": reqwstest.NewMemory,
	} {
		for _, answered := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/answered=%v", name, answered), func(t *testing.T) {
				tidy(t)
				is := is.New(t)
				steps := []reqwstest.Step{reqwstest.Accept(), reqwstest.SendText("go"), reqwstest.ExpectCloseCode(1001)}
				if answered {
					steps = append(steps, reqwstest.Do(func(c *reqwstest.Conn) error {
						_ = c.WriteFrame(reqwstest.Close(1001, "")) // the client does not wait for it
						return nil
					}))
				}
				srv := server(t, reqwstest.Script(append(steps, reqwstest.ExpectGone())...))
				why := errors.New("the user went home")
				ctx, cancel := context.WithCancelCause(t.Context())
				w := &witness{}
				w.answer = func(in reqws.Event, _ *reqws.Response) reqws.Directive {
					cancel(why)
					return reqws.Cont()
				}
				err := to(srv).Run(ctx, w.into())
				is.True(errors.Is(err, context.Canceled))
				is.True(errors.Is(err, why))
				is.True(strings.Contains(err.Error(), srv.URL))
				is.Equal(w.frames(), []string{`text "go"`})
				is.Equal(len(w.errs), 1)
				is.Equal(w.errs[0], err)
			})
		}
	}
}

// Every mode learns of the end of ctx, and nothing arrives after it.
func TestTheEndOfCtxInEveryMode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		srv := reqwstest.NewMemory(t, reqwstest.Script(reqwstest.Accept(), reqwstest.ExpectClose(1001, ""), reqwstest.ExpectEOF()).Times(2))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		pulled, err := to(srv).Do(ctx)
		is.NoErr(err)
		box := make(chan reqws.Message, 1)
		mailed, err := to(srv).Do(ctx, reqws.IntoMailbox(box))
		is.NoErr(err)
		start := time.Now()
		_, err = pulled.Receive(t.Context())
		is.Equal(time.Since(start), time.Minute)
		is.True(errors.Is(err, context.DeadlineExceeded))
		is.True(errors.Is((<-box).Err, context.DeadlineExceeded))
		is.True(errors.Is(mailed.Wait(), context.DeadlineExceeded))
		is.True(errors.Is(pulled.Send(t.Context(), reqws.Text("x")), context.DeadlineExceeded))
	})
}

// A ctx that is over before, or ends while, the handshake takes place.
func TestTheEndOfCtxBeforeTheStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		srv := reqwstest.NewMemory(t, reqwstest.Script(reqwstest.Stall()))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_, err := to(srv).Do(ctx)
		is.True(errors.Is(err, context.DeadlineExceeded))
		is.Equal(time.Since(start), time.Second)

		why := errors.New("never mind")
		over, stop := context.WithCancelCause(t.Context())
		stop(why)
		w := &witness{}
		err = to(srv).Run(over, w.into())
		is.True(errors.Is(err, context.Canceled))
		is.Equal(w.errs, nil)
	})
}

// Once the stream has ended well its ctx changes nothing any more.
func TestTheEndOfCtxAfterTheStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		srv := reqwstest.NewMemory(t, reqwstest.Script(reqwstest.Accept(), reqwstest.SendClose(1000, ""), reqwstest.ExpectFrames(reqwstest.Close(1000, "")), reqwstest.ExpectEOF()))
		ctx, cancel := context.WithCancel(t.Context())
		resp, err := to(srv).Do(ctx)
		is.NoErr(err)
		is.NoErr(resp.Wait())
		cancel()
		synctest.Wait()
		is.NoErr(resp.Wait())
		frames, err := resp.Receive(t.Context())
		is.NoErr(err)
		is.Equal(listed(frames), []string{"close 1000"})
		_, err = resp.Receive(t.Context())
		is.Equal(err, io.EOF)
	})
}

// With a connection that takes nothing the end of ctx does not wait for its close
// frame.
func TestTheEndOfCtxWithAStalledPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		srv := reqwstest.NewMemory(t, reqwstest.BufferSize(1000), reqwstest.Script(reqwstest.Accept(), reqwstest.Stall()))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		resp, err := to(srv).Do(ctx)
		is.NoErr(err)
		start := time.Now()
		err = resp.Send(context.Background(), reqws.Binary(make([]byte, 5000)))
		is.True(errors.Is(err, context.DeadlineExceeded))
		is.True(errors.Is(resp.Wait(), context.DeadlineExceeded))
		is.Equal(time.Since(start), time.Second)
	})
}

// A panic in the handler closes the connection and reaches the caller of Run.
func TestAPanicInTheHandler(t *testing.T) {
	for _, where := range []string{"frames", "error", "open"} {
		t.Run(where, func(t *testing.T) {
			tidy(t)
			is := is.New(t)
			steps := []reqwstest.Step{reqwstest.Accept(), reqwstest.SendText("go"), reqwstest.ExpectGone()}
			if where == "error" {
				steps = []reqwstest.Step{reqwstest.Accept(), reqwstest.Drop()}
			}
			srv := reqwstest.New(t, reqwstest.Script(steps...))
			var resp *reqws.Response
			func() {
				defer func() { is.Equal(recover(), "oops") }()
				_ = to(srv,
					reqws.OnOpen(func(r *reqws.Response) reqws.Directive {
						if resp = r; where == "open" {
							panic("oops")
						}
						return reqws.Cont()
					}),
				).Run(t.Context(), reqws.Into(func(reqws.Event, *reqws.Response) reqws.Directive { panic("oops") }))
				t.Error("Run returned")
			}()
			<-resp.Done()
			is.True(resp.Wait() != nil)
			is.True(resp.Send(t.Context(), reqws.Text("x")) != nil)
			is.NoErr(resp.Close(1000, ""))
		})
	}
}

// The same holds where the handler ends its goroutine.
func TestGoexitInTheHandler(t *testing.T) {
	for _, where := range []string{"frames", "open"} {
		t.Run(where, func(t *testing.T) {
			tidy(t)
			is := is.New(t)
			srv := reqwstest.New(t, reqwstest.Script(reqwstest.Accept(), reqwstest.SendText("go"), reqwstest.ExpectGone()))
			opened := make(chan *reqws.Response, 1)
			go func() {
				_ = to(srv,
					reqws.OnOpen(func(r *reqws.Response) reqws.Directive {
						if opened <- r; where == "open" {
							runtime.Goexit()
						}
						return reqws.Cont()
					}),
				).Run(t.Context(), reqws.Into(func(reqws.Event, *reqws.Response) reqws.Directive {
					runtime.Goexit()
					return reqws.Cont()
				}))
				t.Error("Run returned")
			}()
			resp := <-opened
			<-resp.Done()
			is.True(resp.Wait() != nil)
		})
	}
}

// In the background it ends the stream, and that is all.
func TestGoexitInTheBackground(t *testing.T) {
	tidy(t)
	is := is.New(t)
	srv := reqwstest.New(t, reqwstest.Script(reqwstest.Accept(), reqwstest.SendText("go"), reqwstest.ExpectGone()))
	resp, err := to(srv).Do(t.Context(), reqws.Into(func(reqws.Event, *reqws.Response) reqws.Directive {
		runtime.Goexit()
		return reqws.Cont()
	}))
	is.NoErr(err)
	is.True(resp.Wait() != nil)
}

// After Do there is nobody above the handler: its panic ends the program, as any
// panic of a goroutine does. The program is this test's, run again.
func TestAPanicInTheBackground(t *testing.T) {
	const child = "REQWS_TEST_PANIC"
	if url := os.Getenv(child); url != "" {
		resp, err := reqws.New(reqws.URL(url)).Do(t.Context(), reqws.Into(func(reqws.Event, *reqws.Response) reqws.Directive {
			panic("oops in the background")
		}))
		fmt.Println(resp.Wait(), err)
		select {} // the panic is about to end the process
	}
	is := is.New(t)
	srv := reqwstest.New(t, reqwstest.Script(reqwstest.Accept(), reqwstest.SendText("go"), reqwstest.ExpectGone()))
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestAPanicInTheBackground$")
	cmd.Env = append(os.Environ(), child+"="+srv.URL)
	out, err := cmd.CombinedOutput()
	is.True(err != nil)
	is.True(strings.Contains(string(out), "panic: oops in the background"))
	is.True(strings.Contains(string(out), "TestAPanicInTheBackground.func1")) // the stack shows where
}

// A Response that no execution made is one that has ended.
func TestAResponseWithoutAStream(t *testing.T) {
	is := is.New(t)
	for _, resp := range []*reqws.Response{nil, {}} {
		is.True(errors.Is(resp.Send(t.Context(), reqws.Text("x")), reqws.ErrClosed))
		_, err := resp.Receive(t.Context())
		is.True(errors.Is(err, reqws.ErrClosed))
		for _, err := range resp.Frames(t.Context()) {
			is.True(errors.Is(err, reqws.ErrClosed))
		}
		is.NoErr(resp.Close(1000, ""))
		is.NoErr(resp.CloseNow())
		<-resp.Done()
		is.True(errors.Is(resp.Wait(), reqws.ErrClosed))
		_, err = resp.ParseMessage(reqws.Message{Response: resp})
		is.True(errors.Is(err, reqws.ErrUnknownMessage))
	}
}
