package conn

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"testing"
	"testing/synctest"

	"github.com/matryer/is"

	"github.com/reqws/reqws/internal/netconn"
	"github.com/reqws/reqws/internal/wire"
	"github.com/reqws/reqws/internal/wiretest"
	"github.com/reqws/reqws/reqwstest"
)

var errClosed = errors.New("closed")

// owner is the link of a Writer that stands alone: it remembers why writing failed.
type owner struct{ failed chan error }

func (o owner) WriteFailed(err error) { o.failed <- err }
func (owner) Blocked(*Op)             {}

// A heartbeat asks how much the peer has taken while it holds the lock of the link, which WriteFailed
// takes under the writer's: so Taken must not take that.
func TestTakenDoesNotWaitForAWriter(t *testing.T) {
	is := is.New(t)
	srv := reqwstest.NewMemory(t, reqwstest.Script(reqwstest.ExpectFrames(reqwstest.Text("taken")), reqwstest.ExpectGone()))
	w := writing(t, srv, nil)
	asks := &asker{w: w}
	w.owner = asks
	is.NoErr(w.Send(t.Context(), []wire.Frame{text("taken")}))
	w.GiveUp(errClosed)
	hangUp(w)
	is.Equal(asks.taken, uint32(1))
}

// asker is an owner that asks while writing fails.
type asker struct {
	w     *Writer
	taken uint32
}

func (a *asker) WriteFailed(error) { a.taken = a.w.Taken() }
func (*asker) Blocked(*Op)         {}

// writing dials srv, and returns a Writer to it.
func writing(t *testing.T, srv *reqwstest.Server, config *tls.Config) *Writer {
	t.Helper()
	c, err := srv.DialContext(t.Context(), "tcp", srv.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if config != nil {
		config.ServerName = "reqwstest.test"
		secured := tls.Client(&netconn.TLSLink{Conn: c}, config)
		if err := secured.Handshake(); err != nil {
			t.Fatal(err)
		}
		c = secured
	}
	w := new(Writer)
	w.Init(owner{make(chan error, 1)}, errClosed)
	_, try := SourceOf(c)
	w.Open(c, try, Options{})
	return w
}

// hangUp closes the connection of w.
func hangUp(w *Writer) { _ = netconn.Bare(net.Conn(w.conn)).Close() }

func text(s string) wire.Frame { return wire.Frame{Op: wire.OpText, Data: []byte(s)} }

func binary(n int) wire.Frame { return wire.Frame{Op: wire.OpBinary, Data: make([]byte, n)} }

// A handler's replies and a Send that joined them, to a connection that takes nothing at first:
// the ctx of the Send ends, the replies are encoded anew, and are all still there.
func TestRepliesBeforeASendThatIsGivenUp(t *testing.T) {
	for name, replies := range map[string][]wire.Frame{
		"encoded":        {text("one"), text("two")},
		"partly encoded": {text("one"), binary(2 * writeChunk), text("two")},
		"only begun":     {binary(3 * writeChunk), text("two")},
	} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			reqwstest.NoLeaks(t)
			var want []reqwstest.Frame
			for _, f := range replies {
				want = append(want, reqwstest.Frame{Fin: true, Op: reqwstest.Op(f.Op), Payload: f.Data})
			}
			srv := reqwstest.NewMemory(t, reqwstest.BufferSize(1<<20), reqwstest.Script(
				reqwstest.ExpectFrames(want...), reqwstest.ExpectGone(),
			))
			w := writing(t, srv, nil)
			op, other := newOp(replies), newOp([]wire.Frame{text("given up")})
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
			hangUp(w)
			is.NoErr(srv.Wait(t.Context()))
		})
	}
}

// A Send that a writer left in flight when it quit is told of the end, though another one leads
// just as the connection ends.
func TestASendLeftInFlightAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		srv := reqwstest.NewMemory(t, reqwstest.BufferSize(1000), reqwstest.Script(reqwstest.Stall()))
		w, gone := writing(t, srv, nil), errors.New("gone")
		sent := make(chan error, 1)
		go func() { sent <- w.Send(t.Context(), []wire.Frame{binary(10_000)}) }()
		synctest.Wait()
		w.Quit()

		late := newOp([]wire.Frame{text("late")})
		late.ctx, late.lead = t.Context(), true
		w.mu.Lock()
		w.busy = true
		w.push(late)
		w.mu.Unlock() // as lead does for those who may join
		w.Stop(gone)
		w.mu.Lock()
		is.Equal(w.lead(late), gone)
		is.True(errors.Is(<-sent, gone))
		hangUp(w)
	})
}

// Two Sends are given up in the same moment, one of them cut in two: each is told once what
// became of it, for what stands for it is another Send's from then on.
func TestSendsGivenUpTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		srv := reqwstest.NewMemory(t, reqwstest.BufferSize(1000), reqwstest.Script(wiretest.StartTLS(), reqwstest.Stall()))
		w := writing(t, srv, srv.TLSConfig())
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		whole, cut := newOp([]wire.Frame{text("whole")}), newOp([]wire.Frame{binary(2 * sealedPiece)})
		w.mu.Lock()
		w.busy = true
		for _, op := range []*Op{whole, cut} {
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
		for _, op := range []*Op{whole, cut} {
			is.True(<-op.wake)
			is.True(errors.Is(op.err, errCut))
			is.Equal(len(op.wake), 0)
		}
		is.True(errors.Is(<-w.owner.(owner).failed, errCut))
		hangUp(w)
	})
}

// A Send that waits in a write ends with Stop, though the connection stays open.
func TestStopEndsAWriteThatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		srv := reqwstest.NewMemory(t, reqwstest.BufferSize(1000), reqwstest.Script(reqwstest.Stall()))
		w, gone := writing(t, srv, nil), errors.New("gone")
		sent := make(chan error, 1)
		go func() { sent <- w.Send(t.Context(), []wire.Frame{binary(10_000)}) }()
		synctest.Wait()
		w.Stop(gone)
		is.Equal(<-sent, gone)
		hangUp(w)
	})
}
