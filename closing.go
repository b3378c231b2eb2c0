package reqws

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/coder/websocket"

	"github.com/reqws/reqws/internal/conn"
	"github.com/reqws/reqws/internal/netconn"
	"github.com/reqws/reqws/internal/wire"
)

// The closing handshake of a link (RFC 6455, section 7.1).

// endTime is how long the last writes of a link may hold up its end.
func (l *link) endTime() time.Duration { return max(l.closeTimeout, conn.FarewellTime) }

// closing is called once a close frame was sent from this side, as sent says: from now on
// the loop waits for the peer's, and not longer than within.
func (l *link) closing(sent linkEvent, within time.Duration) {
	if l.on(sent, nil) {
		l.arm(within)
	}
}

// arm bounds the rest of the closing handshake, unless that is bounded already.
func (l *link) arm(within time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.timer == nil && l.state != linkClosed {
		l.timer = time.AfterFunc(within, l.closeExpired)
	}
}

// closeExpired gives up a closing handshake that takes too long.
func (l *link) closeExpired() {
	if !l.on(closeTimedOut, nil) {
		return
	}
	l.mu.Lock()
	after := l.peerError()
	l.mu.Unlock()
	if after == nil {
		after = ErrClosed
	}
	l.disconnect(after)
}

// close is what Close does: it sends f, the close frame, and waits for the end.
func (l *link) close(f wire.Frame) error {
	start := time.Now()
	if !l.on(closeCalled, nil) {
		return nil
	}
	if err := l.sendClose(f); err != nil {
		l.abort(ErrClosed)
		return err
	}
	left := max(0, l.closeTimeout-time.Since(start))
	l.closing(closeSent, left)
	if l.user.insideHandler() {
		return nil
	}
	return l.awaitClose(left)
}

// sendClose sends the close frame, unless one was sent already, or it is too late for that.
func (l *link) sendClose(f wire.Frame) error {
	if l.out.Closing() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), l.endTime())
	defer cancel()
	err := l.out.SendLast(ctx, f)
	if err == nil || errors.Is(err, ErrClosed) || l.peerClose() != nil {
		return nil
	}
	return fmt.Errorf("the close frame could not be sent: %w", err)
}

// awaitClose waits until the loop has completed the closing handshake, or gives
// the connection up: then the loop may still be in a handler, or about to tell one.
func (l *link) awaitClose(within time.Duration) error {
	if !l.awaitDone(within) {
		l.closeExpired()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.unansweredError()
}

// awaitDone reports whether the stream has ended within a time.
func (l *link) awaitDone(within time.Duration) bool {
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case <-l.user.doneChan():
		return true
	case <-timer.C:
		return false
	}
}

// unansweredError is what Close returns. mu is held.
func (l *link) unansweredError() error {
	switch {
	case l.unanswered == nil || l.closeTimeout == 0:
		return nil
	case errors.Is(l.unanswered, os.ErrDeadlineExceeded):
		return fmt.Errorf("the peer did not answer the close frame within the close timeout of %v: %w", l.closeTimeout, l.unanswered)
	}
	return fmt.Errorf("the peer did not answer the close frame: %w", l.unanswered)
}

// closedBy notes the peer's close frame. One without a code counts as 1005 (RFC 6455,
// section 7.1.5).
func (l *link) closedBy(f *Frame) {
	ours := l.out.Closing() // though whoever sent it may not have said so yet
	code := f.Code
	if code == 0 {
		code = websocket.StatusNoStatusRcvd
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ours = l.ours || ours
	l.peer = &websocket.CloseError{Code: code, Reason: f.Text()}
}

// peerClose returns the peer's close frame, nil while there was none.
func (l *link) peerClose() *websocket.CloseError {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.peer
}

// peerError is what the peer's close frame says of the end, nil where that is a usual one. mu
// is held.
func (l *link) peerError() error {
	if l.peer == nil || l.peer.Code == websocket.StatusNormalClosure || l.peer.Code == websocket.StatusNoStatusRcvd {
		return nil
	}
	return fmt.Errorf("closed by the peer: %w", *l.peer)
}

// closeWith closes the link with a close frame that says why. It reports false where that could
// not be sent, and the link is given up.
func (l *link) closeWith(code websocket.StatusCode, err error) bool {
	ctx, cancel := context.WithTimeout(context.Background(), l.endTime())
	defer cancel()
	f := wire.Frame{Op: wire.OpClose, Code: int(code), Data: []byte(closeReason(err))}
	if l.out.SendLast(ctx, f) != nil {
		l.drained, l.stopped = true, true
		return false
	}
	l.shutDown()
	return true
}

// closeReason is what a close frame has room for of err.
func closeReason(err error) string {
	const most = 123
	reason := err.Error()
	var pe *ProtocolError
	if errors.As(err, &pe) {
		reason = pe.Reason
	}
	if len(reason) <= most {
		return reason
	}
	for n := most; ; n-- {
		if wire.ValidUTF8([]byte(reason[:n])) {
			return reason[:n]
		}
	}
}

// shutDown is the end of the closing handshake: both close frames are out, or the peer's will
// not be looked at any more. The write side is shut down, and the connection read on to the
// server's end of it (RFC 6455, section 7.1.1): one that is closed with bytes unread is
// reset, and throws away what it has not sent yet.
func (l *link) shutDown() {
	l.drained = true
	l.arm(l.endTime())
	l.recall()
	l.in.Ignore()
	l.out.AwaitIdle(0)
	l.out.Stop(ErrClosed)
	switch {
	case l.lingers.Load(): // abandon shuts the write side down, and ends what takes too long
	case !l.on(closeExchanged, nil) || l.closeTimeout == 0:
		l.stopped = true
	default:
		l.halfClose()
	}
}

// halfClose shuts down the write side, as far as the connection can.
func (l *link) halfClose() {
	_ = l.conn.SetWriteDeadline(time.Now().Add(l.endTime()))
	l.out.Detach() // TLS says goodbye
	closeWrite := func(c any) {
		if c, ok := c.(netconn.HalfCloser); ok {
			_ = c.CloseWrite()
		}
	}
	closeWrite(l.conn)
	if _, ok := l.conn.(*tls.Conn); ok {
		closeWrite(netconn.Bare(l.conn))
	}
}
