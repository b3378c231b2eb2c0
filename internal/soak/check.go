package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/coder/websocket"

	"github.com/reqws/reqws"
)

// check says what is wrong with a stream that has ended on both sides.
func (s *session) check(r *record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.damage != nil {
		return s.damage
	}
	if s.opens == 0 && !s.left {
		return fmt.Errorf("it never opened: %v", s.err)
	}
	for _, l := range r.links {
		if l.damage != nil {
			return fmt.Errorf("connection %d: the server heard: %w", l.index, l.damage)
		}
	}
	return errors.Join(s.checkReceived(r), s.checkSent(r), s.checkCloses(r), s.checkEnd(r))
}

// undisturbed reports whether the server alone decided how the stream's connections ended.
func (s *session) undisturbed() bool { return !s.left && !s.cut && !s.hasty() }

// heardOut reports whether the client left this connection by a Send of a close frame with HearOut, the server has
// answered that, and the client says that all went well: then all that the server wrote before its answer came.
func (s *session) heardOut(l *link) bool {
	return s.hears && s.left && l.first && l.answered && s.endedWell()
}

// checkReceived compares what came to what the server wrote: each message that it wrote whole is
// there, once, in order, on its connection.
func (s *session) checkReceived(r *record) error {
	came := make([]int, len(r.links))
	last := 0
	for _, m := range s.got {
		switch {
		case m.source >= len(r.links) || m.number >= r.links[m.source].plan.messages:
			return fmt.Errorf("message %d of connection %d was never sent", m.number, m.source)
		case m.source < last:
			return fmt.Errorf("message %d of connection %d came behind those of %d", m.number, m.source, last)
		case m.number != came[m.source]:
			return fmt.Errorf("connection %d: message %d came in place of %d", m.source, m.number, came[m.source])
		}
		last = m.source
		came[m.source]++
	}
	if !s.undisturbed() && !s.hears {
		return nil
	}
	for n, l := range r.links {
		if s.heardOut(l) && came[n] < l.wrote {
			return fmt.Errorf("connection %d: %d messages came of %d that were written before the server answered the close frame", n, came[n], l.wrote)
		}
		if !s.undisturbed() {
			continue
		}
		sure := l.plan.fault != resets || l.arrived
		switch {
		case l.hungUp != nil:
			return fmt.Errorf("connection %d: the client hung up: %w", n, l.hungUp)
		case sure && came[n] < l.wrote:
			return fmt.Errorf("connection %d: %d messages came of %d that were written whole", n, came[n], l.wrote)
		}
	}
	return nil
}

// arrivals is where the messages of one sender arrived: the index of the connection, by number.
type arrivals map[int]int

// checkSent compares what arrived at the server to what the Sends returned.
func (s *session) checkSent(r *record) error {
	arrived := make([]arrivals, mostSenders)
	last := slices.Repeat([]int{-1}, mostSenders)
	for i := range arrived {
		arrived[i] = make(arrivals)
	}
	for _, l := range r.links {
		if s.back && len(l.heard) > 0 && l.heard[0].source != greets {
			return fmt.Errorf("connection %d: sender %d's message %d came before what OnOpen answered", l.index, l.heard[0].source, l.heard[0].number)
		}
		for _, m := range l.heard {
			if m.source >= mostSenders || m.number >= len(s.sends[m.source]) {
				return fmt.Errorf("connection %d: sender %d's message %d was never sent", l.index, m.source, m.number)
			}
			if _, twice := arrived[m.source][m.number]; twice {
				return fmt.Errorf("connection %d: sender %d's message %d arrived twice", l.index, m.source, m.number)
			}
			if m.number < last[m.source] {
				return fmt.Errorf("connection %d: sender %d's message %d arrived behind its %d", l.index, m.source, m.number, last[m.source])
			}
			if s.sends[m.source][m.number] == givenUp {
				return fmt.Errorf("connection %d: sender %d's message %d was given up, and arrived", l.index, m.source, m.number)
			}
			last[m.source] = m.number
			arrived[m.source][m.number] = l.index
		}
	}
	for sender, fates := range s.sends {
		for n, f := range fates {
			if _, ok := arrived[sender][n]; ok || f != sent {
				continue
			}
			if from, to := arrived[sender].between(n, len(r.links)-1); s.wasClean(r.links[from : to+1]) {
				return fmt.Errorf("sender %d's message %d is lost, on connection %d to %d, which ended cleanly", sender, n, from, to)
			}
		}
	}
	return nil
}

// between returns the connections that a message has to be looked for on: that of the last one
// before it that arrived, to that of the first one behind it.
func (a arrivals) between(n, end int) (from, to int) {
	to = end
	for m, l := range a {
		if m < n {
			from = max(from, l)
		} else {
			to = min(to, l)
		}
	}
	return from, to
}

// wasClean reports whether nothing that was written to any of these connections may have been
// lost: the client's close frame, which comes behind all, has arrived, or the client says that the
// stream ended well. Between two connections that says nothing of the last one.
func (s *session) wasClean(links []*link) bool {
	for _, l := range links {
		last := l == l.r.links[len(l.r.links)-1]
		broken := s.back && l.played && l.plan.fault != closes
		if l.code < 0 && !(last && !broken && s.endedWell()) {
			return false
		}
	}
	return len(links) > 0
}

// endedWell reports whether the client was told that the stream had a clean end.
func (s *session) endedWell() bool {
	return s.err == nil && !s.cut && !slices.ContainsFunc(s.closing, func(err error) bool { return err != nil })
}

// checkCloses compares the close frames of both sides.
func (s *session) checkCloses(r *record) error {
	for n, l := range r.links {
		switch {
		case l.first && !s.left:
			return fmt.Errorf("connection %d: the client closed with %d, and had no reason to", n, l.code)
		case l.first && !slices.Contains(s.ownCodes(), l.code):
			return fmt.Errorf("connection %d: the client closed with %d, and meant one of %d", n, l.code, s.ownCodes())
		case l.first || !l.played || l.plan.fault != closes:
		case l.code != l.plan.code && s.undisturbed():
			return fmt.Errorf("connection %d: close %d was answered with %d", n, l.plan.code, l.code)
		case l.code >= 0 && l.code != l.plan.code && !slices.Contains(s.ownCodes(), l.code):
			return fmt.Errorf("connection %d: close %d was answered with %d", n, l.plan.code, l.code)
		}
	}
	return nil
}

// ownCodes are those that the client may close with.
func (s *session) ownCodes() []int {
	switch s.leave {
	case halts:
		return []int{1000, s.closeBy}
	case cancels:
		return []int{1001}
	case closesNow:
		return nil
	}
	return []int{1001, s.closeBy}
}

// checkEnd compares what the stream ended with to what happened to it.
func (s *session) checkEnd(r *record) error {
	if s.left || s.cut || len(r.links) == 0 {
		return nil // either side may have been first
	}
	last := r.links[len(r.links)-1]
	var closed websocket.CloseError
	switch code := last.plan.code; {
	case last.plan.fault == silent:
		if !errors.Is(s.err, reqws.ErrPeerUnresponsive) {
			return fmt.Errorf("silence ended in %v", s.err)
		}
		return nil
	case last.plan.fault != closes:
		if s.err == nil {
			return errors.New("a break ended in nil")
		}
		return nil
	case code == 0 || code == 1000:
		if s.err != nil {
			return fmt.Errorf("a clean close ended in %v", s.err)
		}
	case !errors.As(s.err, &closed) || int(closed.Code) != code || closed.Reason != why:
		return fmt.Errorf("close %d ended in %v", code, s.err)
	}
	want := [2]string{fmt.Sprint(last.plan.code), why}
	if last.plan.code == 0 {
		want = [2]string{"1005", ""}
	}
	if s.peer != want {
		return fmt.Errorf("PeerClose says %q of close %d", s.peer, last.plan.code)
	}
	return nil
}
