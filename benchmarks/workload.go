package main

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"
)

// transport is the scheme of the URL.
type transport string

const (
	overWS  transport = "ws"
	overWSS transport = "wss"
)

// workload is one row of the goals: something that each client does in turn.
type workload struct {
	name    string
	bench   string // what go test -bench calls it, with the settings that benchstat reads
	via     transport
	unit    string // what the nanoseconds are for: "message", "handshake"
	clients []client
	turns   int  // cut a measurement into so many shorter ones; 0 means 1
	byCPU   bool // it is the processor time that is compared
	quick   bool // the fastest tenth of the rounds stands, not the median
	goals   []goal
	measure func(s *remote, p plan, c client) (figure, error)
}

// title is what the workload is called in tables, and what -run is matched with.
func (w workload) title() string { return title(w.name, w.via) }

func title(name string, via transport) string { return name + ", over " + string(via) }

// workloads are the comparisons of one process per client; those of many connections
// are in crowd.go.
func workloads() []workload {
	var w []workload
	for _, via := range []transport{overWS, overWSS} {
		w = append(w,
			inbound(via, "text", 16, "16 B"),
			inbound(via, "text", 1<<10, "1 KiB"),
			inbound(via, "text", 64<<10, "64 KiB"),
			inbound(via, "text", 1<<20, "1 MiB"),
		)
		if via == overWS { // who checks UTF-8 shows here as well as there
			w = append(w,
				inbound(via, "binary", 16, "16 B"),
				inbound(via, "binary", 1<<10, "1 KiB"),
				inbound(via, "binary", 64<<10, "64 KiB"),
				inbound(via, "binary", 1<<20, "1 MiB"),
			)
		}
		w = append(w, replies(via, 16), replies(via, 256), pingpong(via),
			senders(via), inflating(via), deflating(via), handshakes(via))
	}
	return w
}

// all is the limit, reqws, and the peers in both forms.
func all(limit client) []client {
	return slices.Concat([]client{limit, reqwsClient, reqwsBatches}, peers, fastPeers)
}

// inbound is a stream of messages as fast as they can be read.
func inbound(via transport, kind string, size int, label string) workload {
	op := map[string]int{"text": opText, "binary": opBinary}[kind]
	return workload{
		name:    fmt.Sprintf("inbound, %s, %s", kind, label),
		bench:   fmt.Sprintf("Inbound/kind=%s/size=%d", kind, size),
		via:     via,
		unit:    "message",
		clients: all(limitClient),
		goals:   inboundGoals(via, size),
		measure: func(s *remote, p plan, c client) (figure, error) {
			path := fmt.Sprintf("/stream?op=%d&size=%d", op, size)
			return flow(c, s.target(via, path), false, newMeter(s, p, max(1, 64<<10/size), size))
		},
	}
}

const replySize = 16

// replies is a conversation: n messages at once, n answers, the next n.
func replies(via transport, n int) workload {
	return workload{
		name:    fmt.Sprintf("replies to bursts of %d, text, %d B", n, replySize),
		bench:   fmt.Sprintf("Replies/burst=%d", n),
		via:     via,
		unit:    "message",
		clients: all(limitClient),
		goals:   replyGoals(via, n),
		measure: func(s *remote, p plan, c client) (figure, error) {
			path := fmt.Sprintf("/burst?op=%d&size=%d&n=%d", opText, replySize, n)
			return flow(c, s.target(via, path), true, newMeter(s, p, max(16, n), replySize))
		},
	}
}

// pingpong is the same with bursts of one.
func pingpong(via transport) workload {
	w := replies(via, 1)
	w.name = fmt.Sprintf("one message, one reply, text, %d B", replySize)
	w.clients = all(rawClient)
	// What a wakeup costs depends on where the two processes happen to run, for seconds at a time,
	// and is twice as much or half: the median tells who had that luck.
	w.turns, w.quick = 2, true
	return w
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
func senders(via transport) workload {
	const goroutines, size = 100, 64
	return workload{
		name:    fmt.Sprintf("%d goroutines sending, text, %d B", goroutines, size),
		bench:   fmt.Sprintf("Senders/goroutines=%d", goroutines),
		via:     via,
		unit:    "message",
		clients: append([]client{reqwsClient}, peers...),
		goals:   []goal{{bestPeer, 3}},
		measure: func(s *remote, p plan, c client) (figure, error) {
			n, text := max(1, p.Sends/goroutines)*goroutines, payload(size)
			path := fmt.Sprintf("/count?size=%d&n=%d", size, n)
			return sending(c, s, s.target(via, path), goroutines, n, func(int) []byte { return text })
		},
	}
}

// sending sends n messages twice, the first time to warm up.
func sending(c client, s *remote, t target, goroutines, n int, message func(i int) []byte) (figure, error) {
	acknowledged := make(chan struct{}, 1)
	open, err := c.opener(t, func(int, int) bool {
		acknowledged <- struct{}{}
		return true
	})()
	if err != nil {
		return figure{}, err
	}
	defer open.close()
	once := func() error {
		errs := make([]error, goroutines)
		var wg sync.WaitGroup
		for g := range goroutines {
			wg.Go(func() {
				for i := range n / goroutines {
					if errs[g] = open.send(message(i)); errs[g] != nil {
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
	before := used(s.clock())
	if err := once(); err != nil {
		return figure{}, err
	}
	return before.until(used(s.clock()), n), nil
}

// compare measures all clients in turn, several times, so that what disturbs the
// machine meets all of them.
func (w workload) compare(b *bench) (table, error) {
	t := table{Workload: w.name, Via: w.via, Unit: w.unit, ByCPU: w.byCPU, Goals: w.goals}
	p := b.plan
	p.Rounds, p.Slice = p.Rounds*max(1, w.turns), p.Slice/time.Duration(max(1, w.turns))
	clients := b.chosen(w.clients)
	rounds := make([][]figure, len(clients))
	for round := range p.Rounds {
		for i, c := range clients {
			b.progress.say("%s: %s: round %d of %d", w.title(), c.name(), round+1, p.Rounds)
			o := order{Workload: w.name, Via: w.via, Client: c.name(), Plan: p, Server: *b.server,
				Profiles: b.profiles.of(w.name, w.via)}
			f, err := b.workers.measure(o)
			if err != nil {
				return t, fmt.Errorf("%s: %s: %w", w.title(), c.name(), err)
			}
			rounds[i] = append(rounds[i], f)
		}
	}
	for i, c := range clients {
		t.Rows = append(t.Rows, row{c.name(), c.part(), w.standing(rounds[i])})
	}
	return t, nil
}

// standing is what the rounds of a client come to.
func (w workload) standing(f []figure) figure {
	if w.quick {
		return figures(f, 0.1)
	}
	return medians(f)
}

func medians(f []figure) figure { return figures(f, 0.5) }

// figures takes the times below which a part of all rounds lies.
func figures(f []figure, part float64) figure {
	return figure{
		NS:      quantile(f, part, func(f figure) float64 { return f.NS }),
		CPU:     quantile(f, part, func(f figure) float64 { return f.CPU }),
		Server:  quantile(f, part, func(f figure) float64 { return f.Server }),
		Allocs:  quantile(f, 0.5, func(f figure) float64 { return f.Allocs }),
		WireOut: quantile(f, 0.5, func(f figure) float64 { return f.WireOut }),
	}
}

// quantile returns the value below which a part of all lies, between two the middle of them.
func quantile(f []figure, part float64, of func(figure) float64) float64 {
	var v []float64
	for _, f := range f {
		v = append(v, of(f))
	}
	slices.Sort(v)
	at := part * float64(len(v)-1)
	low := int(at)
	return (v[low] + v[min(len(v)-1, low+int(math.Ceil(at-float64(low))))]) / 2
}
