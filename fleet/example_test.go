package fleet_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/fleet"
	"github.com/reqws/reqws/fleet/internal/feed"
)

// exampleServers is a NATS server with JetStream, and a WebSocket server.
func exampleServers() (natsURL, ws string, stop func()) {
	dir, err := os.MkdirTemp("", "fleet")
	if err != nil {
		panic(err)
	}
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: dir, NoSigs: true, NoLog: true})
	if err != nil {
		panic(err)
	}
	s.Start()
	if !s.ReadyForConnections(20 * time.Second) {
		panic("NATS does not come up")
	}
	web := httptest.NewServer(feed.New(time.Millisecond))
	return s.ClientURL(), "ws" + strings.TrimPrefix(web.URL, "http"), func() {
		s.Shutdown()
		s.WaitForShutdown()
		web.Close()
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
	err = f.Put(ctx, fleet.Spec{ID: "btc-usd", URL: ws + "/btc-usd", OnOpen: []string{`{"op":"subscribe"}`}})
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
		URL:        ws + "/users/:user",
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
