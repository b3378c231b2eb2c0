package conn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/reqws/reqws/internal/wire"
	"github.com/reqws/reqws/reqwstest"
)

// takesAll takes what comes until the client is gone.
func takesAll() reqwstest.Step {
	return reqwstest.Do(func(c *reqwstest.Conn) error {
		_, _ = io.Copy(io.Discard, c)
		return nil
	})
}

// onlooker notes what a Writer tells it.
type onlooker struct {
	frames  []string
	batches []string
	panics  bool
}

func (o *onlooker) Out(f *wire.Frame) {
	if o.panics {
		panic("enough")
	}
	shown := string(f.Data)
	if len(shown) > 10 {
		shown = fmt.Sprint(len(shown))
	}
	o.frames = append(o.frames, fmt.Sprint(f.Op, " ", shown))
}

func (o *onlooker) OutBatch(frames, bytes int) {
	o.batches = append(o.batches, fmt.Sprint(frames, "/", bytes))
}

// Each frame is told of once and in its order, and each write with something new in it.
func TestWhatAWriterTells(t *testing.T) {
	closing := wire.Frame{Op: wire.OpClose, Code: 1000, Data: []byte("bye")}
	for _, tt := range []struct {
		name    string
		frames  []wire.Frame
		want    []string
		batches []string
	}{
		{"one", []wire.Frame{text("one")}, []string{"text one"}, []string{"1/3"}},
		{"empty", []wire.Frame{text("")}, []string{"text "}, []string{"1/0"}},
		{"several", []wire.Frame{text("one"), {Op: wire.OpPing, Data: []byte("hi")}, closing}, []string{"text one", "ping hi", "close bye"}, []string{"3/10"}},
		{"a close frame without a code", []wire.Frame{{Op: wire.OpClose}}, []string{"close "}, []string{"1/0"}},
		{"one of many writes", []wire.Frame{binary(5 * writeChunk), text("end")}, []string{fmt.Sprint("binary ", 5*writeChunk), "text end"}, []string{fmt.Sprint("1/", 5*writeChunk), "1/3"}},
		{"small behind large", []wire.Frame{binary(writeChunk - 100), text("a"), binary(writeChunk)},
			[]string{fmt.Sprint("binary ", writeChunk-100), "text a", fmt.Sprint("binary ", writeChunk)}, []string{fmt.Sprint("3/", 2*writeChunk-99)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			is := is.New(t)
			reqwstest.NoLeaks(t)
			srv := reqwstest.NewMemory(t, reqwstest.BufferSize(1<<20), reqwstest.Script(takesAll()))
			w, o := writing(t, srv, nil), &onlooker{}
			w.watcher = o
			is.NoErr(w.Send(t.Context(), tt.frames))
			is.Equal(o.frames, tt.want)
			is.Equal(o.batches, tt.batches)
			hangUp(w)
		})
	}
}

// Frames that are encoded anew, since one beside them was given up, are told of once.
func TestEncodedAnewIsToldOnce(t *testing.T) {
	is := is.New(t)
	reqwstest.NoLeaks(t)
	srv := reqwstest.NewMemory(t, reqwstest.BufferSize(1<<20), reqwstest.Script(takesAll()))
	w, o := writing(t, srv, nil), &onlooker{}
	w.watcher = o
	given, kept := newOp([]wire.Frame{text("given up")}), newOp([]wire.Frame{text("kept"), binary(3 * writeChunk), text("end")})
	w.mu.Lock()
	w.busy = true
	for _, op := range []*Op{given, kept} {
		op.ctx, op.wake = context.Background(), w.borrowWake()
		w.push(op)
	}
	w.load()
	w.encode()
	w.mu.Unlock()
	w.tell()
	is.Equal(o.frames, []string{"text given up", "text kept", fmt.Sprint("binary ", 3*writeChunk)})
	w.mu.Lock()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	given.ctx, given.cancelled = ctx, true
	w.settle(0, nil)
	is.Equal(kept.state, sendQueued) // to be encoded anew
	w.mu.Unlock()
	w.flushAll()
	is.True(<-given.wake)
	is.True(<-kept.wake)
	is.Equal(given.err, context.Canceled)
	is.NoErr(kept.err)
	is.Equal(o.frames, []string{"text given up", "text kept", fmt.Sprint("binary ", 3*writeChunk), "text end"})
	hangUp(w)
}

// A watcher that panics does so in the goroutine of the Send that writes, and breaks the writer:
// nobody is left waiting for a write that nobody does.
func TestAWatcherThatPanics(t *testing.T) {
	for name, send := range map[string]func(*Writer){
		"Send": func(w *Writer) { _ = w.Send(context.Background(), []wire.Frame{text("x")}) },
		"Pong": func(w *Writer) { w.Pong([]wire.Frame{{Op: wire.OpPong}}) },
		"Ping": func(w *Writer) { w.Ping(nil, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			reqwstest.NoLeaks(t)
			srv := reqwstest.NewMemory(t, reqwstest.Script(takesAll()))
			w := writing(t, srv, nil)
			w.watcher = &onlooker{panics: true}
			waits := newOp([]wire.Frame{text("waits")})
			waits.ctx, waits.wake = t.Context(), make(chan bool, 1)
			func() {
				defer func() { is.Equal(recover(), "enough") }()
				w.mu.Lock()
				w.push(waits) // it has come while another one wrote
				w.mu.Unlock()
				send(w)
			}()
			is.True(<-waits.wake)
			is.True(errors.Is(waits.err, errWatcher))
			is.True(errors.Is(w.Send(t.Context(), []wire.Frame{text("later")}), errWatcher))
			is.True(errors.Is(<-w.owner.(owner).failed, errWatcher))
			w.AwaitIdle(0)
			hangUp(w)
		})
	}
}

// What is compressed counts as it was before.
func TestToldBeforeCompression(t *testing.T) {
	is := is.New(t)
	reqwstest.NoLeaks(t)
	srv := reqwstest.NewMemory(t, reqwstest.Script(takesAll()))
	w, o := writing(t, srv, nil), &onlooker{}
	w.watcher = o
	w.deflate = wire.NewDeflate(wire.DeflateParams{ClientMaxWindowBits: 15})
	defer w.Release()
	is.NoErr(w.Send(t.Context(), []wire.Frame{text(strings.Repeat("again ", 1000))}))
	is.Equal(o.batches, []string{"1/6000"})
	hangUp(w)
}
