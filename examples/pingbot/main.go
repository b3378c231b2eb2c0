// Pingbot answers what a WebSocket server sends: pings with pongs, text messages
// with what they said.
//
// Without a URL it starts a server of its own on loopback, talks with it for a few
// seconds over a real connection, and ends with a summary:
//
//	go run ./examples/pingbot
//
// With one it talks with that server until it closes the connection or Ctrl-C is
// pressed, which closes it properly:
//
//	go run ./examples/pingbot wss://example.com/chat
//
// It exits with 0 after a clean end, with 1 if something failed, with 2 if it was
// called wrongly, and with 130 if it was interrupted before it was connected.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/reqws/reqws"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C does not wait for the server's goodbye
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

const (
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130 // as shells have it: 128 and the number of SIGINT
)

const usage = `usage: pingbot [-subprotocol NAMES] [URL]

Talks with the WebSocket server at URL, a ws:// or wss:// one: answers its pings with
pongs and its text messages with what they said. Without a URL it starts a server of
its own, and has a short conversation with that.

  -subprotocol NAMES  offer these subprotocols, separated by commas
  -url URL            the same as URL alone
`

// run is the program. opts are added to those of its Request.
func run(ctx context.Context, args []string, stdout, stderr io.Writer, opts ...reqws.Option) int {
	out, trouble := newPrinter(stdout), newPrinter(stderr)
	call, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(stdout, usage)
		return 0
	}
	if err != nil {
		trouble.error(err)
		fmt.Fprint(stderr, "\n", usage)
		return exitUsage
	}
	if call.url == nil {
		srv, err := startServer(pause)
		if err != nil {
			trouble.error(err)
			return exitFailed
		}
		defer srv.stop()
		call.url = srv.url
		out.say(plain, "no URL given: talking with a server of my own")
	}
	err = newBot(out, call).talk(ctx, opts)
	if err != nil {
		trouble.error(err)
	}
	switch {
	case errors.Is(err, errInterrupted):
		return exitInterrupted
	case err != nil:
		return exitFailed
	}
	return 0
}

// call is what the command line asks for.
type call struct {
	url          *url.URL // nil: a server of its own
	subprotocols []string
}

// parse reads the command line. Its errors do not quote the URL, which may hold
// a password.
func parse(args []string) (call, error) {
	var c call
	var given []string
	add := func(s string) error { given = append(given, s); return nil }
	flags := flag.NewFlagSet("pingbot", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Func("url", "", add)
	flags.Func("subprotocol", "", func(s string) error { c.subprotocols = strings.Split(s, ","); return nil })
	if err := flags.Parse(args); err != nil {
		return c, err
	}
	switch given = append(given, flags.Args()...); {
	case len(given) == 0:
		return c, nil
	case len(given) > 1:
		return c, errors.New("there is more than one URL, or a flag behind it")
	}
	u, err := url.Parse(given[0])
	if err != nil || u.Host == "" || u.Scheme != "ws" && u.Scheme != "wss" {
		return c, errors.New("the argument is no ws:// or wss:// URL")
	}
	c.url = u
	return c, nil
}
