package reqws_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/reqwstest"
)

type (
	myString string
	myBytes  []byte
)

// The constructors take strings and bytes of any name.
func TestFrameConstructors(t *testing.T) {
	data := []byte("data")
	for _, tc := range []struct {
		got  reqws.Frame
		kind reqws.Kind
		data string
		code int
	}{
		{reqws.Text("data"), reqws.KindText, "data", 0},
		{reqws.Text(data), reqws.KindText, "data", 0},
		{reqws.Text(myString("data")), reqws.KindText, "data", 0},
		{reqws.Text(myBytes("data")), reqws.KindText, "data", 0},
		{reqws.Text(""), reqws.KindText, "", 0},
		{reqws.Text([]byte(nil)), reqws.KindText, "", 0},
		{reqws.Binary("data"), reqws.KindBinary, "data", 0},
		{reqws.Binary(data), reqws.KindBinary, "data", 0},
		{reqws.Binary(data[:0]), reqws.KindBinary, "", 0},
		{reqws.Ping("data"), reqws.KindPing, "data", 0},
		{reqws.Ping(data), reqws.KindPing, "data", 0},
		{reqws.Ping(""), reqws.KindPing, "", 0},
		{reqws.Pong("data"), reqws.KindPong, "data", 0},
		{reqws.Pong(data), reqws.KindPong, "data", 0},
		{reqws.Close(1000, ""), reqws.KindClose, "", 1000},
		{reqws.Close(4321, "why"), reqws.KindClose, "why", 4321},
	} {
		t.Run(tc.got.String(), func(t *testing.T) {
			is := is.New(t)
			is.Equal(tc.got.Kind, tc.kind)
			is.Equal(string(tc.got.Data), tc.data)
			is.Equal(tc.got.Text(), tc.data)
			is.Equal(int(tc.got.Code), tc.code)
		})
	}
	is := is.New(t)
	is.True(&reqws.Binary(data).Data[0] == &data[0]) // not a copy
}

func TestFrameString(t *testing.T) {
	long := strings.Repeat("ü", 50) // 100 bytes
	for want, f := range map[string]reqws.Frame{
		`text`:              reqws.Text(""),
		`text "hi"`:         reqws.Text("hi"),
		`text "a\nb"`:       reqws.Text("a\nb"),
		`binary "\x00\xff"`: reqws.Binary("\x00\xff"),
		`ping`:              reqws.Ping(""),
		`ping "p"`:          reqws.Ping("p"),
		`pong "p"`:          reqws.Pong("p"),
		`close 1000`:        reqws.Close(1000, ""),
		`close 4000 "so"`:   reqws.Close(4000, "so"),
		`chunk "c"`:         {Kind: reqws.KindChunk, Data: []byte("c")},
		`invalid`:           {},
		`kind(77)`:          {Kind: 77},
		`text "` + long[:64] + `"… (100 bytes)`:                   reqws.Text(long),
		`text "x` + long[:62] + `"… (101 bytes)`:                  reqws.Text("x" + long), // cut between characters
		`binary "` + strings.Repeat(`\xff`, 64) + `"… (70 bytes)`: reqws.Binary(strings.Repeat("\xff", 70)),
	} {
		t.Run(want, func(t *testing.T) {
			is := is.New(t)
			is.Equal(f.String(), want)
			is.Equal(fmt.Sprint(f), want)
		})
	}
}

func TestFrameClone(t *testing.T) {
	is := is.New(t)
	data := []byte("data")
	f := reqws.Frame{Kind: reqws.KindClose, Data: data, Code: 4000}
	c := f.Clone()
	copy(data, "XXXX")
	is.Equal(c.String(), `close 4000 "data"`)
	is.Equal(reqws.Ping("").Clone().String(), "ping")
}

func TestFrameJSON(t *testing.T) {
	is := is.New(t)
	type order struct {
		ID    int    `json:"id"`
		Coin  string `json:"coin"`
		Price float64
	}
	f, err := reqws.JSON(order{7, "<ETH>", 1.5})
	is.NoErr(err)
	is.Equal(f.Kind, reqws.KindText)
	var back order
	is.NoErr(f.JSON(&back))
	is.Equal(back, order{7, "<ETH>", 1.5})

	_, err = reqws.JSON(func() {})
	is.True(err != nil)
	is.True(strings.Contains(err.Error(), "reqws"))
	for _, f := range []reqws.Frame{reqws.Text("{"), reqws.Text(""), reqws.Ping("x"), reqws.Text(`{"id":"seven"}`)} {
		err := f.JSON(&back)
		is.True(err != nil)
		is.True(strings.Contains(err.Error(), f.Kind.String()))
	}
}

// A handler can be called by a test, with no server and no Response.
func TestAHandlerWithoutAServer(t *testing.T) {
	is := is.New(t)
	seen := 0
	handler := reqws.Each(func(f reqws.Frame) reqws.Directive {
		seen++
		switch f.Text() {
		case "halt":
			return reqws.Halt(reqws.Text("bye"))
		case "close":
			return reqws.Cont(reqws.Close(1000, ""))
		}
		return reqws.Cont(reqws.Text("one"), reqws.Text("two"))
	})
	for _, resp := range []*reqws.Response{nil, {}} {
		for _, tc := range []struct {
			in   []string
			seen int
		}{
			{nil, 0}, {[]string{"a"}, 1}, {[]string{"a", "b"}, 2}, {[]string{"a", "halt", "unseen"}, 2}, {[]string{"close", "unseen"}, 1},
		} {
			seen = 0
			var in reqws.Event
			for _, s := range tc.in {
				in.Frames = append(in.Frames, reqws.Text(s))
			}
			_ = handler(in, resp)
			is.Equal(seen, tc.seen)
		}
		_ = handler(reqws.Event{Err: errors.New("broken")}, resp)
	}
}

// The zero Directive is Cont().
func TestTheZeroDirective(t *testing.T) {
	tidy(t)
	is := is.New(t)
	is.Equal(reqws.Cont(), reqws.Directive{})
	srv := reqwstest.New(t, reqwstest.Script(
		reqwstest.Accept(), reqwstest.SendText("a"), reqwstest.SendPing("p"), reqwstest.ExpectPong("p"),
		reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, ""),
	))
	is.NoErr(to(srv).Run(t.Context(), reqws.Into(reqws.Each(func(reqws.Frame) (d reqws.Directive) { return d }))))
}

// A Directive may be made once and returned many times.
func TestADirectiveIsReusable(t *testing.T) {
	for _, each := range []bool{false, true} {
		t.Run(fmt.Sprint("each=", each), func(t *testing.T) {
			tidy(t)
			is := is.New(t)
			steps := []reqwstest.Step{reqwstest.Accept()}
			for range 5 {
				steps = append(steps, reqwstest.SendText("go"), reqwstest.ExpectText("a"), reqwstest.ExpectText("b"), reqwstest.ExpectText("c"))
			}
			srv := reqwstest.New(t, reqwstest.Script(append(steps, reqwstest.SendText("end"), reqwstest.ExpectClose(1000, ""), reqwstest.SendClose(1000, ""))...))
			abc := reqws.Cont(reqws.Text("a"), reqws.Text("b"), reqws.Text("c"))
			end := reqws.Halt()
			answer := func(f reqws.Frame) reqws.Directive {
				if f.Text() == "end" {
					return end
				}
				return abc
			}
			handler := reqws.Each(answer)
			if !each {
				handler = func(in reqws.Event, _ *reqws.Response) reqws.Directive { return answer(in.Frames[0]) }
			}
			is.NoErr(to(srv).Run(t.Context(), reqws.Into(handler)))
		})
	}
}

// Each handlers may be put together into another handler.
func TestHandlersOfHandlers(t *testing.T) {
	tidy(t)
	is := is.New(t)
	srv := reqwstest.NewMemory(t, reqwstest.Script(
		reqwstest.Accept(),
		reqwstest.Send(reqwstest.Text("a"), reqwstest.Text("b")),
		reqwstest.ExpectText("second a"), reqwstest.ExpectText("second b"),
		reqwstest.Send(reqwstest.Binary("c")),
		reqwstest.ExpectText("first c"),
		reqwstest.SendClose(1000, ""),
		reqwstest.ExpectClose(1000, ""),
	))
	say := func(who string) reqws.Handler {
		return reqws.Each(func(f reqws.Frame) reqws.Directive {
			if f.Kind == reqws.KindClose {
				return reqws.Cont()
			}
			return reqws.Cont(reqws.Text(who + " " + f.Text()))
		})
	}
	first, second := say("first"), say("second")
	is.NoErr(to(srv).Run(t.Context(), reqws.Into(func(in reqws.Event, resp *reqws.Response) reqws.Directive {
		d := first(in, resp)
		if in.Frames[0].Kind == reqws.KindText {
			d = second(in, resp)
		}
		return d
	})))
}

// A bad frame is a bad reply also where it is the only one, and where Each
// collects it.
func TestABadReplyAlone(t *testing.T) {
	for _, tc := range badFrames() {
		for _, each := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/each=%v", tc.name, each), func(t *testing.T) {
				if each && len(tc.frames) > 1 {
					t.Skip("Each ends with a close frame")
				}
				tidy(t)
				is := is.New(t)
				srv := reqwstest.New(t, reqwstest.Script(reqwstest.Accept(), reqwstest.SendText("go"), reqwstest.ExpectCloseCode(1011)))
				handler := reqws.Each(func(reqws.Frame) reqws.Directive { return reqws.Cont(tc.frames...) })
				if !each {
					handler = func(reqws.Event, *reqws.Response) reqws.Directive { return reqws.Cont(tc.frames...) }
				}
				err := to(srv).Run(t.Context(), reqws.Into(handler))
				var pe *reqws.ProtocolError
				is.True(errors.As(err, &pe))
				is.True(strings.Contains(err.Error(), tc.says))
			})
		}
	}
}

// Data is valid until the handler returns; Clone keeps it.
func TestCloneKeepsAFrame(t *testing.T) {
	tidy(t)
	is := is.New(t)
	const n = 300
	steps := []reqwstest.Step{reqwstest.Accept()}
	for i := range n {
		steps = append(steps, reqwstest.SendText(fmt.Sprintf("message %03d", i)))
	}
	srv := reqwstest.New(t, reqwstest.Script(append(steps, reqwstest.SendClose(1000, "reason"), reqwstest.ExpectClose(1000, ""))...))
	var kept []reqws.Frame
	is.NoErr(to(srv).Run(t.Context(), reqws.Into(func(in reqws.Event, _ *reqws.Response) reqws.Directive {
		for _, f := range in.Frames {
			c := f.Clone()
			is.Equal(c.String(), f.String())
			kept = append(kept, c)
			for i := range f.Data { // the handler may even write to it
				f.Data[i] = 'X'
			}
		}
		return reqws.Cont()
	})))
	is.Equal(len(kept), n+1)
	for i := range n {
		is.Equal(kept[i].Text(), fmt.Sprintf("message %03d", i))
	}
	is.Equal(kept[n].String(), `close 1000 "reason"`)
}

// The plainest echo bot gets a close frame without a code back as it came.
func TestEchoOfABareClose(t *testing.T) {
	is := is.New(t)
	srv := reqwstest.New(t, reqwstest.Script(
		reqwstest.Accept(),
		reqwstest.Send(reqwstest.Text("hi"), reqwstest.Close(0, "")),
		reqwstest.ExpectText("hi"),
		reqwstest.ExpectFrames(reqwstest.Close(0, "")),
	))
	is.NoErr(reqws.New(reqws.URL(srv.URL)).Run(t.Context(), reqws.Into(reqws.Each(func(f reqws.Frame) reqws.Directive {
		return reqws.Cont(f)
	}))))
}
