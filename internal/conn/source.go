package conn

import (
	"crypto/tls"
	"net"

	"github.com/reqws/reqws/internal/netconn"
	"github.com/reqws/reqws/internal/wire"
)

// Source is where a connection is read from: it waits until there are bytes, reads as
// many as there is room for into in, and returns how many came.
type Source interface {
	Fill(in *wire.Reader) (int, error)
}

// TryWriter writes to a connection as much as that takes without waiting, or waits, up to
// the write deadline, until it takes something.
type TryWriter interface {
	TryWrite(p []byte) (int, error)
	WriteSome(p []byte) (int, error)
}

// ErrNothingYet is the answer of a source that is not to wait. To TLS it is what a read deadline is:
// nothing is lost.
var ErrNothingYet error = nothingYet{}

type nothingYet struct{}

func (nothingYet) Error() string   { return "nothing to read yet" }
func (nothingYet) Timeout() bool   { return true }
func (nothingYet) Temporary() bool { return true }

// connSource reads any connection. While it waits it holds a
// buffer; that costs memory, but there is no other way to wait.
type connSource struct{ net.Conn }

func (c connSource) Fill(in *wire.Reader) (int, error) {
	in.Narrow()
	if !in.Partial() {
		in.Idle() // the next buffer may be a smaller one
	}
	return fill(in, c.Conn)
}

func fill(in *wire.Reader, from net.Conn) (int, error) {
	n, err := from.Read(in.Space())
	in.Filled(n)
	if n > 0 {
		err = nil // it comes again with the next read
	}
	return n, err
}

// readable is a connection that can wait for bytes before it is given a buffer, and that is a
// TryWriter: a stream of HTTP/2.
type readable interface {
	net.Conn
	TryWriter
	Readable() bool
	WaitReadable() error
}

type readableSource struct{ readable }

func (r readableSource) Fill(in *wire.Reader) (int, error) {
	if !r.Readable() {
		in.Idle()
		if err := r.WaitReadable(); err != nil {
			return 0, err
		}
	}
	return fill(in, r.readable)
}

// tlsSource reads TLS over a bare socket. It holds no buffer once a read has failed, which it
// does where it is not to wait, and at a deadline.
type tlsSource struct {
	connSource
	raw     *Raw
	buffers tlsBuffers
	drained bool  // the last read took all that TLS had
	behind  uint8 // records in a row that were not all that the socket had
}

func (s *tlsSource) Fill(in *wire.Reader) (int, error) {
	if s.drained && s.raw.emptied() {
		s.idle(in)
		return 0, ErrNothingYet
	}
	s.buffers.lend()
	if !in.Partial() {
		in.Idle() // the next buffer may be a smaller one
	}
	n, err := s.read(in)
	s.drained = s.buffers.empty()
	if err != nil { // there is nothing yet, or it is a deadline, before the stream parks
		s.idle(in)
	}
	return n, err
}

// read has TLS read more at once where it does not keep up, but holds nothing so large while it waits.
func (s *tlsSource) read(in *wire.Reader) (int, error) {
	if s.buffers.wide() && !s.raw.NoWait {
		s.raw.tries = true
		n, err := fill(in, s.Conn)
		s.raw.tries = false
		if err != ErrNothingYet {
			return n, err
		}
		s.buffers.exchange(&recordPool)
	}
	n, err := fill(in, s.Conn)
	switch {
	case err != nil || s.raw.empty || s.buffers.wide():
		s.behind = 0
	case s.behind < wideAfter:
		s.behind++
	case s.buffers.input.Len() == 0:
		s.buffers.exchange(&widePool)
	}
	return n, err
}

// wideAfter is how many records TLS may lag behind the socket until it reads more at once.
const wideAfter = 16

func (s *tlsSource) idle(in *wire.Reader) {
	in.Idle()
	s.buffers.takeBack()
}

// tlsSourceOf has TLS read its socket by a Raw, if it is ours and there is nothing between the two.
func tlsSourceOf(from net.Conn) *tlsSource {
	secured, ok := from.(*tls.Conn)
	if !ok {
		return nil
	}
	link, ok := secured.NetConn().(*netconn.TLSLink)
	if !ok {
		return nil
	}
	raw := rawOf(netconn.WithoutRest(link.Conn))
	if raw == nil || !link.ReadBy(raw) {
		return nil
	}
	s := &tlsSource{connSource: connSource{from}, raw: raw, buffers: buffersOf(secured)}
	s.buffers.takeBack() // what the handshake took
	return s
}

// SocketOf returns the socket under a source that may be told not to wait, or nil.
func SocketOf(src Source) *Raw {
	switch src := src.(type) {
	case *Raw:
		return src
	case *tlsSource:
		return src.raw
	}
	return nil
}

// SourceOf chooses how to read from, and how to write to it without waiting, if it can.
func SourceOf(from net.Conn) (Source, TryWriter) {
	if raw := rawOf(from); raw != nil {
		return raw, raw
	}
	if r, ok := from.(readable); ok {
		return readableSource{r}, r
	}
	if s := tlsSourceOf(from); s != nil {
		return s, s.raw
	}
	return connSource{from}, nil
}
