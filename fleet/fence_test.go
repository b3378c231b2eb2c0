package fleet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"

	"github.com/matryer/is"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/fleet/internal/natstest"
)

// openLane claims a stream for a worker, and returns the way in.
func openLane(t *testing.T, f *Fleet, id string, was claim) (*lane, uint64) {
	t.Helper()
	is := is.New(t)
	p, err := newPublisher(f, 1000, 1<<20, slog.New(slog.DiscardHandler))
	is.NoErr(err)
	revision, err := f.claim(t.Context(), id, "worker", was)
	is.NoErr(err)
	marks, err := f.raiseFence(t.Context(), id, revision)
	is.NoErr(err)
	return p.open(&lane{
		id: id, fence: revision, fenced: []string{formatUint(revision)}, marks: marks,
		claimed: func(ctx context.Context) error { return f.stillClaimed(ctx, id, revision) },
	}), revision
}

func testFleet(t *testing.T) *Fleet {
	t.Helper()
	s := natstest.Start(t, t.TempDir(), -1)
	f, err := Open(t.Context(), natstest.Dial(t, s.ClientURL()), Config{})
	is.New(t).NoErr(err)
	return f
}

// A worker that goes on after its claim was taken gets nothing in, however many messages it has under way.
func TestFence(t *testing.T) {
	is := is.New(t)
	f := testFleet(t)
	old, revision := openLane(t, f, "a", claim{})
	is.NoErr(old.publish(reqws.KindText, 1, []byte("mine")))
	is.NoErr(old.flush(t.Context()))

	next, later := openLane(t, f, "a", claim{revision: revision})
	is.True(later > revision)
	for range 100 {
		if old.publish(reqws.KindText, 1, []byte("late")) != nil {
			break
		}
	}
	is.True(errors.Is(old.flush(t.Context()), errFenced))
	is.True(errors.Is(old.publish(reqws.KindText, 1, []byte("later")), errFenced))
	is.NoErr(next.publish(reqws.KindText, 1, []byte("yours")))
	is.NoErr(next.flush(t.Context()))
	_, err := f.raiseFence(t.Context(), "a", revision)
	is.True(errors.Is(err, errFenced)) // nor can it raise its own again

	info, err := f.in.Info(t.Context())
	is.NoErr(err)
	is.Equal(info.State.Msgs, uint64(2+2)) // a mark and a message of each
	m, err := f.in.GetLastMsgForSubject(t.Context(), "fleet.in.a")
	is.NoErr(err)
	is.Equal(string(m.Data), "yours")
	is.Equal(old.p.budget.pending(), 0)
}

// A mark that has gone, with what was too old or too much, is raised again, and nothing is lost or out of order.
func TestFenceThatHasGone(t *testing.T) {
	is := is.New(t)
	f := testFleet(t)
	l, _ := openLane(t, f, "a", claim{})
	const n = 50
	for i := range n {
		if i%10 == 5 {
			is.NoErr(l.flush(t.Context()))
			m, err := f.in.GetLastMsgForSubject(t.Context(), f.fenceSubject(0, "a"))
			is.NoErr(err)
			is.NoErr(f.in.DeleteMsg(t.Context(), m.Sequence))
		}
		is.NoErr(l.publish(reqws.KindText, 1, []byte(fmt.Sprint(i))))
	}
	is.NoErr(l.flush(t.Context()))
	is.Equal(l.count(), uint64(n))
	seq := uint64(1)
	for i := 0; i < n; seq++ {
		m, err := f.in.GetMsg(t.Context(), seq)
		if err != nil || m.Subject != "fleet.in.a" {
			continue
		}
		is.Equal(string(m.Data), fmt.Sprint(i))
		i++
	}
}

// Who waits for room is let go of when the lane ends, and what was under way is given back.
func TestLaneEndsWhileWaiting(t *testing.T) {
	is := is.New(t)
	f := testFleet(t)
	l, _ := openLane(t, f, "a", claim{})
	l.p.budget.most = 0
	is.True(l.p.budget.take(1, &l.dead)) // all the room
	var group sync.WaitGroup
	for range 3 {
		group.Go(func() {
			if !errors.Is(l.publish(reqws.KindText, 1, []byte("x")), errLeaving) {
				t.Error("it was published, or failed otherwise")
			}
		})
	}
	is.Equal(l.end(errLeaving), 0)
	group.Wait()
	is.Equal(l.p.budget.pending(), 1)
}
