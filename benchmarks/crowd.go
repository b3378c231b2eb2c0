package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// A crowd is a fresh process that holds many connections of one library. It is asked
// for up to three things, one after another: what a connection holds that never got
// anything; what it holds after a large message; and what a small message now and then
// on each of them costs.

const (
	pushed       = 100_000                // bytes of the large message
	nowAndThen   = 200 * time.Millisecond // between two small ones on a connection
	trickled     = 64                     // bytes of a small one
	crowdPioneer = 50                     // the first connections pay for what all share
)

// crowdOrder tells the process what to do.
type crowdOrder struct {
	Client   string
	Via      transport
	Path     string // what to ask the server for
	Server   remote
	N        int
	Abreast  int  // handshakes at once
	Push     bool // the large message
	Trickle  int  // small messages on each connection, or 0
	Profiles profiles
}

// crowdReport is what it answers.
type crowdReport struct {
	Idle    footprint // nothing was ever received
	Message footprint // the large message was
	Opened  figure    // what opening took
	Sparse  figure    // what each small message took
}

// crowds measures many connections over ws and over wss.
func (b *bench) crowds() error {
	for _, via := range []transport{overWS, overWSS} {
		if err := b.crowd(via); err != nil {
			return err
		}
	}
	return nil
}

// crowd measures those tables that were chosen, with one process per client.
func (b *bench) crowd(via transport) error {
	idle := memoryTable{Workload: fmt.Sprintf("idle connections, %d in one process", b.plan.Conns), Via: via, Goals: idleGoals(via)}
	message := idle
	message.Workload += ", after a message of 100 KB on each"
	sparse := table{Workload: fmt.Sprintf("a message now and then on each of %d connections", b.plan.Conns), Via: via,
		Unit: "message", ByCPU: true, Goals: []goal{{bestPeerCPU, 1}}}
	wanted := func(name string) bool { return b.only.MatchString(title(name, via)) }
	memory := (wanted(idle.Workload) || wanted(message.Workload)) && !b.profiles.wanted()
	o := crowdOrder{Via: via, Path: "/idle", Server: *b.server, N: b.plan.Conns, Abreast: 4, Push: memory,
		Profiles: b.profiles.of(sparse.Workload, via)}
	if wanted(sparse.Workload) {
		o.Trickle = b.plan.Trickle
	}
	if !memory && o.Trickle == 0 {
		return nil
	}
	for _, c := range b.chosen(crowders()) {
		b.progress.say("%s: %s", title(idle.Workload, via), c.name())
		o := o
		o.Client = c.name()
		reads := c.part() != floor
		if !reads {
			o.Push, o.Trickle = false, 0
		}
		r, err := gather(o)
		if err != nil {
			return fmt.Errorf("%s: %s: %w", title(idle.Workload, via), c.name(), err)
		}
		idle.Rows = append(idle.Rows, memoryRow{c.name(), c.part(), r.Idle})
		if !reads {
			continue
		}
		message.Rows = append(message.Rows, memoryRow{c.name(), c.part(), r.Message})
		sparse.Rows = append(sparse.Rows, row{c.name(), c.part(), r.Sparse})
	}
	if memory {
		b.remember(idle)
		b.remember(message)
	}
	if o.Trickle > 0 {
		b.show(sparse)
	}
	return nil
}

// remember keeps a table of memory and prints it.
func (b *bench) remember(m memoryTable) {
	b.results.Memory = append(b.results.Memory, m)
	b.progress.clear()
	m.write(b.out)
}

// crowders are the clients that hold many connections.
func crowders() []client {
	return slices.Concat([]client{bareClient, reqwsClient, reqwsBatches}, peers, leanPeers)
}

func crowder(name string) (client, error) {
	for _, c := range append(crowders(), reqwsHTTP1, reqwsHTTP2) {
		if c.name() == name {
			return c, nil
		}
	}
	return nil, fmt.Errorf("no client %q", name)
}

// gather starts the process and waits for its report.
func gather(o crowdOrder) (r crowdReport, err error) {
	cmd, in, out, err := spawn("crowd")
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

// crowdProcess is main in that process.
func crowdProcess() error {
	var o crowdOrder
	if err := json.NewDecoder(os.Stdin).Decode(&o); err != nil {
		return err
	}
	r, err := o.carryOut()
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

func (o crowdOrder) carryOut() (r crowdReport, err error) {
	raiseFileLimit()
	c, err := crowder(o.Client)
	if err != nil {
		return r, err
	}
	var messages atomic.Int64
	connect := c.opener(o.Server.target(o.Via, o.Path), func(n, _ int) bool {
		messages.Add(int64(n))
		return true
	})
	if err := open(connect, crowdPioneer, 1); err != nil {
		return r, err
	}
	before, start := resident(), used(0)
	if err := open(connect, o.N, o.Abreast); err != nil {
		return r, err
	}
	r.Opened = start.until(used(0), o.N)
	r.Idle = resident().since(before, o.N)
	all := crowdPioneer + o.N
	if o.Push {
		path := fmt.Sprintf("/push?size=%d", pushed)
		if err := o.expect(&messages, path, all); err != nil {
			return r, err
		}
		r.Message = resident().since(before, o.N)
	}
	if o.Trickle > 0 {
		r.Sparse, err = o.trickle(&messages, all, nowAndThen)
	}
	return r, err
}

// open connects n times, so many handshakes at once.
func open(connect func() (conn, error), n, abreast int) error {
	var wg sync.WaitGroup
	var left atomic.Int64
	left.Store(int64(n))
	errs := make([]error, abreast)
	for i := range abreast {
		wg.Go(func() {
			for errs[i] == nil && left.Add(-1) >= 0 {
				_, errs[i] = connect()
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// trickle has the server send small messages: two on each connection to warm up, then
// the rest in parts, of which the median stands.
func (o crowdOrder) trickle(messages *atomic.Int64, conns int, every time.Duration) (f figure, err error) {
	const parts = 3
	path := fmt.Sprintf("/trickle?size=%d&every=%d&n=", trickled, every.Milliseconds())
	if err := o.expect(messages, path+"2", 2*conns); err != nil {
		return f, err
	}
	clock, each := o.Server.clock(), max(1, o.Trickle/parts)
	var rounds []figure
	err = o.Profiles.during(func() error {
		for range parts {
			start := used(clock)
			if err := o.expect(messages, path+strconv.Itoa(each), each*conns); err != nil {
				return err
			}
			rounds = append(rounds, start.until(used(clock), each*conns))
		}
		return nil
	})
	if err != nil {
		return f, err
	}
	return medians(rounds), nil
}

// expect asks the server for messages and waits until all have arrived.
func (o crowdOrder) expect(messages *atomic.Int64, path string, n int) error {
	want := messages.Load() + int64(n)
	sent, err := o.Server.ask(path)
	if err != nil {
		return err
	}
	if sent != int64(n) {
		return fmt.Errorf("the server sent %d messages instead of %d", sent, n)
	}
	for deadline := time.Now().Add(30 * time.Second); messages.Load() < want; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("%d messages of %d did not arrive", want-messages.Load(), n)
		}
	}
	return nil
}

// ask has the server do what it does over plain HTTP, and returns its number.
func (r *remote) ask(path string) (int64, error) {
	resp, err := http.Get("http://" + r.Plain + path)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	http.DefaultClient.CloseIdleConnections()
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(string(b), 10, 64)
}

// received is how many bytes senders have sent so far.
func (r *remote) received() (int64, error) { return r.ask("/received") }
