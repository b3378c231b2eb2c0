package conn

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/reqws/reqws/internal/wire"
	"github.com/reqws/reqws/reqwstest"
)

// narrow is a connection that takes a few bytes at a time: as many as takes says, in turn.
type narrow struct {
	net.Conn
	takes []byte
	turn  int
	got   []byte
}

func (n *narrow) some(p []byte, least int) int {
	most := len(p)
	if len(n.takes) > 0 {
		most = max(least, int(n.takes[n.turn%len(n.takes)])*97)
		n.turn++
	}
	k := min(len(p), most)
	n.got = append(n.got, p[:k]...)
	return k
}

func (n *narrow) TryWrite(p []byte) (int, error)  { return n.some(p, 0), nil }
func (n *narrow) WriteSome(p []byte) (int, error) { return n.some(p, 61), nil }
func (n *narrow) Write(p []byte) (int, error)     { n.got = append(n.got, p...); return len(p), nil }

func (*narrow) SetWriteDeadline(time.Time) error { return nil }

// FuzzWriter: what is sent, in any sizes and over a connection that takes it in any pieces, is what a decoder of
// its own reads, compressed or not. Two bytes of script are a frame: what it is, and how long.
func FuzzWriter(f *testing.F) {
	f.Add([]byte{0, 5, 1, 0, 2, 125, 3, 0, 0, 126, 1, 255}, []byte{}, uint8(0))
	f.Add([]byte{0, 200, 1, 200, 4, 200, 0x85, 255, 2, 9, 0x10, 250}, []byte{0, 1, 3}, uint8(15))
	f.Add([]byte{0x20, 200, 0x20, 200, 0x41, 20}, []byte{255}, uint8(16+9))
	f.Fuzz(func(t *testing.T, script, takes []byte, deflate uint8) {
		conn := &narrow{takes: takes[:min(len(takes), 20)]}
		w := new(Writer)
		w.Init(owner{make(chan error, 1)}, errClosed)
		o := Options{}
		if bits := int(deflate & 15); bits >= 8 {
			o.Deflate = &wire.DeflateParams{ClientNoContextTakeover: deflate&16 != 0, ClientMaxWindowBits: bits, ServerMaxWindowBits: 15}
		}
		w.Open(conn, conn, o)
		var all []wire.Frame
		for frames, rest := []wire.Frame(nil), script[:min(len(script), 16)]; len(rest) >= 2; rest = rest[2:] {
			frames = append(frames, scripted(rest[0], rest[1]))
			if rest[0]&0x80 != 0 && len(rest) >= 4 { // the next one goes with it
				continue
			}
			if err := w.Send(t.Context(), frames); err != nil {
				t.Fatal(err)
			}
			all, frames = append(all, frames...), nil
		}
		if err := w.SendLast(t.Context(), wire.Frame{Op: wire.OpClose, Code: 4000, Data: []byte("end")}); err != nil {
			t.Fatal(err)
		}
		if err := w.SendLast(t.Context(), wire.Frame{Op: wire.OpPing}); err != errClosed {
			t.Fatalf("behind the close frame: %v", err)
		}
		w.AwaitIdle(0)
		in := bytes.NewReader(conn.got)
		if err := decoded(in, all, o.Deflate); err != nil {
			t.Fatal(err)
		}
		if last, err := reqwstest.Decode(in); err != nil || last.String() != reqwstest.Close(4000, "end").String() || in.Len() > 0 {
			t.Fatalf("%v, %v, and %d bytes behind it", last, err, in.Len())
		}
	})
}

// scripted is the frame that two bytes of a script stand for: text and binary of up to 100 KB, which compress well
// or badly, and control frames.
func scripted(what, size byte) wire.Frame {
	op := []wire.Opcode{wire.OpText, wire.OpBinary, wire.OpPing, wire.OpPong}[what&3]
	n := int(size)
	switch {
	case op >= wire.OpPing:
		n = min(n, 125)
	case what&0x10 != 0:
		n += 65535 - 128 // around the border of the lengths
	case what&0x20 != 0:
		n *= 400
	}
	p := make([]byte, n)
	x := uint32(what) + 1
	for i := range p {
		if p[i] = byte(i % 51); what&4 != 0 {
			x = x*1664525 + 1013904223
			p[i] = byte(x >> 24)
		}
	}
	return wire.Frame{Op: op, Data: p}
}

// decoded reads want from in.
func decoded(in io.Reader, want []wire.Frame, p *wire.DeflateParams) error {
	var window []byte
	for i, w := range want {
		f, err := reqwstest.Decode(in)
		if err != nil {
			return fmt.Errorf("frame %d: %w", i, err)
		}
		compressed := f.RSV == reqwstest.RSV1 && p != nil && w.Op <= wire.OpBinary
		if !f.Masked || !f.Fin || f.RSV != 0 && !compressed || f.LengthBits != 0 || byte(f.Op) != byte(w.Op) {
			return fmt.Errorf("frame %d is %v", i, f)
		}
		got := f.Payload
		if compressed {
			tail := strings.NewReader("\x00\x00\xff\xff\x01\x00\x00\xff\xff")
			if got, err = io.ReadAll(flate.NewReaderDict(io.MultiReader(bytes.NewReader(f.Payload), tail), window)); err != nil {
				return fmt.Errorf("frame %d: %w", i, err)
			}
			if !p.ClientNoContextTakeover {
				window = append(window, got...)
				window = window[max(0, len(window)-1<<p.ClientMaxWindowBits):]
			}
		}
		if !bytes.Equal(got, w.Data) {
			return fmt.Errorf("frame %d holds something else", i)
		}
	}
	return nil
}
