package main

import (
	"errors"
	"testing"
	"testing/synctest"

	"github.com/matryer/is"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/reqwstest"
)

// The first way: a handler is a function, so call it. It needs no server, no connection and no
// Response, and what it answers can be asked.

func TestPrices(t *testing.T) {
	for _, c := range []struct {
		name   string
		frames []reqws.Frame
		want   string // what the answer to all of them says of itself
	}{
		{"below the limit", texts("ACME 99"), `cont()`},
		{"at the limit", texts("ACME 100"), `cont()`},
		{"above", texts("ACME 100.5"), `cont(text "ACME is above 100")`},
		{"still above", texts("ACME 101", "ACME 102"), `cont(text "ACME is above 100")`},
		{"above again", texts("ACME 101", "ACME 99", "ACME 101"), `cont(text "ACME is above 100", text "ACME is above 100")`},
		{"each for itself", texts("ACME 101", "INIT 9"), `cont(text "ACME is above 100", text "INIT is above 5")`},
		{"nobody watches it", texts("EMCA 101"), `cont()`},
		{"the end of the day", texts("ACME 101", "closed"), `halt(text "ACME is above 100", text "good night")`},
		{"after the end", texts("closed", "ACME 101"), `halt(text "good night")`},
		{"no number", texts("ACME much"), `fail(not a price: "ACME much", close 1008 "not a price")`},
		{"no price at all", texts("ACME"), `fail(not a price: "ACME", close 1008 "not a price")`},
		{"an empty message", texts(""), `fail(not a price: "", close 1008 "not a price")`},
		{"other frames", []reqws.Frame{reqws.Ping("p"), reqws.Binary("ACME 101"), reqws.Close(1000, "")}, `cont()`},
	} {
		t.Run(c.name, func(t *testing.T) {
			bot := newTestBot()
			got := bot.handle(reqws.Event{Frames: c.frames}, nil)
			is.New(t).Equal(got.String(), c.want)
		})
	}
}

// What String says is for people. A test that needs to be exact asks the answer piece by piece.
func TestAnswers(t *testing.T) {
	t.Run("an alert", func(t *testing.T) {
		is := is.New(t)
		got := newTestBot().frame(reqws.Text("ACME 101"))
		is.Equal(got.Replies(), []reqws.Frame{reqws.Text("ACME is above 100")})
		is.True(!got.Halts())
		is.NoErr(got.Err())
	})
	t.Run("the end of the day", func(t *testing.T) {
		is := is.New(t)
		got := newTestBot().frame(reqws.Text("closed"))
		is.True(got.Halts())
		is.NoErr(got.Err()) // in good order: Run will return nil
	})
	t.Run("no price", func(t *testing.T) {
		is := is.New(t)
		got := newTestBot().frame(reqws.Text("ACME much"))
		is.True(got.Halts())
		is.True(errors.Is(got.Err(), errPrice))
	})
}

// A break is an Event as well.
func TestBreak(t *testing.T) {
	is := is.New(t)
	bot := newTestBot()
	above := reqws.Event{Frames: texts("ACME 101")}
	is.Equal(len(bot.handle(above, nil).Replies()), 1)
	is.Equal(len(bot.handle(above, nil).Replies()), 0)
	is.True(!bot.handle(reqws.Event{Err: errors.New("connection lost")}, nil).Halts())
	is.Equal(len(bot.handle(above, nil).Replies()), 1)
}

// The second way: the bot over a connection, with a server that plays a script and holds the
// bot to it. It shows that the Request around the handler is right: URL, credentials, and here
// that it comes back. In memory and in a bubble of testing/synctest it takes no time, however
// long the delays are.

func TestOverAConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		reqwstest.NoLeaks(t)
		srv := reqwstest.NewMemory(t,
			reqwstest.Script(
				reqwstest.Accept(),
				reqwstest.SendText("ACME 101"), reqwstest.ExpectText("ACME is above 100"),
				reqwstest.SendPing("still there?"), reqwstest.ExpectPong("still there?"),
				reqwstest.Drop(), // without a goodbye
			),
			reqwstest.Script(
				reqwstest.Accept(),
				reqwstest.SendText("ACME 102"), reqwstest.ExpectText("ACME is above 100"),
				reqwstest.SendText("closed"), reqwstest.ExpectText("good night"),
				reqwstest.ExpectClose(1000, ""), reqwstest.SendClose(1000, ""),
			),
		)
		err := newRequest(srv.URL, newTestBot()).Run(t.Context(), reqws.DialContext(srv.DialContext), reqws.Logger(nil))
		is.NoErr(err)
		is.Equal(srv.Requests()[0].RequestURI, "/prices?format=plain")
		is.Equal(len(srv.Conns()), 2)
	})
}

func TestFailsOverAConnection(t *testing.T) {
	is := is.New(t)
	reqwstest.NoLeaks(t)
	srv := reqwstest.NewMemory(t, reqwstest.Script(
		reqwstest.Accept(),
		reqwstest.SendText("ACME much"),
		reqwstest.ExpectClose(1008, "not a price"), reqwstest.SendClose(1008, ""),
	))
	err := newRequest(srv.URL, newTestBot()).Run(t.Context(), reqws.DialContext(srv.DialContext))
	is.True(errors.Is(err, errPrice))
}

func newTestBot() *alerts { return newAlerts(map[string]float64{"ACME": 100, "INIT": 5}) }

// texts are text messages that arrive together.
func texts(messages ...string) []reqws.Frame {
	var frames []reqws.Frame
	for _, m := range messages {
		frames = append(frames, reqws.Text(m))
	}
	return frames
}
