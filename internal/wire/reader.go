package wire

import (
	"encoding/binary"
	"math"
)

// Reader turns the bytes of one connection into frames, in place. The owner reads the socket into
// Space, tells Filled, and takes the frames with Batch until it returns none. While a Reader is idle it
// holds no buffer.
type Reader struct {
	buf     *buffer
	inflate *Inflate
	err     *Error
	max     int
	peak    int   // the most bytes held at once since class was last looked at
	class   uint8 // of the next buffer
	fills   uint8
	full    uint8 // reads in a row that filled their buffer
	closed  bool  // a close frame was returned, or Ignore called: what follows is not looked at
	lent    bool  // the last batch had frames,
	mixed   bool  // of control among them
	pieces  bool  // see Pieces
	narrow  bool  // see Narrow
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

// Narrow has r read little at once, for a connection that holds its buffer while it waits.
func (r *Reader) Narrow() { r.narrow = true }

// Prime takes the bytes that came behind the handshake's answer. It copies rest.
func (r *Reader) Prime(rest []byte) {
	if len(rest) == 0 {
		return
	}
	r.buf = newBuffer(classFor(len(rest)))
	r.buf.end = copy(r.buf.data, rest)
}

// Batch puts the next whole messages and control frames into dst and returns how many: none if it needs
// more bytes. Fewer than dst holds are no sign of that, since a batch ends, too, where a buffer is full
// of inflated messages: it holds no more of them than 72 KiB, or one alone. Their data is valid
// until the next Batch or Release, which reuse its memory. An error, always an *Error, comes with the frames
// that were complete before it, and is returned for ever. Nothing follows a close frame.
func (r *Reader) Batch(dst []Frame) (n int, err error) {
	if r.lent {
		r.takeBack()
	}
	r.mixed = false
	for n < len(dst) {
		n += r.simple(dst[n:])
		if n == len(dst) {
			break
		}
		f, ok, e := r.next()
		if !ok {
			err = e
			break
		}
		r.mixed = r.mixed || f.Op.control()
		dst[n] = f
		n++
	}
	if n > 0 {
		r.lent, r.buf.lent = true, true
	}
	return n, err
}

// Control reports whether there were control frames among those that Batch returned last.
func (r *Reader) Control() bool { return r.mixed }

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
		f.Op, f.More, f.Data, f.Code = op, false, data, 0
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
			if ok && err == nil {
				err = r.check(h)
			}
			if !ok || err != nil || h.op.control() {
				if f, some := r.piece(); some {
					return f, true, nil // which comes before what this is
				}
			}
			switch {
			case !ok || err != nil:
				return Frame{}, false, err
			case h.op.control():
				return r.control(h)
			}
			b.begin(h, r.pieces)
		}
		if err := r.take(); err != nil {
			return Frame{}, false, err
		}
		if b.left > 0 {
			f, ok := r.piece()
			return f, ok, nil
		}
		if b.fin {
			return r.deliver()
		}
		b.inFrame = false
	}
}

// check holds a header against what came before it and what was agreed. The compressed form of a message has
// no bound of its own: it is not held.
func (r *Reader) check(h header) *Error {
	b := r.buf
	if err := r.inOrder(h, b.assembling); err != nil || h.op.control() {
		return err
	}
	held := 0
	switch {
	case b.assembling && b.rsv1, h.rsv1:
		return nil
	case b.assembling:
		held = b.gone + b.to - b.from
	}
	if h.length > uint64(r.max-held) {
		return tooBig(r.max)
	}
	return nil
}

// inOrder checks whether a frame may come at all; inside says that a message is not at its end.
func (r *Reader) inOrder(h header, inside bool) *Error {
	switch {
	case h.rsv1 && r.inflate == nil:
		return violation("reserved bits 0x%x set", bitRSV1)
	case h.rsv1 && (h.op.control() || h.op == OpContinuation):
		return violation("RSV1 set on a %v frame", h.op)
	case h.op.control():
		return nil
	case h.op == OpContinuation && !inside:
		return violation("continuation frame without a message to continue")
	case h.op != OpContinuation && inside:
		return violation("new %v frame inside a fragmented message", h.op)
	}
	return nil
}

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
	if b.joining() && len(f.Data) > 0 {
		b.aside = append(b.aside, f.Data...)
		f.Data = b.aside[len(b.aside)-len(f.Data) : len(b.aside) : len(b.aside)]
	}
	return f, true, nil
}

// splitClose parts the payload of a close frame into code and reason, RFC 6455 section 5.5.1.
func (f *Frame) splitClose() *Error {
	if len(f.Data) == 0 {
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
func (b *buffer) begin(h header, inPieces bool) {
	b.start += h.size
	if !b.assembling {
		b.assembling, b.inPieces, b.op, b.rsv1 = true, inPieces, h.op, h.rsv1
		b.from, b.to, b.gone, b.text = b.start, b.start, 0, Text{}
	}
	if b.from == b.to { // nothing to be joined with: what lies between may be lent
		b.from, b.to = b.start, b.start
	}
	b.inFrame, b.fin, b.left = true, h.fin, int64(h.length)
}

// take joins the payload bytes that are there to the message and checks them. Those that are compressed it
// inflates, as far as there is room.
func (r *Reader) take() *Error {
	b := r.buf
	n := int(min(b.left, int64(b.end-b.start)))
	if b.rsv1 {
		n, _, err := r.inflate.write(b.data[b.start:b.start+n], b.op == OpText, r.max)
		b.start, b.left = b.start+n, b.left-int64(n)
		return err
	}
	if b.to != b.start {
		copy(b.data[b.to:], b.data[b.start:b.start+n])
	}
	b.start, b.to, b.left = b.start+n, b.to+n, b.left-int64(n)
	if b.op == OpText && !b.text.Add(b.data[b.to-n:b.to]) {
		return badText()
	}
	return nil
}

// deliver returns the message that has come whole. Not ok: the end of it has no room in this batch.
func (r *Reader) deliver() (Frame, bool, *Error) {
	b := r.buf
	f := Frame{Op: b.op}
	if b.rsv1 {
		data, crowded, err := r.inflate.finish(f.Op == OpText, r.max)
		if crowded {
			f, ok := r.piece()
			return f, ok, nil
		}
		if err != nil {
			return Frame{}, false, err
		}
		f.Data = data
	} else {
		if f.Op == OpText && !b.text.Whole() {
			return Frame{}, false, badData("text ends inside a code point")
		}
		f.Data = b.data[b.from:b.to:b.to]
	}
	b.inFrame, b.assembling = false, false
	if len(f.Data) == 0 {
		f.Data = nil
	}
	return f, true, nil
}

// Space returns where the next bytes of the connection go, never empty. Bytes that were not parsed stay, as
// do the frames of the last Batch: one may read on before the next.
func (r *Reader) Space() []byte {
	b := r.buf
	if b == nil {
		if r.buf = pooled(r.class); r.buf == nil {
			r.class = min(r.class, classWide)
			r.buf = newBuffer(r.class)
		}
		return r.buf.data[:min(len(r.buf.data), mostWide)]
	}
	if r.closed {
		b.assembling, b.start = false, b.end
	}
	if b.lent {
		if len(b.data)-b.end < leastRead {
			r.buf = b.moveTo(newBuffer(max(min(r.class, classAhead), classFor(2*(b.end-b.first())))))
		}
	} else {
		r.makeRoom()
	}
	b = r.buf
	if b.class <= classWide {
		return b.data[b.end:]
	}
	return b.data[b.end:min(len(b.data), b.end+b.awaited()+mostAhead)]
}

// Filled tells that n bytes were read into Space.
func (r *Reader) Filled(n int) {
	b := r.buf
	b.end += n
	switch {
	case b.end < len(b.data):
		r.full = 0
	case b.class < classAhead || r.full >= wideAfter && b.class < classWide && !r.narrow && !r.pieces:
		r.class = max(r.class, b.class+1)
	default:
		r.full = min(r.full+1, wideAfter)
	}
	r.peak = max(r.peak, b.end-b.first())
	r.fills = min(r.fills+1, fillsPerLook)
}

// Ignore tells that nothing more will be taken with Batch: what still comes is not kept.
func (r *Reader) Ignore() { r.closed = true }

// Buffered returns how many bytes r holds that were not returned yet: unparsed ones, and what there is of
// a message that is not whole.
func (r *Reader) Buffered() int {
	b := r.buf
	if b == nil || r.closed {
		return 0
	}
	n := b.end - b.start
	if b.joining() {
		n += b.to - b.from
	}
	if r.inflate != nil {
		n += r.inflate.held()
	}
	return n
}

// HasClose reports whether a whole, well-formed close frame is among the bytes that were not parsed yet. It
// changes nothing, and looks at headers only, of frames that may follow each other, not at their payloads.
func (r *Reader) HasClose() bool {
	b := r.buf
	if b == nil || r.closed {
		return false
	}
	p, inside := b.data[b.start:b.end], b.assembling
	if b.inFrame {
		if b.left > int64(len(p)) {
			return false
		}
		p, inside = p[b.left:], !b.fin
	}
	for {
		h, ok, err := parseHeader(p)
		if !ok || err != nil || r.inOrder(h, inside) != nil || h.length > uint64(len(p)-h.size) {
			return false
		}
		end := h.size + int(h.length)
		switch {
		case h.op == OpClose:
			f := Frame{Op: h.op, Data: p[h.size:end]}
			return f.splitClose() == nil
		case !h.op.control():
			inside = !h.fin
		}
		p = p[end:]
	}
}

// Idle tells that the connection has no bytes at present: what is not needed to go on later goes
// back to the pools, unless the last Batch lent it.
func (r *Reader) Idle() {
	b := r.buf
	if b == nil || r.lent {
		return
	}
	if r.inflate != nil {
		r.inflate.idle()
	}
	keep := b.end - b.first()
	switch class := classFor(keep); {
	case !r.Partial():
		b.free()
		r.buf = nil
	case class < b.class && keep <= max(cheapMove, len(b.data)/16):
		r.buf = b.moveTo(newBuffer(class)) // more of a message than that is taken for soon to be whole
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
		r.buf.takeBack()
		r.buf.free()
	}
	if r.inflate != nil {
		r.inflate.release()
	}
	*r = Reader{closed: true, err: r.err}
}

// takeBack reuses the memory that the last Batch lent.
func (r *Reader) takeBack() {
	r.lent = false
	r.buf.takeBack()
	if r.inflate != nil {
		r.inflate.forget()
	}
}

// fillsPerLook is after how many reads the size of the buffer is looked at again.
const fillsPerLook = 16

// settle shrinks the next buffer to what the reads of late filled. Only messages need more than is read ahead.
func (r *Reader) settle() {
	r.class = min(r.class, classFor(2*r.peak))
	if r.peak <= mostWide {
		r.class = min(r.class, classWide)
	}
	r.peak, r.fills = 0, 0
}

// makeRoom leaves space behind the bytes that are still needed. Their buffer grows with the bytes that
// came: the length a header claims takes a larger one only if that is lying unused in its pool. A large one is
// given back a few reads after the last message that needed it.
func (r *Reader) makeRoom() {
	b := r.buf
	keep, awaited := b.end-b.first(), b.awaited()
	r.peak = max(r.peak, keep+awaited)
	if r.fills >= fillsPerLook {
		r.settle()
	}
	class := max(r.class, classFor(keep+max(awaited, leastRead)))
	wide := b.class
	if b.joining() && wide > classSmall {
		wide-- // it may have grown for this message, by one class more than needed so far
	}
	switch {
	case class < wide, class > b.class && class == r.class && class <= classWide:
		r.buf = b.moveTo(newBuffer(class))
		return
	case class > b.class:
		n := pooled(class)
		if n == nil && len(b.data)-keep < len(b.data)/4 {
			n = newBuffer(b.class + 1)
		}
		if n != nil {
			r.class = max(r.class, n.class)
			r.buf = b.moveTo(n)
			return
		}
	}
	if tail := len(b.data) - b.end; keep <= cheapMove || tail < awaited || tail < len(b.data)/4 {
		b.compact(b.data)
	}
}

const (
	leastRead = 1 << 10 // room for a read of unknown size
	cheapMove = 4 << 10 // bytes moved without a second thought
)
