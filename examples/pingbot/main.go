// Pingbot answers what a WebSocket server sends: pings with pongs, messages with
// messages.
//
// Without flags it starts a server of its own on loopback, talks with it for a few
// seconds over a real connection, and ends with a summary:
//
//	go run ./examples/pingbot
//
// With -url it talks with a real server until that closes the connection or
// Ctrl-C is pressed:
//
//	go run ./examples/pingbot -url wss://example.com/chat
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/reqws/reqws"
)

func main() {
	url := flag.String("url", "", "the ws or wss `URL` of a server; without it one is started on loopback")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *url); err != nil {
		fmt.Fprintln(os.Stderr, "pingbot:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, url string) error {
	if url == "" {
		srv, err := startServer()
		if err != nil {
			return err
		}
		defer srv.stop()
		url = srv.url
	}
	b := bot{start: time.Now()}
	b.say("connecting to %s", url)
	err := b.talk(ctx, reqws.New(reqws.URL(url)))
	fmt.Printf("\nanswered %d pings and %d messages in %.1f s\n", b.pings, b.messages, time.Since(b.start).Seconds())
	return err
}

// bot counts what it answered. Its fields belong to the goroutine of the handler.
type bot struct {
	start           time.Time
	pings, messages int
}

// talk runs the bot until the server closes the connection or ctx ends. The end
// of ctx is no error, and begins a proper closing handshake.
func (b *bot) talk(ctx context.Context, req *reqws.Request) error {
	resp, err := req.Do(context.WithoutCancel(ctx), reqws.Into(reqws.Each(b.answer)))
	if err != nil {
		return err
	}
	if resp.StatusCode >= 300 {
		return fmt.Errorf("the server refused: status %d", resp.StatusCode)
	}
	select {
	case <-resp.Done():
	case <-ctx.Done():
		b.say("closing")
		if err := resp.Close(1000, "bye"); err != nil {
			return err
		}
	}
	return resp.Wait()
}

// answer is the handler: one frame in, a directive and perhaps a frame out.
func (b *bot) answer(f reqws.Frame) reqws.Directive {
	b.say("← %v", f)
	switch f.Kind {
	case reqws.KindPing:
		b.pings++
		return b.reply(reqws.Pong(f.Data))
	case reqws.KindText:
		b.messages++
		return b.reply(reqws.Text("you said: " + f.Text()))
	}
	return reqws.Cont()
}

func (b *bot) reply(f reqws.Frame) reqws.Directive {
	b.say("→ %v", f)
	return reqws.Cont(f)
}

func (b *bot) say(format string, args ...any) {
	fmt.Printf("%5.2fs  %s\n", time.Since(b.start).Seconds(), fmt.Sprintf(format, args...))
}
