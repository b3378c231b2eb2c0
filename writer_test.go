package reqws

import (
	"context"
	"testing"

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
			op.loop, op.ctx, op.lead = resp.s, context.Background(), true
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
			op.keep()
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
