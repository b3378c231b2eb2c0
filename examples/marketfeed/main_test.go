package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matryer/is"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/internal/pipe"
	"github.com/reqws/reqws/reqwstest"
)

// memory is a net.Listener whose connections are made by DialContext, in memory: time can be
// virtual over them.
type memory struct {
	conns  chan net.Conn
	closed chan struct{}
}

func newMemory() *memory { return &memory{make(chan net.Conn), make(chan struct{})} }

func (m *memory) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := pipe.New()
	select {
	case m.conns <- server:
		return client, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (m *memory) Accept() (net.Conn, error) {
	select {
	case c := <-m.conns:
		return c, nil
	case <-m.closed:
		return nil, net.ErrClosed
	}
}

func (m *memory) Close() error { close(m.closed); return nil }

func (m *memory) Addr() net.Addr { return &net.TCPAddr{} }

// follow has a feed follow an exchange until its market closes, in virtual time.
func follow(t *testing.T, x *exchange, changes int) *feed {
	t.Helper()
	is := is.New(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ln := newMemory()
	srv := &http.Server{Handler: x.serve(ctx)}
	go func() { _ = srv.Serve(ln) }()
	defer srv.Close()
	go x.trade(ctx, changes, 10*time.Millisecond)
	f := &feed{out: io.Discard}
	is.NoErr(f.follow(ctx, "ws://exchange.test", reqws.DialContext(ln.DialContext), reqws.Logger(nil)))
	return f
}

func TestBookIsThatOfTheExchange(t *testing.T) {
	at := func(f fault, seqs ...int) func(int) fault {
		return func(seq int) fault {
			for _, s := range seqs {
				if s == seq {
					return f
				}
			}
			return none
		}
	}
	for _, c := range []struct {
		name        string
		luck        func(seq int) fault
		gaps, links int
	}{
		{"all goes well", at(none), 0, 1},
		{"one is lost", at(lost, 500), 1, 1},
		{"several in a row are one gap", at(lost, 500, 501, 502), 1, 1},
		{"gaps far from each other", at(lost, 500, 900), 2, 1},
		{"the last one, which the end tells", at(lost, 2000), 1, 1},
		{"the connection is lost", at(broken, 500), 0, 2},
		{"twice", at(broken, 500, 1500), 0, 3},
		{"and at the end", at(broken, 2000), 0, 2},
		{"the exchange is silent", at(silent, 500), 0, 2},
		{"and at the end is silent", at(silent, 2000), 0, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				is := is.New(t)
				x := newExchange(c.luck)
				f := follow(t, x, 2000)
				is.Equal(f.gaps, c.gaps)
				is.Equal(f.links, c.links)
				is.Equal(f.book, x.final())
				is.Equal(f.book.seq, 2000)
			})
		})
	}
}

// Whatever is dropped, and whenever.
func TestBadLuck(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				is := is.New(t)
				dice := rand.New(rand.NewPCG(seed, 0))
				x := newExchange(func(int) fault {
					switch n := dice.IntN(400); {
					case n < 40:
						return lost
					case n < 41:
						return broken
					case n < 42:
						return silent
					}
					return none
				})
				f := follow(t, x, 1500)
				is.Equal(f.book, x.final())
				is.True(f.gaps > 0)
			})
		})
	}
}

// What main does, over real connections.
func TestLoopback(t *testing.T) {
	is := is.New(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	x := newExchange(func(seq int) fault { return []fault{lost, none, none}[seq%3] })
	srv := httptest.NewServer(x.serve(ctx))
	defer srv.Close()
	go x.trade(ctx, 99, time.Microsecond)
	var out strings.Builder
	f := feed{out: &out}
	is.NoErr(f.follow(ctx, strings.Replace(srv.URL, "http", "ws", 1)))
	is.Equal(f.book, x.final())
	is.True(strings.HasPrefix(out.String(), "connection 1: subscribing\n"))
}

// The handler, without a server.
func TestOn(t *testing.T) {
	snapshot := message{Type: "snapshot", Seq: 10, Bids: map[int]int{99: 1}, Asks: map[int]int{101: 2}}
	delta := func(seq, size int) message {
		return message{Type: "delta", Seq: seq, Side: "ask", Price: 101, Size: size}
	}
	const asks, ends, nothing = "asks for a snapshot", "ends", ""
	for _, c := range []struct {
		name string
		in   []message
		last string // what the last one has it do
		seq  int
		size int // at 101
	}{
		{"a snapshot", []message{snapshot}, nothing, 10, 2},
		{"a delta before it", []message{delta(9, 5)}, nothing, 0, 0},
		{"a delta that it holds", []message{snapshot, delta(10, 5)}, nothing, 10, 2},
		{"the next delta", []message{snapshot, delta(11, 5)}, nothing, 11, 5},
		{"a price with nobody left", []message{snapshot, delta(11, 0)}, nothing, 11, 0},
		{"the same delta twice", []message{snapshot, delta(11, 5), delta(11, 5)}, nothing, 11, 5},
		{"a gap", []message{snapshot, delta(12, 5)}, asks, 10, 2},
		{"after a gap it asks once", []message{snapshot, delta(12, 5), delta(13, 6)}, nothing, 10, 2},
		{"and waits for the snapshot", []message{delta(12, 5), snapshot, delta(11, 6)}, nothing, 11, 6},
		{"the end", []message{snapshot, delta(11, 5), {Type: "end", Seq: 12}}, ends, 11, 5},
		{"the end after a gap", []message{snapshot, {Type: "end", Seq: 12}}, asks, 10, 2},
		{"the end without a book", []message{{Type: "end", Seq: 12}}, nothing, 0, 0},
		{"what we do not know", []message{snapshot, {Type: "holiday", Seq: 11}}, nothing, 10, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			is := is.New(t)
			f := feed{out: io.Discard}
			var d reqws.Directive
			for _, m := range c.in {
				d = f.on(m, nil)
			}
			got := nothing
			switch {
			case d.Halts():
				got = ends
			case len(d.Replies()) > 0:
				is.Equal(d.Replies(), []reqws.Frame{subscribe})
				got = asks
			}
			is.Equal(got, c.last)
			is.Equal(f.book.seq, c.seq)
			is.Equal(f.book.asks[101], c.size)
		})
	}
}

func TestTop(t *testing.T) {
	is := is.New(t)
	b := newBook(message{Bids: map[int]int{9900: 3, 9890: 1}, Asks: map[int]int{10010: 2, 10020: 9}})
	is.Equal(b.top(), "bid 3 × 99.00  |  ask 2 × 100.10")
	b = newBook(message{})
	is.Equal(b.top(), "bid 0 × 0.00  |  ask 0 × 0.00")
}

// What is no JSON ends the feed.
func TestNoJSON(t *testing.T) {
	is := is.New(t)
	reqwstest.NoLeaks(t)
	srv := reqwstest.NewMemory(t, reqwstest.Script(reqwstest.Accept(), reqwstest.ExpectText(`{"op":"subscribe"}`),
		reqwstest.SendText("<html>"), reqwstest.ExpectCloseCode(1007), reqwstest.SendClose(1007, "")))
	f := feed{out: io.Discard}
	is.True(f.follow(t.Context(), srv.URL, reqws.DialContext(srv.DialContext)) != nil)
	is.Equal(f.links, 1)
}
