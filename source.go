package reqws

import (
	"errors"
	"net"

	"github.com/reqws/reqws/internal/h2"
	"github.com/reqws/reqws/internal/wire"
)

// source is where a stream reads from: it waits until there are bytes, reads as
// many as there are room for into in, and returns how many came.
type source interface {
	read(in *wire.Reader) (int, error)
}

// tryWriter writes to a connection as much as that takes without waiting, or waits, up to
// the write deadline, until it takes something.
type tryWriter interface {
	tryWrite(p []byte) (int, error)
	writeSome(p []byte) (int, error)
}

// streamWriter is an HTTP/2 stream as a tryWriter.
type streamWriter struct{ *h2.Stream }

func (s streamWriter) tryWrite(p []byte) (int, error)  { return s.TryWrite(p) }
func (s streamWriter) writeSome(p []byte) (int, error) { return s.WriteSome(p) }

// errNothingYet is the answer of a source that is not to wait.
var errNothingYet = errors.New("nothing to read yet")

// connSource reads any connection, TLS above all. While it waits it holds a
// buffer; that costs memory, but there is no other way to wait.
type connSource struct{ net.Conn }

func (c connSource) read(in *wire.Reader) (int, error) {
	if !in.Partial() {
		in.Idle() // the next buffer may be a smaller one
	}
	n, err := c.Read(in.Space())
	in.Filled(n)
	if n > 0 {
		err = nil // it comes again with the next read
	}
	return n, err
}

// readableSource reads an HTTP/2 stream, which can wait for bytes before it is given
// a buffer.
type readableSource struct{ *h2.Stream }

func (r readableSource) read(in *wire.Reader) (int, error) {
	if !r.Readable() {
		in.Idle()
		if err := r.WaitReadable(); err != nil {
			return 0, err
		}
	}
	n, err := r.Read(in.Space())
	in.Filled(n)
	if n > 0 {
		err = nil
	}
	return n, err
}

// sourceOf chooses how to read conn, and how to write to it without waiting, if
// it can.
func sourceOf(conn net.Conn) (source, tryWriter) {
	if s := rawSourceOf(conn); s != nil {
		return s, s
	}
	if s, ok := conn.(*h2.Stream); ok {
		return readableSource{s}, streamWriter{s}
	}
	return connSource{conn}, nil
}
