package reqws

import (
	"errors"
	"net"

	"github.com/reqws/reqws/internal/wire"
)

// source is where a stream reads from: it waits until there are bytes, reads as
// many as there are room for into in, and returns how many came.
type source interface {
	read(in *wire.Reader) (int, error)
}

// tryWriter writes as much as the connection takes without waiting.
type tryWriter interface {
	tryWrite(p []byte) (int, error)
}

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

// readable is a connection that can wait for bytes before it is given a buffer.
type readable interface {
	net.Conn
	Readable() bool
	WaitReadable() error
}

type readableSource struct{ readable }

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
	if r, ok := conn.(readable); ok {
		return readableSource{r}, nil
	}
	return connSource{conn}, nil
}
