package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Opening limits: an exchange that counts connections bans who opens too many. The count of each host is an
// entry in the bucket of limits, which all workers change by compare-and-swap, so that it holds for the whole fleet.

// Rate is how many connections may be opened within a time: in any span of Per, not on the average.
type Rate struct {
	N   int
	Per time.Duration
}

const (
	mostRate = 10_000
	// horizon is how far ahead a worker reserves: what it has reserved is gone if it dies.
	horizon = 3 * time.Second
	// mostAtOnce is how many openings are reserved in one change of the entry.
	mostAtOnce = 64
)

// allowance is the entry of a host: its rate, and the times of the last N openings.
type allowance struct {
	N   int      `json:"n"`
	Per Duration `json:"per"`
	// Opened are milliseconds: of the first since 1970, of each other since the one before.
	Opened []int64 `json:"opened,omitempty"`
}

// SetLimit sets how often connections to a host may be opened by the whole fleet, first ones and
// reconnects, redirects to it included. host is that of the URL, without a port. A Rate of 0 lifts the limit. The
// clocks of the workers' machines are to agree to within what Per can spare.
func (f *Fleet) SetLimit(ctx context.Context, host string, r Rate) error {
	if r.N < 0 || r.N > mostRate || r.Per < 0 || (r.N > 0) != (r.Per > 0) {
		return fmt.Errorf("fleet: a limit of %d per %v: up to %d, in a time, or both 0", r.N, r.Per, mostRate)
	}
	key, err := limitKey(host)
	if err != nil {
		return err
	}
	if r.N == 0 {
		return f.limits.Purge(ctx, key)
	}
	for {
		a, revision, err := f.allowance(ctx, key)
		if err != nil {
			return err
		}
		a.N, a.Per = r.N, Duration(r.Per)
		if err = f.storeAllowance(ctx, key, a, revision); !isConflict(err) {
			return err
		}
	}
}

// limitKey is a host as a key: colons of IPv6 addresses, and what else keys cannot have, are replaced.
func limitKey(host string) (string, error) {
	host = strings.ToLower(strings.Trim(host, "[]."))
	key := strings.Map(func(r rune) rune {
		switch {
		case r < 128 && isWord(byte(r)), r == '-', r == '.':
			return r
		}
		return '='
	}, host)
	if err := checkID(key); err != nil {
		return "", fmt.Errorf("fleet: %q is no host", host)
	}
	return key, nil
}

// allowance reads the entry of a host, with revision 0 where there is none.
func (f *Fleet) allowance(ctx context.Context, key string) (a allowance, revision uint64, err error) {
	e, err := f.limits.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return a, 0, nil
	}
	if err != nil {
		return a, 0, fmt.Errorf("fleet: limit of %s: %w", key, err)
	}
	if json.Unmarshal(e.Value(), &a) != nil {
		a = allowance{}
	}
	return a, e.Revision(), nil
}

func (f *Fleet) storeAllowance(ctx context.Context, key string, a allowance, revision uint64) error {
	data, err := json.Marshal(a)
	if err != nil {
		return err
	}
	if revision == 0 {
		_, err = f.limits.Create(ctx, key, data)
	} else {
		_, err = f.limits.Update(ctx, key, data, revision)
	}
	return err
}

// reserve takes up to n openings from now on, and returns their times: none if the first would be
// beyond the horizon, and then how long that is.
func (a *allowance) reserve(now time.Time, n int) (times []time.Time, wait time.Duration) {
	opened := a.times()
	for range n {
		at := now
		if k := len(opened) - a.N; k >= 0 {
			if free := opened[k].Add(time.Duration(a.Per)); free.After(at) {
				at = free
			}
		}
		if wait = at.Sub(now); wait > horizon {
			break
		}
		opened = append(opened, at)
		times = append(times, at)
	}
	a.keep(opened[max(0, len(opened)-a.N):])
	return times, wait
}

func (a *allowance) times() []time.Time {
	times := make([]time.Time, 0, len(a.Opened)+1)
	ms := int64(0)
	for _, d := range a.Opened {
		ms += d
		times = append(times, time.UnixMilli(ms))
	}
	return times
}

// keep stores times, rounded up: an opening is never earlier than it says.
func (a *allowance) keep(times []time.Time) {
	a.Opened = a.Opened[:0]
	last := int64(0)
	for _, t := range times {
		ms := max(last, t.Add(time.Millisecond-1).UnixMilli())
		a.Opened = append(a.Opened, ms-last)
		last = ms
	}
}

// limiter has a worker's openings wait for their turn.
type limiter struct {
	f *Fleet

	mu      sync.Mutex
	limited map[string]bool  // hosts that have an entry, by key
	lines   map[string]*line // those where somebody waits
}

// line is who waits to connect to one host.
type line struct{ waiting []*opening }

type opening struct {
	ctx context.Context
	at  chan time.Time
}

func newLimiter(f *Fleet) *limiter {
	return &limiter{f: f, limited: map[string]bool{}, lines: map[string]*line{}}
}

// entry notes whether a host has a limit, as the bucket of limits says it.
func (l *limiter) entry(key string, limited bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.limited[key] = limited
}

// wait waits until a connection to a host may be opened. Its error is that of ctx.
func (l *limiter) wait(ctx context.Context, host string) error {
	key, err := limitKey(host)
	if err != nil {
		return nil // such a host has no limit
	}
	o := &opening{ctx: ctx, at: make(chan time.Time, 1)}
	l.mu.Lock()
	if !l.limited[key] {
		l.mu.Unlock()
		return nil
	}
	if l.lines[key] == nil {
		l.lines[key] = &line{}
		go l.serve(key, l.lines[key])
	}
	l.lines[key].waiting = append(l.lines[key].waiting, o)
	l.mu.Unlock()
	select {
	case at := <-o.at:
		return sleep(ctx, time.Until(at))
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// serve reserves for who waits for one host until nobody does.
func (l *limiter) serve(key string, to *line) {
	for {
		first := l.next(key, to)
		if first == nil {
			return
		}
		times, wait, err := l.reserve(key, len(first))
		if err != nil {
			wait = 100 * time.Millisecond
		}
		l.give(to, times)
		if len(times) < len(first) {
			_ = sleep(first[len(times)].ctx, min(wait, horizon/2)+rand.N(20*time.Millisecond))
		}
	}
}

// next returns those whose turn it is, without those who have given up; nil when the line is over.
func (l *limiter) next(key string, to *line) []*opening {
	l.mu.Lock()
	defer l.mu.Unlock()
	still := to.waiting[:0]
	for _, o := range to.waiting {
		if o.ctx.Err() == nil {
			still = append(still, o)
		}
	}
	to.waiting = still
	if len(still) == 0 {
		delete(l.lines, key)
		return nil
	}
	return append([]*opening(nil), still[:min(len(still), mostAtOnce)]...)
}

// give hands times to the first who wait.
func (l *limiter) give(to *line, times []time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, at := range times {
		to.waiting[i].at <- at
	}
	to.waiting = to.waiting[len(times):]
}

// reserve changes the entry of a host. A host whose limit was lifted meanwhile is free.
func (l *limiter) reserve(key string, n int) (times []time.Time, wait time.Duration, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	for {
		a, revision, err := l.f.allowance(ctx, key)
		if err != nil {
			return nil, 0, err
		}
		now := time.Now()
		if revision == 0 || a.N == 0 {
			times = nil
			for range n {
				times = append(times, now)
			}
			return times, 0, nil
		}
		if times, wait = a.reserve(now, n); len(times) == 0 {
			return nil, wait, nil
		}
		if err = l.f.storeAllowance(ctx, key, a, revision); err == nil {
			return times, wait, nil
		}
		if !isConflict(err) {
			return nil, 0, err
		}
	}
}

// isConflict reports whether an entry was changed by somebody else in between.
func isConflict(err error) bool { return err != nil && isWrongSequence(err) }
