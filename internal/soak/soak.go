package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/reqws/reqws"
)

// soak runs streams, and collects what is wrong with any.
type soak struct {
	seed     uint64
	only     int // the number of the one plan to run; -1: all
	server   *server
	urls     [mostProtocols]string
	requests [mostProtocols]*reqws.Request
	figures  figures

	mu       sync.Mutex
	findings []string
	failed   chan struct{} // closed with the first
}

func newSoak(seed uint64, only int) (*soak, error) {
	certificate, roots, err := issue()
	if err != nil {
		return nil, err
	}
	s := &soak{seed: seed, only: only, failed: make(chan struct{}), server: &server{
		records: make(map[int]*record),
		tls:     &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"http/1.1"}},
	}}
	if s.urls, err = s.server.urls(); err != nil {
		return nil, err
	}
	base := reqws.New(
		reqws.TLSConfig(&tls.Config{RootCAs: roots}), reqws.Logger(nil), reqws.MaxRetries(20), reqws.ConnectTimeout(0),
		reqws.RetryDelay(func(int) time.Duration { return 0 }), reqws.CloseTimeout(time.Minute),
	)
	s.requests = [...]*reqws.Request{ws: base, wss: base, http2: base.With(reqws.Protocols(reqws.HTTP2))}
	return s, nil
}

// run begins streams for d, so many at once, and returns how many findings there were. The warm-up
// has a quarter of the time, and as many at once, since what the process keeps for itself depends
// on that.
func (s *soak) run(d time.Duration, streams int, out io.Writer) int {
	start := time.Now()
	var at [3]remains
	at[0] = measure()
	s.phase((streams+9)/10, start, at[0]) // a first look, since a busy machine takes long to warm up
	at[1] = s.phase(streams, start.Add(d/4), at[0])
	warm := s.figures.streams
	at[2] = s.phase(streams, start.Add(d), at[0])
	if !s.hasFailed() {
		s.note(grown(at[1], at[2], s.figures.streams-warm))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.figures.print(out, s.seed, time.Since(start), len(s.findings), at)
	for _, f := range s.findings[:min(10, len(s.findings))] {
		fmt.Fprintf(os.Stderr, "%.1f s: %s\n", time.Since(start).Seconds(), f)
	}
	return len(s.findings)
}

// phase runs streams to the end given, and returns what is left when none is open any more.
func (s *soak) phase(streams int, end time.Time, before remains) remains {
	if !s.hasFailed() {
		s.begin(streams, end)
	}
	if s.hasFailed() {
		return remains{}
	}
	now := settle(before)
	s.note(leaked(before, now))
	return now
}

// begin has so many streams open at once, each followed by others to the end given, and waits for all.
func (s *soak) begin(streams int, end time.Time) {
	done, first := make(chan struct{}), newCrowd(streams)
	var workers sync.WaitGroup
	for range streams {
		workers.Go(func() {
			for with := first; s.one(with) && !s.hasFailed() && time.Now().Before(end); {
				with = nil
			}
		})
	}
	go func() {
		workers.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-s.failed:
		time.Sleep(time.Second) // for more of them
	}
}

func (s *soak) note(err error) {
	if err == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.findings = append(s.findings, err.Error()); len(s.findings) == 1 {
		close(s.failed)
	}
}

func (s *soak) hasFailed() bool {
	select {
	case <-s.failed:
		return true
	default:
		return false
	}
}

// one runs one stream, whose server waits for the others of its crowd. It reports false where that
// hangs.
func (s *soak) one(with *crowd) bool {
	number := int(s.figures.begun.Add(1)) - 1
	id := number
	if s.only >= 0 {
		id = s.only
	}
	p := draw(s.seed, id)
	c, r := newSession(p, number), s.server.expect(number, p, with)
	arrives := sync.OnceFunc(with.arrive)
	defer arrives()
	done := make(chan struct{})
	start := time.Now()
	go func() {
		defer close(done)
		c.run(s.requests[p.over], s.urls[p.over], gauge{&s.figures, arrives})
		s.server.forget(number) // what it gave up on its way may still come
		r.work.Wait()
	}()
	if !s.await(done, start) {
		buf := make([]byte, 8<<20)
		stacks := string(buf[:runtime.Stack(buf, true)])
		s.note(s.named(c, fmt.Errorf("it hangs after %v; goroutines in its own code:\n%s", time.Since(start), of(stacks))))
		return false
	}
	if err := c.check(r); err != nil {
		s.note(s.named(c, err))
	}
	s.figures.add(c, r, time.Since(start))
	return true
}

// named says how to play a finding again.
func (s *soak) named(c *session, err error) error {
	return fmt.Errorf("seed %d, stream %d: %w\n\tagain: go run ./internal/soak -seed %d -stream %d\n\t%+v", s.seed, c.id, err, s.seed, c.id, c.plan)
}

// patience is how long a stream may take at least; no plan needs more than a third of that. On a
// busy machine all take longer: then twice as long as the longest so far, which others that began with it
// reach as the time goes on. While hardly any has ended, nothing is known of the machine.
const patience = 10 * time.Second

// await reports whether a stream ends in time.
func (s *soak) await(done <-chan struct{}, start time.Time) bool {
	for {
		s.figures.mu.Lock()
		most := max(patience, 2*s.figures.longest)
		if s.figures.streams < 10 {
			most = 6 * patience
		}
		s.figures.mu.Unlock()
		left := time.Until(start.Add(most))
		if left <= 0 {
			return false
		}
		timer := time.NewTimer(left)
		select {
		case <-done:
			timer.Stop()
			return true
		case <-timer.C:
		}
	}
}

// of keeps what stands in the library's own code of a dump of all stacks.
func of(stacks string) string {
	var kept []string
	for _, g := range strings.Split(stacks, "\n\n") {
		if strings.Contains(g, "reqws.") && len(kept) < 20 {
			kept = append(kept, g)
		}
	}
	return strings.Join(kept, "\n\n")
}
