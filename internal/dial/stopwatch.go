package dial

import (
	"context"
	"sync"
	"time"

	"github.com/reqws/reqws/internal/failure"
)

// Times is how long each phase of one exchange took. Where a phase came twice, since another
// protocol was tried, it counts twice.
type Times struct {
	Lookup    time.Duration
	Dial      time.Duration
	Proxy     time.Duration // the choice of it, and all up to where the server's bytes flow
	TLS       time.Duration
	Handshake time.Duration // up to the head of the answer, also of a plain request
	Reused    bool          // the stream runs on a connection that another one has opened
}

// Stopwatch measures one exchange. It goes with the context of the request. One that is nil
// measures nothing.
type Stopwatch struct {
	mu     sync.Mutex // an HTTP/2 connection is dialled on a goroutine of its own
	times  Times
	phase  string
	since  time.Time
	dialed bool
	over   bool // a dial that goes on for others is not our time any more
}

type stopwatchKey struct{}

// WithStopwatch returns ctx for a request that s measures.
func WithStopwatch(ctx context.Context, s *Stopwatch) context.Context {
	return context.WithValue(ctx, stopwatchKey{}, s)
}

// stopwatchOf is what WithStopwatch said.
func stopwatchOf(ctx context.Context) *Stopwatch {
	s, _ := ctx.Value(stopwatchKey{}).(*Stopwatch)
	return s
}

// enter ends the phase that is under way, and begins another.
func (s *Stopwatch) enter(phase string) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turn(phase)
}

// turn is enter. mu is held.
func (s *Stopwatch) turn(phase string) {
	now := time.Now()
	if s.over {
		return
	}
	if of := s.of(s.phase); of != nil {
		*of += now.Sub(s.since)
	}
	s.phase, s.since = phase, now
}

// of is where the time of a phase is counted.
func (s *Stopwatch) of(phase string) *time.Duration {
	switch phase {
	case failure.Lookup:
		return &s.times.Lookup
	case failure.Dial:
		return &s.times.Dial
	case failure.Proxy:
		return &s.times.Proxy
	case failure.TLS:
		return &s.times.TLS
	case failure.Handshake, failure.Request:
		return &s.times.Handshake
	}
	return nil
}

// dials notes that the connection is made for this exchange.
func (s *Stopwatch) dials() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dialed = true
}

// shares notes that the exchange runs over a connection that others may have opened.
func (s *Stopwatch) shares() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.times.Reused = !s.dialed
}

// Stop ends the measuring, and returns what came of it.
func (s *Stopwatch) Stop() Times {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turn("")
	s.over = true
	return s.times
}
