package wire

import (
	"bytes"
	"compress/flate"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/matryer/is"
)

// Everything that compress/flate writes is read back, with its input and its room in pieces.
func TestDecoder(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 40_000)
	for i := range noise {
		noise[i] = byte(rnd.Uint32())
	}
	for level := flate.HuffmanOnly; level <= flate.BestCompression; level++ {
		t.Run(fmt.Sprint("level ", level), func(t *testing.T) {
			is := is.New(t)
			for _, m := range [][]byte{nil, []byte("a"), []byte(sentences(rnd, 300)), []byte(sentences(rnd, 40_000)),
				noise[:1000], noise, make([]byte, 40_000), bytes.Repeat([]byte("abc"), 1000)} {
				var buf bytes.Buffer
				w, _ := flate.NewWriter(&buf, level)
				w.Write(m)
				w.Close()
				for _, piece := range []int{1, 3, 1000, buf.Len()} {
					for _, room := range []int{1, 7, 1000, len(m) + 1} {
						var d decoder
						o := output{p: make([]byte, 0, len(m)+room)}
						full := true
						for rest := buf.Bytes(); full || len(rest) > 0; {
							if full {
								is.True(o.at == len(o.p)) // as far as there is room
								o.p = o.p[:min(cap(o.p), len(o.p)+room)]
							}
							n, more, err := d.decode(rest[:min(piece, len(rest))], &o)
							is.NoErr(err)
							rest, full = rest[n:], more
						}
						is.True(d.complete() && !d.inside)
						is.True(bytes.Equal(o.p[:o.at], m)) // piece, room
					}
				}
			}
		})
	}
}

// inBits packs bits, the first of them lowest.
func inBits(s string) string {
	var p []byte
	n := 0
	for _, c := range s {
		if c == ' ' {
			continue
		}
		if n%8 == 0 {
			p = append(p, 0)
		}
		p[n/8] |= byte(c-'0') << (n % 8)
		n++
	}
	return string(p)
}

// What is corrupt is found where it stands, before more is asked for.
func TestDecoderErrors(t *testing.T) {
	for _, c := range []struct {
		in  string
		err error
	}{
		{"\x07", errBlockType},
		{"\x01\x01\x00\x00\x00", errStoredLength},
		{"\xfd\x00\x00", errCodeCount},                                   // 288 literals
		{"\x05\x1f\x00", errCodeCount},                                   // 32 offsets
		{inBits("1 01 00000 00000 0000 100 100 100 000"), errCodes},      // three codes of one bit
		{"\x03\x02", errOffset},                                          // before the beginning
		{"\x1b\x03", errSymbol},                                          // literal 286
		{"\x4b\x04\xe2\x07\x00", errOffset},                              // after a literal
		{inBits("1 01 00000 00000 0000 010 000 000 000"), errCodes},      // one of two bits
		{inBits("1 01 00000 00000 0000 100 100 000 000 0 00"), errCodes}, // repeats the length before the first
		{inBits("1 10 10010001 0000001 11111"), errSymbol},               // an a, then offset 31
		{"\x03\x00\x06", errBlockType},                                   // in the second block
		{"\x01\x01\x00\xfe\xffa\x07", errBlockType},                      // likewise
	} {
		t.Run(fmt.Sprintf("%x", c.in), func(t *testing.T) {
			is := is.New(t)
			for _, piece := range []int{1, len(c.in)} {
				var d decoder
				o := output{p: make([]byte, 100)}
				var err error
				for rest := []byte(c.in); len(rest) > 0 && err == nil; {
					var n int
					n, _, err = d.decode(rest[:piece], &o)
					rest = rest[min(n, len(rest)):]
					piece = min(piece, len(rest))
				}
				is.Equal(err, c.err)
			}
		})
	}
}

// The tables have room for the worst codes there can be: those whose lengths leave the largest tables behind the first.
func TestDecoderTables(t *testing.T) {
	for _, c := range []struct {
		root, symbols, size int
	}{{literalRoot, maxLiterals, literalTable}, {offsetRoot, maxOffsets, offsetTable}} {
		is := is.New(t)
		rnd := rand.New(rand.NewPCG(8, 9))
		for range 20_000 {
			lengths := randomCode(rnd, c.symbols)
			is.True(build(make([]code, c.size), uint(c.root), lengths, literalSymbols[:]))
		}
	}
}

// randomCode returns the lengths of a complete prefix code, often a very uneven one.
func randomCode(rnd *rand.Rand, symbols int) []uint8 {
	lengths := []uint8{1, 1}
	for n := 2 + rnd.IntN(symbols-1); len(lengths) < n; {
		i := rnd.IntN(len(lengths))
		if rnd.IntN(3) > 0 {
			i = len(lengths) - 1 - rnd.IntN(min(len(lengths), 2))
		}
		if lengths[i] == longestCode {
			i = rnd.IntN(len(lengths))
		}
		if lengths[i] < longestCode {
			lengths[i]++
			lengths = append(lengths, lengths[i])
		}
	}
	rnd.Shuffle(len(lengths), func(i, j int) { lengths[i], lengths[j] = lengths[j], lengths[i] })
	return lengths
}
