package wire

import (
	"bytes"
	"encoding/binary"
	"unicode/utf8"
)

// reference parses p, all that ever comes, in the plainest way: the frames in it, and the code of the
// breach they end with, 0 for none. server is nil without permessage-deflate.
func reference(p []byte, limit int, server *strict) (frames []Frame, code uint16) {
	var op Opcode
	var message []byte
	var compressed, inside bool
	for len(p) >= 2 {
		o, fin, rsv1 := Opcode(p[0]&15), p[0]&0x80 != 0, p[0]&0x40 != 0
		n, size := uint64(p[1]&0x7f), 2
		control := o >= 8
		if p[0]&0x30 != 0 || o > 2 && o < 8 || o > 10 || p[1]&0x80 != 0 || control && (!fin || n > 125) {
			return frames, 1002
		}
		switch n {
		case 126:
			if size = 4; len(p) < size {
				return frames, 0
			}
			if n = uint64(binary.BigEndian.Uint16(p[2:])); n < 126 {
				return frames, 1002
			}
		case 127:
			if size = 10; len(p) < size {
				return frames, 0
			}
			if n = binary.BigEndian.Uint64(p[2:]); n < 1<<16 || n >= 1<<63 {
				return frames, 1002
			}
		}
		if rsv1 && (server == nil || control || o == 0) {
			return frames, 1002
		}
		if !control {
			if (o == 0) != inside {
				return frames, 1002
			}
			if o != 0 {
				op, compressed, message, inside = o, rsv1, nil, true
			}
			if !compressed && n > uint64(limit-len(message)) {
				return frames, 1009
			}
		}
		p = p[size:]
		here := p[:min(n, uint64(len(p)))]
		whole := uint64(len(here)) == n
		p = p[len(here):]
		switch {
		case control && !whole:
			return frames, 0
		case o == OpClose:
			f := Frame{Op: o}
			if n == 1 {
				return frames, 1002
			}
			if n > 1 {
				if f.Code = int(binary.BigEndian.Uint16(here)); !ValidCloseCode(uint16(f.Code)) {
					return frames, 1002
				}
				if f.Data = here[2:]; !utf8.Valid(f.Data) {
					return frames, 1007
				}
			}
			return append(frames, f), 0
		case control:
			frames = append(frames, Frame{Op: o, Data: here})
			continue
		}
		message = append(message, here...)
		end := whole && fin
		plain := message
		if compressed {
			var seen []byte
			seen = append(seen, server.out...)
			var err error
			plain, err = server.message(message, end)
			plain = bytes.Clone(plain)
			if !end {
				server.out = seen // it begins anew when there is more
			}
			switch {
			case op == OpText && !validStart(plain[:min(len(plain), limit)], false):
				return frames, 1007
			case len(plain) > limit:
				return frames, 1009
			case err != nil:
				return frames, 1007
			}
		}
		if op == OpText && !validStart(plain, end) {
			return frames, 1007
		}
		if !whole {
			return frames, 0
		}
		if fin {
			inside = false
			frames = append(frames, Frame{Op: op, Data: plain})
		}
	}
	return frames, 0
}

// validStart reports whether p begins UTF-8; if whole, whether it is all of it.
func validStart(p []byte, whole bool) bool {
	for len(p) > 0 {
		r, n := utf8.DecodeRune(p)
		if r == utf8.RuneError && n == 1 {
			return !whole && !utf8.FullRune(p)
		}
		p = p[n:]
	}
	return true
}
