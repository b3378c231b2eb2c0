package wire

import "encoding/binary"

const (
	bitFin    = 0x80
	bitRSV1   = 0x40
	bitsRSV23 = 0x30
	bitMask   = 0x80

	maxControl = 125 // bytes of a control frame's payload, RFC 6455 section 5.5
)

type header struct {
	op        Opcode
	fin, rsv1 bool
	size      int // of the header itself
	length    uint64
}

// parseHeader reads the header of a server's frame at the front of p and checks what it can know
// by itself. Not ok: p ends before the header does.
func parseHeader(p []byte) (h header, ok bool, err *Error) {
	if len(p) < 2 {
		return h, false, nil
	}
	h = header{op: Opcode(p[0] & 0xf), fin: p[0]&bitFin != 0, rsv1: p[0]&bitRSV1 != 0, size: 2}
	n := p[1] &^ bitMask
	switch {
	case p[0]&bitsRSV23 != 0:
		return h, false, violation("reserved bits 0x%x set", p[0]&(bitRSV1|bitsRSV23))
	case h.op.reserved():
		return h, false, violation("reserved opcode 0x%x", uint8(h.op))
	case p[1]&bitMask != 0:
		return h, false, violation("masked frame from the server")
	case h.op.control() && !h.fin:
		return h, false, violation("fragmented %v frame", h.op)
	case h.op.control() && n > maxControl:
		return h, false, violation("%v frame with more than %d bytes", h.op, maxControl)
	case n < 126:
		h.length = uint64(n)
		return h, true, nil
	case n == 126:
		return extended16(h, p)
	}
	return extended64(h, p)
}

func extended16(h header, p []byte) (header, bool, *Error) {
	if h.size = 4; len(p) < h.size {
		return h, false, nil
	}
	if h.length = uint64(binary.BigEndian.Uint16(p[2:])); h.length < 126 {
		return h, false, violation("length %d not in its shortest form", h.length)
	}
	return h, true, nil
}

func extended64(h header, p []byte) (header, bool, *Error) {
	if h.size = 10; len(p) < h.size {
		return h, false, nil
	}
	h.length = binary.BigEndian.Uint64(p[2:])
	switch {
	case h.length>>63 != 0:
		return h, false, violation("64-bit length with its top bit set")
	case h.length < 1<<16:
		return h, false, violation("length %d not in its shortest form", h.length)
	}
	return h, true, nil
}
