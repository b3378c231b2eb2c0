package reqwstest

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// violation is a breach of RFC 6455 by the client.
type violation struct{ section, what string }

func violationf(section, format string, args ...any) error {
	return &violation{section, fmt.Sprintf(format, args...)}
}

func (v *violation) Error() string {
	return fmt.Sprintf("the client broke RFC 6455, section %s: %s", v.section, v.what)
}

// message is a whole message, put together and inflated, or a control frame.
type message struct {
	op      Op
	payload []byte
}

func (m message) String() string { return Frame{Fin: true, Op: m.op, Payload: m.payload}.String() }

// rules follows the frames of one client and holds them to the standard.
type rules struct {
	deflate     bool // permessage-deflate was accepted
	noTakeover  bool // the client compresses each message afresh
	window      []byte
	keys        [][4]byte // the last four
	frames      int
	open        bool // a fragmented message has begun
	first       Frame
	partial     []byte
	closeBefore bool
}

// frame checks one received frame. If it completes a message, or is a control
// frame, that is returned.
func (r *rules) frame(f Frame) (*message, error) {
	if err := r.header(f); err != nil {
		return nil, err
	}
	if err := r.key(f.Key); err != nil {
		return nil, err
	}
	if f.Op.control() {
		if f.Op == OpClose {
			r.closeBefore = true
			if err := checkClose(f.Payload); err != nil {
				return nil, err
			}
		}
		return &message{f.Op, f.Payload}, nil
	}
	return r.data(f)
}

func (r *rules) header(f Frame) error {
	allowed := byte(0)
	if r.deflate && (f.Op == OpText || f.Op == OpBinary) {
		allowed = RSV1
	}
	switch {
	case !f.Masked:
		return violationf("5.1", "a frame is not masked: %v", f)
	case opNames[f.Op] == "":
		return violationf("5.2", "reserved %v", f)
	case f.RSV&^allowed != 0:
		return violationf("5.2", "reserved bits that no extension explains: %v", f)
	case f.LengthBits != 0:
		return violationf("5.2", "the length %d is not in its shortest form but in %d bits: %v", len(f.Payload), f.LengthBits, f)
	case f.Op.control() && !f.Fin:
		return violationf("5.4", "a fragmented control frame: %v", f)
	case f.Op.control() && len(f.Payload) > 125:
		return violationf("5.5", "a control frame of %d bytes: %v", len(f.Payload), f)
	case r.closeBefore:
		return violationf("5.5.1", "a frame after the close frame: %v", f)
	case f.Op == OpContinuation && !r.open:
		return violationf("5.4", "a continuation of nothing: %v", f)
	case f.Op != OpContinuation && !f.Op.control() && r.open:
		return violationf("5.4", "a new message before the last one was finished: %v", f)
	}
	return nil
}

// key wants masking keys that nobody can foretell (section 5.3). Chance finds
// fault with a good one once in about a thousand million frames.
func (r *rules) key(k [4]byte) error {
	r.frames++
	before := r.keys
	r.keys = append(before[max(0, len(before)-3):len(before):len(before)], k)
	switch {
	case k == [4]byte{}:
		return violationf("5.3", "the masking key of frame %d is zero", r.frames)
	case len(before) > 0 && before[len(before)-1] == k:
		return violationf("5.3", "frames %d and %d have the same masking key % x", r.frames-1, r.frames, k)
	case len(r.keys) == 4 && (evenSteps(r.keys, binary.BigEndian) || evenSteps(r.keys, binary.LittleEndian)):
		return violationf("5.3", "the last four masking keys only count: % x", r.keys)
	}
	return nil
}

// evenSteps reports whether the keys, read as numbers, lie equally far apart.
func evenSteps(keys [][4]byte, order binary.ByteOrder) bool {
	step := order.Uint32(keys[1][:]) - order.Uint32(keys[0][:])
	for i := 2; i < len(keys); i++ {
		if order.Uint32(keys[i][:])-order.Uint32(keys[i-1][:]) != step {
			return false
		}
	}
	return true
}

func (r *rules) data(f Frame) (*message, error) {
	if !r.open {
		r.open, r.first, r.partial = true, f, nil
	}
	r.partial = append(r.partial, f.Payload...)
	if !f.Fin {
		return nil, nil
	}
	r.open = false
	m := &message{r.first.Op, r.partial}
	if r.first.RSV&RSV1 != 0 {
		var err error
		if m.payload, err = r.inflate(m.payload); err != nil {
			return nil, err
		}
	}
	if m.op == OpText && !utf8.Valid(m.payload) {
		return nil, violationf("5.6", "a text message is not UTF-8: %s", quote(m.payload))
	}
	return m, nil
}

// inflate undoes permessage-deflate (RFC 7692, section 7.2.2). The empty final
// block after the tail makes the reader see an end.
func (r *rules) inflate(p []byte) ([]byte, error) {
	tail := strings.NewReader("\x00\x00\xff\xff\x01\x00\x00\xff\xff")
	in := flate.NewReaderDict(io.MultiReader(bytes.NewReader(p), tail), r.window)
	out, err := io.ReadAll(io.LimitReader(in, maxPayload))
	if err != nil {
		return nil, violationf("5.2", "a compressed message cannot be inflated (%v): %s", err, quote(p))
	}
	if !r.noTakeover {
		const reach = 32 << 10
		r.window = append(r.window, out...)
		r.window = append([]byte(nil), r.window[max(0, len(r.window)-reach):]...)
	}
	return out, nil
}

func checkClose(body []byte) error {
	if len(body) == 0 {
		return nil
	}
	if len(body) == 1 {
		return violationf("5.5.1", "a close frame with half a code: %q", body)
	}
	code := binary.BigEndian.Uint16(body)
	legal := code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006 || code >= 3000 && code <= 4999
	if !legal {
		return violationf("7.4", "close code %d may not be sent", code)
	}
	if !utf8.Valid(body[2:]) {
		return violationf("5.5.1", "the close reason is not UTF-8: %q", body[2:])
	}
	return nil
}
