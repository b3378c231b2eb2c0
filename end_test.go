package reqws_test

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/coder/websocket"
	"github.com/matryer/is"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/internal/wiretest"
	"github.com/reqws/reqws/reqwstest"
)

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
					is.Equal(len(wiretest.WriteSizes(srv.Conns()[0])), 2)
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
		wiretest.SendRaw(append(reqwstest.Encode(reqwstest.Close(1000, ""), reqwstest.Text("late")), 0xff, 0xff)),
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
		for _, leave := range []reqwstest.Step{reqwstest.Drop(), wiretest.HalfClose()} {
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
		{"half-close", []reqwstest.Step{wiretest.HalfClose()}, io.ErrUnexpectedEOF},
		{"end inside a frame", []reqwstest.Step{wiretest.SendRaw(part), reqwstest.Drop()}, io.ErrUnexpectedEOF},
		{"end inside a header", []reqwstest.Step{wiretest.SendRaw(part[:1]), reqwstest.Drop()}, io.ErrUnexpectedEOF},
		{"end inside a message", []reqwstest.Step{reqwstest.Send(reqwstest.Frame{Op: reqwstest.OpText, Payload: []byte("x")}), reqwstest.Drop()}, io.ErrUnexpectedEOF},
		{"reset", []reqwstest.Step{reqwstest.Reset()}, syscall.ECONNRESET},
	} {
		for name, server := range servers {
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
