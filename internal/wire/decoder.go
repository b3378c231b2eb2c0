package wire

import (
	"encoding/binary"
	"errors"
	"math/bits"
)

// decoder is a DEFLATE decoder (RFC 1951) that is given its input piece by piece. It stops where that or
// the room for its output ends, and goes on there, which those of compress/flate and its like cannot. It
// reads no further back than what it is lent for that.
type decoder struct {
	cursor
	in       []byte // during a call of decode, what is left of the piece
	literals *[literalTable]code
	offsets  *[offsetTable]code

	ownLiterals [literalTable]code // of a block that brings its codes
	ownOffsets  [offsetTable]code
	preTable    [1 << preRoot]code
	lengths     [maxLiterals + maxOffsets]uint8
}

// cursor is where a decoder stands in its input.
type cursor struct {
	bits   uint64 // taken from the input, not used yet; those from n on mean nothing
	n      uint
	state  decoderState
	inside bool // the last block was not marked as final: RFC 7692 has another one follow
	final  bool // the current block is
	// Of the block's header, what was read:
	literalCodes, offsetCodes, preCodes, have int
	// What was understood, but had no room:
	stored         int // bytes of a stored block
	length, offset int // a match
}

type decoderState uint8

const (
	atBlock decoderState = iota
	atStored
	inStored
	atCodes
	inPreCodes
	inCodes
	inSymbols
)

// output is where decoded bytes go.
type output struct {
	p       []byte // p[:at] is filled
	at      int
	message int    // where the current message began
	window  int    // how far back it may refer beyond its own beginning
	history []byte // what came before p
}

var (
	errBlockType    = errors.New("a block of the reserved type")
	errStoredLength = errors.New("a stored block whose two lengths differ")
	errCodeCount    = errors.New("a block with too many codes")
	errCodes        = errors.New("a block whose codes are no prefix code")
	errSymbol       = errors.New("a code that stands for nothing")
	errOffset       = errors.New("a reference to before the window")
)

// reset makes d ready for the first byte of a message.
func (d *decoder) reset() { d.cursor = cursor{} }

// complete reports whether d is between two blocks, and nothing of its input is left.
func (d *decoder) complete() bool { return d.state == atBlock && d.n == 0 }

// decode goes on with in. It returns how many bytes of that it has used: all, unless it is full, which says
// that there is no room in o for what comes next.
func (d *decoder) decode(in []byte, o *output) (used int, full bool, err error) {
	d.in = in
	more := true
	for more && err == nil {
		switch d.state {
		case atBlock:
			more, err = d.block()
		case atStored:
			more, err = d.storedLength()
		case inStored:
			more, full = d.copyStored(o)
		case atCodes:
			more, err = d.codeCounts()
		case inPreCodes:
			more, err = d.readPreCodes()
		case inCodes:
			more, err = d.readCodes()
		case inSymbols:
			more, full, err = d.symbols(o)
		}
	}
	used = len(in) - len(d.in)
	d.in = nil
	return used, full, err
}

// need reports whether n bits are there, at most 56. If not the input is used up.
func (d *decoder) need(n uint) bool {
	d.bits &= 1<<d.n - 1
	for d.n < n {
		if len(d.in) == 0 {
			return false
		}
		d.bits |= uint64(d.in[0]) << d.n
		d.in = d.in[1:]
		d.n += 8
	}
	return true
}

// take returns the next n bits, which are there.
func (d *decoder) take(n uint) int {
	v := d.bits & (1<<n - 1)
	d.bits >>= n
	d.n -= n
	return int(v)
}

// block reads the first bits of a block, RFC 1951 section 3.2.3.
func (d *decoder) block() (more bool, err error) {
	if !d.need(3) {
		return false, nil
	}
	d.final = d.take(1) == 1
	d.inside = true
	switch d.take(2) {
	case 0:
		d.take(d.n & 7)
		d.state = atStored
	case 1:
		fixed := fixedCodes()
		d.literals, d.offsets = &fixed.literals, &fixed.offsets
		d.state = inSymbols
	case 2:
		d.state = atCodes
	default:
		return false, errBlockType
	}
	return true, nil
}

// endBlock prepares for the next one. After a final block that begins with a whole byte (RFC 7692 section
// 7.2.3.4).
func (d *decoder) endBlock() {
	d.state = atBlock
	if d.final {
		d.take(d.n & 7)
		d.inside = false
	}
}

func (d *decoder) storedLength() (more bool, err error) {
	if !d.need(32) {
		return false, nil
	}
	d.stored = d.take(16)
	if d.take(16) != d.stored^0xffff {
		return false, errStoredLength
	}
	d.state = inStored
	return true, nil
}

func (d *decoder) copyStored(o *output) (more, full bool) {
	for d.stored > 0 {
		room := o.p[o.at:min(len(o.p), o.at+d.stored)]
		n := 0
		switch {
		case d.n == 0 && len(d.in) == 0:
			return false, false
		case len(room) == 0:
			return false, true
		case d.n > 0: // whole bytes that were taken already
			room[0] = byte(d.take(8))
			n = 1
		default:
			n = copy(room, d.in)
			d.in = d.in[n:]
		}
		o.at += n
		d.stored -= n
	}
	d.endBlock()
	return true, false
}

const (
	maxLiterals = 286 // codes of literals and lengths, RFC 1951 section 3.2.7
	maxOffsets  = 30
)

// codeCounts reads how many codes the block has, RFC 1951 section 3.2.7.
func (d *decoder) codeCounts() (more bool, err error) {
	if !d.need(14) {
		return false, nil
	}
	d.literalCodes, d.offsetCodes, d.preCodes = d.take(5)+257, d.take(5)+1, d.take(4)+4
	if d.literalCodes > maxLiterals || d.offsetCodes > maxOffsets {
		return false, errCodeCount
	}
	d.have = 0
	d.state = inPreCodes
	clear(d.lengths[:len(preOrder)])
	return true, nil
}

var preOrder = [...]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// readPreCodes reads the code in which the lengths of the codes are written.
func (d *decoder) readPreCodes() (more bool, err error) {
	for ; d.have < d.preCodes; d.have++ {
		if !d.need(3) {
			return false, nil
		}
		d.lengths[preOrder[d.have]] = uint8(d.take(3))
	}
	if !build(d.preTable[:], preRoot, d.lengths[:len(preOrder)], preSymbols[:]) {
		return false, errCodes
	}
	d.have = 0
	d.state = inCodes
	return true, nil
}

// readCodes reads the lengths of the codes.
func (d *decoder) readCodes() (more bool, err error) {
	all := d.literalCodes + d.offsetCodes
	for d.have < all {
		d.need(14) // or as many as there are
		c := d.preTable[d.bits&(1<<preRoot-1)]
		extra := c.extra()
		switch {
		case c.length()+extra > d.n:
			return false, nil
		case c&isBad != 0:
			return false, errSymbol
		}
		d.take(c.length())
		if c&isLiteral != 0 {
			d.lengths[d.have] = uint8(c.value())
			d.have++
			continue
		}
		var repeat uint8
		times := c.value() + d.take(extra)
		if extra == 2 { // the symbol 16
			if d.have == 0 {
				return false, errCodes
			}
			repeat = d.lengths[d.have-1]
		}
		if d.have+times > all {
			return false, errCodeCount
		}
		for range times {
			d.lengths[d.have] = repeat
			d.have++
		}
	}
	if !build(d.ownLiterals[:], literalRoot, d.lengths[:d.literalCodes], literalSymbols[:]) ||
		!build(d.ownOffsets[:], offsetRoot, d.lengths[d.literalCodes:all], offsetSymbols[:]) {
		return false, errCodes
	}
	d.literals, d.offsets = &d.ownLiterals, &d.ownOffsets
	d.state = inSymbols
	return true, nil
}

// symbols decodes literals and matches up to the end of the block, or as far as it can.
func (d *decoder) symbols(o *output) (more, full bool, err error) {
	if d.length > 0 && !d.resume(o) {
		return false, true, nil
	}
	bits, n, in := d.bits, d.n, d.in
	p, at := o.p, o.at
	literals, offsets := d.literals, d.offsets
	for {
		// The longest symbol has 48 bits. If there are fewer, the input is used up.
		if len(in) >= 8 {
			bits |= binary.LittleEndian.Uint64(in) << (n & 63)
			in = in[(63-n)>>3:]
			n |= 56
		} else {
			bits &= 1<<n - 1
			for n < 56 && len(in) > 0 {
				bits |= uint64(in[0]) << n
				in = in[1:]
				n += 8
			}
		}
		c := literals[bits&(1<<literalRoot-1)]
		for c&isLiteral != 0 && c.length() <= n && at < len(p) {
			p[at] = byte(c >> valueShift)
			at++
			bits >>= c.length() & 63
			n -= c.length()
			c = literals[bits&(1<<literalRoot-1)]
		}
		if n < 48 && len(in) > 0 {
			continue
		}
		if c&isLink != 0 {
			c = literals[c.link(bits>>literalRoot)&(literalTable-1)]
		}
		used := c.length()
		if used > n {
			break
		}
		if c&isLiteral != 0 {
			if at == len(p) {
				full = true
				break
			}
			p[at] = byte(c >> valueShift)
			at++
			bits >>= used & 63
			n -= used
			continue
		}
		if c&(isEnd|isBad) != 0 {
			if c&isBad != 0 {
				err = errSymbol
				break
			}
			d.bits, d.n, d.in = bits>>(used&63), n-used, in
			o.at = at
			d.endBlock()
			return true, false, nil
		}
		rest := bits >> (used & 63)
		length := c.value() + int(rest&(1<<c.extra()-1))
		rest >>= c.extra()
		used += c.extra()

		c = offsets[rest&(1<<offsetRoot-1)]
		if c&isLink != 0 {
			c = offsets[c.link(rest>>offsetRoot)&(offsetTable-1)]
		}
		rest >>= c.length() & 63
		used += c.length()
		if c&isBad == 0 {
			used += c.extra()
		}
		if used > n {
			break
		}
		if c&isBad != 0 {
			err = errSymbol
			break
		}
		offset := c.value() + int(rest&(1<<c.extra()-1))
		bits = rest >> c.extra()
		n -= used
		if offset > o.window && offset > at-o.message || offset > at+len(o.history) {
			err = errOffset
			break
		}
		switch from := at - offset; {
		case offset >= 8 && from >= 0 && at+maxMatch+8 <= len(p):
			// Eight bytes at a time, up to seven too many: what follows overwrites them.
			end := at + length
			for at < end {
				binary.LittleEndian.PutUint64(p[at:], binary.LittleEndian.Uint64(p[from:]))
				at += 8
				from += 8
			}
			at = end
		default:
			o.at = at
			d.length, d.offset = length, offset
			fits := d.resume(o)
			at = o.at
			if !fits {
				full = true
			}
		}
		if full {
			break
		}
	}
	d.bits, d.n, d.in = bits&(1<<n-1), n, in
	o.at = at
	return false, full, err
}

const maxMatch = 258

// resume copies a match, or the rest of it. It reports false if there is no room for the end.
func (d *decoder) resume(o *output) bool {
	for d.length > 0 && o.at < len(o.p) {
		var from []byte
		if back := d.offset - o.at; back > 0 {
			from = o.history[len(o.history)-back:]
		} else {
			from = o.p[o.at-d.offset : o.at]
		}
		n := copy(o.p[o.at:], from[:min(d.length, len(from))])
		o.at += n
		d.length -= n
	}
	return d.length == 0
}

// code is an entry of a table: what the bits that lead to it stand for.
type code uint32

const (
	isLiteral code = 1 << 15 // value is one
	isLink    code = 1 << 14 // value is where a table for the bits that follow begins, extra how many these are
	isEnd     code = 1 << 13 // of the block
	isBad     code = 1 << 12 // stands for nothing
	// else a length or offset: value, and the number in the extra bits that follow

	extraShift = 8
	valueShift = 16
)

func (c code) length() uint { return uint(c & 0xff) } // bits of the code, extra bits not counted
func (c code) extra() uint  { return uint(c>>extraShift) & 0xf }
func (c code) value() int   { return int(c >> valueShift) }

// link returns the index of the entry for the bits that follow.
func (c code) link(bits uint64) uint {
	return uint(c>>valueShift) + uint(bits)&(1<<c.extra()-1)
}

// The sizes of tables: first that for the bits which are looked up at once, behind it those for the bits of longer
// codes. No prefix code of 286 symbols needs more than 852 entries for 9 bits, and none of 30 more than 402 for 8.
const (
	preRoot      = 7
	literalRoot  = 9
	offsetRoot   = 8
	literalTable = 1024
	offsetTable  = 512
	longestCode  = 15
)

// build makes the table of the code whose symbols have these lengths, 0 for those that do not occur. It
// reports false if that is no complete prefix code; an empty one, and one with a single symbol of one bit, will do.
func build(table []code, root uint, lengths []uint8, symbols []code) bool {
	var count [longestCode + 1]int
	for _, n := range lengths {
		count[n&longestCode]++
	}
	used := len(lengths) - count[0]
	count[0] = 0
	left := 1
	for n := 1; n <= longestCode; n++ {
		if left = left<<1 - count[n]; left < 0 {
			return false
		}
	}
	if left > 0 {
		if used > 1 || used == 1 && count[1] == 0 {
			return false
		}
		buildSparse(table[:1<<root], lengths, symbols)
		return true
	}

	var at [longestCode + 1]int
	for n := 1; n < longestCode; n++ {
		at[n+1] = at[n] + count[n]
	}
	var sorted [288]uint16
	for i, n := range lengths {
		if n > 0 {
			sorted[at[n&longestCode]] = uint16(i)
			at[n&longestCode]++
		}
	}

	// Codes are read from their highest bit on, so their order is that of their bits reversed. The
	// table for the first n bits is complete, but for longer codes, before that for n+1 begins as two
	// copies of it.
	var word uint // the next code, reversed
	n, next := uint(0), 0
	for n < root {
		copy(table[1<<n:], table[:1<<n])
		n++
		for range count[n] {
			table[word] = symbols[sorted[next]] | code(n)
			next++
			word = following(word, n)
		}
	}
	end := uint(1) << root
	prefix := ^uint(0)
	var start, width uint
	for n < longestCode {
		n++
		for i := range count[n] {
			if p := word & (1<<root - 1); p != prefix {
				prefix, start, width = p, end, n-root
				for space := count[n] - i; space < 1<<width; {
					width++
					space = space<<1 + count[root+width]
				}
				end = start + 1<<width
				table[prefix] = isLink | code(start)<<valueShift | code(width)<<extraShift
			}
			for j := start + word>>root; j < end; j += 1 << (n - root) {
				table[j] = symbols[sorted[next]] | code(n)
			}
			next++
			word = following(word, n)
		}
	}
	return true
}

// buildSparse makes the table of a code that has one symbol, of one bit, or none.
func buildSparse(table []code, lengths []uint8, symbols []code) {
	for i := range table {
		table[i] = isBad | 1
	}
	for i, n := range lengths {
		for j := 0; n > 0 && j < len(table); j += 2 {
			table[j] = symbols[i] | 1
		}
	}
}

// following adds one to word, n bits whose highest comes first. After the last it returns 0.
func following(word, n uint) uint {
	free := ^word & (1<<n - 1)
	if free == 0 {
		return 0
	}
	bit := uint(1) << (bits.Len(free) - 1)
	return word&(bit-1) | bit
}
