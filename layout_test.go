package reqws

import (
	"testing"
	"unsafe"

	"github.com/matryer/is"

	"github.com/reqws/reqws/internal/wire"
)

// Package wire writes its frames where handlers read ours.
func TestFramesAgreeWithTheWire(t *testing.T) {
	is := is.New(t)
	var f Frame
	var w wire.Frame
	is.Equal(unsafe.Sizeof(f), unsafe.Sizeof(w))
	is.Equal(unsafe.Offsetof(f.Kind), unsafe.Offsetof(w.Op))
	is.Equal(unsafe.Offsetof(f.More), unsafe.Offsetof(w.More))
	is.Equal(unsafe.Offsetof(f.Data), unsafe.Offsetof(w.Data))
	is.Equal(unsafe.Offsetof(f.Code), unsafe.Offsetof(w.Code))
	is.Equal(unsafe.Sizeof(f.Kind), unsafe.Sizeof(w.Op))
	is.Equal(unsafe.Sizeof(f.Code), unsafe.Sizeof(w.Code))
	is.Equal(unsafe.Sizeof(f), 5*unsafe.Sizeof(uintptr(0))) // Kind and More share a word
	frames := []Frame{{}, {}}
	wireFrames(frames)[1] = wire.Frame{Op: wire.OpClose, Data: []byte("why"), Code: 4000}
	is.Equal(frames[1], Close(4000, "why"))
	wireFrames(frames)[0] = wire.Frame{Op: wire.OpText, More: true}
	is.Equal(frames[0], Frame{Kind: KindText, More: true})
	for kind, op := range map[Kind]wire.Opcode{
		KindText: wire.OpText, KindBinary: wire.OpBinary, KindClose: wire.OpClose, KindPing: wire.OpPing, KindPong: wire.OpPong,
	} {
		is.Equal(uint8(kind), uint8(op))
	}
}
