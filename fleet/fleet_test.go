package fleet_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/fleet"
	"github.com/reqws/reqws/fleet/internal/feed"
)

// A fleet of one worker: what comes in is published, what is published to go out is sent, once and in order.
func TestFleet(t *testing.T) {
	is := is.New(t)
	w := newWorld(t, 10*time.Millisecond)
	w.join(w.url, "w1")
	ids := w.put(5, func(s *fleet.Spec) { s.OnOpen = []string{"hello", "there"} })
	for _, id := range ids {
		is.NoErr(w.f.Send(t.Context(), id, reqws.Text("early")))
	}
	w.allUp(5)
	is.Equal(w.by(), map[string]int{"w1": 5})
	want := []string{"hello", "there", "early"}
	for k := range 40 {
		want = append(want, fmt.Sprint(k))
	}
	for _, id := range ids {
		for k := range 40 {
			is.NoErr(w.f.Send(t.Context(), id, reqws.Text(fmt.Sprint(k))))
		}
	}
	for _, id := range ids {
		w.eventually("all is sent", func() bool { return len(w.feed.Received(id)) >= len(want) })
		is.Equal(w.feed.Received(id), want)
	}
	a := w.accounted()
	is.Equal(a.Gap, 0)
	is.True(a.Published > 5)
	is.Equal(len(w.status().Streams), 0)
}

// Workers that join and leave in good order take over from each other, and nothing is lost in between.
func TestJoinAndDrain(t *testing.T) {
	is := is.New(t)
	w := newWorld(t, 5*time.Millisecond)
	first := w.join(w.url, "w1")
	ids := w.put(40)
	w.allUp(40)
	w.join(w.url, "w2")
	w.eventually("the second has its share", func() bool { by := w.by(); return by["w2"] >= 15 && by["w1"]+by["w2"] == 40 })
	before := len(w.feed.Conns())
	is.True(before <= 40+25) // not more were moved than its share
	for k := range 50 {
		for _, id := range ids {
			is.NoErr(w.f.Send(t.Context(), id, reqws.Text(fmt.Sprint(k))))
		}
		if k == 10 {
			go func() { _ = first.Drain(t.Context()) }()
		}
	}
	w.eventually("the second has them all", func() bool { return w.by()["w2"] == 40 })
	for _, id := range ids {
		var want []string
		for k := range 50 {
			want = append(want, fmt.Sprint(k))
		}
		w.eventually("all is sent", func() bool { return len(w.feed.Received(id)) >= 50 })
		is.Equal(w.feed.Received(id), want)
	}
	a := w.accounted()
	is.Equal(a.Gap, 0)
	t.Logf("published %d, without connection: median %v, worst %v", a.Published, feed.Median(a.Downtime), feed.Worst(a.Downtime))
}

// A worker that cannot reach NATS stops its streams before another starts them, whether the connection is cut or
// nothing passes any more, and comes back when it can.
func TestPartition(t *testing.T) {
	for _, c := range []struct {
		name string
		shut func(*gate)
	}{
		{"cut", (*gate).cut},
		{"nothing passes", (*gate).hold},
	} {
		t.Run(c.name, func(t *testing.T) {
			is := is.New(t)
			w := newWorld(t, 5*time.Millisecond)
			g := newGate(t, w.url)
			w.join(g.url(), "w1")
			w.put(20)
			w.allUp(20)
			w.join(w.url, "w2")
			w.eventually("both have some", func() bool { by := w.by(); return by["w1"] > 5 && by["w2"] > 5 })
			c.shut(g)
			w.eventually("the other has them all", func() bool { return w.by()["w2"] == 20 })
			g.flow()
			w.eventually("it is back, and has some", func() bool { by := w.by(); return by["w1"] > 5 && by["w1"]+by["w2"] == 20 })
			a := w.accounted()
			is.True(a.Published > 0)
			t.Logf("%d in the gap of %d", a.Gap, a.Sent)
		})
	}
}
