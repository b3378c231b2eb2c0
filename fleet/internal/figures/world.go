package main

import (
	"context"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/reqws/reqws/fleet"
	"github.com/reqws/reqws/fleet/internal/embedded"
	"github.com/reqws/reqws/reqwstest"
)

const lease = 2 * time.Second

// world is the servers.
type world struct {
	dir  string
	nats *server.Server
	nc   *nats.Conn
	js   jetstream.JetStream
	f    *fleet.Fleet
	ws   string
	stop func()
	gaps gaps
}

func newWorld() (*world, error) {
	w := &world{}
	var err error
	if w.dir, err = os.MkdirTemp("", "fleet-figures"); err != nil {
		return nil, err
	}
	if w.nats, err = embedded.NATS(w.dir, -1); err != nil {
		return nil, err
	}
	if w.nc, err = nats.Connect(w.nats.ClientURL()); err != nil {
		return nil, err
	}
	if w.js, err = jetstream.New(w.nc); err != nil {
		return nil, err
	}
	if w.f, err = fleet.Open(context.Background(), w.nc, fleet.Config{Lease: lease}); err != nil {
		return nil, err
	}
	w.ws, w.stop, err = embedded.Listen(w)
	return w, err
}

func (w *world) close() {
	w.nc.Close()
	w.stop()
	embedded.Stop(w.nats)
	_ = os.RemoveAll(w.dir)
}

// ServeHTTP is the WebSocket server: /busy always has something to send, the others nothing.
func (w *world) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/busy" {
		busy(rw, r)
		return
	}
	c, err := websocket.Accept(rw, r, nil)
	if err != nil {
		return
	}
	defer func() { _ = c.CloseNow() }()
	w.gaps.opened(r.URL.Path)
	defer w.gaps.lost(r.URL.Path)
	for {
		if _, _, err := c.Read(context.Background()); err != nil {
			return
		}
	}
}

// busy writes frames without an end, many at once: it is to cost little beside what is measured.
func busy(rw http.ResponseWriter, r *http.Request) {
	c, rest, err := http.NewResponseController(rw).Hijack()
	if err != nil {
		return
	}
	defer func() { _ = c.Close() }()
	_, err = c.Write([]byte("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
		reqwstest.AcceptKey(r.Header.Get("Sec-WebSocket-Key")) + "\r\n\r\n"))
	many := reqwstest.Encode(reqwstest.Text(strings.Repeat("x", size)))
	many = []byte(strings.Repeat(string(many), 100))
	go func() {
		for err == nil { // until the client's close frame, which nobody answers but with the end
			var f reqwstest.Frame
			if f, err = reqwstest.Decode(rest); f.Op == reqwstest.OpClose {
				_, _ = c.Write(reqwstest.Encode(reqwstest.Close(1000, "")))
				_ = c.Close()
			}
		}
	}()
	for err == nil {
		_, err = c.Write(many)
	}
}

// size is that of the messages.
const size = 128

func (w *world) put(id, url string) error {
	return w.f.Put(context.Background(), fleet.Spec{ID: id, URL: url})
}

func (w *world) remove(id string) error { return w.f.Remove(context.Background(), id) }

// up waits until n streams are up, and as many connections there.
func (w *world) up(n int) {
	for ; ; time.Sleep(20 * time.Millisecond) {
		s, err := w.f.Status(context.Background())
		check(err)
		if s.Count(fleet.Up) == n && w.gaps.count() == n {
			return
		}
	}
}

// stored is how many messages have come in.
func (w *world) stored() uint64 {
	s, err := w.js.Stream(context.Background(), "fleet_in")
	check(err)
	return s.CachedInfo().State.LastSeq
}

func (w *world) purge() error {
	s, err := w.js.Stream(context.Background(), "fleet_in")
	if err != nil {
		return err
	}
	return s.Purge(context.Background())
}

// gaps notes when connections are lost and made again.
type gaps struct {
	mu    sync.Mutex
	open  int
	lostA map[string]time.Time
	found []time.Duration
}

func (g *gaps) start() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.lostA, g.found = map[string]time.Time{}, nil
}

func (g *gaps) opened(path string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open++
	if at, ok := g.lostA[path]; ok {
		g.found = append(g.found, time.Since(at))
		delete(g.lostA, path)
	}
}

func (g *gaps) lost(path string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open--
	if g.lostA != nil {
		g.lostA[path] = time.Now()
	}
}

func (g *gaps) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.open
}

// closed waits until some gaps are there and all are closed.
func (g *gaps) closed(settle func()) []time.Duration {
	for ; ; time.Sleep(10 * time.Millisecond) {
		g.mu.Lock()
		done := len(g.found) > 0 && len(g.lostA) == 0
		g.mu.Unlock()
		if done {
			break
		}
	}
	settle()
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.found
}
