package conn

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// waiterState is the poller's part of a Waiter, guarded by its mu.
type waiterState struct {
	rc          syscall.RawConn
	ticket      uint64 // under which it is in the set, or was last
	member      bool
	armed       bool // it is in the set
	parked      bool
	missed      bool // something came while it was not parked
	interrupted bool
	ended       atomic.Bool
}

// Ended reports whether the peer is known to have ended the connection: no event tells of that
// again.
func (w *Waiter) Ended() bool { return w.ended.Load() }

type poller struct {
	mu      sync.Mutex
	armed   map[uint64]*Waiter // by ticket
	parked  int                // of them
	last    uint64             // the last ticket given out
	members int                // waiters that have been parked here, and have not left
	shared  int                // of those parked
	file    *os.File           // the epoll set, as the runtime's poller sees it; nil without members
	set     int
	queue   []*Waiter // to be woken, from next on
	next    int
	called  bool          // a worker is about to look at it
	jobs    chan struct{} // calls one that has nothing to do; closed with the set
	spare   int           // of those
	lingers bool          // without members, the set is to be closed, unless one comes until then
	seen    uint64        // the last ticket when that was last looked at

	add    func(fd uintptr) // puts a socket into the set, with event
	event  syscall.EpollEvent
	addErr error
}

var thePoller = newPoller()

func newPoller() *poller {
	p := &poller{armed: make(map[uint64]*Waiter)}
	p.add = func(fd uintptr) { p.addErr = syscall.EpollCtl(p.set, syscall.EPOLL_CTL_ADD, int(fd), &p.event) }
	return p
}

const (
	// lookGap is how often sockets are looked at that others may close.
	lookGap = time.Second
	// lingerTime is how long the set stays without members. Where one connection follows another, to
	// open and to close it each time costs a quarter of the whole handshake.
	lingerTime = 5 * time.Millisecond
)

// Park gives w to the poller, until rc has something new to read or is at its end. Otherwise it
// reports whether there may be something to read already: where there is not it cannot park, since w was
// interrupted, or rc is closed or cannot be polled.
func Park(rc syscall.RawConn, w *Waiter) (parked, ready bool) { return thePoller.park(rc, w) }

// Disarm has the poller watch the socket of w, which is not parked, no more until it is parked again.
func Disarm(w *Waiter) { thePoller.disarm(w) }

// Interrupt wakes w if it is parked, and keeps it from being parked again.
func Interrupt(w *Waiter) { thePoller.interrupt(w) }

// Leave is called at the end of w, which is not parked.
func Leave(w *Waiter) { thePoller.leave(w) }

// Parked says how many are parked.
func Parked() int {
	thePoller.mu.Lock()
	defer thePoller.mu.Unlock()
	return thePoller.parked
}

func (p *poller) park(rc syscall.RawConn, w *Waiter) (parked, ready bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case w.interrupted || !p.enter(w) || !p.arm(rc, w):
		return false, false
	case w.missed:
		w.missed = false
		return false, true
	}
	w.parked = true
	p.parked++
	if w.Shared {
		p.share()
	}
	return true, false
}

// arm has the set tell when the socket of w gets something to read, or comes to its end: each time,
// and first of what is there already. mu is held.
func (p *poller) arm(rc syscall.RawConn, w *Waiter) bool {
	if w.armed {
		return true
	}
	p.last++
	p.event = syscall.EpollEvent{
		Events: syscall.EPOLLIN | syscall.EPOLLRDHUP | edgeTriggered,
		Fd:     int32(p.last), Pad: int32(p.last >> 32),
	}
	// Within Control the socket cannot be closed.
	if err := rc.Control(p.add); err != nil || p.addErr != nil {
		return false
	}
	w.rc, w.ticket, w.armed, w.missed = rc, p.last, true, false
	p.armed[p.last] = w
	return true
}

// edgeTriggered is EPOLLET, which package syscall has with the wrong sign.
const edgeTriggered = 1 << 31

func (p *poller) disarm(w *Waiter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !w.armed {
		return
	}
	p.forget(w)
	_ = w.rc.Control(func(fd uintptr) { _ = syscall.EpollCtl(p.set, syscall.EPOLL_CTL_DEL, int(fd), &syscall.EpollEvent{}) })
}

// forget ignores the events of w from now on. mu is held.
func (p *poller) forget(w *Waiter) {
	w.armed = false
	delete(p.armed, w.ticket)
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
	p.file, p.set, p.jobs = file, set, make(chan struct{})
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
	p.forget(w)
	if p.members--; p.members == 0 && !p.lingers {
		p.linger()
	}
}

// linger has look close the set. mu is held.
func (p *poller) linger() {
	p.lingers, p.seen = true, p.last
	_ = p.file.SetReadDeadline(time.Now().Add(lingerTime))
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
		case errors.Is(err, os.ErrDeadlineExceeded) && p.look():
		default:
			return
		}
	}
}

func (p *poller) wake(events []syscall.EpollEvent) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, ev := range events {
		p.tell(ticketOf(ev), ev.Events)
	}
}

// tell has the one whose ticket it is know of an event. mu is held.
func (p *poller) tell(ticket uint64, events uint32) {
	w := p.armed[ticket]
	if w == nil {
		return
	}
	if events&^syscall.EPOLLIN != 0 {
		w.ended.Store(true)
	}
	if w.missed = !w.parked; w.parked {
		p.take(w)
	}
}

// take has one that is parked woken. mu is held.
func (p *poller) take(w *Waiter) {
	w.parked = false
	p.parked--
	if w.Shared {
		p.shared--
	}
	p.queue = append(p.queue, w)
	p.call()
}

// Workers run Wake for those in the queue. One that takes a Waiter while there are more has another one called
// first, unless that is on its way: so none waits for a handler that takes its time, and of many that are
// woken at once each worker sees to one after another, on a stack that has grown.

// mostSpare is how many workers wait for something to do.
const mostSpare = 8

// call has another worker come if there is work. mu is held.
func (p *poller) call() {
	if p.called || len(p.queue) == p.next {
		return
	}
	p.called = true
	select {
	case p.jobs <- struct{}{}:
	default:
		go p.work()
	}
}

func (p *poller) work() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for more := true; more; more = p.await() {
		p.called = false
		for w := p.pop(); w != nil; w = p.pop() {
			p.call()
			p.wakeUp(w)
		}
	}
}

// wakeUp gives up mu meanwhile.
func (p *poller) wakeUp(w *Waiter) {
	p.mu.Unlock()
	defer p.mu.Lock()
	w.Wake()
}

// pop takes the first in the queue. mu is held.
func (p *poller) pop() *Waiter {
	if p.next == len(p.queue) {
		p.queue, p.next = p.queue[:0], 0
		return nil
	}
	w := p.queue[p.next]
	p.queue[p.next] = nil
	p.next++
	return w
}

// await waits until there is work. It reports false where enough others do, and at the end. mu is held,
// but not while it waits.
func (p *poller) await() bool {
	if p.file == nil || p.spare == mostSpare {
		return false
	}
	p.spare++
	jobs := p.jobs
	p.mu.Unlock()
	_, more := <-jobs
	p.mu.Lock()
	p.spare--
	return more
}

func (p *poller) interrupt(w *Waiter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w.interrupted = true
	if w.parked {
		p.take(w)
	}
}

// share counts a parked socket that others may close. mu is held.
func (p *poller) share() {
	if p.shared++; p.shared == 1 {
		p.lingers = false
		_ = p.file.SetReadDeadline(time.Now().Add(lookGap))
	}
}

// look wakes those whose sockets were closed by others, and closes a set that has had no members for
// a while. It reports whether there is still one.
func (p *poller) look() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lingers = false
	switch {
	case p.members == 0 && p.seen == p.last:
		_ = p.file.Close()
		p.file = nil
		close(p.jobs) // ends the workers
		return false
	case p.members == 0:
		p.linger()
		return true
	}
	var next time.Time
	if p.shared > 0 {
		next = time.Now().Add(lookGap)
	}
	_ = p.file.SetReadDeadline(next)
	for _, w := range p.armed {
		if w.Shared && w.parked && w.rc.Control(func(uintptr) {}) != nil {
			p.take(w)
		}
	}
	return true
}
