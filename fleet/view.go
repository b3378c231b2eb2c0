package fleet

import (
	"context"
	"encoding/json"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// view is the fleet as a worker sees it, kept up by watches over the buckets. It may be behind: what matters is
// decided by compare-and-swap.
type view struct {
	specs   map[string]specEntry
	claims  map[string]claim
	members map[string]seen

	stale  bool              // something has changed since placed was computed
	placed map[string]string // the worker of each stream
}

// placement is where each stream belongs. It is computed when something has changed: renewals of leases are most of
// what is seen, and change nothing.
func (v *view) placement() map[string]string {
	if v.stale {
		v.placed, v.stale = place(v.ids(), v.holders(), v.seats()), false
	}
	return v.placed
}

// first is the worker that sees to what belongs to nobody, for a stream; "" where there is none.
func (v *view) first(id string) string {
	if s := newPlan(v.seats()).best(id, anyone); s != nil {
		return s.id
	}
	return ""
}

// specEntry is a spec, or why it is none.
type specEntry struct {
	Spec
	revision uint64
	bad      error
}

// seen is a worker's entry.
type seen struct {
	memberEntry
	at int64 // of clock: when it was last renewed, as far as was seen here
}

func newView() view {
	return view{specs: map[string]specEntry{}, claims: map[string]claim{}, members: map[string]seen{}}
}

// alive reports whether a worker's lease may still last.
func (v *view) alive(id string) bool {
	m, ok := v.members[id]
	return ok && !m.Dead
}

// hasOthers reports whether there is a worker but self that takes streams.
func (v *view) hasOthers(self string) bool {
	for id, m := range v.members {
		if id != self && !m.Dead && !m.Leaving && m.Capacity > 0 {
			return true
		}
	}
	return false
}

// seats lists the workers that are alive.
func (v *view) seats() []seat {
	var seats []seat
	for id, m := range v.members {
		if !m.Dead {
			seats = append(seats, m.seat(id))
		}
	}
	return seats
}

func (m seen) seat(id string) seat {
	return seat{id: id, name: m.Name, capacity: m.Capacity, leaving: m.Leaving}
}

// ids lists the streams with a good spec.
func (v *view) ids() []string {
	ids := make([]string, 0, len(v.specs))
	for id, s := range v.specs {
		if s.bad == nil {
			ids = append(ids, id)
		}
	}
	return ids
}

// holders returns which streams are held by workers that are alive.
func (v *view) holders() map[string]string {
	held := make(map[string]string, len(v.claims))
	for id, c := range v.claims {
		if v.alive(c.Worker) {
			held[id] = c.Worker
		}
	}
	return held
}

// silent lists the workers, but self, that were not heard of for longer than a lease.
func (v *view) silent(self string, lease time.Duration) []string {
	var ids []string
	for id, m := range v.members {
		if id != self && !m.Dead && clock()-m.at > int64(lease) {
			ids = append(ids, id)
		}
	}
	return ids
}

// watch keeps the view up from now on, and returns when it is complete for the first time.
func (w *Worker) watch(ctx context.Context) error {
	watches := []struct {
		kv  jetstream.KeyValue
		see func(jetstream.KeyValueEntry)
	}{
		{w.f.limits, w.seeLimit}, {w.f.specs, w.seeSpec}, {w.f.claims, w.seeClaim}, {w.f.workers, w.seeWorker},
	}
	for _, x := range watches {
		complete := make(chan struct{})
		w.start(func() { w.follow(x.kv, x.see, complete) })
		select {
		case <-complete:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// follow watches one bucket, again and again if need be, and says when it has seen all of it.
func (w *Worker) follow(kv jetstream.KeyValue, see func(jetstream.KeyValueEntry), complete chan struct{}) {
	for w.ctx.Err() == nil {
		updates, err := kv.WatchAll(w.ctx)
		if err != nil {
			_ = sleep(w.ctx, w.f.cfg.Lease/10)
			continue
		}
		for e := range updates.Updates() {
			if e != nil {
				see(e)
				w.look()
			} else if complete != nil {
				close(complete)
				complete = nil
			}
			if w.ctx.Err() != nil {
				break
			}
		}
		_ = updates.Stop()
	}
}

func (w *Worker) seeLimit(e jetstream.KeyValueEntry) {
	w.limiter.entry(e.Key(), e.Operation() == jetstream.KeyValuePut)
}

func (w *Worker) seeSpec(e jetstream.KeyValueEntry) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.view.stale = true
	if e.Operation() != jetstream.KeyValuePut {
		delete(w.view.specs, e.Key())
		return
	}
	s, err := parseSpec(e.Key(), e.Value())
	w.view.specs[e.Key()] = specEntry{Spec: s, revision: e.Revision(), bad: err}
}

func (w *Worker) seeClaim(e jetstream.KeyValueEntry) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if old := w.view.claims[e.Key()]; e.Revision() < old.revision {
		return // what this worker has written itself is newer
	}
	w.view.stale = true
	c := claimOf(e)
	if c.revision == 0 {
		delete(w.view.claims, e.Key())
		return
	}
	w.view.claims[e.Key()] = c
}

func (w *Worker) seeWorker(e jetstream.KeyValueEntry) {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer w.changed.Broadcast()
	if e.Operation() != jetstream.KeyValuePut {
		delete(w.view.members, e.Key())
		w.view.stale = true
		return
	}
	m := seen{at: clock()}
	if json.Unmarshal(e.Value(), &m.memberEntry) != nil {
		m.Dead = true
	}
	old, known := w.view.members[e.Key()]
	w.view.stale = w.view.stale || !known || old.seat(e.Key()) != m.seat(e.Key()) || old.Dead != m.Dead
	w.view.members[e.Key()] = m
}
