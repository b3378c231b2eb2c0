package reqws

import (
	"bytes"
	"context"
	"sync"

	"github.com/coder/websocket"
)

// batch is what a stream needs while it works on frames, and not while it waits.
type batch struct {
	frames  []Frame
	out     []Frame // what is to be sent
	replies []Frame // for Each to collect what its function answers,
	kept    []Frame // and what it made of them, until they are sent
}

var batches = sync.Pool{New: func() any { return &batch{frames: make([]Frame, mostFrames)} }}

func (s *stream) borrow() { s.batch = batches.Get().(*batch) }

func (s *stream) giveBack() {
	s.batch.reset()
	batches.Put(s.batch)
	s.batch = nil
}

// reset makes b ready for the next replies.
func (b *batch) reset() {
	b.out = b.out[:0]
	if b.kept != nil {
		b.replies, b.kept = b.kept[:0], nil
	}
}

// replyBuffer lends Each what it collects replies in. There may be none: of a
// handler that is called by a test.
func (r *Response) replyBuffer() []Frame {
	if r == nil || r.s == nil || r.s.batch == nil {
		return nil
	}
	b := r.s.batch
	buf := b.replies
	b.replies = nil
	return buf[:0]
}

func (r *Response) keepReplyBuffer(replies []Frame) {
	if r != nil && r.s != nil && r.s.batch != nil {
		r.s.batch.kept = replies
	}
}

// reply sends what a handler answered, in one write: pongs for the pings that it
// left unanswered, its replies, and a close frame where it halts or the peer closed.
func (s *stream) reply(d Directive, peer *Frame) error {
	b := s.batch
	pongs := len(b.out)
	out := d.rest
	if pongs > 0 || !d.collected() {
		b.out = d.appendTo(b.out)
		out = b.out
	}
	if n := len(out); n > pongs && peer != nil && isBare(peer) && isBare(&out[n-1]) {
		out = out[:n-1] // the handler echoes a close without a code, which we do below
	}
	if err := checkFrames(out[pongs:]); err != nil {
		return err
	}
	out = unanswered(out, pongs)
	closes := endInClose(out)
	switch {
	case closes:
	case peer != nil:
		out, closes = append(out, Frame{Kind: KindClose, Code: peer.Code}), true
	case d.halt:
		out, closes = append(out, Close(websocket.StatusNormalClosure, "")), true
	}
	err := s.sendReplies(out)
	clear(out) // what is the user's is not to be kept alive
	b.reset()
	if err == nil && (closes || d.halt) {
		s.beginClose()
		if peer != nil && !d.halt {
			s.peer = &websocket.CloseError{Code: peer.Code, Reason: peer.Text()}
		}
	}
	return err
}

// isBare reports whether f is a close frame without a code, as it arrives: it
// cannot be sent as it is.
func isBare(f *Frame) bool {
	return f.Kind == KindClose && f.Code == websocket.StatusNoStatusRcvd && len(f.Data) == 0
}

func (s *stream) sendReplies(frames []Frame) error {
	if len(frames) == 0 {
		return nil
	}
	op := opPool.Get().(*sendOp)
	op.frames = frames
	defer op.free()
	err := s.send(context.Background(), op)
	if err != nil && (s.out.closing() || s.isLost()) {
		return nil // nothing more can be sent, but there may be more to read
	}
	return err
}

// unanswered drops those of the first n frames, the automatic pongs, that the
// frames after them make needless.
func unanswered(frames []Frame, n int) []Frame {
	replies := frames[n:]
	kept := frames[:0]
	at := 0
	for i := range n {
		if next := findPong(replies, at, frames[i].Data); next >= 0 {
			at = next + 1 // most handlers answer in order
		} else {
			kept = append(kept, frames[i])
		}
	}
	if len(kept) == n {
		return frames
	}
	return append(kept, replies...)
}

// findPong returns the index of a pong with this payload, looked for from at on.
func findPong(replies []Frame, at int, payload []byte) int {
	for i := range replies {
		k := (at + i) % len(replies)
		if replies[k].Kind == KindPong && bytes.Equal(replies[k].Data, payload) {
			return k
		}
	}
	return -1
}
