package fleet_test

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/matryer/is"
	"github.com/nats-io/nats-server/v2/server"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/fleet"
	"github.com/reqws/reqws/fleet/internal/embedded"
	"github.com/reqws/reqws/fleet/internal/feed"
	"github.com/reqws/reqws/fleet/internal/natstest"
)

// restart starts the world's NATS server again, where it was and with what it had.
func (w *world) restart() {
	w.t.Helper()
	u, err := url.Parse(w.url)
	if err != nil {
		w.t.Fatal(err)
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		w.t.Fatal(err)
	}
	w.nats = natstest.Start(w.t, w.dir, port)
}

// A NATS server that is restarted costs no stream its connection, and no message.
func TestNATSRestart(t *testing.T) {
	is := is.New(t)
	w := newWorld(t, 5*time.Millisecond, func(c *fleet.Config) { c.Lease = 20 * time.Second })
	w.window = 100
	w.join(w.url, "w1")
	w.join(w.url, "w2")
	ids := w.put(20)
	w.allUp(20)
	conns := len(w.feed.Conns())
	for _, id := range ids {
		is.NoErr(w.f.Send(t.Context(), id, reqws.Text("before")))
	}
	embedded.Stop(w.nats)
	w.restart()
	for _, id := range ids {
		w.eventually("it can be published again", func() bool { return w.f.Send(t.Context(), id, reqws.Text("after")) == nil })
		w.eventually("both are sent", func() bool { return len(w.feed.Received(id)) >= 2 })
		got := w.feed.Received(id)
		is.Equal(got[0], "before")
		is.Equal(got[len(got)-1], "after") // more than once if an attempt arrived whose answer did not
	}
	is.Equal(len(w.feed.Conns()), conns)
	a := w.accounted()
	is.Equal(a.Gap, 0)
}

// Where NATS stays away for longer than a lease, the streams are stopped, since nobody can know who else has
// them, and come back with it.
func TestNATSAway(t *testing.T) {
	is := is.New(t)
	w := newWorld(t, 5*time.Millisecond)
	workers := []*fleet.Worker{w.join(w.url, "w1"), w.join(w.url, "w2")}
	w.put(10)
	w.allUp(10)
	embedded.Stop(w.nats)
	w.eventually("the streams are stopped", func() bool {
		open, _ := w.feed.Open()
		return open == 0 && workers[0].Held()+workers[1].Held() == 0
	})
	w.restart()
	w.allUp(10)
	a := w.accounted()
	is.True(a.Published > 0)
}

// While JetStream does not answer, what is under way is bounded, the sockets wait, and nothing is lost.
func TestSlowJetStream(t *testing.T) {
	is := is.New(t)
	w := newWorld(t, time.Millisecond, func(c *fleet.Config) { c.Lease = 20 * time.Second })
	g := newGate(t, w.url)
	const most = 10
	worker := w.join(g.url(), "w1", func(c *fleet.WorkerConfig) { c.MaxPending = most })
	w.put(5)
	w.allUp(5)
	g.hold()
	w.eventually("the bound is reached", func() bool { return worker.Pending() == most })
	before := w.feed.Account(nil).Sent
	w.eventually("the server has sent more than that", func() bool { return w.feed.Account(nil).Sent > before+100 })
	is.Equal(worker.Pending(), most)
	g.flow()
	w.eventually("it goes on", func() bool { return len(w.published()) > before+100 })
	a := w.accounted()
	is.Equal(a.Gap, 0)
}

// A cluster of three keeps everything in three places: streams, fences and queues do as with one, also while the server goes that
// leads.
func TestCluster(t *testing.T) {
	is := is.New(t)
	servers := natstest.Cluster(t, 3)
	var urls []string
	for _, s := range servers {
		urls = append(urls, s.ClientURL())
	}
	w := &world{t: t, feed: feed.New(5 * time.Millisecond), cfg: fleet.Config{Lease: 5 * time.Second, Replicas: 3}, window: 8}
	w.settle(strings.Join(urls, ","))
	first := w.join(w.url, "w1")
	w.join(w.url, "w2")
	ids := w.put(12)
	w.allUp(12)
	send := func(text string) {
		for _, id := range ids {
			w.eventually("it is published", func() bool { return w.f.Send(t.Context(), id, reqws.Text(text)) == nil })
		}
	}
	send("one")
	embedded.Stop(leader(servers, "fleet_in"))
	send("two")
	is.NoErr(first.Drain(t.Context()))
	w.allUp(12)
	send("three")
	for _, id := range ids {
		w.eventually("all are sent", func() bool { return strings.HasSuffix(fmt.Sprint(w.feed.Received(id)), "three]") })
		got := w.feed.Received(id)
		is.Equal(got[0], "one")
	}
	a := w.accounted()
	is.Equal(a.Gap, 0)
}

// leader is the server that leads a stream.
func leader(servers []*server.Server, stream string) *server.Server {
	for _, s := range servers {
		if s.JetStreamIsStreamLeader(server.DEFAULT_GLOBAL_ACCOUNT, stream) {
			return s
		}
	}
	return servers[0]
}
