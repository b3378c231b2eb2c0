package reqws

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/coder/websocket"

	"github.com/reqws/reqws/internal/wire"
)

// ending is how a stream ends: what its handler said of that, and the last word.
type ending struct {
	// The loop's own:
	halted   bool  // the handler said so
	failed   error // the handler said this
	replyErr error // why replies were not sent
	decided  bool  // err is set
	follows  bool  // it does not end: another link is to follow

	err  error // why it ended; valid once done or over is
	over atomic.Bool

	doneMu sync.Mutex
	done   chan struct{} // closed with the end; made when somebody asks for it
}

// fail wraps an error with its phase and the stream's URL.
func (s *stream) fail(phase string, err error) error {
	return s.link().resp.fail(phase, err)
}

// replied notes what became of an answer of the handler's.
func (s *stream) replied(err error, replies, halts, closes, peerClosed bool) {
	s.halted = halts
	l := s.link()
	switch {
	case err == nil:
		if closes && !peerClosed {
			l.closing(closeSent, l.closeTimeout)
		}
	case !l.readOnly.Load(): // the handler has closed the stream itself
	default:
		if replies || !peerClosed {
			s.replyErr = err
		}
		l.stopped = halts && !peerClosed
	}
}

// shutDown ends the closing handshake, which is the end of the stream.
func (s *stream) shutDown() {
	s.link().shutDown()
	s.decide(nil)
}

// violation closes the stream after something that must not be: a frame of
// the peer's or a reply of the handler's.
func (s *stream) violation(err error) {
	code, err := explainViolation(err)
	l := s.link()
	if l.discards() {
		l.stopped, l.stopErr = true, err
		return
	}
	l.on(violated, err)
	if l.closeWith(code, err) {
		s.decide(nil)
	}
}

// explainViolation returns the close code for a violation, and what the stream's error is.
func explainViolation(err error) (websocket.StatusCode, error) {
	var frame *wire.Error
	if errors.As(err, &frame) {
		code := websocket.StatusCode(frame.Code)
		return code, &ProtocolError{Code: code, Reason: frame.Reason}
	}
	return websocket.StatusInternalError, fmt.Errorf("the handler's reply cannot be sent: %w", err)
}

// ctxEnded ends the stream since its ctx has ended.
func (s *stream) ctxEnded() { s.link().abandon(s.lifeError()) }

// lifeError is why the ctx of the stream has ended, or nil while it has not.
func (s *stream) lifeError() error {
	err := s.life.Err()
	if cause := context.Cause(s.life); cause != err {
		err = fmt.Errorf("%w: %w", err, cause)
	}
	return err
}

// decide settles what the stream ended with, and tells the handler where that is an error.
// readErr is why reading ended, if it did.
func (s *stream) decide(readErr error) {
	if s.decided {
		return
	}
	s.decided = true
	s.err = s.fail("stream", s.outcome(readErr))
	s.follows = s.gate != nil && s.breaks()
	if s.err == nil {
		return
	}
	s.link().out.Stop(s.err) // the handler may wait for those who send
	s.tell()
}

// tell has the handler know what the stream, or its link, ended with.
func (s *stream) tell() {
	if !s.direct || s.halted {
		return
	}
	d := s.call(Event{Err: s.err})
	if d.Halts() {
		s.stays()
	}
	if err := d.Err(); err != nil {
		s.err = s.fail("stream", err)
	}
}

// outcome is why the stream ended: nil if that is a clean end.
func (s *stream) outcome(readErr error) error {
	l := s.link()
	if l.body != nil {
		return readErr
	}
	ours := l.out.Closing() // whoever sends a close frame may be about to say so
	if readErr != nil && !l.readOnly.Load() {
		l.out.Quit() // what failed first, decides
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case s.failed != nil:
		return s.failed
	case l.cause != nil:
		return l.cause
	case s.replyErr != nil && l.peerError() == nil:
		return s.replyErr
	case s.halted || l.ours || ours && l.peer == nil:
		if l.peer != nil || l.closeTimeout == 0 {
			return nil
		}
		if l.unanswered == nil {
			l.unanswered = l.brokeWith(readErr)
		}
		if l.reported {
			return nil
		}
		return l.unansweredError()
	case l.peer != nil:
		return l.peerError()
	}
	return l.brokeWith(readErr)
}

// doneChan returns what is closed when the stream has ended. Most streams are
// never asked for it.
func (s *stream) doneChan() <-chan struct{} {
	s.doneMu.Lock()
	defer s.doneMu.Unlock()
	if s.done == nil {
		s.done = make(chan struct{})
		if s.over.Load() {
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
	if s.over.Load() {
		return
	}
	if s.unwatch != nil {
		s.unwatch()
	}
	l := s.link()
	l.finish(s.after())
	defer s.tellAll() // whatever a hook does
	l.watch.ends(l, s.err, false)
}

// after is what sending fails with after the end of the stream.
func (s *stream) after() error {
	if s.err == nil {
		return ErrClosed
	}
	return s.err
}

// tellAll tells everybody who waits that the stream is over.
func (s *stream) tellAll() {
	s.doneMu.Lock()
	s.over.Store(true)
	if s.done != nil {
		close(s.done)
	}
	s.doneMu.Unlock()
	if s.pull != nil {
		s.pull.end()
	}
}

// awaitEnd waits for the end of a stream that was closed while it had no link, unless the caller
// is its handler.
func (s *stream) awaitEnd() {
	if !s.insideHandler() {
		s.link().awaitDone(s.link().closeTimeout)
	}
}
