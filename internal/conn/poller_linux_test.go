package conn

import (
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/reqws/reqws/internal/wiretest"
	"github.com/reqws/reqws/reqwstest"
)

// sockets returns the two ends of a connection, and the first one's descriptor.
func sockets(t *testing.T) (rc syscall.RawConn, near, far net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if near, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if far, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = near.Close(), far.Close() })
	if rc, err = near.(*net.TCPConn).SyscallConn(); err != nil {
		t.Fatal(err)
	}
	return rc, near, far
}

// waiter returns one that says so when it is woken, and leaves at the end of the test.
func waiter(t *testing.T) (*Waiter, chan struct{}) {
	woken := make(chan struct{}, 10)
	w := &Waiter{Wake: func() { woken <- struct{}{} }}
	t.Cleanup(func() { Interrupt(w); Leave(w) })
	return w, woken
}

// parks reports whether Park took w.
func parks(rc syscall.RawConn, w *Waiter) bool {
	parked, _ := Park(rc, w)
	return parked
}

func say(t *testing.T, to net.Conn) {
	t.Helper()
	if _, err := to.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
}

// A Waiter has one owner at each time: it is woken once for each Park.
func TestAParkedWaiterIsWokenOnce(t *testing.T) {
	is := is.New(t)
	reqwstest.NoLeaks(t)
	rc, near, far := sockets(t)
	w, woken := waiter(t)
	for range 100 {
		is.True(parks(rc, w))
		is.Equal(Parked(), 1)
		say(t, far)
		<-woken
		is.Equal(Parked(), 0)
		_, err := io.ReadFull(near, make([]byte, 1))
		is.NoErr(err)
		is.Equal(len(woken), 0)
	}
}

// What comes while nobody is parked is kept for the next Park.
func TestParkHearsOfWhatItMissed(t *testing.T) {
	is := is.New(t)
	rc, near, far := sockets(t)
	w, woken := waiter(t)
	is.True(parks(rc, w))
	say(t, far)
	<-woken
	_, err := io.ReadFull(near, make([]byte, 1))
	is.NoErr(err)
	say(t, far)
	for missed := false; !missed; runtime.Gosched() {
		thePoller.mu.Lock()
		missed = w.missed
		thePoller.mu.Unlock()
	}
	parked, ready := Park(rc, w)
	is.Equal([]bool{parked, ready}, []bool{false, true})
	is.Equal(Parked(), 0)
	is.True(parks(rc, w)) // it was told once
	is.Equal(len(woken), 0)
}

// A Waiter that was disarmed hears of nothing until the next Park, and then of what is there.
func TestDisarm(t *testing.T) {
	is := is.New(t)
	rc, near, far := sockets(t)
	w, woken := waiter(t)
	is.True(parks(rc, w))
	say(t, far)
	<-woken
	Disarm(w)
	Disarm(w) // again means nothing
	_, err := io.ReadFull(near, make([]byte, 1))
	is.NoErr(err)
	say(t, far)
	is.True(parks(rc, w))
	<-woken
}

// That the peer has ended the connection is known from the event that tells so.
func TestEnded(t *testing.T) {
	is := is.New(t)
	rc, _, far := sockets(t)
	w, woken := waiter(t)
	is.True(parks(rc, w))
	say(t, far)
	<-woken
	is.True(!w.Ended())
	is.NoErr(far.(*net.TCPConn).CloseWrite())
	if parks(rc, w) {
		<-woken
	}
	is.True(w.Ended())
}

// What was there before Park, and the end of the connection, wake as well.
func TestParkFindsWhatIsThere(t *testing.T) {
	for name, before := range map[string]func(t *testing.T, far net.Conn){
		"bytes": say,
		"end":   func(_ *testing.T, far net.Conn) { _ = far.Close() },
		"reset": func(_ *testing.T, far net.Conn) { _, _ = far.(*net.TCPConn).SetLinger(0), far.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			rc, _, far := sockets(t)
			before(t, far)
			w, woken := waiter(t)
			is.True(parks(rc, w))
			<-woken
		})
	}
}

// After the socket was closed and Interrupt called nobody is left parked, whichever came first.
func TestInterrupt(t *testing.T) {
	is := is.New(t)
	rc, near, _ := sockets(t)
	w, woken := waiter(t)
	is.True(parks(rc, w))
	is.NoErr(near.Close())
	Interrupt(w)
	<-woken
	Interrupt(w) // again means nothing
	is.Equal(len(woken), 0)

	rc, _, _ = sockets(t)
	w, _ = waiter(t)
	Interrupt(w)
	is.True(!parks(rc, w)) // and never again
	is.True(!parks(rc, w))
	is.Equal(Parked(), 0)
}

// Park and Interrupt at once, over and over: either Park refuses, or the Waiter is woken.
func TestParkMeetsInterrupt(t *testing.T) {
	rc, _, _ := sockets(t)
	for range 2000 {
		woken := make(chan struct{})
		w := &Waiter{Wake: func() { close(woken) }}
		var wg sync.WaitGroup
		parked := false
		wg.Go(func() { parked = parks(rc, w) })
		wg.Go(func() { Interrupt(w) })
		wg.Wait()
		if parked {
			<-woken
		}
		Leave(w)
	}
}

// A closed socket cannot be parked.
func TestParkOnAClosedSocket(t *testing.T) {
	is := is.New(t)
	rc, near, _ := sockets(t)
	is.NoErr(near.Close())
	w, _ := waiter(t)
	is.True(!parks(rc, w))
}

// An event for a ticket that is no longer parked is for nobody, though the descriptor it came
// from has a new owner.
func TestEventsOfThePast(t *testing.T) {
	is := is.New(t)
	rc, near, _ := sockets(t)
	old, wokenOld := waiter(t)
	is.True(parks(rc, old))
	past := old.ticket
	is.NoErr(near.Close())
	Interrupt(old)
	<-wokenOld

	rc, _, far := sockets(t)
	w, woken := waiter(t)
	is.True(parks(rc, w))
	thePoller.mu.Lock()
	thePoller.tell(past, syscall.EPOLLIN)
	thePoller.mu.Unlock()
	is.Equal(len(woken)+len(wokenOld), 0)
	say(t, far)
	<-woken
}

// A socket that somebody else closes is found by looking, if it is said to be shared.
func TestASharedSocketThatOthersClose(t *testing.T) {
	is := is.New(t)
	rc, near, _ := sockets(t)
	w, woken := waiter(t)
	w.Shared = true
	is.True(parks(rc, w))
	thePoller.look()
	is.Equal(len(woken), 0)
	is.NoErr(near.Close())
	thePoller.look()
	<-woken
	is.Equal(Parked(), 0)
}

// However many Wakes take their time, the next one begins; and one that ends its goroutine takes
// none of the others with it.
func TestNoWakeWaitsForAnother(t *testing.T) {
	is := is.New(t)
	reqwstest.NoLeaks(t)
	const n = 40
	var begun sync.WaitGroup
	begun.Add(n)
	release := make(chan struct{})
	var ended sync.WaitGroup
	var peers []net.Conn
	for i := range n {
		rc, _, far := sockets(t)
		ended.Add(1)
		w := &Waiter{Wake: func() {
			defer ended.Done()
			begun.Done()
			<-release
			if i%2 == 0 {
				runtime.Goexit()
			}
		}}
		t.Cleanup(func() { Leave(w) })
		is.True(parks(rc, w))
		peers = append(peers, far)
	}
	for _, far := range peers {
		say(t, far)
	}
	begun.Wait() // all at once
	close(release)
	ended.Wait()
	is.Equal(Parked(), 0)
}

// The poller's lock is a leaf: a Waiter may be interrupted under the lock that its Wake takes.
func TestThePollerCallsNobody(t *testing.T) {
	is := is.New(t)
	rc, _, far := sockets(t)
	var mu sync.Mutex
	woken := make(chan struct{}, 1)
	w := &Waiter{Wake: func() { mu.Lock(); defer mu.Unlock(); woken <- struct{}{} }}
	defer func() { Leave(w) }()
	mu.Lock()
	is.True(parks(rc, w))
	say(t, far)
	for Parked() > 0 {
		runtime.Gosched()
	}
	Interrupt(w)
	mu.Unlock()
	<-woken
}

// Soon after its last member the poller ends, unless another one has come.
func TestThePollerEnds(t *testing.T) {
	is := is.New(t)
	reqwstest.NoLeaks(t)
	wiretest.NoFDLeaks(t)
	rc, _, far := sockets(t)
	woken := make(chan struct{}, 1)
	w := &Waiter{Wake: func() { woken <- struct{}{} }}
	is.True(parks(rc, w))
	say(t, far)
	<-woken
	Leave(w)
	Leave(w) // again means nothing
	set := func() *os.File {
		thePoller.mu.Lock()
		defer thePoller.mu.Unlock()
		is.Equal(thePoller.members, 0)
		return thePoller.file
	}
	for range 100 { // one after another, which find the set of the one before, or a new one
		rc, _, _ := sockets(t)
		w := &Waiter{Wake: func() {}}
		is.True(parks(rc, w))
		Interrupt(w)
		Leave(w)
	}
	for deadline := time.Now().Add(10 * time.Second); set() != nil; runtime.Gosched() {
		is.True(time.Now().Before(deadline))
	}
}
