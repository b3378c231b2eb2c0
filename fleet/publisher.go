package fleet

import (
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// publisher is what the lanes of a worker share: the way to JetStream and the bound of what is under way.
type publisher struct {
	f      *Fleet
	js     jetstream.JetStream
	budget budget
	log    *slog.Logger

	trouble atomic.Int64 // when a publish was last complained of

	mu    sync.Mutex
	lanes map[string]*lane // by subject
}

// ackTimeout is how long an acknowledgement is waited for before the message is published again.
const ackTimeout = 3 * time.Second

func newPublisher(f *Fleet, messages, bytes int, log *slog.Logger) (*publisher, error) {
	p := &publisher{f: f, log: log, lanes: map[string]*lane{}}
	p.budget.init(messages, bytes)
	var err error
	p.js, err = jetstream.New(f.nc,
		jetstream.WithPublishAsyncMaxPending(messages+1), // the budget is the bound
		jetstream.WithPublishAsyncTimeout(ackTimeout),
		jetstream.WithPublishAsyncAckHandler(func(_ jetstream.JetStream, m *nats.Msg, _ *jetstream.PubAck) { p.settle(m, nil) }),
		jetstream.WithPublishAsyncErrHandler(func(_ jetstream.JetStream, m *nats.Msg, err error) {
			if errors.Is(err, jetstream.ErrAsyncPublishTimeout) {
				go p.settle(m, err) // it is called under a lock that publishing takes
				return
			}
			p.settle(m, err)
		}))
	return p, err
}

// open returns the lane of a stream under a claim whose fence has been raised.
func (p *publisher) open(l *lane) *lane {
	l.p, l.subject = p, p.f.inSubject(l.id)
	l.changed, l.over = sync.NewCond(&l.mu), make(chan struct{})
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lanes[l.subject] = l
	return l
}

// close forgets a lane that has ended.
func (p *publisher) close(l *lane) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lanes[l.subject] == l {
		delete(p.lanes, l.subject)
	}
}

// settle tells a message's lane what became of it.
func (p *publisher) settle(m *nats.Msg, err error) {
	p.mu.Lock()
	l := p.lanes[m.Subject]
	p.mu.Unlock()
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.settle(m, err)
}

// troubled says, now and then, that JetStream does not take what is published.
func (p *publisher) troubled(err error) {
	now := time.Now().UnixNano()
	last := p.trouble.Load()
	if err != errMarkedAgain && now-last > int64(10*time.Second) && p.trouble.CompareAndSwap(last, now) {
		p.log.Warn("fleet: JetStream does not take what has come in; trying on", "error", strings.TrimSpace(err.Error()))
	}
}

// budget bounds the messages that JetStream has not acknowledged, and their bytes.
type budget struct {
	mu          sync.Mutex
	changed     *sync.Cond
	count, most int
	bytes, size int
}

func (b *budget) init(most, size int) {
	b.most, b.size = most, size
	b.changed = sync.NewCond(&b.mu)
}

// take waits for room for a message of n bytes, and reports false when ended says that it is not needed any
// more: whoever sets that, calls wake. One that is larger than all the room goes when nothing else is under way.
func (b *budget) take(n int, ended *atomic.Bool) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.count > 0 && (b.count >= b.most || b.bytes+n > b.size) {
		if ended.Load() {
			b.changed.Signal() // the wake may have been meant for one who goes on
			return false
		}
		b.changed.Wait()
	}
	b.count++
	b.bytes += n
	return true
}

func (b *budget) give(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.count--
	b.bytes -= n
	b.changed.Signal()
}

// wake has all who wait look whether they still need to.
func (b *budget) wake() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.changed.Broadcast()
}

// pending is how many messages are under way.
func (b *budget) pending() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.count
}
