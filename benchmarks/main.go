// Command benchmarks measures reqws against the other Go WebSocket libraries as
// clients of one server, and against a raw loop that does the least a client can
// do. Everything is a ratio within one run on one machine: see README.md.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime"
	"time"
)

// plan is how long a run takes.
type plan struct {
	rounds  int           // of every client in turn; the median counts
	slice   time.Duration // one measurement of one client in one round, at least
	least   int           // messages in it, at least
	sends   int           // messages in one round of the senders
	conns   int           // idle connections of one process
	streams int           // connections in the HTTP/2 comparison
}

func main() {
	if role := os.Getenv(roleVariable); role != "" {
		exit(play(role))
	}
	short := flag.Bool("short", false, "a quick run that shows that everything works; its figures mean little")
	pattern := flag.String("run", "", "run only the workloads whose name matches this regular expression")
	flag.Parse()
	only, err := regexp.Compile(*pattern)
	if err != nil {
		exit(err)
	}
	p := plan{rounds: 15, slice: 80 * time.Millisecond, least: 1, sends: 100_000, conns: 5000, streams: 1000}
	if *short {
		p = plan{rounds: 3, slice: 15 * time.Millisecond, least: 1, sends: 5000, conns: 300, streams: 100}
	}
	exit(run(p, only, os.Stdout))
}

// run measures what only matches and writes a table for each workload.
func run(p plan, only *regexp.Regexp, out io.Writer) error {
	s, err := startServer()
	if err != nil {
		return err
	}
	defer s.stop()
	fmt.Fprintf(out, "%s, %s/%s, %d CPUs\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	var speed string
	for _, w := range workloads() {
		if !only.MatchString(w.name) {
			continue
		}
		line, err := w.compare(s, p, out)
		if err != nil {
			return err
		}
		speed += line
	}
	memory, err := idleTables(s, p, only, out)
	if err != nil {
		return err
	}
	if err := http2Table(s, p, only, out); err != nil {
		return err
	}
	if speed != "" {
		fmt.Fprint(out, summaryHead, speed)
	}
	if memory != "" {
		fmt.Fprint(out, memoryHead, memory)
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
