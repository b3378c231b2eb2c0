package main

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// figures are what a run has seen.
type figures struct {
	mu          sync.Mutex
	streams     int
	reconnected int // streams with the option
	heartbeats  int
	aheads      int
	compressed  int
	over        [mostProtocols]int
	way         [mostWays]int
	leave       [mostLeavings]int
	heardOut    int

	connections int
	again       int // of these, behind another one of their stream
	busy        int
	refused     int
	pieces      int
	deaf        int // servers that stopped reading until they had written
	received    int
	arrived     int
	fates       [3]int
	faults      [mostFaults]int
	longest     time.Duration

	atOnce, mostAtOnce atomic.Int64
	begun              atomic.Int64
}

// gauge counts what is open.
type gauge struct {
	f       *figures
	arrives func() // tells the crowd
}

func (g gauge) up() {
	g.arrives()
	now := g.f.atOnce.Add(1)
	for most := g.f.mostAtOnce.Load(); now > most && !g.f.mostAtOnce.CompareAndSwap(most, now); {
		most = g.f.mostAtOnce.Load()
	}
}

func (g gauge) down() { g.f.atOnce.Add(-1) }

// add counts a stream that has ended.
func (f *figures) add(s *session, r *record, took time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.streams++
	f.longest = max(f.longest, took)
	f.reconnected += count(s.back)
	f.heartbeats += count(s.beats || s.hasty())
	f.aheads += count(s.ahead > 0 && s.way != receives && s.way != ranges)
	f.compressed += count(s.deflate != plain)
	f.over[s.over]++
	f.way[s.way]++
	if s.left {
		f.leave[s.leave]++
		if s.hears {
			f.heardOut++
		}
	}
	f.refused += s.refused
	f.received += len(s.got)
	for _, fates := range s.sends {
		for _, fate := range fates {
			f.fates[fate]++
		}
	}
	f.connections += len(r.links)
	f.again += max(0, len(r.links)-1)
	f.busy += r.busy
	for _, l := range r.links {
		f.busy += l.plan.busy
		f.arrived += len(l.heard)
		f.pieces += count(l.plan.pieces > 0)
		f.deaf += count(l.plan.deaf)
		if l.played {
			f.faults[l.plan.fault]++
		}
	}
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}

// print writes the table.
func (f *figures) print(w io.Writer, seed uint64, took time.Duration, findings int, at [3]remains) {
	f.mu.Lock()
	defer f.mu.Unlock()
	row := func(name, format string, args ...any) {
		fmt.Fprintf(w, "| %s | %s |\n", name, fmt.Sprintf(format, args...))
	}
	row("run", "%.0f s, seed %d, GOMAXPROCS %d, %s", took.Seconds(), seed, runtime.GOMAXPROCS(0), runtime.Version())
	row("---", "---")
	row("streams", "%d, up to %d open at once; %d with Reconnect, %d with Heartbeat, %d with ReadAhead, %d compressed",
		f.streams, f.mostAtOnce.Load(), f.reconnected, f.heartbeats, f.aheads, f.compressed)
	row("over", "%s", list(protocolNames[:], f.over[:]))
	row("read by", "%s", list(wayNames[:], f.way[:]))
	row("connections", "%d, %d of them after a reconnect; %d with the 101 in pieces, %d to a server that stops reading for a while",
		f.connections, f.again, f.pieces, f.deaf)
	row("attempts that failed", "%d refused, %d answered with 503", f.refused, f.busy)
	row("messages received", "%d", f.received)
	row("messages sent", "%d sent, %d given up in time, %d failed with the connection; %d arrived", f.fates[sent], f.fates[givenUp], f.fates[open], f.arrived)
	row("ends by the server", "%s", list(faultNames[:waits], f.faults[:waits]))
	row("ends by the client", "%s; %d heard out", list(leavingNames[1:], f.leave[1:]), f.heardOut)
	row("goroutines, descriptors, heap before", "%v", at[0])
	row("after the warm-up", "%v", at[1])
	row("at the end", "%v", at[2])
	row("lost, doubled, damaged, out of order, hanging, left behind", "%d", findings)
}

func (r remains) String() string {
	return fmt.Sprintf("%d, %d, %d KB", r.goroutines, r.descriptors, r.heap>>10)
}

func list(names []string, counts []int) string {
	parts := make([]string, len(names))
	for i, name := range names {
		parts[i] = fmt.Sprintf("%d %s", counts[i], name)
	}
	return strings.Join(parts, ", ")
}
