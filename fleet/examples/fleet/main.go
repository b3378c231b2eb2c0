// Fleet is the main job of package fleet on one machine: a JetStream server in a temporary folder, a
// WebSocket server that numbers what it sends, three worker processes and 300 streams. One worker is killed, another is
// restarted in good order, streams are added and removed, messages go out all the while; then all is counted.
//
//	go run ./examples/fleet
//
// It ends with exit code 0 only if no message was doubled, and none was lost but those that were on the way to the worker
// that was killed.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"time"
)

func main() {
	var o options
	flag.IntVar(&o.streams, "streams", 300, "streams")
	flag.DurationVar(&o.every, "every", 50*time.Millisecond, "time between two messages of a stream")
	flag.DurationVar(&o.lease, "lease", 2*time.Second, "how long a worker is waited for that is not heard of")
	flag.Parse()
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if url := os.Getenv(workerURL); url != "" {
		exit(work(url, os.Getenv(workerName), o.lease))
	}
	exit(run(ctx, o, os.Stdout))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}
