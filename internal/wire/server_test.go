package wire

import (
	"bytes"
	"testing"

	"github.com/reqws/reqws/internal/wiretest"
	"github.com/reqws/reqws/reqwstest"
)

// FuzzServer: what another's encoder writes comes out as it went in, in any fragments and pieces, compressed by
// the standard library or not. text is cut into messages where it has a slash, each of the kind that kinds says.
func FuzzServer(f *testing.F) {
	f.Add([]byte("one/two//three"), []byte{0, 1, 2, 3}, []byte{3}, uint8(2), false)
	f.Add([]byte("Hello, hello/Hello, hello/p/Hello"), []byte{4, 5, 2, 0}, []byte{1, 200}, uint8(5), true)
	f.Add(bytes.Repeat([]byte("x/yy"), 300), []byte{6, 4, 12}, []byte{}, uint8(0), true)
	f.Fuzz(func(t *testing.T, text, kinds, cuts []byte, fragment uint8, takeover bool) {
		var in []byte
		var want []Frame
		var packed []reqwstest.Frame // those that a compressor with takeover makes
		at := func(i int) byte {
			if len(kinds) == 0 {
				return 1
			}
			return kinds[i%len(kinds)]
		}
		parts := bytes.SplitN(text, []byte("/"), 8) // a compressor for each takes its time
		if takeover {
			var all []reqwstest.Frame
			for i, p := range parts {
				if at(i)&4 != 0 && at(i)&2 == 0 {
					all = append(all, reqwstest.Binary(p))
				}
			}
			packed = wiretest.DeflateStream(all...)
		}
		for i, p := range parts {
			out := reqwstest.Binary(p)
			switch kind := at(i); {
			case kind&2 != 0:
				p = p[:min(len(p), 125)]
				out = reqwstest.Ping(p)
				if kind&1 != 0 {
					out = reqwstest.Pong(p)
				}
			case kind&4 != 0 && takeover:
				out, packed = packed[0], packed[1:]
			case kind&4 != 0:
				out = wiretest.Deflate(out)
			case kind&1 != 0 && ValidUTF8(p):
				out.Op = reqwstest.OpText
			}
			f := Frame{Op: Opcode(out.Op)}
			if len(p) > 0 {
				f.Data = p
			}
			want = append(want, f)
			frames := []reqwstest.Frame{out}
			if out.Op < reqwstest.OpClose && fragment > 0 {
				frames = wiretest.Fragments(int(fragment), out)
			}
			in = append(in, reqwstest.Encode(frames...)...)
		}
		in = append(in, reqwstest.Encode(reqwstest.Close(4000, "end"))...)
		want = append(want, Frame{Op: OpClose, Code: 4000, Data: []byte("end")})
		r := &Reader{}
		r.Init(1<<24, NewInflate(params(takeover, 15)))
		defer r.Release()
		i := 0
		got, err := feed(r, in, func(left int) int {
			if len(cuts) == 0 {
				return left
			}
			i++
			return min(left, 1+int(cuts[i%len(cuts)]))
		})
		if err != nil || show(got) != show(want) {
			t.Fatalf("%v\ngot:\n%swant:\n%s", err, show(got), show(want))
		}
		for i := range got {
			if !bytes.Equal(got[i].Data, want[i].Data) {
				t.Fatalf("frame %d differs", i)
			}
		}
	})
}
