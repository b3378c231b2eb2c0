package wire

import (
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/matryer/is"
)

// peer compresses like a server does: with the standard library, not with what this package uses.
type peer struct {
	w        *flate.Writer
	buf      bytes.Buffer
	takeover bool
}

func newPeer(takeover bool) *peer {
	p := &peer{takeover: takeover}
	p.w, _ = flate.NewWriter(&p.buf, 6)
	return p
}

func (p *peer) compress(message string) string {
	p.buf.Reset()
	if !p.takeover {
		p.w.Reset(&p.buf)
	}
	io.WriteString(p.w, message)
	p.w.Flush()
	return strings.TrimSuffix(p.buf.String(), "\x00\x00\xff\xff")
}

func params(takeover bool, bits int) DeflateParams {
	return DeflateParams{ClientNoContextTakeover: !takeover, ServerNoContextTakeover: !takeover,
		ClientMaxWindowBits: bits, ServerMaxWindowBits: bits}
}

// finalBlock is a message of one final block, as it is for n bytes of a stored one.
func finalBlock(s string) string {
	return string([]byte{1, byte(len(s)), byte(len(s) >> 8), ^byte(len(s)), ^byte(len(s) >> 8)}) + s
}

func TestInflate(t *testing.T) {
	hello := "\xf2\x48\xcd\xc9\xc9\x07\x00"
	for _, c := range []struct {
		name   string
		in     string
		limit  int64
		want   []string
		code   uint16
		reason string
	}{
		{name: "RFC 7692 7.2.3.1", in: frame(0xc1, hello), want: []string{"Hello"}},
		{name: "RFC 7692 7.2.3.1, fragments", in: frame(0x41, hello[:3]) + frame(0x80, hello[3:]), want: []string{"Hello"}},
		{name: "RFC 7692 7.2.3.2", in: frame(0xc1, hello) + frame(0xc1, "\xf2\x00\x11\x00\x00"), want: []string{"Hello", "Hello"}},
		{name: "RFC 7692 7.2.3.3", in: frame(0xc1, "\x00\x05\x00\xfa\xffHello\x00"), want: []string{"Hello"}},
		{name: "RFC 7692 7.2.3.4", in: frame(0xc1, "\xf3\x48\xcd\xc9\xc9\x07\x00\x00"), want: []string{"Hello"}},
		{name: "RFC 7692 7.2.3.5", in: frame(0xc1, "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"), want: []string{"Hello"}},
		{name: "RFC 7692 7.2.3.6", in: frame(0xc1, "\x00"), want: []string{""}},
		{name: "no bytes at all", in: frame(0xc1, ""), want: []string{""}},
		{name: "not compressed", in: frame(0x81, "plain") + frame(0xc1, hello) + frame(0x82, ""), want: []string{"plain", "Hello", ""}},
		{name: "a final block and no more", in: frame(0xc1, "\xf3\x48\xcd\xc9\xc9\x07\x00") + frame(0xc1, hello), want: []string{"Hello", "Hello"}},
		{name: "final blocks inside", in: frame(0xc1, finalBlock("one ")+finalBlock("two ")+hello), want: []string{"one two Hello"}},
		{name: "window across a final block", in: frame(0xc1, finalBlock("Hello")+"\xf2\x00\x11\x00\x00"), want: []string{"HelloHello"}},
		{name: "control frames between fragments", in: frame(0x41, hello[:3]) + frame(0x89, "") + frame(0x00, hello[3:5]) + frame(0x80, hello[5:]), want: []string{"", "Hello"}},

		{name: "RSV1 on a continuation", in: frame(0x41, hello[:3]) + frame(0xc0, hello[3:]), code: 1002, reason: "RSV1 set on a continuation frame"},
		{name: "RSV1 on a ping", in: frame(0xc9, ""), code: 1002, reason: "RSV1 set on a ping frame"},
		{name: "RSV1 on a close", in: frame(0xc8, ""), code: 1002, reason: "RSV1 set on a close frame"},
		{name: "RSV2", in: frame(0xe1, hello), code: 1002, reason: "reserved bits 0x60 set"},
		{name: "corrupt", in: frame(0xc1, hello) + frame(0xc1, "\x07"), want: []string{"Hello"}, code: 1007, reason: "compressed message: a block of the reserved type"},
		{name: "ends inside a block", in: frame(0xc2, "\x00\x10\x00\xef\xffab"), code: 1007, reason: "compressed message: it ends inside a block"},
		{name: "distance beyond the start", in: frame(0xc1, "\xf2\x00\x11\x00\x00"), code: 1007, reason: "compressed message: a reference to before the window"},
		{name: "text that is not UTF-8", in: frame(0xc1, "\x00\x02\x00\xfd\xff\xffa\x00"), code: 1007, reason: "text is not UTF-8"},
		{name: "binary", in: frame(0xc2, "\x00\x02\x00\xfd\xff\xffa\x00"), want: []string{"\xffa"}},
		{name: "at the limit", in: frame(0xc1, hello), limit: 5, want: []string{"Hello"}},
		{name: "above the limit", in: frame(0xc1, hello), limit: 4, code: 1009, reason: "message above the limit of 4 bytes"},
		{name: "text that is bad, then above the limit", in: frame(0xc1, "\x00\x02\x00\xfd\xff\xffa\x00"), limit: 1, code: 1007, reason: "text is not UTF-8"},
		{name: "text that ends inside a code point", in: frame(0xc1, "\x00\x02\x00\xfd\xffa\xc3\x00"), code: 1007, reason: "text is not UTF-8"},
	} {
		t.Run(c.name, func(t *testing.T) {
			is := is.New(t)
			if c.limit == 0 {
				c.limit = -1
			}
			for n := 1; n <= len(c.in); n++ {
				var r Reader
				r.Init(c.limit, NewInflate(params(true, 15)))
				frames, err := feed(&r, []byte(c.in), func(left int) int { return min(n, left) })
				var got []string
				for _, f := range frames {
					is.True(f.Data == nil || len(f.Data) > 0)
					got = append(got, string(f.Data))
				}
				is.Equal(got, c.want)
				is.Equal(codeOf(err), c.code)
				if err != nil {
					is.Equal(err.Error(), c.reason)
				}
				r.Release()
			}
		})
	}
}

// sentences look like what feeds send: alike, but never the same.
func sentences(rnd *rand.Rand, size int) string {
	var s strings.Builder
	for s.Len() < size {
		fmt.Fprintf(&s, `{"symbol":"%c%cUSD","price":%d.%02d,"size":%d,"side":"%s"},`, 'A'+rune(rnd.IntN(26)), 'A'+rune(rnd.IntN(26)),
			rnd.IntN(50000), rnd.IntN(100), rnd.IntN(1000), []string{"buy", "sell"}[rnd.IntN(2)])
	}
	return s.String()[:size]
}

// What a server compresses comes out again, whole batches of it, for any sizes.
func TestInflateSizes(t *testing.T) {
	for _, takeover := range []bool{false, true} {
		t.Run(fmt.Sprintf("takeover %v", takeover), func(t *testing.T) {
			is := is.New(t)
			rnd := rand.New(rand.NewPCG(3, 4))
			p := newPeer(takeover)
			var in strings.Builder
			var want []string
			for range 100 {
				m := sentences(rnd, rnd.IntN(1<<rnd.IntN(18)))
				want = append(want, m)
				z := p.compress(m)
				if cut := rnd.IntN(len(z)); rnd.IntN(2) == 0 {
					in.WriteString(frame(0x41, z[:cut]) + frame(0x80, z[cut:]))
				} else {
					in.WriteString(frame(0xc1, z))
				}
			}
			for _, most := range []int{100, 70000, 1 << 20} {
				var r Reader
				r.Init(1<<18, NewInflate(params(takeover, 15)))
				frames, err := feed(&r, []byte(in.String()), func(left int) int { return min(left, 1+rnd.IntN(most)) })
				is.NoErr(err)
				is.Equal(len(frames), len(want))
				for i := range want {
					is.True(string(frames[i].Data) == want[i]) // message i
				}
				is.True(r.inflate.out == nil)                            // idle: only the history
				is.True(cap(r.inflate.history) <= maxWindow+maxWindow/4) // and no more of it than needed
				is.True(takeover == (len(r.inflate.history) > 0))        // if any
				r.Release()
			}
		})
	}
}

// A bomb stops at the limit, while it inflates.
func TestInflateBomb(t *testing.T) {
	is := is.New(t)
	const limit = 256 << 10
	bomb := newPeer(true).compress(strings.Repeat("\x00", 8<<20))
	is.True(len(bomb) < limit)
	in := []byte(frame(0xc2, bomb))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var r Reader
	r.Init(limit, NewInflate(params(true, 15)))
	_, err := feed(&r, in, func(left int) int { return left })
	runtime.ReadMemStats(&after)
	var e *Error
	is.True(errors.As(err, &e))
	is.Equal(e.Code, uint16(1009))
	is.True(after.TotalAlloc-before.TotalAlloc < 8*limit)
	r.Release()
}

func TestInflateAllocates(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	rnd := rand.New(rand.NewPCG(5, 6))
	for _, takeover := range []bool{false, true} {
		for _, size := range []int{100, 1 << 10, 64 << 10} {
			t.Run(fmt.Sprintf("takeover %v, %d bytes", takeover, size), func(t *testing.T) {
				is := is.New(t)
				in := []byte(frame(0xc1, newPeer(takeover).compress(sentences(rnd, size))))
				var r Reader
				r.Init(-1, NewInflate(params(takeover, 15)))
				run := func() {
					for range 3 {
						for p := in; len(p) > 0; {
							n := copy(r.Space(), p)
							r.Filled(n)
							p = p[n:]
							for {
								if _, ok, err := r.Next(); !ok {
									is.NoErr(err)
									break
								}
							}
						}
					}
					r.Idle()
				}
				for range 40 {
					run()
				}
				is.Equal(testing.AllocsPerRun(50, run), 0.0)
			})
		}
	}
}
