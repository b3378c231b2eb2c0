package reqws

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/reqws/reqws/internal/wire"
)

// gate is where those who use a stream that reconnects meet its links: a Send goes through it to the
// link that is open, or waits in line for the next one; Close ends the search for that.
type gate struct {
	s        *stream
	comeback comeback // the loop's own

	mu       sync.Mutex // guards what follows
	open     bool       // Sends may pass to the link
	passing  bool       // one out of the line does, and is not in the link's queue yet
	line     []*turn    // Sends that wait, in the order in which they came
	tickets  uint64     // given out so far
	era      int        // counts the links that were lost
	under    int        // Sends that have passed to the link of this era and are not back
	stale    int        // those of the links before
	left     bool       // the user has closed the stream
	leftWith error      // and it ends with this
	away     func()     // between two links: ends the search for the next
}

// turn is the place in line of one Send.
type turn struct {
	ticket uint64
	comes  chan *link // while it waits in line
	holds  bool       // it is the one who passes
	passed bool       // it has, and is not back
	era    int        // of the link that it passed to
	last   *link      // which took nothing of it
}

// send writes frames to the link that is open, or was last.
func (s *stream) send(ctx context.Context, frames []wire.Frame) (*link, error) {
	return s.through(ctx, func(l *link, queued func()) (begun bool, err error) {
		return l.out.SendOver(ctx, frames, queued)
	})
}

// through calls send with the link that is open, or was last.
func (s *stream) through(ctx context.Context, send sending) (*link, error) {
	if s.gate != nil {
		return s.gate.through(ctx, send)
	}
	l := s.link()
	_, err := send(l, nil)
	return l, err
}

// sending is SendOver of a link's writer, or the like.
type sending func(l *link, queued func()) (begun bool, err error)

// through has something sent to one link: to the next, where the one before was lost and took none of it.
func (g *gate) through(ctx context.Context, send sending) (*link, error) {
	var t turn
	for {
		l, err := g.enter(ctx, &t)
		if err != nil {
			return nil, err
		}
		var queued func()
		if t.holds {
			queued = func() { g.pass(&t) }
		}
		begun, err := send(l, queued)
		again := err != nil && !begun && ctx.Err() == nil && !l.endsHere() && !g.s.insideHandler()
		g.back(&t, l, again)
		if !again {
			return l, err
		}
	}
}

// endsHere reports whether this side has closed the link, so that none follows.
func (l *link) endsHere() bool { return l.out.Closing() && l.peerClose() == nil }

// enter waits for a link that a Send can go to.
func (g *gate) enter(ctx context.Context, t *turn) (*link, error) {
	if t.comes == nil {
		if l := g.walkIn(t); l != nil {
			return l, nil
		}
	}
	select {
	case l := <-t.comes:
		t.comes, t.holds = nil, true
		return l, nil
	case <-ctx.Done():
		g.withdraw(t)
		return nil, ctx.Err()
	case <-g.s.doneChan():
		g.withdraw(t)
		return nil, g.s.after()
	}
}

// walkIn returns the link for a Send that need not wait, or puts it in line.
func (g *gate) walkIn(t *turn) *link {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.tickets++
	t.ticket = g.tickets
	switch {
	case g.open && !g.passing && len(g.line) == 0 && g.stale == 0:
		g.count(t)
		return g.s.link()
	case g.s.insideHandler(): // which must not wait for itself, and which OnOpen goes before others
		return g.s.link()
	}
	g.queue(t)
	return nil
}

// count notes that a Send passes. mu is held.
func (g *gate) count(t *turn) {
	g.under++
	t.passed, t.era = true, g.era
}

// uncount notes that it is back. mu is held.
func (g *gate) uncount(t *turn) {
	if !t.passed {
		return
	}
	t.passed = false
	if t.era == g.era {
		g.under--
	} else {
		g.stale--
	}
}

// queue puts a Send in line, in the place where it first came. mu is held.
func (g *gate) queue(t *turn) {
	t.comes = make(chan *link, 1)
	at, _ := slices.BinarySearchFunc(g.line, t, func(a, b *turn) int { return cmp.Compare(a.ticket, b.ticket) })
	g.line = slices.Insert(g.line, at, t)
}

// withdraw takes a Send out of line.
func (g *gate) withdraw(t *turn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if at := slices.Index(g.line, t); at >= 0 {
		g.line = slices.Delete(g.line, at, at+1)
		return
	}
	g.uncount(t) // it was its turn
	g.passing = false
	g.next()
}

// pass lets the next in line go, once t is in the queue of the link, or could not be sent.
func (g *gate) pass(t *turn) {
	if !t.holds {
		return
	}
	t.holds = false
	g.mu.Lock()
	defer g.mu.Unlock()
	g.passing = false
	g.next()
}

// back notes that a Send is back from the link l, and puts it in line again where it is to go to
// the next.
func (g *gate) back(t *turn, l *link, again bool) {
	g.pass(t)
	g.mu.Lock()
	defer g.mu.Unlock()
	if again {
		t.last = l
		g.queue(t)
	}
	g.uncount(t)
	g.next()
}

// next lets the first in line go, unless the link is the one that it comes back from, or others
// that were before it may still come back. mu is held.
func (g *gate) next() {
	if !g.open || g.passing || len(g.line) == 0 || g.stale > 0 || g.line[0].last == g.s.link() {
		return
	}
	t := g.line[0]
	g.line = slices.Delete(g.line, 0, 1)
	g.passing = true
	g.count(t)
	t.comes <- g.s.link()
}

// leave notes that the user closes the stream, which ends with err if it is between two links. It
// reports whether it is. A gate that is nil has no links to be between.
func (g *gate) leave(err error) bool {
	if g == nil {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.left {
		g.left, g.leftWith = true, err
	}
	if g.away == nil {
		return false
	}
	g.away()
	return true
}

// hasLeft reports whether the user has closed the stream.
func (g *gate) hasLeft() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.left
}

// depart begins the search for the next link. It reports false where the user has closed the stream.
// ctx ends with the search, or where that succeeds with cancel.
func (g *gate) depart() (ctx context.Context, cancel func(), ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = false
	g.era++
	g.stale += g.under
	g.under = 0
	if g.left {
		return nil, nil, false
	}
	ctx, cancel = context.WithCancel(g.s.life)
	g.away = cancel
	return ctx, cancel, true
}

// arrive ends the search with a link, or without. It reports whether the stream goes on with that.
func (g *gate) arrive(l *link) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.away = nil
	if l == nil || g.left {
		return false
	}
	g.s.at.Store(l)
	return true
}

// admit lets Sends pass to the link, those that wait first. There may be no gate.
func (g *gate) admit() {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = true
	g.next()
}
