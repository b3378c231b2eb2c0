package reqws_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/reqwstest"
)

// OnOpen speaks first, and before the handler hears anything, even where frames
// came with the 101.
func TestOnOpen(t *testing.T) {
	tidy(t)
	is := is.New(t)
	srv := reqwstest.New(t, reqwstest.Script(
		reqwstest.Accept(reqwstest.WithFrames(reqwstest.Text("early"))),
		reqwstest.ExpectText("one"),
		reqwstest.ExpectText("two"),
		reqwstest.ExpectText("three"),
		reqwstest.ExpectText("early"),
		reqwstest.SendClose(1000, ""),
		reqwstest.ExpectClose(1000, ""),
	))
	var order []string
	err := to(srv,
		reqws.OnOpen(func(resp *reqws.Response) reqws.Directive {
			order = append(order, "open")
			is.Equal(resp.StatusCode, 101)
			is.NoErr(resp.Send(t.Context(), reqws.Text("one")))
			return reqws.Cont(reqws.Text("two"), reqws.Text("three"))
		}),
	).Run(t.Context(), reqws.Into(reqws.Each(func(f reqws.Frame) reqws.Directive {
		order = append(order, f.String())
		return echo(f)
	})))
	is.NoErr(err)
	is.Equal(order, []string{"open", `text "early"`, "close 1000"})
}

// OnOpen may halt; the handler is then never called.
func TestOnOpenHalts(t *testing.T) {
	tidy(t)
	is := is.New(t)
	srv := reqwstest.New(t, reqwstest.Script(
		reqwstest.Accept(reqwstest.WithFrames(reqwstest.Text("early"))),
		reqwstest.ExpectText("only this"),
		reqwstest.ExpectClose(1000, ""),
		reqwstest.SendClose(1000, ""),
	))
	w := &witness{}
	is.NoErr(to(srv, w.into(), reqws.OnOpen(func(*reqws.Response) reqws.Directive {
		return reqws.Halt(reqws.Text("only this"))
	})).Run(t.Context()))
	is.Equal(w.frames(), nil)
}

// A reply of OnOpen that may not be sent is an error of the execution.
func TestOnOpenWithABadReply(t *testing.T) {
	tidy(t)
	is := is.New(t)
	srv := reqwstest.New(t, reqwstest.Script(reqwstest.Accept(), reqwstest.ExpectCloseCode(1011)))
	_, err := to(srv, reqws.OnOpen(func(*reqws.Response) reqws.Directive {
		return reqws.Cont(reqws.Text("\xff"))
	})).Do(t.Context())
	var pe *reqws.ProtocolError
	is.True(errors.As(err, &pe))
	is.True(strings.Contains(err.Error(), "UTF-8"))
}
