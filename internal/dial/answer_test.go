package dial

import (
	"bufio"
	"bytes"
	"net/http"
	"net/textproto"
	"strings"
	"testing"

	"github.com/matryer/is"
)

// A header is understood as net/textproto does, whichever way it is read.
func FuzzHeader(f *testing.F) {
	for _, text := range []string{
		"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n",
		"upgrade:WebSocket\nCONNECTION:\tupgrade \n\n",
		"Set-Cookie: a=b\r\nx-y: \r\nset-cookie: c=d\r\nSet-Cookie: e\r\n\r\n",
		"A: folded\r\n line\r\n\r\n", "A : b\r\n\r\n", " A: b\r\n\r\n", ": b\r\n\r\n", "no colon\r\n\r\n", "A: b\r\r\n\r\n",
		"A: \x00\r\n\r\n", "A: \x7f\r\n\r\n", "A: \xff\r\n\r\n", "\xff: b\r\n\r\n", "A: b\r\n\r\r\n", "\r\n", "\n", strings.Repeat("A: b\r\n", 40) + "\r\n",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if i := bytes.Index(text, []byte("\n\r\n")); i >= 0 { // line ends the text with the first one that is empty
			text = text[:i+3]
		}
		if i := bytes.Index(text, []byte("\n\n")); i >= 0 {
			text = text[:i+2]
		}
		is := is.New(t)
		want, err := textproto.NewReader(bufio.NewReader(bytes.NewReader(text))).ReadMIMEHeader()
		got, gotErr := parseHeader(bytes.Clone(text))
		is.Equal(gotErr != nil, err != nil)
		if err == nil {
			is.Equal(got, http.Header(want))
		}
	})
}

// The values of a header are its own: nothing that comes into the buffer later changes them, and
// who appends to one of them changes no other.
func TestAHeaderIsItsOwn(t *testing.T) {
	is := is.New(t)
	text := []byte("X-One: first\r\nX-Two: second\r\nX-One: third\r\n\r\n")
	h, err := parseHeader(text)
	is.NoErr(err)
	for i := range text {
		text[i] = '!'
	}
	h["X-Two"] = append(h["X-Two"], "more")
	h["X-One"] = append(h["X-One"], "and more")
	is.Equal(h, http.Header{"X-One": {"first", "third", "and more"}, "X-Two": {"second", "more"}})
}
