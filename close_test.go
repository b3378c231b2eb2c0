package reqws_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/matryer/is"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/reqwstest"
)

// A peer that leaves the close frame unanswered is waited for exactly as long as
// CloseTimeout says. That is no clean end of a Halt; after Close it is Close that says so.
func TestCloseTimeout(t *testing.T) {
	for _, timeout := range []time.Duration{0, time.Second, 5 * time.Second, time.Hour} {
		t.Run(timeout.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				is := is.New(t)
				ends := []reqwstest.Step{reqwstest.ExpectClose(1000, ""), reqwstest.ExpectEOF()}
				srv := reqwstest.NewMemory(t,
					reqwstest.Script(append([]reqwstest.Step{reqwstest.Accept(), reqwstest.SendText("go")}, ends...)...),
					reqwstest.Script(append([]reqwstest.Step{reqwstest.Accept()}, ends...)...),
				)
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

// What the peer says between our close frame and its own is discarded, but for a Send with HearOut.
func TestCloseFrameOfASend(t *testing.T) {
	for _, c := range []struct {
		name    string
		options []reqws.Option
		code    websocket.StatusCode
	}{
		{"1000", nil, 1000},
		{"1001", nil, 1001},
		{"a stream that reconnects", []reqws.Option{reqws.Reconnect(-1)}, 1001},
		{"read ahead", []reqws.Option{reqws.ReadAhead(1 << 10)}, 1000},
	} {
		t.Run(c.name, func(t *testing.T) {
			is := is.New(t)
			reqwstest.NoLeaks(t)
			srv := reqwstest.New(t, reqwstest.Script(
				reqwstest.Accept(),
				reqwstest.ExpectClose(int(c.code), "moved"),
				reqwstest.SendText("late"), reqwstest.SendText("later"),
				reqwstest.SendClose(int(c.code), ""),
			))
			var got []string
			req := reqws.New(reqws.URL(srv.URL), reqws.HearOut(true)).With(c.options...)
			resp, err := req.Do(t.Context(), reqws.Into(reqws.Each(func(f reqws.Frame) reqws.Directive {
				got = append(got, f.String())
				return reqws.Cont(reqws.Text("too late, and not an error"))
			})))
			is.NoErr(err)
			is.NoErr(resp.Send(t.Context(), reqws.Close(c.code, "moved")))
			is.NoErr(resp.Wait())
			is.Equal(got, []string{`text "late"`, `text "later"`, fmt.Sprintf("close %d", c.code)})
		})
	}
}

// A mailbox that nobody has read yet loses nothing of that either.
func TestCloseFrameOfASendAndAMailbox(t *testing.T) {
	is := is.New(t)
	srv := reqwstest.New(t, reqwstest.Script(
		reqwstest.Accept(), reqwstest.SendText("a"),
		reqwstest.ExpectClose(1000, ""), reqwstest.SendText("late"), reqwstest.SendClose(1000, ""),
	))
	mail := make(chan reqws.Message)
	resp, err := reqws.New(reqws.URL(srv.URL), reqws.HearOut(true)).Do(t.Context(), reqws.IntoMailbox(mail))
	is.NoErr(err)
	is.NoErr(resp.Send(t.Context(), reqws.Close(1000, "")))
	var got []string
	for m := range mail {
		for _, f := range m.Frames {
			got = append(got, f.String())
		}
		if m.Err != nil {
			is.Equal(m.Err, io.EOF)
			break
		}
	}
	is.Equal(got, []string{`text "a"`, `text "late"`, "close 1000"})
}

// Close after a Send that began the closing handshake discards, as ever.
func TestCloseAfterACloseFrameOfASend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		on := make(chan struct{})
		srv := reqwstest.NewMemory(t, reqwstest.Script(
			reqwstest.Accept(), reqwstest.ExpectClose(1000, ""),
			reqwstest.Await(on), reqwstest.SendText("late"), reqwstest.SendClose(1000, ""),
		))
		req := reqws.New(reqws.URL(srv.URL), reqws.DialContext(srv.DialContext), reqws.HearOut(true))
		resp, err := req.Do(t.Context(), reqws.Into(func(in reqws.Event, _ *reqws.Response) reqws.Directive {
			t.Errorf("handed over: %v", in.Frames)
			return reqws.Cont()
		}))
		is.NoErr(err)
		is.NoErr(resp.Send(t.Context(), reqws.Close(1000, "")))
		closed := make(chan error, 1)
		go func() { closed <- resp.Close(1000, "") }()
		synctest.Wait()
		close(on)
		is.NoErr(<-closed)
		is.NoErr(resp.Wait())
	})
}

// A Close that follows such a Send lets go of a mailbox that nobody reads, and so sees that the peer has answered.
func TestCloseLetsGoOfAMailboxThatHearsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		srv := reqwstest.NewMemory(t, reqwstest.Script(
			reqwstest.Accept(), reqwstest.SendText("a"), reqwstest.SendText("b"),
			reqwstest.ExpectClose(1000, ""), reqwstest.SendText("late"), reqwstest.SendClose(1000, ""),
		))
		mail := make(chan reqws.Message) // which nobody reads
		resp, err := reqws.New(reqws.URL(srv.URL), reqws.DialContext(srv.DialContext), reqws.HearOut(true)).
			Do(t.Context(), reqws.IntoMailbox(mail))
		is.NoErr(err)
		is.NoErr(resp.Send(t.Context(), reqws.Close(1000, "")))
		synctest.Wait()
		start := time.Now()
		err = resp.Close(1000, "")
		took, waited, last := time.Since(start), resp.Wait(), <-mail
		is.NoErr(err)
		is.Equal(took, time.Duration(0))
		is.NoErr(waited)
		is.Equal(last.Err, io.EOF)
	})
}

// What is pulled is heard out as well.
func TestCloseFrameOfASendAndReceive(t *testing.T) {
	is := is.New(t)
	srv := reqwstest.New(t, reqwstest.Script(
		reqwstest.Accept(), reqwstest.SendText("a"),
		reqwstest.ExpectClose(1000, ""), reqwstest.SendText("late"), reqwstest.SendClose(1000, ""),
	))
	resp, err := reqws.New(reqws.URL(srv.URL), reqws.HearOut(true)).Do(t.Context())
	is.NoErr(err)
	is.NoErr(resp.Send(t.Context(), reqws.Close(1000, "")))
	var got []string
	for f, err := range resp.Frames(t.Context()) {
		is.NoErr(err)
		got = append(got, f.String())
	}
	is.Equal(got, []string{`text "a"`, `text "late"`, "close 1000"})
}
