// Chatbridge joins two chat rooms: what is said in one is said again in the other. The rooms speak
// different subprotocols, and both streams go into one mailbox, so that one loop, without a lock,
// sees all that happens in the order in which it came.
//
//	go run ./examples/chatbridge
//
// The rooms are its own, on loopback, and so are ann and bob, who sit in one each. When ann has
// heard enough her room closes; the bridge then leaves the other one, and the program ends.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, out io.Writer) error {
	red, blue := openRoom("lines.v1"), openRoom("json.v1")
	defer red.shut()
	defer blue.shut()
	b, err := open(ctx, out, [2]string{"red", "blue"}, [2]string{red.url, blue.url})
	if err != nil {
		return err
	}
	// Each has joined before the next one says a word.
	bob := person{name: "bob", answer: func(from string) (string, bool) { return "nice to hear you, " + from, false }}
	if _, err := bob.join(ctx, blue.url); err != nil {
		return err
	}
	heard := 0
	ann := person{name: "ann", first: "is anybody there?", answer: func(from string) (string, bool) {
		heard++
		return fmt.Sprintf("that was your answer number %d, %s", heard, from), heard == 4
	}}
	atRed, err := ann.join(ctx, red.url)
	if err != nil {
		return err
	}
	go func() {
		_ = atRed.Wait()
		red.close()
	}()
	return b.run(ctx)
}
