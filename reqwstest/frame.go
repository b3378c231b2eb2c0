package reqwstest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Op is a frame's opcode (RFC 6455, section 5.2).
type Op byte

// The opcodes that RFC 6455 defines.
const (
	OpContinuation Op = 0x0
	OpText         Op = 0x1
	OpBinary       Op = 0x2
	OpClose        Op = 0x8
	OpPing         Op = 0x9
	OpPong         Op = 0xA
)

var opNames = map[Op]string{
	OpContinuation: "continuation", OpText: "text", OpBinary: "binary",
	OpClose: "close", OpPing: "ping", OpPong: "pong",
}

func (op Op) String() string {
	if name, ok := opNames[op]; ok {
		return name
	}
	return fmt.Sprintf("opcode %#x", byte(op))
}

func (op Op) control() bool { return op&0x8 != 0 }

// The reserved bits, for Frame.RSV. RSV1 marks a compressed message where
// permessage-deflate is in use (RFC 7692, section 6).
const (
	RSV1 byte = 4
	RSV2 byte = 2
	RSV3 byte = 1
)

// Frame is one frame as it is on the wire. Text, Binary, Ping, Pong and Close
// make well-formed ones; a literal can say anything, also what no server should.
type Frame struct {
	Fin     bool
	RSV     byte // any of RSV1, RSV2, RSV3
	Op      Op
	Payload []byte // never masked here, whatever Masked says

	// Masked and Key are for sending: a server must not mask (RFC 6455,
	// section 5.1). In received frames they are zero.
	Masked bool
	Key    [4]byte

	// Length, if not 0, is claimed in place of len(Payload).
	Length uint64
	// LengthBits forces the form of the length: 7, 16 or 64. 0 is the shortest
	// that holds it, the only legal one.
	LengthBits int
}

// Text returns a whole text message in one frame. The bytes are not checked.
func Text[P ~string | ~[]byte](p P) Frame { return whole(OpText, []byte(p)) }

// Binary returns a whole binary message in one frame.
func Binary[P ~string | ~[]byte](p P) Frame { return whole(OpBinary, []byte(p)) }

// Ping returns a ping with the given application data.
func Ping[P ~string | ~[]byte](p P) Frame { return whole(OpPing, []byte(p)) }

// Pong returns a pong with the given application data.
func Pong[P ~string | ~[]byte](p P) Frame { return whole(OpPong, []byte(p)) }

// Close returns a close frame. Code 0 stands for an empty body (then the reason
// is ignored); every other code is written as it is, legal or not.
func Close(code int, reason string) Frame {
	if code == 0 {
		return whole(OpClose, nil)
	}
	return whole(OpClose, append(binary.BigEndian.AppendUint16(nil, uint16(code)), reason...))
}

func whole(op Op, p []byte) Frame {
	return Frame{Fin: true, Op: op, Payload: append([]byte{}, p...)}
}

// String describes the frame in a few words: text "hello", close 1000 "bye".
// Long payloads are cut.
func (f Frame) String() string {
	s := fmt.Sprintf("%v %s", f.Op, quote(f.Payload))
	if f.Op == OpClose && len(f.Payload) >= 2 {
		s = fmt.Sprintf("close %d %s", binary.BigEndian.Uint16(f.Payload), quote(f.Payload[2:]))
	}
	if !f.Fin {
		s += " without FIN"
	}
	for i, name := range []string{"RSV3", "RSV2", "RSV1"} {
		if f.RSV&(1<<i) != 0 {
			s += " with " + name
		}
	}
	return s
}

// Encode returns the frames' bytes as they go over the wire, one after the other.
func Encode(frames ...Frame) []byte {
	var b []byte
	for _, f := range frames {
		b = appendFrame(b, f)
	}
	return b
}

func appendFrame(b []byte, f Frame) []byte {
	first := f.RSV&7<<4 | byte(f.Op)&0xF
	if f.Fin {
		first |= 0x80
	}
	var mask byte
	if f.Masked {
		mask = 0x80
	}
	length := f.Length
	if length == 0 {
		length = uint64(len(f.Payload))
	}
	bits := f.LengthBits
	if bits == 0 {
		bits = shortestForm(length)
	}
	switch bits {
	case 7:
		b = append(b, first, mask|byte(length)&0x7F)
	case 16:
		b = binary.BigEndian.AppendUint16(append(b, first, mask|126), uint16(length))
	default:
		b = binary.BigEndian.AppendUint64(append(b, first, mask|127), length)
	}
	if !f.Masked {
		return append(b, f.Payload...)
	}
	b = append(b, f.Key[:]...)
	for i, c := range f.Payload {
		b = append(b, c^f.Key[i%4])
	}
	return b
}

func shortestForm(length uint64) int {
	switch {
	case length <= 125:
		return 7
	case length <= 0xFFFF:
		return 16
	}
	return 64
}

// maxPayload bounds what a client may make this server hold.
const maxPayload = 1 << 30

// Decode reads the next frame, of either side, and unmasks it: Masked and Key say how it came.
// LengthBits is left 0 if the length came in its shortest form. What the frame says is not
// checked. io.EOF means that nothing at all came, io.ErrUnexpectedEOF that the frame was cut
// off.
func Decode(r io.Reader) (Frame, error) {
	var h [8]byte
	if _, err := io.ReadFull(r, h[:2]); err != nil {
		return Frame{}, err
	}
	f := Frame{Fin: h[0]&0x80 != 0, RSV: h[0] >> 4 & 7, Op: Op(h[0] & 0xF), Masked: h[1]&0x80 != 0}
	length, bits := uint64(h[1]&0x7F), 7
	switch length {
	case 126:
		if _, err := io.ReadFull(r, h[:2]); err != nil {
			return f, inside(err)
		}
		length, bits = uint64(binary.BigEndian.Uint16(h[:2])), 16
	case 127:
		if _, err := io.ReadFull(r, h[:8]); err != nil {
			return f, inside(err)
		}
		length, bits = binary.BigEndian.Uint64(h[:8]), 64
	}
	if bits != shortestForm(length) {
		f.LengthBits = bits
	}
	if length > maxPayload {
		return f, violationf("5.2", "a %v frame claims %d bytes", f.Op, length)
	}
	if f.Masked {
		if _, err := io.ReadFull(r, f.Key[:]); err != nil {
			return f, inside(err)
		}
	}
	var payload bytes.Buffer // grows with what comes, not with what was claimed
	if _, err := io.CopyN(&payload, r, int64(length)); err != nil {
		return f, inside(err)
	}
	f.Payload = append([]byte{}, payload.Bytes()...)
	if f.Masked {
		for i := range f.Payload {
			f.Payload[i] ^= f.Key[i%4]
		}
	}
	return f, nil
}

// inside turns the end of the stream into an unexpected one.
func inside(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// quote shows bytes in a failure report, cut to a readable length.
func quote[P ~string | ~[]byte](p P) string {
	const most = 80
	if len(p) <= most {
		return fmt.Sprintf("%q", string(p))
	}
	return fmt.Sprintf("%q... (%d bytes)", string(p[:most]), len(p))
}

// difference says where two long payloads part, or nothing for short ones that
// can be compared by eye.
func difference(got, want []byte) string {
	const short = 40
	if len(got) <= short && len(want) <= short {
		return ""
	}
	i := 0
	for i < len(got) && i < len(want) && got[i] == want[i] {
		i++
	}
	if i == len(got) && i == len(want) {
		return ""
	}
	return fmt.Sprintf("; they part at byte %d: got %s, want %s", i,
		quote(got[i:min(i+20, len(got))]), quote(want[i:min(i+20, len(want))]))
}
