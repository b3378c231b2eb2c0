package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

// The lease of a worker. It is an entry in the bucket of workers, whose entries go when they have not been renewed for
// the time of the lease; all claims of a worker live and die with it, so that renewing costs one small write
// however many streams it holds. The worker itself counts from before each renewal was sent, and with a fifth to
// spare: it has stopped its streams before the entry can be gone.

// memberEntry is the entry.
type memberEntry struct {
	Name     string    `json:"name"`
	Capacity int       `json:"capacity"`
	Leaving  bool      `json:"leaving,omitempty"` // its streams are to go to others
	Dead     bool      `json:"dead,omitempty"`    // written by another worker, in place of one that expired
	Held     int       `json:"held"`
	Since    time.Time `json:"since"`
}

// member is this worker's lease.
type member struct {
	f  *Fleet
	id string

	mu       sync.Mutex // one renewal at a time
	entry    memberEntry
	revision uint64

	until atomic.Int64 // of clock: the streams are this worker's up to here
}

// started is what clocks count from.
var started = time.Now()

// clock is a time that goes on evenly, whatever is done to the machine's.
func clock() int64 { return int64(time.Since(started)) }

// join makes a new entry.
func (f *Fleet) join(ctx context.Context, entry memberEntry) (*member, error) {
	m := &member{f: f, id: nuid.Next(), entry: entry}
	m.entry.Since = time.Now().UTC()
	asked := clock()
	revision, err := f.workers.Create(ctx, m.id, m.data())
	if err != nil {
		return nil, fmt.Errorf("fleet: join: %w", err)
	}
	m.revision = revision
	m.lasts(asked)
	return m, nil
}

func (m *member) data() []byte {
	data, err := json.Marshal(m.entry)
	if err != nil {
		panic(err) // a struct of plain fields
	}
	return data
}

// lasts notes that a renewal was asked for at a time and has been made.
func (m *member) lasts(asked int64) { m.until.Store(asked + int64(m.f.cfg.Lease/5*4)) }

// valid reports whether this worker may act for its streams.
func (m *member) valid() bool { return clock() < m.until.Load() }

// errLeaseLost is why a worker stops all of its streams at once.
var errLeaseLost = errors.New("the worker's lease is lost")

// renew writes the entry again, with what change does to it. Any error but errLeaseLost may be mended by another try.
func (m *member) renew(ctx context.Context, change func(*memberEntry)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if change != nil {
		change(&m.entry)
	}
	asked := clock()
	revision, err := m.f.workers.Update(ctx, m.id, m.data(), m.revision)
	if isConflict(err) {
		return m.recover(ctx)
	}
	if err != nil {
		return err
	}
	m.revision = revision
	m.lasts(asked)
	return nil
}

// recover looks why the entry is not what it was: because a renewal was made whose answer was lost, and then
// the next one succeeds; or because the lease is over.
func (m *member) recover(ctx context.Context) error {
	e, err := m.f.workers.Get(ctx, m.id)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return errLeaseLost
	}
	if err != nil {
		return err
	}
	var entry memberEntry
	if json.Unmarshal(e.Value(), &entry) != nil || entry.Dead {
		return errLeaseLost
	}
	m.revision = e.Revision()
	return errors.New("a renewal whose answer was lost")
}

// leave takes the entry away: others may have the streams at once.
func (m *member) leave(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.until.Store(0)
	return m.f.workers.Purge(ctx, m.id)
}

// bury makes sure that a worker that is not heard of cannot renew its lease any more. It reports false while
// the lease still lasts: the server alone says so, in the one write that would end it.
func (f *Fleet) bury(ctx context.Context, id string) (bool, error) {
	data, err := json.Marshal(memberEntry{Dead: true, Since: time.Now().UTC()})
	if err != nil {
		return false, err
	}
	_, err = f.workers.Create(ctx, id, data)
	if isConflict(err) {
		e, err := f.workers.Get(ctx, id)
		if err != nil {
			return false, nil // gone by now, or NATS is: the next try tells
		}
		var entry memberEntry
		return json.Unmarshal(e.Value(), &entry) == nil && entry.Dead, nil
	}
	return err == nil, err
}
