package conn

import (
	"errors"
	"net"

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

// ErrNothingYet is the answer of a source that is not to wait.
var ErrNothingYet = errors.New("nothing to read yet")

// connSource reads any connection, TLS above all. While it waits it holds a
// buffer; that costs memory, but there is no other way to wait.
type connSource struct{ net.Conn }

func (c connSource) Fill(in *wire.Reader) (int, error) {
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

// SourceOf chooses how to read from, and how to write to it without waiting, if it can.
func SourceOf(from net.Conn) (Source, TryWriter) {
	if raw := rawOf(from); raw != nil {
		return raw, raw
	}
	if r, ok := from.(readable); ok {
		return readableSource{r}, r
	}
	return connSource{from}, nil
}
