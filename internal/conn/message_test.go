package conn

import (
	"context"
	"errors"
	"testing"

	"github.com/matryer/is"

	"github.com/reqws/reqws/internal/wire"
	"github.com/reqws/reqws/reqwstest"
)

// Fragments and data that are encoded, but not written, when one of them is given up: what is taken
// back waits as it did before, and nothing comes between the fragments of a message.
func TestFragmentsThatAreGivenUpInFlight(t *testing.T) {
	type sent struct {
		message int // of which it is a fragment; 0: a text of its own
		text    string
		more    bool
		given   bool // up
	}
	for _, tc := range []struct {
		name  string
		begun bool // message 1 is, with "0"
		ops   []sent
		want  []reqwstest.Frame // nil: the stream breaks
		held  bool              // a message is under way in the end
	}{
		{"the first fragment", false, []sent{{1, "a", true, true}, {0, "b", false, false}},
			[]reqwstest.Frame{reqwstest.Text("b")}, false},
		{"a text before the first fragment", false, []sent{{0, "a", false, true}, {1, "b", true, false}},
			[]reqwstest.Frame{{Op: reqwstest.OpText, Payload: []byte("b")}}, true},
		{"the first fragment of the next message", true, []sent{{1, "a", false, false}, {0, "b", false, false}, {2, "c", true, true}, {0, "d", false, false}},
			[]reqwstest.Frame{{Fin: true, Payload: []byte("a")}, reqwstest.Text("b"), reqwstest.Text("d")}, false},
		{"a text behind the last fragment", true, []sent{{1, "a", false, false}, {0, "b", false, true}, {0, "c", false, false}},
			[]reqwstest.Frame{{Fin: true, Payload: []byte("a")}, reqwstest.Text("c")}, false},
		{"a text that waits", true, []sent{{0, "b", false, false}, {1, "a", false, false}},
			[]reqwstest.Frame{{Fin: true, Payload: []byte("a")}, reqwstest.Text("b")}, false},
		{"the last fragment", true, []sent{{1, "a", false, true}, {0, "b", false, false}}, nil, false},
		{"a fragment between others", true, []sent{{1, "a", true, true}, {0, "b", false, false}}, nil, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			is := is.New(t)
			reqwstest.NoLeaks(t)
			want := tc.want
			if tc.begun {
				want = append([]reqwstest.Frame{{Op: reqwstest.OpText, Payload: []byte("0")}}, want...)
			}
			srv := reqwstest.NewMemory(t, reqwstest.BufferSize(1<<20), reqwstest.Script(
				reqwstest.ExpectFrames(want...), reqwstest.ExpectGone(),
			))
			w := writing(t, srv, nil)
			messages := []*Message{nil, w.NewMessage(wire.OpText), w.NewMessage(wire.OpText)}
			if tc.begun {
				_, err := messages[1].Send(t.Context(), []byte("0"), true, nil)
				is.NoErr(err)
				w.AwaitIdle(0)
			}
			var ops []*Op
			given, cancel := context.WithCancel(t.Context())
			cancel()
			w.mu.Lock()
			w.busy = true
			for _, s := range tc.ops {
				op := newOp([]wire.Frame{text(s.text)})
				if m := messages[s.message]; m != nil {
					op.message, op.own[0].Op, op.own[0].More = m, m.op, s.more
					m.op = wire.OpContinuation
				}
				if op.ctx = context.Background(); s.given {
					op.ctx = given
				}
				op.wake = w.borrowWake()
				w.enqueue(op)
				ops = append(ops, op)
			}
			is.True(w.round())
			for i, s := range tc.ops {
				ops[i].cancelled = s.given
			}
			w.mu.Unlock()
			w.flushAll()

			for i, s := range tc.ops {
				is.True(<-ops[i].wake)
				switch {
				case tc.want == nil:
					is.True(errors.Is(ops[i].err, errCut))
				case s.given:
					is.Equal(ops[i].err, context.Canceled)
				default:
					is.NoErr(ops[i].err)
				}
			}
			if tc.want != nil {
				is.Equal(w.message != nil, tc.held)
			}
			hangUp(w)
			is.NoErr(srv.Wait(t.Context()))
		})
	}
}

// End breaks what nothing can follow, and leaves alone what was not begun, is over, or is being closed.
func TestTheEndOfAMessage(t *testing.T) {
	oops := errors.New("oops")
	for _, tc := range []struct {
		name   string
		sends  []bool // whether there are more
		closes bool
		breaks bool
	}{
		{"not begun", nil, false, false},
		{"begun", []bool{true}, false, true},
		{"begun long ago", []bool{true, true}, false, true},
		{"over", []bool{true, false}, false, false},
		{"closing", []bool{true}, true, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			is := is.New(t)
			reqwstest.NoLeaks(t)
			srv := reqwstest.NewMemory(t, reqwstest.Script(reqwstest.Do(func(c *reqwstest.Conn) error {
				for {
					if _, err := c.ReadFrame(); err != nil {
						return nil
					}
				}
			})))
			w := writing(t, srv, nil)
			m := w.NewMessage(wire.OpBinary)
			for _, more := range tc.sends {
				begun, err := m.Send(t.Context(), []byte("x"), more, nil)
				is.NoErr(err)
				is.True(begun)
			}
			if tc.closes {
				is.NoErr(w.SendLast(t.Context(), wire.Frame{Op: wire.OpClose}))
				<-m.Ended()
				is.Equal(m.Refusal(), errClosed)
			}
			err := m.End(oops)
			is.True(errors.Is(err, oops))
			is.Equal(errors.Is(err, errCutMessage), tc.breaks)
			if tc.breaks {
				is.Equal(<-w.owner.(owner).failed, err)
				<-m.Ended()
				is.Equal(m.Refusal(), err)
			} else if !tc.closes {
				is.NoErr(w.Send(t.Context(), []wire.Frame{text("next")}))
			}
			hangUp(w)
			is.NoErr(srv.Wait(t.Context()))
		})
	}
}
