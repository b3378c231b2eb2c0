package wire

import (
	"encoding/binary"
	"math"
)

// Reader turns the bytes of one connection into frames, in place. The owner reads the socket into
// Space, tells Filled, and takes the frames with Batch. While a Reader is idle it
// holds no buffer.
type Reader struct {
	buf     *buffer
	inflate *Inflate
	err     *Error
	max     int
	peak    int // the most bytes held at once since class was last looked at
	class   uint8
	fills   uint8
	closed  bool // a close frame was returned: what follows is not looked at
}

// Init prepares r. A message of more than maxMessage bytes is an error, unless that is negative.
// inflate is nil if permessage-deflate was not negotiated.
func (r *Reader) Init(maxMessage int64, inflate *Inflate) {
	const most = math.MaxInt / 2 // sums of sizes stay in an int
	if maxMessage < 0 || maxMessage > most {
		maxMessage = most
	}
	*r = Reader{inflate: inflate, max: int(maxMessage)}
}

// Prime takes the bytes that came behind the handshake's answer. It copies rest.
func (r *Reader) Prime(rest []byte) {
	if len(rest) == 0 {
		return
	}
	r.buf = newBuffer(classFor(len(rest)))
	r.buf.end = copy(r.buf.data, rest)
}

// Batch puts the next whole messages and control frames into dst and returns how many: fewer than
// dst holds if it needs more bytes. Their data is valid until Space, Idle or Release. An error,
// always an *Error, comes with the frames that were complete before it, and is returned for ever.
// Nothing follows a close frame.
func (r *Reader) Batch(dst []Frame) (n int, err error) {
	for n < len(dst) {
		n += r.simple(dst[n:])
		if n == len(dst) {
			break
		}
		f, ok, err := r.next()
		if !ok {
			return n, err
		}
		dst[n] = f
		n++
	}
	return n, nil
}

// simple is a shorter way for most frames: whole and unfragmented messages that are not large. It
// stops at the first other one, and leaves all judgement to next.
func (r *Reader) simple(dst []Frame) (n int) {
	b := r.buf
	if b == nil || b.assembling || r.closed {
		return 0
	}
	p := b.data[b.start:b.end]
	for n < len(dst) && len(p) >= 4 && p[0]-(bitFin|byte(OpText)) <= 1 {
		length, size := int(p[1]), 2
		if length == 126 {
			length, size = int(p[2])<<8|int(p[3]), 4
		}
		if (length < 126) != (size == 2) || size+length > len(p) || length > r.max {
			break
		}
		op, data := Opcode(p[0]&0xf), p[size:size+length:size+length]
		if op == OpText && !ShortASCII(data) && !ValidUTF8(data) {
			break
		}
		if length == 0 {
			data = nil
		}
		f := &dst[n]
		f.Op, f.Data, f.Code = op, data, 0
		n++
		p = p[size+length:]
	}
	b.start = b.end - len(p)
	return n
}

func (r *Reader) next() (Frame, bool, error) {
	if r.err != nil {
		return Frame{}, false, r.err
	}
	if r.buf == nil || r.closed {
		return Frame{}, false, nil
	}
	f, ok, err := r.parse()
	if err != nil {
		r.err = err
		r.closed = true
		return Frame{}, false, err
	}
	return f, ok, nil
}

// parse goes on from where the last call stopped.
func (r *Reader) parse() (Frame, bool, *Error) {
	b := r.buf
	for {
		if !b.inFrame {
			h, ok, err := parseHeader(b.data[b.start:b.end])
			if err != nil || !ok {
				return Frame{}, false, err
			}
			if err := r.check(h); err != nil {
				return Frame{}, false, err
			}
			if h.op.control() {
				return r.control(h)
			}
			b.begin(h)
		}
		if err := r.take(); err != nil {
			return Frame{}, false, err
		}
		if b.left > 0 {
			return Frame{}, false, nil
		}
		if b.inFrame = false; b.fin {
			return r.deliver()
		}
	}
}

// check holds a header against what came before it and what was agreed.
func (r *Reader) check(h header) *Error {
	b := r.buf
	switch {
	case h.rsv1 && r.inflate == nil:
		return violation("reserved bits 0x%x set", bitRSV1)
	case h.rsv1 && (h.op.control() || h.op == OpContinuation):
		return violation("RSV1 set on a %v frame", h.op)
	case h.op.control():
		return nil
	case h.op == OpContinuation && !b.assembling:
		return violation("continuation frame without a message to continue")
	case h.op != OpContinuation && b.assembling:
		return violation("new %v frame inside a fragmented message", h.op)
	}
	limit, held := r.max, 0
	if b.assembling {
		h.rsv1, held = b.rsv1, b.to-b.from
	}
	if h.rsv1 {
		limit = maxDeflated(limit)
	}
	if h.length > uint64(limit-held) {
		return tooBig(r.max)
	}
	return nil
}

// maxDeflated bounds the compressed form of n bytes: no encoder needs more than nine bits for one.
func maxDeflated(n int) int { return n + n/8 + 1024 }

func (r *Reader) control(h header) (Frame, bool, *Error) {
	b := r.buf
	end := b.start + h.size + int(h.length)
	if end > b.end {
		return Frame{}, false, nil
	}
	f := Frame{Op: h.op}
	if h.length > 0 {
		f.Data = b.data[b.start+h.size : end : end]
	}
	b.start = end
	if f.Op == OpClose {
		r.closed = true
		if err := f.splitClose(); err != nil {
			return Frame{}, false, err
		}
	}
	if b.assembling && len(f.Data) > 0 {
		b.aside = append(b.aside, f.Data...)
		f.Data = b.aside[len(b.aside)-len(f.Data) : len(b.aside) : len(b.aside)]
	}
	return f, true, nil
}

// splitClose parts the payload of a close frame into code and reason, RFC 6455 section 5.5.1.
func (f *Frame) splitClose() *Error {
	if f.Code = CodeNoStatus; len(f.Data) == 0 {
		return nil
	}
	if len(f.Data) == 1 {
		return violation("close frame with a payload of one byte")
	}
	f.Code = int(binary.BigEndian.Uint16(f.Data))
	if f.Data = f.Data[2:]; len(f.Data) == 0 {
		f.Data = nil
	}
	if !ValidCloseCode(uint16(f.Code)) {
		return violation("close frame with the invalid code %d", f.Code)
	}
	if !ValidUTF8(f.Data) {
		return badData("reason of the close frame is not UTF-8")
	}
	return nil
}

// begin enters the payload of a data frame.
func (b *buffer) begin(h header) {
	b.start += h.size
	if !b.assembling {
		b.assembling, b.op, b.rsv1 = true, h.op, h.rsv1
		b.from, b.to, b.checked = b.start, b.start, b.start
	}
	b.inFrame, b.fin, b.left = true, h.fin, int(h.length)
}

// take joins the payload bytes that are there to the message and checks them.
func (r *Reader) take() *Error {
	b := r.buf
	n := min(b.left, b.end-b.start)
	if b.to != b.start {
		copy(b.data[b.to:], b.data[b.start:b.start+n])
	}
	b.start, b.to, b.left = b.start+n, b.to+n, b.left-n
	if b.op != OpText || b.rsv1 {
		return nil
	}
	n, ok := validPrefix(b.data[b.checked:b.to])
	if b.checked += n; !ok {
		return badData("text is not UTF-8")
	}
	return nil
}

// deliver returns the message that is complete now.
func (r *Reader) deliver() (Frame, bool, *Error) {
	b := r.buf
	f := Frame{Op: b.op, Data: b.data[b.from:b.to:b.to]}
	b.assembling = false
	switch {
	case b.rsv1:
		var err *Error
		if f.Data, err = r.inflate.message(b.data[b.from:b.to], r.max); err != nil {
			return Frame{}, false, err
		}
		if f.Op == OpText && !ValidUTF8(f.Data) {
			return Frame{}, false, badData("text is not UTF-8")
		}
	case f.Op == OpText && b.checked != b.to:
		return Frame{}, false, badData("text ends inside a code point")
	}
	if len(f.Data) == 0 {
		f.Data = nil
	}
	return f, true, nil
}

// Space returns where the next bytes of the connection go, never empty. What Batch returned before
// is invalid from here on.
func (r *Reader) Space() []byte {
	b := r.buf
	if b == nil {
		r.buf = r.borrow()
		return r.buf.data
	}
	r.forget()
	if r.closed {
		b.assembling, b.start, b.end = false, 0, 0
	}
	if b.assembling {
		r.makeRoom()
		return r.buf.data[r.buf.end:]
	}
	if r.fills >= fillsPerLook {
		r.settle()
	}
	if b.start < b.end {
		r.makeRoom()
		return r.buf.data[r.buf.end:]
	}
	b.start, b.end = 0, 0
	if b.class != r.class {
		b.free()
		r.buf = r.borrow()
	}
	return r.buf.data
}

// Filled tells that n bytes were read into Space.
func (r *Reader) Filled(n int) {
	b := r.buf
	b.end += n
	if b.end == len(b.data) && b.class < classAhead {
		r.class = max(r.class, b.class+1)
	}
	r.peak = max(r.peak, b.end-b.first())
	r.fills = min(r.fills+1, fillsPerLook)
}

// Idle tells that the connection has no bytes at present: what is not needed to go on later goes
// back to the pools. What Batch returned before is invalid from here on.
func (r *Reader) Idle() {
	b := r.buf
	if b == nil {
		return
	}
	r.forget()
	if r.inflate != nil {
		r.inflate.Idle()
	}
	switch keep := b.end - b.first(); {
	case !r.Partial():
		b.free()
		r.buf = nil
	case b.class > classSmall && keep <= classSize(classSmall):
		r.buf = b.moveTo(newBuffer(classSmall))
	}
}

// Partial reports whether the bytes so far end inside a frame or a fragmented message, where the
// connection must not end.
func (r *Reader) Partial() bool {
	b := r.buf
	return b != nil && !r.closed && (b.assembling || b.start < b.end)
}

// Release gives back everything r holds. Only Init may follow.
func (r *Reader) Release() {
	if r.buf != nil {
		r.buf.free()
	}
	if r.inflate != nil {
		r.inflate.Release()
	}
	*r = Reader{closed: true, err: r.err}
}

// forget reuses the memory of what Batch returned outside the read buffer.
func (r *Reader) forget() {
	r.buf.aside = r.buf.aside[:0]
	if r.inflate != nil {
		r.inflate.forget()
	}
}

// fillsPerLook is after how many reads the size of the buffer is looked at again.
const fillsPerLook = 16

// settle shrinks the next buffer to what the reads of late filled.
func (r *Reader) settle() {
	r.class = min(r.class, classFor(2*r.peak))
	r.peak, r.fills = 0, 0
}

// borrow takes a buffer for reading ahead. One that is larger than that needs must be there already.
func (r *Reader) borrow() *buffer {
	if b := pooled(r.class); b != nil {
		return b
	}
	r.class = min(r.class, classAhead)
	return newBuffer(r.class)
}

// makeRoom leaves space behind the bytes that are still needed. Their buffer grows with the bytes
// that came: the length a header claims takes a larger one only if that is lying unused in its pool.
func (r *Reader) makeRoom() {
	b := r.buf
	keep := b.end - b.first()
	class := max(r.class, classFor(keep+max(b.left, leastRead)))
	crowded := len(b.data)-keep < len(b.data)/4
	switch {
	case class == b.class:
	case class == r.class:
		r.buf = b.moveTo(newBuffer(class))
		return
	case class > b.class:
		n := pooled(class)
		if n == nil && crowded {
			n = newBuffer(b.class + 1)
		}
		if n != nil {
			r.class = max(r.class, n.class)
			r.buf = b.moveTo(n)
			return
		}
	}
	if tail := len(b.data) - b.end; keep <= cheapMove || tail < b.left || tail < len(b.data)/4 {
		b.compact(b.data)
	}
}

const (
	leastRead = 1 << 10 // room for a read of unknown size
	cheapMove = 4 << 10 // bytes moved without a second thought
)
