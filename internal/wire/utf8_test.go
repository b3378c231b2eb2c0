package wire

import (
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
