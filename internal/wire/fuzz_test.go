package wire

import (
	"bytes"
	"testing"
)

func referenceInflate(limit int) func(p []byte) ([]byte, error) {
	server := &strict{window: 1 << 15}
	return func(p []byte) ([]byte, error) {
		if len(p) == 0 {
			return nil, nil
		}
		out, err := server.message(p)
		if len(out) > limit {
			return nil, errReferenceLimit
		}
		return bytes.Clone(out), err
	}
}

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

		inflate := referenceInflate(int(limit))
		if !deflate {
			inflate = nil
		}
		want, code := reference(in, int(limit), inflate)
		got := codeOf(err)
		if deflate && got == 1009 && code == 1007 {
			got = 1007 // corrupt data may inflate to more before that shows
		}
		if show(whole) != show(want) || got != code {
			t.Fatalf("got:\n%s%v\nwant:\n%s%d", show(whole), err, show(want), code)
		}
	})
}
