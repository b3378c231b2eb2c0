//go:build unix

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/fleet"
	"github.com/reqws/reqws/fleet/internal/embedded"
	"github.com/reqws/reqws/fleet/internal/feed"
)

// soak is one run.
type soak struct {
	r        *rand.Rand
	most     int
	dir      string
	url      string // of NATS
	nats     *server.Server
	feed     *feed.Server
	ws       string
	stopFeed func()
	nc       *nats.Conn
	js       jetstream.JetStream
	f        *fleet.Fleet
	workers  map[string]*process
	live     []string
	next     int
	sent     map[string]int
	did      map[string]int
	late     int // messages in that did not follow the one before
}

func newSoak(r *rand.Rand, most int) (*soak, error) {
	s := &soak{r: r, most: most, feed: feed.New(20 * time.Millisecond), workers: map[string]*process{}, sent: map[string]int{}, did: map[string]int{}}
	var err error
	if s.dir, err = os.MkdirTemp("", "fleet-soak"); err != nil {
		return s, err
	}
	if err := s.startNATS(-1); err != nil {
		return s, err
	}
	s.url = s.nats.ClientURL()
	if s.nc, err = nats.Connect(s.url, nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond)); err != nil {
		return s, err
	}
	if s.js, err = jetstream.New(s.nc); err != nil {
		return s, err
	}
	if s.f, err = fleet.Open(context.Background(), s.nc, fleet.Config{Lease: lease}); err != nil {
		return s, err
	}
	s.ws, s.stopFeed, err = embedded.Listen(s.feed)
	return s, err
}

func (s *soak) startNATS(port int) (err error) {
	s.nats, err = embedded.NATS(s.dir, port)
	return err
}

// stop leaves nothing behind.
func (s *soak) stop() {
	for _, p := range s.workers {
		_ = p.end(syscall.SIGKILL)
	}
	if s.nc != nil {
		s.nc.Close()
	}
	if s.stopFeed != nil {
		s.stopFeed()
	}
	if s.nats != nil {
		embedded.Stop(s.nats)
	}
	_ = os.RemoveAll(s.dir)
}

// run does things at random for a time, and then accounts for everything.
func (s *soak) run(ctx context.Context, d time.Duration) error {
	for i := range 3 {
		if err := s.startWorker(fmt.Sprintf("w%d", i)); err != nil {
			return err
		}
	}
	for range s.most / 2 {
		if err := s.add(ctx); err != nil {
			return err
		}
	}
	for end := time.Now().Add(d); time.Now().Before(end) && ctx.Err() == nil; {
		if err := s.something(ctx); err != nil {
			return err
		}
		for range 20 {
			if err := s.send(ctx); err != nil {
				return err
			}
			time.Sleep(time.Duration(s.r.IntN(20)) * time.Millisecond)
		}
	}
	return s.account(ctx)
}

// something is what happens next.
func (s *soak) something(ctx context.Context) error {
	name := fmt.Sprintf("w%d", s.r.IntN(4))
	p := s.workers[name]
	switch n := s.r.IntN(20); {
	case n < 5 && len(s.live) < s.most:
		return s.add(ctx)
	case n < 8:
		return s.remove(ctx)
	case p == nil:
		return s.startWorker(name)
	case n < 10:
		delete(s.workers, name)
		return s.note("kill", p.end(syscall.SIGKILL))
	case n < 12 && len(s.workers) > 1:
		delete(s.workers, name)
		return s.note("restart", p.end(syscall.SIGTERM))
	case n < 16 && p.stopped:
		p.stopped = false
		return s.note("go on", p.signal(syscall.SIGCONT))
	case n < 14:
		p.stopped = true
		return s.note("stop in mid-sentence", p.signal(syscall.SIGSTOP))
	case n == 19 && s.r.IntN(4) == 0:
		return s.note("restart of NATS", s.restartNATS())
	}
	return nil
}

func (s *soak) note(what string, err error) error {
	s.did[what]++
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

func (s *soak) startWorker(name string) error {
	p, err := start(s.url, name)
	if err == nil {
		s.workers[name] = p
	}
	return s.note("start", err)
}

func (s *soak) restartNATS() error {
	u, err := url.Parse(s.url)
	if err != nil {
		return err
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		return err
	}
	embedded.Stop(s.nats)
	return s.startNATS(port)
}

// try does what NATS may not be there for yet.
func try(ctx context.Context, f func(context.Context) error) error {
	for end := time.Now().Add(30 * time.Second); ; {
		call, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := f(call)
		cancel()
		if err == nil || time.Now().After(end) {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (s *soak) add(ctx context.Context) error {
	id := fmt.Sprintf("s%d", s.next)
	s.next++
	s.live = append(s.live, id)
	return s.note("add", try(ctx, func(ctx context.Context) error { return s.f.Put(ctx, fleet.Spec{ID: id, URL: s.ws + id}) }))
}

func (s *soak) remove(ctx context.Context) error {
	if len(s.live) < 5 {
		return nil
	}
	i := s.r.IntN(len(s.live))
	id := s.live[i]
	s.live = append(s.live[:i:i], s.live[i+1:]...)
	return s.note("remove", try(ctx, func(ctx context.Context) error { return s.f.Remove(ctx, id) }))
}

// send sends the next message of a stream. An attempt whose answer is lost is one that may arrive: it is made
// again, with the same text.
func (s *soak) send(ctx context.Context) error {
	id := s.live[s.r.IntN(len(s.live))]
	err := try(ctx, func(ctx context.Context) error { return s.f.Send(ctx, id, reqws.Text(strconv.Itoa(s.sent[id]))) })
	s.sent[id]++
	return err
}

// account waits until all streams are up, ends all in good order, and counts.
func (s *soak) account(ctx context.Context) error {
	for _, p := range s.workers {
		if p.stopped {
			p.stopped = false
			_ = p.signal(syscall.SIGCONT)
		}
	}
	if s.workers["w0"] == nil {
		if err := s.startWorker("w0"); err != nil {
			return err
		}
	}
	if err := s.settle(ctx); err != nil {
		return err
	}
	for _, id := range s.live {
		if err := s.arrived(id); err != nil {
			return err
		}
	}
	for name, p := range s.workers {
		if err := p.end(syscall.SIGTERM); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	s.workers = map[string]*process{}
	published, err := s.published(ctx)
	if err != nil {
		return err
	}
	a := s.feed.Account(published)
	fmt.Printf("did %v\nsent %d, published %d, in the gap of broken connections %d, lost %d, doubled %d, strangers %d, not in their place %d\nwithout connection: median %v, worst %v\nmessages out: sent %d, repeated or out of order %d\n",
		s.did, a.Sent, a.Published, a.Gap, a.Lost, a.Doubled, a.Strangers, s.late, feed.Median(a.Downtime), feed.Worst(a.Downtime), s.total(), s.disorder())
	if open, _ := s.feed.Open(); a.Lost+a.Doubled+a.Strangers+open > 0 {
		return fmt.Errorf("not all is well: %s; connections left %d", a.First, open)
	}
	return nil
}

// settle waits until all streams are up.
func (s *soak) settle(ctx context.Context) error {
	for end := time.Now().Add(90 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		status, err := s.f.Status(ctx)
		open, _ := s.feed.Open()
		if err == nil && status.Count(fleet.Up) == len(s.live) && open == len(s.live) {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("after a minute %d of %d streams are up, %d connections, %v", status.Count(fleet.Up), len(s.live), open, err)
		}
	}
}

// arrived waits for the last message that was sent to a stream.
func (s *soak) arrived(id string) error {
	if s.sent[id] == 0 {
		return nil
	}
	last := strconv.Itoa(s.sent[id] - 1)
	for end := time.Now().Add(60 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		got := s.feed.Received(id)
		if len(got) > 0 && got[len(got)-1] == last {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s: the last message sent, %s, has not arrived: %v", id, last, got)
		}
	}
}

func (s *soak) total() (n int) {
	for _, sent := range s.sent {
		n += sent
	}
	return n
}

// disorder counts messages out that came again or not in their order: those in the hands of a worker that died, or
// of a Send that was made twice.
func (s *soak) disorder() (n int) {
	for id := range s.sent {
		next := 0
		for _, text := range s.feed.Received(id) {
			k, err := strconv.Atoi(text)
			if err != nil || k != next {
				n++
			}
			next = k + 1
		}
	}
	return n
}

// published is the texts of what came in. Fences never go back; what is not in its place is counted.
func (s *soak) published(ctx context.Context) ([]string, error) {
	received, err := feed.Received(ctx, s.js, s.f)
	if err != nil {
		return nil, err
	}
	last := map[string]fleet.In{}
	var texts []string
	for _, in := range received {
		before := last[in.ID]
		if in.Fence < before.Fence {
			return nil, fmt.Errorf("%s: %d of fence %d follows %d of fence %d", in.ID, in.Sequence, in.Fence, before.Sequence, before.Fence)
		}
		if in.Fence == before.Fence && in.Sequence != before.Sequence+1 {
			s.late++
		}
		last[in.ID] = in
		texts = append(texts, in.Frame.Text())
	}
	return texts, nil
}
