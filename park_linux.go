package reqws

import (
	"errors"
	"os"
	"sync"
	"syscall"
	"time"
)

// A goroutine that waits for a socket costs more than all the rest of an idle
// stream: at least 2.5 KB, and more once its stack has grown. So a stream that Do
// left in the background waits without one: its socket is put into an epoll set of
// ours, and a goroutine is started for the stream when there is something to read.
// While frames come in quick succession the goroutine stays.
//
// A stream has one owner at each time: the goroutine of its loop, or the poller.
//
//   - park gives it to the poller: it enters the stream in parked, under a ticket that is
//     never used again. After park has reported true, the goroutine touches the stream no more.
//   - take gives it back: whoever removes the entry, with mu held, starts the stream's goroutine.
//     An entry is removed once, so there is one goroutine.
//   - Sockets are known by their tickets, never by the numbers of their descriptors, which
//     the system hands out again as soon as one is closed. An event whose ticket is no longer
//     parked is for nobody.
//   - Who ends a stream first notes that, then closes the socket, then calls wake. park looks for
//     the note with mu held: either it finds it, or wake finds the entry. So no stream is
//     left parked whose socket is closed from this side. For that park takes the stream's mu
//     inside of the poller's: nobody calls wake with a stream's mu held.
//   - A socket that is closed behind our back, by the user who dialled it, leaves the epoll set
//     without an event. Streams whose socket somebody else may hold are looked at once in
//     a while.
type poller struct {
	mu      sync.Mutex
	parked  map[uint64]*stream // by ticket
	last    uint64             // the last ticket given out
	members int                // streams that have waited here and live
	shared  int                // those among parked whose socket others may close
	file    *os.File           // the epoll set, as the runtime's poller sees it; nil without members
	set     int
}

var thePoller = poller{parked: make(map[uint64]*stream)}

// waiting is the part of a stream that has to do with the poller.
type waiting struct {
	ticket uint64 // under which it is parked, or was last; guarded by the poller's mu, as is
	member bool

	// The loop's own:
	willing bool          // it may park: it runs in the background, on a bare socket
	busy    bool          // it keeps its goroutine for now
	read    bool          // something was read since it last looked
	started time.Duration // when that was, on the clock of uptime
}

const (
	// busyGap is how soon one wake-up has to follow another for the loop to keep
	// its goroutine: to park and to start again costs some microseconds.
	busyGap = 100 * time.Millisecond
	// idleGap is about how long a loop that kept it waits before it parks after all.
	idleGap = time.Second
	// lookGap is how often sockets are looked at that others may close.
	lookGap = time.Second
)

var processStart = time.Now()

func uptime() time.Duration { return time.Since(processStart) }

// inBubble reports whether the caller is in a testing/synctest bubble, whose clock begins at
// midnight UTC 2000-01-01. A stream there must not wait here: the poller is of the whole process,
// and goroutines that it starts would be outside of the bubble. Elsewhere a clock that is as
// wrong as that costs a goroutine for each stream, and nothing else.
func inBubble() bool { return time.Now().Year() < 2010 }

// park gives s to the poller. It reports false where s has to wait in its own goroutine:
// its connection is no bare socket, or it is over.
func (p *poller) park(s *stream) bool {
	src, ok := s.src.(*rawSource)
	if !ok {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.isBroken() || !p.enter(s) {
		return false
	}
	p.last++
	s.waiting.ticket = p.last
	var armed error
	// Within Control the socket cannot be closed.
	err := src.rc.Control(func(fd uintptr) { armed = p.arm(int(fd), p.last) })
	if err != nil || armed != nil {
		return false
	}
	p.parked[p.last] = s
	if s.shared {
		p.share()
	}
	return true
}

// arm asks for one event, when the socket has something to read or is at its end.
func (p *poller) arm(fd int, ticket uint64) error {
	ev := syscall.EpollEvent{
		Events: syscall.EPOLLIN | syscall.EPOLLRDHUP | syscall.EPOLLONESHOT,
		Fd:     int32(ticket), Pad: int32(ticket >> 32),
	}
	err := syscall.EpollCtl(p.set, syscall.EPOLL_CTL_MOD, fd, &ev)
	if err == syscall.ENOENT {
		err = syscall.EpollCtl(p.set, syscall.EPOLL_CTL_ADD, fd, &ev)
	}
	return err
}

func ticketOf(ev syscall.EpollEvent) uint64 {
	return uint64(uint32(ev.Fd)) | uint64(uint32(ev.Pad))<<32
}

// enter makes s a member, and opens the poller for the first one.
func (p *poller) enter(s *stream) bool {
	if s.waiting.member {
		return true
	}
	if p.file == nil {
		set, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
		if err != nil {
			return false
		}
		_ = syscall.SetNonblock(set, true) // so that the runtime's poller takes it
		file := os.NewFile(uintptr(set), "epoll")
		if err := file.SetReadDeadline(time.Time{}); err != nil { // it did not
			_ = file.Close()
			return false
		}
		p.file, p.set = file, set
		go p.serve(file)
	}
	s.waiting.member = true
	p.members++
	return true
}

// leave is called when s has ended: it is not parked.
func (p *poller) leave(s *stream) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !s.waiting.member {
		return
	}
	s.waiting.member = false
	if p.members--; p.members == 0 {
		_ = p.file.Close() // ends serve
		p.file = nil
	}
}

// serve wakes the streams whose sockets have something to read.
func (p *poller) serve(set *os.File) {
	rc, err := set.SyscallConn()
	if err != nil {
		return
	}
	events := make([]syscall.EpollEvent, 128)
	for {
		var n int
		err := rc.Read(func(fd uintptr) bool {
			n, _ = syscall.EpollWait(int(fd), events, 0)
			return n > 0
		})
		if errors.Is(err, os.ErrDeadlineExceeded) {
			p.look()
			continue
		}
		if err != nil {
			return // closed
		}
		p.mu.Lock()
		for _, ev := range events[:n] {
			p.take(ticketOf(ev))
		}
		p.mu.Unlock()
	}
}

// take gives the stream that is parked under ticket its goroutine back. mu is held.
func (p *poller) take(ticket uint64) {
	s := p.parked[ticket]
	if s == nil {
		return
	}
	delete(p.parked, ticket)
	if s.shared {
		p.shared--
	}
	go s.run()
}

// wake has s look at how it is to end, if it is parked.
func (p *poller) wake(s *stream) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.parked[s.waiting.ticket] == s {
		p.take(s.waiting.ticket)
	}
}

// share counts a parked stream whose socket others may close. mu is held.
func (p *poller) share() {
	if p.shared++; p.shared == 1 {
		_ = p.file.SetReadDeadline(time.Now().Add(lookGap))
	}
}

// look wakes the streams whose sockets were closed by others.
func (p *poller) look() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.file == nil {
		return
	}
	var next time.Time
	if p.shared > 0 {
		next = time.Now().Add(lookGap)
	}
	_ = p.file.SetReadDeadline(next)
	for ticket, s := range p.parked {
		if s.shared && s.src.(*rawSource).rc.Control(func(uintptr) {}) != nil {
			p.take(ticket)
		}
	}
}

// parkAtOnce parks a stream that has not run yet. It reports false where its loop
// has to be started: there may be frames already, or it cannot park.
func (s *stream) parkAtOnce() bool {
	src, ok := s.src.(*rawSource)
	if !ok || inBubble() {
		return false
	}
	s.waiting.willing, src.noWait = true, true
	return !s.in.Partial() && thePoller.park(s)
}

// started notes that the loop begins to run, and whether it is to keep its
// goroutine: then a read deadline tells when the frames have ceased to come.
func (s *stream) started() {
	if !s.waiting.willing {
		return
	}
	now := uptime()
	if s.waiting.started > 0 && now-s.waiting.started < busyGap {
		s.setBusy(true)
	}
	s.waiting.started = now
}

func (s *stream) setBusy(busy bool) {
	s.waiting.busy, s.waiting.read = busy, false
	s.src.(*rawSource).noWait = !busy
	var deadline time.Time
	if busy {
		deadline = time.Now().Add(idleGap)
	}
	s.setReadDeadline(deadline)
}

// quiet is asked when a read failed: did it only because there is nothing to read
// now? Then the stream has been parked, and its loop must return at once and touch it no
// more, or it has to read on.
func (s *stream) quiet(err error) (parked, readOn bool) {
	switch {
	case !s.waiting.willing:
		return false, false
	case err == errNothingYet:
	case s.waiting.busy && errors.Is(err, os.ErrDeadlineExceeded):
		if s.setBusy(s.waiting.read); s.waiting.busy {
			return false, true
		}
	default:
		return false, false
	}
	// Before it is parked: afterwards s may be running again.
	if thePoller.park(s) {
		return true, false
	}
	s.stayAwake()
	return false, true
}

// holdAwake lets reads wait, whatever the loop's own would do, until resume.
func (s *stream) holdAwake() (resume func()) {
	s.setReadDeadline(time.Time{})
	if !s.waiting.willing {
		return func() { s.setReadDeadline(time.Time{}) }
	}
	busy := s.waiting.busy
	s.src.(*rawSource).noWait = false
	return func() { s.setBusy(busy) }
}

// stayAwake makes the loop keep its goroutine to the end.
func (s *stream) stayAwake() {
	if s.waiting.willing {
		s.waiting.willing, s.waiting.busy = false, false
		s.src.(*rawSource).noWait = false
		s.setReadDeadline(time.Time{})
	}
}
