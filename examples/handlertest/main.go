// Handlertest is a small bot with tests to copy: of its handler without a server, and of the
// whole bot against the scripted server of reqwstest.
//
//	go test -v ./examples/handlertest
//
// The bot itself watches the prices that a server of its own tells on loopback:
//
//	go run ./examples/handlertest
package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"

	"github.com/coder/websocket"

	"github.com/reqws/reqws"
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "handlertest:", err)
		os.Exit(1)
	}
}

// newRequest is the bot. It takes the URL, so that a test can bring a server of its own.
func newRequest(url string, bot *alerts) *reqws.Request {
	return reqws.New(
		reqws.BaseURL(url),
		reqws.URL("/prices"),
		reqws.Param("format", "plain"),
		reqws.Reconnect(-1),
		reqws.Into(bot.handle),
	)
}

func run(ctx context.Context, out io.Writer) error {
	prices := []string{"ACME 98", "ACME 101.5", "INIT 4", "ACME 103", "ACME 99", "ACME 100.5", "closed"}
	srv := httptest.NewServer(tell(prices))
	defer srv.Close()
	bot := newAlerts(map[string]float64{"ACME": 100})
	return newRequest("ws"+strings.TrimPrefix(srv.URL, "http"), bot).Run(ctx, reqws.Wrap(show(out)))
}

// show writes what a handler is given, and what it answers.
func show(out io.Writer) func(reqws.Handler) reqws.Handler {
	return func(next reqws.Handler) reqws.Handler {
		return func(in reqws.Event, resp *reqws.Response) reqws.Directive {
			for _, f := range in.Frames {
				fmt.Fprintln(out, "<-", f)
			}
			d := next(in, resp)
			for _, f := range d.Replies() {
				fmt.Fprintln(out, "->", f)
			}
			return d
		}
	}
}

// tell is the server: it says these messages, and goes when the bot does.
func tell(messages []string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return // Accept has answered
		}
		defer conn.CloseNow()
		for _, m := range messages {
			if conn.Write(r.Context(), websocket.MessageText, []byte(m)) != nil {
				return
			}
		}
		for err == nil { // Read answers the bot's close frame
			_, _, err = conn.Read(r.Context())
		}
	}
}
