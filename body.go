package reqws

import (
	"errors"
	"fmt"
	"io"
	"math"
	"sync"

	"github.com/reqws/reqws/internal/failure"
)

// startPlain makes a stream of the answer to a plain http or https request: run
// hands its body to the handler or mailbox. Without these the body is read here, and
// nothing is left to run; it has most bytes.
func (s *stream) startPlain(a *answer, most int64, raise bool) (*stream, *Response, error) {
	resp := a.resp
	failed := resp.StatusCode >= 400
	if failed && raise {
		s.conclude(a.refuse(s.life))
		return nil, resp, nil
	}
	if !s.link().carry(a.body) { // ctx ended meanwhile
		_ = a.body.Close()
	}
	if s.pull == nil {
		return s, resp, nil
	}
	body, err := readBody(a.body, most)
	_ = a.body.Close()
	if err != nil {
		err = s.fail("body", s.bodyFailed(err))
		s.conclude(err)
		return nil, nil, err
	}
	resp.Body = body
	s.conclude(nil)
	return nil, resp, nil
}

// readBody reads all of a body, which must not be larger than most, unless that
// is negative.
func readBody(body io.Reader, most int64) ([]byte, error) {
	if most < 0 || most == math.MaxInt64 { // which has no successor
		return io.ReadAll(body)
	}
	data, err := io.ReadAll(io.LimitReader(body, most+1))
	if err == nil && int64(len(data)) > most {
		return nil, fmt.Errorf("the body has more than the %d bytes of MaxMessageSize: %w", most, ErrMessageTooBig)
	}
	return data, err
}

var chunks = sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}

// serveBody hands the body on as it arrives.
func (s *stream) serveBody() error {
	body := s.link().body
	defer body.Close()
	buf := chunks.Get().(*[]byte)
	defer chunks.Put(buf)
	s.borrow()
	defer s.giveBack()
	for {
		n, err := body.Read(*buf)
		if n > 0 && s.link().discards() {
			return s.bodyFailed(err)
		}
		if n > 0 {
			frames := s.batch.frames[:1]
			s.batch.used = 1
			frames[0] = Frame{Kind: KindChunk, Data: (*buf)[:n]}
			d := s.call(Event{Frames: frames})
			switch {
			case d.Err() != nil:
				s.halted = true
				return d.Err()
			case d.replies():
				return errPlainReply
			case d.Halts():
				return nil
			}
			s.batch.reset()
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return s.bodyFailed(err)
		}
	}
}

var errPlainReply = errors.New("the handler's reply cannot be sent: a plain HTTP answer takes no frames")

// bodyFailed prefers why the body was closed from this side to what that made of
// the read.
func (s *stream) bodyFailed(err error) error {
	l := s.link()
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.state == linkClosing || l.reported:
		return nil
	case l.cause != nil:
		return l.cause
	case s.life.Err() != nil: // which the body may learn first
		return s.lifeError()
	}
	return failure.Unquoted(err)
}

// closeBody ends a plain answer, cleanly.
func (s *stream) closeBody() {
	s.link().on(closeCalled, nil)
	s.link().on(closeSent, nil)
	_ = s.link().body.Close()
}

// carry gives the link the body of a plain answer in place of a connection. It reports false if
// the link has ended already.
func (l *link) carry(body io.ReadCloser) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.body = body
	return l.state != linkClosed
}
