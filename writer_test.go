package reqws

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/matryer/is"

	"github.com/reqws/reqws/reqwstest"
)

// A handler's replies and a Send that joined them, to a connection that takes nothing at first:
// the ctx of the Send ends, the replies are encoded anew, and are all still there.
func TestRepliesBeforeASendThatIsGivenUp(t *testing.T) {
	for name, replies := range map[string][]Frame{
		"encoded":        {Text("one"), Text("two")},
		"partly encoded": {Text("one"), Binary(make([]byte, 2*writeChunk)), Text("two")},
		"only begun":     {Binary(make([]byte, 3*writeChunk)), Text("two")},
	} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			reqwstest.NoLeaks(t)
			var want []reqwstest.Frame
			for _, f := range replies {
				want = append(want, reqwstest.Frame{Fin: true, Op: reqwstest.Op(f.Kind), Payload: f.Data})
			}
			srv := reqwstest.NewMemory(t, reqwstest.BufferSize(1<<20), reqwstest.Script(
				reqwstest.Accept(), reqwstest.ExpectFrames(want...), reqwstest.ExpectGone(),
			))
			resp, err := New(URL(srv.URL), DialContext(srv.DialContext)).Do(t.Context())
			is.NoErr(err)
			w := &resp.s.out
			op, other := newOp(replies), newOp([]Frame{Text("given up")})
			op.ctx, op.lead = context.Background(), true
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			other.ctx = ctx

			w.mu.Lock()
			w.busy = true
			w.push(op)
			w.push(other)
			other.wake = w.borrowWake()
			is.True(w.round())
			op.lead, op.wake = false, w.borrowWake()
			other.cancelled = true
			w.mu.Unlock()
			w.flushAll()

			is.True(<-other.wake)
			is.Equal(other.err, context.Canceled)
			is.True(<-op.wake)
			is.NoErr(op.err)
			is.NoErr(resp.CloseNow())
			is.NoErr(srv.Wait(t.Context()))
		})
	}
}

// A Send that a writer left in flight when it quit is told of the end, though another one leads
// just as the stream ends.
func TestASendLeftInFlightAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		srv := reqwstest.NewMemory(t, reqwstest.BufferSize(1000), reqwstest.Script(reqwstest.Accept(), reqwstest.Stall()))
		resp, err := New(URL(srv.URL), DialContext(srv.DialContext)).Do(t.Context())
		is.NoErr(err)
		w, gone := &resp.s.out, errors.New("gone")
		sent := make(chan error, 1)
		go func() { sent <- resp.Send(t.Context(), Binary(make([]byte, 10_000))) }()
		synctest.Wait()
		w.quit()

		late := newOp([]Frame{Text("late")})
		late.ctx, late.lead = t.Context(), true
		w.mu.Lock()
		w.busy = true
		w.push(late)
		w.mu.Unlock() // as lead does for those who may join
		w.stop(gone)
		w.mu.Lock()
		is.Equal(w.lead(late), gone)
		is.True(errors.Is(<-sent, gone))
		is.NoErr(resp.CloseNow())
	})
}

// Two Sends are given up in the same moment, one of them cut in two: each is told once what
// became of it, for what stands for it is another Send's from then on.
func TestSendsGivenUpTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		srv := reqwstest.NewMemory(t, reqwstest.BufferSize(1000), reqwstest.TLS(), reqwstest.Script(reqwstest.Accept(), reqwstest.Stall()))
		resp, err := New(URL(srv.URL), DialContext(srv.DialContext), TLSConfig(srv.TLSConfig())).Do(t.Context())
		is.NoErr(err)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		w := &resp.s.out
		whole, cut := newOp([]Frame{Text("whole")}), newOp([]Frame{Binary(make([]byte, 2*sealedPiece))})
		w.mu.Lock()
		w.busy = true
		for _, op := range []*sendOp{whole, cut} {
			op.ctx, op.wake = ctx, w.borrowWake()
			w.push(op)
		}
		w.load()
		go w.flush()
		w.mu.Unlock()
		synctest.Wait()
		w.mu.Lock()
		whole.cancelled, cut.cancelled = true, true
		w.interrupt()
		w.mu.Unlock()
		synctest.Wait()
		for _, op := range []*sendOp{whole, cut} {
			is.True(<-op.wake)
			is.True(errors.Is(op.err, errCut))
			is.Equal(len(op.wake), 0)
		}
		is.True(errors.Is(resp.Wait(), errCut))
	})
}
