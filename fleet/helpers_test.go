package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/matryer/is"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/reqws/reqws/fleet"
	"github.com/reqws/reqws/fleet/internal/embedded"
	"github.com/reqws/reqws/fleet/internal/feed"
	"github.com/reqws/reqws/fleet/internal/natstest"
)

// world is what a test's fleet lives in: a NATS server and a WebSocket server.
type world struct {
	t    testing.TB
	nats *server.Server
	dir  string // of its streams
	url  string // of NATS
	feed *feed.Server
	ws   string // of the feed, with a slash at its end
	cfg  fleet.Config

	workers []*fleet.Worker
	changes bool // specs change: a server may see the next connection before it has put away the last

	window uint64       // how far a message may be from its place, where NATS goes away
	f      *fleet.Fleet // the test's own view of the fleet
}

const shortLease = time.Second

// newWorld starts the servers. The feed sends a message every so often on each connection.
func newWorld(t testing.TB, every time.Duration, change ...func(*fleet.Config)) *world {
	t.Helper()
	w := &world{t: t, feed: feed.New(every), cfg: fleet.Config{Lease: shortLease}}
	for _, c := range change {
		c(&w.cfg)
	}
	w.dir = t.TempDir()
	w.nats = natstest.Start(t, w.dir, -1)
	return w.settle(w.nats.ClientURL())
}

// settle starts the WebSocket server, and opens the fleet.
func (w *world) settle(url string) *world {
	w.t.Helper()
	w.url = url
	ws, stop, err := embedded.Listen(w.feed)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(stop)
	w.ws = ws
	w.f = w.open(w.url)
	return w
}

func (w *world) dialNATS(url string) *nats.Conn { return natstest.Dial(w.t, url) }

// open opens the fleet over a connection of its own.
func (w *world) open(url string) *fleet.Fleet {
	w.t.Helper()
	f, err := fleet.Open(w.t.Context(), w.dialNATS(url), w.cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	return f
}

// join makes a worker that reaches NATS at url.
func (w *world) join(url, name string, change ...func(*fleet.WorkerConfig)) *fleet.Worker {
	w.t.Helper()
	cfg := fleet.WorkerConfig{Name: name, Logger: slog.New(slog.NewTextHandler(w.t.Output(), nil))}
	for _, c := range change {
		c(&cfg)
	}
	worker, err := w.open(url).Join(w.t.Context(), cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = worker.Close() })
	w.workers = append(w.workers, worker)
	return worker
}

// put adds n streams to the feed: s.0, s.1 and so on.
func (w *world) put(n int, change ...func(*fleet.Spec)) []string {
	w.t.Helper()
	is := is.NewRelaxed(w.t)
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("s.%d", i)
		s := fleet.Spec{ID: ids[i], URL: w.ws + ids[i]}
		for _, c := range change {
			c(&s)
		}
		is.NoErr(w.f.Put(w.t.Context(), s))
	}
	return ids
}

// eventually waits until cond is true: for as long as it takes, within what a test may.
func (w *world) eventually(what string, cond func() bool) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 40*time.Second)
	defer cancel()
	for !cond() {
		select {
		case <-ctx.Done():
			s := w.status()
			w.t.Fatalf("still not: %s; workers %+v, %d of %d streams are up, and first %+v", what, s.Workers, s.Count(fleet.Up), len(s.Streams), s.Streams[:min(1, len(s.Streams))])
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// status reads the fleet's, as soon as NATS is there.
func (w *world) status() fleet.Status {
	w.t.Helper()
	for {
		s, err := w.f.Status(w.t.Context())
		if err == nil {
			return s
		}
		if w.t.Context().Err() != nil || errors.Is(err, nats.ErrConnectionClosed) {
			w.t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// stream is the status of one stream.
func (w *world) stream(id string) fleet.StreamStatus {
	for _, s := range w.status().Streams {
		if s.ID == id {
			return s
		}
	}
	return fleet.StreamStatus{}
}

// allUp waits until n streams are up, and the feed has a connection for each.
func (w *world) allUp(n int) {
	w.t.Helper()
	w.eventually("all streams are up", func() bool {
		s := w.status()
		open, _ := w.feed.Open()
		return len(s.Streams) == n && s.Count(fleet.Up) == n && open == n
	})
}

// jetStream is the way to NATS beside the fleet.
func (w *world) jetStream() jetstream.JetStream {
	w.t.Helper()
	js, err := jetstream.New(w.dialNATS(w.url))
	if err != nil {
		w.t.Fatal(err)
	}
	return js
}

// by counts the streams that are up by worker.
func (w *world) by() map[string]int {
	n := map[string]int{}
	for _, s := range w.status().Streams {
		if s.State == fleet.Up {
			n[s.Worker]++
		}
	}
	return n
}

// published reads all messages that have come in, and holds them to their numbers.
func (w *world) published() []string {
	w.t.Helper()
	all, err := feed.Received(w.t.Context(), w.jetStream(), w.f)
	is.New(w.t).NoErr(err)
	var texts []string
	last := map[string]fleet.In{}
	for _, in := range all {
		before := last[in.ID]
		inOrder := in.Sequence == before.Sequence+1 || w.window > 0 && before.Sequence < in.Sequence+2*w.window && in.Sequence < before.Sequence+2*w.window
		if in.Fence < before.Fence || in.Fence == before.Fence && !inOrder {
			w.t.Errorf("%s: %d of fence %d follows %d of fence %d", in.ID, in.Sequence, in.Fence, before.Sequence, before.Fence)
		}
		last[in.ID] = in
		texts = append(texts, in.Frame.Text())
	}
	return texts
}

// accounted ends the streams, and holds what was published to what was sent.
func (w *world) accounted() feed.Account {
	w.t.Helper()
	is := is.New(w.t)
	ids, err := w.f.IDs(w.t.Context())
	is.NoErr(err)
	for _, id := range ids {
		is.NoErr(w.f.Remove(w.t.Context(), id))
	}
	w.eventually("all streams are closed, and what they had is published", func() bool {
		open, _ := w.feed.Open()
		for _, worker := range w.workers {
			open += worker.Held()
		}
		return open == 0
	})
	a := w.feed.Account(w.published())
	if _, most := w.feed.Open(); !w.changes {
		is.Equal(most, 1) // no stream had two connections at once
	}
	if a.Lost != 0 || a.Doubled != 0 || a.Strangers != 0 {
		w.t.Errorf("%+v", a)
	}
	return a
}

// gate is a proxy before NATS that can be shut.
type gate struct {
	net.Listener
	to string

	mu    sync.Mutex
	stuck chan struct{} // closed while bytes pass
	shut  bool          // connections are refused
	conns map[net.Conn]bool
}

func newGate(t testing.TB, to string) *gate {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{Listener: l, to: strings.TrimPrefix(to, "nats://"), stuck: make(chan struct{}), conns: map[net.Conn]bool{}}
	close(g.stuck)
	t.Cleanup(func() { _ = l.Close(); g.cut(); g.flow() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go g.serve(c)
		}
	}()
	return g
}

func (g *gate) url() string { return "nats://" + g.Addr().String() }

func (g *gate) serve(c net.Conn) {
	defer func() { _ = c.Close() }()
	to, err := net.Dial("tcp", g.to)
	if err != nil {
		return
	}
	defer func() { _ = to.Close() }()
	g.mu.Lock()
	if g.shut {
		g.mu.Unlock()
		return
	}
	g.conns[c], g.conns[to] = true, true
	g.mu.Unlock()
	done := make(chan struct{})
	go func() { g.copy(to, c); close(done) }()
	g.copy(c, to)
	<-done
}

func (g *gate) copy(to, from net.Conn) {
	defer func() { _ = to.Close() }()
	p := make([]byte, 64<<10)
	for {
		n, err := from.Read(p)
		g.mu.Lock()
		stuck := g.stuck
		g.mu.Unlock()
		<-stuck
		if n > 0 {
			if _, err := to.Write(p[:n]); err != nil {
				return
			}
		}
		if err != nil {
			if err != io.EOF {
				return
			}
			return
		}
	}
}

// cut resets all connections, and refuses new ones.
func (g *gate) cut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = true
	for c := range g.conns {
		_ = c.Close()
	}
	clear(g.conns)
}

// hold keeps connections, and lets nothing through.
func (g *gate) hold() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stuck = make(chan struct{})
}

// flow lets everything through.
func (g *gate) flow() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = false
	select {
	case <-g.stuck:
	default:
		close(g.stuck)
	}
}
