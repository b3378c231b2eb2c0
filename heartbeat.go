package reqws

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/reqws/reqws/internal/alarm"
)

// heart sees to it that the peer of a link is alive. The loop notes when it last heard of the peer,
// at each read; an alarm looks at that, and is not touched in between. It judges nobody while the
// loop does not listen: then it is in a handler, waits for somebody to take frames, or is stuck in
// a write, which has its own timeout.
type heart struct {
	*heartbeat      // nil: it does not beat
	writesEnd  bool // a write that is stuck has a timeout of its own
	alarm      alarm.Alarm

	// pulse is when something was last read, on the clock of alarm.Now: negative while the loop
	// does not listen.
	pulse  atomic.Int64
	asked  atomic.Int64  // when the last heartbeat was due,
	sent   atomic.Int64  // and when it had left; 0 while it has not
	waits  atomic.Bool   // for the first thing that comes after one of the user's own
	last   atomic.Uint32 // the number of the last ping
	before uint32        // the number before the first

	// The alarm's own, guarded by the link's mu:
	beating  bool          // a heartbeat is on its way, or not answered yet
	taken    uint32        // what the peer had taken then, in the writer's count
	judgedAt time.Duration // when the alarm is to ring
	since    time.Duration // silence counts from here on, at the earliest
}

// heartbeat is what the options say of it.
type heartbeat struct {
	interval time.Duration
	timeout  time.Duration
	frame    func() Frame // nil: a ping
}

// startHeart begins the watch over a link that was just opened.
func (l *link) startHeart(life *lifeConfig) {
	if life.heartbeat.interval == 0 {
		return
	}
	l.heartbeat, l.writesEnd = &life.heartbeat, life.writeTimeout > 0
	l.before = rand.Uint32()
	l.last.Store(l.before)
	l.since = alarm.Now()
	l.pulse.Store(-int64(l.since))
	l.alarm.Ring = l.ring
	l.alarm.Set(l.interval)
}

// listens notes that the loop is about to read.
func (l *link) listens() {
	if l.heartbeat == nil {
		return
	}
	if pulse := l.pulse.Load(); pulse < 0 {
		l.pulse.Store(-pulse)
	}
}

// heard notes that something was read, and that the loop has to do with that now.
func (l *link) heard() {
	if l.heartbeat == nil {
		return
	}
	now := alarm.Now()
	l.pulse.Store(-int64(now))
	if l.frame != nil && l.waits.CompareAndSwap(true, false) {
		l.answered(now)
	}
}

// hearsNoMore notes that nobody will read before the stream has ended.
func (l *link) hearsNoMore() {
	if l.heartbeat != nil {
		l.pulse.Store(-int64(alarm.Now()))
	}
}

// answered notes that the last heartbeat was.
func (l *link) answered(now time.Duration) {
	sent := l.sent.Load()
	if sent == 0 { // the answer was faster than who has to note that it left
		sent = l.asked.Load()
	}
	l.user.beat(now - time.Duration(sent))
}

// ring is the alarm: it sends a heartbeat where there was silence for long enough, and gives up a
// peer that has not made itself heard after one.
func (l *link) ring() {
	l.mu.Lock()
	now := alarm.Now()
	beat, err := l.examine(now)
	l.mu.Unlock()
	switch {
	case err != nil:
		go l.lose(err) // to close a connection may take its time
	case beat && l.frame != nil:
		go l.sendOwn()
	case beat:
		l.sendPing()
	}
}

// examine looks at how the peer does, and says whether a heartbeat is due, or why the peer is to be
// given up. It sets the alarm. mu is held.
func (l *link) examine(now time.Duration) (beat bool, err error) {
	if l.state != linkOpen || l.reported || l.writeErr != nil || l.cause != nil {
		return false, nil // which is over soon, one way or another
	}
	pulse := time.Duration(l.pulse.Load())
	if pulse < 0 {
		l.since, l.beating = now, false
		l.wait(now, l.interval)
		return false, nil
	}
	if pulse >= time.Duration(l.asked.Load()) {
		l.beating = false
	}
	switch silence := now - max(pulse, l.since); {
	case l.beating:
		return false, l.judge(now, silence)
	case silence < l.interval:
		l.wait(now, l.interval-silence)
		return false, nil
	}
	l.beating, l.taken = true, l.out.Taken()
	l.asked.Store(int64(now))
	l.sent.Store(0)
	if l.timeout == 0 { // nobody is judged
		l.beating, l.since = false, now
	}
	l.wait(now, l.timeout)
	return true, nil
}

// judge decides about a peer that has not been heard since the last heartbeat. mu is held.
func (l *link) judge(now, silence time.Duration) error {
	deadline := time.Duration(l.asked.Load()) + l.timeout
	if sent := time.Duration(l.sent.Load()); sent > 0 {
		deadline = sent + l.timeout
	} else if taken := l.out.Taken(); taken != l.taken || l.writesEnd {
		// It waits behind what the peer takes, or does not take for no longer than it may.
		l.asked.Store(int64(now))
		l.taken, deadline = taken, now+l.timeout
	}
	switch late := now - l.judgedAt; {
	case now < deadline:
		l.wait(now, deadline-now)
		return nil
	case late > l.timeout/8:
		// This process stood still, and may not have read yet what the peer said.
		l.wait(now, min(l.timeout, time.Second))
		return nil
	}
	return fmt.Errorf("%w: nothing came from it for %v, nor within the heartbeat timeout of %v after a heartbeat",
		ErrPeerUnresponsive, silence.Round(time.Millisecond), l.timeout)
}

// wait sets the alarm for what is to be done in d, or for an earlier look at whether the peer has
// answered and is silent again. mu is held.
func (l *link) wait(now, d time.Duration) {
	if d > l.interval || d == 0 {
		d = l.interval
	}
	l.judgedAt = now + d
	l.alarm.Set(d)
}

// left notes that the heartbeat has.
func (l *link) left() { l.sent.Store(int64(alarm.Now())) }

// A ping of ours has its number for a payload: text, since there are servers that take it for that.

// sendPing sends the next one.
func (l *link) sendPing() {
	number := binary.BigEndian.AppendUint32(nil, l.last.Add(1))
	l.out.Ping(hex.AppendEncode(nil, number), l.left)
}

// isOwnPong reports whether a pong answers a ping of ours.
func (l *link) isOwnPong(payload []byte) bool {
	var b [4]byte
	if l.heartbeat == nil || len(payload) != 2*len(b) {
		return false
	}
	if _, err := hex.Decode(b[:], payload); err != nil {
		return false
	}
	number, last := binary.BigEndian.Uint32(b[:]), l.last.Load()
	if behind := number - l.before; behind == 0 || behind > last-l.before {
		return false
	}
	if number == last {
		l.answered(alarm.Now())
	}
	return true
}

// sendOwn sends the user's own heartbeat.
func (l *link) sendOwn() {
	frames := []Frame{l.frame()}
	if err := checkFrames(frames); err != nil {
		l.lose(fmt.Errorf("option HeartbeatFrame: %w", err))
		return
	}
	l.waits.Store(true)
	if l.out.Send(context.Background(), wireFrames(frames)) == nil {
		l.left()
		if endInClose(frames) {
			l.closing(closeSentBySend, l.closeTimeout)
		}
	}
}

// withoutOwnPongs takes the answers to our heartbeats out of a batch.
func (l *link) withoutOwnPongs(frames []Frame) []Frame {
	kept := frames[:0]
	for i := range frames {
		if frames[i].Kind != KindPong || !l.isOwnPong(frames[i].Data) {
			kept = append(kept, frames[i])
		}
	}
	return kept
}
