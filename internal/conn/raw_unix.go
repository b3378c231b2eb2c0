//go:build unix

package conn

import (
	"io"
	"net"
	"os"
	"syscall"

	"github.com/reqws/reqws/internal/wire"
)

// Raw reads a socket when it has something to read, into a buffer that is
// borrowed only then: an idle connection holds none. Writes that the socket takes at
// once need no deadline.
type Raw struct {
	RawConn syscall.RawConn
	NoWait  bool    // Fill returns ErrNothingYet rather than wait,
	Waiter  *Waiter // which is to be parked then

	in      *wire.Reader // reads go into its Space,
	into    []byte       // or else here
	n       int
	err     error
	empty   bool // the last read took all that there was
	readNow func(fd uintptr) bool

	out      []byte
	wrote    int
	writeErr error
	patient  bool // writeNow is to wait until the socket takes something
	writeNow func(fd uintptr) bool
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
	r := &Raw{RawConn: rc}
	r.readNow = r.readFD
	return r
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
	if r.NoWait && r.empty && !r.Waiter.Ended() {
		// Of what has come meanwhile the poller tells. That saves a read which would most likely say
		// the same.
		r.empty = false
		return 0, ErrNothingYet
	}
	r.in, r.into, r.n, r.err = in, into, 0, nil
	err := r.RawConn.Read(r.readNow)
	r.into = nil
	if err == nil {
		err = r.err
	}
	return r.n, err
}

// readFD is called once at first, and again whenever the socket may have bytes.
func (r *Raw) readFD(fd uintptr) bool {
	space := r.into
	if r.in != nil {
		space = r.in.Space()
	}
	r.n, r.err = ignoringEINTR(readNow, int(fd), space)
	r.empty = r.err == nil && 0 < r.n && r.n < len(space)
	switch {
	case r.err == syscall.EAGAIN:
		r.n, r.err = 0, ErrNothingYet
		if !r.NoWait && r.in != nil {
			r.in.Idle()
		}
		return r.NoWait
	case r.err != nil:
		r.n, r.err = 0, os.NewSyscallError("read", r.err)
	case r.n == 0:
		r.err = io.EOF
	case r.in != nil:
		r.in.Filled(r.n)
	}
	return true
}

func (r *Raw) TryWrite(p []byte) (int, error) { return r.write(p, false) }

func (r *Raw) WriteSome(p []byte) (int, error) { return r.write(p, true) }

func (r *Raw) write(p []byte, patient bool) (int, error) {
	if r.writeNow == nil { // most connections that are idle have written nothing
		r.writeNow = r.writeFD
	}
	r.out, r.wrote, r.writeErr, r.patient = p, 0, nil, patient
	err := r.RawConn.Write(r.writeNow)
	r.out = nil
	if err == nil {
		err = r.writeErr
	}
	return r.wrote, err
}

// writeFD is called once at first, and again when the socket may take bytes.
func (r *Raw) writeFD(fd uintptr) bool {
	n, err := ignoringEINTR(writeNow, int(fd), r.out)
	switch err {
	case nil:
		r.wrote = n
	case syscall.EAGAIN:
		return !r.patient
	default:
		r.writeErr = os.NewSyscallError("write", err)
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
