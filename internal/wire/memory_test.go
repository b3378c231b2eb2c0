package wire

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/matryer/is"
)

// holds is how many bytes of buffers r has in its hands.
func (r *Reader) holds() (n int) {
	for b := r.buf; b != nil; b = b.retired {
		n += cap(b.data) + cap(b.aside)
	}
	if z := r.inflate; z != nil {
		n += cap(z.history)
		if z.out != nil {
			n += cap(z.out.data)
		}
	}
	return n
}

// bombs is n compressed messages of size bytes each.
func bombs(n, size int) string {
	return strings.Repeat(frame(0xc2, newPeer(false).compress(strings.Repeat("\x00", size))), n)
}

// However much a few bytes inflate to, a batch holds a buffer of it, or one message; and what one message
// took is not taken by those after it.
func TestReaderHoldsLittle(t *testing.T) {
	const largest = 5 << 20
	plain := frame(0x82, strings.Repeat("x", largest))
	for _, c := range []struct {
		name      string
		in        string
		size      int // of the messages after the first
		allowance int
	}{
		{"of 1 KiB", bombs(2000, 1<<10), 1 << 10, 0},
		{"of 100 KiB", bombs(80, 100<<10), 100 << 10, 4 * 100 << 10},
		{"of 512 KiB", bombs(32, 512<<10), 512 << 10, 2 << 20},
		{"plain, of 1 KiB", strings.Repeat(frame(0x82, long), 1000), 1 << 10, 0},
	} {
		for _, takeover := range []bool{false, true} {
			t.Run(fmt.Sprint(c.name, ", takeover ", takeover), func(t *testing.T) {
				is := is.New(t)
				var r Reader
				r.Init(largest, NewInflate(params(takeover, 15)))
				defer r.Release()
				dst := make([]Frame, 512)
				messages, most, reads := 0, 0, 0
				for in := []byte(plain + c.in); len(in) > 0; {
					after := messages > 0
					if after {
						reads++
					}
					space := r.Space()
					is.True(!after || len(space) <= mostAhead+c.size)
					n := copy(space, in[:min(len(in), max(200, len(in)-len(c.in)))])
					r.Filled(n)
					in = in[n:]
					for n = 1; n > 0; {
						var err error
						n, err = r.Batch(dst)
						is.NoErr(err)
						size := 0
						for _, f := range dst[:n] {
							size += len(f.Data)
						}
						if messages += n; after {
							is.True(size <= max(classSize(classAhead), c.size))
							if reads > 2*fillsPerLook {
								most = max(most, r.holds())
							}
						}
					}
				}
				is.True(messages > 30)
				is.True(most > 0)
				is.True(most <= 4*classSize(classAhead)+c.allowance)
			})
		}
	}
}

// After a large message the buffers that it took go back, some small reads later or on Idle, even inside another
// message.
func TestReaderGivesBack(t *testing.T) {
	big := strings.Repeat("y", 3<<20)
	for _, c := range []struct{ name, large, then string }{
		{"plain", frame(0x82, big), ""},
		{"compressed", frame(0xc2, newPeer(false).compress(big)), ""},
		{"plain, then a header", frame(0x82, big), "\x82"},
		{"compressed, then a header", frame(0xc2, newPeer(false).compress(big)), "\x82"},
		{"plain, then a fragment", frame(0x82, big), frame(0x02, long)},
		{"compressed, then a fragment", frame(0xc2, newPeer(false).compress(big)), frame(0x42, "\xf2\x48")},
	} {
		for _, idle := range []bool{false, true} {
			t.Run(fmt.Sprint(c.name, ", idle ", idle), func(t *testing.T) {
				is := is.New(t)
				var r Reader
				r.Init(-1, NewInflate(params(true, 15)))
				defer r.Release()
				most := 0
				for in := []byte(c.large + c.then); len(in) > 0; {
					n := copy(r.Space(), in)
					r.Filled(n)
					in = in[n:]
					for n = 1; n > 0; {
						var err error
						n, err = r.Batch(make([]Frame, 10))
						is.NoErr(err)
						most = max(most, r.holds())
					}
				}
				is.True(most > len(big))
				if idle {
					r.Idle()
					is.True(r.holds() < 4*classSize(0)+maxWindow*5/4)
				}
				if c.then != "" {
					return
				}
				small := []byte(frame(0x82, "small") + frame(0xc2, "\xf2\x48\xcd\xc9\xc9\x07\x00"))
				for range 2 * fillsPerLook {
					r.Filled(copy(r.Space(), small))
					_, err := drain(&r)
					is.NoErr(err)
				}
				is.True(r.holds() < 3*classSize(classAhead))
			})
		}
	}
}

// A message that is long only in its compressed form is one within the limit: an encoder may flush each byte, and
// write empty blocks for as long as it likes. None of that is kept.
func TestInflateLongForm(t *testing.T) {
	for _, c := range []struct {
		name, unit, want string
		units            int
	}{
		{"flushed byte by byte", inBits("0 10 10010001 0000000 0 00 00") + "\x00\x00\xff\xff", "a", 1000},
		{"empty blocks", "\x00\x00\x00\xff\xff", "", 50_000},
		{"empty final blocks", "\x01\x00\x00\xff\xff", "", 50_000},
	} {
		for _, pieces := range []int{1 << 30, 100} {
			t.Run(fmt.Sprint(c.name, ", fragments of ", pieces), func(t *testing.T) {
				is := is.New(t)
				z := strings.Repeat(c.unit, c.units)
				z += "\x00"
				in := ""
				for first := byte(0x41); z != ""; first = 0 {
					n := min(len(z), pieces)
					if n == len(z) {
						first |= 0x80
					}
					in += frame(first, z[:n])
					z = z[n:]
				}
				var r Reader
				r.Init(1000, NewInflate(params(true, 15)))
				defer r.Release()
				most := 0
				frames, err := feed(&r, []byte(in), func(left int) int {
					most = max(most, r.holds())
					return min(left, 10_000)
				})
				is.NoErr(err)
				is.Equal(len(frames), 1)
				is.Equal(string(frames[0].Data), strings.Repeat(c.want, c.units))
				is.True(most < 3*classSize(classAhead))
			})
		}
	}
}

// A byte that cannot be in a text ends a bomb where it stands.
func TestInflateBadTextEarly(t *testing.T) {
	is := is.New(t)
	bomb := newPeer(true).compress("good \xff" + strings.Repeat("\x00", 8<<20))
	var r Reader
	r.Init(-1, NewInflate(params(true, 15)))
	defer r.Release()
	n := copy(r.Space(), frame(0x41, bomb))
	is.True(n > 1000)
	r.Filled(n)
	_, err := drain(&r)
	is.Equal(codeOf(err), uint16(CodeInvalidData))
	is.True(r.holds() < 2*classSize(classAhead))
}

// One may read on before the next batch: what is lent stays, what is not parsed is kept.
func TestReaderReadsOn(t *testing.T) {
	for _, large := range []int{0, 1000, 100 << 10} {
		for _, idle := range []bool{false, true} {
			t.Run(fmt.Sprint(large, ", idle ", idle), func(t *testing.T) {
				is := is.New(t)
				var r Reader
				r.Init(-1, NewInflate(params(true, 15)))
				defer r.Release()
				read := func(s string) {
					for in := []byte(s); len(in) > 0; {
						n := copy(r.Space(), in)
						r.Filled(n)
						in = in[n:]
						if idle {
							r.Idle()
						}
					}
				}
				p := newPeer(true)
				packed := frame(0xc1, p.compress("inflated"))
				read(frame(0x81, "first") + packed + frame(0x01, "fra") + frame(0x89, "ping") + frame(0x00, "gm"))
				lent := make([]Frame, 3)
				n, err := r.Batch(lent)
				is.NoErr(err)
				is.Equal(n, 3)
				var want []Frame
				for range 3 {
					body := strings.Repeat("z", large)
					read(frame(0x00, body) + frame(0x8a, "pong"))
					want = append(want, Frame{Op: OpPong, Data: []byte("pong")})
				}
				read(frame(0x80, "ents") + frame(0xc1, p.compress("inflated"))[:5])
				is.Equal(show(lent), show([]Frame{{Op: OpText, Data: []byte("first")}, {Op: OpText, Data: []byte("inflated")}, {Op: OpPing, Data: []byte("ping")}}))
				frames, err := drain(&r)
				is.NoErr(err)
				want = append(want, Frame{Op: OpText, Data: []byte("fragm" + strings.Repeat("z", 3*large) + "ents")})
				is.Equal(show(frames), show(want))
				is.True(r.Partial())
				is.True(r.buf.retired == nil)
			})
		}
	}
}

// What is held and not returned counts, whatever the form.
func TestReaderBuffered(t *testing.T) {
	is := is.New(t)
	var r Reader
	r.Init(-1, NewInflate(params(true, 15)))
	defer r.Release()
	read := func(s string) { r.Filled(copy(r.Space(), s)) }
	is.Equal(r.Buffered(), 0)
	read("\x82")
	is.Equal(r.Buffered(), 1)
	read("\x05abc")
	is.Equal(r.Buffered(), 5)
	drain(&r)
	is.Equal(r.Buffered(), 3) // of the message; its header is parsed
	read("de" + frame(0x89, "ping"))
	is.Equal(r.Buffered(), 11)
	drain(&r)
	is.Equal(r.Buffered(), 0)
	read("\xc2\x05\xf2\x48\xcd\xc9")
	is.Equal(r.Buffered(), 6)
	drain(&r)
	is.Equal(r.Buffered(), 3) // "Hel", the rest lies in the decoder
	read("\xc9" + closing(1000, ""))
	r.Idle()
	is.Equal(r.Buffered(), 3+5)
	_, err := drain(&r)
	is.True(err != nil) // cut off
	is.Equal(r.Buffered(), 0)
}

func TestReaderHasClose(t *testing.T) {
	bye := closing(1000, "bye")
	for _, c := range []struct {
		name   string
		parsed string // before
		in     string
		want   bool
	}{
		{"nothing", "", "", false},
		{"alone", "", bye, true},
		{"bare", "", frame(0x88, ""), true},
		{"cut off", "", bye[:len(bye)-1], false},
		{"half a header", "", "\x88", false},
		{"after messages", "", frame(0x81, "a") + frame(0x82, long) + frame(0x82, strings.Repeat(long, 70)) + frame(0x89, "p") + bye, true},
		{"after a message that is cut off", "", frame(0x81, "a") + "\x82\x7e\x40\x00" + bye, false},
		{"inside a payload", "", frame(0x82, bye), false},
		{"behind the rest of a payload", "\x82\x05ab", "cde" + bye, true},
		{"inside the rest of a payload", "\x82\x25ab", "cde" + bye, false},
		{"between fragments", "", frame(0x01, "a") + bye, true},
		{"between fragments, the first parsed", frame(0x01, "a"), frame(0x89, "") + frame(0x00, "b") + bye, true},
		{"after the last fragment", frame(0x01, "a"), frame(0x80, "b") + frame(0x81, "c") + bye, true},
		{"in the middle of the last fragment", frame(0x01, "a") + "\x80\x05b", "cdef" + frame(0x81, "c") + bye, true},
		{"compressed before it", frame(0x41, "\xf2\x48"), frame(0x80, "not deflate") + frame(0xc1, "nor this") + bye, true},
		{"after a reserved opcode", "", frame(0x83, "") + bye, false},
		{"after a masked frame", "", "\x81\x80abcd" + bye, false},
		{"after a stray continuation", "", frame(0x80, "") + bye, false},
		{"after a message inside another", frame(0x01, "a"), frame(0x81, "") + bye, false},
		{"after RSV1 on a ping", "", frame(0xc9, "") + bye, false},
		{"after a length of 2^63-1", "", "\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff" + bye, false},
		{"of one byte", "", frame(0x88, "\x03") + bye, false},
		{"with an invalid code", "", closing(1005, ""), false},
		{"with a reason that is not UTF-8", "", closing(1000, "\xff"), false},
		{"with RSV1", "", "\xc8\x00", false},
		{"already returned", bye, frame(0x81, "a") + bye, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			is := is.New(t)
			var r Reader
			r.Init(-1, NewInflate(params(true, 15)))
			defer r.Release()
			r.Filled(copy(r.Space(), c.parsed))
			_, err := drain(&r)
			is.NoErr(err)
			is.True(!r.HasClose())
			for in := []byte(c.in); len(in) > 0; {
				n := copy(r.Space(), in)
				r.Filled(n)
				in = in[n:]
			}
			before, held := bytes.Clone(r.buf.data[r.buf.start:r.buf.end]), r.Buffered()
			is.Equal(r.HasClose(), c.want)
			is.Equal(r.HasClose(), c.want)
			is.True(bytes.Equal(r.buf.data[r.buf.start:r.buf.end], before))
			is.Equal(r.Buffered(), held)
		})
	}
	is.New(t).True(!new(Reader).HasClose())
}
