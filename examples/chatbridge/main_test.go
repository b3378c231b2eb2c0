package main

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/matryer/is"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/reqwstest"
)

func TestRun(t *testing.T) {
	is := is.New(t)
	reqwstest.NoLeaks(t)
	var out strings.Builder
	is.NoErr(run(t.Context(), &out))
	is.Equal(out.String(), `red → blue  ann: is anybody there?
blue → red  bob: nice to hear you, ann@red
red → blue  ann: that was your answer number 1, bob@blue
blue → red  bob: nice to hear you, ann@red
red → blue  ann: that was your answer number 2, bob@blue
blue → red  bob: nice to hear you, ann@red
red → blue  ann: that was your answer number 3, bob@blue
blue → red  bob: nice to hear you, ann@red
red has closed
`)
}

// Two bridges between the same rooms, and what is said is still forwarded by each just once.
func TestNoLoops(t *testing.T) {
	is := is.New(t)
	reqwstest.NoLeaks(t)
	red, blue := openRoom("lines.v1"), openRoom("json.v1")
	defer red.shut()
	defer blue.shut()
	var outs [2]strings.Builder
	ended := make(chan error, 2)
	for i := range outs {
		b, err := open(t.Context(), &outs[i], [2]string{"red", "blue"}, [2]string{red.url, blue.url})
		is.NoErr(err)
		go func() { ended <- b.run(t.Context()) }()
	}
	// Each hears the other twice, once over each bridge, and then leaves.
	twice := func(texts ...string) func(string) (string, bool) {
		heard := 0
		return func(string) (string, bool) { heard++; return texts[heard-1], heard == 2 }
	}
	atBlue, err := person{name: "bob", answer: twice("hm", "")}.join(t.Context(), blue.url)
	is.NoErr(err)
	atRed, err := person{name: "ann", first: "hello", answer: twice("", "")}.join(t.Context(), red.url)
	is.NoErr(err)
	is.NoErr(atBlue.Wait())
	is.NoErr(atRed.Wait())
	red.close()
	for range outs {
		is.NoErr(<-ended)
	}
	for i := range outs {
		lines := strings.SplitAfter(outs[i].String(), "\n")
		slices.Sort(lines) // the rooms do not wait for each other
		is.Equal(lines, []string{"", "blue → red  bob: hm\n", "red has closed\n", "red → blue  ann: hello\n"})
	}
}

// between has a bridge stand between two scripted rooms, and returns what it printed.
func between(t *testing.T, ctx context.Context, red, blue []reqwstest.Step) (string, error) {
	t.Helper()
	steps := func(subprotocol string, steps []reqwstest.Step) *reqwstest.Server {
		accept := reqwstest.Accept(reqwstest.WithSubprotocol(subprotocol))
		return reqwstest.New(t, reqwstest.Script(append([]reqwstest.Step{accept}, steps...)...))
	}
	var out strings.Builder
	b, err := open(ctx, &out, [2]string{"red", "blue"}, [2]string{steps("lines.v1", red).URL, steps("json.v1", blue).URL})
	is.New(t).NoErr(err)
	err = b.run(ctx)
	return out.String(), err
}

func TestBridge(t *testing.T) {
	type steps = []reqwstest.Step
	left := steps{reqwstest.ExpectClose(1001, "the bridge is closed"), reqwstest.SendClose(1001, "")}
	closes := steps{reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, "")}
	join := func(all ...steps) (s steps) {
		for _, a := range all {
			s = append(s, a...)
		}
		return s
	}
	for _, c := range []struct {
		name      string
		red, blue steps
		out       string
		err       error
	}{
		{"there and back",
			join(steps{
				reqwstest.SendText("ann: hi: you"),
				reqwstest.ExpectText("bob@blue: hi"),
				reqwstest.SendText("bob@blue: hi"), // as rooms do
			}, closes),
			join(steps{
				reqwstest.ExpectText(`{"from":"ann@red","text":"hi: you"}`),
				reqwstest.SendText(`{"from":"ann@red","text":"hi: you"}`),
				reqwstest.SendText(`{"from":"bob","text":"hi"}`),
			}, left),
			"red → blue  ann: hi: you\nblue → red  bob: hi\nred has closed\n", nil},
		{"what is not understood is left out",
			join(steps{reqwstest.SendText("nobody"), reqwstest.SendBinary("ann: bin"), reqwstest.SendPing("x"), reqwstest.ExpectPong("x"), reqwstest.SendText("ann: hi")}, left),
			join(steps{reqwstest.ExpectText(`{"from":"ann@red","text":"hi"}`)}, closes),
			"red: not understood: a line without a name\nred → blue  ann: hi\nblue has closed\n", nil},
		{"a room breaks",
			left,
			steps{reqwstest.Drop()},
			"", io.ErrUnexpectedEOF},
	} {
		t.Run(c.name, func(t *testing.T) {
			is := is.New(t)
			reqwstest.NoLeaks(t)
			out, err := between(t, t.Context(), c.red, c.blue)
			is.True(errors.Is(err, c.err))
			is.Equal(out, c.out)
		})
	}
}

// Ctrl-C ends both sides.
func TestInterrupted(t *testing.T) {
	is := is.New(t)
	reqwstest.NoLeaks(t)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := between(t, ctx,
		[]reqwstest.Step{reqwstest.SendText("ann: hi"), reqwstest.ExpectCloseCode(1001)},
		[]reqwstest.Step{
			reqwstest.ExpectText(`{"from":"ann@red","text":"hi"}`),
			reqwstest.Do(func(*reqwstest.Conn) error { cancel(); return nil }),
			reqwstest.ExpectCloseCode(1001),
		})
	is.True(errors.Is(err, context.Canceled))
}

// A room that cannot be joined leaves nobody in the other.
func TestOpen(t *testing.T) {
	for _, c := range []struct {
		name string
		blue []reqwstest.Step
		err  string
	}{
		{"refused", []reqwstest.Step{reqwstest.Refuse(403, nil, "")}, "403"},
		{"no format", []reqwstest.Step{reqwstest.Accept(), reqwstest.ExpectCloseCode(1002), reqwstest.SendClose(1002, "")}, "blue speaks none of our formats"},
	} {
		t.Run(c.name, func(t *testing.T) {
			is := is.New(t)
			reqwstest.NoLeaks(t)
			red := reqwstest.New(t, reqwstest.Script(reqwstest.Accept(reqwstest.WithSubprotocol("json.v1")),
				reqwstest.ExpectClose(1001, "the bridge is closed"), reqwstest.SendClose(1001, "")))
			blue := reqwstest.New(t, reqwstest.Script(c.blue...))
			_, err := open(t.Context(), io.Discard, [2]string{"red", "blue"}, [2]string{red.URL, blue.URL})
			is.True(err != nil)
			is.True(strings.Contains(err.Error(), c.err))
		})
	}
}

// A room that takes nothing is not waited for for long, and what is said in it still comes through.
func TestRoomThatTakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		big := strings.Repeat("x", 1<<20) // more than fits between the two ends
		goOn := make(chan struct{})
		red := reqwstest.NewMemory(t, reqwstest.Script(reqwstest.Accept(reqwstest.WithSubprotocol("lines.v1")),
			reqwstest.SendText("ann: "+big), reqwstest.Await(goOn), reqwstest.ExpectCloseCode(1001), reqwstest.SendClose(1001, "")))
		blue := reqwstest.NewMemory(t, reqwstest.Script(reqwstest.Accept(reqwstest.WithSubprotocol("json.v1")), reqwstest.Stall()))
		var out strings.Builder
		dial := func(s *reqwstest.Server) reqws.Option { return reqws.DialContext(s.DialContext) }
		b := &bridge{out: &out, mailbox: make(chan reqws.Message, 16)}
		for i, srv := range []*reqwstest.Server{red, blue} {
			resp, err := reqws.New(reqws.URL(srv.URL), dial(srv), reqws.Subprotocols("lines.v1", "json.v1"), reqws.IntoMailbox(b.mailbox)).Do(t.Context())
			is.NoErr(err)
			b.sides[i] = side{[]string{"red", "blue"}[i], resp, formats[resp.Subprotocol]}
		}
		close(goOn)
		err := b.run(t.Context()) // a send that is cut off in the middle breaks its stream
		is.True(errors.Is(err, context.DeadlineExceeded))
		is.True(strings.Contains(out.String(), "blue: not forwarded: "))
	})
}
