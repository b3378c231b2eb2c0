package fleet

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// What a worker does about what it sees: claims the streams that are placed with it, gives up those that are
// placed with others, and follows the changes of its specs.

// work looks at the view whenever that has changed, and now and then.
func (w *Worker) work() {
	tick := time.NewTicker(w.f.cfg.Lease / 20)
	defer tick.Stop()
	_ = sleep(w.ctx, w.f.cfg.Lease/20) // workers that start together are to see each other first
	for {
		select {
		case <-w.kick:
			_ = sleep(w.ctx, settleTime)
		case <-tick.C:
		case <-w.ctx.Done():
			return
		}
		w.reconcile()
	}
}

// settleTime lets changes that come together be looked at once.
const settleTime = 10 * time.Millisecond

// reconcile starts what is to be done. Each of it runs by itself, and is not started twice.
func (w *Worker) reconcile() {
	w.mu.Lock()
	defer w.mu.Unlock()
	m := w.member
	if !m.valid() || w.ctx.Err() != nil || !w.view.alive(m.id) {
		return
	}
	for _, id := range w.view.silent(m.id, w.f.cfg.Lease) {
		w.makeSure(id)
	}
	placed := w.view.placement()
	for id, h := range w.held {
		w.tend(h, id, placed[id])
	}
	for id, to := range placed {
		if to == m.id && w.held[id] == nil && !w.taking[id] && !w.leaving {
			w.consider(m, id)
		}
	}
	w.judge(m)
	w.clear(m)
}

// tend does for a stream that is held what the view asks for. mu is held.
func (w *Worker) tend(h *held, id, to string) {
	spec, exists := w.view.specs[id]
	switch {
	case !exists || spec.bad != nil:
		w.begin(h, func() { w.remove(h) })
	case to != "" && to != w.member.id:
		w.begin(h, func() { w.handOver(h) })
	case !h.hasSpec(spec.revision):
		w.begin(h, func() { h.change(spec.Spec, spec.revision) })
	}
}

// begin runs f for a stream unless something is being done about it already. What would be too much at once
// is begun when the view is next looked at.
func (w *Worker) begin(h *held, f func()) {
	select {
	case w.moves <- struct{}{}:
	default:
		return
	}
	if !h.engage() {
		<-w.moves
		return
	}
	w.start(func() {
		defer w.look()
		defer func() { <-w.moves }()
		defer h.disengage()
		f()
	})
}

// remove ends a stream that is no more, and takes its entries away.
func (w *Worker) remove(h *held) {
	ctx, cancel := context.WithTimeout(w.ctx, quitTime)
	defer cancel()
	w.part(ctx, h, func(ctx context.Context) error {
		w.mu.Lock()
		_, bad := w.view.specs[h.id] // then its state says why
		w.mu.Unlock()
		err := w.f.dropClaim(ctx, h.id, h.fence)
		if !bad {
			err = errors.Join(err, w.f.states.Purge(ctx, h.id))
		}
		return err
	})
}

// handOver gives a stream up for another worker. It stays up until the other may open it.
func (w *Worker) handOver(h *held) {
	wait, cancel := context.WithTimeout(w.ctx, w.f.cfg.Lease)
	defer cancel()
	if w.limiter.wait(wait, h.current().spec.host()) != nil {
		return // it is up, and may be moved later
	}
	ctx, cancel := context.WithTimeout(w.ctx, quitTime)
	defer cancel()
	w.giveUp(ctx, h, true)
}

// giveUp closes a stream in good order, and releases the claim.
func (w *Worker) giveUp(ctx context.Context, h *held, opening bool) {
	w.part(ctx, h, func(ctx context.Context) error { return w.f.release(ctx, h.id, h.fence, opening) })
}

// part ends a stream in good order, unless somebody does already, and then has its entries changed.
func (w *Worker) part(ctx context.Context, h *held, entries func(context.Context) error) {
	if !h.depart() {
		return
	}
	h.quit(ctx)
	w.forget(h)
	call, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	if err := entries(call); err != nil {
		w.log.Warn("fleet: a stream was ended, and its entries are as they were", "id", h.id, "error", err)
	}
}

// forget takes a stream out of those held.
func (w *Worker) forget(h *held) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.held[h.id] == h {
		delete(w.held, h.id)
	}
	w.changed.Broadcast()
}

// consider claims a stream that is placed here, unless its claim may still be another worker's. mu is held.
func (w *Worker) consider(m *member, id string) {
	c := w.view.claims[id]
	if c.Worker != "" && c.Worker != m.id {
		if w.view.alive(c.Worker) {
			return
		}
		if _, dead := w.view.members[c.Worker]; !dead {
			w.makeSure(c.Worker)
			return
		}
	}
	select {
	case w.moves <- struct{}{}:
	default:
		return
	}
	w.taking[id] = true
	spec := w.view.specs[id]
	w.start(func() {
		defer w.look()
		defer func() { <-w.moves }()
		w.take(m, c, spec)
	})
}

// take claims a stream, raises its fence, and opens it.
func (w *Worker) take(m *member, was claim, spec specEntry) {
	ctx, cancel := context.WithTimeout(w.ctx, callTimeout)
	defer cancel()
	h, err := w.takeUnder(ctx, m, was, spec.ID)
	w.mu.Lock()
	delete(w.taking, spec.ID)
	w.changed.Broadcast()
	if err == nil && w.member == m && m.valid() && !w.leaving {
		h.begin(spec.Spec, spec.revision, was.Opening)
		w.held[spec.ID] = h
		w.mu.Unlock()
		if err := h.out.open(); err != nil {
			h.note(err)
		}
		return
	}
	w.mu.Unlock()
	switch {
	case err == nil:
		h.end(errLeaving)
		h.out.close()
		if m.valid() {
			_ = w.f.release(ctx, spec.ID, h.fence, was.Opening)
		}
	case !isConflict(err) && !errors.Is(err, errFenced) && w.ctx.Err() == nil:
		w.log.Warn("fleet: a stream could not be claimed; trying on", "id", spec.ID, "error", err)
	}
}

// takeUnder makes the claim and the fence.
func (w *Worker) takeUnder(ctx context.Context, m *member, was claim, id string) (*held, error) {
	revision, err := w.f.claim(ctx, id, m.id, was)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	if w.view.claims[id].revision < revision {
		w.view.claims[id] = claim{Worker: m.id, revision: revision}
		w.view.stale = true
	}
	w.mu.Unlock()
	marks, err := w.f.raiseFence(ctx, id, revision)
	if err != nil {
		return nil, err
	}
	return newHeld(w, m, id, revision, marks), nil
}

// makeSure finds out whether a worker that is not heard of has lost its lease; if it has, all may take its
// streams. mu is held.
func (w *Worker) makeSure(id string) {
	if w.burying[id] {
		return
	}
	w.burying[id] = true
	w.start(func() {
		ctx, cancel := context.WithTimeout(w.ctx, callTimeout)
		defer cancel()
		dead, err := w.f.bury(ctx, id)
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.burying, id)
		if err != nil || !dead {
			return
		}
		m := w.view.members[id]
		if !m.Dead && m.Name != "" {
			w.log.Warn("fleet: a worker is gone; its streams are shared out", "gone", m.Name, "id", id)
		}
		m.Dead = true
		w.view.members[id] = m
		w.view.stale = true
		w.changed.Broadcast()
		w.look()
	})
}

// judge says of bad specs what is wrong with them: one worker for each. mu is held.
func (w *Worker) judge(m *member) {
	for id, s := range w.view.specs {
		if s.bad == nil || w.badSent[id] == s.revision {
			continue
		}
		if w.view.first(id) != m.id {
			continue
		}
		w.badSent[id] = s.revision
		status := StreamStatus{ID: id, State: Bad, Since: time.Now().UTC(), Error: s.bad.Error(), Spec: s.revision}
		w.start(func() {
			if err := w.reporter.write(w.ctx, status); err != nil {
				w.mu.Lock()
				defer w.mu.Unlock()
				delete(w.badSent, id)
			}
		})
	}
}

// clear takes away what is left of streams that were removed while nobody held them: one worker for each. mu is
// held.
func (w *Worker) clear(m *member) {
	for id, c := range w.view.claims {
		if _, exists := w.view.specs[id]; exists || w.view.alive(c.Worker) || w.held[id] != nil || w.taking[id] {
			continue
		}
		if _, known := w.view.members[c.Worker]; c.Worker != "" && !known {
			w.makeSure(c.Worker)
			continue
		}
		if w.view.first(id) != m.id {
			continue
		}
		w.taking[id] = true
		w.start(func() {
			ctx, cancel := context.WithTimeout(w.ctx, callTimeout)
			defer cancel()
			if w.f.dropClaim(ctx, id, c.revision) == nil {
				_ = w.f.states.Purge(ctx, id)
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			delete(w.taking, id)
			w.changed.Broadcast()
		})
	}
}

// markersAge is how long the mark of a removed entry is kept, for watches that were away.
const markersAge = time.Hour

// tidy takes away the marks of what was removed long ago: buckets keep one for each key there ever was.
func (w *Worker) tidy() {
	for _, kv := range []jetstream.KeyValue{w.f.specs, w.f.claims, w.f.states, w.f.limits} {
		ctx, cancel := context.WithTimeout(w.ctx, time.Minute)
		_ = kv.PurgeDeletes(ctx, jetstream.DeleteMarkersOlderThan(markersAge))
		cancel()
	}
}

// sweep wakes the outboxes of all streams held that have something in the queue.
func (w *Worker) sweep() {
	ctx, cancel := context.WithTimeout(w.ctx, callTimeout)
	defer cancel()
	info, err := w.f.out.Info(ctx, jetstream.WithSubjectFilter(w.f.outSubject(">")))
	if err != nil {
		return
	}
	prefix := len(w.f.outSubject(""))
	for subject := range info.State.Subjects {
		w.wakeOut(subject[prefix:])
	}
}
