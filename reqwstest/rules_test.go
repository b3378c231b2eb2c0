package reqwstest

import (
	"crypto/rand"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/matryer/is"
)

// masked makes a client's frame of a server's.
func masked(f Frame) Frame {
	f.Masked = true
	rand.Read(f.Key[:])
	return f
}

func TestRules(t *testing.T) {
	part := func(op Op, p string) Frame { return Frame{Op: op, Payload: []byte(p)} }
	last := func(p string) Frame { return Frame{Fin: true, Payload: []byte(p)} }
	for _, tt := range []struct {
		name   string
		frames []Frame
		want   string // in the error of the last frame; none is none
	}{
		{"whole messages", []Frame{Text("é"), Binary("\xff"), Ping("\xff"), Pong(""), Text("")}, ""},
		{"fragments with a ping between", []Frame{part(OpText, "a\xc3"), Ping("x"), part(0, "\xa9"), last("")}, ""},
		{"close without a code", []Frame{Close(0, "")}, ""},
		{"close", []Frame{Close(1000, "bye")}, ""},
		{"close with an own code", []Frame{Close(4999, "é")}, ""},
		{"reserved opcode", []Frame{{Fin: true, Op: 0xB}}, "5.2: reserved opcode 0xb"},
		{"RSV1 without an extension", []Frame{{Fin: true, Op: OpText, RSV: RSV1}}, "5.2: reserved bits"},
		{"long form of a short length", []Frame{{Fin: true, Op: OpText, LengthBits: 16}}, "5.2: the length 0 is not in its shortest form but in 16 bits"},
		{"ping in fragments", []Frame{part(OpPing, "")}, "5.4: a fragmented control frame"},
		{"long ping", []Frame{Ping(strings.Repeat("x", 126))}, "5.5: a control frame of 126 bytes"},
		{"stray continuation", []Frame{Text("a"), last("b")}, "5.4: a continuation of nothing"},
		{"message within a message", []Frame{part(OpText, "a"), Text("b")}, "5.4: a new message before the last one was finished"},
		{"text that is not UTF-8", []Frame{Text("a\xffb")}, `5.6: a text message is not UTF-8: "a\xffb"`},
		{"half a rune at the end", []Frame{part(OpText, "a"), last("\xc3")}, "5.6: a text message is not UTF-8"},
		{"ping after close", []Frame{Close(1000, ""), Ping("")}, "5.5.1: a frame after the close frame"},
		{"second close", []Frame{Close(1000, ""), Close(1000, "")}, "5.5.1: a frame after the close frame"},
		{"half a close code", []Frame{{Fin: true, Op: OpClose, Payload: []byte{3}}}, "5.5.1: a close frame with half a code"},
		{"close 999", []Frame{Close(999, "")}, "7.4: close code 999"},
		{"close 1005", []Frame{Close(1005, "")}, "7.4: close code 1005"},
		{"close 1006", []Frame{Close(1006, "")}, "7.4: close code 1006"},
		{"close 1015", []Frame{Close(1015, "")}, "7.4: close code 1015"},
		{"close 5000", []Frame{Close(5000, "")}, "7.4: close code 5000"},
		{"close reason not UTF-8", []Frame{Close(1000, "\xff")}, "5.5.1: the close reason is not UTF-8"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			is := is.New(t)
			var r rules
			for i, f := range tt.frames {
				_, err := r.frame(masked(f))
				if i < len(tt.frames)-1 || tt.want == "" {
					is.NoErr(err)
					continue
				}
				is.True(err != nil) // the last frame breaks the rules
				is.True(strings.HasPrefix(err.Error(), "the client broke RFC 6455, section "+tt.want))
			}
		})
	}
	t.Run("not masked", func(t *testing.T) {
		is := is.New(t)
		var r rules
		_, err := r.frame(Text("a"))
		is.Equal(err.Error(), `the client broke RFC 6455, section 5.1: a frame is not masked: text "a"`)
	})
}

func TestMaskKeys(t *testing.T) {
	big := func(n uint32) (k [4]byte) { binary.BigEndian.PutUint32(k[:], n); return k }
	little := func(n uint32) (k [4]byte) { binary.LittleEndian.PutUint32(k[:], n); return k }
	for _, tt := range []struct {
		name string
		keys [][4]byte
		want string
	}{
		{"unpredictable", [][4]byte{big(77), big(1), big(1 << 30), big(77), big(2), big(3)}, ""},
		{"zero", [][4]byte{big(77), big(0)}, "the masking key of frame 2 is zero"},
		{"the same again", [][4]byte{big(5), big(77), big(77)}, "frames 2 and 3 have the same masking key 00 00 00 4d"},
		{"counting", [][4]byte{big(9), big(254), big(255), big(256), big(257)}, "the last four masking keys only count"},
		{"counting from the other end", [][4]byte{little(254), little(255), little(256), little(257)}, "the last four masking keys only count"},
		{"counting down in sevens", [][4]byte{big(14), big(7), big(1<<32 - 7), big(1<<32 - 14)}, ""},
		{"counting down over zero", [][4]byte{big(10), big(3), big(1<<32 - 4), big(1<<32 - 11)}, "the last four masking keys only count"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			is := is.New(t)
			var r rules
			for i, k := range tt.keys {
				err := r.key(k)
				if i < len(tt.keys)-1 || tt.want == "" {
					is.NoErr(err)
					continue
				}
				is.True(err != nil)
				is.True(strings.Contains(err.Error(), tt.want))
			}
		})
	}
}

// The bytes are those of RFC 7692, sections 7.2.3.1 and 7.2.3.2.
func TestInflate(t *testing.T) {
	compressed := func(p string) Frame { return masked(Frame{Fin: true, RSV: RSV1, Op: OpText, Payload: unhex(p)}) }
	for _, tt := range []struct {
		name       string
		noTakeover bool
		second     string
		ok         bool
	}{
		{"with context takeover", false, "f20011 0000", true},
		{"context takeover was given up", true, "f20011 0000", false},
		{"without context takeover", true, "f248cdc9c90700", true},
		{"afresh, though it need not be", false, "f248cdc9c90700", true},
		{"not deflate", false, "ff", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			is := is.New(t)
			r := rules{deflate: true, noTakeover: tt.noTakeover}
			m, err := r.frame(compressed("f248cdc9c90700"))
			is.NoErr(err)
			is.Equal(string(m.payload), "Hello")
			m, err = r.frame(compressed(tt.second))
			is.Equal(err == nil, tt.ok)
			if tt.ok {
				is.Equal(string(m.payload), "Hello")
			}
		})
	}
}
