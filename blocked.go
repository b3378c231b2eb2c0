package reqws

import (
	"errors"
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/reqws/reqws/internal/conn"
)

// While the replies of a handler, or a Send from inside of it, wait for a connection that takes
// nothing, its loop cannot go on.
// But the peer may have said why it takes nothing: with a close frame, which the stream is to end
// with, within the close timeout. So meanwhile somebody reads on, as far as the buffer for reading
// ahead goes, and looks for one. What the handler was lent stays as it is: the reader takes that
// back with the next batch.

// closeSearchBytes is how much is read to find a close frame.
const closeSearchBytes = 64 << 10

// errTakesNothing is why replies were given up that the peer did not want any more.
var errTakesNothing = errors.New("the peer has closed the stream, and takes no more")

// Blocked implements conn.Owner.
func (l *link) Blocked(op *conn.Op) {
	for range 4 { // most writes of others are over in a moment
		if op.Woken() {
			return
		}
		runtime.Gosched()
	}
	if !op.Replies() && !l.user.insideHandler() {
		return
	}
	if l.ahead != nil && l.ahead.started {
		l.awaitClosed(op)
		return
	}
	var enough atomic.Bool
	found := make(chan bool, 1)
	resume := l.holdAwake()
	go func() { found <- l.fillToClose(&enough) }() // ends before Blocked returns
	defer func() {
		l.readUntil(time.Time{})
		resume()
	}()
	if closes, ok := conn.Await(op, found); ok {
		if closes {
			l.awaitWrite(op)
		}
		return
	}
	enough.Store(true)
	l.readUntil(longAgo)
	<-found
}

// awaitClosed is for a loop that a reader reads ahead of: that looks for the close frame, as far as its
// queue goes. What answers that frame is bounded already.
func (l *link) awaitClosed(op *conn.Op) {
	if l.peerClose() != nil {
		return
	}
	if _, closed := conn.Await(op, l.ahead.closes); closed {
		l.awaitWrite(op)
	}
}

// awaitWrite gives what is being written the close timeout.
func (l *link) awaitWrite(op *conn.Op) {
	timer := time.NewTimer(l.closeTimeout)
	defer timer.Stop()
	if _, late := conn.Await(op, timer.C); late {
		l.out.GiveUp(errTakesNothing)
	}
}

// fillToClose reads until a close frame of the peer's is in the buffer, and reports whether one
// is. It is the only one who reads.
func (l *link) fillToClose(enough *atomic.Bool) bool {
	for !l.in.HasClose() {
		if enough.Load() || l.in.Buffered() >= closeSearchBytes {
			return false
		}
		_, err := l.src.Fill(&l.in)
		if err == nil || errors.Is(err, os.ErrDeadlineExceeded) && !enough.Load() && !l.readOnly.Load() {
			continue
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			l.readErr = err // for the loop
		}
		return false
	}
	return true
}
