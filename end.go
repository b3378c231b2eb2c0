package reqws

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"github.com/coder/websocket"

	"github.com/reqws/reqws/internal/h2"
	"github.com/reqws/reqws/internal/wire"
)

// How a stream ends. There are two ways: a closing handshake, which one side
// begins with a close frame and the loop completes, and a break, after which nothing
// more is read or sent. Either way the loop returns, and finish has the last word.

// fail wraps an error with its phase and the stream's URL.
func (s *stream) fail(phase string, err error) error {
	if s.resp == nil {
		return fail(phase, nil, err)
	}
	return fail(phase, s.resp.requestURL(), err)
}

// beginClose is called once a close frame was sent from this side: from now on
// the loop only waits for the peer's, and not longer than the close timeout.
func (s *stream) beginClose() {
	s.mu.Lock()
	if s.closing || s.cause != nil || s.over() {
		s.mu.Unlock()
		return
	}
	s.closing = true
	_ = s.conn.SetReadDeadline(time.Now().Add(s.closeTimeout))
	s.release()
	s.mu.Unlock()
	theLot.wake(s)
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

// isEnding reports whether the stream is near its end, whatever that is.
func (s *stream) isEnding() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing || s.cause != nil || s.lost != nil || s.over()
}

// discards reports whether what arrives is for nobody any more: the stream is
// being closed from this side, or broken off.
func (s *stream) discards() bool {
	s.mu.Lock()
	ending := s.closing || s.cause != nil
	s.mu.Unlock()
	return ending || s.out.closing()
}

// endTime is how long the last writes of a stream may hold up its end.
func (s *stream) endTime() time.Duration { return max(s.closeTimeout, farewellTime) }

// sendClose begins a closing handshake from outside the loop.
func (s *stream) sendClose(frames []Frame) error {
	if s.out.closing() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.endTime())
	defer cancel()
	op := newOp(frames)
	defer op.free()
	if err := s.send(ctx, op); err != nil && !errors.Is(err, ErrClosed) {
		return fmt.Errorf("the close frame could not be sent: %w", err)
	}
	s.beginClose()
	return nil
}

// awaitClose waits until the loop has completed the closing handshake, or gives
// the connection up.
func (s *stream) awaitClose() error {
	timer := time.NewTimer(s.closeTimeout)
	defer timer.Stop()
	var err error
	select {
	case <-s.doneChan():
		err = s.unanswered
	case <-timer.C:
		leaving := s.out.broken() // the loop is done, and sees its last frame off
		s.breakOff(ErrClosed)
		err = os.ErrDeadlineExceeded
		if leaving {
			<-s.doneChan()
			err = s.unanswered
		}
	}
	switch {
	case err == nil || s.closeTimeout == 0:
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("the peer did not answer the close frame within the close timeout of %v: %w", s.closeTimeout, err)
	}
	return fmt.Errorf("the peer did not answer the close frame: %w", err)
}

// closed is the end of a completed closing handshake.
func (s *stream) closed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.cause != nil && !s.closing:
		return s.cause
	case s.peer != nil && s.peer.Code != websocket.StatusNormalClosure:
		return fmt.Errorf("closed by the peer: %w", *s.peer)
	}
	return nil
}

// readFailed says what the failure to read means.
func (s *stream) readFailed(err error) error {
	sent := s.out.closing() // whoever sends a close frame may be about to say so
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.cause != nil:
		err = s.cause
	case s.lost != nil: // what broke first
		err = s.lost
	case errors.Is(err, h2.ErrPingTimeout):
		err = fmt.Errorf("%w: %w", ErrPeerUnresponsive, err)
	case errors.Is(err, io.EOF):
		err = fmt.Errorf("the connection ended without a close frame: %w", io.ErrUnexpectedEOF)
	}
	if s.closing || sent && s.cause == nil {
		s.unanswered = err
		return nil
	}
	return err
}

// violated closes the connection after something that must not be: a frame of
// the peer's or a reply of the handler's. It returns what the stream's error is.
func (s *stream) violated(err error) error {
	var frame *wire.Error
	var reply *ProtocolError
	code := websocket.StatusInternalError
	switch {
	case errors.As(err, &frame):
		code = websocket.StatusCode(frame.Code)
		err = &ProtocolError{Code: code, Reason: frame.Reason}
	case errors.As(err, &reply):
		err = fmt.Errorf("the handler's reply cannot be sent: %w", err)
	default: // it could not be written
		return s.readFailed(err)
	}
	if s.discards() {
		return s.readFailed(err)
	}
	op := newOp([]Frame{Close(code, closeReason(err))})
	defer op.free()
	ctx, cancel := context.WithTimeout(context.Background(), s.endTime())
	defer cancel()
	if s.send(ctx, op) == nil { // if not, the connection is given up anyway
		s.beginClose()
	}
	return err
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

// breakOff ends the stream from this side, now. The first cause stands.
func (s *stream) breakOff(cause error) {
	if s.doom(cause) {
		s.tearDown(cause)
	}
}

// doom notes why the stream is being broken off, unless it is already.
func (s *stream) doom(cause error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cause != nil || s.over() {
		return false
	}
	s.cause = cause
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
		_ = bare(conn).Close() // TLS would wait to say goodbye
	}
	if body != nil {
		_ = body.Close()
	}
	theLot.wake(s)
}

// lose is called when a write failed since the peer is gone. Then the stream has
// not ended yet: what the peer has sent before is still to be read, and its close
// frame may be among it.
func (s *stream) lose(err error) {
	s.mu.Lock()
	if s.lost == nil && !s.over() {
		s.lost = err
		_ = s.conn.SetReadDeadline(time.Now().Add(s.endTime()))
	}
	s.mu.Unlock()
	theLot.wake(s)
}

func (s *stream) isLost() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lost != nil
}

// peerGone reports whether a write failed since nobody is there to read.
func peerGone(err error) bool {
	return errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
}

// peerLeft is peerGone for HTTP/2 as well, where the peer may also have reset the
// stream, or gone away, or be known to be gone from what the connection's reader met.
func peerLeft(err error) bool {
	var reset h2.StreamError
	var away h2.GoAwayError
	return isLoss(err) || errors.As(err, &away) || errors.As(err, &reset) && reset.Reason == ""
}

// giveUp ends the stream since its ctx has ended: with a close frame that says so
// where one can be sent at once, and without waiting for the answer.
func (s *stream) giveUp() {
	err := s.lifeError()
	if !s.doom(err) {
		return
	}
	if s.conn != nil {
		s.out.farewell(websocket.StatusGoingAway)
		s.out.stop(err)
		s.linger()
	}
	s.tearDown(err)
}

// lifeError is why the ctx of the stream has ended, or nil while it has not.
func (s *stream) lifeError() error {
	err := s.life.Err()
	if cause := context.Cause(s.life); cause != err {
		err = fmt.Errorf("%w: %w", err, cause)
	}
	return err
}

func (s *stream) over() bool { return s.ended.Load() }

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

// halfCloser is a connection in which closing can overtake what was written last:
// an HTTP/2 stream that the peer has not ended is reset, and a proxy that gets the
// reset with our close frame may drop that.
type halfCloser interface {
	readable
	CloseWrite() error
}

// seeOff gives a close frame of ours the time to arrive on such a connection: until
// the peer ends its half too, and not longer than the close timeout.
func (s *stream) seeOff() {
	conn, ok := s.conn.(halfCloser)
	if !ok || !s.out.closing() {
		return
	}
	s.beginClose() // the answer may be there before whoever sent the close frame gets to it
	_ = conn.SetWriteDeadline(time.Now().Add(s.endTime()))
	if conn.CloseWrite() != nil {
		return
	}
	var dropped [512]byte
	for {
		if _, err := conn.Read(dropped[:]); err != nil {
			return
		}
	}
}

// linger is seeOff for a stream that is given up, which has a moment for it. What
// comes meanwhile the loop reads, and ends.
func (s *stream) linger() {
	conn, ok := s.conn.(halfCloser)
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

// finish ends the stream with err: everything is let go of, and everybody who
// waits is told.
func (s *stream) finish(err error) {
	after := err
	if after == nil {
		after = ErrClosed
	}
	s.out.stop(after)
	s.seeOff()
	s.letGo(err == nil && s.unanswered == nil)
	s.mu.Lock()
	s.err = err
	s.ended.Store(true)
	if s.done != nil {
		close(s.done)
	}
	s.release()
	s.mu.Unlock()
	if s.pull != nil {
		s.pull.end()
	}
}

// letGo gives back what s holds. TLS says goodbye only where the peer listens.
func (s *stream) letGo(clean bool) {
	if s.conn != nil {
		if !clean {
			_ = bare(s.conn).Close()
		}
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
	theLot.leave(s)
	s.in.Release()
	s.out.releaseDeflate()
}
