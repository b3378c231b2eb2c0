// Command benchmarks measures reqws against the other Go WebSocket libraries as
// clients of one server, and against a raw loop that does the least a client can
// do. Everything is a ratio within one run on one machine: see README.md.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"time"
)

// plan is how long a run takes.
type plan struct {
	Rounds  int           // of every client in turn; the median counts
	Slice   time.Duration // one measurement of one client in one round, at least
	Least   int           // messages in it, at least
	Sends   int           // messages in one round of the senders
	Conns   int           // connections of one process that are idle, or get a message now and then
	Trickle int           // messages that each of these gets
	Streams int           // connections in the HTTP/2 comparison
	Steps   []int         // connections in the growth comparison
	Calls   int           // messages during which system calls are counted
}

var (
	fullPlan = plan{Rounds: 11, Slice: 80 * time.Millisecond, Least: 1, Sends: 50_000, Conns: 5000, Trickle: 15,
		Streams: 1000, Steps: []int{1, 100, 1000, 10_000, 50_000}, Calls: 4000}
	shortPlan = plan{Rounds: 1, Slice: 10 * time.Millisecond, Least: 1, Sends: 5000, Conns: 200, Trickle: 2,
		Streams: 100, Steps: []int{1, 100}, Calls: 1000}
	// profilePlan gives a profile enough samples.
	profilePlan = plan{Rounds: 1, Slice: 3 * time.Second, Least: 1, Sends: 1_000_000, Conns: 5000, Trickle: 50}
)

func main() {
	if role := os.Getenv(roleVariable); role != "" {
		exit(play(role))
	}
	short := flag.Bool("short", false, "a quick run that shows that everything works; its figures mean little")
	pattern := flag.String("run", "", "run only the workloads whose name matches this regular expression")
	growth := flag.Bool("growth", false, "also measure 1 to 50,000 connections, and how long they take to reconnect")
	syscalls := flag.Bool("syscalls", false, "also count system calls per message, with strace")
	jsonFile := flag.String("json", "", "write all results to this file")
	svgFile := flag.String("svg", "", "draw a chart of the results in this file")
	from := flag.String("from", "", "measure nothing: print and draw the results in this file of -json")
	var prof profiles
	flag.StringVar(&prof.CPU, "cpuprofile", "", "run reqws alone and write a CPU profile of each workload to this directory")
	flag.StringVar(&prof.Memory, "memprofile", "", "the same for allocations")
	flag.Parse()
	only, err := regexp.Compile(*pattern)
	if err != nil {
		exit(err)
	}
	p := fullPlan
	switch {
	case *short:
		p = shortPlan
	case prof.wanted():
		p = profilePlan
	}
	var r *results
	if *from != "" {
		if r, err = load(*from); err == nil {
			r.write(os.Stdout)
		}
	} else {
		b := &bench{plan: p, only: only, out: os.Stdout, progress: newProgress(os.Stderr),
			profiles: prof, growth: *growth, syscalls: *syscalls}
		r, err = b.run()
	}
	exit(errors.Join(err, r.keep(*jsonFile, *svgFile)))
}

// bench is a run.
type bench struct {
	plan     plan
	only     *regexp.Regexp
	out      io.Writer
	progress *progress
	profiles profiles
	growth   bool
	syscalls bool

	server  *remote
	workers workers
	results *results
}

// run measures what only matches and writes a table for each workload. What it measured
// before an error it returns, too.
func (b *bench) run() (r *results, err error) {
	b.results, b.workers = newResults(b.plan), workers{}
	b.results.heading(b.out)
	if b.server, err = startServer(serverOrder{}); err != nil {
		return nil, err
	}
	defer func() {
		b.workers.stop()
		b.server.stop()
		b.progress.clear()
	}()
	parts := []func() error{b.speed, b.crowds}
	if !b.profiles.wanted() {
		parts = append(parts, b.http2, b.grow, b.systemCalls)
	}
	for _, part := range parts {
		if err := part(); err != nil {
			return b.results, err
		}
	}
	b.progress.clear()
	b.results.conclude(b.out)
	return b.results, nil
}

// speed measures the workloads of one connection.
func (b *bench) speed() error {
	for _, w := range workloads() {
		if !b.only.MatchString(w.title()) {
			continue
		}
		t, err := w.compare(b)
		if err != nil {
			return err
		}
		b.show(t)
	}
	return nil
}

// show keeps a table and prints it.
func (b *bench) show(t table) {
	b.results.Tables = append(b.results.Tables, t)
	b.progress.clear()
	t.write(b.out)
}

// chosen is all clients, or reqws alone where it is profiled.
func (b *bench) chosen(clients []client) []client {
	if !b.profiles.wanted() {
		return clients
	}
	for _, c := range clients {
		if c.part() == own {
			return []client{c}
		}
	}
	return nil
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchmarks:", err)
		os.Exit(1)
	}
	os.Exit(0)
}
