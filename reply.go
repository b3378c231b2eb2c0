package reqws

import (
	"bytes"
	"sync"

	"github.com/coder/websocket"
)

// batch is what a stream needs while it works on frames, and not while it waits.
type batch struct {
	frames  []Frame
	used    int     // of them
	out     []Frame // what is to be sent
	replies []Frame // for Each to collect what its function answers,
	kept    more    // and what it made of them, until they are sent
}

var batches = sync.Pool{New: func() any { return &batch{frames: make([]Frame, mostFrames)} }}

func (s *stream) borrow() { s.batch = batches.Get().(*batch) }

func (s *stream) giveBack() {
	s.batch.giveBack()
	s.batch = nil
}

func (b *batch) giveBack() {
	b.reset()
	clear(b.frames[:b.used]) // they hold on to the buffers that they were read from
	b.used = 0
	batches.Put(b)
}

// reset makes b ready for the next replies. Nothing of the user's is kept alive, and no memory
// that one batch of very many took.
func (b *batch) reset() {
	b.out = b.out[:0]
	if cap(b.out) > 2*mostFrames {
		b.out = nil
	}
	if b.kept.frames != nil {
		if cap(b.kept.frames) <= 4*mostFrames {
			b.replies = b.kept.frames[:0]
		}
	}
	b.kept = more{}
}

// batch is that of the stream that is calling a handler. There is none where a test
// calls it.
func (r *Response) batch() *batch {
	if r == nil || r.s == nil {
		return nil
	}
	return r.s.batch
}

// pongs sends the automatic ones of a batch, and waits for nothing.
func (b *batch) pongs(l *link) {
	if len(b.out) > 0 {
		l.out.Pong(wireFrames(b.out))
		b.out = b.out[:0]
	}
}

// reply sends what a handler answered, in one write: pongs for the pings that it
// left unanswered, its replies, and a close frame where it halts or the peer closed. Its error is
// a reply that cannot be sent; one that could not be written is noted.
func (s *stream) reply(d Directive, peer *Frame) error {
	if !d.Halts() && peer == nil && !d.replies() {
		s.batch.pongs(s.link())
		s.batch.reset()
		return nil
	}
	b := s.batch
	pongs := len(b.out)
	out := d.rest()
	if pongs > 0 || d.head&kindBits != 0 {
		b.out = d.appendTo(b.out)
		out = b.out
	}
	if err := checkFrames(out[pongs:]); err != nil {
		return err
	}
	if err := d.Err(); err != nil {
		s.failed = err
	}
	out = unanswered(out, pongs)
	replies, closes := d.replies(), endInClose(out)
	switch {
	case closes:
	case peer != nil && d.Err() == nil:
		out, closes = append(out, Frame{Kind: KindClose, Code: peer.Code}), true
	case d.Halts():
		out, closes = append(out, Close(d.closeCode(), "")), true
	}
	var err error
	if len(out) > 0 {
		err = s.link().out.Reply(wireFrames(out))
	}
	clear(out) // what is the user's is not to be kept alive
	b.reset()
	s.replied(err, replies, d.Halts(), closes, peer != nil)
	return nil
}

// closeCode is what a directive that halts closes with.
func (d Directive) closeCode() websocket.StatusCode {
	if d.Err() != nil {
		return websocket.StatusInternalError
	}
	return websocket.StatusNormalClosure
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
