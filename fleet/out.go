package fleet

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/reqws/reqws"
)

// Sending what is published to PREFIX.out.ID. JetStream keeps it in a queue; a stream with something in it has a
// consumer, made under the claim that it is held by, and one goroutine that sends and acknowledges one message after the
// other. A stream with nothing to send costs a plain subscription, which tells when that changes.

const (
	// idleOut is how long a consumer is kept after the last message.
	idleOut = 5 * time.Second
	// mostOut is how many messages are fetched ahead.
	mostOut = 16
)

// outbox is the way out of one stream.
type outbox struct {
	h      *held
	ctx    context.Context
	cancel context.CancelFunc

	mu      sync.Mutex
	running bool
	again   bool
	sure    bool // that something was published
	closed  bool
	done    sync.WaitGroup
	sub     *nats.Subscription

	// The goroutine's own:
	consumers int    // made so far
	last      uint64 // the sequence in JetStream of the last message that was dealt with
}

func newOutbox(h *held) *outbox {
	o := &outbox{h: h}
	o.ctx, o.cancel = context.WithCancel(h.w.ctx)
	return o
}

// open begins to look for messages.
func (o *outbox) open() error {
	sub, err := o.h.w.f.nc.ChanSubscribe(o.h.w.f.outSubject(o.h.id), o.h.w.wakes)
	if err != nil {
		return err
	}
	o.mu.Lock()
	o.sub = sub
	closed := o.closed
	o.mu.Unlock()
	if closed {
		return sub.Unsubscribe()
	}
	o.wake(false)
	return nil
}

// close ends the sending: what is being sent is sent to its end, and acknowledged.
func (o *outbox) close() {
	o.mu.Lock()
	o.closed = true
	sub := o.sub
	o.sub = nil
	o.mu.Unlock()
	o.cancel()
	if sub != nil {
		_ = sub.Unsubscribe()
	}
	o.done.Wait()
}

// wake has the queue emptied; where it is not sure that there is something in it, that is asked first, since making a
// consumer costs JetStream more than a question.
func (o *outbox) wake(sure bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.again, o.sure = true, o.sure || sure
	if !o.running && !o.closed {
		o.running = true
		o.done.Add(1)
		go o.run()
	}
}

func (o *outbox) run() {
	defer o.done.Done()
	for wait := time.Duration(0); ; {
		goesOn, sure := o.next()
		if !goesOn {
			return
		}
		err := o.look(sure)
		if err == nil || o.ctx.Err() != nil {
			wait = 0
			continue
		}
		o.h.w.log.Warn("fleet: cannot take what is to be sent; trying on", "id", o.h.id, "error", err)
		wait = min(5*time.Second, max(100*time.Millisecond, 2*wait))
		_ = sleep(o.ctx, wait)
		o.wake(sure)
	}
}

func (o *outbox) next() (goesOn, sure bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.running = o.again && !o.closed
	sure = o.sure
	o.again, o.sure = false, false
	return o.running, sure
}

// look empties the queue, if there is something in it.
func (o *outbox) look(sure bool) error {
	if !sure {
		has, err := o.hasMessages(o.ctx)
		if err != nil || !has {
			return err
		}
	}
	return o.empty()
}

func (o *outbox) hasMessages(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err := o.h.w.f.out.GetLastMsgForSubject(ctx, o.h.w.f.outSubject(o.h.id))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return false, nil
	}
	return err == nil, err
}

// empty sends what there is in the queue, and what comes until nothing has come for a while.
func (o *outbox) empty() error {
	c, err := o.consumer()
	if err != nil {
		return err
	}
	defer o.dismiss(c)
	it, err := c.Messages(jetstream.PullMaxMessages(mostOut))
	if err != nil {
		return err
	}
	defer it.Stop()
	stop := context.AfterFunc(o.ctx, it.Stop)
	defer stop()
	for delivered := uint64(1); ; delivered++ {
		idle := time.AfterFunc(idleOut, it.Stop)
		m, err := it.Next()
		idle.Stop()
		if errors.Is(err, jetstream.ErrMsgIteratorClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		meta, err := m.Metadata()
		if err != nil {
			return err
		}
		if meta.Sequence.Consumer != delivered {
			return errGap
		}
		if err := o.deliver(m, meta); err != nil {
			return err
		}
	}
}

// errGap is that JetStream has delivered a message which was lost on its way, with a connection to NATS. It would
// come again long after those that follow it: another consumer begins with it.
var errGap = errors.New("a message was lost on its way from NATS, and is fetched again")

// consumer makes the stream's consumer. That of a worker that had the stream before, and did not live to take it
// away, would hold the messages back: JetStream lets nobody else have them, and so it goes.
func (o *outbox) consumer() (jetstream.Consumer, error) {
	ctx, cancel := context.WithTimeout(o.ctx, callTimeout)
	defer cancel()
	f := o.h.w.f
	o.consumers++
	cfg := jetstream.ConsumerConfig{
		Durable: o.name(), FilterSubject: f.outSubject(o.h.id),
		AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: mostOut, MaxDeliver: -1,
		AckWait:           f.cfg.OutMaxAge, // the stream may have to be opened first
		InactiveThreshold: max(time.Minute, 4*f.cfg.Lease),
	}
	c, err := f.out.CreateOrUpdateConsumer(ctx, cfg)
	if err == nil {
		return c, nil
	}
	removed, listErr := o.removeOthers(ctx)
	if removed == 0 {
		return nil, errors.Join(err, listErr)
	}
	return f.out.CreateOrUpdateConsumer(ctx, cfg)
}

// name is the consumer's. No two have the same: one that is there already would hold back what it had fetched.
func (o *outbox) name() string {
	return "claim-" + formatUint(o.h.fence) + "-" + strconv.Itoa(o.consumers)
}

// removeOthers takes the consumers away that other claims of this stream have left, or this one where NATS was away.
func (o *outbox) removeOthers(ctx context.Context) (removed int, err error) {
	f := o.h.w.f
	list := f.out.ListConsumers(ctx)
	var names []string
	for info := range list.Info() {
		if info.Config.FilterSubject == f.outSubject(o.h.id) && info.Name != o.name() {
			names = append(names, info.Name)
		}
	}
	for _, name := range names {
		if err := f.out.DeleteConsumer(ctx, name); err == nil || errors.Is(err, jetstream.ErrConsumerNotFound) {
			removed++
		}
	}
	return removed, list.Err()
}

// dismiss takes the consumer away: another worker may want one, and messages that were fetched and not
// acknowledged are free again. What has come in the last moment wakes the outbox once more.
func (o *outbox) dismiss(c jetstream.Consumer) {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	f := o.h.w.f
	_ = f.out.DeleteConsumer(ctx, c.CachedInfo().Name)
	if has, _ := o.hasMessages(ctx); has {
		o.wake(true)
	}
}

// deliver sends one message, and acknowledges it. A message that cannot be sent, or of which nobody knows whether
// it was, is done with: none is sent twice. Its error leaves the message in the queue.
func (o *outbox) deliver(m jetstream.Msg, meta *jetstream.MsgMetadata) error {
	if time.Since(meta.Timestamp) > o.h.w.f.cfg.OutMaxAge {
		return m.Term()
	}
	if meta.Sequence.Stream <= o.last {
		return o.acknowledge(m) // it has been sent, and JetStream has not heard of that
	}
	f, err := frameOf(m)
	if err != nil {
		o.h.note(err)
		return m.TermWithReason(err.Error())
	}
	if err := o.send(f); err != nil {
		if o.ctx.Err() != nil || errors.Is(err, errNoLease) {
			return err
		}
		o.h.unsure.Add(1)
		o.h.note(err)
	}
	o.last = meta.Sequence.Stream
	return o.acknowledge(m)
}

// send sends a frame over the session that there is, or the one that follows: between two, nothing was sent.
func (o *outbox) send(f reqws.Frame) error {
	for {
		if !o.h.m.valid() {
			return errNoLease
		}
		s := o.h.current()
		err := s.send(o.ctx, f)
		if !errors.Is(err, reqws.ErrClosed) {
			return err
		}
		if err := o.h.awaitSession(o.ctx, s); err != nil {
			return err
		}
	}
}

// awaitSession waits for the session after s.
func (h *held) awaitSession(ctx context.Context, s *session) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	await(ctx, h.changes, func() bool { return h.session != s })
	return ctx.Err()
}

// acknowledge takes the message out of the queue, as often as it takes: it has been sent.
func (o *outbox) acknowledge(m jetstream.Msg) error {
	for {
		ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
		err := m.DoubleAck(ctx)
		cancel()
		if err == nil || errors.Is(err, jetstream.ErrMsgAlreadyAckd) {
			return nil
		}
		if !o.h.m.valid() {
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func formatUint(n uint64) string { return strconv.FormatUint(n, 10) }
