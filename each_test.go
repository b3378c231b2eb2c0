package reqws_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/matryer/is"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/reqwstest"
)

// A directive tells a test what it holds.
func TestDirectives(t *testing.T) {
	a, b, bye := reqws.Text("a"), reqws.Binary("b"), reqws.Close(4000, "x")
	piece, empty := reqws.Frame{Kind: reqws.KindText, More: true, Data: []byte("p")}, reqws.Binary([]byte{})
	far, below := reqws.Close(1<<30, ""), reqws.Close(-1, "")
	oops := errors.New("oops")
	for _, tc := range []struct {
		d       reqws.Directive
		replies []reqws.Frame
		halts   bool
		err     error
		text    string
	}{
		{reqws.Directive{}, nil, false, nil, "cont()"},
		{reqws.Cont(), nil, false, nil, "cont()"},
		{reqws.Cont(a), []reqws.Frame{a}, false, nil, `cont(text "a")`},
		{reqws.Cont(a, b), []reqws.Frame{a, b}, false, nil, `cont(text "a", binary "b")`},
		{reqws.Cont(reqws.Frame{}, b), []reqws.Frame{{}, b}, false, nil, `cont(invalid, binary "b")`},
		{reqws.Cont(piece), []reqws.Frame{piece}, false, nil, `cont(text piece "p")`},
		{reqws.Cont(empty), []reqws.Frame{empty}, false, nil, "cont(binary)"},
		{reqws.Cont(bye, a), []reqws.Frame{bye, a}, false, nil, `cont(close 4000 "x", text "a")`},
		{reqws.Cont(far), []reqws.Frame{far}, false, nil, "cont(close 1073741824)"},
		{reqws.Halt(below), []reqws.Frame{below}, true, nil, "halt(close -1)"},
		{reqws.Halt(), nil, true, nil, "halt()"},
		{reqws.Halt(a, bye), []reqws.Frame{a, bye}, true, nil, `halt(text "a", close 4000 "x")`},
		{reqws.Fail(oops), nil, true, oops, "fail(oops)"},
		{reqws.Fail(oops, a), []reqws.Frame{a}, true, oops, `fail(oops, text "a")`},
		{reqws.Fail(oops, a, b), []reqws.Frame{a, b}, true, oops, `fail(oops, text "a", binary "b")`},
	} {
		t.Run(tc.text, func(t *testing.T) {
			is := is.New(t)
			is.Equal(tc.d.Replies(), tc.replies)
			is.Equal(tc.d.Halts(), tc.halts)
			is.Equal(tc.d.Err(), tc.err)
			is.Equal(tc.d.String(), tc.text)
		})
	}
	is.New(t).True(reqws.Fail(nil).Err() != nil)
}

// The Each family puts the answers of a batch together, and stops where one ends it: the same
// without a server.
func TestEachFamily(t *testing.T) {
	oops := errors.New("oops")
	answer := func(text string) reqws.Directive {
		switch text {
		case "halt":
			return reqws.Halt(reqws.Text("bye"))
		case "fail":
			return reqws.Fail(oops)
		case "close":
			return reqws.Cont(reqws.Close(4000, ""))
		case "two":
			return reqws.Cont(reqws.Text("1"), reqws.Text("2"))
		case "silent":
			return reqws.Cont()
		}
		return reqws.Cont(reqws.Text(text))
	}
	for _, tc := range []struct{ in, want string }{
		{"", "cont()"},
		{"silent silent", "cont()"},
		{"a b", `cont(text "a", text "b")`},
		{"a two b", `cont(text "a", text "1", text "2", text "b")`},
		{"a halt b", `halt(text "a", text "bye")`},
		{"silent fail b", "fail(oops)"},
		{"a fail b", `fail(oops, text "a")`},
		{"a close b", `cont(text "a", close 4000)`},
	} {
		for name, handler := range map[string]reqws.Handler{
			"Each":     reqws.Each(func(f reqws.Frame) reqws.Directive { return answer(f.Text()) }),
			"EachWith": reqws.EachWith(func(f reqws.Frame, _ *reqws.Response) reqws.Directive { return answer(f.Text()) }),
			"EachJSON": reqws.EachJSON(func(text string, _ *reqws.Response) reqws.Directive { return answer(text) }),
		} {
			t.Run(name+"/"+tc.in, func(t *testing.T) {
				is := is.New(t)
				var frames []reqws.Frame
				for text := range strings.FieldsSeq(tc.in) {
					if name == "EachJSON" {
						text = fmt.Sprintf("%q", text)
					}
					frames = append(frames, reqws.Text(text))
				}
				d := handler(reqws.Event{Frames: frames}, nil)
				is.Equal(d.String(), tc.want)
				is.Equal(errors.Is(d.Err(), oops), strings.Contains(tc.in, "fail"))
				is.Equal(handler(reqws.Event{Err: io.EOF}, nil).String(), "cont()")
			})
		}
	}
}

// A message that is no JSON for the type ends the stream with 1007; control frames are not
// shown.
func TestEachJSON(t *testing.T) {
	type price struct{ Price float64 }
	for _, tc := range []struct {
		name string
		send []reqwstest.Frame
		got  []float64
		bad  bool
	}{
		{"good", []reqwstest.Frame{reqwstest.Text(`{"price":1.5}`), reqwstest.Ping("{"), reqwstest.Binary(`{"price":2}`)}, []float64{1.5, 2}, false},
		{"fields of one do not stay for the next", []reqwstest.Frame{reqwstest.Text(`{"price":1.5}`), reqwstest.Text(`{}`)}, []float64{1.5, 0}, false},
		{"no JSON", []reqwstest.Frame{reqwstest.Text(`{"price":1.5}`), reqwstest.Text(`{"price":`), reqwstest.Text(`{"price":3}`)}, []float64{1.5}, true},
		{"another type", []reqwstest.Frame{reqwstest.Text(`{"price":"high"}`)}, nil, true},
		{"an empty message", []reqwstest.Frame{reqwstest.Text("")}, nil, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			is := is.New(t)
			steps := []reqwstest.Step{reqwstest.Accept(), reqwstest.Send(tc.send...)}
			if tc.bad {
				steps = append(steps, reqwstest.ExpectCloseCode(1007), reqwstest.SendClose(1007, ""))
			} else {
				for _, f := range tc.send {
					if f.Op == reqwstest.OpPing {
						steps = append(steps, reqwstest.ExpectPong(string(f.Payload)))
					}
				}
				steps = append(steps, reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, ""))
			}
			srv := reqwstest.New(t, reqwstest.Script(steps...))
			var got []float64
			err := to(srv).Run(t.Context(), reqws.Into(reqws.EachJSON(func(p price, resp *reqws.Response) reqws.Directive {
				is.Equal(resp.StatusCode, 101)
				got = append(got, p.Price)
				return reqws.Cont()
			})))
			is.Equal(got, tc.got)
			is.Equal(err != nil, tc.bad)
			if tc.bad {
				is.True(strings.Contains(err.Error(), "JSON"))
			}
			is.NoErr(srv.Wait(t.Context()))
		})
	}
}

// Two handlers of the Each family may answer the same batch.
func TestEachTwiceInOneHandler(t *testing.T) {
	is := is.New(t)
	srv := reqwstest.New(t, reqwstest.Script(reqwstest.Accept(),
		reqwstest.Send(reqwstest.Text("a"), reqwstest.Text("b")),
		reqwstest.ExpectFrames(reqwstest.Text("1a"), reqwstest.Text("1b"), reqwstest.Text("2a"), reqwstest.Text("2b")),
		reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, "")))
	with := func(prefix string) reqws.Handler {
		return reqws.Each(func(f reqws.Frame) reqws.Directive {
			if f.Kind != reqws.KindText {
				return reqws.Cont()
			}
			return reqws.Cont(reqws.Text(prefix + f.Text()))
		})
	}
	first, second := with("1"), with("2")
	is.NoErr(to(srv).Run(t.Context(), reqws.Into(func(in reqws.Event, resp *reqws.Response) reqws.Directive {
		one, two := first(in, resp), second(in, resp)
		return reqws.Cont(append(one.Replies(), two.Replies()...)...)
	})))
}

// Wrap stands around every kind of handler, the first one outermost, and adds up.
func TestWrap(t *testing.T) {
	for _, mode := range []string{"handler", "pull", "mailbox"} {
		t.Run(mode, func(t *testing.T) {
			tidy(t)
			is := is.New(t)
			srv := reqwstest.New(t, reqwstest.Script(reqwstest.Accept(),
				reqwstest.Send(reqwstest.Text("a"), reqwstest.Text("drop me"), reqwstest.Text("b")),
				reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, "")))
			var order []string
			note := func(name string) func(reqws.Handler) reqws.Handler {
				return func(next reqws.Handler) reqws.Handler {
					return func(in reqws.Event, resp *reqws.Response) reqws.Directive {
						order = append(order, name)
						return next(in, resp)
					}
				}
			}
			filter := func(next reqws.Handler) reqws.Handler {
				return func(in reqws.Event, resp *reqws.Response) reqws.Directive {
					kept := in.Frames[:0]
					for _, f := range in.Frames {
						if f.Text() != "drop me" {
							kept = append(kept, f)
						}
					}
					in.Frames = kept
					return next(in, resp)
				}
			}
			var got []string
			box := make(chan reqws.Message, 10)
			option := map[string]reqws.Option{"pull": {}, "mailbox": reqws.IntoMailbox(box), "handler": reqws.Into(reqws.Each(func(f reqws.Frame) reqws.Directive {
				got = append(got, f.Text())
				return reqws.Cont()
			}))}[mode]
			resp, err := to(srv, reqws.Wrap(note("outer"), note("inner"))).Do(t.Context(), reqws.Wrap(filter), option)
			is.NoErr(err)
			switch mode {
			case "pull":
				for f, err := range resp.Frames(t.Context()) {
					is.NoErr(err)
					got = append(got, f.Text())
				}
			case "mailbox":
				for m := range box {
					for _, f := range m.Frames {
						got = append(got, f.Text())
					}
					if m.Err != nil {
						is.Equal(m.Err, io.EOF)
						break
					}
				}
			}
			is.NoErr(resp.Wait())
			is.Equal(got, []string{"a", "b", ""})
			is.Equal(order[:2], []string{"outer", "inner"})
		})
	}
	t.Run("nil", func(t *testing.T) {
		is := is.New(t)
		_, err := reqws.New(reqws.URL("ws://x"), reqws.Wrap(nil)).Do(t.Context())
		is.True(err != nil && strings.Contains(err.Error(), "Wrap"))
	})
	t.Run("returns nil", func(t *testing.T) {
		is := is.New(t)
		srv := reqwstest.New(t, reqwstest.Script(reqwstest.Accept(), reqwstest.SendText("a"), reqwstest.ExpectCloseCode(1011), reqwstest.SendClose(1011, "")))
		err := to(srv, reqws.Wrap(func(reqws.Handler) reqws.Handler { return nil })).Run(t.Context(), (&witness{}).into())
		is.True(err != nil && strings.Contains(err.Error(), "Wrap"))
	})
}

// SendJSON sends a text message, and says what cannot be written as JSON.
func TestSendJSON(t *testing.T) {
	is := is.New(t)
	srv := reqwstest.New(t, reqwstest.Script(reqwstest.Accept(), reqwstest.ExpectText(`{"a":[1,"x"]}`), reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, "")))
	resp, err := to(srv).Do(t.Context())
	is.NoErr(err)
	is.True(resp.SendJSON(t.Context(), func() {}) != nil)
	is.NoErr(resp.SendJSON(t.Context(), map[string]any{"a": []any{1, "x"}}))
	is.NoErr(resp.Wait())
	code, _, ok := resp.PeerClose()
	is.True(ok)
	is.Equal(code, websocket.StatusNormalClosure)
	is.True(resp.SendJSON(context.Background(), 1) != nil)
}
