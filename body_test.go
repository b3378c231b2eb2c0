package reqws_test

import (
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/matryer/is"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/internal/wiretest"
	"github.com/reqws/reqws/reqwstest"
)

// plain returns a Request to a scripted server that takes it for an HTTP server.
func plain(srv *reqwstest.Server, opts ...reqws.Option) *reqws.Request {
	return to(srv, reqws.URL(srv.HTTPURL()+"/page")).With(opts...)
}

// A plain answer without a handler has all of its body in Body.
func TestPlainBody(t *testing.T) {
	for name, server := range map[string]func(reqwstest.TB, ...reqwstest.Option) *reqwstest.Server{
		"http": reqwstest.New, "https": reqwstest.NewTLS,
	} {
		t.Run(name, func(t *testing.T) {
			tidy(t)
			is := is.New(t)
			srv := server(t, reqwstest.Script(reqwstest.Respond(200, http.Header{"X-Kind": {"plain"}}, "all of it")))
			resp, err := plain(srv).Do(t.Context())
			is.NoErr(err)
			is.Equal(resp.StatusCode, 200)
			is.Equal(resp.Header.Get("X-Kind"), "plain")
			is.Equal(string(resp.Body), "all of it")
			is.Equal(resp.Request.URL.String(), srv.HTTPURL()+"/page")
			<-resp.Done()
			is.NoErr(resp.Wait())
			_, err = resp.Receive(t.Context())
			is.Equal(err, io.EOF)
			is.True(errors.Is(resp.Send(t.Context(), reqws.Text("x")), reqws.ErrClosed))
			is.NoErr(resp.Close(1000, ""))
		})
	}
}

// With a handler or a mailbox the body comes in chunks.
func TestPlainChunks(t *testing.T) {
	for _, mode := range []string{"run", "do", "mailbox"} {
		t.Run(mode, func(t *testing.T) {
			tidy(t)
			is := is.New(t)
			srv := reqwstest.New(t, reqwstest.Script(reqwstest.RespondChunks("one ", "two ", "three")))
			var body strings.Builder
			collect := func(frames []reqws.Frame) {
				for _, f := range frames {
					is.Equal(f.Kind, reqws.KindChunk)
					is.True(len(f.Data) > 0)
					body.WriteString(f.Text())
				}
			}
			handler := reqws.Into(func(in reqws.Event, resp *reqws.Response) reqws.Directive {
				is.NoErr(in.Err)
				is.Equal(resp.StatusCode, 200)
				collect(in.Frames)
				return reqws.Cont()
			})
			switch mode {
			case "run":
				is.NoErr(plain(srv).Run(t.Context(), handler))
			case "do":
				resp, err := plain(srv).Do(t.Context(), handler)
				is.NoErr(err)
				is.NoErr(resp.Wait())
				is.Equal(resp.Body, nil)
			case "mailbox":
				box := make(chan reqws.Message)
				resp, err := plain(srv).Do(t.Context(), reqws.IntoMailbox(box))
				is.NoErr(err)
				for m := range box {
					frames, err := resp.ParseMessage(m)
					if err == io.EOF {
						break
					}
					is.NoErr(err)
					collect(frames)
				}
			}
			is.Equal(body.String(), "one two three")
		})
	}
}

// No size is too large for MaxMessageSize.
func TestPlainBodyWithinAnySize(t *testing.T) {
	for _, most := range []int64{-1, 9, math.MaxInt64 - 1, math.MaxInt64} {
		is := is.New(t)
		srv := reqwstest.New(t, reqwstest.Script(reqwstest.Respond(200, nil, "all of it")))
		resp, err := plain(srv, reqws.MaxMessageSize(most)).Do(t.Context())
		is.NoErr(err)
		is.Equal(string(resp.Body), "all of it")
	}
}

// A body that does not end is cancelled by Halt, Fail, Close, CloseNow and the end of
// ctx. The handler is not told of an end that it began.
func TestPlainBodyIsCancelled(t *testing.T) {
	for _, end := range []string{"halt", "fail", "close", "close inside", "close now", "ctx"} {
		t.Run(end, func(t *testing.T) {
			tidy(t)
			is := is.New(t)
			srv := reqwstest.New(t, reqwstest.Script(
				wiretest.RawResponse("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n"),
				reqwstest.ExpectGone(),
			))
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			why := errors.New("enough")
			first := make(chan struct{})
			w := &witness{}
			w.answer = func(in reqws.Event, resp *reqws.Response) reqws.Directive {
				if in.Err != nil {
					return reqws.Cont()
				}
				close(first)
				switch end {
				case "halt":
					return reqws.Halt()
				case "fail":
					return reqws.Fail(why)
				case "close inside":
					is.NoErr(resp.Close(1000, ""))
				}
				return reqws.Cont()
			}
			resp, err := plain(srv).Do(ctx, w.into())
			is.NoErr(err)
			<-first
			want := error(nil)
			switch end {
			case "fail":
				want = why
			case "close":
				is.NoErr(resp.Close(1000, ""))
			case "close now":
				is.NoErr(resp.CloseNow())
				want = reqws.ErrClosed
			case "ctx":
				cancel(why)
				want = context.Canceled
			}
			err = resp.Wait()
			is.True(errors.Is(err, want))
			if end == "ctx" {
				is.True(errors.Is(err, why))
			}
			is.Equal(w.frames(), []string{`chunk "first"`})
			is.Equal(len(w.errs) == 1, end == "close now" || end == "ctx")
		})
	}
}

// A body whose Close does not stop it is not read on either.
func TestPlainBodyThatCannotBeCancelled(t *testing.T) {
	is := is.New(t)
	step := func(http.RoundTripper) http.RoundTripper {
		return reqws.RoundTripFunc(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Body: io.NopCloser(oneByte{strings.NewReader("many chunks")})}, nil
		})
	}
	for _, end := range []func(*reqws.Response) error{
		func(r *reqws.Response) error { return r.Close(1000, "") }, (*reqws.Response).CloseNow,
	} {
		w := &witness{}
		w.answer = func(in reqws.Event, resp *reqws.Response) reqws.Directive {
			is.NoErr(end(resp))
			return reqws.Cont()
		}
		_ = reqws.New(reqws.URL("http://example.com/"), reqws.Use(step)).Run(t.Context(), w.into())
		is.Equal(w.frames(), []string{`chunk "m"`})
	}
}

// Replies cannot be sent over a plain answer.
func TestPlainBodyTakesNoReplies(t *testing.T) {
	tidy(t)
	is := is.New(t)
	srv := reqwstest.New(t, reqwstest.Script(reqwstest.Respond(200, nil, "hello")))
	w := &witness{answer: func(reqws.Event, *reqws.Response) reqws.Directive { return reqws.Cont(reqws.Text("hi")) }}
	err := plain(srv).Run(t.Context(), w.into())
	is.True(err != nil)
	is.True(strings.Contains(err.Error(), "reply"))
	is.Equal(len(w.errs), 1)
}

// A handler that fails is not told of it.
func TestPlainBodyFails(t *testing.T) {
	tidy(t)
	is := is.New(t)
	mine := errors.New("mine")
	srv := reqwstest.New(t, reqwstest.Script(reqwstest.Respond(200, nil, "hello")))
	calls := 0
	err := plain(srv).Run(t.Context(), reqws.Into(func(reqws.Event, *reqws.Response) reqws.Directive {
		calls++
		return reqws.Fail(mine)
	}))
	is.True(errors.Is(err, mine))
	is.Equal(calls, 1)
}

// MaxMessageSize bounds Body.
func TestPlainBodyAboveTheLimit(t *testing.T) {
	for _, tc := range []struct {
		limit int64
		ok    bool
	}{{10, true}, {9, false}, {-1, true}} {
		tidy(t)
		is := is.New(t)
		srv := reqwstest.New(t, reqwstest.Script(reqwstest.Respond(200, nil, "0123456789")))
		resp, err := plain(srv, reqws.MaxMessageSize(tc.limit)).Do(t.Context())
		is.Equal(err == nil, tc.ok)
		if tc.ok {
			is.Equal(string(resp.Body), "0123456789")
			continue
		}
		is.True(errors.Is(err, reqws.ErrMessageTooBig))
		is.True(strings.Contains(err.Error(), srv.HTTPURL()))
	}
}

// A body that breaks off is an error, after what came of it.
func TestPlainBodyBreaksOff(t *testing.T) {
	for _, tc := range []struct {
		name string
		step reqwstest.Step
		want error
	}{{"end", reqwstest.Drop(), io.ErrUnexpectedEOF}, {"reset", reqwstest.Reset(), syscall.ECONNRESET}} {
		t.Run(tc.name, func(t *testing.T) {
			tidy(t)
			is := is.New(t)
			first := make(chan struct{}, 1)
			short := wiretest.RawResponse("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst")
			srv := reqwstest.New(t,
				reqwstest.Script(short, reqwstest.Await(first), tc.step),
				reqwstest.Script(short, tc.step),
			)
			w := &witness{}
			w.answer = func(in reqws.Event, _ *reqws.Response) reqws.Directive {
				if in.Err == nil {
					first <- struct{}{}
				}
				return reqws.Cont()
			}
			err := plain(srv).Run(t.Context(), w.into())
			is.True(errors.Is(err, tc.want))
			is.True(err != io.EOF)
			is.Equal(w.frames(), []string{`chunk "first"`})
			is.Equal(len(w.errs), 1)
			is.Equal(w.errs[0], err)

			_, err = plain(srv).Do(t.Context())
			is.True(errors.Is(err, tc.want))
		})
	}
}

// An error status is an answer of Do like any other, and an error where that is
// asked for; Run always makes it one.
func TestPlainErrorStatus(t *testing.T) {
	tidy(t)
	is := is.New(t)
	srv := reqwstest.New(t, reqwstest.Script(reqwstest.Respond(404, http.Header{"X-Why": {"gone"}}, "no such page")).Times(4))
	resp, err := plain(srv).Do(t.Context())
	is.NoErr(err)
	is.Equal(resp.StatusCode, 404)
	is.Equal(string(resp.Body), "no such page")

	w := &witness{}
	resp, err = plain(srv).Do(t.Context(), w.into())
	is.NoErr(err)
	is.NoErr(resp.Wait())
	is.Equal(w.frames(), []string{`chunk "no such page"`})

	check := func(err error) {
		t.Helper()
		var he *reqws.HTTPError
		is.True(errors.As(err, &he))
		is.Equal(he.StatusCode, 404)
		is.Equal(he.Header.Get("X-Why"), "gone")
		is.Equal(string(he.Body), "no such page")
		is.True(strings.Contains(err.Error(), "404"))
		is.True(strings.Contains(err.Error(), srv.HTTPURL()))
		is.True(!strings.Contains(err.Error(), "handshake")) // there was none
	}
	_, err = plain(srv, reqws.HTTPErrors(reqws.RaiseErrors)).Do(t.Context())
	check(err)
	w = &witness{}
	check(plain(srv).Run(t.Context(), w.into()))
	is.Equal(w.frames(), nil)
	is.Equal(w.errs, nil)
}

// OnOpen is for WebSockets, and Method for plain requests.
func TestPlainMethod(t *testing.T) {
	tidy(t)
	is := is.New(t)
	srv := reqwstest.New(t, reqwstest.Script(reqwstest.Respond(200, nil, "ok")))
	resp, err := plain(srv, reqws.Method("OPTIONS"), reqws.OnOpen(func(*reqws.Response) reqws.Directive {
		t.Error("OnOpen was called")
		return reqws.Cont()
	})).Do(t.Context())
	is.NoErr(err)
	is.Equal(string(resp.Body), "ok")
	is.Equal(srv.Requests()[0].Method, "OPTIONS")
}

// A panic in the handler closes the body, and goes on up.
func TestPlainPanic(t *testing.T) {
	tidy(t)
	is := is.New(t)
	srv := reqwstest.New(t, reqwstest.Script(
		wiretest.RawResponse("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n"),
		reqwstest.ExpectGone(),
	))
	defer func() { is.Equal(recover(), "oops") }()
	_ = plain(srv).Run(t.Context(), reqws.Into(func(reqws.Event, *reqws.Response) reqws.Directive { panic("oops") }))
}
