package wire

import (
	"errors"
	"fmt"
	"slices"
)

// strict is a slow DEFLATE decoder, straight from RFC 1951, that also holds the sender to its window. It
// decodes one message after another, as RFC 7692 has them.
type strict struct {
	window int
	own    bool   // a message may refer to all of itself, however small the window
	out    []byte // of all messages so far: the sender may refer to the last window bytes
	in     []byte
	pos    int // in bits
}

var errShort = errors.New("input ends inside a block")

func (s *strict) bits(n int) int {
	v := 0
	for i := range n {
		if s.pos>>3 >= len(s.in) {
			panic(errShort)
		}
		v |= int(s.in[s.pos>>3]>>(s.pos&7)&1) << i
		s.pos++
	}
	return v
}

type huffman struct {
	codes  int
	count  [16]int
	symbol []int
}

func newHuffman(lengths []int) huffman {
	h := huffman{symbol: make([]int, len(lengths))}
	for _, n := range lengths {
		h.count[n]++
	}
	h.count[0] = 0
	var at [16]int
	for i := 1; i < 15; i++ {
		at[i+1] = at[i] + h.count[i]
	}
	for i, n := range lengths {
		if n > 0 {
			h.symbol[at[n]] = i
			at[n]++
		}
	}
	left, codes := 1, 0
	for i := 1; i < 16; i++ {
		left, codes = left<<1-h.count[i], codes+h.count[i]
		if left < 0 {
			panic(errors.New("oversubscribed code"))
		}
	}
	if left > 0 && codes > 0 && !(codes == 1 && h.count[1] == 1) {
		panic(errors.New("incomplete code"))
	}
	h.codes = codes
	return h
}

func (s *strict) symbol(h huffman) int {
	code, first, index := 0, 0, 0
	for n := 1; n < 16; n++ {
		code |= s.bits(1)
		if h.codes == 0 || h.codes == 1 && code == 1 {
			break
		}
		if code-h.count[n] < first {
			return h.symbol[index+code-first]
		}
		index += h.count[n]
		first = (first + h.count[n]) << 1
		code <<= 1
	}
	panic(errors.New("no such code"))
}

var fixedLengths = func() (l [288]int) {
	for i := range l {
		switch {
		case i < 144 || i >= 280:
			l[i] = 8
		case i < 256:
			l[i] = 9
		default:
			l[i] = 7
		}
	}
	return l
}()

func (s *strict) trees() (huffman, huffman) {
	literals, distances, n := s.bits(5)+257, s.bits(5)+1, s.bits(4)+4
	if literals > 286 || distances > 30 {
		panic(errors.New("too many codes"))
	}
	var lengths [19]int
	for _, i := range []int{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}[:n] {
		lengths[i] = s.bits(3)
	}
	h := newHuffman(lengths[:])
	var l []int
	for len(l) < literals+distances {
		switch sym := s.symbol(h); {
		case sym < 16:
			l = append(l, sym)
		case sym == 16:
			for range 3 + s.bits(2) {
				l = append(l, l[len(l)-1])
			}
		case sym == 17:
			l = append(l, make([]int, 3+s.bits(3))...)
		default:
			l = append(l, make([]int, 11+s.bits(7))...)
		}
	}
	if len(l) > literals+distances {
		panic(errors.New("too many lengths"))
	}
	return newHuffman(l[:literals]), newHuffman(l[literals:])
}

func (s *strict) codes(lit, dist huffman, from int) {
	for {
		sym := s.symbol(lit)
		switch {
		case sym < 256:
			s.out = append(s.out, byte(sym))
			continue
		case sym == 256:
			return
		case sym > 285:
			panic(errors.New("no such length"))
		}
		length := 258
		switch n := sym - 257; {
		case n < 8:
			length = 3 + n
		case n < 28:
			extra := (n - 4) / 4
			length = 3 + (4+n%4)<<extra + s.bits(extra)
		}
		d := s.symbol(dist)
		if d > 29 {
			panic(errors.New("no such distance"))
		}
		if d > 3 {
			extra := d/2 - 1
			d = (2+d%2)<<extra + s.bits(extra)
		}
		if d++; d > s.window && !(s.own && d <= len(s.out)-from) || d > len(s.out) {
			panic(fmt.Errorf("distance %d in a window of %d", d, s.window))
		}
		for range length {
			s.out = append(s.out, s.out[len(s.out)-d])
		}
	}
}

// message decodes one message, or its beginning, as far as it goes.
func (s *strict) message(p []byte, whole bool) (out []byte, err error) {
	s.in, s.pos = slices.Clone(p), 0
	if whole {
		s.in = append(s.in, "\x00\x00\xff\xff"...)
	}
	from := len(s.out)
	defer func() {
		if e := recover(); e != nil {
			out, err = s.out[from:], e.(error)
		}
		if err == errShort && !whole {
			err = nil
		}
	}()
	final := true
	for s.pos < 8*len(s.in) {
		if final && s.pos == 8*len(p) {
			break // what is to follow is missing: no harm
		}
		final = s.bits(1) == 1
		switch s.bits(2) {
		case 0:
			s.pos = (s.pos + 7) &^ 7
			n := s.bits(16)
			if s.bits(16) != n^0xffff {
				panic(errors.New("stored length"))
			}
			for range n {
				s.out = append(s.out, byte(s.bits(8)))
			}
		case 1:
			s.codes(newHuffman(fixedLengths[:]), newHuffman(slices.Repeat([]int{5}, 32)), from)
		case 2:
			lit, dist := s.trees()
			s.codes(lit, dist, from)
		default:
			panic(errors.New("block type 3"))
		}
		if final {
			s.pos = (s.pos + 7) &^ 7
		}
	}
	return s.out[from:], nil
}
