package reqws

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/reqws/reqws/internal/h2"
	"github.com/reqws/reqws/internal/netconn"
	"github.com/reqws/reqws/internal/wire"
)

// How a stream ends. There are two ways: a closing handshake (RFC 6455, section 7.1), which
// one side begins with a close frame and the loop completes, and a break, after which nothing
// more is read or sent. Either way the loop returns, and finish has the last word.

// phase is how far a stream is on its way to the end. It only grows.
type phase uint8

const (
	live     phase = iota
	closing        // our close frame is out, before one of the peer's: what comes is for nobody
	draining       // no more frames either way: the connection is read to its end
	broken         // the connection is closed
)

// ending is what a stream knows of its end.
type ending struct {
	mu         sync.Mutex // guards what follows, up to timer
	phase      phase
	cause      error                 // why it was broken off from this side; the first one stands
	lost       error                 // why nothing more can be written
	unanswered error                 // why our close frame got no answer
	ours       bool                  // our close frame was the first
	reported   bool                  // Close says itself what became of that
	peer       *websocket.CloseError // the peer's close frame
	timer      *time.Timer           // closes the connection after the close timeout

	losing atomic.Bool // lost is set
	ended  atomic.Bool // finish is done

	// The loop's own:
	drained  bool          // nothing more is handed over
	stopped  bool          // nothing more is read
	stopErr  error         // why
	halted   bool          // the handler said so
	failed   error         // the handler said this
	unsent   error         // why replies were not sent
	decided  bool          // err of the stream is set
	readErr  error         // what reading met while the loop could not
	lostLeft time.Duration // how long it may still wait for what the peer sent before it was lost
}

// fail wraps an error with its phase and the stream's URL.
func (s *stream) fail(phase string, err error) error {
	if s.resp == nil {
		return fail(phase, nil, err)
	}
	return fail(phase, s.resp.requestURL(), err)
}

func (s *stream) over() bool { return s.ended.Load() }

func (s *stream) isLost() bool { return s.losing.Load() }

// isBroken reports whether there is nothing to wait for any more.
func (s *stream) isBroken() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.phase == broken || s.lost != nil || s.over()
}

// discards reports whether what arrives is for nobody any more: the stream is
// being closed from this side, or broken off.
func (s *stream) discards() bool {
	s.mu.Lock()
	ending := s.phase > live || s.reported
	s.mu.Unlock()
	return ending || s.out.leaving()
}

// endTime is how long the last writes of a stream may hold up its end.
func (s *stream) endTime() time.Duration { return max(s.closeTimeout, farewellTime) }

// The closing handshake

// beginClose is called once a close frame was sent from this side: from now on
// the loop only waits for the peer's, and not longer than within.
func (s *stream) beginClose(within time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase != live || s.over() {
		return
	}
	s.phase = closing
	s.ours = s.ours || s.peer == nil
	s.release()
	s.startTimer(within)
}

// arm bounds the rest of the closing handshake.
func (s *stream) arm(within time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.startTimer(within)
}

func (s *stream) startTimer(within time.Duration) {
	if s.timer == nil && s.phase != broken && !s.over() {
		s.timer = time.AfterFunc(within, s.closeExpired)
	}
}

// closeExpired gives up a closing handshake that takes too long.
func (s *stream) closeExpired() {
	s.mu.Lock()
	if s.phase == broken || s.over() {
		s.mu.Unlock()
		return
	}
	if s.phase == closing && s.peer == nil && s.unanswered == nil {
		s.unanswered = os.ErrDeadlineExceeded
	}
	after := ErrClosed
	if err := s.peerError(); err != nil {
		after = err
	}
	s.phase = broken
	s.release()
	s.mu.Unlock()
	s.tearDown(after)
}

// release lets go a loop that waits for somebody to take its frames.
func (s *stream) release() {
	if s.quit != nil {
		select {
		case <-s.quit:
		default:
			close(s.quit)
		}
	}
}

// close is what Close does: frames is the close frame.
func (s *stream) close(frames []Frame) error {
	start := time.Now()
	s.mu.Lock()
	if s.phase == broken || s.over() {
		s.mu.Unlock()
		return nil
	}
	s.reported = s.reported || s.phase == live && s.peer == nil
	s.mu.Unlock()
	if err := s.sendClose(frames); err != nil {
		s.breakOff(ErrClosed)
		return err
	}
	left := max(0, s.closeTimeout-time.Since(start))
	s.beginClose(left)
	if s.insideHandler() {
		return nil
	}
	return s.awaitClose(left)
}

// sendClose sends the close frame, unless one was sent already, or it is too late for that.
func (s *stream) sendClose(frames []Frame) error {
	if s.out.closing() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.endTime())
	defer cancel()
	op := newOp(frames)
	defer op.free()
	err := s.out.send(ctx, op)
	if err == nil || errors.Is(err, ErrClosed) || s.hasPeerClose() {
		return nil
	}
	return fmt.Errorf("the close frame could not be sent: %w", err)
}

func (s *stream) hasPeerClose() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.peer != nil
}

// awaitClose waits until the loop has completed the closing handshake, or gives
// the connection up: then the loop may still be in a handler, or about to tell one.
func (s *stream) awaitClose(within time.Duration) error {
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case <-s.doneChan():
	case <-timer.C:
		s.closeExpired()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unansweredError()
}

// unansweredError is what Close returns. mu is held.
func (s *stream) unansweredError() error {
	switch {
	case s.unanswered == nil || s.closeTimeout == 0:
		return nil
	case errors.Is(s.unanswered, os.ErrDeadlineExceeded):
		return fmt.Errorf("the peer did not answer the close frame within the close timeout of %v: %w", s.closeTimeout, s.unanswered)
	}
	return fmt.Errorf("the peer did not answer the close frame: %w", s.unanswered)
}

// peerClosed notes the peer's close frame. One without a code counts as 1005 (RFC 6455,
// section 7.1.5).
func (s *stream) peerClosed(f *Frame) {
	ours := s.out.closing() // though whoever sent it may not have said so yet
	code := f.Code
	if code == 0 {
		code = websocket.StatusNoStatusRcvd
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ours = s.ours || ours
	s.peer = &websocket.CloseError{Code: code, Reason: f.Text()}
}

// peerError is what the peer's close frame says of the end, nil where that is a usual one. mu
// is held.
func (s *stream) peerError() error {
	if s.peer == nil || s.peer.Code == websocket.StatusNormalClosure || s.peer.Code == websocket.StatusNoStatusRcvd {
		return nil
	}
	return fmt.Errorf("closed by the peer: %w", *s.peer)
}

// failWith notes what the handler failed with.
func (s *stream) failWith(err error) {
	if err != nil {
		s.failed = err
	}
}

// replied notes what became of an answer of the handler's.
func (s *stream) replied(err error, replies, halts, closes, peerClosed bool) {
	s.halted = halts
	switch {
	case err == nil:
		if closes && !peerClosed {
			s.beginClose(s.closeTimeout)
		}
	case !s.isLost(): // the handler has closed the stream itself
	default:
		if replies || !peerClosed {
			s.unsent = err
		}
		s.stopped = halts && !peerClosed
	}
}

// windUp is the end of the closing handshake: both close frames are out, or the peer's will
// not be looked at any more. The write side is shut down, and the connection read on to the
// server's end of it (RFC 6455, section 7.1.1): one that is closed with bytes unread is
// reset, and throws away what it has not sent yet.
func (s *stream) windUp() {
	s.drained = true
	s.in.Ignore()
	s.arm(s.endTime())
	s.out.awaitIdle(0)
	s.out.stop(ErrClosed)
	s.mu.Lock()
	if s.phase == broken || s.closeTimeout == 0 {
		s.stopped = true
	} else {
		s.phase = draining
	}
	s.release()
	s.mu.Unlock()
	if !s.stopped {
		s.halfClose()
	}
	s.decide(nil)
}

// halfClose shuts down the write side, as far as the connection can.
func (s *stream) halfClose() {
	_ = s.conn.SetWriteDeadline(time.Now().Add(s.endTime()))
	if s.out.link != nil {
		s.out.link.Release() // TLS says goodbye
	}
	if c, ok := s.conn.(netconn.HalfCloser); ok {
		_ = c.CloseWrite()
	}
	if _, ok := s.conn.(*tls.Conn); !ok {
		return
	}
	if c, ok := netconn.Bare(s.conn).(netconn.HalfCloser); ok {
		_ = c.CloseWrite()
	}
}

// violation closes the connection after something that must not be: a frame of
// the peer's or a reply of the handler's.
func (s *stream) violation(err error) {
	code, err := s.explainViolation(err)
	if s.discards() {
		s.stopped, s.stopErr = true, err
		return
	}
	s.mu.Lock()
	s.cause = err
	s.mu.Unlock()
	s.sayWhy(code, err)
}

// sayWhy ends the stream with a close frame that says why.
func (s *stream) sayWhy(code websocket.StatusCode, err error) {
	op := newOp([]Frame{Close(code, closeReason(err))})
	defer op.free()
	ctx, cancel := context.WithTimeout(context.Background(), s.endTime())
	defer cancel()
	if s.out.send(ctx, op) != nil {
		s.drained, s.stopped = true, true // the connection is given up
		return
	}
	s.windUp()
}

// explainViolation returns the close code for a violation, and what the stream's error is.
func (s *stream) explainViolation(err error) (websocket.StatusCode, error) {
	var frame *wire.Error
	if errors.As(err, &frame) {
		code := websocket.StatusCode(frame.Code)
		return code, &ProtocolError{Code: code, Reason: frame.Reason}
	}
	return websocket.StatusInternalError, fmt.Errorf("the handler's reply cannot be sent: %w", err)
}

// closeReason is what a close frame has room for of err.
func closeReason(err error) string {
	const most = 123
	reason := err.Error()
	var pe *ProtocolError
	if errors.As(err, &pe) {
		reason = pe.Reason
	}
	if len(reason) <= most {
		return reason
	}
	for n := most; ; n-- {
		if wire.ValidUTF8([]byte(reason[:n])) {
			return reason[:n]
		}
	}
}

// Breaks

// breakOff ends the stream from this side, now. The first cause stands.
func (s *stream) breakOff(cause error) {
	if s.breaks(cause) {
		s.tearDown(cause)
	}
}

// breaks notes why the stream is being broken off, unless it is already. A closing handshake
// whose frames are exchanged has ended well all the same.
func (s *stream) breaks(cause error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase == broken || s.over() {
		return false
	}
	switch {
	case s.phase == draining || s.cause != nil:
	case s.phase == closing && s.reported:
		s.unanswered = cause
	default:
		s.cause = cause
	}
	s.phase = broken
	s.release()
	return true
}

// tearDown disconnects, which wakes everybody who reads or writes.
func (s *stream) tearDown(cause error) {
	s.mu.Lock()
	conn, body := s.conn, s.body
	s.mu.Unlock()
	s.out.stop(cause)
	if conn != nil {
		_ = netconn.Bare(conn).Close() // TLS would wait to say goodbye
	}
	if body != nil {
		_ = body.Close()
	}
	thePoller.wake(s)
}

// writeFailed is called when writing has failed, for whatever reason. Then the stream has
// not ended yet: what the peer has sent before is still to be read, and its close
// frame may be among it. How long the loop may wait for that, does not count the time
// that a reader takes for what is there. The writer's mu is held.
func (s *stream) writeFailed(err error) {
	if s.loses(err) {
		thePoller.wake(s) // without s.mu, which park takes while it holds the poller's
	}
}

// loses notes that nothing more can be written, and has the loop look.
func (s *stream) loses(err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase == broken || s.over() {
		return false
	}
	s.lost, s.lostLeft = err, farewellTime
	if peerLeft(err) {
		s.lostLeft = s.endTime()
	}
	s.losing.Store(true)
	_ = s.conn.SetReadDeadline(aLongTimeAgo)
	return true
}

// read reads what has arrived, waiting where there is nothing.
func (s *stream) read() (int, error) {
	if s.readErr != nil {
		return 0, s.readErr
	}
	if !s.isLost() {
		return s.src.read(&s.in)
	}
	start := time.Now()
	_ = s.conn.SetReadDeadline(start.Add(s.lostLeft))
	n, err := s.src.read(&s.in)
	s.lostLeft -= time.Since(start)
	return n, err
}

// setReadDeadline is for the poller's part of the loop, and gives way to writeFailed.
func (s *stream) setReadDeadline(t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lost == nil {
		_ = s.conn.SetReadDeadline(t)
	}
}

// peerLeft is netconn.IsLoss for HTTP/2 as well, where the peer may also have reset the
// stream, or gone away, or be known to be gone from what the connection's reader met.
func peerLeft(err error) bool {
	var reset h2.StreamError
	var away h2.GoAwayError
	return netconn.IsLoss(err) || errors.As(err, &away) || errors.As(err, &reset) && reset.Reason == ""
}

// giveUp ends the stream since its ctx has ended: with a close frame that says so
// where one can be sent at once, and without waiting for the answer.
func (s *stream) giveUp() {
	err := s.lifeError()
	if !s.breaks(err) {
		return
	}
	if s.conn != nil {
		s.out.farewell(websocket.StatusGoingAway)
		s.out.stop(err)
		if raw, ok := s.src.(*rawSource); ok {
			raw.dropUnread()
		}
		s.linger()
	}
	s.tearDown(err)
}

// linger gives the last close frame of a stream over HTTP/2 a moment to arrive: closing it
// there can overtake what was written last, since the stream is reset then, and a proxy that
// gets the reset with the frame may drop that. What comes meanwhile the loop reads, and ends.
func (s *stream) linger() {
	conn, ok := s.conn.(*h2.Stream)
	if !ok || !s.out.closing() {
		return
	}
	_ = conn.SetWriteDeadline(time.Now().Add(farewellTime))
	if conn.CloseWrite() != nil {
		return
	}
	timer := time.NewTimer(farewellTime)
	defer timer.Stop()
	select {
	case <-s.doneChan():
	case <-timer.C:
	}
}

// lifeError is why the ctx of the stream has ended, or nil while it has not.
func (s *stream) lifeError() error {
	err := s.life.Err()
	if cause := context.Cause(s.life); cause != err {
		err = fmt.Errorf("%w: %w", err, cause)
	}
	return err
}

// The last word

// decide settles what the stream ended with, and tells the handler where that is an error.
// readErr is why reading ended, if it did.
func (s *stream) decide(readErr error) {
	if s.decided {
		return
	}
	s.decided = true
	s.err = s.fail("stream", s.outcome(readErr))
	if s.err == nil {
		return
	}
	s.out.stop(s.err) // the handler may wait for those who send
	if s.direct && !s.halted {
		d := s.call(Event{Err: s.err})
		if err := d.Err(); err != nil {
			s.err = s.fail("stream", err)
		}
	}
}

// outcome is why the stream ended: nil if that is a clean end.
func (s *stream) outcome(readErr error) error {
	if s.body != nil {
		return readErr
	}
	ours := s.out.closing() // whoever sends a close frame may be about to say so
	if readErr != nil && !s.isLost() {
		s.out.quit() // what failed first, decides
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.failed != nil:
		return s.failed
	case s.cause != nil:
		return s.cause
	case s.unsent != nil && s.peerError() == nil:
		return s.unsent
	case s.halted || s.ours || ours && s.peer == nil:
		if s.peer != nil || s.closeTimeout == 0 {
			return nil
		}
		if s.unanswered == nil {
			s.unanswered = s.brokeWith(readErr)
		}
		if s.reported {
			return nil
		}
		return s.unansweredError()
	case s.peer != nil:
		return s.peerError()
	}
	return s.brokeWith(readErr)
}

// brokeWith says what the failure to read means. mu is held.
func (s *stream) brokeWith(err error) error {
	switch {
	case s.lost != nil: // what broke first
		return s.lost
	case errors.Is(err, h2.ErrPingTimeout):
		return fmt.Errorf("%w: %w", ErrPeerUnresponsive, err)
	case errors.Is(err, io.EOF):
		return fmt.Errorf("the connection ended without a close frame: %w", io.ErrUnexpectedEOF)
	case err == nil:
		return ErrClosed
	}
	return err
}

// doneChan returns what is closed when the stream has ended. Most streams are
// never asked for it.
func (s *stream) doneChan() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done == nil {
		s.done = make(chan struct{})
		if s.over() {
			close(s.done)
		}
	}
	return s.done
}

// conclude ends a stream that has no loop, or whose loop cannot go on.
func (s *stream) conclude(err error) {
	s.decided, s.err = true, err
	s.finish()
}

// finish ends the stream with its err: everything is let go of, and everybody who
// waits is told.
func (s *stream) finish() {
	if s.over() {
		return
	}
	after := s.err
	if after == nil {
		after = ErrClosed
	}
	s.out.stop(after)
	s.letGo()
	s.mu.Lock()
	s.phase = broken
	s.ended.Store(true)
	if s.timer != nil {
		s.timer.Stop()
	}
	if s.done != nil {
		close(s.done)
	}
	s.release()
	s.mu.Unlock()
	if s.pull != nil {
		s.pull.end()
	}
}

// letGo gives back what s holds.
func (s *stream) letGo() {
	if s.conn != nil {
		_ = netconn.Bare(s.conn).Close()
		_ = s.conn.Close()
	}
	if s.unwatch != nil {
		s.unwatch()
	}
	if s.wrapped != nil {
		_ = s.wrapped.Close()
	}
	if s.cancel != nil {
		s.cancel()
	}
	thePoller.leave(s)
	s.in.Release()
	s.out.releaseDeflate()
}
