package reqws

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/reqws/reqws/internal/conn"
	"github.com/reqws/reqws/internal/dial"
	"github.com/reqws/reqws/internal/netconn"
	"github.com/reqws/reqws/internal/wire"
)

// link is one connection of a stream: what is read from it, what is written to it, and how it
// ends. There are two ways: a closing handshake (RFC 6455, section 7.1), which one side begins
// with a close frame and the loop completes, and an abort, after which nothing more is read or
// sent.
type link struct {
	resp  *Response // of its handshake
	conn  net.Conn
	src   conn.Source
	in    wire.Reader
	out   conn.Writer
	body  io.ReadCloser // of a plain HTTP answer, in place of conn
	ahead *ahead        // reads in the loop's place; nil: the loop does
	waiting
	heart

	closeTimeout time.Duration
	hearsOut     bool // a Send of a close frame discards nothing
	user         interface {
		insideHandler() bool
		doneChan() <-chan struct{}
		beat(time.Duration) // the round trip of a heartbeat
	}
	unblock chan struct{} // closed when nobody is to wait any more for somebody to take frames
	wrapped io.Closer     // tells a step of the user's of the end
	cancel  func()        // lets go of what bounded the handshake
	watch   *watch        // tells those who watch; nil: nobody does

	mu         sync.Mutex // guards what follows, up to timer; see on
	state      linkState
	cause      error                 // why it was aborted from this side; the first one stands
	writeErr   error                 // why nothing more can be written
	unanswered error                 // why our close frame got no answer
	ours       bool                  // our close frame was the first
	reported   bool                  // Close says itself what became of that
	hears      bool                  // our close frame was a Send's, and HearOut is on: what comes before the peer's is handed over
	peer       *websocket.CloseError // the peer's close frame
	timer      *time.Timer           // closes the connection after the close timeout

	readOnly atomic.Bool // writeErr is set
	dropped  atomic.Bool // disconnect has closed the connection
	lingers  atomic.Bool // abandon waits a moment for the peer's end

	// The loop's own:
	drained  bool          // nothing more is handed over
	stopped  bool          // nothing more is read
	stopErr  error         // why
	readErr  error         // what reading met while the loop could not
	patience time.Duration // how long a read-only link may still wait for what the peer has sent
	joiners  joiners       // what EachJSON puts together
}

// linkState is how far a link is on its way to the end. It only grows.
type linkState uint8

const (
	linkOpen     linkState = iota
	linkClosing            // our close frame is out, before one of the peer's: what comes is for nobody, unless the link hears
	linkDraining           // no more frames either way: the connection is read to its end
	linkClosed             // the connection is closed, or is about to be
)

// linkEvent is what brings a link nearer to its end.
type linkEvent uint8

const (
	closeCalled     linkEvent = iota // the user calls Close
	closeSent                        // a close frame of ours is out
	closeSentBySend                  // likewise, by a Send, which may want what is still to come
	closeExchanged                   // both are, or the peer's will not be looked at
	closeTimedOut                    // all that has taken too long
	violated                         // somebody broke the protocol, and the peer is about to be told
	lost                             // the peer was given up: what has arrived is still handed over
	writeFailed                      // nothing more can be written
	aborted                          // from this side, without waiting for anybody
	finished                         // the stream has had its last word
)

// on is the one place where the state of a link changes; why goes with violated, lost,
// writeFailed and aborted. It reports whether the event meant anything to a link in that state.
func (l *link) on(e linkEvent, why error) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state == linkClosed {
		return false
	}
	next := linkClosed
	switch e {
	case closeCalled:
		l.reported = l.reported || l.state == linkOpen && l.peer == nil
		if l.hears { // nobody does any more
			l.hears = false
			l.release()
		}
		return true
	case closeSent, closeSentBySend:
		if l.state != linkOpen {
			return false
		}
		l.ours = l.ours || l.peer == nil
		l.hears = e == closeSentBySend && l.hearsOut && !l.reported
		next = linkClosing
	case closeExchanged:
		next = l.state // without a close timeout the loop ends at once
		if l.closeTimeout > 0 {
			next = linkDraining
		}
	case closeTimedOut:
		if l.state == linkClosing && l.peer == nil && l.unanswered == nil {
			l.unanswered = os.ErrDeadlineExceeded
		}
	case violated:
		l.cause = why
		return true
	case lost:
		if l.state != linkOpen || l.cause != nil {
			return false
		}
		l.cause = why
		return true
	case writeFailed:
		// What the peer has sent before is still to be read, and its close frame may be among it.
		l.writeErr, l.patience = why, conn.FarewellTime
		if dial.PeerLeft(why) {
			l.patience = l.endTime()
		}
		l.readOnly.Store(true)
		_ = l.conn.SetReadDeadline(longAgo) // the loop is to look
		return true
	case aborted:
		switch {
		case l.state == linkDraining || l.cause != nil: // it has ended well, or has its cause
		case l.state == linkClosing && l.reported:
			l.unanswered = why
		default:
			l.cause = why
		}
	}
	l.state = next
	if e != closeSentBySend || !l.hears {
		l.release()
	}
	return true
}

// release lets go a loop that waits for somebody to take its frames. mu is held.
func (l *link) release() {
	if l.unblock == nil {
		return
	}
	select {
	case <-l.unblock:
	default:
		close(l.unblock)
	}
}

// open puts a connection under the link.
func (l *link) open(h *handshake, maxMessage int64, life *lifeConfig) {
	l.conn, l.cancel = h.conn.Conn, h.cancel
	var inflate *wire.Inflate
	if h.deflate != nil {
		inflate = wire.NewInflate(*h.deflate)
	}
	src, try := conn.SourceOf(l.conn)
	l.src = src
	l.in.Init(maxMessage, inflate)
	l.in.Prime(h.conn.Rest)
	l.out.Open(l.conn, try, conn.Options{Timeout: life.writeTimeout, Deflate: h.deflate, Watcher: l.watch.watcher()})
	l.startHeart(life)
}

// lasts has cancel called at the end of the link.
func (l *link) lasts(cancel func()) {
	before := l.cancel
	l.cancel = func() {
		if before != nil {
			before()
		}
		cancel()
	}
}

// Reading. The read deadline is set here and in on alone.

var longAgo = time.Unix(1, 0)

// fill reads what has arrived, waiting where there is nothing.
func (l *link) fill() error {
	if l.readErr != nil {
		return l.readErr
	}
	if !l.readOnly.Load() {
		l.listens()
		_, err := l.src.Fill(&l.in)
		if err == nil {
			l.heard()
		}
		return err
	}
	start := time.Now()
	_ = l.conn.SetReadDeadline(start.Add(l.patience))
	_, err := l.src.Fill(&l.in)
	l.patience -= time.Since(start)
	return err
}

// readUntil sets the read deadline of a link that can be written to: one that is read-only has
// its own.
func (l *link) readUntil(t time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.writeErr == nil {
		_ = l.conn.SetReadDeadline(t)
	}
}

// readsOn reports whether the loop is to read again though a read has failed with err, since
// there is only nothing to read now; or, with parked, that the link waits without a goroutine.
func (l *link) readsOn(err error) (parked, again bool) {
	if l.readOnly.Load() {
		l.stayAwake()
		return false, err == conn.ErrNothingYet || errors.Is(err, os.ErrDeadlineExceeded) && l.patience > 0
	}
	return l.idle(err)
}

// discards reports whether what arrives is for nobody any more: the link is being closed from
// this side, or was aborted.
func (l *link) discards() bool {
	l.mu.Lock()
	ending := l.reported || l.state > linkClosing || l.state == linkClosing && !l.hears
	hears := l.hearsOut && !l.reported
	l.mu.Unlock()
	return ending || !hears && l.out.Leaving()
}

// Aborts

// abort ends the link from this side, now. The first cause stands.
func (l *link) abort(cause error) {
	if l.on(aborted, cause) {
		l.disconnect(cause)
	}
}

// lose ends the link as if the connection had broken.
func (l *link) lose(cause error) {
	if l.on(lost, cause) {
		l.disconnect(cause)
	}
}

// disconnect closes the connection, which wakes everybody who reads or writes; whoever still
// wants to send gets err.
func (l *link) disconnect(err error) {
	l.mu.Lock()
	c, body := l.conn, l.body
	l.mu.Unlock()
	l.out.Stop(err)
	if c != nil {
		_ = netconn.Bare(c).Close() // TLS would wait to say goodbye
		l.dropped.Store(true)
	}
	if body != nil {
		_ = body.Close()
	}
	conn.Interrupt(&l.waiter)
}

// WriteFailed implements conn.Owner.
func (l *link) WriteFailed(err error) {
	if l.on(writeFailed, err) {
		conn.Interrupt(&l.waiter)
	}
}

// abandon is abort for a ctx that has ended with err: a close frame says so where one can be sent
// at once, and its answer is not waited for.
func (l *link) abandon(err error) {
	if !l.on(aborted, err) {
		return
	}
	if l.conn != nil {
		l.lingers.Store(dial.CloseOvertakes(l.conn))
		l.out.Farewell(uint16(websocket.StatusGoingAway))
		l.out.Stop(err)
		if raw, ok := l.src.(*conn.Raw); ok {
			raw.DropUnread()
		}
		l.linger()
	}
	l.disconnect(err)
}

// linger gives the last close frame of a stream over HTTP/2 a moment to arrive: a proxy that
// gets the reset with the frame may drop that. What comes meanwhile the loop reads, and ends.
func (l *link) linger() {
	if !l.lingers.Load() || !l.out.Closing() {
		return
	}
	_ = l.conn.SetWriteDeadline(time.Now().Add(conn.FarewellTime))
	if l.conn.(netconn.HalfCloser).CloseWrite() != nil {
		return
	}
	l.awaitDone(conn.FarewellTime)
}

// finish is the end of the link: everything is let go of. Whoever still wants to send gets err.
func (l *link) finish(err error) {
	l.out.Stop(err)
	if l.conn != nil {
		bare := netconn.Bare(l.conn)
		if !l.dropped.Load() {
			_ = bare.Close()
		}
		if l.conn != bare {
			_ = l.conn.Close()
		}
	}
	l.recall()
	if l.wrapped != nil {
		_ = l.wrapped.Close()
	}
	if l.cancel != nil {
		l.cancel()
	}
	conn.Leave(&l.waiter)
	l.in.Release()
	l.out.Release()
	l.on(finished, nil)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.alarm.Stop()
	if l.timer != nil {
		l.timer.Stop()
	}
}

// brokeWith says what the failure of a read means. mu is held.
func (l *link) brokeWith(err error) error {
	switch {
	case l.writeErr != nil: // what broke first
		return l.writeErr
	case dial.PeerIsSilent(err):
		return fmt.Errorf("%w: %w", ErrPeerUnresponsive, err)
	case errors.Is(err, io.EOF):
		return fmt.Errorf("the connection ended without a close frame: %w", io.ErrUnexpectedEOF)
	case err == nil:
		return ErrClosed
	}
	return err
}
