package conn

import (
	"errors"

	"github.com/reqws/reqws/internal/wire"
)

// Watcher is told what a Writer hands to its connection, by whoever writes, before the write and
// without the writer's lock. It must not send.
type Watcher interface {
	// Out is called for each frame when its first bytes are handed over. The frame is lent.
	Out(f *wire.Frame)
	// OutBatch ends the frames that go into one write.
	OutBatch(frames, bytes int)
}

// errWatcher is what is left to those who wait for a write whose watcher panicked.
var errWatcher = errors.New("what watches the frames panicked")

// tell has the watcher know of the frames in the flight that have been encoded since it was last
// told. Of an op that is encoded once more, since it was encoded in vain, it hears once.
func (w *Writer) tell() {
	told := false
	defer func() {
		if !told { // nobody goes on with this write
			w.mu.Lock()
			w.breakDown(errWatcher)
			w.rest()
			w.mu.Unlock()
		}
	}()
	frames, bytes := 0, 0
	for _, op := range w.flight {
		for ; op.told < op.encodedFrames(); op.told++ {
			f := &op.frames[op.told]
			w.watcher.Out(f)
			frames++
			bytes += PayloadSize(f)
		}
	}
	if frames > 0 {
		w.watcher.OutBatch(frames, bytes)
	}
	told = true
}

// encodedFrames is how many frames of op have bytes in the buffer, or had some.
func (op *Op) encodedFrames() int {
	if op.off > 0 {
		return op.frame + 1
	}
	return op.frame
}

// PayloadSize is how many bytes of payload f has (RFC 6455, section 5.2), before compression.
func PayloadSize(f *wire.Frame) int {
	if f.Op == wire.OpClose && f.Code != 0 {
		return 2 + len(f.Data)
	}
	return len(f.Data)
}
