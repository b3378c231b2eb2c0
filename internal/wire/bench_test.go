package wire

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// One batch of frames as a socket would give it, parsed over and over.
func BenchmarkReader(b *testing.B) {
	for _, op := range []Opcode{OpText, OpBinary} {
		for _, n := range []int{16, 125, 1 << 10, 64 << 10, 1 << 20} {
			in := []byte(strings.Repeat(frame(0x80|byte(op), strings.Repeat("x", n)), max(1, 64<<10/(n+4))))
			count := max(1, 64<<10/(n+4))
			b.Run(fmt.Sprintf("%v/%d", op, n), func(b *testing.B) {
				var r Reader
				r.Init(-1, nil)
				r.class = classFor(len(in)) // as after some traffic
				r.buf = newBuffer(r.class)
				copy(r.buf.data, in)
				b.ResetTimer()
				b.SetBytes(int64(n))
				for i := 0; i < b.N; i += count {
					r.buf.start, r.buf.end = 0, len(in)
					for {
						f, ok, err := r.Next()
						if !ok {
							if err != nil {
								b.Fatal(err)
							}
							break
						}
						sink += len(f.Data)
					}
				}
			})
		}
	}
}

// Small messages as a stream takes them: many in a batch.
func BenchmarkBatch(b *testing.B) {
	in := []byte(strings.Repeat(frame(0x82, "sixteen bytes..."), 4000))
	frames := make([]Frame, 512)
	var r Reader
	r.Init(-1, nil)
	r.class = classAhead
	copy(r.Space(), in)
	for i := 0; i < b.N; {
		r.Space()
		r.Filled(len(in))
		for n := 1; n > 0; i += n {
			n, _ = r.Batch(frames)
		}
	}
}

var sink int

func BenchmarkValidUTF8(b *testing.B) {
	for _, n := range []int{16, 1 << 10, 64 << 10} {
		for _, c := range []struct{ name, of string }{{"ascii", "x"}, {"mixed", "naïve €5, "}, {"cjk", "文字"}} {
			p := []byte(strings.Repeat(c.of, n/len(c.of)))
			b.Run(fmt.Sprintf("%s/%d", c.name, n), func(b *testing.B) {
				b.SetBytes(int64(len(p)))
				for range b.N {
					if !ValidUTF8(p) {
						b.Fatal("not valid")
					}
				}
			})
		}
	}
}

func BenchmarkMask(b *testing.B) {
	for _, n := range []int{4, 16, 64, 125, 256, 1 << 10, 4 << 10, 64 << 10} {
		p := make([]byte, n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.SetBytes(int64(n))
			for i := range b.N {
				Mask(p, p, uint32(i), 0)
			}
		})
	}
}

func BenchmarkAppendFrame(b *testing.B) {
	for _, n := range []int{0, 16, 64, 1 << 10, 64 << 10} {
		p, dst := make([]byte, n), make([]byte, 0, n+MaxHeader)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.SetBytes(int64(n))
			for range b.N {
				AppendFrame(dst, OpText, p, NewKey())
			}
		})
	}
}

func BenchmarkInflate(b *testing.B) {
	for _, takeover := range []bool{false, true} {
		for _, n := range []int{128, 1 << 10, 64 << 10} {
			b.Run(fmt.Sprintf("takeover %v/%d", takeover, n), func(b *testing.B) {
				z := NewInflate(params(takeover, 15))
				p := []byte(newPeer(false).compress(sentences(rand.New(rand.NewPCG(1, 2)), n)))
				b.SetBytes(int64(n))
				for range b.N {
					z.message(p, n, false)
					z.forget()
				}
			})
		}
	}
}

func BenchmarkDeflate(b *testing.B) {
	for _, connections := range []int{1, 2} {
		for _, n := range []int{128, 1 << 10, 64 << 10} {
			b.Run(fmt.Sprintf("connections %d/%d", connections, n), func(b *testing.B) {
				rnd := rand.New(rand.NewPCG(1, 2))
				var ds []*Deflate
				var messages [][]byte
				for range connections {
					ds = append(ds, NewDeflate(params(true, 15)))
				}
				for range 64 {
					messages = append(messages, []byte(sentences(rnd, n)))
				}
				dst := make([]byte, 0, 2*n)
				b.SetBytes(int64(n))
				for i := range b.N {
					ds[i%connections].Append(dst, messages[i%64])
				}
			})
		}
	}
}
