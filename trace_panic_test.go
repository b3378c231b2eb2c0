package reqws_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matryer/is"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/reqwstest"
)

// A hook that panics does so where it is called, and leaves nothing open behind it: the stream has
// ended, and the connection is closed.
func TestHooksThatPanic(t *testing.T) {
	for _, tt := range []struct {
		name  string
		trace reqws.ClientTrace
		steps []reqwstest.Step
	}{
		{"Attempt", reqws.ClientTrace{Attempt: func(reqws.AttemptInfo) { panic("enough") }}, []reqwstest.Step{reqwstest.Accept(), reqwstest.ExpectGone()}},
		{"Opened", reqws.ClientTrace{Opened: func(reqws.OpenedInfo) { panic("enough") }}, []reqwstest.Step{reqwstest.Accept(), reqwstest.ExpectGone()}},
		{"BatchIn", reqws.ClientTrace{BatchIn: func(reqws.BatchInfo) { panic("enough") }}, []reqwstest.Step{reqwstest.Accept(), reqwstest.SendText("x"), reqwstest.ExpectGone()}},
		{"BatchOut", reqws.ClientTrace{BatchOut: func(reqws.BatchInfo) { panic("enough") }}, []reqwstest.Step{reqwstest.Accept(), reqwstest.SendText("x"), reqwstest.ExpectGone()}},
		{"Closed", reqws.ClientTrace{Closed: func(reqws.ClosedInfo) { panic("enough") }}, []reqwstest.Step{reqwstest.Accept(), reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, "")}},
		{"Closed, before another connection", reqws.ClientTrace{Closed: func(reqws.ClosedInfo) { panic("enough") }}, []reqwstest.Step{reqwstest.Accept(), reqwstest.Reset()}},
		{"Reconnecting", reqws.ClientTrace{Reconnecting: func(reqws.ReconnectingInfo) { panic("enough") }}, []reqwstest.Step{reqwstest.Accept(), reqwstest.Reset()}},
		{"Heartbeat", reqws.ClientTrace{Heartbeat: func(reqws.HeartbeatInfo) { panic("enough") }}, []reqwstest.Step{reqwstest.Accept(), reqwstest.AnswerPing(), reqwstest.ExpectGone()}},
		{"Retry", reqws.ClientTrace{Retry: func(reqws.RetryInfo) { panic("enough") }}, []reqwstest.Step{reqwstest.Refuse(503, nil, "")}},
		{"Redirect", reqws.ClientTrace{Redirect: func(reqws.RedirectInfo) { panic("enough") }}, []reqwstest.Step{reqwstest.Redirect(302, "/")}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tidy(t)
				is := is.New(t)
				srv := reqwstest.NewMemory(t, reqwstest.Script(tt.steps...))
				var resp *reqws.Response
				closed := make(chan error, 1)
				func() {
					defer func() { is.Equal(recover(), "enough") }()
					_ = to(srv, reqws.Retry(reqws.SafeTransient), reqws.Reconnect(-1), reqws.Heartbeat(time.Second, time.Second), reqws.Trace(&tt.trace)).Run(t.Context(),
						reqws.AddTrace(&reqws.ClientTrace{Closed: func(i reqws.ClosedInfo) { closed <- i.Err }}),
						reqws.OnOpen(func(r *reqws.Response) reqws.Directive { resp = r; return reqws.Cont() }),
						reqws.Into(reqws.Each(echo)))
				}()
				if resp != nil {
					is.True(resp.Wait() != nil || tt.trace.Closed != nil)
					is.True(resp.Send(t.Context(), reqws.Text("later")) != nil)
					is.Equal(len(closed) == 0, tt.trace.Closed != nil) // what stood behind it was not called
				}
				is.NoErr(srv.Wait(t.Context()))
			})
		})
	}
}

// One that panics in a Send of the user's ends the stream, and nobody is left waiting.
func TestAHookThatPanicsInASend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tidy(t)
		is := is.New(t)
		srv := reqwstest.NewMemory(t, reqwstest.Script(reqwstest.Accept(), reqwstest.ExpectGone()))
		resp, err := to(srv).Do(t.Context(), reqws.Trace(&reqws.ClientTrace{BatchOut: func(reqws.BatchInfo) { panic("enough") }}))
		is.NoErr(err)
		func() {
			defer func() { is.Equal(recover(), "enough") }()
			_ = resp.Send(context.Background(), reqws.Text("x"))
		}()
		is.True(resp.Send(context.Background(), reqws.Text("y")) != nil)
		is.NoErr(resp.CloseNow())
		is.True(resp.Wait() != nil)
		is.True(!errors.Is(resp.Wait(), context.Canceled))
	})
}
