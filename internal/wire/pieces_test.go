package wire

import (
	"bytes"
	"compress/flate"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/matryer/is"
)

// feedParts gives the parts to r one by one, and returns what came out of each, and the error.
func feedParts(r *Reader, parts []string) (out string, err error) {
	for i, part := range parts {
		var frames []Frame
		frames, err = feed(r, []byte(part), func(left int) int { return left })
		if i > 0 {
			out += " | "
		}
		for j, f := range frames {
			if j > 0 {
				out += " "
			}
			out += fmt.Sprintf("%v %q", f.Op, f.Data)
			if f.More {
				out += "+"
			}
		}
		if err != nil {
			return out, err
		}
	}
	return out, nil
}

func TestPieces(t *testing.T) {
	hello := "\xf2\x48\xcd\xc9\xc9\x07\x00"
	ping := frame(0x89, "p")
	for _, c := range []struct {
		name  string
		parts []string
		want  string
		err   string
	}{
		{"whole", []string{frame(0x81, "abc")}, `text "abc"`, ""},
		{"whole, empty", []string{frame(0x82, "")}, `binary ""`, ""},
		{"cut in the payload", []string{frame(0x81, "abc")[:3], "bc"}, `text "a"+ | text "bc"`, ""},
		{"cut in the header", []string{"\x82", "\x7e", "\x00\x7e", long[:1], long[1:126] + frame(0x81, "x")},
			fmt.Sprintf(` |  |  | binary %q+ | binary %q text "x"`, long[:1], long[1:126]), ""},
		{"cut behind the header", []string{"\x82\x01", "a"}, ` | binary "a"`, ""},
		{"fragments at once", []string{frame(0x01, "ab") + frame(0x00, "c") + frame(0x80, "d")}, `text "abcd"`, ""},
		{"fragments apart", []string{frame(0x02, "ab"), frame(0x00, "c"), frame(0x80, "d")}, `binary "ab"+ | binary "c"+ | binary "d"`, ""},
		{"the last fragment is empty", []string{frame(0x01, "ab"), frame(0x80, "")}, `text "ab"+ | text ""`, ""},
		{"empty fragments", []string{frame(0x01, ""), frame(0x00, ""), ping, frame(0x80, "")}, ` |  | ping "p" | text ""`, ""},
		{"ping between fragments", []string{frame(0x01, "ab") + ping + frame(0x80, "c") + ping}, `text "ab"+ ping "p" text "c" ping "p"`, ""},
		{"ping that is not whole", []string{frame(0x01, "ab") + ping[:2], "p" + frame(0x80, "c")}, `text "ab"+ | ping "p" text "c"`, ""},
		{"pings behind nothing yet", []string{frame(0x01, "") + ping + ping + frame(0x80, "c") + ping}, `ping "p" ping "p" text "c" ping "p"`, ""},
		{"close inside a message", []string{frame(0x01, "ab") + closing(1001, "x")}, `text "ab"+ close "x"`, ""},
		{"cut inside a code point", []string{frame(0x01, "\xe2\x82"), frame(0x00, ""), frame(0x80, "\xac!")}, `text "\xe2\x82"+ |  | text "\xac!"`, ""},
		{"each byte of a code point", []string{"\x81\x04\xf0", "\x9f", "\x98", "\x80"}, `text "\xf0"+ | text "\x9f"+ | text "\x98"+ | text "\x80"`, ""},
		{"no code point", []string{frame(0x01, "a\xe2\x82"), frame(0x80, "(")}, `text "a\xe2\x82"+ | `, "text is not UTF-8"},
		{"a surrogate", []string{frame(0x01, "\xed"), frame(0x80, "\xa0\x80")}, `text "\xed"+ | `, "text is not UTF-8"},
		{"ends inside a code point", []string{frame(0x01, "a\xe2"), frame(0x80, "\x82")}, `text "a\xe2"+ | `, "text ends inside a code point"},
		{"binary is no text", []string{frame(0x02, "\xff"), frame(0x80, "\xfe")}, `binary "\xff"+ | binary "\xfe"`, ""},
		{"a message inside a message", []string{frame(0x01, "ab") + frame(0x81, "c")}, `text "ab"+`, "new text frame inside a fragmented message"},
		{"above the limit at once", []string{frame(0x81, long)}, ``, "message above the limit of 300 bytes"},
		{"above the limit in the end", []string{frame(0x01, long[:290]), frame(0x80, long[:11])}, fmt.Sprintf(`text %q+ | `, long[:290]), "message above the limit of 300 bytes"},
		{"at the limit", []string{frame(0x02, long[:150]), frame(0x00, long[:149]), frame(0x80, "x")}, fmt.Sprintf(`binary %q+ | binary %q+ | binary "x"`, long[:150], long[:149]), ""},
		{"the limit is each message's", []string{frame(0x02, long[:200]), frame(0x80, "x"), frame(0x82, long[:300])}, fmt.Sprintf(`binary %q+ | binary "x" | binary %q`, long[:200], long[:300]), ""},
		{"compressed", []string{frame(0xc1, hello)}, `text "Hello"`, ""},
		{"compressed, cut", []string{frame(0xc1, hello)[:5], hello[3:]}, `text "He"+ | text "llo"`, ""},
		{"compressed, fragments", []string{frame(0x41, hello[:3]), ping, frame(0x80, hello[3:])}, `text "He"+ | ping "p" | text "llo"`, ""},
		{"compressed, the end has no bytes", []string{frame(0x41, "\xf2\x48\xcd\xc9\xc9\x07\x00\x00\x00\xff\xff"), frame(0x80, "\x00"), frame(0xc1, "\xf2\x00\x11\x00\x00")}, `text "Hello"+ | text "" | text "Hello"`, ""},
		{"compressed, above the limit", []string{frame(0x42, newPeer(true).compress(long[:299])+"\x00\x00\xff\xff"), frame(0x80, "\x00\x02\x00\xfd\xffxx\x00")}, fmt.Sprintf(`binary %q+ | `, long[:299]), "message above the limit of 300 bytes"},
		{"compressed, no code point", []string{frame(0x41, "\x00\x02\x00\xfd\xff\xe2\x82"), frame(0x80, "\x00\x01\x00\xfe\xff(\x00")}, `text "\xe2\x82"+ | `, "text is not UTF-8"},
		{"compressed, ends inside a code point", []string{frame(0x41, "\x00\x02\x00\xfd\xff\xe2\x82"), frame(0x80, "\x00")}, `text "\xe2\x82"+ | `, "text is not UTF-8"},
	} {
		t.Run(c.name, func(t *testing.T) {
			is := is.New(t)
			r := &Reader{}
			r.Init(300, NewInflate(params(true, 15)))
			r.Pieces()
			got, err := feedParts(r, c.parts)
			is.Equal(got, c.want)
			if c.err == "" {
				is.NoErr(err)
			} else {
				is.True(err != nil)
				is.Equal(err.Error(), c.err)
			}
			r.Release()
		})
	}
}

// However large a message is, and however it is sent, no more memory is held than for reading ahead.
func TestPiecesHoldLittle(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	text := strings.Repeat(sentences(rng, 3000), 40)
	for _, takeover := range []bool{true, false} {
		for _, bits := range []int{9, 15} {
			for _, c := range []struct{ name, in string }{
				{"one frame", frame(0x81, text)},
				{"fragments", frame(0x01, text[:100_000]) + frame(0x89, "p") + frame(0x80, text[100_000:])},
				{"compressed", frame(0xc1, newWindowPeer(takeover, bits).compress(text))},
				{"highly compressed", frame(0xc1, newWindowPeer(takeover, bits).compress(strings.Repeat("x", len(text))))},
			} {
				t.Run(fmt.Sprintf("%s/%d/takeover=%v", c.name, bits, takeover), func(t *testing.T) {
					is := is.New(t)
					r := &Reader{}
					r.Init(-1, NewInflate(params(takeover, bits)))
					r.Pieces()
					var got []byte
					for rest := []byte(c.in); len(rest) > 0; {
						n := copy(r.Space(), rest[:min(len(rest), 1+rng.IntN(100_000))])
						r.Filled(n)
						rest = rest[n:]
						frames, err := drain(r)
						is.NoErr(err)
						for _, f := range frames {
							if f.Op == OpText {
								got = append(got, f.Data...)
							}
							is.True(len(f.Data) <= mostAhead)
							is.True(f.Op != OpText || f.More == (len(got) < len(text)))
						}
						is.True(r.buf.class <= classAhead)
						is.True(r.inflate.out == nil || r.inflate.out.class <= classAhead)
						is.True(len(r.inflate.history) <= maxWindow+maxWindow/4)
						if rng.IntN(3) == 0 {
							r.Idle()
						}
					}
					is.Equal(len(got), len(text))
					is.True(string(got) == text || string(got) == strings.Repeat("x", len(text)))
					r.Idle()
					is.True(r.buf == nil)
					is.True(takeover || r.inflate.history == nil)
				})
			}
		}
	}
}

// newWindowPeer refers no further back than 2^bits: with fewer than 15 of them not at all.
func newWindowPeer(takeover bool, bits int) *peer {
	p := newPeer(takeover)
	if bits < 15 {
		p.w, _ = flate.NewWriter(&p.buf, flate.HuffmanOnly)
	}
	return p
}

// joined puts pieces together. Of what has no end yet it returns how much there is. Messages and control
// frames are apart, since a message that is not cut comes where it ends.
func joined(frames []Frame) (messages, control []Frame, open int) {
	var m Frame
	for _, f := range frames {
		if f.Op.control() {
			control = append(control, f)
			continue
		}
		more := f.More
		f.More, f.Data = false, append(m.Data, f.Data...)
		if m = f; !more {
			messages, m = append(messages, m), Frame{}
		}
	}
	return messages, control, len(m.Data)
}

// FuzzPieces: pieces are cut where the bytes are, and together are what comes without them.
func FuzzPieces(f *testing.F) {
	for _, s := range scripts {
		f.Add([]byte(s.in), int32(s.limit), false, false, []byte{1, 200})
	}
	hello := frame(0x42, "\xf2\x48\xcd") + frame(0x89, "p") + frame(0x80, "\xc9\xc9\x07\x00")
	packed := newPeer(true).compress(sentences(rand.New(rand.NewPCG(1, 2)), 20_000))
	f.Add([]byte(hello), int32(100), true, true, []byte{2})
	f.Add([]byte(hello+frame(0xc1, packed)+hello), int32(1<<20), true, false, []byte{0, 255, 7})
	f.Add([]byte(frame(0x41, packed[:1000])+frame(0x89, "p")+frame(0x80, packed[1000:])+hello), int32(1<<20), true, true, []byte{255})
	f.Fuzz(func(t *testing.T, in []byte, limit int32, deflate, takeover bool, cuts []byte) {
		if limit <= 0 || limit > 1<<20 {
			limit = 1 << 20
		}
		r, whole := &Reader{}, &Reader{}
		for _, r := range []*Reader{r, whole} {
			var z *Inflate
			if deflate {
				z = NewInflate(params(takeover, 15))
			}
			r.Init(int64(limit), z)
			defer r.Release()
		}
		r.Pieces()
		want, wantErr := feed(whole, in, func(left int) int { return left })
		i := 0
		got, err := feed(r, in, func(left int) int {
			n := 1
			if len(cuts) > 0 {
				n += int(cuts[i%len(cuts)])
				i++
			}
			return min(n, left)
		})
		messages, control, open := joined(got)
		wantMessages, wantControl, _ := joined(want)
		if show(messages) != show(wantMessages) || show(control) != show(wantControl) || codeOf(err) != codeOf(wantErr) || r.Partial() != whole.Partial() {
			t.Fatalf("whole:\n%s%v\npieces:\n%s%v", show(want), wantErr, show(got), err)
		}
		for i := range messages {
			if !bytes.Equal(messages[i].Data, wantMessages[i].Data) {
				t.Fatalf("message %d differs", i)
			}
		}
		if open > int(limit) {
			t.Fatalf("%d bytes above the limit of %d", open, limit)
		}
	})
}
