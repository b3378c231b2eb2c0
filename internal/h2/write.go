package h2

import (
	"encoding/binary"
	"errors"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/net/http2"
)

const (
	frameHeaderLen = 9

	// maxQueued bounds the DATA queued for the next write: four frames of the size that every
	// peer takes.
	maxQueued = 4 * (minFrameSize + frameHeaderLen)

	// maxAnswers bounds the bytes that a peer can make us queue by frames that want an answer
	// while it takes none: some 2,000 PINGs.
	maxAnswers = 32 << 10
)

// outBuffer is what leaves in one write.
type outBuffer struct{ b []byte }

// outBuffers lends them, so that a connection with nothing to send holds none.
var outBuffers = sync.Pool{New: func() any { return &outBuffer{make([]byte, 0, maxQueued+1<<10)} }}

// outQueue is the Conn as the Framer's io.Writer: each frame joins the next write. c.mu is held.
type outQueue Conn

func (q *outQueue) Write(p []byte) (int, error) {
	if q.out == nil {
		q.out = outBuffers.Get().(*outBuffer)
	}
	q.out.b = append(q.out.b, p...)
	q.outReady.Signal()
	return len(p), nil
}

// answer counts a frame queued because the peer asked for it. c.mu is held.
func (c *Conn) answer(size int) error {
	if c.answers += frameHeaderLen + size; c.answers > maxAnswers {
		return connError(http2.ErrCodeEnhanceYourCalm, "too many frames that want an answer, and none of the answers read")
	}
	return nil
}

// queueData queues one DATA frame. Its header is made here rather than by the Framer, which would
// copy the payload once more. c.mu is held.
func (c *Conn) queueData(id uint32, p []byte, endStream bool) {
	var h [frameHeaderLen]byte
	binary.BigEndian.PutUint32(h[:4], uint32(len(p))<<8|uint32(http2.FrameData))
	if endStream {
		h[4] = byte(http2.FlagDataEndStream)
	}
	binary.BigEndian.PutUint32(h[5:], id)
	(*outQueue)(c).Write(h[:])
	(*outQueue)(c).Write(p)
}

// writeLoop is the writer: it sends what is queued until the connection is over, then closes
// the socket.
func (c *Conn) writeLoop() {
	defer c.ended()
	for {
		batch := c.takeBatch()
		if batch == nil {
			break
		}
		err := c.send(batch.b)
		if cap(batch.b) <= 2*maxQueued {
			batch.b = batch.b[:0]
			outBuffers.Put(batch)
		}
		if err != nil {
			c.writeFailed(err)
		}
	}
	c.nc.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.grace != nil {
		c.grace.Stop()
	}
}

// writeFailed leaves the end of the connection to the reader, but for a socket that stays open:
// a peer that hung up may have said why, in a GOAWAY or a TLS alert, and have answered streams.
func (c *Conn) writeFailed(err error) {
	c.nc.SetReadDeadline(time.Now().Add(flushTimeout))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.socketFailed = true
	c.writeErr = err
	for c.err == nil {
		c.outReady.Wait()
	}
}

// takeBatch waits for something to send. It returns nil when the connection is over and all is
// sent that can be.
func (c *Conn) takeBatch() *outBuffer {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.out == nil && c.err == nil {
		c.outReady.Wait()
	}
	if c.socketFailed {
		return nil
	}
	batch := c.out
	c.out, c.answers = nil, 0
	c.wakeTurn()
	return batch
}

// send writes b to the socket. With WriteByteTimeout, each byte taken by the socket gives the rest
// that much time again.
func (c *Conn) send(b []byte) error {
	for {
		if t := c.set.WriteByteTimeout; t > 0 {
			c.nc.SetWriteDeadline(time.Now().Add(t))
		}
		n, err := c.nc.Write(b)
		if b = b[n:]; len(b) == 0 && err == nil {
			return nil
		}
		if n == 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
	}
}

// awaitCredit blocks until s may queue DATA, and returns how much of want bytes. c.mu is held, and
// given up while waiting.
//
// A stream that lacks only what all streams share, room in the queue and the connection's window,
// takes its turn: one frame, then the next stream in line.
func (c *Conn) awaitCredit(s *Stream, want int) (int, error) {
	for {
		if err := s.cannotSend(); err != nil {
			c.leaveTurns(s)
			return 0, err
		}
		if s.sendWindow <= 0 {
			c.leaveTurns(s)
		} else if n := c.takeCredit(s, want); n > 0 {
			c.leaveTurns(s)
			return n, nil
		} else if !s.inTurns {
			s.inTurns = true
			c.turns = append(c.turns, s)
		}
		s.sendable.Wait()
	}
}

// takeCredit takes what s may queue of want bytes now, which is nothing while others are in line
// before it. c.mu is held.
func (c *Conn) takeCredit(s *Stream, want int) int {
	if len(c.turns) > 0 && c.turns[0] != s {
		return 0
	}
	n := max(c.credit(s, want), 0)
	c.sendWindow -= int64(n)
	s.sendWindow -= int64(n)
	return n
}

// credit is how many of want bytes s may send in a frame now. It does not cut a frame short for
// want of room in the queue, which will be empty in a moment. c.mu is held.
func (c *Conn) credit(s *Stream, want int) int {
	allowed := min(int64(want), s.sendWindow, c.sendWindow, int64(c.maxFrame))
	room := int64(maxQueued - frameHeaderLen)
	if c.out != nil {
		room -= int64(len(c.out.b))
	}
	if allowed > room && room < minFrameSize {
		return 0
	}
	return int(min(allowed, room))
}

// leaveTurns takes s out of the line, and lets the next in line have a try. c.mu is held.
func (c *Conn) leaveTurns(s *Stream) {
	if !s.inTurns {
		return
	}
	s.inTurns = false
	i := slices.Index(c.turns, s)
	c.turns = slices.Delete(c.turns, i, i+1)
	c.wakeTurn()
}

// wakeTurn wakes the first in line. c.mu is held.
func (c *Conn) wakeTurn() {
	if len(c.turns) > 0 {
		c.turns[0].sendable.Broadcast()
	}
}
