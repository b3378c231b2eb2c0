// Marketfeed keeps an order book: a snapshot, and then the changes to it, each with the next number
// of a sequence. Where a number is missing the book is not to be trusted any more, and a fresh
// snapshot is asked for. Where the connection is lost another one is opened, and subscribed again.
//
//	go run ./examples/marketfeed
//
// The exchange is its own, on loopback, and a bad one: it loses a message now and then, hangs up in
// the middle, and once falls silent without hanging up. After some seconds the market closes, and
// the program ends.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/reqws/reqws"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	x := newExchange(badLuck)
	srv := httptest.NewServer(x.serve(ctx))
	defer srv.Close()
	go x.trade(ctx, 600, 8*time.Millisecond)

	f := feed{out: os.Stdout}
	if err := f.follow(ctx, strings.Replace(srv.URL, "http", "ws", 1)); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("market closed after %d messages: survived %d gaps and %d lost connections\n", f.book.seq, f.gaps, f.links-1)
	fmt.Println("the book is that of the exchange:", f.book.equal(x.final()))
}

// feed follows an exchange. Run calls OnOpen and the handler in one goroutine, so that nothing here
// needs a lock.
type feed struct {
	out   io.Writer
	book  book
	whole bool // the book is up to date, as far as we know
	links int  // connections so far
	gaps  int
}

// follow returns when the market closes. opts are added to those of the feed.
func (f *feed) follow(ctx context.Context, url string, opts ...reqws.Option) error {
	return reqws.New(
		reqws.URL(url),
		reqws.Reconnect(-1), // a feed is wanted for as long as there is a market
		// Much comes from an exchange: one that says nothing is asked soon, and given up soon. A
		// connection that is dead but not closed would otherwise look like a quiet market.
		reqws.Heartbeat(250*time.Millisecond, 250*time.Millisecond),
		reqws.OnOpen(f.opened),
		reqws.Into(reqws.EachJSON(f.on)),
	).Run(ctx, opts...)
}

// subscribe asks for a snapshot and all that comes after it.
var subscribe = reqws.Text(`{"op":"subscribe"}`)

// opened is called for the first connection and for each one that takes its place. The exchange
// knows nothing of the connection before, and nobody knows what was missed in between.
func (f *feed) opened(*reqws.Response) reqws.Directive {
	f.links++
	f.whole = false
	fmt.Fprintf(f.out, "connection %d: subscribing\n", f.links)
	return reqws.Cont(subscribe)
}

// on takes one message of the exchange.
func (f *feed) on(m message, _ *reqws.Response) reqws.Directive {
	switch {
	case m.Type == "snapshot":
		f.book = newBook(m)
		f.whole = true
	case !f.whole, m.Seq <= f.book.seq:
		// The snapshot is still to come, and will hold this; or it did.
	case m.Seq > f.book.seq+1:
		fmt.Fprintf(f.out, "gap: %d came after %d, asking for a snapshot\n", m.Seq, f.book.seq)
		f.gaps++
		f.whole = false
		return reqws.Cont(subscribe)
	case m.Type == "end":
		return reqws.Halt()
	case m.Type == "delta":
		f.book.apply(m)
		if m.Seq%100 == 0 {
			fmt.Fprintf(f.out, "%4d  %s\n", m.Seq, f.book.top())
		}
	}
	return reqws.Cont()
}
