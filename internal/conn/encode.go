package conn

import (
	"slices"
	"sync"
	"time"

	"github.com/reqws/reqws/internal/wire"
)

const (
	// writeChunk is about how much is encoded before it is written. Payloads that do
	// not fit are masked and written piece by piece.
	writeChunk = 64 << 10
	// fragilePiece is how much a fragile connection is given at once: that it took one
	// is all one learns of its progress.
	fragilePiece = 4 << 10
	// sealedPiece is how much is encrypted at once while the connection takes little,
	// since what is encrypted cannot be taken back: a whole record.
	sealedPiece = 16 << 10
	// crowdMemory is after how many writes for a single sender senders count as alone
	// again.
	crowdMemory = 16
	// mostKept is how many frames, and mostPacked how many bytes of a compressed payload,
	// pooled memory keeps room for.
	mostKept   = 64
	mostPacked = 256 << 10
)

// work is what there is to writing while somebody does it.
type work struct {
	flight []*Op     // being written, in order
	buf    []byte    // encoded,
	pos    int       // and out up to here: written, or encrypted
	sealed []byte    // encrypted,
	out    int       // and written up to here
	packed []byte    // a compressed payload
	lent   int       // bytes behind pos that a fragile connection may have taken
	since  time.Time // when the connection last took something
	of     *Writer
	flush  func() // flushAll of that, made once since to begin a goroutine is to allocate else
}

var workPool sync.Pool

func newWork() *work {
	if k, ok := workPool.Get().(*work); ok {
		return k
	}
	k := &work{buf: make([]byte, 0, writeChunk+writeChunk/8)}
	k.flush = func() { k.of.flushAll() }
	return k
}

// encode fills the buffer from the flight.
func (w *Writer) encode() {
	buf := w.buf
	for _, op := range w.flight {
		if op.frame == len(op.frames) {
			continue // what is left of it is in the buffer already
		}
		if len(buf) >= writeChunk {
			break
		}
		if !op.encoded {
			op.encoded, op.start = true, len(buf)
		}
		for op.frame < len(op.frames) && len(buf) < writeChunk {
			buf = w.encodeFrame(buf, op)
		}
		op.end = len(buf)
	}
	w.buf = buf
}

// encodeFrame appends op's next frame to buf, or a piece of it where it is large.
func (w *Writer) encodeFrame(buf []byte, op *Op) []byte {
	f := &op.frames[op.frame]
	if op.off == 0 {
		switch {
		case f.Op == wire.OpClose:
			op.frame++
			return wire.AppendClose(buf, uint16(f.Code), f.Data, wire.NewKey())
		case op.message != nil:
			return w.encodeFragment(buf, op, f)
		case w.deflate != nil && f.Op <= wire.OpBinary && len(f.Data) >= w.minimum:
			return w.encodeDeflated(buf, op, f)
		case len(f.Data) <= writeChunk/8:
			op.frame++
			return wire.AppendFrame(buf, f.Op, f.Data, wire.NewKey())
		}
		op.body, op.key = f.Data, wire.NewKey()
		buf = wire.AppendHeader(buf, f.Op, true, false, len(op.body), op.key)
	}
	return op.encodePiece(buf)
}

// encodeFragment begins a fragment, which is compressed already where its message is.
func (w *Writer) encodeFragment(buf []byte, op *Op, f *wire.Frame) []byte {
	if op.rsv1 && w.deflate != nil {
		w.deflate.Reset() // the peer's window is to hold what it does not know of
	}
	op.body, op.key = f.Data, wire.NewKey()
	buf = wire.AppendHeader(buf, f.Op, !f.More, op.rsv1, len(op.body), op.key)
	return op.encodePiece(buf)
}

// encodeDeflated begins a compressed message (RFC 7692, section 6.1).
func (w *Writer) encodeDeflated(buf []byte, op *Op, f *wire.Frame) []byte {
	// One payload at a time is under way, so that one buffer serves them all.
	w.packed = w.deflate.Append(w.packed[:0], f.Data)
	op.body, op.key = w.packed, wire.NewKey()
	buf = wire.AppendHeader(buf, f.Op, true, true, len(op.body), op.key)
	return op.encodePiece(buf)
}

// encodePiece appends what fits of the current frame's payload.
func (op *Op) encodePiece(buf []byte) []byte {
	n := min(len(op.body)-op.off, max(writeChunk+writeChunk/16-len(buf), 0))
	at := len(buf)
	buf = slices.Grow(buf, n)[:at+n]
	wire.Mask(buf[at:], op.body[op.off:op.off+n], op.key, op.off)
	op.off += n
	if op.off == len(op.body) {
		op.frame, op.off, op.body = op.frame+1, 0, nil
	}
	return buf
}

// unwritten is what the connection is to take next.
func (w *Writer) unwritten() []byte {
	switch {
	case w.work == nil:
		return nil
	case w.tls != nil:
		return w.sealed[w.out:]
	}
	return w.buf[w.pos:]
}

// writeNow writes what the connection takes without waiting.
func (w *Writer) writeNow() (int, error) {
	if w.tls != nil && len(w.unwritten()) == 0 {
		if err := w.encrypt(); err != nil {
			return 0, err
		}
	}
	if w.try == nil {
		return 0, nil
	}
	return w.try.TryWrite(w.unwritten())
}

// encrypt passes on what is encoded: all of it, but not much while the connection is slow,
// for what is encrypted cannot be taken back.
func (w *Writer) encrypt() error {
	p := w.buf[w.pos:]
	if !w.since.IsZero() {
		p = p[:min(len(p), sealedPiece)]
	}
	w.link.Lend(w.sealed)
	_, err := w.tls.Write(p)
	w.sealed, w.out = w.link.Take(), 0
	if err == nil {
		w.pos += len(p)
	}
	return err
}
