package fleet

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/reqws/reqws"
)

// Publishing what came in. A lane belongs to one stream under one claim: it numbers the messages, gives each the
// fence, and keeps it until JetStream has it. Acknowledgements come in later, and a bound over all lanes
// of a worker holds up the handlers, and with them the sockets, when they do not.

var errFenced = errors.New("another worker has the stream")

// lane publishes the messages of one stream.
type lane struct {
	p       *publisher
	id      string
	subject string
	fence   uint64                      // the revision of the claim
	fenced  []string                    // the same as it is in a header
	claimed func(context.Context) error // errFenced: it is not any more

	mu       sync.Mutex
	changed  *sync.Cond // of what follows
	marks    []mark
	sequence uint64
	flying   []*outgoing // in the order in which they were published
	failed   []*outgoing // which are published again before anything else is
	mending  bool
	ended    error // nothing more is published

	published uint64

	dead atomic.Bool   // ended is set
	over chan struct{} // closed then
}

// outgoing is a message until JetStream has it.
type outgoing struct {
	msg    *nats.Msg
	number uint64 // its place in the lane
	mark   *mark
	size   int
}

// publish hands a message over to NATS, and waits where too many are under way. data is copied.
func (l *lane) publish(kind reqws.Kind, link uint64, data []byte) error {
	size := len(data) + messageCost
	took := l.p.budget.take(size, &l.dead)
	l.mu.Lock()
	defer l.mu.Unlock()
	if !took {
		return l.ended
	}
	var m *mark
	for l.ended == nil {
		if m = l.freeMark(); m != nil && !l.mending {
			break
		}
		l.changed.Wait()
	}
	if l.ended != nil {
		l.p.budget.give(size)
		return l.ended
	}
	l.sequence++
	out := &outgoing{msg: l.message(kind, link, data, m), number: l.sequence, mark: m, size: size}
	m.busy = true
	l.flying = append(l.flying, out)
	if _, err := l.p.js.PublishMsgAsync(out.msg); err != nil {
		l.settle(out.msg, err)
	}
	return nil
}

// messageCost is about what a message costs beside its bytes.
const messageCost = 512

// message makes what is published. mu is held.
func (l *lane) message(kind reqws.Kind, link uint64, data []byte, m *mark) *nats.Msg {
	name := textKind
	if kind == reqws.KindBinary {
		name = binaryKind
	}
	n := strconv.FormatUint(l.sequence, 10)
	return &nats.Msg{
		Subject: l.subject,
		Data:    append([]byte(nil), data...),
		Header: nats.Header{
			jetstream.MsgIDHeader:                   {l.id + ":" + l.fenced[0] + ":" + n},
			HeaderKind:                              name,
			HeaderFence:                             l.fenced,
			HeaderLink:                              {strconv.FormatUint(link, 10)},
			HeaderSequence:                          {n},
			jetstream.ExpectedLastSubjSeqHeader:     m.sequence,
			jetstream.ExpectedLastSubjSeqSubjHeader: m.subject,
		},
	}
}

var textKind, binaryKind = []string{kindText}, []string{kindBinary}

// settle notes what became of a message. mu is held.
func (l *lane) settle(msg *nats.Msg, err error) {
	for i, out := range l.flying {
		if out.msg != msg {
			continue
		}
		copy(l.flying[1:i+1], l.flying[:i]) // it is the first, nearly always, and those behind it stay
		l.flying[0] = nil
		l.flying = l.flying[1:]
		out.mark.busy = false
		if err == nil {
			l.published++
			l.p.budget.give(out.size)
		} else {
			l.fails(out)
		}
		l.changed.Broadcast()
		return
	}
}

// fails keeps a message that JetStream did not take, in its place among others, and sees to it. mu is held.
func (l *lane) fails(out *outgoing) {
	at := len(l.failed)
	for at > 0 && l.failed[at-1].number > out.number {
		at--
	}
	l.failed = slices.Insert(l.failed, at, out)
	if !l.mending {
		l.mending = true
		go l.mend()
	}
}

// mend publishes again what failed, in order and one by one, once all that is under way has come to an end.
// Their Nats-Msg-Id makes it harmless where JetStream has one of them after all.
func (l *lane) mend() {
	for wait := time.Duration(0); ; {
		out := l.nextFailed()
		if out == nil {
			return
		}
		err := l.again(out)
		if err == nil {
			l.mended(out)
			wait = 0
			continue
		}
		if errors.Is(err, errFenced) {
			l.end(err)
			return
		}
		wait = min(time.Second, max(2*wait, 20*time.Millisecond))
		l.p.troubled(err)
		l.pause(wait)
	}
}

// nextFailed waits for what is under way, and returns the first message that failed. Without one, or at
// the lane's end, mending is over.
func (l *lane) nextFailed() *outgoing {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.flying) > 0 && l.ended == nil {
		l.changed.Wait()
	}
	if len(l.failed) == 0 || l.ended != nil {
		l.mending = false
		l.changed.Broadcast()
		return nil
	}
	return l.failed[0]
}

// again publishes a message, and waits for the acknowledgement.
func (l *lane) again(out *outgoing) error {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	l.mu.Lock()
	msg := &nats.Msg{Subject: out.msg.Subject, Data: out.msg.Data, Header: maps.Clone(out.msg.Header)}
	msg.Header[jetstream.ExpectedLastSubjSeqHeader] = out.mark.sequence
	l.mu.Unlock()
	_, err := l.p.js.PublishMsg(ctx, msg)
	if isWrongSequence(err) {
		return l.refence(ctx)
	}
	return err
}

var errMarkedAgain = errors.New("the fence had gone, and is there again")

// refence finds out why a publish met another fence: because the stream is another worker's now, or because
// the mark is gone, with what was too old or too much.
func (l *lane) refence(ctx context.Context) error {
	if err := l.claimed(ctx); err != nil {
		return err
	}
	marks, err := l.p.f.raiseFence(ctx, l.id, l.fence)
	if err != nil {
		return err
	}
	l.mu.Lock()
	for i := range marks {
		l.marks[i].sequence = marks[i].sequence
	}
	l.mu.Unlock()
	return errMarkedAgain
}

// mended takes out a message that JetStream has.
func (l *lane) mended(out *outgoing) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.failed) > 0 && l.failed[0] == out {
		l.failed = l.failed[1:]
		l.published++
		l.p.budget.give(out.size)
	}
	l.changed.Broadcast()
}

// pause waits, unless the lane ends.
func (l *lane) pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.over:
	}
}

// freeMark returns a mark that the next message can be held to. In a cluster it is no further ahead of the
// oldest that is under way than there are marks: where that is lost with a server, it will be behind so
// many at most. mu is held.
func (l *lane) freeMark() *mark {
	if len(l.marks) == 1 {
		return &l.marks[0] // a server that is alone takes any number at once
	}
	if len(l.flying) > 0 && l.sequence-l.flying[0].number >= uint64(len(l.marks)) {
		return nil
	}
	for i := range l.marks {
		if !l.marks[i].busy {
			return &l.marks[i]
		}
	}
	return nil
}

// flush waits until JetStream has everything. Its error is that of ctx, or why the lane has ended.
func (l *lane) flush(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	await(ctx, l.changed, func() bool { return len(l.flying)+len(l.failed) == 0 || l.ended != nil })
	if l.ended != nil {
		return l.ended
	}
	return ctx.Err()
}

// end has nothing more published, and lets go of those who wait. It returns how many messages are left of
// which nobody knows whether JetStream has them.
func (l *lane) end(why error) (left int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended != nil {
		return 0
	}
	l.ended = why
	left = len(l.flying) + len(l.failed)
	for _, out := range slices.Concat(l.flying, l.failed) {
		l.p.budget.give(out.size)
	}
	l.flying, l.failed = nil, nil
	l.dead.Store(true)
	close(l.over)
	l.changed.Broadcast()
	l.p.budget.wake()
	l.p.close(l)
	return left
}

// count returns how many messages JetStream has of this lane.
func (l *lane) count() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.published
}

// isWrongSequence reports whether JetStream has refused a message for what it was held to. A cluster refuses
// with another code, also where the same fence is being checked for another message.
func isWrongSequence(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && (api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence ||
		api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant)
}
