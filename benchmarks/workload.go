package main

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"
	"time"
)

// workload is one row of the goals: something that each client does in turn.
type workload struct {
	name    string
	unit    string // what the nanoseconds are for: "message", "handshake"
	clients []client
	turns   int // cut a measurement into so many shorter ones; 0 means 1
	goals   []goal
	measure func(s *remote, p plan, c client) (figure, error)
}

// workloads are the comparisons in time; those in memory are in idle.go.
func workloads() []workload {
	var w []workload
	for _, kind := range []struct {
		name string
		op   int
	}{{"text", opText}, {"binary", opBinary}} {
		w = append(w,
			inbound(kind.name, kind.op, 16, "16 B", goal{bestPeer, 8}, goal{theLimit, 2}, goal{allocations, 0}),
			inbound(kind.name, kind.op, 1<<10, "1 KiB", goal{bestPeer, 1}, goal{theLimit, 1.25}, goal{allocations, 0}),
			inbound(kind.name, kind.op, 64<<10, "64 KiB", goal{bestPeer, 1}, goal{allocations, 0}),
			inbound(kind.name, kind.op, 1<<20, "1 MiB", goal{bestPeer, 1}, goal{allocations, 0}),
		)
	}
	pingpong := replies(1, tcpClient, goal{bestPeer, 1}, goal{theLimit, 1 / 0.95}, goal{allocations, 0})
	pingpong.name = "one message, one reply, text, 16 B"
	// What a wakeup costs changes from one moment to the next.
	pingpong.turns = 2
	return append(w,
		replies(16, limitClient, goal{bestPeer, 3}, goal{theLimit, 1.3}, goal{allocations, 0}),
		replies(256, limitClient, goal{bestPeer, 15}, goal{theLimit, 2}, goal{allocations, 0}),
		pingpong,
		senders(),
		inflating(),
		deflating(),
		handshakes("TCP", func(a address) target { return a.target("/idle") }),
		handshakes("TLS 1.3", func(a address) target { return a.secure("/idle") }),
	)
}

// all is the limit, reqws, and the peers in both forms.
func all(limit client) []client {
	return slices.Concat([]client{limit, reqwsClient}, peers, fastPeers)
}

// inbound is a stream of messages as fast as they can be read.
func inbound(kind string, op, size int, label string, goals ...goal) workload {
	return workload{
		name:    fmt.Sprintf("inbound, %s, %s", kind, label),
		unit:    "message",
		clients: all(limitClient),
		goals:   goals,
		measure: func(s *remote, p plan, c client) (figure, error) {
			path := fmt.Sprintf("/stream?op=%d&size=%d", op, size)
			return flow(c, s.target(path), false, newMeter(p.slice, p.least, max(1, 64<<10/size), size))
		},
	}
}

// replies is a conversation: n messages at once, n answers, the next n.
func replies(n int, limit client, goals ...goal) workload {
	const size = 16
	return workload{
		name:    fmt.Sprintf("replies to bursts of %d, text, %d B", n, size),
		unit:    "message",
		clients: all(limit),
		goals:   goals,
		measure: func(s *remote, p plan, c client) (figure, error) {
			path := fmt.Sprintf("/burst?op=%d&size=%d&n=%d", opText, size, n)
			return flow(c, s.target(path), true, newMeter(p.slice, p.least, max(16, n), size))
		},
	}
}

// flow measures a client that reads, and replies if told to.
func flow(c client, t target, reply bool, m *meter) (figure, error) {
	if err := c.run(t, reply, m.got); err != nil {
		return figure{}, err
	}
	return m.figure, m.check()
}

// senders is many goroutines that send over one connection, each waiting for its
// own Send, until the server has acknowledged all messages.
func senders() workload {
	const goroutines, size = 100, 64
	return workload{
		name:    fmt.Sprintf("%d goroutines sending, text, %d B", goroutines, size),
		unit:    "message",
		clients: append([]client{reqwsClient}, peers...),
		goals:   []goal{{bestPeer, 3}},
		measure: func(s *remote, p plan, c client) (figure, error) {
			n, text := max(1, p.sends/goroutines)*goroutines, payload(size)
			path := fmt.Sprintf("/count?size=%d&n=%d", size, n)
			return sending(c, s.target(path), goroutines, n, func(int) []byte { return text })
		},
	}
}

// sending sends n messages twice, the first time to warm up.
func sending(c client, t target, goroutines, n int, message func(i int) []byte) (figure, error) {
	acknowledged := make(chan struct{}, 1)
	s, err := c.opener(t, func(int, int) bool {
		acknowledged <- struct{}{}
		return true
	})()
	if err != nil {
		return figure{}, err
	}
	defer s.close()
	once := func() error {
		errs := make([]error, goroutines)
		var wg sync.WaitGroup
		for g := range goroutines {
			wg.Go(func() {
				for i := range n / goroutines {
					if errs[g] = s.send(message(i)); errs[g] != nil {
						return
					}
				}
			})
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			return err
		}
		select {
		case <-acknowledged:
			return nil
		case <-time.After(10 * time.Second):
			return errors.New("the server does not acknowledge")
		}
	}
	if err := once(); err != nil {
		return figure{}, err
	}
	before := used()
	if err := once(); err != nil {
		return figure{}, err
	}
	return before.until(used(), n), nil
}

// compare measures all clients in turn, several times, so that what disturbs the
// machine meets all of them, and writes the medians as a table. It returns a line
// of the summary.
func (w workload) compare(s *remote, p plan, out io.Writer) (string, error) {
	rounds := make([][]figure, len(w.clients))
	p.rounds, p.slice = p.rounds*max(1, w.turns), p.slice/time.Duration(max(1, w.turns))
	for range p.rounds {
		for i, c := range w.clients {
			runtime.GC()
			f, err := w.measure(s, p, c)
			if err != nil {
				return "", fmt.Errorf("%s: %s: %w", w.name, c.name(), err)
			}
			rounds[i] = append(rounds[i], f)
		}
	}
	var rows []row
	for i, c := range w.clients {
		rows = append(rows, row{c, medians(rounds[i])})
	}
	return w.write(out, rows), nil
}

func medians(f []figure) figure {
	return figure{
		NS:     median(f, func(f figure) float64 { return f.NS }),
		CPU:    median(f, func(f figure) float64 { return f.CPU }),
		Allocs: median(f, func(f figure) float64 { return f.Allocs }),
	}
}

func median(f []figure, of func(figure) float64) float64 {
	var v []float64
	for _, f := range f {
		v = append(v, of(f))
	}
	slices.Sort(v)
	return (v[len(v)/2] + v[(len(v)-1)/2]) / 2
}
