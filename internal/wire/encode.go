package wire

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
)

// MaxHeader is the size of the longest header of a client's frame.
const MaxHeader = 14

// NewKey returns a fresh masking key that nobody can predict (RFC 6455 section 5.3): the runtime
// seeds math/rand/v2's ChaCha8 from the operating system's entropy.
func NewKey() uint32 { return rand.Uint32() }

// AppendHeader appends the header of a client's frame with n bytes of payload, which are to follow
// masked with key.
func AppendHeader(dst []byte, op Opcode, fin, rsv1 bool, n int, key uint32) []byte {
	b := byte(op)
	if fin {
		b |= bitFin
	}
	if rsv1 {
		b |= bitRSV1
	}
	switch {
	case n < 126:
		dst = append(dst, b, bitMask|byte(n))
	case n < 1<<16:
		dst = append(dst, b, bitMask|126, byte(n>>8), byte(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, b, bitMask|127), uint64(n))
	}
	return binary.LittleEndian.AppendUint32(dst, key)
}

// AppendFrame appends a whole, masked client's frame. It does not check op and payload.
func AppendFrame(dst []byte, op Opcode, payload []byte, key uint32) []byte {
	dst = slices.Grow(dst, MaxHeader+len(payload))
	dst = AppendHeader(dst, op, true, false, len(payload), key)
	n := len(dst)
	dst = dst[:n+len(payload)]
	Mask(dst[n:], payload, key, 0)
	return dst
}

// AppendClose appends a masked close frame; one without a payload if code is 0. The reason
// is UTF-8 of at most 123 bytes, which is not checked.
func AppendClose(dst []byte, code uint16, reason []byte, key uint32) []byte {
	if code == 0 {
		return AppendHeader(dst, OpClose, true, false, 0, key)
	}
	dst = AppendHeader(dst, OpClose, true, false, 2+len(reason), key)
	n := len(dst)
	dst = append(binary.BigEndian.AppendUint16(dst, code), reason...)
	Mask(dst[n:], dst[n:], key, 0)
	return dst
}
