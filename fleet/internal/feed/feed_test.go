package feed

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/matryer/is"
)

func texts(id string, numbers ...int) []string {
	var all []string
	for _, n := range numbers {
		all = append(all, Message(id, n))
	}
	return all
}

// The books show what is missing, and whether there is an excuse for it.
func TestAccount(t *testing.T) {
	ended := time.Now()
	for _, c := range []struct {
		name      string
		conns     []Conn
		published []string
		want      Account
	}{
		{"all is there", []Conn{{ID: "a", Last: 3, Clean: true, Closed: ended}}, texts("a", 0, 1, 2), Account{Sent: 3, Published: 3}},
		{"one is doubled", []Conn{{ID: "a", Last: 2, Clean: true, Closed: ended}}, texts("a", 0, 1, 1), Account{Sent: 2, Published: 2, Doubled: 1}},
		{"the end of a clean one", []Conn{{ID: "a", Last: 3, Clean: true, Closed: ended}}, texts("a", 0, 1), Account{Sent: 3, Published: 2, Lost: 1}},
		{"the end of one that is open", []Conn{{ID: "a", Last: 3}}, texts("a", 0, 1), Account{Sent: 3, Published: 2, Lost: 1}},
		{"the end of one that broke", []Conn{{ID: "a", Last: 3, Closed: ended}}, texts("a", 0), Account{Sent: 3, Published: 1, Gap: 2}},
		{"the middle of one that broke", []Conn{{ID: "a", Last: 3, Closed: ended}}, texts("a", 0, 2), Account{Sent: 3, Published: 2, Lost: 1}},
		{"never sent", []Conn{{ID: "a", Last: 1, Clean: true, Closed: ended}}, texts("a", 0, 7), Account{Sent: 1, Published: 2, Strangers: 1}},
		{"two connections", []Conn{{ID: "a", Last: 2, Closed: ended}, {ID: "a", First: 2, Last: 4, Clean: true, Closed: ended}},
			texts("a", 0, 2, 3), Account{Sent: 4, Published: 3, Gap: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			is := is.New(t)
			s := New(0)
			for i := range c.conns {
				s.conns = append(s.conns, &c.conns[i])
			}
			got := s.Account(c.published)
			is.Equal(got.First != "", got.Lost+got.Doubled > 0)
			got.Downtime, got.First = nil, ""
			is.Equal(got, c.want)
		})
	}
}

// The server notes how its connections end, and counts on from one to the next.
func TestServer(t *testing.T) {
	is := is.New(t)
	s := New(time.Millisecond)
	srv := httptest.NewServer(s)
	defer srv.Close()
	var got []string
	for _, clean := range []bool{true, false, true} {
		c, _, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(srv.URL, "http")+"/a", nil)
		is.NoErr(err)
		_, data, err := c.Read(t.Context())
		is.NoErr(err)
		got = append(got, string(data))
		is.NoErr(c.Write(t.Context(), websocket.MessageText, []byte("x")))
		for len(s.Received("a")) < len(got) {
			time.Sleep(time.Millisecond)
		}
		if clean {
			// What comes before the server's close frame is read, as a worker does.
			is.NoErr(c.Write(t.Context(), websocket.MessageText, []byte("bye")))
			err = c.Close(websocket.StatusNormalClosure, "")
		} else {
			err = c.CloseNow()
		}
		is.True(err == nil || errors.Is(err, context.Canceled))
		for {
			conns := s.Conns()
			if !conns[len(conns)-1].Closed.IsZero() {
				is.Equal(conns[len(conns)-1].Clean, clean)
				break
			}
			time.Sleep(time.Millisecond)
		}
		got = got[:0:0]
		got = append(got, s.Received("a")...)
	}
	open, most := s.Open()
	is.Equal(open, 0)
	is.Equal(most, 1)
	for i, c := range s.Conns()[1:] {
		is.True(c.First >= s.Conns()[i].Last)
	}
}
