// Figures measures what a fleet costs, in one run on one machine:
//
//   - messages per second into JetStream: by one worker, from WebSockets that always have something, and by plain
//     nats.go, which has nothing else to do, by turns;
//   - what an idle stream costs a worker in memory;
//   - how long streams are without a connection whose worker is killed.
//
// NATS and the WebSocket server are in this process; workers and publishers are processes of their own.
//
//	go run ./internal/figures
package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"time"
)

func main() {
	if role := os.Getenv(roleName); role != "" {
		check(roles[role](os.Getenv(roleNATS)))
		return
	}
	rounds := flag.Int("rounds", 5, "rounds of publishing")
	idle := flag.Int("idle", 2000, "idle streams")
	flag.Parse()
	w, err := newWorld()
	check(err)
	defer w.close()
	w.rates(*rounds)
	w.idle(*idle)
	w.failover(300)
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// rates measures by turns.
func (w *world) rates(rounds int) {
	var plain, worker, ratio []float64
	for range rounds {
		p := w.rate("plain")
		f := w.rate("worker")
		plain, worker, ratio = append(plain, p), append(worker, f), append(ratio, f/p)
	}
	fmt.Printf("messages of 128 bytes per second into JetStream, medians of %d rounds:\n", rounds)
	fmt.Printf("  plain nats.go, PublishMsgAsync        %8.0f\n", median(plain))
	fmt.Printf("  one worker, from 10 WebSockets        %8.0f   %.2f of it\n", median(worker), median(ratio))
}

// rate counts what a process of a role gets into JetStream within some seconds, after a second.
func (w *world) rate(role string) float64 {
	p := w.process(role)
	if role == "worker" {
		for i := range 10 {
			check(w.put(fmt.Sprintf("busy%d", i), w.ws+"busy"))
		}
	}
	time.Sleep(2 * time.Second)
	before, at := w.stored(), time.Now()
	time.Sleep(3 * time.Second)
	n, took := w.stored()-before, time.Since(at)
	if role == "worker" {
		for i := range 10 {
			check(w.remove(fmt.Sprintf("busy%d", i)))
		}
	}
	check(p.stop())
	check(w.purge())
	return float64(n) / took.Seconds()
}

// idle measures the memory of a worker process without streams and with n.
func (w *world) idle(n int) {
	p := w.process("worker")
	time.Sleep(time.Second)
	before := p.resident()
	for i := range n {
		check(w.put(fmt.Sprintf("idle%d", i), w.ws+"idle"))
	}
	w.up(n)
	time.Sleep(7 * time.Second) // buffers that nobody uses are given back
	after := p.resident()
	check(p.stop())
	for i := range n {
		check(w.remove(fmt.Sprintf("idle%d", i)))
	}
	fmt.Printf("an idle stream, %d of them: %.1f KB of a worker's resident memory (%.1f MB without any)\n", n, float64(after-before)/float64(n)/1024, float64(before)/(1<<20))
}

// failover measures how long streams are without a connection.
func (w *world) failover(n int) {
	killed, other := w.process("worker"), w.process("worker2")
	for i := range n {
		check(w.put(fmt.Sprintf("moved%d", i), fmt.Sprintf("%smoved/%d", w.ws, i)))
	}
	w.up(n)
	w.gaps.start()
	check(killed.kill())
	gaps := w.gaps.closed(func() { w.up(n) })
	check(other.stop())
	slices.Sort(gaps)
	fmt.Printf("a worker of two is killed, lease %v: %d of %d streams moved, without connection for %v (median), %v (worst)\n",
		lease, len(gaps), n, gaps[len(gaps)/2].Round(time.Millisecond), gaps[len(gaps)-1].Round(time.Millisecond))
}

func median(x []float64) float64 {
	x = slices.Sorted(slices.Values(x))
	return x[len(x)/2]
}
