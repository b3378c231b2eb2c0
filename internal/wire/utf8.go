package wire

import (
	"encoding/binary"
	"unicode/utf8"
	"unsafe"
)

// highBits has the bit set that no ASCII byte has, in each of eight bytes.
const highBits = 0x8080808080808080

// ShortASCII reports whether p is ASCII, of the length that small messages often have. It is inlined
// where ValidUTF8 is not; that false says nothing.
func ShortASCII(p []byte) bool {
	n := len(p)
	return n >= 8 && n <= 16 && (binary.LittleEndian.Uint64(p)|binary.LittleEndian.Uint64(p[n-8:]))&highBits == 0
}

// What it takes for validBlocks to be worth its call, if there is anything but ASCII, and anyhow.
const (
	leastMixed  = 32
	leastBlocks = 128
)

// ValidUTF8 reports whether p is UTF-8. It is utf8.Valid behind faster walks.
func ValidUTF8(p []byte) bool {
	if avx2 && len(p) >= leastBlocks {
		n := len(p) &^ 63
		if !validBlocks(unsafe.SliceData(p), n) {
			return false
		}
		p = p[lastStart(p[:n]):]
	}
	return validShort(p)
}

// lastStart is where the last code point of p begins, if it may not be whole; else it may be the end.
func lastStart(p []byte) int {
	for i := len(p) - 1; i >= max(0, len(p)-utf8.UTFMax+1); i-- {
		if utf8.RuneStart(p[i]) {
			return i
		}
	}
	return len(p)
}

// validShort is ValidUTF8 for what is not long enough for validBlocks. It takes any length.
func validShort(p []byte) bool {
	if len(p) < 8 {
		return utf8.Valid(p)
	}
	le := binary.LittleEndian
	last := le.Uint64(p[len(p)-8:])
	for len(p) >= 64 {
		q := (*[64]byte)(p)
		v := le.Uint64(q[0:]) | le.Uint64(q[8:]) | le.Uint64(q[16:]) | le.Uint64(q[24:])
		w := le.Uint64(q[32:]) | le.Uint64(q[40:]) | le.Uint64(q[48:]) | le.Uint64(q[56:])
		if (v|w)&highBits != 0 {
			return validMixed(p)
		}
		p = p[64:]
	}
	for len(p) >= 16 {
		q := (*[16]byte)(p)
		if (le.Uint64(q[0:])|le.Uint64(q[8:]))&highBits != 0 {
			return validMixed(p)
		}
		p = p[16:]
	}
	if len(p) > 8 {
		last |= le.Uint64(p)
	}
	return last&highBits == 0 || validMixed(p)
}

// validMixed is validShort for what is not ASCII.
func validMixed(p []byte) bool {
	var block [leastBlocks]byte
	if !avx2 || len(p) < leastMixed || len(p) >= len(block) {
		return utf8.Valid(p)
	}
	copy(block[:], p)
	return validBlocks(&block[0], (len(p)+64)&^63) // one zero at least ends it
}

// Text checks the UTF-8 of a text that comes in pieces, which may be cut inside code points.
type Text struct {
	open [utf8.UTFMax]byte // a code point that is not whole yet,
	n    uint8             // so much of it
}

// Add goes on with p. It reports false if that cannot be so, whatever follows.
func (t *Text) Add(p []byte) bool {
	for t.n > 0 && len(p) > 0 {
		t.open[t.n] = p[0]
		t.n++
		p = p[1:]
		if begun := t.open[:t.n]; utf8.FullRune(begun) {
			if !utf8.Valid(begun) {
				return false
			}
			t.n = 0
		}
	}
	if t.n > 0 {
		return true
	}
	n, ok := validPrefix(p)
	t.n = uint8(copy(t.open[:], p[n:]))
	return ok
}

// Whole reports whether the text may end here.
func (t *Text) Whole() bool { return t.n == 0 }

// validPrefix returns how many bytes of p are whole code points. Not ok: p cannot be the beginning
// of UTF-8, whatever follows.
func validPrefix(p []byte) (n int, ok bool) {
	n = lastStart(p)
	if utf8.FullRune(p[n:]) {
		n = len(p)
	}
	return n, ValidUTF8(p[:n])
}
