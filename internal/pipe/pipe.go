// Package pipe makes connections in memory that behave like TCP, for tests. Nothing in it waits for
// the operating system, so that it works in testing/synctest bubbles.
package pipe

import (
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Size is how many bytes fit each way without Sized.
const Size = 64 << 10

// New returns the two ends of a connection: a Write returns once its bytes are
// buffered and blocks only while the buffer is full; deadlines end in
// os.ErrDeadlineExceeded; after Close the peer reads what is left and then io.EOF,
// and its writes fail with syscall.EPIPE.
func New() (client, server *Conn) { return Sized(Size) }

// Sized is New with a buffer of n bytes each way.
func Sized(n int) (client, server *Conn) {
	up, down := newFlow(n), newFlow(n)
	client = &Conn{in: down, out: up, local: "client", remote: "server"}
	server = &Conn{in: up, out: down, local: "server", remote: "client"}
	return client, server
}

// flow is one direction of a pipe.
type flow struct {
	mu       sync.Mutex
	change   sync.Cond // told of every change of the fields below
	limit    int
	buf      []byte
	ended    bool // the writer has closed; what is buffered can still be read
	unread   bool // the reader has closed
	reset    bool
	readBy   *deadline
	writeBy  *deadline
	writings []int // sizes of the Write calls
}

func newFlow(limit int) *flow {
	f := &flow{limit: max(limit, 1)}
	f.change.L = &f.mu
	return f
}

// update changes the flow's state and wakes whoever waits for that.
func (f *flow) update(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
	f.change.Broadcast()
}

func (f *flow) read(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for {
		switch {
		case f.unread:
			return 0, net.ErrClosed
		case f.readBy.passed():
			return 0, os.ErrDeadlineExceeded
		case len(p) == 0:
			return 0, nil
		case len(f.buf) > 0:
			n := copy(p, f.buf)
			f.buf = f.buf[n:]
			f.change.Broadcast()
			return n, nil
		case f.reset:
			return 0, os.NewSyscallError("read", syscall.ECONNRESET)
		case f.ended:
			return 0, io.EOF
		}
		f.change.Wait()
	}
}

func (f *flow) write(p []byte) (n int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(p) > 0 {
		f.writings = append(f.writings, len(p))
	}
	for {
		switch {
		case f.ended:
			return n, net.ErrClosed
		case f.reset:
			return n, os.NewSyscallError("write", syscall.ECONNRESET)
		case f.unread:
			return n, os.NewSyscallError("write", syscall.EPIPE)
		case f.writeBy.passed():
			return n, os.ErrDeadlineExceeded
		}
		if room := f.limit - len(f.buf); room > 0 {
			m := min(room, len(p)-n)
			f.buf = append(f.buf, p[n:n+m]...)
			n += m
			f.change.Broadcast()
		}
		if n == len(p) {
			return n, nil
		}
		f.change.Wait()
	}
}

// setDeadline replaces one of the flow's two deadlines.
func (f *flow) setDeadline(which **deadline, t time.Time) {
	f.update(func() {
		if *which != nil {
			(*which).timer.Stop()
			*which = nil
		}
		if t.IsZero() {
			return
		}
		d := &deadline{expired: !time.Now().Before(t)}
		d.timer = time.AfterFunc(time.Until(t), func() { f.update(func() { d.expired = true }) })
		*which = d
	})
}

type deadline struct {
	expired bool
	timer   *time.Timer
}

func (d *deadline) passed() bool { return d != nil && d.expired }

// Conn is one end of a pipe.
type Conn struct {
	in, out       *flow
	local, remote Addr
}

// Addr is "client" or "server".
type Addr string

func (Addr) Network() string  { return "memory" }
func (a Addr) String() string { return "memory:" + string(a) }

func (c *Conn) LocalAddr() net.Addr  { return c.local }
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.in.read(p)
	return n, c.wrap("read", err)
}

func (c *Conn) Write(p []byte) (int, error) {
	n, err := c.out.write(p)
	return n, c.wrap("write", err)
}

// wrap dresses an error as package net does.
func (c *Conn) wrap(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return &net.OpError{Op: op, Net: "memory", Source: c.local, Addr: c.remote, Err: err}
}

func (c *Conn) Close() error {
	c.SetDeadline(time.Time{}) // stop the timers
	c.out.update(func() { c.out.ended = true })
	c.in.update(func() { c.in.unread, c.in.buf = true, nil })
	return nil
}

// Flush waits until the peer has read everything, or never will.
func (c *Conn) Flush() {
	f := c.out
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.buf) > 0 && !f.reset && !f.unread && !f.ended {
		f.change.Wait()
	}
}

// PeerWrites are the sizes of every Write that the peer has made so far, blocked ones included.
func (c *Conn) PeerWrites() []int {
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	return slices.Clone(c.in.writings)
}

// CloseWrite ends this end's writing; reading goes on.
func (c *Conn) CloseWrite() error {
	c.out.update(func() { c.out.ended = true })
	return nil
}

// Reset closes as an RST does. What has arrived at the peer can still be read
// there, as on Linux.
func (c *Conn) Reset() error {
	c.out.update(func() { c.out.reset = true })
	c.in.update(func() { c.in.reset = true })
	return c.Close()
}

func (c *Conn) SetDeadline(t time.Time) error {
	c.SetReadDeadline(t)
	return c.SetWriteDeadline(t)
}

func (c *Conn) SetReadDeadline(t time.Time) error {
	c.in.setDeadline(&c.in.readBy, t)
	return nil
}

func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.out.setDeadline(&c.out.writeBy, t)
	return nil
}
