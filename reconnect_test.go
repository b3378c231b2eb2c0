package reqws_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/coder/websocket"
	"github.com/matryer/is"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/reqwstest"
)

// at once, but for the tests of the delays.
func atOnce() reqws.Option {
	return reqws.ReconnectBackOff(func() backoff.BackOff { return &backoff.ZeroBackOff{} })
}

// goodbye is a connection that says hello, and ends the stream.
func goodbye(hello string) *reqwstest.ConnScript {
	return reqwstest.Script(reqwstest.Accept(), reqwstest.Send(reqwstest.Text(hello), reqwstest.Close(1000, "")), reqwstest.ExpectClose(1000, ""))
}

// Which ends of a connection are followed by another one, and what the handler is told.
func TestWhatIsReconnected(t *testing.T) {
	ends := func(steps ...reqwstest.Step) []reqwstest.Step { return steps }
	closes := func(code int) []reqwstest.Step {
		return ends(reqwstest.SendClose(code, "why"), reqwstest.ExpectClose(code, ""))
	}
	ended := func(code websocket.StatusCode) error { return websocket.CloseError{Code: code, Reason: "why"} }
	for _, tt := range []struct {
		name  string
		steps []reqwstest.Step
		opts  []reqws.Option
		again bool
		want  error // what the handler is told, nil: nothing
	}{
		{"reset", ends(reqwstest.Reset()), nil, true, syscall.ECONNRESET},
		{"no close frame", ends(), nil, true, io.ErrUnexpectedEOF},
		{"silence", ends(reqwstest.Stall()), nil, true, reqws.ErrPeerUnresponsive},
		{"close 1000", closes(1000), nil, false, nil},
		{"close 1001", closes(1001), nil, true, ended(1001)},
		{"close 1002", closes(1002), nil, false, ended(1002)},
		{"close 1003", closes(1003), nil, false, ended(1003)},
		{"close without a code", ends(reqwstest.SendClose(0, ""), reqwstest.ExpectClose(0, "")), nil, true, websocket.CloseError{Code: 1005}},
		{"close 1007", closes(1007), nil, false, ended(1007)},
		{"close 1008", closes(1008), nil, false, ended(1008)},
		{"close 1009", closes(1009), nil, false, ended(1009)},
		{"close 1010", closes(1010), nil, false, ended(1010)},
		{"close 1011", closes(1011), nil, true, ended(1011)},
		{"close 1012", closes(1012), nil, true, ended(1012)},
		{"close 4001", closes(4001), nil, true, ended(4001)},
		{"a reserved bit", ends(reqwstest.Send(reqwstest.Frame{Fin: true, RSV: reqwstest.RSV1, Op: reqwstest.OpText}), reqwstest.ExpectCloseCode(1002)), nil, false, &reqws.ProtocolError{Code: 1002}},
		{"a message too big", ends(reqwstest.SendText("too big"), reqwstest.ExpectCloseCode(1009)), []reqws.Option{reqws.MaxMessageSize(5)}, false, reqws.ErrMessageTooBig},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tidy(t)
				is := is.New(t)
				scripts := []reqwstest.Option{reqwstest.Script(append([]reqwstest.Step{reqwstest.Accept()}, tt.steps...)...)}
				if tt.again {
					scripts = append(scripts, goodbye("hi"))
				}
				srv := reqwstest.NewMemory(t, scripts...)
				w := &witness{}
				err := to(srv, tt.opts...).Run(t.Context(), w.into(), reqws.Reconnect(-1), atOnce())
				if tt.want == nil {
					is.Equal(len(w.errs), 0)
					is.NoErr(err)
					return
				}
				is.Equal(len(w.errs), 1)
				var protocol *reqws.ProtocolError
				if errors.As(tt.want, &protocol) {
					is.True(errors.As(w.errs[0], &protocol))
				} else {
					is.True(errors.Is(w.errs[0], tt.want))
				}
				if tt.again {
					is.NoErr(err)
					is.True(slices.Contains(w.frames(), `text "hi"`))
				} else {
					is.Equal(err, w.errs[0])
				}
				is.Equal(len(srv.Requests()), len(scripts))
			})
		})
	}
}

// What this side has chosen is not followed by another connection.
func TestChosenEndsAreNotReconnected(t *testing.T) {
	failure := errors.New("enough")
	for _, tt := range []struct {
		name   string
		answer reqws.Directive // to a frame
		onErr  reqws.Directive // to the break
		steps  []reqwstest.Step
		want   error
	}{
		{"Halt", reqws.Halt(), reqws.Cont(), []reqwstest.Step{reqwstest.ExpectClose(1000, ""), reqwstest.SendClose(1000, "")}, nil},
		{"Halt, and no answer", reqws.Halt(), reqws.Cont(), []reqwstest.Step{reqwstest.ExpectClose(1000, "")}, io.ErrUnexpectedEOF},
		{"Fail", reqws.Fail(failure), reqws.Cont(), []reqwstest.Step{reqwstest.ExpectClose(1011, ""), reqwstest.SendClose(1012, "")}, failure},
		{"a close frame", reqws.Cont(reqws.Close(1001, "")), reqws.Cont(), []reqwstest.Step{reqwstest.ExpectClose(1001, ""), reqwstest.SendClose(1012, "")}, nil},
		{"a reply that may not be sent", reqws.Cont(reqws.Ping(strings.Repeat("x", 126))), reqws.Cont(), []reqwstest.Step{reqwstest.ExpectCloseCode(1011), reqwstest.SendClose(1012, "")}, new(reqws.ProtocolError)},
		{"Halt at the break", reqws.Cont(), reqws.Halt(), []reqwstest.Step{reqwstest.Reset()}, syscall.ECONNRESET},
		{"Fail at the break", reqws.Cont(), reqws.Fail(failure), []reqwstest.Step{reqwstest.Reset()}, failure},
		{"Halt at a close without a code", reqws.Cont(), reqws.Halt(), []reqwstest.Step{reqwstest.SendClose(0, ""), reqwstest.ExpectClose(0, "")}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tidy(t)
				is := is.New(t)
				srv := reqwstest.NewMemory(t, reqwstest.Script(append([]reqwstest.Step{reqwstest.Accept(), reqwstest.SendText("go")}, tt.steps...)...))
				err := to(srv).Run(t.Context(), reqws.Reconnect(-1), reqws.Into(func(in reqws.Event, _ *reqws.Response) reqws.Directive {
					if in.Err != nil {
						return tt.onErr
					}
					if in.Frames[0].Kind == reqws.KindText {
						return tt.answer
					}
					return reqws.Cont()
				}))
				var protocol *reqws.ProtocolError
				switch {
				case tt.want == nil:
					is.NoErr(err)
				case errors.As(tt.want, &protocol):
					is.True(errors.As(err, &protocol))
				default:
					is.True(errors.Is(err, tt.want))
				}
			})
		})
	}
}

// OnOpen runs on each connection, before anything else is sent; each Response keeps the answer of its
// own handshake, and that of Do is the handle for all.
func TestReconnectInOrder(t *testing.T) {
	for name, serve := range servers {
		t.Run(name, func(t *testing.T) {
			tidy(t)
			is := is.New(t)
			var scripts []reqwstest.Option
			const links = 5
			sent := make(chan bool)
			for i := range links {
				script := []reqwstest.Step{
					reqwstest.Accept(reqwstest.WithHeader("X-Link", fmt.Sprint(i))),
					reqwstest.ExpectFrames(reqwstest.Text("subscribe"), reqwstest.Text("again")),
					reqwstest.SendText(fmt.Sprint("tick ", i)),
					reqwstest.ExpectText(fmt.Sprint("tock ", i)),
				}
				if i == links-1 {
					script = append(script, reqwstest.SendText("your turn"), reqwstest.ExpectText("by Do's"), reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, ""))
				} else {
					script = append(script, reqwstest.SendClose(1012, ""), reqwstest.ExpectClose(1012, ""))
				}
				scripts = append(scripts, reqwstest.Script(script...))
			}
			srv := serve(t, scripts...)
			var mu sync.Mutex
			var log []string
			resp, err := to(srv, reqws.Reconnect(-1), atOnce()).Do(t.Context(),
				reqws.OnOpen(func(resp *reqws.Response) reqws.Directive {
					return reqws.Cont(reqws.Text("subscribe"), reqws.Text("again"))
				}),
				reqws.Into(func(in reqws.Event, resp *reqws.Response) reqws.Directive {
					mu.Lock()
					defer mu.Unlock()
					if in.Err != nil {
						log = append(log, "break "+resp.Header.Get("X-Link"))
					}
					for _, f := range in.Frames {
						switch {
						case f.Text() == "your turn":
							close(sent)
						case f.Kind == reqws.KindText:
							log = append(log, f.Text()+" of "+resp.Header.Get("X-Link"))
							return reqws.Cont(reqws.Text(strings.Replace(f.Text(), "tick", "tock", 1)))
						}
					}
					return reqws.Cont()
				}))
			is.NoErr(err)
			<-sent
			is.NoErr(resp.Send(t.Context(), reqws.Text("by Do's")))
			is.NoErr(resp.Wait())
			is.Equal(resp.Header.Get("X-Link"), "0")
			want := []string{}
			for i := range links {
				want = append(want, fmt.Sprintf("tick %d of %d", i, i))
				if i < links-1 {
					want = append(want, fmt.Sprint("break ", i))
				}
			}
			is.Equal(log, want)
		})
	}
}

// An attempt that fails is followed by the next, unless the server refused for good.
func TestFailedAttempts(t *testing.T) {
	refuse := func(status int) *reqwstest.ConnScript { return reqwstest.Script(reqwstest.Refuse(status, nil, "no")) }
	for _, tt := range []struct {
		name   string
		script *reqwstest.ConnScript
		status int // of the HTTPError that the stream ends with; 0: it goes on
	}{
		{"refused", reqwstest.DialError(syscall.ECONNREFUSED), 0},
		{"no descriptor", reqwstest.DialError(os.NewSyscallError("socket", syscall.EMFILE)), 0},
		{"no such host", reqwstest.DialError(&net.DNSError{Err: "no such host", IsNotFound: true}), 0},
		{"a TLS alert", reqwstest.DialError(tls.AlertError(112)), 0},
		{"a certificate", reqwstest.DialError(&tls.CertificateVerificationError{Err: errors.New("expired")}), 0},
		{"hangs up", reqwstest.Script(reqwstest.Do(func(c *reqwstest.Conn) error { _, err := c.ReadRequest(); return err })), 0},
		{"no HTTP", reqwstest.Script(reqwstest.Do(func(c *reqwstest.Conn) error {
			_, err := c.ReadRequest()
			_, _ = c.Write([]byte("hello\r\n\r\n"))
			return err
		})), 0},
		{"a wrong accept", reqwstest.Script(reqwstest.Accept(reqwstest.WithHeader("Sec-WebSocket-Accept", "x"), reqwstest.Without("Sec-WebSocket-Accept"))), 0},
		{"503", refuse(503), 0},
		{"502", refuse(502), 0},
		{"429", refuse(429), 0},
		{"401", refuse(401), 401},
		{"403", refuse(403), 403},
		{"404", refuse(404), 404},
		{"200", refuse(200), 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tidy(t)
				is := is.New(t)
				scripts := []reqwstest.Option{reqwstest.Script(reqwstest.Accept(), reqwstest.Drop()), tt.script}
				if tt.status == 0 {
					scripts = append(scripts, tt.script, goodbye("hi"))
				}
				srv := reqwstest.NewMemory(t, scripts...)
				w := &witness{}
				err := to(srv).Run(t.Context(), w.into(), reqws.Reconnect(-1), atOnce())
				if tt.status == 0 {
					is.NoErr(err)
					is.Equal(w.frames(), []string{`text "hi"`, "close 1000"})
					is.Equal(len(w.errs), 1) // of failed attempts the handler hears nothing
					return
				}
				var refused *reqws.HTTPError
				is.True(errors.As(err, &refused))
				is.Equal(refused.StatusCode, tt.status)
				is.Equal(len(w.errs), 2) // the break, and why it was the last
				is.Equal(w.errs[1], err)
			})
		})
	}
}

// Each attempt runs all steps again: credentials are fetched afresh, and Attempt counts.
func TestAttemptsRunAllSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		srv := reqwstest.NewMemory(t,
			reqwstest.Script(reqwstest.Accept(), reqwstest.Drop()),
			reqwstest.Script(reqwstest.Refuse(503, nil, "")),
			reqwstest.Script(reqwstest.Refuse(503, nil, "")),
			reqwstest.Script(reqwstest.Accept(), reqwstest.Drop()),
			goodbye("hi"))
		n := 0
		var attempts []int
		err := to(srv, reqws.Retry(reqws.SafeTransient), reqws.Reconnect(-1), reqws.MinUptime(0), atOnce(),
			reqws.Auth(reqws.AuthFunc(func(ctx context.Context) (reqws.Step, error) {
				n++
				attempts = append(attempts, reqws.Attempt(ctx))
				return reqws.Bearer(fmt.Sprint(n)), nil
			}))).Run(t.Context(), (&witness{}).into())
		is.NoErr(err)
		for i, r := range srv.Requests() {
			is.Equal(r.Header.Get("Authorization"), fmt.Sprint("Bearer ", i+1))
		}
		is.Equal(attempts, []int{0, 0, 1, 2, 0})
	})
}

// A RetryFunc of the user's decides before Reconnect does.
func TestRetryFuncWithinAnAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		srv := reqwstest.NewMemory(t,
			reqwstest.Script(reqwstest.Accept(), reqwstest.Drop()),
			reqwstest.Script(reqwstest.Refuse(401, nil, "")),
			goodbye("hi"))
		is.NoErr(to(srv, reqws.Reconnect(1), atOnce(), reqws.RetryFunc(func(_ *http.Request, resp *http.Response, _ error) reqws.RetryDecision {
			if resp != nil && resp.StatusCode == 401 {
				return reqws.AgainAfter(0)
			}
			return reqws.GiveUp
		})).Run(t.Context(), (&witness{}).into()))
	})
}

// Receive, Frames and a mailbox carry on.
func TestOtherReadersCarryOn(t *testing.T) {
	scripts := func() []reqwstest.Option {
		return []reqwstest.Option{
			reqwstest.Script(reqwstest.Accept(), reqwstest.SendText("one"), reqwstest.Sleep(time.Second)),
			reqwstest.Script(reqwstest.Accept(), reqwstest.SendText("two"), reqwstest.Sleep(time.Second), reqwstest.Reset()),
			goodbye("three"),
		}
	}
	want := []string{`text "one"`, `text "two"`, `text "three"`, "close 1000"}
	t.Run("Receive", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			is := is.New(t)
			resp, err := to(reqwstest.NewMemory(t, scripts()...), reqws.Reconnect(-1)).Do(t.Context())
			is.NoErr(err)
			var got []string
			for {
				frames, err := resp.Receive(t.Context())
				if err == io.EOF {
					break
				}
				is.NoErr(err)
				got = append(got, listed(frames)...)
			}
			is.Equal(got, want)
		})
	})
	t.Run("Frames", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			is := is.New(t)
			resp, err := to(reqwstest.NewMemory(t, scripts()...), reqws.Reconnect(-1)).Do(t.Context())
			is.NoErr(err)
			var got []string
			for f, err := range resp.Frames(t.Context()) {
				is.NoErr(err)
				got = append(got, f.String())
			}
			is.Equal(got, want)
		})
	})
	t.Run("mailbox", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			is := is.New(t)
			box := make(chan reqws.Message)
			resp, err := to(reqwstest.NewMemory(t, scripts()...), reqws.Reconnect(-1)).Do(t.Context(), reqws.IntoMailbox(box))
			is.NoErr(err)
			var got []string
			for m := range box {
				frames, err := resp.ParseMessage(m) // though m.Response may be that of a later link
				if err == io.EOF {
					break
				}
				is.NoErr(err)
				got = append(got, listed(frames)...)
			}
			is.Equal(got, want)
		})
	})
}
