package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/fleet"
	"github.com/reqws/reqws/fleet/internal/embedded"
	"github.com/reqws/reqws/fleet/internal/feed"
)

type options struct {
	streams int
	every   time.Duration
	lease   time.Duration
}

// demo is one run.
type demo struct {
	options
	out     io.Writer
	nats    *server.Server
	f       *fleet.Fleet
	js      jetstream.JetStream
	feed    *feed.Server
	ws      string
	workers map[string]*process

	mu   sync.Mutex
	live []string       // streams that are to be up
	sent map[string]int // messages out, by stream
}

// run plays the whole story, and tells it to out.
func run(ctx context.Context, o options, out io.Writer) error {
	d := &demo{options: o, out: out, feed: feed.New(o.every), workers: map[string]*process{}, sent: map[string]int{}}
	dir, err := os.MkdirTemp("", "fleet")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	stop, err := d.servers(ctx, dir)
	defer stop()
	if err != nil {
		return err
	}
	defer d.killAll()
	return d.story(ctx)
}

// servers starts NATS and the feed.
func (d *demo) servers(ctx context.Context, dir string) (stop func(), err error) {
	var stops []func()
	stop = func() {
		for i := range stops {
			stops[len(stops)-1-i]()
		}
	}
	if d.nats, err = embedded.NATS(dir, -1); err != nil {
		return stop, err
	}
	stops = append(stops, func() { embedded.Stop(d.nats) })
	nc, err := nats.Connect(d.nats.ClientURL())
	if err != nil {
		return stop, err
	}
	stops = append(stops, nc.Close)
	if d.js, err = jetstream.New(nc); err != nil {
		return stop, err
	}
	if d.f, err = fleet.Open(ctx, nc, fleet.Config{Lease: d.lease}); err != nil {
		return stop, err
	}
	ws, stopFeed, err := embedded.Listen(d.feed)
	if err != nil {
		return stop, err
	}
	d.ws = ws
	stops = append(stops, stopFeed)
	return stop, nil
}

// story is what happens.
func (d *demo) story(ctx context.Context) error {
	talk, quiet := context.WithCancel(ctx)
	defer quiet()
	var talking sync.WaitGroup
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"three workers start, and specs are added", func() error {
			return errors.Join(d.start("w1"), d.start("w2"), d.start("w3"), d.add(ctx, 0, d.streams))
		}},
		{"", func() error { return d.settled(ctx) }},
		{"messages go out to all streams", func() error {
			talking.Go(func() { d.talk(talk) })
			return sleep(ctx, d.lease)
		}},
		{"w1 is killed", func() error { return d.workers["w1"].kill() }},
		{"", func() error { return d.settled(ctx) }},
		{"w1 is back", func() error { return errors.Join(d.start("w1"), sleep(ctx, d.lease)) }},
		{"", func() error { return d.settled(ctx) }},
		{"w2 is restarted in good order", func() error { return errors.Join(d.workers["w2"].stop(), d.start("w2"), sleep(ctx, d.lease)) }},
		{"", func() error { return d.settled(ctx) }},
		{"a tenth of the streams is removed, and as many new ones are added", func() error {
			return errors.Join(d.remove(ctx, d.streams/10), d.add(ctx, d.streams, d.streams/10))
		}},
		{"", func() error { return d.settled(ctx) }},
	} {
		if step.name != "" {
			d.say("%s", step.name)
		}
		if err := step.do(); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	quiet()
	talking.Wait()
	return d.ending(ctx)
}

var began = time.Now()

func (d *demo) say(format string, args ...any) {
	fmt.Fprintf(d.out, "%6.2fs  %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
}

func (d *demo) start(name string) error {
	p, err := startWorker(d.nats.ClientURL(), name, d.lease)
	if err == nil {
		d.workers[name] = p
	}
	return err
}

// killAll leaves no process behind, whatever has happened.
func (d *demo) killAll() {
	for _, p := range d.workers {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	}
}

func (d *demo) add(ctx context.Context, from, n int) error {
	for i := from; i < from+n; i++ {
		id := fmt.Sprintf("stream-%d", i)
		if err := d.f.Put(ctx, fleet.Spec{ID: id, URL: d.ws + id, OnOpen: []string{"hello"}}); err != nil {
			return err
		}
		d.mu.Lock()
		d.live = append(d.live, id)
		d.mu.Unlock()
	}
	return nil
}

// remove removes the first n streams. What is on its way out to one must have been sent before.
func (d *demo) remove(ctx context.Context, n int) error {
	d.mu.Lock()
	gone := d.live[:n]
	d.live = d.live[n:]
	d.mu.Unlock()
	for _, id := range gone {
		if err := d.allSent(ctx, id); err != nil {
			return err
		}
		if err := d.f.Remove(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// talk sends numbered messages to all streams until ctx ends.
func (d *demo) talk(ctx context.Context) {
	for ctx.Err() == nil {
		d.mu.Lock()
		live := append([]string(nil), d.live...)
		d.mu.Unlock()
		for _, id := range live {
			d.tell(id)
		}
		_ = sleep(ctx, d.every)
	}
}

// tell sends the next message to a stream, unless that is gone.
func (d *demo) tell(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, l := range d.live {
		if l != id {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if d.f.Send(ctx, id, reqws.Text(fmt.Sprint(d.sent[id]))) == nil {
			d.sent[id]++
		}
		return
	}
}

// settled waits until all streams are up, and says how they are shared out.
func (d *demo) settled(ctx context.Context) error {
	for {
		s, err := d.f.Status(ctx)
		if err != nil {
			return err
		}
		open, _ := d.feed.Open()
		if n := len(d.live); s.Count(fleet.Up) == n && len(s.Streams) == n && open == n {
			by := map[string]int{}
			for _, x := range s.Streams {
				by[x.Worker]++
			}
			d.say("  %d streams are up: %v", n, by)
			return nil
		}
		if err := sleep(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}

// allSent waits until a stream's messages out have arrived.
func (d *demo) allSent(ctx context.Context, id string) error {
	for deadline := time.Now().Add(time.Minute); ; {
		d.mu.Lock()
		sent := d.sent[id]
		d.mu.Unlock()
		got := len(d.replies(id))
		if got >= sent {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s: %d messages were to be sent, %d arrived", id, sent, got)
		}
		if err := sleep(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
}

// replies is what a stream has sent, without what it says on open.
func (d *demo) replies(id string) []string {
	var got []string
	for _, text := range d.feed.Received(id) {
		if text != "hello" {
			got = append(got, text)
		}
	}
	return got
}

// ending stops the workers in good order, and counts.
func (d *demo) ending(ctx context.Context) error {
	up := len(d.live)
	for id := range d.sent {
		if err := d.allSent(ctx, id); err != nil {
			return err
		}
	}
	d.say("the workers stop")
	var group sync.WaitGroup
	for _, p := range d.workers {
		group.Go(func() { _ = p.stop() }) // the last ones find nobody who takes their streams
	}
	group.Wait()
	received, err := feed.Received(ctx, d.js, d.f)
	if err != nil {
		return err
	}
	var published []string
	for _, in := range received {
		published = append(published, in.Frame.Text())
	}
	a := d.feed.Account(published)
	doubledOut := d.doubledOut()
	moves := len(d.feed.Conns()) - len(d.sent)
	t := tabwriter.NewWriter(d.out, 0, 0, 2, ' ', 0)
	_, most := d.feed.Open()
	fmt.Fprintf(t, "\nstreams up\t%d\nmoved\t%d\nmost connections of one stream at once\t%d\n", up, moves, most)
	fmt.Fprintf(t, "time without connection\tmedian %v, worst %v\n", feed.Median(a.Downtime).Round(time.Millisecond), feed.Worst(a.Downtime).Round(time.Millisecond))
	fmt.Fprintf(t, "messages published\t%d of %d\n", a.Published, a.Sent)
	fmt.Fprintf(t, "in the sockets of the worker that was killed\t%d\nlost\t%d\ndoubled\t%d\n", a.Gap, a.Lost, a.Doubled)
	fmt.Fprintf(t, "messages sent out\t%d\nout of order, or more than once\t%d\n", d.total(), doubledOut)
	if err := t.Flush(); err != nil {
		return err
	}
	if a.Lost+a.Doubled+a.Strangers+doubledOut > 0 || most > 1 {
		return fmt.Errorf("not all is well: %s", a.First)
	}
	return nil
}

func (d *demo) total() (n int) {
	for _, sent := range d.sent {
		n += sent
	}
	return n
}

// doubledOut counts messages that did not arrive in their order, once each.
func (d *demo) doubledOut() (bad int) {
	for id := range d.sent {
		for i, text := range d.replies(id) {
			if text != fmt.Sprint(i) {
				bad++
			}
		}
	}
	return bad
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
