package reqwstest

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/matryer/is"
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

// The examples of RFC 6455, section 5.7, and what no one should send.
func TestEncode(t *testing.T) {
	long := strings.Repeat("x", 256)
	for _, tt := range []struct {
		name  string
		frame Frame
		want  []byte
	}{
		{"text", Text("Hello"), unhex("81 05 48656c6c6f")},
		{"masked text", Frame{Fin: true, Op: OpText, Payload: []byte("Hello"), Masked: true, Key: [4]byte(unhex("37fa213d"))}, unhex("81 85 37fa213d 7f9f4d5158")},
		{"first fragment", Frame{Op: OpText, Payload: []byte("Hel")}, unhex("01 03 48656c")},
		{"last fragment", Frame{Fin: true, Payload: []byte("lo")}, unhex("80 02 6c6f")},
		{"ping", Ping("Hello"), unhex("89 05 48656c6c6f")},
		{"pong", Pong([]byte("Hello")), unhex("8a 05 48656c6c6f")},
		{"16-bit length", Binary(long), append(unhex("82 7e 0100"), long...)},
		{"126 bytes", Binary(long[:126]), append(unhex("82 7e 007e"), long[:126]...)},
		{"125 bytes", Binary(long[:125]), append(unhex("82 7d"), long[:125]...)},
		{"65535 bytes", Binary(strings.Repeat("x", 65535)), append(unhex("82 7e ffff"), strings.Repeat("x", 65535)...)},
		{"64-bit length", Binary(strings.Repeat("x", 65536)), append(unhex("82 7f 0000000000010000"), strings.Repeat("x", 65536)...)},
		{"empty close", Close(0, "ignored"), unhex("88 00")},
		{"close", Close(1000, "bye"), unhex("88 05 03e8 627965")},
		{"illegal close", Close(1005, ""), unhex("88 02 03ed")},
		{"reserved bits", Frame{Fin: true, Op: OpText, RSV: RSV1 | RSV3}, unhex("d1 00")},
		{"reserved opcode", Frame{Fin: true, Op: 0xB, RSV: RSV2}, unhex("ab 00")},
		{"a length that is not there", Frame{Fin: true, Op: OpBinary, Length: 1 << 63, Payload: []byte("x")}, unhex("82 7f 8000000000000000 78")},
		{"length in 16 bits", Frame{Fin: true, Op: OpText, Payload: []byte("x"), LengthBits: 16}, unhex("81 7e 0001 78")},
		{"length in 64 bits", Frame{Fin: true, Op: OpText, Payload: []byte("x"), LengthBits: 64}, unhex("81 7f 0000000000000001 78")},
		{"length 126 in 7 bits", Frame{Fin: true, Op: OpText, Length: 126, LengthBits: 7}, unhex("81 7e")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			is := is.New(t)
			is.Equal(Encode(tt.frame), tt.want)
		})
	}
	is := is.New(t)
	is.Equal(Encode(Text("a"), Ping("")), unhex("810161 8900")) // several, in order
	is.Equal(len(Encode()), 0)
}

func TestReadFrame(t *testing.T) {
	key := [4]byte(unhex("37fa213d"))
	for _, tt := range []struct {
		name string
		in   []byte
		want Frame
	}{
		{"masked", unhex("81 85 37fa213d 7f9f4d5158"), Frame{Fin: true, Op: OpText, Masked: true, Key: key, Payload: []byte("Hello")}},
		{"not masked", unhex("81 05 48656c6c6f"), Frame{Fin: true, Op: OpText, Payload: []byte("Hello")}},
		{"empty", unhex("8a 80 37fa213d"), Frame{Fin: true, Op: OpPong, Masked: true, Key: key, Payload: []byte{}}},
		{"reserved", unhex("73 00"), Frame{RSV: 7, Op: 3, Payload: []byte{}}},
		{"16 bits, shortest", append(unhex("82 7e 007e"), make([]byte, 126)...), Frame{Fin: true, Op: OpBinary, Payload: make([]byte, 126)}},
		{"16 bits, too long", append(unhex("82 7e 007d"), make([]byte, 125)...), Frame{Fin: true, Op: OpBinary, Payload: make([]byte, 125), LengthBits: 16}},
		{"64 bits, shortest", append(unhex("82 7f 0000000000010000"), make([]byte, 65536)...), Frame{Fin: true, Op: OpBinary, Payload: make([]byte, 65536)}},
		{"64 bits, too long", append(unhex("82 7f 0000000000000001"), 'x'), Frame{Fin: true, Op: OpBinary, Payload: []byte("x"), LengthBits: 64}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			is := is.New(t)
			r := bytes.NewReader(append(bytes.Clone(tt.in), "rest"...))
			got, err := Decode(r)
			is.NoErr(err)
			is.Equal(got, tt.want)
			is.Equal(r.Len(), len("rest")) // and not a byte more

			_, err = Decode(bytes.NewReader(nil))
			is.Equal(err, io.EOF)
			for cut := 1; cut < len(tt.in); cut += 1 + len(tt.in)/300 {
				_, err := Decode(bytes.NewReader(tt.in[:cut]))
				is.True(errors.Is(err, io.ErrUnexpectedEOF)) // cut off
			}
		})
	}
	is := is.New(t)
	_, err := Decode(bytes.NewReader(unhex("82 ff 8000000000000000 00000000")))
	is.True(strings.Contains(err.Error(), "claims 9223372036854775808 bytes"))
}

func TestFrameString(t *testing.T) {
	for want, f := range map[string]Frame{
		`text "hello"`:                           Text("hello"),
		`binary "\x00\xff"`:                      Binary("\x00\xff"),
		`ping ""`:                                Ping(""),
		`close 1000 "bye"`:                       Close(1000, "bye"),
		`close ""`:                               Close(0, ""),
		`close "\x03"`:                           {Fin: true, Op: OpClose, Payload: []byte{3}},
		`continuation "x" without FIN with RSV1`: {Payload: []byte("x"), RSV: RSV1},
		`opcode 0x3 "" without FIN with RSV3`:    {Op: 3, RSV: RSV3},
		`text "` + strings.Repeat("x", 80) + `"... (81 bytes)`: Text(strings.Repeat("x", 81)),
	} {
		is := is.New(t)
		is.Equal(f.String(), want)
	}
}

func TestDifference(t *testing.T) {
	is := is.New(t)
	long := strings.Repeat("x", 50)
	is.Equal(difference([]byte("a"), []byte("b")), "") // seen by eye
	is.Equal(difference([]byte(long+"a"), []byte(long+"b")), `; they part at byte 50: got "a", want "b"`)
	is.Equal(difference([]byte(long), []byte(long+"b")), `; they part at byte 50: got "", want "b"`)
	is.Equal(difference([]byte(long), []byte(long)), "")
}

func FuzzReadFrame(f *testing.F) {
	f.Add(unhex("81 85 37fa213d 7f9f4d5158"))
	f.Add(unhex("82 7e 007d"))
	f.Add(unhex("82 ff 8000000000000000 00000000"))
	f.Add(Encode(Text("héllo"), Ping("x"), Close(1000, "bye")))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := bytes.NewReader(in)
		var check rules
		for {
			before := len(in) - r.Len()
			frame, err := Decode(r)
			if err != nil {
				return
			}
			after := len(in) - r.Len()
			if frame.LengthBits == 0 && !bytes.Equal(Encode(frame), in[before:after]) {
				t.Fatalf("% x reads as %v, which is written % x", in[before:after], frame, Encode(frame))
			}
			check.frame(frame) // must not panic
		}
	})
}
