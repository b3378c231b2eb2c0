package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"unsafe"

	"github.com/matryer/is"
)

// frame builds an unmasked frame; first is its first byte.
func frame(first byte, payload string) string {
	p := []byte{first}
	switch n := len(payload); {
	case n < 126:
		p = append(p, byte(n))
	case n < 1<<16:
		p = append(p, 126, byte(n>>8), byte(n))
	default:
		p = binary.BigEndian.AppendUint64(append(p, 127), uint64(n))
	}
	return string(p) + payload
}

func closing(code uint16, reason string) string {
	return frame(0x88, string(binary.BigEndian.AppendUint16(nil, code))+reason)
}

// drain returns copies of all that r has. They are taken at the end of each batch: that its frames stay valid
// together is checked on the way.
func drain(r *Reader) (frames []Frame, err error) {
	var batch [7]Frame
	for {
		n, err := r.Batch(batch[:])
		for _, f := range batch[:n] {
			f.Data = bytes.Clone(f.Data)
			frames = append(frames, f)
		}
		if n == 0 || err != nil {
			return frames, err
		}
	}
}

// feed gives p to r in pieces and returns copies of what came out.
func feed(r *Reader, p []byte, piece func(left int) int) (frames []Frame, err error) {
	for len(p) > 0 && err == nil && !r.closed {
		for n := piece(len(p)); n > 0; {
			m := copy(r.Space(), p[:n])
			r.Filled(m)
			p, n = p[m:], n-m
			var some []Frame
			some, err = drain(r)
			frames = append(frames, some...)
			if err != nil || r.closed {
				return frames, err
			}
		}
		r.Idle()
	}
	return frames, err
}

func show(frames []Frame) string {
	var s strings.Builder
	for _, f := range frames {
		d := fmt.Sprintf("%q", f.Data)
		if len(d) > 60 {
			d = fmt.Sprintf("%.40s...(%d)", d, len(f.Data))
		}
		fmt.Fprintf(&s, "%v %d %s\n", f.Op, f.Code, d)
	}
	return s.String()
}

func codeOf(err error) uint16 {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}

var long = strings.Repeat("0123456789abcdef", 64)

// scripts: what comes, and what is to come out of it, however it is cut.
var scripts = []struct {
	name    string
	in      string
	limit   int64
	want    []Frame
	code    uint16
	reason  string
	partial bool
}{
	{name: "nothing"},
	{name: "text", in: frame(0x81, "hello"), want: []Frame{{Op: OpText, Data: []byte("hello")}}},
	{name: "binary", in: frame(0x82, "\x00\xff"), want: []Frame{{Op: OpBinary, Data: []byte("\x00\xff")}}},
	{name: "empty ones", in: frame(0x81, "") + frame(0x82, "") + frame(0x89, "") + frame(0x8a, ""),
		want: []Frame{{Op: OpText}, {Op: OpBinary}, {Op: OpPing}, {Op: OpPong}}},
	{name: "126 bytes", in: frame(0x81, long[:126]), want: []Frame{{Op: OpText, Data: []byte(long[:126])}}},
	{name: "several", in: frame(0x81, "a") + frame(0x89, "p") + frame(0x82, long) + frame(0x8a, "q") + frame(0x81, "b"),
		want: []Frame{{Op: OpText, Data: []byte("a")}, {Op: OpPing, Data: []byte("p")}, {Op: OpBinary, Data: []byte(long)},
			{Op: OpPong, Data: []byte("q")}, {Op: OpText, Data: []byte("b")}}},
	{name: "fragments", in: frame(0x01, "he") + frame(0x00, "l") + frame(0x00, "") + frame(0x80, "lo") + frame(0x81, "x"),
		want: []Frame{{Op: OpText, Data: []byte("hello")}, {Op: OpText, Data: []byte("x")}}},
	{name: "empty fragments", in: frame(0x02, "") + frame(0x80, ""), want: []Frame{{Op: OpBinary}}},
	{name: "control between fragments",
		in: frame(0x89, "0") + frame(0x01, "one") + frame(0x89, "ping1") + frame(0x00, "twotwotwo") + frame(0x8a, "pong2") +
			frame(0x89, "") + frame(0x80, "three") + frame(0x02, "x") + frame(0x89, "ping3") + frame(0x80, long) + frame(0x89, "4"),
		want: []Frame{{Op: OpPing, Data: []byte("0")}, {Op: OpPing, Data: []byte("ping1")}, {Op: OpPong, Data: []byte("pong2")}, {Op: OpPing},
			{Op: OpText, Data: []byte("onetwotwotwothree")}, {Op: OpPing, Data: []byte("ping3")},
			{Op: OpBinary, Data: []byte("x" + long)}, {Op: OpPing, Data: []byte("4")}}},
	{name: "code points split over fragments", in: frame(0x01, "\xce") + frame(0x00, "\xba\xe1") + frame(0x00, "\xbd") + frame(0x80, "\xb9\xf0\x90\x8d\x88"),
		want: []Frame{{Op: OpText, Data: []byte("\u03ba\u1f79\U00010348")}}},
	{name: "close", in: frame(0x88, ""), want: []Frame{{Op: OpClose}}},
	{name: "close with a code", in: closing(1000, ""), want: []Frame{{Op: OpClose, Code: 1000}}},
	{name: "close with a reason", in: frame(0x81, "a") + closing(4999, "wéll"),
		want: []Frame{{Op: OpText, Data: []byte("a")}, {Op: OpClose, Code: 4999, Data: []byte("wéll")}}},
	{name: "nothing after close", in: closing(1001, "") + frame(0x81, "late") + "\xff\xff", want: []Frame{{Op: OpClose, Code: 1001}}},
	{name: "close inside a message", in: frame(0x01, "a") + closing(1001, "bye"), want: []Frame{{Op: OpClose, Code: 1001, Data: []byte("bye")}}},
	{name: "at the limit", in: frame(0x81, "12345678") + frame(0x02, "1234") + frame(0x80, "5678"), limit: 8,
		want: []Frame{{Op: OpText, Data: []byte("12345678")}, {Op: OpBinary, Data: []byte("12345678")}}},
	{name: "control frames have no limit", in: frame(0x89, "123456789"), limit: 8, want: []Frame{{Op: OpPing, Data: []byte("123456789")}}},

	{name: "partial header", in: frame(0x81, "a") + "\x81", want: []Frame{{Op: OpText, Data: []byte("a")}}, partial: true},
	{name: "partial length", in: "\x82\x7f\x00\x00\x00\x00\x00\x01\x00", partial: true},
	{name: "partial payload", in: "\x82\x05abcd", partial: true},
	{name: "partial control", in: "\x89\x05abcd", partial: true},
	{name: "partial message", in: frame(0x01, "abc"), partial: true},
	{name: "partial code point", in: "\x81\x05ab\xe2\x82", partial: true},

	{name: "RSV1", in: frame(0xc1, "a"), code: 1002, reason: "reserved bits 0x40 set"},
	{name: "RSV2", in: frame(0xa1, "a"), code: 1002, reason: "reserved bits 0x20 set"},
	{name: "RSV3", in: frame(0x89, "a") + frame(0x99, "b"), want: []Frame{{Op: OpPing, Data: []byte("a")}}, code: 1002, reason: "reserved bits 0x10 set"},
	{name: "opcode 3", in: frame(0x81, "a") + frame(0x83, "b"), want: []Frame{{Op: OpText, Data: []byte("a")}}, code: 1002, reason: "reserved opcode 0x3"},
	{name: "opcode 7", in: frame(0x07, "b"), code: 1002, reason: "reserved opcode 0x7"},
	{name: "opcode b", in: frame(0x8b, ""), code: 1002, reason: "reserved opcode 0xb"},
	{name: "opcode f", in: frame(0x8f, ""), code: 1002, reason: "reserved opcode 0xf"},
	{name: "masked", in: "\x81\x85abcd12345", code: 1002, reason: "masked frame from the server"},
	{name: "masked, empty", in: "\x81\x80abcd", code: 1002, reason: "masked frame from the server"},
	{name: "fragmented ping", in: frame(0x09, "a"), code: 1002, reason: "fragmented ping frame"},
	{name: "fragmented close", in: frame(0x08, ""), code: 1002, reason: "fragmented close frame"},
	{name: "ping of 126 bytes", in: frame(0x89, long[:126]), code: 1002, reason: "ping frame with more than 125 bytes"},
	{name: "pong with a 64-bit length", in: "\x8a\x7f", code: 1002, reason: "pong frame with more than 125 bytes"},
	{name: "16-bit length of 125", in: "\x81\x7e\x00\x7d", code: 1002, reason: "length 125 not in its shortest form"},
	{name: "64-bit length of 65535", in: "\x82\x7f\x00\x00\x00\x00\x00\x00\xff\xff", code: 1002, reason: "length 65535 not in its shortest form"},
	{name: "64-bit length, top bit", in: "\x82\x7f\x80\x00\x00\x00\x00\x00\x00\x00", code: 1002, reason: "64-bit length with its top bit set"},
	{name: "stray continuation", in: frame(0x81, "a") + frame(0x80, "b"), want: []Frame{{Op: OpText, Data: []byte("a")}}, code: 1002, reason: "continuation frame without a message to continue"},
	{name: "stray continuation after a fragmented message", in: frame(0x01, "a") + frame(0x80, "b") + frame(0x00, "c"),
		want: []Frame{{Op: OpText, Data: []byte("ab")}}, code: 1002, reason: "continuation frame without a message to continue"},
	{name: "text inside a message", in: frame(0x01, "a") + frame(0x81, "b"), code: 1002, reason: "new text frame inside a fragmented message"},
	{name: "binary inside a message", in: frame(0x01, "a") + frame(0x89, "p") + frame(0x02, "b"), want: []Frame{{Op: OpPing, Data: []byte("p")}},
		code: 1002, reason: "new binary frame inside a fragmented message"},

	{name: "invalid UTF-8", in: frame(0x81, "ok") + frame(0x81, "a\xffb"), want: []Frame{{Op: OpText, Data: []byte("ok")}}, code: 1007, reason: "text is not UTF-8"},
	{name: "surrogate", in: frame(0x81, "\xed\xa0\x80"), code: 1007, reason: "text is not UTF-8"},
	{name: "overlong", in: frame(0x81, "\xc0\xaf"), code: 1007, reason: "text is not UTF-8"},
	{name: "above U+10FFFF", in: frame(0x81, "\xf4\x90\x80\x80"), code: 1007, reason: "text is not UTF-8"},
	{name: "invalid in a fragment", in: frame(0x01, "\xce") + frame(0x00, "\xce"), code: 1007, reason: "text is not UTF-8"},
	{name: "truncated code point", in: frame(0x81, "a\xe2\x82"), code: 1007, reason: "text ends inside a code point"},
	{name: "truncated in fragments", in: frame(0x01, "a\xe2") + frame(0x80, "\x82"), code: 1007, reason: "text ends inside a code point"},
	{name: "bad byte in a partial frame", in: "\x81\x7f\x00\x00\x00\x00\x00\x10\x00\x00abc\xc3(", code: 1007, reason: "text is not UTF-8"},
	{name: "hopeless code point in a partial frame", in: "\x81\x10\xf4\x90", code: 1007, reason: "text is not UTF-8"},

	{name: "close of one byte", in: frame(0x88, "\x03"), code: 1002, reason: "close frame with a payload of one byte"},
	{name: "close 999", in: closing(999, ""), code: 1002, reason: "close frame with the invalid code 999"},
	{name: "close 1005", in: frame(0x81, "a") + closing(1005, ""), want: []Frame{{Op: OpText, Data: []byte("a")}}, code: 1002, reason: "close frame with the invalid code 1005"},
	{name: "close with a bad reason", in: closing(1000, "a\xff"), code: 1007, reason: "reason of the close frame is not UTF-8"},

	{name: "above the limit", in: frame(0x81, "1") + "\x81\x09", limit: 8, want: []Frame{{Op: OpText, Data: []byte("1")}},
		code: 1009, reason: "message above the limit of 8 bytes"},
	{name: "far above the limit", in: "\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff", limit: 8, code: 1009, reason: "message above the limit of 8 bytes"},
	{name: "sum above the limit", in: frame(0x02, "12345") + "\x00\x04", limit: 8, code: 1009, reason: "message above the limit of 8 bytes"},
}

func TestReader(t *testing.T) {
	for _, s := range scripts {
		t.Run(s.name, func(t *testing.T) {
			is := is.New(t)
			if s.limit == 0 {
				s.limit = -1
			}
			check := func(how string, frames []Frame, err error, r *Reader) {
				t.Helper()
				if show(frames) != show(s.want) || codeOf(err) != s.code || r.Partial() != s.partial {
					t.Fatalf("%s: got\n%scode %d (%v), partial %v; want\n%scode %d, partial %v",
						how, show(frames), codeOf(err), err, r.Partial(), show(s.want), s.code, s.partial)
				}
				for _, f := range frames {
					is.True(f.Data == nil || len(f.Data) > 0) // an empty payload is nil
				}
				var e *Error
				if errors.As(err, &e) {
					is.Equal(e.Reason, s.reason)
					is.Equal(e.Error(), s.reason)
					_, _, again := r.Next()
					is.Equal(again, err) // the same for ever
				}
				r.Space() // still harmless
				_, ok, _ := r.Next()
				is.True(!ok) // and nothing more
				r.Release()
			}
			for n := 1; n <= max(len(s.in), 1) && n < 400; n++ {
				var r Reader
				r.Init(s.limit, nil)
				frames, err := feed(&r, []byte(s.in), func(left int) int { return min(n, left) })
				check(fmt.Sprintf("pieces of %d", n), frames, err, &r)
			}
			for n := range min(len(s.in), 400) {
				var r Reader
				r.Init(s.limit, nil)
				first := n
				frames, err := feed(&r, []byte(s.in), func(left int) int {
					if first > 0 {
						left, first = first, 0
					}
					return left
				})
				check(fmt.Sprintf("cut at %d", n), frames, err, &r)
			}
			var r Reader
			r.Init(s.limit, nil)
			r.Prime([]byte(s.in))
			frames, err := drain(&r)
			check("primed", frames, err, &r)
		})
	}
}

func TestErrorsFitACloseFrame(t *testing.T) {
	is := is.New(t)
	for _, s := range scripts {
		is.True(len(s.reason) <= 123) // RFC 6455 section 5.5
	}
	is.True(len(tooBig(math.MaxInt).Reason) <= 123)
}

func TestValidCloseCode(t *testing.T) {
	is := is.New(t)
	valid := 0
	for code := range 1 << 16 {
		if ValidCloseCode(uint16(code)) {
			valid++
		}
	}
	is.Equal(valid, 4+8+2000)
	for _, code := range []uint16{1000, 1003, 1007, 1014, 3000, 4999} {
		is.True(ValidCloseCode(code))
	}
	for _, code := range []uint16{0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65535} {
		is.True(!ValidCloseCode(code))
	}
}

// Messages of all sizes, whole and in fragments, in reads of all sizes.
func TestReaderSizes(t *testing.T) {
	is := is.New(t)
	rnd := rand.New(rand.NewPCG(1, 2))
	var in strings.Builder
	var want []Frame
	for range 300 {
		size := rnd.IntN(1 << rnd.IntN(18))
		p := strings.Repeat("añ€\U0001F600", size/10+1)
		want = append(want, Frame{Op: OpText, Data: []byte(p)})
		first := byte(1)
		for rnd.IntN(3) == 0 {
			n := rnd.IntN(len(p) + 1)
			in.WriteString(frame(first, p[:n]))
			first, p = 0, p[n:]
		}
		in.WriteString(frame(0x80|first, p))
	}
	for _, most := range []int{100, 5000, 70000, 1 << 20, 1 << 30} {
		var r Reader
		r.Init(-1, nil)
		frames, err := feed(&r, []byte(in.String()), func(left int) int { return min(left, 1+rnd.IntN(most)) })
		is.NoErr(err)
		is.Equal(len(frames), len(want))
		for i := range want {
			is.True(bytes.Equal(frames[i].Data, want[i].Data)) // message i, unharmed
		}
		is.True(!r.Partial())
		is.True(r.buf == nil) // idle: no buffer
	}
}

// A header's claim takes no memory that was not there before.
func TestReaderGrowsWithWhatCame(t *testing.T) {
	is := is.New(t)
	var r Reader
	r.Init(-1, nil)
	came := copy(r.Space(), "\x82\x7f\x00\x00\x00\xff\x00\x00\x00\x00")
	r.Filled(came)
	fresh := 0 // of a class that no other test puts into the pools
	for range 24 {
		_, ok, err := r.Next()
		is.NoErr(err)
		is.True(!ok)
		space := r.Space()
		if r.buf.class > classPooled {
			fresh++
			is.True(len(r.buf.data) <= 3*came+spare)
		}
		came += len(space)
		r.Filled(len(space))
		if came > 64<<20 {
			break
		}
	}
	is.True(fresh > 0)
	r.Release()
}

func TestReaderIdle(t *testing.T) {
	is := is.New(t)
	is.True(unsafe.Sizeof(Reader{}) <= 64) // it counts in the memory of every idle connection
	var r Reader
	r.Init(-1, nil)
	is.True(r.buf == nil) // before anything came
	r.Idle()

	big := frame(0x82, strings.Repeat("x", 300<<10))
	for in := []byte(big + "\x81\x05he"); len(in) > 0; {
		n := copy(r.Space(), in)
		r.Filled(n)
		in = in[n:]
		for {
			if _, ok, err := r.Next(); !ok {
				is.NoErr(err)
				break
			}
		}
	}
	r.Idle()
	is.True(r.Partial())
	is.Equal(len(r.buf.data), classSize(0)) // few bytes are kept in a small buffer
	r.Filled(copy(r.Space(), "llo"))
	f, ok, err := r.Next()
	is.NoErr(err)
	is.True(ok)
	is.Equal(string(f.Data), "hello")
	r.Idle()
	is.Equal(string(f.Data), "hello") // is lent
	_, ok, err = r.Next()
	is.NoErr(err)
	is.True(!ok)
	r.Idle()
	is.True(r.buf == nil)
}

// The buffer follows the traffic, up and down again.
func TestReaderAdapts(t *testing.T) {
	for _, c := range []struct {
		name   string
		set    func(*Reader)
		widest uint8
	}{
		{"wide", func(*Reader) {}, classWide},
		{"pieces", (*Reader).Pieces, classAhead},
		{"narrow", (*Reader).Narrow, classAhead},
	} {
		t.Run(c.name, func(t *testing.T) {
			is := is.New(t)
			var r Reader
			r.Init(-1, nil)
			defer r.Release()
			c.set(&r)
			fill := func(n int) (space int) {
				p := r.Space()
				space = len(p)
				for i := range min(n, len(p)) / 4 {
					copy(p[4*i:], "\x82\x02ab")
				}
				r.Filled(min(n, len(p)) / 4 * 4)
				for {
					if _, ok, err := r.Next(); !ok {
						is.NoErr(err)
						return space
					}
				}
			}
			is.Equal(fill(1<<20), classSize(0))
			is.Equal(fill(1<<20), classSize(1))
			for range wideAfter - 2 { // and these two
				is.Equal(fill(1<<20), classSize(classAhead)) // no further without a larger frame
			}
			fill(100)
			for range wideAfter {
				is.Equal(fill(1<<20), classSize(classAhead)) // or more such reads in a row
			}
			for range 3 {
				fill(1 << 20)
			}
			is.Equal(fill(1<<20), classSize(c.widest))
			is.Equal(fill(1<<20), classSize(c.widest))
			for range 4 * fillsPerLook {
				fill(100)
			}
			is.Equal(fill(100), classSize(0))
		})
	}
}

func TestReaderAllocates(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	text := func(n int) string { return frame(0x81, strings.Repeat("x", n)) }
	for _, c := range []struct{ name, in string }{
		{"small", strings.Repeat(text(16)+frame(0x89, "")+frame(0x89, "ping"), 100)},
		{"fragmented", strings.Repeat(frame(0x01, long)+frame(0x89, "ping")+frame(0x80, long), 20)},
		{"1 KiB", strings.Repeat(text(1<<10), 40)},
		{"64 KiB", strings.Repeat(text(64<<10), 3)},
		{"1 MiB", strings.Repeat(text(1<<20), 2)},
		{"1 MiB fragmented", strings.Repeat(frame(0x01, long)+frame(0x80, strings.Repeat(long, 1023)), 2)},
	} {
		for _, idle := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, idle %v", c.name, idle), func(t *testing.T) {
				is := is.New(t)
				var r Reader
				r.Init(-1, nil)
				in := []byte(c.in)
				run := func() {
					for p := in; len(p) > 0; {
						n := copy(r.Space(), p[:min(len(p), 100<<10)])
						r.Filled(n)
						p = p[n:]
						for {
							if _, ok, err := r.Next(); !ok {
								is.NoErr(err)
								break
							}
						}
						if idle {
							r.Idle()
						}
					}
				}
				for range 40 {
					run()
				}
				is.Equal(testing.AllocsPerRun(50, run), 0.0)
			})
		}
	}
}
