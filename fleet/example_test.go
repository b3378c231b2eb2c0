package fleet_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/fleet"
	"github.com/reqws/reqws/fleet/internal/embedded"
	"github.com/reqws/reqws/fleet/internal/feed"
)

// exampleServers is a NATS server with JetStream, and a WebSocket server.
func exampleServers() (natsURL, ws string, stop func()) {
	dir, err := os.MkdirTemp("", "fleet")
	if err != nil {
		panic(err)
	}
	s, err := embedded.NATS(dir, -1)
	if err != nil {
		panic(err)
	}
	ws, close, err := embedded.Listen(feed.New(time.Millisecond))
	if err != nil {
		panic(err)
	}
	return s.ClientURL(), ws, func() {
		embedded.Stop(s)
		close()
		_ = os.RemoveAll(dir)
	}
}

// One worker, one stream, and the first message that it has received.
func Example() {
	url, ws, stop := exampleServers()
	defer stop()
	ctx := context.Background()

	nc, err := fleet.Connect(url)
	if err != nil {
		panic(err)
	}
	defer nc.Close()
	f, err := fleet.Open(ctx, nc, fleet.Config{Name: "feeds", Lease: time.Second})
	if err != nil {
		panic(err)
	}
	first := make(chan *nats.Msg, 1)
	if _, err := nc.Subscribe("feeds.in.btc-usd", func(m *nats.Msg) {
		select {
		case first <- m:
		default:
		}
	}); err != nil {
		panic(err)
	}

	quiet := slog.New(slog.DiscardHandler)
	w, err := f.Join(ctx, fleet.WorkerConfig{Name: "worker-1", Capacity: 100, Logger: quiet})
	if err != nil {
		panic(err)
	}
	err = f.Put(ctx, fleet.Spec{ID: "btc-usd", URL: ws + "btc-usd", OnOpen: []string{`{"op":"subscribe"}`}})
	if err != nil {
		panic(err)
	}
	m := <-first
	fmt.Println(m.Subject, string(m.Data), m.Header.Get(fleet.HeaderKind), m.Header.Get(fleet.HeaderLink), m.Header.Get(fleet.HeaderSequence))
	if err := f.Send(ctx, "btc-usd", reqws.Text("hello")); err != nil {
		panic(err)
	}
	fmt.Println(w.Drain(ctx))
	// Output:
	// feeds.in.btc-usd btc-usd:0 text 1 1
	// <nil>
}

// An exchange that permits 300 connections in five minutes gets no more, whichever workers open them.
func ExampleFleet_SetLimit() {
	url, _, stop := exampleServers()
	defer stop()
	nc, err := fleet.Connect(url)
	if err != nil {
		panic(err)
	}
	defer nc.Close()
	f, err := fleet.Open(context.Background(), nc, fleet.Config{Name: "feeds"})
	if err != nil {
		panic(err)
	}
	fmt.Println(f.SetLimit(context.Background(), "ws.example.com", fleet.Rate{N: 300, Per: 5 * time.Minute}))
	// Output: <nil>
}

// Secrets are named in the spec, and live elsewhere.
func ExampleSpec() {
	url, ws, stop := exampleServers()
	defer stop()
	nc, err := fleet.Connect(url)
	if err != nil {
		panic(err)
	}
	defer nc.Close()
	ctx := context.Background()
	f, err := fleet.Open(ctx, nc, fleet.Config{Name: "feeds", Lease: time.Second})
	if err != nil {
		panic(err)
	}
	err = f.Put(ctx, fleet.Spec{
		ID:         "account",
		URL:        ws + "users/:user",
		PathParams: map[string]any{"user": 7},
		Headers:    map[string]any{"Authorization": "Bearer ${secret:exchange}"},
	})
	if err != nil {
		panic(err)
	}
	asked := make(chan string, 1)
	w, err := f.Join(ctx, fleet.WorkerConfig{
		Name: "worker-1", Logger: slog.New(slog.DiscardHandler),
		Secret: func(_ context.Context, name string) (string, error) {
			select {
			case asked <- name:
			default:
			}
			return os.Getenv("EXCHANGE_TOKEN"), nil
		},
	})
	if err != nil {
		panic(err)
	}
	fmt.Println("asked for", <-asked)
	fmt.Println(w.Close())
	// Output:
	// asked for exchange
	// <nil>
}
