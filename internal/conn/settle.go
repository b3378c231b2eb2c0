package conn

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

// settle takes stock after n bytes were written.
func (w *Writer) settle(n int, err error) {
	if n > 0 {
		w.taken.Add(1)
	}
	if w.tls != nil {
		w.out += n
	} else {
		w.pos += n
	}
	w.retire()
	late := errors.Is(err, os.ErrDeadlineExceeded)
	switch {
	case w.err != nil:
		err = w.err // the stream ended meanwhile, and knows why
	case late && w.quitting:
		err = nil
	case late && !w.fragile && (n > 0 || w.cancelled() || time.Since(w.since) < w.timeout):
		err = nil // the peer is slow, or the write was interrupted
	case late:
		err = fmt.Errorf("the peer took no bytes for the write timeout of %v: %w", w.timeout, err)
	}
	if err == nil && w.cancelled() {
		err = w.sortOut()
	}
	if err != nil {
		w.breakDown(err)
		return
	}
	w.compact()
}

// handed reports whether some of op's bytes have left the buffer, and whether all have.
func (w *Writer) handed(op *Op) (some, all bool) {
	to := w.pos + w.lent
	some = op.begun || op.encoded && op.start < to
	return some, some && op.frame == len(op.frames) && op.end <= to
}

// noteBegun keeps in mind of which ops some bytes have left the buffer.
func (w *Writer) noteBegun() {
	for _, op := range w.flight {
		op.begun, _ = w.handed(op)
	}
}

// retire finishes the ops whose bytes are out.
func (w *Writer) retire() {
	i := 0
	for ; i < len(w.flight); i++ {
		op := w.flight[i]
		some, all := w.handed(op)
		op.begun = some
		if !all || w.tls != nil && w.out < len(w.sealed) {
			break
		}
		closes := op.closes
		op.done(nil)
		if closes { // what waits for the end of a message comes too late
			w.failQueue(w.closed)
		}
	}
	w.drop(i)
}

// drop takes the first n ops out of the flight.
func (w *Writer) drop(n int) {
	if n > 0 {
		rest := copy(w.flight, w.flight[n:])
		clear(w.flight[rest:])
		w.flight = w.flight[:rest]
	}
}

// compact makes room in the buffer for the next round.
func (w *Writer) compact() {
	if w.pos == 0 {
		return
	}
	w.noteBegun()
	for _, op := range w.flight {
		op.start, op.end = max(op.start-w.pos, 0), max(op.end-w.pos, 0)
	}
	rest := copy(w.buf, w.buf[w.pos:])
	w.buf = w.buf[:rest]
	w.pos = 0
}

// sortOut settles the ops whose ctx has ended. One of which nothing has left the buffer is
// taken back, and what stands behind it is encoded anew. One that was cut in two takes the
// stream with it. Where all of it was handed down, and cannot be taken back without breaking
// the connection for others, it counts as sent.
func (w *Writer) sortOut() error {
	alone := w.inHand() == 1
	for _, op := range w.flight { // before any of them is done
		some, all := w.handed(op)
		if op.cancelled && (some && (!all || alone && w.out > 0) || !some && op.goesOn()) {
			return fmt.Errorf("%w: %w", errCut, op.ctx.Err())
		}
	}
	var kept, back []*Op
	end := w.pos + w.lent
	w.unfollow()
	for _, op := range w.flight {
		some, _ := w.handed(op)
		switch {
		case !op.cancelled && some:
			kept, end = append(kept, op), max(end, op.end)
		case !op.cancelled:
			back = append(back, op)
		case !some:
			w.reopen(op)
			op.done(op.ctx.Err())
		default:
			op.done(nil)
		}
	}
	clear(w.flight)
	w.flight = append(w.flight[:0], kept...)
	w.buf = w.buf[:end]
	w.requeue(back)
	return nil
}

// inHand counts the ops in flight that have bytes outside the buffer.
func (w *Writer) inHand() int {
	n := 0
	for _, op := range w.flight {
		if some, _ := w.handed(op); some {
			n++
		}
	}
	return n
}

// requeue puts ops that were encoded in vain back to the front of the queue. A
// compressor starts over with them: the peer never sees what it had compressed.
func (w *Writer) requeue(ops []*Op) {
	for _, op := range slices.Backward(ops) {
		op.state, op.frame, op.off, op.body, op.encoded = sendQueued, 0, 0, nil, false
		w.unshift(op)
	}
	if w.deflate != nil {
		w.deflate.Reset()
	}
}

// breakDown fails everything that is not written, now and from now on.
func (w *Writer) breakDown(err error) {
	if w.err == nil {
		w.err = err
		w.owner.WriteFailed(err) // before anybody learns of it from a Send
	}
	if w.work != nil {
		w.noteBegun()
		for _, op := range w.flight {
			op.done(w.err)
		}
		w.drop(len(w.flight))
	}
	w.failQueue(w.err)
}

// failQueue fails what waits, and what is under way in fragments.
func (w *Writer) failQueue(err error) {
	for w.head != nil {
		op := w.head
		w.head, op.next = op.next, nil
		op.done(err)
	}
	w.tail, w.pong = nil, nil
	if w.message != nil {
		w.message.over()
	}
}
