package reqws

import (
	"errors"
	"os"
	"runtime"
	"sync/atomic"
	"time"
)

// While the replies of a handler, or a Send from inside of it, wait for a connection that takes
// nothing, its loop cannot go on.
// But the peer may have said why it takes nothing: with a close frame, which the stream is to end
// with, within the close timeout. So meanwhile somebody reads on, as far as the buffer for reading
// ahead goes, and looks for one. What the handler was lent stays as it is: the reader takes that
// back with the next batch.

// lookOutBytes is how much is read to find a close frame.
const lookOutBytes = 64 << 10

// errTakesNothing is why replies were given up that the peer did not want any more.
var errTakesNothing = errors.New("the peer has closed the stream, and takes no more")

// lookOut returns when a value of op's wake is about to come, or its ctx has ended: op is written,
// or will not be. op is the loop's own: replies, or a Send from inside the handler. For others it
// returns at once.
func (s *stream) lookOut(op *sendOp) {
	for range 4 { // most writes of others are over in a moment
		if len(op.wake) > 0 {
			return
		}
		runtime.Gosched()
	}
	if !op.replies && !s.insideHandler() {
		return
	}
	var enough atomic.Bool
	found := make(chan bool, 1)
	resume := s.holdAwake()
	go func() { found <- s.readToClose(&enough) }() // ends before lookOut returns
	defer func() {
		s.setReadDeadline(time.Time{})
		resume()
	}()
	select {
	case done := <-op.wake:
		op.wake <- done // its capacity is 1, and nobody else sends
	case <-op.ctx.Done():
	case closes := <-found:
		if closes {
			s.awaitWrite(op)
		}
		return
	}
	enough.Store(true)
	s.setReadDeadline(aLongTimeAgo)
	<-found
}

// awaitWrite gives what is being written the close timeout.
func (s *stream) awaitWrite(op *sendOp) {
	timer := time.NewTimer(s.closeTimeout)
	defer timer.Stop()
	select {
	case done := <-op.wake:
		op.wake <- done
	case <-op.ctx.Done():
	case <-timer.C:
		s.out.giveUp(errTakesNothing)
	}
}

// readToClose reads until a close frame of the peer's is in the buffer, and reports whether one
// is. It is the only one who reads.
func (s *stream) readToClose(enough *atomic.Bool) bool {
	for !s.in.HasClose() {
		if enough.Load() || s.in.Buffered() >= lookOutBytes {
			return false
		}
		_, err := s.src.read(&s.in)
		if err == nil || errors.Is(err, os.ErrDeadlineExceeded) && !enough.Load() && !s.isLost() {
			continue
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			s.readErr = err // for the loop
		}
		return false
	}
	return true
}
