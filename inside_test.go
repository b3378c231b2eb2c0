package reqws_test

import (
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matryer/is"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/reqwstest"
)

// Wait, Receive and Frames that a stream's own handler calls would wait for themselves: they
// return at once, whichever Response they are called on.
func TestWaitingInsideAHandler(t *testing.T) {
	calls := map[string]func(*reqws.Response) error{
		"Wait": (*reqws.Response).Wait,
		"Receive": func(r *reqws.Response) error {
			_, err := r.Receive(t.Context())
			return err
		},
		"Frames": func(r *reqws.Response) error {
			for _, err := range r.Frames(t.Context()) {
				return err
			}
			return nil
		},
	}
	for name, call := range calls {
		for _, where := range []string{"handler", "error", "open", "open for pull"} {
			if name != "Wait" && (where == "handler" || where == "error") {
				continue // an error anyway
			}
			t.Run(name+"/"+where, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					is := is.New(t)
					srv := reqwstest.NewMemory(t, reqwstest.Script(reqwstest.Accept(), reqwstest.SendText("go"), reqwstest.Drop()))
					called := 0
					inside := func(resp *reqws.Response) {
						called++
						start := time.Now()
						err := call(resp)
						is.True(err != nil)
						is.Equal(time.Since(start), time.Duration(0))
					}
					var opts []reqws.Option
					if where != "open for pull" {
						opts = append(opts, reqws.Into(func(in reqws.Event, resp *reqws.Response) reqws.Directive {
							if where == "handler" && in.Err == nil || where == "error" && in.Err != nil {
								inside(resp)
							}
							return reqws.Cont()
						}))
					}
					opts = append(opts, reqws.OnOpen(func(resp *reqws.Response) reqws.Directive {
						if where == "open" || where == "open for pull" {
							inside(resp)
						}
						return reqws.Cont()
					}))
					resp, err := to(srv).Do(t.Context(), opts...)
					is.NoErr(err)
					is.True(resp.Wait() != nil)
					is.Equal(called, 1)
				})
			})
		}
	}
}

// A handler that closes another stream waits for that one, though its handler is running too.
func TestCloseOfAnotherStreamInsideAHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		srv := reqwstest.NewMemory(t,
			reqwstest.Script(reqwstest.Accept(), reqwstest.SendText("go"), reqwstest.ExpectClose(1000, ""),
				reqwstest.Sleep(time.Second), reqwstest.SendClose(1000, "")),
			reqwstest.Script(reqwstest.Accept(), reqwstest.SendText("go"), reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, "")),
		)
		inside, leave := make(chan struct{}), make(chan struct{})
		other, err := to(srv).Do(t.Context(), reqws.Into(func(reqws.Event, *reqws.Response) reqws.Directive {
			close(inside)
			<-leave
			return reqws.Cont()
		}))
		is.NoErr(err)
		<-inside
		var took time.Duration
		is.NoErr(to(srv).Run(t.Context(), reqws.Into(reqws.Each(func(f reqws.Frame) reqws.Directive {
			if f.Kind == reqws.KindText {
				start := time.Now()
				time.AfterFunc(time.Second/2, func() { close(leave) })
				is.NoErr(other.Close(1000, ""))
				took = time.Since(start)
				is.NoErr(other.Wait())
			}
			return reqws.Cont()
		}))))
		is.Equal(took, time.Second)
	})
}

// A Response of a refused handshake says the refusal, whatever is asked of it, and a mailbox
// gets its last Message.
func TestAfterARefusal(t *testing.T) {
	for _, mode := range []string{"pull", "handler", "mailbox"} {
		t.Run(mode, func(t *testing.T) {
			tidy(t)
			is := is.New(t)
			srv := reqwstest.New(t, reqwstest.Script(reqwstest.Refuse(403, http.Header{}, "not you")))
			box := make(chan reqws.Message)
			option := map[string]reqws.Option{"pull": {}, "handler": (&witness{}).into(), "mailbox": reqws.IntoMailbox(box)}[mode]
			resp, err := to(srv, reqws.HTTPErrors(reqws.ReturnErrors)).Do(t.Context(), option)
			is.NoErr(err)
			var errs []error
			if mode == "mailbox" {
				m := <-box
				is.True(m.Response == resp)
				is.Equal(m.Frames, nil)
				_, err := resp.ParseMessage(m)
				errs = append(errs, m.Err, err)
			}
			if mode == "pull" {
				_, err := resp.Receive(t.Context())
				errs = append(errs, err)
				for _, err := range resp.Frames(t.Context()) {
					errs = append(errs, err)
				}
			}
			errs = append(errs, resp.Wait(), resp.Send(t.Context(), reqws.Text("x")), resp.SendJSON(t.Context(), 1))
			for i, err := range errs {
				var refused *reqws.HTTPError
				if !errors.As(err, &refused) || refused.StatusCode != 403 {
					t.Errorf("%d: %v", i, err)
				}
			}
			is.NoErr(resp.Close(1000, ""))
			is.NoErr(resp.CloseNow())
		})
	}
}

// A mailbox gets its last Message whatever ends the stream.
func TestTheLastMessage(t *testing.T) {
	for _, tc := range []struct {
		name  string
		steps []reqwstest.Step
		do    func(*reqws.Response)
		clean bool
	}{
		{"a clean close", []reqwstest.Step{reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, "")}, nil, true},
		{"a bare close", []reqwstest.Step{reqwstest.SendClose(0, ""), reqwstest.ExpectClose(0, "")}, nil, true},
		{"a drop", []reqwstest.Step{reqwstest.Drop()}, nil, false},
		{"a bad frame", []reqwstest.Step{reqwstest.Send(reqwstest.Frame{Fin: true, Op: 3}), reqwstest.ExpectCloseCode(1002)}, nil, false},
		{"Close", []reqwstest.Step{reqwstest.ExpectClose(1000, ""), reqwstest.SendClose(1000, "")}, func(r *reqws.Response) { _ = r.Close(1000, "") }, true},
		{"CloseNow", []reqwstest.Step{reqwstest.ExpectGone()}, func(r *reqws.Response) { _ = r.CloseNow() }, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tidy(t)
			is := is.New(t)
			srv := reqwstest.New(t, reqwstest.Script(append([]reqwstest.Step{reqwstest.Accept()}, tc.steps...)...))
			box := make(chan reqws.Message, 10)
			resp, err := to(srv).Do(t.Context(), reqws.IntoMailbox(box))
			is.NoErr(err)
			if tc.do != nil {
				tc.do(resp)
			}
			for m := range box {
				if m.Err == nil {
					continue
				}
				is.Equal(m.Err == io.EOF, tc.clean)
				is.Equal(len(m.Frames), 0)
				break
			}
			is.Equal(resp.Wait() == nil, tc.clean)
		})
	}
}
