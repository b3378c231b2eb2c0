//go:build unix

// Soak runs a fleet for a while in which workers come, go, die, are stopped in mid-sentence and are cut off from
// NATS, NATS is restarted, and specs come and go, all at random; then it accounts for every message. It ends with exit
// code 1 if one was lost or doubled that no such thing explains, or if something is left behind.
//
//	go run ./internal/soak -seconds 60
package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	if url := os.Getenv(workerURL); url != "" {
		if err := work(url); err != nil {
			fmt.Fprintln(os.Stderr, os.Getenv(workerName), err)
			os.Exit(1)
		}
		return
	}
	seconds := flag.Int("seconds", 30, "how long")
	streams := flag.Int("streams", 60, "how many streams there are at most")
	seed := flag.Uint64("seed", uint64(time.Now().UnixNano()), "what happens")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	fmt.Println("seed", *seed)
	s, err := newSoak(rand.New(rand.NewPCG(*seed, 1)), *streams)
	if err == nil {
		err = s.run(ctx, time.Duration(*seconds)*time.Second)
	}
	s.stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
