package fleet

import (
	"context"
	"encoding/json"
	"sync"
	"time"
)

// reporter writes the status of streams to the bucket of states: soon after a change, and the counters
// every few seconds where they have moved.
type reporter struct {
	f *Fleet

	mu      sync.Mutex
	changed map[*held]bool
	kick    chan struct{}
}

const (
	// reportDelay lets changes that come together be one.
	reportDelay = 100 * time.Millisecond
	// countEvery is how old counters may be.
	countEvery = 10 * time.Second
)

func newReporter(f *Fleet) *reporter {
	return &reporter{f: f, changed: map[*held]bool{}, kick: make(chan struct{}, 1)}
}

// dirty has the status of a stream written.
func (r *reporter) dirty(h *held) {
	r.mu.Lock()
	r.changed[h] = true
	r.mu.Unlock()
	select {
	case r.kick <- struct{}{}:
	default:
	}
}

// run writes until ctx ends. all lists the streams that are held.
func (r *reporter) run(ctx context.Context, all func() []*held) {
	counts := time.NewTicker(countEvery)
	defer counts.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-counts.C:
			for _, h := range all() {
				if n := h.framesIn.Load() + h.framesOut.Load(); n != h.counted {
					h.counted = n
					r.dirty(h)
				}
			}
		case <-r.kick:
			_ = sleep(ctx, reportDelay)
			r.flush(ctx)
		}
	}
}

// flush writes what has changed. What cannot be written is tried again with the next.
func (r *reporter) flush(ctx context.Context) {
	r.mu.Lock()
	changed := r.changed
	r.changed = map[*held]bool{}
	r.mu.Unlock()
	for h := range changed {
		if h.m.valid() && !h.isEnded() && r.write(ctx, h.report()) != nil {
			r.mu.Lock()
			r.changed[h] = true
			r.mu.Unlock()
		}
	}
}

func (r *reporter) write(ctx context.Context, s StreamStatus) error {
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err = r.f.states.Put(ctx, s.ID, data)
	return err
}

func (h *held) isEnded() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.ended
}
