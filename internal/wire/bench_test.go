package wire

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// What one read of a socket gave, taken apart over and over, one frame at a time.
func BenchmarkDecode(b *testing.B) {
	for _, op := range []Opcode{OpText, OpBinary} {
		for _, n := range []int{16, 125, 1 << 10, 64 << 10, 1 << 20} {
			in := []byte(strings.Repeat(frame(0x80|byte(op), strings.Repeat("x", n)), max(1, 64<<10/(n+4))))
			count := max(1, 64<<10/(n+4))
			b.Run(fmt.Sprintf("kind=%v/size=%d", op, n), func(b *testing.B) {
				b.ReportAllocs()
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

// The same as a stream takes it: many frames in a batch.
func BenchmarkDecodeBatch(b *testing.B) {
	for _, op := range []Opcode{OpText, OpBinary} {
		for _, n := range []int{16, 125, 1 << 10} {
			one := frame(0x80|byte(op), strings.Repeat("x", n))
			in := []byte(strings.Repeat(one, 64<<10/len(one)))
			b.Run(fmt.Sprintf("kind=%v/size=%d", op, n), func(b *testing.B) {
				b.SetBytes(int64(n))
				b.ReportAllocs()
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
			})
		}
	}
}

var sink int

func BenchmarkUTF8(b *testing.B) {
	for _, n := range []int{16, 64, 1 << 10, 64 << 10} {
		for _, c := range []struct{ name, of string }{{"ascii", "x"}, {"mixed", "naïve €5, "}, {"cjk", "文字"}} {
			p := []byte(strings.Repeat(c.of, n/len(c.of)))
			b.Run(fmt.Sprintf("text=%s/size=%d", c.name, n), func(b *testing.B) {
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
		b.Run(fmt.Sprintf("size=%d", n), func(b *testing.B) {
			b.SetBytes(int64(n))
			for i := range b.N {
				Mask(p, p, uint32(i), 0)
			}
		})
	}
}

// A frame is written with a key of its own, and masked.
func BenchmarkEncode(b *testing.B) {
	for _, n := range []int{0, 16, 64, 1 << 10, 64 << 10} {
		p, dst := make([]byte, n), make([]byte, 0, n+MaxHeader)
		b.Run(fmt.Sprintf("size=%d", n), func(b *testing.B) {
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for range b.N {
				AppendFrame(dst, OpText, p, NewKey())
			}
		})
	}
}

func BenchmarkInflate(b *testing.B) {
	for _, takeover := range []bool{false, true} {
		for _, n := range []int{128, 1 << 10, 64 << 10} {
			b.Run(fmt.Sprintf("takeover=%v/size=%d", takeover, n), func(b *testing.B) {
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
			b.Run(fmt.Sprintf("connections=%d/size=%d", connections, n), func(b *testing.B) {
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
