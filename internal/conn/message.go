package conn

import (
	"context"
	"errors"
	"fmt"

	"github.com/reqws/reqws/internal/wire"
)

// Message is a data message that is sent in fragments (RFC 6455, section 5.4), by one goroutine. It
// takes its turn with the first one; from then on data of others waits in the queue until the last
// one has left it, while control frames pass.
type Message struct {
	w      *Writer
	op     wire.Opcode   // of the next fragment
	ended  chan struct{} // closed when the writer takes no more of it
	packer *wire.Packer  // compresses it; nil: nobody does
	packed []byte
}

// errCutMessage is a message whose end will not come, though its beginning was written.
var errCutMessage = errors.New("a message was cut off between its fragments")

// NewMessage begins a message of the kind op. End is to follow.
func (w *Writer) NewMessage(op wire.Opcode) *Message {
	m := &Message{w: w, op: op, ended: make(chan struct{})}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.deflate != nil {
		m.packer = w.deflate.NewPacker()
	}
	return m
}

// Send writes the next fragment, the last one if there are no more, and returns when it is written. For
// begun, queued and ctx see SendOver. What fails ends the message.
func (m *Message) Send(ctx context.Context, data []byte, more bool, queued func()) (begun bool, err error) {
	op := newOp([]wire.Frame{{Op: m.op, More: more, Data: data}})
	op.message, op.watched, op.queued = m, true, queued
	if m.packer != nil {
		m.packed = m.packer.Append(m.packed[:0], data, more)
		op.own[0].Data = m.packed
		op.rsv1 = m.op != wire.OpContinuation
	}
	m.op = wire.OpContinuation
	return m.w.send(ctx, op)
}

// Ended is closed when the writer takes no more of the message, for Err.
func (m *Message) Ended() <-chan struct{} { return m.ended }

// Refusal says why the writer takes no more.
func (m *Message) Refusal() error { return m.w.Refusal() }

// Refusal says why nothing can be sent, nil if it can.
func (w *Writer) Refusal() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.refusal()
}

// End lets go of the message. If that was begun, and is not at its end, nothing can follow it: then
// all writing ends with the error that is returned, which wraps cause. It does not where the
// connection is being closed already.
func (m *Message) End(cause error) error {
	if m.packer != nil {
		m.packer.Release()
		m.packer = nil
	}
	m.w.mu.Lock()
	defer m.w.mu.Unlock()
	if m.w.message != m || m.w.refusalBetween() != nil {
		return cause
	}
	cause = fmt.Errorf("%w: %w", errCutMessage, cause)
	m.w.giveUp(cause)
	return cause
}

// over tells who sends the message that there is no use in that. mu is held.
func (m *Message) over() {
	select {
	case <-m.ended:
	default:
		close(m.ended)
	}
}

// The queue while a message is under way. mu is held in all that follows.

// held reports whether op has to wait for the end of a message.
func (w *Writer) held(op *Op) bool {
	if w.message == nil || w.message == op.message {
		return false
	}
	for i := range op.frames {
		if op.frames[i].Op <= wire.OpBinary {
			return true
		}
	}
	return false
}

// next returns the first op of the queue that may leave it, nil if there is none.
func (w *Writer) next() *Op {
	op := w.head
	for op != nil && w.held(op) {
		op = op.next
	}
	return op
}

// follow notes what the next op of the flight makes of the message under way.
func (w *Writer) follow(op *Op) {
	op.before, op.closes = w.message, EndInClose(op.frames)
	if op.message == nil {
		return
	}
	w.message = nil
	if op.frames[0].More {
		w.message = op.message
	}
}

// unfollow undoes that for those ops of the flight which are taken back: all behind the first of
// which nothing has left the buffer.
func (w *Writer) unfollow() {
	for _, op := range w.flight {
		if some, _ := w.handed(op); !some {
			w.message = op.before
			return
		}
	}
}

// goesOn reports whether op is a fragment of a message that has begun before.
func (op *Op) goesOn() bool { return op.message != nil && op.frames[0].Op == wire.OpContinuation }

// refusalOf says why op cannot be queued.
func (w *Writer) refusalOf(op *Op) error {
	if op.goesOn() {
		return w.refusalBetween()
	}
	return w.refusal()
}

// refusalBetween is refusal for what does not wait for the end of a message: a close frame may do,
// behind data.
func (w *Writer) refusalBetween() error {
	if w.tail != nil && EndInClose(w.tail.frames) && w.held(w.tail) {
		return w.err
	}
	return w.refusal()
}
