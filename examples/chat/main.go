// Chat sends the lines that are typed, and prints what comes.
//
//	go run ./examples/chat wss://example.com/room
//	go run ./examples/chat
//
// Without a URL it talks with a parrot of its own, on loopback. Ctrl-D, or the end of what is piped
// in, closes the connection with code 1000, Ctrl-C with 1001: both wait for the server's goodbye, and
// the program exits with 0. A second Ctrl-C does not wait.
package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"github.com/reqws/reqws"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop) // from then on Ctrl-C kills, as it does where nobody listens
	url := ""
	if len(os.Args) > 1 {
		url = os.Args[1]
	} else {
		srv := startParrot()
		defer srv.Close()
		url = strings.Replace(srv.URL, "http", "ws", 1)
	}
	if err := chat(ctx, os.Stdin, os.Stdout, reqws.URL(url)); err != nil {
		fmt.Fprintln(os.Stderr, "chat:", err)
		os.Exit(1)
	}
}

// chat talks until in ends, ctx ends, or the server closes the connection.
func chat(ctx context.Context, in io.Reader, out io.Writer, opts ...reqws.Option) error {
	resp, err := connect(ctx, out, opts)
	if err != nil {
		return err
	}
	typed := lines(in)
	for {
		select {
		case line, ok := <-typed:
			if !ok {
				return resp.Close(1000, "") // and what still comes is not printed
			}
			// Should the connection be lost in this moment, Wait below says why.
			_ = resp.Send(ctx, reqws.Text(line))
		case <-ctx.Done():
			return resp.Close(1001, "interrupted")
		case <-resp.Done():
			return resp.Wait()
		}
	}
}

// connect opens the connection. ctx ends the attempt to do so, but not the connection: the ctx of Do
// is the life of that, and where it ends there is no time for a goodbye.
func connect(ctx context.Context, out io.Writer, opts []reqws.Option) (*reqws.Response, error) {
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, end)
	resp, err := reqws.New(opts...).Do(life, reqws.Into(reqws.Each(func(f reqws.Frame) reqws.Directive {
		switch f.Kind {
		case reqws.KindText:
			fmt.Fprintln(out, printable(f.Text()))
		case reqws.KindClose:
			fmt.Fprintln(out, "the server says goodbye:", f)
		}
		return reqws.Cont()
	})))
	stop()
	return resp, err
}

// printable leaves out of a text what would paint the terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r >= 0x7f && r < 0xa0 {
			return -1
		}
		return r
	}, text)
}

// lines reads a line at a time. A read from a terminal cannot be interrupted: the goroutine may be
// left behind in one when the program ends, which does no harm.
func lines(in io.Reader) <-chan string {
	typed := make(chan string)
	go func() {
		defer close(typed)
		for s := bufio.NewScanner(in); s.Scan(); {
			typed <- strings.ToValidUTF8(s.Text(), "\uFFFD")
		}
	}()
	return typed
}
