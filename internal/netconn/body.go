package netconn

import (
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"time"
)

// Body makes a net.Conn of the body of a 101 that came from a user's own
// Transport: net/http's body reads, writes and closes, but knows no deadlines.
type Body struct {
	io.ReadWriteCloser

	reads  chan bodyRead // what the reading goroutine got, one at a time
	next   chan []byte   // a buffer for it to fill
	closed chan struct{}
	once   sync.Once
	asked  bool     // a buffer is with the reading goroutine
	rest   bodyRead // what Read has not handed out yet
	buf    []byte
	stuck  bool // a write was left behind

	readDeadline  deadline
	writeDeadline deadline
}

type bodyRead struct {
	data []byte
	err  error
}

func NewBody(rwc io.ReadWriteCloser) *Body {
	b := &Body{
		ReadWriteCloser: rwc,
		reads:           make(chan bodyRead, 1),
		next:            make(chan []byte, 1),
		closed:          make(chan struct{}),
		buf:             make([]byte, 4<<10),
	}
	go b.pump()
	return b
}

// pump reads on behalf of Read, which can then stop waiting at a deadline
// without losing bytes. It ends when the body is closed.
func (b *Body) pump() {
	for {
		select {
		case buf := <-b.next:
			n, err := b.ReadWriteCloser.Read(buf)
			b.reads <- bodyRead{buf[:n], err}
			if err != nil {
				return
			}
		case <-b.closed:
			return
		}
	}
}

func (b *Body) Read(p []byte) (int, error) {
	if len(b.rest.data) == 0 && b.rest.err == nil {
		if err := b.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, b.rest.data)
	b.rest.data = b.rest.data[n:]
	if n > 0 {
		return n, nil
	}
	return 0, b.rest.err
}

func (b *Body) fill() error {
	if !b.asked {
		b.asked = true
		b.next <- b.buf
	}
	for {
		expired, changed := b.readDeadline.wait()
		select {
		case b.rest = <-b.reads:
			b.asked = false
			return nil
		case <-b.closed:
			return net.ErrClosed
		case <-expired:
			return os.ErrDeadlineExceeded
		case <-changed:
		}
	}
}

// Write leaves a write that meets its deadline, or the end of b, behind: all one can do to it is
// to close the body, which may not end it either, and no other can follow it. It works on a copy of p, which is the
// caller's again.
func (b *Body) Write(p []byte) (int, error) {
	if b.stuck {
		return 0, os.ErrDeadlineExceeded
	}
	type result struct {
		n   int
		err error
	}
	done := make(chan result, 1)
	p = slices.Clone(p)
	go func() {
		n, err := b.ReadWriteCloser.Write(p)
		done <- result{n, err}
	}()
	for {
		expired, changed := b.writeDeadline.wait()
		select {
		case r := <-done:
			return r.n, r.err
		case <-b.closed:
			b.stuck = true
			return 0, net.ErrClosed
		case <-expired:
			b.stuck = true
			return 0, os.ErrDeadlineExceeded
		case <-changed:
		}
	}
}

func (b *Body) Close() error {
	err := net.ErrClosed
	b.once.Do(func() {
		close(b.closed)
		err = b.ReadWriteCloser.Close()
	})
	return err
}

// CloseWrite shuts down the write side, where the body can do that: net/http's can.
func (b *Body) CloseWrite() error {
	if c, ok := b.ReadWriteCloser.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return errors.ErrUnsupported
}

func (b *Body) LocalAddr() net.Addr  { return bodyAddr{} }
func (b *Body) RemoteAddr() net.Addr { return bodyAddr{} }

func (b *Body) SetReadDeadline(t time.Time) error  { b.readDeadline.set(t); return nil }
func (b *Body) SetWriteDeadline(t time.Time) error { b.writeDeadline.set(t); return nil }
func (b *Body) SetDeadline(t time.Time) error {
	b.readDeadline.set(t)
	b.writeDeadline.set(t)
	return nil
}

type bodyAddr struct{}

func (bodyAddr) Network() string { return "http" }
func (bodyAddr) String() string  { return "body" }

// deadline is a point in time that somebody waits for while others move it.
type deadline struct {
	mu      sync.Mutex
	timer   *time.Timer
	expired chan struct{}
	changed chan struct{}
}

func (d *deadline) init() {
	if d.changed == nil {
		d.changed, d.expired = make(chan struct{}), make(chan struct{})
	}
}

func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.init()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	close(d.changed)
	d.changed, d.expired = make(chan struct{}), make(chan struct{})
	if t.IsZero() {
		return
	}
	expired := d.expired
	if wait := time.Until(t); wait > 0 {
		d.timer = time.AfterFunc(wait, func() { close(expired) })
	} else {
		close(expired)
	}
}

// wait returns what is closed when the deadline passes, and when it is moved.
func (d *deadline) wait() (expired, changed <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.init()
	return d.expired, d.changed
}
