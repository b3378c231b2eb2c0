package h2

import (
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"golang.org/x/net/http2"
)

// Stream is one stream that a 2xx response has opened. It is a net.Conn whose methods are safe
// for concurrent use.
//
// Write returns when the connection has taken the bytes over, which waits for flow control and for
// the writer to keep up, not for the socket. Data that arrived before the peer reset the stream, or
// before the connection was lost, can still be read; then Read gives the error.
type Stream struct {
	c  *Conn
	id uint32

	// The sending half, guarded by c.mu.
	sendable     sync.Cond // wakes writers; L is &c.mu
	sendDeadline deadline
	sendErr      error // why nothing more can be sent
	sendWindow   int64
	inTurns      bool // in c.turns
	writing      bool // a Write is under way
	cut          bool // a Write is in the middle of its bytes, or ended there
	localEnd     bool // END_STREAM was sent
	remoteEnd    bool // END_STREAM was received

	// The receiving half, guarded by mu.
	mu           sync.Mutex
	readable     sync.Cond // wakes readers; L is &mu
	recvDeadline deadline
	recvErr      error // what follows the data: io.EOF after END_STREAM
	data         buffer
	recvWindow   int     // what the peer may still send
	owed         int     // read since the last WINDOW_UPDATE
	answer       *answer // nil once the response, or a failure, was given to Connect
	answered     bool    // the final response has been received
	closed       bool
}

// answer is how the reader hands a response to Connect.
type answer struct {
	done   chan struct{} // closed when there is a response or the stream has failed
	status int           // 0: the stream has failed
	header http.Header
	over   bool // the response has no body
}

// Read implements net.Conn. It gives io.EOF after the peer's END_STREAM, a StreamError after its
// RST_STREAM, and os.ErrDeadlineExceeded after the deadline.
func (s *Stream) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	s.mu.Lock()
	if err := s.awaitData(); err != nil {
		s.mu.Unlock()
		return 0, err
	}
	n := s.data.read(p)
	more := s.takeOwed(n)
	s.mu.Unlock()
	s.updateWindow(more)
	return n, nil
}

// WaitReadable blocks until Read would not: it returns nil if there is data, and otherwise the
// error that Read would give. A reader that waits here needs no buffer yet.
func (s *Stream) WaitReadable() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.awaitData()
}

// Readable reports whether there is data to Read.
func (s *Stream) Readable() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.data.empty()
}

// awaitData waits for data, s.mu being held.
func (s *Stream) awaitData() error {
	for {
		switch {
		case s.closed:
			return net.ErrClosed
		case s.recvDeadline.passed:
			return os.ErrDeadlineExceeded
		case !s.data.empty():
			return nil
		case s.recvErr != nil:
			return s.recvErr
		}
		s.readable.Wait()
	}
}

// takeOwed notes that n more bytes can be given back to the peer, and returns the size of the
// WINDOW_UPDATE that is due: 0 until half the window has been used. s.mu is held.
func (s *Stream) takeOwed(n int) int {
	s.owed += n
	if s.recvErr != nil || s.owed < (s.c.set.MaxReceiveBufferPerStream+1)/2 {
		return 0
	}
	n, s.owed = s.owed, 0
	s.recvWindow += n
	return n
}

// giveBack is takeOwed and the update for bytes that no reader sees.
func (s *Stream) giveBack(n int) {
	if n == 0 {
		return
	}
	s.mu.Lock()
	more := s.takeOwed(n)
	s.mu.Unlock()
	s.updateWindow(more)
}

func (s *Stream) updateWindow(n int) {
	if n == 0 {
		return
	}
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if s.c.streams[s.id] == s {
		s.c.fr.WriteWindowUpdate(s.id, uint32(n))
	}
}

// admit takes size bytes of DATA out of the window, or says what forbids them.
func (s *Stream) admit(size int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.recvErr == io.EOF:
		return streamError(s.id, http2.ErrCodeStreamClosed, "DATA after END_STREAM")
	case !s.answered:
		return streamError(s.id, http2.ErrCodeProtocol, "DATA before the response")
	case size > s.recvWindow:
		return streamError(s.id, http2.ErrCodeFlowControl, "DATA beyond the window")
	}
	s.recvWindow -= size
	return nil
}

// deliver copies received data for the reader of the stream.
func (s *Stream) deliver(p []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.recvErr == nil {
		s.data.write(p)
		s.readable.Broadcast()
	}
}

// Write implements net.Conn. An error after part of p was taken leaves a cut message in the stream,
// which Close then resets.
func (s *Stream) Write(p []byte) (n int, err error) { return s.write(p, writeAll) }

// TryWrite writes what the connection takes over without waiting, which may be nothing.
func (s *Stream) TryWrite(p []byte) (n int, err error) { return s.write(p, writeNow) }

// WriteSome waits until the connection takes some of p over, and no longer.
func (s *Stream) WriteSome(p []byte) (n int, err error) { return s.write(p, writeSome) }

type patience uint8

const (
	writeAll patience = iota
	writeSome
	writeNow
)

func (s *Stream) write(p []byte, patience patience) (n int, err error) {
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	for s.writing && s.cannotSend() == nil {
		if patience == writeNow {
			return 0, nil
		}
		s.sendable.Wait()
	}
	if err := s.cannotSend(); err != nil {
		return 0, err
	}
	s.writing = true
	for n < len(p) && err == nil && (n == 0 || patience != writeSome) {
		var k int
		if patience == writeNow {
			k = c.takeCredit(s, len(p)-n)
		} else {
			k, err = c.awaitCredit(s, len(p)-n)
		}
		if k == 0 {
			break
		}
		c.queueData(s.id, p[n:n+k], false)
		n += k
		s.cut = n < len(p)
	}
	s.writing = false
	s.sendable.Broadcast()
	return n, err
}

// cannotSend says why nothing can be sent, nil if it can. c.mu is held.
func (s *Stream) cannotSend() error {
	switch {
	case s.sendErr != nil:
		return s.sendErr
	case s.localEnd:
		return net.ErrClosed
	case s.sendDeadline.passed:
		return os.ErrDeadlineExceeded
	}
	return nil
}

// CloseWrite sends END_STREAM: nothing more can be written, and reading goes on. It waits for a
// Write that is under way.
func (s *Stream) CloseWrite() error {
	c := s.c
	c.mu.Lock()
	for s.writing && s.cannotSend() == nil {
		s.sendable.Wait()
	}
	err := s.cannotSend()
	last := err == nil && s.endLocal()
	c.mu.Unlock()
	c.idle(last)
	return err
}

// endLocal queues END_STREAM, and takes the stream out of the connection if the peer has ended
// its half too. c.mu is held.
func (s *Stream) endLocal() (last bool) {
	s.c.queueData(s.id, nil, true)
	s.localEnd = true
	s.sendable.Broadcast()
	return s.remoteEnd && s.c.forget(s, net.ErrClosed)
}

// remoteEnded notes the peer's END_STREAM, for the reader last: one who closes the stream when he
// has read to its end must not find it half open.
func (s *Stream) remoteEnded() {
	s.c.mu.Lock()
	s.remoteEnd = true
	last := s.localEnd && s.c.forget(s, net.ErrClosed)
	s.c.mu.Unlock()

	s.mu.Lock()
	if s.recvErr == nil {
		s.recvErr = io.EOF
	}
	s.readable.Broadcast()
	s.mu.Unlock()
	s.c.idle(last)
}

// Close ends the stream: with END_STREAM unless a Write was cut short, and with RST_STREAM(CANCEL)
// unless both sides have ended in good order. What was written before still leaves. Unread data
// is dropped, and calls under way return net.ErrClosed.
func (s *Stream) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()

	c := s.c
	c.mu.Lock()
	last := false
	if c.streams[s.id] == s {
		if !s.localEnd && !s.cut {
			last = s.endLocal()
		}
		if c.streams[s.id] == s {
			c.fr.WriteRSTStream(s.id, http2.ErrCodeCancel)
		}
	}
	s.sendErr = net.ErrClosed
	last = c.forget(s, net.ErrClosed) || last
	c.mu.Unlock()

	s.failReceive(net.ErrClosed)
	c.idle(last)
	return nil
}

// reset ends the stream with err after a RST_STREAM.
func (s *Stream) reset(code http2.ErrCode, err error) {
	s.c.mu.Lock()
	if s.c.streams[s.id] == s {
		s.c.fr.WriteRSTStream(s.id, code)
	}
	last := s.c.forget(s, err)
	s.c.mu.Unlock()
	s.failReceive(err)
	s.c.idle(last)
}

// end ends the stream with err, sending nothing.
func (s *Stream) end(err error) {
	s.c.mu.Lock()
	last := s.c.forget(s, err)
	s.c.mu.Unlock()
	s.failReceive(err)
	s.c.idle(last)
}

// failReceive lets the receiving half fail with err once what it holds has been read, unless the
// peer has ended it already.
func (s *Stream) failReceive(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.recvErr == nil {
		s.recvErr = err
	}
	if s.closed {
		s.data.free()
		s.recvDeadline.stop()
	}
	s.giveAnswer()
	s.readable.Broadcast()
}

// giveAnswer wakes the Connect that waits for the response. s.mu is held.
func (s *Stream) giveAnswer() {
	if s.answer != nil {
		close(s.answer.done)
		s.answer = nil
	}
}

// LocalAddr implements net.Conn with the address of the connection.
func (s *Stream) LocalAddr() net.Addr { return s.c.nc.LocalAddr() }

// RemoteAddr implements net.Conn with the address of the connection.
func (s *Stream) RemoteAddr() net.Addr { return s.c.nc.RemoteAddr() }

// SetDeadline implements net.Conn: it is SetReadDeadline and SetWriteDeadline.
func (s *Stream) SetDeadline(t time.Time) error {
	if err := s.SetReadDeadline(t); err != nil {
		return err
	}
	return s.SetWriteDeadline(t)
}

// SetReadDeadline implements net.Conn. Nothing is lost when it passes: with a later deadline
// reading goes on.
func (s *Stream) SetReadDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	s.recvDeadline.set(&s.readable, t)
	return nil
}

// SetWriteDeadline implements net.Conn. It bounds the wait for flow control and for the writer.
func (s *Stream) SetWriteDeadline(t time.Time) error {
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	if closed {
		return net.ErrClosed
	}
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.sendDeadline.set(&s.sendable, t)
	return nil
}
