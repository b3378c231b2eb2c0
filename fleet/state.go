package fleet

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// State is how a stream is.
type State string

const (
	// Waiting is a stream that no worker has: it was added just now, its worker died, or no capacity is left.
	Waiting State = "waiting"
	// Opening has no connection, and its worker is about to make one: Error says what the last attempt met.
	Opening State = "opening"
	// Up has a connection.
	Up State = "up"
	// Bad has a spec that cannot be worked on: Error says why. It is tried again when that is changed.
	Bad State = "bad"
)

// StreamStatus is one stream, as its worker last told.
type StreamStatus struct {
	ID     string    `json:"-"`
	State  State     `json:"state"`
	Since  time.Time `json:"since"`            // it is in this state
	Worker string    `json:"worker,omitempty"` // the name of the one that holds it
	Link   uint64    `json:"link"`             // the number of the connection within Fence
	Fence  uint64    `json:"fence"`            // the revision of the claim
	Error  string    `json:"error,omitempty"`  // the last one, also when it is up again

	// Under this claim, at most a few seconds old:
	FramesIn  uint64 `json:"frames_in"`  // messages and control frames received
	FramesOut uint64 `json:"frames_out"` // likewise sent
	BytesIn   uint64 `json:"bytes_in"`
	BytesOut  uint64 `json:"bytes_out"`
	Published uint64 `json:"published"`        // messages that JetStream has acknowledged
	Unsure    uint64 `json:"unsure,omitempty"` // messages out that may have been sent: the connection broke within

	Spec uint64 `json:"spec"` // the revision of the spec that all this is about
}

// WorkerStatus is one worker that is alive.
type WorkerStatus struct {
	ID       string // of this life of it
	Name     string
	Capacity int
	Leaving  bool
	Held     int // streams, at its last renewal
	Since    time.Time
}

// Status is a fleet at a glance, sorted by name and ID.
type Status struct {
	Workers []WorkerStatus
	Streams []StreamStatus
}

// Count returns how many streams are in a state.
func (s *Status) Count(state State) int {
	n := 0
	for i := range s.Streams {
		if s.Streams[i].State == state {
			n++
		}
	}
	return n
}

// Status reads the state of all streams and workers out of the buckets.
func (f *Fleet) Status(ctx context.Context) (Status, error) {
	entries := map[jetstream.KeyValue]map[string]jetstream.KeyValueEntry{}
	for _, kv := range []jetstream.KeyValue{f.specs, f.claims, f.workers, f.states} {
		all, err := readAll(ctx, kv)
		if err != nil {
			return Status{}, fmt.Errorf("fleet: status: %w", err)
		}
		entries[kv] = all
	}
	var s Status
	alive := map[string]string{}
	for id, e := range entries[f.workers] {
		var m memberEntry
		if json.Unmarshal(e.Value(), &m) != nil || m.Dead {
			continue
		}
		alive[id] = m.Name
		s.Workers = append(s.Workers, WorkerStatus{ID: id, Name: m.Name, Capacity: m.Capacity, Leaving: m.Leaving, Held: m.Held, Since: m.Since})
	}
	for id, spec := range entries[f.specs] {
		s.Streams = append(s.Streams, statusOf(id, spec, entries[f.claims][id], entries[f.states][id], alive))
	}
	slices.SortFunc(s.Workers, func(a, b WorkerStatus) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.ID, b.ID))
	})
	slices.SortFunc(s.Streams, func(a, b StreamStatus) int { return strings.Compare(a.ID, b.ID) })
	return s, nil
}

// statusOf puts together what the entries of a stream say. What its last worker said stands only as long as
// that worker is alive and has it.
func statusOf(id string, spec, held, state jetstream.KeyValueEntry, alive map[string]string) StreamStatus {
	s := StreamStatus{ID: id, State: Waiting}
	var told StreamStatus
	if state != nil && json.Unmarshal(state.Value(), &told) == nil {
		told.ID = id
		if told.State == Bad && told.Spec == spec.Revision() {
			return told
		}
	}
	if held == nil {
		return s
	}
	c := claimOf(held)
	name, lives := alive[c.Worker]
	if !lives {
		s.Since = held.Created()
		return s
	}
	if told.Fence == c.revision {
		return told
	}
	return StreamStatus{ID: id, State: Opening, Since: held.Created(), Worker: name, Fence: c.revision}
}

// readAll reads a whole bucket, without what was deleted.
func readAll(ctx context.Context, kv jetstream.KeyValue) (map[string]jetstream.KeyValueEntry, error) {
	w, err := kv.WatchAll(ctx, jetstream.IgnoreDeletes())
	if err != nil {
		return nil, err
	}
	defer func() { _ = w.Stop() }()
	all := map[string]jetstream.KeyValueEntry{}
	for {
		select {
		case e, ok := <-w.Updates():
			if !ok {
				return nil, errors.New("the watch over a bucket ended")
			}
			if e == nil { // that was all there is
				return all, nil
			}
			all[e.Key()] = e
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
