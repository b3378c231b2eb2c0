package wire

import (
	"bytes"
	"compress/flate"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzReader cuts arbitrary bytes in arbitrary places: what comes out must not depend on where, and be
// what the reference finds.
func FuzzReader(f *testing.F) {
	for _, s := range scripts {
		f.Add([]byte(s.in), int32(s.limit), uint8(3), false, []byte{1, 200})
	}
	f.Add([]byte(frame(0xc1, "\xf2\x48\xcd\xc9\xc9\x07\x00")+frame(0xc1, "\xf2\x00\x11\x00\x00")), int32(100), uint8(0), true, []byte{2})
	f.Add([]byte(frame(0x42, "\xf2\x48\xcd")+frame(0x89, "p")+frame(0x80, "\xc9\xc9\x07\x00")), int32(4), uint8(5), true, []byte{2})
	f.Fuzz(func(t *testing.T, in []byte, limit int32, repeat uint8, deflate bool, cuts []byte) {
		if limit <= 0 {
			limit = 1 << 16
		}
		if limit > 1<<20 {
			limit = 1 << 20
		}
		// A message of many KiB does not come from a fuzzer: lengthen what it found.
		stride := 0
		if repeat %= 128; int(limit) > len(long) && repeat > 100 {
			in = append(bytes.Repeat([]byte(frame(0x82, long)), int(repeat)), in...)
			stride = 500
		}
		newReader := func() *Reader {
			r := &Reader{}
			if r.Init(int64(limit), nil); deflate {
				r.Init(int64(limit), NewInflate(params(true, 15)))
			}
			return r
		}
		r := newReader()
		whole, err := feed(r, in, func(left int) int { return left })
		partial := r.Partial()
		r.Release()

		r = newReader()
		i := 0
		cut, cutErr := feed(r, in, func(left int) int {
			n := 1 + stride
			if len(cuts) > 0 {
				n += int(cuts[i%len(cuts)])
				i++
			}
			return min(n, left)
		})
		if show(whole) != show(cut) || codeOf(err) != codeOf(cutErr) || err != nil && err.Error() != cutErr.Error() || partial != r.Partial() {
			t.Fatalf("whole:\n%s%v\ncut:\n%s%v", show(whole), err, show(cut), cutErr)
		}
		for i := range whole {
			if !bytes.Equal(whole[i].Data, cut[i].Data) {
				t.Fatalf("frame %d differs", i)
			}
		}
		r.Release()

		r = newReader() // all of it before the first batch
		for rest := in; len(rest) > 0; {
			n := copy(r.Space(), rest)
			r.Filled(n)
			rest = rest[n:]
		}
		has := r.HasClose()
		late, lateErr := drain(r)
		closed := len(late) > 0 && late[len(late)-1].Op == OpClose
		if show(late) != show(whole) || codeOf(lateErr) != codeOf(err) || closed && !has || has && !closed && err == nil {
			t.Fatalf("late, HasClose %v:\n%s%v\nwhole:\n%s%v", has, show(late), lateErr, show(whole), err)
		}
		r.Release()

		var server *strict
		if deflate {
			server = &strict{window: 1 << 15}
		}
		want, code := reference(in, int(limit), server)
		if show(whole) != show(want) || codeOf(err) != code {
			t.Fatalf("got:\n%s%v\nwant:\n%s%d", show(whole), err, show(want), code)
		}
	})
}

// FuzzInflate compares with the strict decoder: arbitrary bytes as two messages of one connection, each in
// pieces.
func FuzzInflate(f *testing.F) {
	f.Add([]byte("\xf2\x48\xcd\xc9\xc9\x07\x00"), []byte("\xf2\x00\x11\x00\x00"), uint16(100), uint8(15), false, uint8(1))
	f.Add([]byte(finalBlock("one")), []byte("\xf3\x48\xcd\xc9\xc9\x07\x00\x00"), uint16(4), uint8(0), true, uint8(2))
	f.Add([]byte(newPeer(true).compress(strings.Repeat("Hello, Hello, hello. ", 40))), []byte("\x00"), uint16(1000), uint8(8), true, uint8(0))
	f.Add([]byte(newPeer(true).compress(sentences(rand.New(rand.NewPCG(1, 2)), 3000))), []byte("\xf2\x00\x11\x00\x00"), uint16(9000), uint8(10), true, uint8(7))
	f.Fuzz(func(t *testing.T, one, two []byte, limit uint16, bits uint8, text bool, piece uint8) {
		p, server := params(false, 15), &strict{own: true}
		if bits %= 16; bits >= 8 {
			p, server.window = params(true, int(bits)), 1<<bits
		}
		z := NewInflate(p)
		defer z.release()
		for _, m := range [][]byte{one, two} {
			if bits < 8 {
				server.out = nil
			}
			z.forget()
			var e *Error
			for rest := m; len(rest) > 0 && e == nil; {
				part := rest[:min(len(rest), 1+int(piece))]
				rest = rest[len(part):]
				_, _, e = z.write(part, text, int(limit))
			}
			var got []byte
			if e == nil && len(m) > 0 {
				got, _, e = z.finish(text, int(limit))
			}
			want, err := server.message(m, true)
			code := uint16(0)
			switch {
			case text && !validStart(want[:min(len(want), int(limit))], false):
				code = CodeInvalidData
			case len(want) > int(limit):
				code = CodeTooBig
			case err != nil, text && !utf8.Valid(want):
				code = CodeInvalidData
			}
			switch {
			case code == 0 && e == nil && bytes.Equal(got, want):
			case code != 0 && e != nil && e.Code == code:
				return
			default:
				t.Fatalf("got %q, %v; want %q, %v, code %d", got, e, want, err, code)
			}
		}
	})
}

// FuzzDecoder compares with the standard library, whatever the pieces of the input and the room there is.
func FuzzDecoder(f *testing.F) {
	for level := -2; level < 10; level += 3 {
		var buf bytes.Buffer
		w, _ := flate.NewWriter(&buf, level)
		io.WriteString(w, sentences(rand.New(rand.NewPCG(3, 4)), 3000))
		w.Close()
		f.Add(buf.Bytes(), uint16(10), uint16(5))
	}
	f.Fuzz(func(t *testing.T, in []byte, piece, room uint16) {
		const most = 1 << 16
		src := bytes.NewReader(in)
		want, err := io.ReadAll(io.LimitReader(flate.NewReader(src), most+1))
		if len(want) > most {
			return
		}
		rest := in[:len(in)-src.Len()]
		var d decoder
		d.reset()
		var o output
		var e error
		for full := true; e == nil && (full || len(rest) > 0); {
			if full {
				o.p = append(o.p, make([]byte, 1+int(room))...)
			}
			var n int
			n, full, e = d.decode(rest[:min(len(rest), 1+int(piece))], &o)
			rest = rest[n:]
		}
		if e == nil && (len(in) == 0 || d.inside || !d.complete()) {
			e = io.ErrUnexpectedEOF
		}
		got := o.p[:o.at]
		if err == io.ErrUnexpectedEOF {
			got = got[:min(len(got), len(want))] // of what is cut off the library does not decode the last bits
		}
		if !bytes.Equal(got, want) || (e == nil) != (err == nil) {
			t.Fatalf("got %q, %v; want %q, %v", got, e, want, err)
		}
	})
}

// FuzzRoundTrip: what Deflate makes of messages, some of them lost, is what Inflate and the strict decoder get,
// whoever else compresses between them.
func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte("one"), []byte("another one"), uint8(15), uint8(3), false)
	f.Add([]byte(long), []byte("x"+long), uint8(8), uint8(2), true)
	f.Add([]byte(sentences(rand.New(rand.NewPCG(5, 6)), 4000)), []byte(""), uint8(1), uint8(200), false)
	f.Fuzz(func(t *testing.T, one, two []byte, bits, order uint8, reset bool) {
		takeover := bits%16 >= 8
		p := params(takeover, 8+int(bits%8))
		d, z, server := NewDeflate(p), NewInflate(p), &strict{window: 1 << p.ClientMaxWindowBits}
		defer z.release()
		for range 8 {
			m := one
			if order&1 != 0 {
				m = two
			}
			if order >>= 1; order&1 != 0 {
				for _, takeover := range []bool{true, false} {
					NewDeflate(params(takeover, p.ClientMaxWindowBits)).Append(nil, two)
				}
			}
			if reset {
				d.Append(nil, two)
				d.Reset()
			}
			packed := d.Append([]byte("before"), m)[len("before"):]
			if !takeover {
				server.out = nil
			}
			want, err := server.message(packed, true)
			got, e := z.message(packed, len(m), false)
			if err != nil || e != nil || !bytes.Equal(want, m) || !bytes.Equal(got, m) {
				t.Fatalf("%q: got %q, %v; strictly %q, %v", m, got, e, want, err)
			}
		}
	})
}
