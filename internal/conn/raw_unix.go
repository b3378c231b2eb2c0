//go:build unix

package conn

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"

	"github.com/reqws/reqws/internal/wire"
)

// Raw reads a socket when it has something to read, into a buffer that is
// borrowed only then: an idle connection holds none. Writes that the socket takes at
// once need no deadline.
type Raw struct {
	RawConn syscall.RawConn
	Waiter  *Waiter // which is to be parked
	NoWait  bool    // where Fill and Read return ErrNothingYet rather than wait
	empty   bool    // the last read took all that there was
	tries   bool    // no read waits for now, whatever NoWait says
}

// rawOf returns nil for a connection that is no bare socket.
func rawOf(conn net.Conn) *Raw {
	var sc syscall.Conn
	switch c := conn.(type) {
	case *net.TCPConn:
		sc = c
	case *net.UnixConn:
		sc = c
	default:
		return nil
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	return &Raw{RawConn: rc}
}

func (r *Raw) Fill(in *wire.Reader) (int, error) {
	n, err := r.read(in, nil)
	if err == ErrNothingYet {
		in.Idle()
	}
	return n, err
}

// Read is for a layer above.
func (r *Raw) Read(p []byte) (int, error) { return r.read(nil, p) }

func (r *Raw) read(in *wire.Reader, into []byte) (int, error) {
	if r.emptied() {
		return 0, ErrNothingYet
	}
	c := newCall(r)
	c.in, c.p = in, into
	err := r.RawConn.Read(c.read)
	return c.end(err)
}

// emptied reports, once, that the last read took all that there was, where the next is not to wait. Of what
// has come meanwhile the poller tells: that saves a read which would most likely find nothing.
func (r *Raw) emptied() bool {
	was := r.empty && r.NoWait && !r.Waiter.Ended()
	if was {
		r.empty = false
	}
	return was
}

func (r *Raw) TryWrite(p []byte) (int, error) { return r.write(p, false) }

func (r *Raw) WriteSome(p []byte) (int, error) { return r.write(p, true) }

func (r *Raw) write(p []byte, patient bool) (int, error) {
	c := newCall(r)
	c.p, c.patient = p, patient
	err := r.RawConn.Write(c.write)
	return c.end(err)
}

// call is one read or write of a Raw. That they are lent for a call keeps the Raw of a connection that does
// nothing small.
type call struct {
	r           *Raw
	in          *wire.Reader // a read goes into its Space,
	p           []byte       // or else here
	patient     bool         // a write is to wait until the socket takes something
	n           int
	err         error
	read, write func(fd uintptr) bool
}

var callPool = sync.Pool{New: func() any {
	c := new(call)
	c.read, c.write = c.readFD, c.writeFD
	return c
}}

func newCall(r *Raw) *call {
	c := callPool.Get().(*call)
	c.r = r
	return c
}

// end gives c back, and returns what has become of it. err is of the connection itself.
func (c *call) end(err error) (int, error) {
	n := c.n
	if err == nil {
		err = c.err
	}
	*c = call{read: c.read, write: c.write}
	callPool.Put(c)
	return n, err
}

// readFD is called once at first, and again whenever the socket may have bytes.
func (c *call) readFD(fd uintptr) bool {
	p := c.p
	if c.in != nil {
		p = c.in.Space()
	}
	n, err := ignoringEINTR(readNow, int(fd), p)
	c.r.empty = err == nil && 0 < n && n < len(p)
	switch {
	case err == syscall.EAGAIN && !c.r.NoWait && !c.r.tries:
		if c.in != nil {
			c.in.Idle()
		}
		return false
	case err == syscall.EAGAIN:
		c.err = ErrNothingYet
	case err != nil:
		c.err = os.NewSyscallError("read", err)
	case n == 0:
		c.err = io.EOF
	default:
		c.n = n
		if c.in != nil {
			c.in.Filled(n)
		}
	}
	return true
}

// writeFD is called once at first, and again when the socket may take bytes.
func (c *call) writeFD(fd uintptr) bool {
	n, err := ignoringEINTR(writeNow, int(fd), c.p)
	switch err {
	case nil:
		c.n = n
	case syscall.EAGAIN:
		return !c.patient
	default:
		c.err = os.NewSyscallError("write", err)
	}
	return true
}

// DropUnread takes what has arrived out of the socket: one that is closed with bytes unread
// throws away what it has not sent yet. A peer that sends on and on does not hold it up.
func (r *Raw) DropUnread() {
	buf := make([]byte, 64<<10)
	_ = r.RawConn.Control(func(fd uintptr) {
		for range 64 {
			if n, err := ignoringEINTR(readNow, int(fd), buf); n == 0 || err != nil {
				return
			}
		}
	})
}

func ignoringEINTR(call func(int, []byte) (int, error), fd int, p []byte) (int, error) {
	for {
		n, err := call(fd, p)
		if err != syscall.EINTR {
			return max(n, 0), err
		}
	}
}
