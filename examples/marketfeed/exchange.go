package main

import (
	"context"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
)

// fault is what goes wrong with a delta.
type fault int

const (
	none   fault = iota
	lost         // nobody gets it
	broken       // the connections are gone
	silent       // they stay, but nothing comes over them any more, nor do pongs
)

// badLuck is what goes wrong with the delta of a number.
func badLuck(seq int) fault {
	switch {
	case seq == 230:
		return broken
	case seq == 420:
		return silent
	case seq%85 == 0:
		return lost
	}
	return none
}

// exchange has a book that changes at random, and sends the changes to those who subscribed.
type exchange struct {
	luck func(seq int) fault

	mu          sync.Mutex // held while it writes, too: a toy may wait for its slowest client
	book        book
	over        bool
	subscribers map[*subscriber]bool
}

type subscriber struct {
	*websocket.Conn
	silent atomic.Bool
}

func newExchange(luck func(seq int) fault) *exchange {
	return &exchange{luck: luck, book: newBook(message{}), subscribers: map[*subscriber]bool{}}
}

// trade makes so many changes, and then closes the market.
func (x *exchange) trade(ctx context.Context, changes int, pace time.Duration) {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for seq := 1; seq <= changes; seq++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		x.mu.Lock()
		delta := change(seq)
		x.book.apply(delta)
		x.publish(ctx, delta, x.luck(seq))
		x.mu.Unlock()
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.over = true
	x.publish(ctx, x.end(), none)
}

// change is a random one. Now and then a price has nobody left.
func change(seq int) message {
	side, price := "bid", 9_900
	if rand.N(2) == 0 {
		side, price = "ask", 10_010
	}
	return message{Type: "delta", Seq: seq, Side: side, Price: price + 10*rand.N(10), Size: rand.N(6)}
}

// end is the message that closes the market: the one after the last delta. mu is held.
func (x *exchange) end() message { return message{Type: "end", Seq: x.book.seq + 1} }

// publish sends a message to the subscribers, or does not. mu is held.
func (x *exchange) publish(ctx context.Context, m message, f fault) {
	for s := range x.subscribers {
		switch f {
		case lost:
		case broken:
			delete(x.subscribers, s)
			_ = s.CloseNow()
		case silent:
			delete(x.subscribers, s)
			s.silent.Store(true)
		default:
			_ = wsjson.Write(ctx, s.Conn, m) // whoever reads from it learns that it is gone
		}
	}
}

// serve serves clients until ctx ends.
func (x *exchange) serve(ctx context.Context) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var s subscriber
		var err error
		s.Conn, err = websocket.Accept(w, r, &websocket.AcceptOptions{
			OnPingReceived: func(context.Context, []byte) bool { return !s.silent.Load() },
		})
		if err != nil {
			return
		}
		defer s.CloseNow()
		defer x.unsubscribe(&s)
		for {
			var request struct{ Op string }
			if err := wsjson.Read(ctx, s.Conn, &request); err != nil {
				return
			}
			if request.Op == "subscribe" {
				x.subscribe(ctx, &s)
			}
		}
	}
}

// subscribe sends a snapshot, and all messages after it.
func (x *exchange) subscribe(ctx context.Context, s *subscriber) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if s.silent.Load() {
		return
	}
	_ = wsjson.Write(ctx, s.Conn, x.book.snapshot())
	if x.over {
		_ = wsjson.Write(ctx, s.Conn, x.end())
	}
	x.subscribers[s] = true
}

func (x *exchange) unsubscribe(s *subscriber) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.subscribers, s)
}

// final is the book when the market is closed.
func (x *exchange) final() book {
	x.mu.Lock()
	defer x.mu.Unlock()
	return newBook(x.book.snapshot())
}
