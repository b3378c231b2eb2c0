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
	here     int        // Sends that the link has, or had last,
	astray   int        // and that one before it had: they may come back, and go before all in line
	left     bool       // the user has closed the stream
	leftWith error      // and it ends with this
	away     func()     // between two links: ends the search for the next
}

// turn is the place in line of one Send.
type turn struct {
	ticket uint64
	comes  chan *link
	holds  bool  // it is the one who passes
	on     *link // that has it
	last   *link // which took nothing of it,
	err    error // and why
}

// send writes frames to the link that is open, or was last.
func (s *stream) send(ctx context.Context, frames []wire.Frame) (*link, error) {
	if s.gate != nil {
		return s.gate.send(ctx, frames)
	}
	l := s.link()
	return l, l.out.Send(ctx, frames)
}

// send writes frames to one link: to the next, where the one before was lost and took none of them.
func (g *gate) send(ctx context.Context, frames []wire.Frame) (*link, error) {
	var t turn
	defer g.done(&t)
	for {
		l, err := g.enter(ctx, &t)
		if err != nil {
			return nil, err
		}
		var queued func()
		if t.holds {
			queued = func() { g.pass(&t) }
		}
		begun, err := l.out.SendOver(ctx, frames, queued)
		g.pass(&t)
		if err == nil || begun || ctx.Err() != nil || l.endsHere() {
			return l, err
		}
		t.last, t.err = l, err
	}
}

// endsHere reports whether this side has closed the link, so that none follows.
func (l *link) endsHere() bool { return l.out.Closing() && l.peerClose() == nil }

// enter waits for a link that a Send can go to.
func (g *gate) enter(ctx context.Context, t *turn) (*link, error) {
	g.mu.Lock()
	g.back(t)
	l := g.s.link()
	switch {
	case g.open && l != t.last && len(g.line) == 0 && !g.passing && g.astray == 0:
		g.give(t, l)
		g.mu.Unlock()
		return l, nil
	case g.s.insideHandler(): // which must not wait for itself, and which OnOpen goes before others
		g.mu.Unlock()
		if l == t.last {
			return nil, t.err
		}
		return l, nil
	}
	g.queue(t)
	g.next()
	g.mu.Unlock()
	select {
	case l := <-t.comes:
		t.holds = true
		return l, nil
	case <-ctx.Done():
		g.withdraw(t)
		return nil, ctx.Err()
	case <-g.s.doneChan():
		g.withdraw(t)
		if g.s.err != nil {
			return nil, g.s.err
		}
		return nil, ErrClosed
	}
}

// give notes that a link has a Send, and when that came first. mu is held.
func (g *gate) give(t *turn, l *link) {
	g.number(t)
	t.on = l
	g.here++
}

// back notes that no link has a Send any more. mu is held.
func (g *gate) back(t *turn) {
	switch t.on {
	case nil:
		return
	case g.s.link():
		g.here--
	default:
		g.astray--
	}
	t.on = nil
}

// done is the end of a Send.
func (g *gate) done(t *turn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.back(t)
	g.next()
}

// number gives a Send its ticket when it first comes. mu is held.
func (g *gate) number(t *turn) {
	if t.ticket == 0 {
		g.tickets++
		t.ticket = g.tickets
	}
}

// queue puts a Send in line, in the place where it first came. mu is held.
func (g *gate) queue(t *turn) {
	g.number(t)
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
	g.passing = false // it was its turn
	g.back(t)
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

// next lets the first in line go, unless the link is the one that it comes back from, or there are
// still others to come back. mu is held.
func (g *gate) next() {
	if !g.open || g.passing || g.astray > 0 || len(g.line) == 0 || g.line[0].last == g.s.link() {
		return
	}
	t := g.line[0]
	g.line = slices.Delete(g.line, 0, 1)
	g.passing = true
	g.give(t, g.s.link())
	t.comes <- t.on
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
	g.astray, g.here = g.astray+g.here, 0
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
