package fleet

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/reqws/reqws"
)

// held is a stream that this worker has claimed. It is made when the claim stands and the fence is raised, and ends
// with release, with remove, or with abort.
type held struct {
	w     *Worker
	m     *member // under whose lease
	id    string
	fence uint64 // the revision of the claim
	lane  *lane
	out   *outbox

	framesIn, framesOut, bytesIn, bytesOut, unsure atomic.Uint64
	counted                                        uint64 // frames that the reporter has told of

	mu       sync.Mutex
	revision uint64 // of the spec
	session  *session
	changes  *sync.Cond // of session
	busy     bool       // somebody changes or ends it
	departs  bool       // it ends in good order
	ended    bool
	status   StreamStatus
	hidden   []string // secrets that no error may show, the last ones
}

func newHeld(w *Worker, m *member, id string, fence uint64, marks []mark) *held {
	h := &held{w: w, m: m, id: id, fence: fence}
	h.changes = sync.NewCond(&h.mu)
	h.lane = w.publisher.open(&lane{
		id: id, fence: fence, fenced: []string{formatUint(fence)}, marks: marks,
		claimed: func(ctx context.Context) error { return w.f.stillClaimed(ctx, id, fence) },
	})
	h.status = StreamStatus{ID: id, Worker: w.cfg.Name, Fence: fence}
	h.out = newOutbox(h)
	return h
}

// begin opens the stream as spec has it.
func (h *held) begin(spec Spec, revision uint64, paid bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.ended && !h.departs {
		h.start(spec, revision, paid)
	}
}

// start makes a session. mu is held.
func (h *held) start(spec Spec, revision uint64, paid bool) {
	link := uint64(0)
	if h.session != nil {
		link = h.session.link
	}
	h.revision = revision
	h.status.Spec, h.status.Error = revision, ""
	h.session = newSession(h, spec, link, paid)
	h.become(Opening)
	h.changes.Broadcast()
	go h.session.open()
}

// change closes the connection, and opens another one as spec has it.
func (h *held) change(spec Spec, revision uint64) {
	h.current().leave(h.w.ctx)
	h.begin(spec, revision, false)
}

// engage makes the caller the one who changes the stream or ends it, until disengage. It reports false
// where another one is.
func (h *held) engage() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.busy || h.ended {
		return false
	}
	h.busy = true
	return true
}

func (h *held) disengage() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.busy = false
}

// depart makes the caller the one who ends the stream in good order. It reports false where another one does.
func (h *held) depart() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	first := !h.departs && !h.ended
	h.departs = true
	return first
}

// hasSpec reports whether the stream is as a revision of its spec has it.
func (h *held) hasSpec(revision uint64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.revision == revision
}

// current is the session that there is now.
func (h *held) current() *session {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.session
}

// quit ends the stream in good order: what the server has sent is published, and what is being sent is sent.
// When ctx ends it is over at once.
func (h *held) quit(ctx context.Context) {
	h.out.close()
	h.current().leave(ctx)
	_ = h.lane.flush(ctx)
	if left := h.end(errLeaving); left > 0 {
		h.w.log.Warn("fleet: a stream was closed with messages of which JetStream may have some or none", "id", h.id, "messages", left)
	}
}

// abort ends the stream at once: another worker may be about to have it. It returns what end does.
func (h *held) abort(why error) (left int) {
	left = h.end(why)
	h.current().abort(why)
	h.out.close()
	h.current().awaitEnd()
	return left
}

// end has nothing more published. It returns how many messages had come in of which JetStream may have some or
// none.
func (h *held) end(why error) (left int) {
	h.mu.Lock()
	h.ended = true
	h.mu.Unlock()
	return h.lane.end(why)
}

var errNoLease = errors.New("the worker's lease is over")

// publish publishes a message, as long as the worker may.
func (h *held) publish(kind reqws.Kind, link uint64, data []byte) error {
	if !h.m.valid() {
		return errNoLease
	}
	return h.lane.publish(kind, link, data)
}

// fenced has the worker give a stream up that it may not publish for.
func (h *held) fenced(err error) {
	if !errors.Is(err, errFenced) {
		return // whoever ended it sees to the rest
	}
	go h.w.lose(h, err)
}

// What is told of the stream.

// become notes a state. mu is held.
func (h *held) become(s State) {
	h.status.State, h.status.Since = s, time.Now().UTC()
	h.w.reporter.dirty(h)
}

// note keeps an error for the status.
func (h *held) note(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.status.Error = h.shown(err)
	h.w.reporter.dirty(h)
}

// shown is what an error says, without secrets. mu is held.
func (h *held) shown(err error) string {
	text := err.Error()
	for _, secret := range h.hidden {
		text = strings.ReplaceAll(text, secret, "…")
	}
	return text
}

// secrets resolves references for this stream.
func (h *held) secrets() secrets {
	return secrets{resolve: h.w.cfg.Secret, shown: h.hide}
}

// mostHidden is how many secrets are kept out of a stream's errors. Those that change with each attempt would fill
// the memory in time; an error is about the last attempts.
const mostHidden = 64

// hide keeps a secret out of errors.
func (h *held) hide(secret string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if secret == "" || slices.Contains(h.hidden, secret) {
		return
	}
	h.hidden = append(h.hidden, secret)
	h.hidden = slices.Delete(h.hidden, 0, max(0, len(h.hidden)-mostHidden))
}

func (h *held) opened(link uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.status.Link = link
	h.become(Up)
}

// closed notes the end of a connection, and begins anew where the session ended with it, which nobody wanted.
func (h *held) closed(s *session, info reqws.ClosedInfo) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if info.Err != nil {
		h.status.Error = h.shown(info.Err)
	}
	h.become(Opening)
	if !info.Reconnects && !s.isLeaving() {
		h.anew(s)
	}
}

// failed notes that the spec cannot be worked on.
func (h *held) failed(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.status.Error = h.shown(err)
	h.become(Bad)
}

// anewDelay is the wait before a session that ended by itself is begun again: by a breach of the protocol, mostly, which
// the server is likely to repeat.
const anewDelay = 5 * time.Second

// anew begins another session in place of s after a while. mu is held.
func (h *held) anew(s *session) {
	spec, revision := s.spec, h.revision
	time.AfterFunc(anewDelay, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.session == s && !h.ended && !h.busy && !h.departs {
			h.start(spec, revision, false)
		}
	})
}

func (s *session) isLeaving() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.leaving
}

// report is the status with the counters as they are.
func (h *held) report() StreamStatus {
	h.mu.Lock()
	s := h.status
	h.mu.Unlock()
	s.FramesIn, s.FramesOut = h.framesIn.Load(), h.framesOut.Load()
	s.BytesIn, s.BytesOut = h.bytesIn.Load(), h.bytesOut.Load()
	s.Published, s.Unsure = h.lane.count(), h.unsure.Load()
	return s
}
