package conn

import (
	"errors"
	"os"
	"sync"
	"syscall"
	"time"
)

// waiterState is the poller's part of a Waiter, guarded by its mu.
type waiterState struct {
	rc          syscall.RawConn
	ticket      uint64 // under which it is parked, or was last
	member      bool
	interrupted bool
}

type poller struct {
	mu      sync.Mutex
	parked  map[uint64]*Waiter // by ticket
	last    uint64             // the last ticket given out
	members int                // waiters that have been parked here, and have not left
	shared  int                // of those parked
	file    *os.File           // the epoll set, as the runtime's poller sees it; nil without members
	set     int
	jobs    chan *Waiter // to workers that have nothing to do; closed without members
	spare   int          // of those
}

var thePoller = poller{parked: make(map[uint64]*Waiter)}

// lookGap is how often sockets are looked at that others may close.
const lookGap = time.Second

// Park gives w to the poller, until rc has something to read or is at its end. It reports false
// where that cannot be: w was interrupted, or rc is closed or cannot be polled.
func Park(rc syscall.RawConn, w *Waiter) bool { return thePoller.park(rc, w) }

// Interrupt wakes w if it is parked, and keeps it from being parked again.
func Interrupt(w *Waiter) { thePoller.interrupt(w) }

// Leave is called at the end of w, which is not parked.
func Leave(w *Waiter) { thePoller.leave(w) }

// Parked says how many are parked.
func Parked() int {
	thePoller.mu.Lock()
	defer thePoller.mu.Unlock()
	return len(thePoller.parked)
}

func (p *poller) park(rc syscall.RawConn, w *Waiter) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if w.interrupted || !p.enter(w) {
		return false
	}
	p.last++
	w.rc, w.ticket = rc, p.last
	var armed error
	// Within Control the socket cannot be closed.
	err := rc.Control(func(fd uintptr) { armed = p.arm(int(fd), p.last) })
	if err != nil || armed != nil {
		return false
	}
	p.parked[p.last] = w
	if w.Shared {
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

// enter makes w a member, and opens the poller for the first one.
func (p *poller) enter(w *Waiter) bool {
	if w.member {
		return true
	}
	if p.file == nil && !p.open() {
		return false
	}
	w.member = true
	p.members++
	return true
}

func (p *poller) open() bool {
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
	p.file, p.set, p.jobs = file, set, make(chan *Waiter)
	go p.serve(file)
	return true
}

func (p *poller) leave(w *Waiter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !w.member {
		return
	}
	w.member = false
	if p.members--; p.members == 0 {
		_ = p.file.Close() // ends serve
		p.file = nil
		close(p.jobs) // ends the workers
	}
}

// serve wakes those whose sockets have something to read.
func (p *poller) serve(set *os.File) {
	rc, err := set.SyscallConn()
	if err != nil {
		return
	}
	events := make([]syscall.EpollEvent, 128)
	look := func(fd uintptr) bool {
		for {
			n, _ := syscall.EpollWait(int(fd), events, 0)
			p.wake(events[:max(n, 0)])
			if n < len(events) {
				return false // for Read to wait, which has looked after it asked to be told
			}
		}
	}
	for {
		switch err := rc.Read(look); {
		case errors.Is(err, os.ErrDeadlineExceeded):
			p.look()
		default:
			return // closed
		}
	}
}

func (p *poller) wake(events []syscall.EpollEvent) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, ev := range events {
		p.take(ticketOf(ev))
	}
}

// take gives the one that is parked under ticket a goroutine. mu is held.
func (p *poller) take(ticket uint64) {
	w := p.parked[ticket]
	if w == nil {
		return
	}
	delete(p.parked, ticket)
	if w.Shared {
		p.shared--
	}
	select {
	case p.jobs <- w:
	default:
		go p.work(w)
	}
}

// mostSpare is how many goroutines wait for something to do. Their stacks have grown to what
// waking takes: to grow a new one costs more than what most messages do.
const mostSpare = 16

func (p *poller) work(w *Waiter) {
	for ; w != nil; w = p.job() {
		w.Wake()
	}
}

// job waits for one, or returns nil where enough others do.
func (p *poller) job() (w *Waiter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.members == 0 || p.spare == mostSpare {
		return nil
	}
	p.spare++
	jobs := p.jobs
	p.mu.Unlock()
	w = <-jobs
	p.mu.Lock()
	p.spare--
	return w
}

func (p *poller) interrupt(w *Waiter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w.interrupted = true
	if p.parked[w.ticket] == w {
		p.take(w.ticket)
	}
}

// share counts a parked socket that others may close. mu is held.
func (p *poller) share() {
	if p.shared++; p.shared == 1 {
		_ = p.file.SetReadDeadline(time.Now().Add(lookGap))
	}
}

// look wakes those whose sockets were closed by others.
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
	for ticket, w := range p.parked {
		if w.Shared && w.rc.Control(func(uintptr) {}) != nil {
			p.take(ticket)
		}
	}
}
