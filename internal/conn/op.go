package conn

import (
	"context"
	"sync"

	"github.com/reqws/reqws/internal/wire"
)

// Op is what is sent by one call.
type Op struct {
	frames []wire.Frame
	own    []wire.Frame // where frames were copied to
	ctx    context.Context
	next   *Op
	wake   chan bool // while it waits for somebody else's write: true when it is done, false if it is to lead
	err    error
	queued func() // called when it is, under the writer's lock; nil: nobody is told
	sent   func() // likewise

	message *Message // of which it is a fragment
	rsv1    bool     // and that is compressed
	before  *Message // which one was under way when it was loaded
	closes  bool     // it ends in a close frame, as was seen then: frames may be lent for no longer

	state      sendState
	lead       bool // to write is up to the one who waits for this op
	unattended bool // nobody waits for it
	watched    bool // the owner reads on while it waits
	replies    bool // of the loop's own
	cancelled  bool // its ctx ended while it was in flight

	frame   int // the frame that is to be encoded next,
	off     int // from this byte of its payload on; 0: its header comes first
	body    []byte
	key     uint32
	start   int // where its bytes begin and end in the buffer
	end     int
	encoded bool // it has bytes there, or had some
	begun   bool // some of its bytes left the buffer
	told    int  // frames that the watcher knows of
}

type sendState uint8

const (
	sendQueued sendState = iota
	sendInFlight
	sendDone
)

var opPool = sync.Pool{New: func() any { return new(Op) }}

// newOp makes an op of frames, which it copies: that keeps the variadic slice of
// Send on its caller's stack.
func newOp(frames []wire.Frame) *Op {
	op := opPool.Get().(*Op)
	op.own = append(op.own[:0], frames...)
	op.frames = op.own
	return op
}

func (op *Op) free() {
	clear(op.own)
	if cap(op.own) > mostKept {
		op.own = nil
	}
	*op = Op{own: op.own[:0]}
	opPool.Put(op)
}

// Replies reports whether op holds what the loop answers a batch with.
func (op *Op) Replies() bool { return op.replies }

// Woken reports whether who waits for op would wait no longer.
func (op *Op) Woken() bool { return len(op.wake) > 0 }

// Await waits until who waits for op would wait no longer, or other has something: that it
// returns.
func Await[T any](op *Op, other <-chan T) (got T, ok bool) {
	select {
	case done := <-op.wake:
		op.wake <- done // its capacity is 1, and nobody else sends
	case <-op.ctx.Done():
	case got = <-other:
		return got, true
	}
	return got, false
}

// size is about how many bytes of op are still to be encoded.
func (op *Op) size() int {
	n := 0
	for i := op.frame; i < len(op.frames); i++ {
		n += len(op.frames[i].Data) + 14
	}
	return n - op.off
}

func (op *Op) done(err error) {
	op.state, op.err = sendDone, err
	if op.sent != nil && err == nil {
		op.sent()
	}
	switch {
	case op.unattended:
		op.free()
	case !op.lead: // else it is who leads that finds out
		op.wake <- true
	}
}

func (w *Writer) push(op *Op) {
	if w.tail == nil {
		w.head = op
	} else {
		w.tail.next = op
	}
	w.tail = op
}

// enqueue puts op where it belongs: behind all others, but for a fragment of the message that they
// wait for.
func (w *Writer) enqueue(op *Op) {
	if op.message != nil && op.message == w.message {
		w.unshift(op)
		return
	}
	w.push(op)
}

// unshift puts op in front of the queue.
func (w *Writer) unshift(op *Op) {
	if op.next = w.head; w.head == nil {
		w.tail = op
	}
	w.head = op
}

// remove takes op out of the queue.
func (w *Writer) remove(op *Op) {
	var before *Op
	for at := w.head; at != nil; before, at = at, at.next {
		if at != op {
			continue
		}
		if before == nil {
			w.head = op.next
		} else {
			before.next = op.next
		}
		if w.tail == op {
			w.tail = before
		}
		op.next = nil
		return
	}
}
