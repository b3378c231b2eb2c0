package reqws

import (
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/reqws/reqws/internal/conn"
	"github.com/reqws/reqws/internal/pipe"
)

// How each event moves a link that is in each state.
func TestLinkTransitions(t *testing.T) {
	const open, closing, draining, closed = linkOpen, linkClosing, linkDraining, linkClosed
	events := map[linkEvent]struct {
		name string
		to   [4]linkState
		does [4]bool // whether it means anything
	}{
		closeCalled:    {"closeCalled", [4]linkState{open, closing, draining, closed}, [4]bool{true, true, true, false}},
		closeSent:      {"closeSent", [4]linkState{closing, closing, draining, closed}, [4]bool{true, false, false, false}},
		closeExchanged: {"closeExchanged", [4]linkState{draining, draining, draining, closed}, [4]bool{true, true, true, false}},
		closeTimedOut:  {"closeTimedOut", [4]linkState{closed, closed, closed, closed}, [4]bool{true, true, true, false}},
		violated:       {"violated", [4]linkState{open, closing, draining, closed}, [4]bool{true, true, true, false}},
		lost:           {"lost", [4]linkState{open, closing, draining, closed}, [4]bool{true, false, false, false}},
		writeFailed:    {"writeFailed", [4]linkState{open, closing, draining, closed}, [4]bool{true, true, true, false}},
		aborted:        {"aborted", [4]linkState{closed, closed, closed, closed}, [4]bool{true, true, true, false}},
		finished:       {"finished", [4]linkState{closed, closed, closed, closed}, [4]bool{true, true, true, false}},
	}
	why := errors.New("why")
	for e, want := range events {
		for _, from := range []linkState{open, closing, draining, closed} {
			t.Run(fmt.Sprintf("%s/%d", want.name, from), func(t *testing.T) {
				is := is.New(t)
				l := linkIn(from)
				is.Equal(l.on(e, why), want.does[from])
				is.Equal(l.state, want.to[from])
				select {
				case <-l.unblock:
					is.True(l.state > open) // nobody waits for a taker
				default:
					is.Equal(l.state, open)
				}
			})
		}
	}
}

// linkIn returns a link in a state, over a connection that nobody uses.
func linkIn(state linkState) *link {
	c, _ := pipe.New()
	l := &link{conn: c, closeTimeout: time.Second, unblock: make(chan struct{}), state: state}
	if state > linkOpen {
		close(l.unblock)
	}
	return l
}

// The alarm of a heartbeat does not hold the link's lock while it waits for the writer's: who says that a
// write has failed takes them the other way round, and the two would wait for each other.
func TestAnAlarmNeverWaitsForTheWriterWithTheLinksLock(t *testing.T) {
	is := is.New(t)
	l := linkIn(linkOpen)
	l.heartbeat = &heartbeat{interval: 1, timeout: time.Hour} // it is due
	l.alarm.Ring = func() {}
	defer l.alarm.Stop()
	l.out.Init(l, ErrClosed)
	l.out.Open(l.conn, nil, conn.Options{})
	rung, beats := make(chan struct{}), false
	l.out.Ping(nil, func() { // the writer's lock is held
		go func() {
			l.ring()
			close(rung)
		}()
		for !beats { // and the link's can be had all the same, or this hangs
			runtime.Gosched()
			l.mu.Lock()
			beats = l.beating
			l.mu.Unlock()
		}
	})
	<-rung
	is.True(beats)
}

// Why a link ended is what came first, and a closing handshake that Close reports is Close's to
// explain.
func TestWhyALinkEnded(t *testing.T) {
	first, second := errors.New("first"), errors.New("second")
	type event struct {
		e   linkEvent
		why error
	}
	for _, tt := range []struct {
		name              string
		events            []event
		cause, unanswered error
	}{
		{"aborted twice", []event{{aborted, first}, {aborted, second}}, first, nil},
		{"aborted after a violation", []event{{violated, first}, {aborted, second}}, first, nil},
		{"aborted while a close frame of Send's is out", []event{{closeSent, nil}, {aborted, first}}, first, nil},
		{"aborted while Close waits", []event{{closeCalled, nil}, {closeSent, nil}, {aborted, first}}, nil, first},
		{"aborted when all was exchanged", []event{{closeSent, nil}, {closeExchanged, nil}, {aborted, first}}, nil, nil},
		{"aborted after the peer was given up", []event{{lost, first}, {aborted, second}}, first, nil},
		{"given up after a violation", []event{{violated, first}, {lost, second}}, first, nil},
		{"a violation after the abort", []event{{aborted, first}, {violated, second}}, first, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			is := is.New(t)
			l := linkIn(linkOpen)
			for _, e := range tt.events {
				l.on(e.e, e.why)
			}
			is.Equal(l.cause, tt.cause)
			is.Equal(l.unanswered, tt.unanswered)
		})
	}
}

// Without a close timeout there is nothing to drain, and the connection can still be aborted.
func TestLinkWithoutACloseTimeout(t *testing.T) {
	is := is.New(t)
	l := linkIn(linkOpen)
	l.closeTimeout = 0
	is.True(l.on(closeExchanged, nil))
	is.Equal(l.state, linkOpen)
	<-l.unblock
	is.True(l.on(aborted, errors.New("now")))
}

// The read deadline is that of the loop until nothing can be written any more.
func TestReadOnlyLinksHaveTheirOwnDeadline(t *testing.T) {
	is := is.New(t)
	near, far := pipe.New()
	defer far.Close()
	l := &link{conn: near}
	l.on(writeFailed, errors.New("gone"))
	l.readUntil(time.Time{}) // gives way
	_, err := near.Read(make([]byte, 1))
	is.True(err != nil)
	is.True(l.readOnly.Load())
}
