package wire

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/matryer/is"
)

// One byte that is not ASCII is found wherever it stands, at every length.
func TestASCII(t *testing.T) {
	is := is.New(t)
	for n := range 100 {
		p := []byte(strings.Repeat("a", n))
		is.True(ValidUTF8(p))
		is.Equal(ShortASCII(p), n >= 8 && n <= 16)
		for i := range p {
			p[i] = 0x80
			is.True(!ValidUTF8(p))
			is.True(!ShortASCII(p))
			p[i] = 'a'
			if i > 0 {
				copy(p[i-1:], "é")
				is.Equal(ValidUTF8(p), utf8.Valid(p))
				is.True(!ShortASCII(p))
				copy(p[i-1:], "aa")
			}
		}
	}
}

// checkUTF8 holds ValidUTF8, and validBlocks where that is to be had, against the standard library.
func checkUTF8(t *testing.T, p []byte) {
	t.Helper()
	is := is.New(t)
	want := utf8.Valid(p)
	is.Equal(ValidUTF8(p), want)
	is.Equal(validShort(p), want)
	for cut := len(p) / 2; cut < min(len(p), len(p)/2+4); cut++ { // as it comes in two pieces
		var text Text
		ok := text.Add(p[:cut]) && text.Add(p[cut:])
		is.Equal(ok && text.Whole(), want)
	}
}

// What stands at the bounds of the ranges is judged as by utf8.Valid, wherever it meets the ends of blocks.
func TestUTF8AtAllPlaces(t *testing.T) {
	var cases []string
	for a := 0x70; a <= 0xff; a++ {
		for _, b := range "\x00\x7f\u0080\u008f\u0090\u009f\u00a0\u00af\u00b0\u00bf\u00c0\u00c2\u00df\u00e0\u00ed\u00f0\u00f4\u00ff" {
			pair := string([]byte{byte(a), byte(b)})
			cases = append(cases, pair, pair+"\x80", pair+"\x80\xbf")
		}
	}
	for _, r := range []rune{0x80, 0x7ff, 0x800, 0xd7ff, 0xe000, 0xffff, 0x10000, 0x10ffff} {
		cases = append(cases, string(r))
	}
	for _, around := range []string{"a", "é", "€", "😀"} {
		around = strings.Repeat(around, 300/len(around))
		for _, at := range []int{0, 28, 29, 30, 31, 32, 60, 61, 62, 63, 64, 125, 126, 127, 128, 190, 191} {
			start := at
			for !utf8.RuneStart(around[start]) {
				start++
			}
			for _, c := range cases {
				p := []byte(around[:start] + c + around[start:])
				if got, want := ValidUTF8(p), utf8.Valid(p); got != want {
					t.Fatalf("%q at %d among %q: %v", c, start, around[:4], got)
				}
			}
		}
	}
}

func FuzzUTF8(f *testing.F) {
	for _, s := range []string{"plain", "naïve", "文字", "😀", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xc0\x80", "\xe2\x82"} {
		f.Add([]byte(s), uint8(20), uint8(3))
	}
	f.Fuzz(func(t *testing.T, p []byte, times, ascii uint8) {
		checkUTF8(t, p)
		long := slices.Repeat(append(slices.Repeat([]byte("a"), int(ascii)), p...), int(times))
		checkUTF8(t, long)
		checkUTF8(t, append(slices.Repeat([]byte("é"), 70), long...))
	})
}
