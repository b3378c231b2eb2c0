package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// footprint is what each of n connections holds, in bytes.
type footprint struct {
	Heap float64 // runtime.MemStats: HeapInuse + StackInuse
	RSS  float64 // resident memory, as the kernel counts it
}

// idleOrder tells a process what to measure.
type idleOrder struct {
	Client string
	URL    string
	N      int
	Push   string // URL that gives each connection a message, or empty
}

// idleReport is what it answers.
type idleReport struct {
	Idle    footprint // nothing was ever received
	Message footprint // one message was
	Opened  figure    // what opening took
}

const pushed = 100_000

// idleTables opens many connections in a fresh process per library and writes what
// they hold when garbage is gone. It returns lines of the summary.
func idleTables(s *remote, p plan, only *regexp.Regexp, out io.Writer) (string, error) {
	name := fmt.Sprintf("idle connections, %d in one process", p.conns)
	if !only.MatchString(name) {
		return "", nil
	}
	reports := map[string]idleReport{}
	clients := idlers()
	for _, c := range clients {
		r, err := measureIdle(idleOrder{
			Client: c.name(), URL: s.target("/idle").url, N: p.conns,
			Push: fmt.Sprintf("http://%s/push?size=%d", s.Plain, pushed),
		})
		if err != nil {
			return "", fmt.Errorf("%s: %s: %w", name, c.name(), err)
		}
		reports[c.name()] = r
	}
	var summary string
	for _, state := range []struct {
		name string
		of   func(idleReport) footprint
	}{
		{name, func(r idleReport) footprint { return r.Idle }},
		{name + ", after a message of 100 KB on each", func(r idleReport) footprint { return r.Message }},
	} {
		rows := make([]memoryRow, len(clients))
		for i, c := range clients {
			rows[i] = memoryRow{c, state.of(reports[c.name()])}
		}
		summary += writeMemory(out, state.name, rows)
	}
	return summary, nil
}

// idlers are the clients whose idle connections are measured.
func idlers() []client {
	return slices.Concat([]client{reqwsClient}, peers, leanPeers)
}

func measureIdle(o idleOrder) (r idleReport, err error) {
	cmd, in, out, err := spawn("idle")
	if err != nil {
		return r, err
	}
	defer cmd.Wait()
	defer in.Close()
	if err := json.NewEncoder(in).Encode(o); err != nil {
		return r, err
	}
	return r, json.NewDecoder(out).Decode(&r)
}

// idleProcess is main in a process that holds the connections.
func idleProcess() error {
	var o idleOrder
	if err := json.NewDecoder(os.Stdin).Decode(&o); err != nil {
		return err
	}
	c, err := clientNamed(o.Client)
	if err != nil {
		return err
	}
	var messages atomic.Int64
	connect := c.opener(target{url: o.URL}, func(n, _ int) bool {
		messages.Add(int64(n))
		return true
	})
	open := func(n int) error {
		for range n {
			if _, err := connect(); err != nil {
				return err
			}
		}
		return nil
	}
	// The first connections pay for what all share.
	const first = 50
	if err := open(first); err != nil {
		return err
	}
	before := resident()
	var r idleReport
	start := used()
	if err := open(o.N); err != nil {
		return err
	}
	r.Opened = start.until(used(), o.N)
	r.Idle = resident().since(before, o.N)
	if o.Push == "" {
		return json.NewEncoder(os.Stdout).Encode(r)
	}
	if err := push(o, first+o.N); err != nil {
		return err
	}
	for deadline := time.Now().Add(30 * time.Second); messages.Load() < int64(first+o.N); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("%d of %d messages arrived", messages.Load(), first+o.N)
		}
	}
	r.Message = resident().since(before, o.N)
	return json.NewEncoder(os.Stdout).Encode(r)
}

func clientNamed(name string) (client, error) {
	for _, c := range append(idlers(), reqwsHTTP1, reqwsHTTP2) {
		if c.name() == name {
			return c, nil
		}
	}
	return nil, fmt.Errorf("no client %q", name)
}

// push has the server send a message to all its idle connections.
func push(o idleOrder, n int) error {
	resp, err := http.Get(o.Push)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if got := string(b); err == nil && got != strconv.Itoa(n) {
		err = fmt.Errorf("the server has %s idle connections instead of %d", got, n)
	}
	http.DefaultClient.CloseIdleConnections()
	return err
}

// resident is what this process holds once garbage, pools and free pages are gone.
// Three collections empty every sync.Pool and let stacks shrink.
func resident() footprint {
	for range 3 {
		runtime.GC()
	}
	debug.FreeOSMemory()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return footprint{Heap: float64(s.HeapInuse + s.StackInuse), RSS: rss()}
}

// rss reads the resident pages from /proc; elsewhere than on Linux it is 0.
func rss() float64 {
	b, _ := os.ReadFile("/proc/self/statm")
	fields := strings.Fields(string(b))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.Atoi(fields[1])
	return float64(pages * os.Getpagesize())
}

func (f footprint) since(before footprint, n int) footprint {
	return footprint{(f.Heap - before.Heap) / float64(n), (f.RSS - before.RSS) / float64(n)}
}
