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

// lot is where streams wait. One goroutine serves them all; it ends, and the
// epoll set is closed, with the last stream that has waited here.
type lot struct {
	mu      sync.Mutex
	members int // streams that have waited here and live
	parked  map[int32]*stream
	ticket  int32    // tells a socket from an earlier one with the same number
	file    *os.File // the epoll set, as the runtime's poller sees it; nil without members
	set     int
}

var theLot = lot{parked: make(map[int32]*stream)}

// place is the part of a stream that has to do with the lot.
type place struct {
	fd, ticket int32
	parked     bool // these and member are guarded by the lot's mu
	member     bool

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
)

var processStart = time.Now()

func uptime() time.Duration { return time.Since(processStart) }

// park puts s into the lot. It reports false where s has to wait in its own
// goroutine: its connection is no bare socket, or it is being ended.
func (l *lot) park(s *stream) bool {
	src, ok := s.src.(*rawSource)
	if !ok {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.isEnding() || !l.enter(s) {
		return false
	}
	l.ticket++
	s.place.ticket = l.ticket
	var armed error
	// Within Control the socket cannot be closed. After it, whoever closes it
	// takes s out of the lot, and has to wait for mu.
	err := src.rc.Control(func(fd uintptr) {
		s.place.fd = int32(fd)
		armed = l.arm(&s.place)
	})
	if err != nil || armed != nil {
		return false
	}
	s.place.parked = true
	l.parked[s.place.fd] = s
	return true
}

// arm asks for one event, when the socket has something to read or is at its end.
func (l *lot) arm(p *place) error {
	ev := syscall.EpollEvent{Events: syscall.EPOLLIN | syscall.EPOLLRDHUP | syscall.EPOLLONESHOT, Fd: p.fd, Pad: p.ticket}
	err := syscall.EpollCtl(l.set, syscall.EPOLL_CTL_MOD, int(p.fd), &ev)
	if err == syscall.ENOENT {
		err = syscall.EpollCtl(l.set, syscall.EPOLL_CTL_ADD, int(p.fd), &ev)
	}
	return err
}

// enter makes s a member, and opens the lot for the first one.
func (l *lot) enter(s *stream) bool {
	if s.place.member {
		return true
	}
	if l.file == nil {
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
		l.file, l.set = file, set
		go l.serve(file)
	}
	s.place.member = true
	l.members++
	return true
}

// leave is called when s has ended.
func (l *lot) leave(s *stream) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !s.place.member {
		return
	}
	s.place.member = false
	if l.members--; l.members == 0 {
		_ = l.file.Close() // ends serve
		l.file = nil
	}
}

// serve wakes the streams whose sockets have something to read.
func (l *lot) serve(set *os.File) {
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
		if err != nil {
			return // closed
		}
		l.mu.Lock()
		for _, ev := range events[:n] {
			if s := l.parked[ev.Fd]; s != nil && s.place.ticket == ev.Pad {
				l.start(s)
			}
		}
		l.mu.Unlock()
	}
}

// start gives s its goroutine back. l.mu is held.
func (l *lot) start(s *stream) {
	delete(l.parked, s.place.fd)
	s.place.parked = false
	go s.run()
}

// wake has s look at how it is to end, if it is parked.
func (l *lot) wake(s *stream) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.place.parked {
		l.start(s)
	}
}

// parkAtOnce parks a stream that has not run yet. It reports false where its loop
// has to be started: there may be frames already, or it cannot park.
func (s *stream) parkAtOnce() bool {
	src, ok := s.src.(*rawSource)
	if !ok {
		return false
	}
	s.place.willing, src.noWait = true, true
	return !s.in.Partial() && theLot.park(s)
}

// started notes that the loop begins to run, and whether it is to keep its
// goroutine: then a read deadline tells when the frames have ceased to come.
func (s *stream) started() {
	if !s.place.willing {
		return
	}
	now := uptime()
	if s.place.started > 0 && now-s.place.started < busyGap {
		s.setBusy(true)
	}
	s.place.started = now
}

func (s *stream) setBusy(busy bool) {
	s.place.busy, s.place.read = busy, false
	s.src.(*rawSource).noWait = !busy
	var deadline time.Time
	if busy {
		deadline = time.Now().Add(idleGap)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closing && s.lost == nil { // else the deadline is that of the end
		_ = s.conn.SetReadDeadline(deadline)
	}
}

// quiet is asked when a read failed: did it only because there is nothing to read
// now? Then the stream has been parked, and its loop must return at once and touch it no
// more, or it has to read on.
func (s *stream) quiet(err error) (parked, readOn bool) {
	switch {
	case !s.place.willing:
		return false, false
	case err == errNothingYet:
	case s.place.busy && errors.Is(err, os.ErrDeadlineExceeded) && !s.isEnding():
		if s.setBusy(s.place.read); s.place.busy {
			return false, true
		}
	default:
		return false, false
	}
	// Before it is parked: afterwards s may be running again.
	if theLot.park(s) {
		return true, false
	}
	s.place.willing = false
	s.src.(*rawSource).noWait = false
	return false, true
}
