package reqws

import (
	"errors"
	"os"
	"time"

	"github.com/reqws/reqws/internal/alarm"
	"github.com/reqws/reqws/internal/conn"
)

// A stream that Do left in the background waits without a goroutine, in the poller, where that
// can be. While frames come in quick succession its goroutine stays.

// waiting is the part of a link that has to do with that.
type waiting struct {
	waiter conn.Waiter

	// The loop's own:
	parks   bool          // it may park: it runs in the background, on a socket
	busy    bool          // it keeps its goroutine for now
	read    bool          // something was read since it last looked
	started time.Duration // when that was, on the clock of alarm.Now
}

const (
	// busyGap is how soon one wake-up has to follow another for the loop to keep
	// its goroutine: to park and to start again costs some microseconds.
	busyGap = 100 * time.Millisecond
	// idleGap is about how long a loop that kept it waits before it parks after all.
	idleGap = time.Second
)

// park has the poller call wake when there is something to read. If that is so already it reports
// ready, else neither where the loop has to wait by itself.
func (l *link) park() (parked, ready bool) {
	raw := conn.SocketOf(l.src)
	if raw == nil {
		return false, false
	}
	return conn.Park(raw.RawConn, &l.waiter)
}

// parkAtOnce parks a link whose loop, which is wake, has not run yet. It reports false where that
// has to be started: there may be frames already, or it cannot park.
func (l *link) parkAtOnce(wake func()) bool {
	if !l.mayPark(wake) {
		return false
	}
	l.listens()
	if l.in.Partial() || l.hasRead() {
		return false
	}
	parked, _ := l.park()
	return parked
}

// hasRead looks for what TLS has read already, of which the socket knows no more.
func (l *link) hasRead() bool {
	if _, bare := l.src.(*conn.Raw); bare {
		return false
	}
	err := l.fill()
	if err != nil && err != conn.ErrNothingYet {
		l.readErr = err
	}
	return err != conn.ErrNothingYet
}

// mayPark lets a link park whose loop runs in the background. It reports false where it cannot.
func (l *link) mayPark(wake func()) bool {
	raw := conn.SocketOf(l.src)
	if raw == nil || alarm.InBubble() {
		return false
	}
	l.parks, raw.NoWait, raw.Waiter = true, true, &l.waiter
	l.waiter.Wake = wake
	return true
}

// awake notes that the loop begins to run, and whether it is to keep its
// goroutine: then a read deadline tells when the frames have ceased to come.
func (l *link) awake() {
	if !l.parks {
		return
	}
	now := alarm.Now()
	if l.started > 0 && now-l.started < busyGap {
		l.setBusy(true)
	}
	l.started = now
}

func (l *link) setBusy(busy bool) {
	l.busy, l.read = busy, false
	conn.SocketOf(l.src).NoWait = !busy
	var until time.Time
	if busy {
		conn.Disarm(&l.waiter) // or each message would wake the poller, too
		until = time.Now().Add(idleGap)
	}
	l.readUntil(until)
}

// idle is asked when a read failed: did it only because there is nothing to read
// now? Then the link has been parked, and its loop must return at once and touch it no
// more, or it has to read again.
func (l *link) idle(err error) (parked, again bool) {
	switch {
	case !l.parks:
		return false, false
	case err == conn.ErrNothingYet:
	case l.busy && errors.Is(err, os.ErrDeadlineExceeded):
		if l.setBusy(l.read); l.busy {
			return false, true
		}
	default:
		return false, false
	}
	parked, ready := l.park()
	if !parked && !ready {
		l.stayAwake()
	}
	return parked, !parked
}

// holdAwake lets reads wait, whatever the loop's own would do, until resume.
func (l *link) holdAwake() (resume func()) {
	l.readUntil(time.Time{})
	if !l.parks {
		return func() {}
	}
	busy := l.busy
	conn.SocketOf(l.src).NoWait = false
	return func() { l.setBusy(busy) }
}

// stayAwake makes the loop keep its goroutine to the end.
func (l *link) stayAwake() {
	if l.parks {
		l.parks, l.busy = false, false
		conn.SocketOf(l.src).NoWait = false
		conn.Disarm(&l.waiter)
		l.readUntil(time.Time{})
	}
}
