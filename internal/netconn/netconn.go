// Package netconn holds the layers that may lie between a WebSocket and its socket. Each is a
// net.Conn on top of another one.
package netconn

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"syscall"
)

// Conn is a connection of which more was read than its reader needed: Rest comes first.
type Conn struct {
	net.Conn
	Rest []byte
}

func (c *Conn) Read(p []byte) (int, error) {
	if len(c.Rest) == 0 {
		return c.Conn.Read(p)
	}
	n := copy(p, c.Rest)
	c.Rest = c.Rest[n:]
	if len(c.Rest) == 0 {
		c.Rest = nil // an idle connection keeps no buffer
	}
	return n, nil
}

// Bare returns the network connection under conn: closing it never waits, while
// that of a tls.Conn may wait to write its goodbye.
func Bare(conn net.Conn) net.Conn {
	for {
		switch c := conn.(type) {
		case *tls.Conn:
			conn = c.NetConn()
		case *Conn:
			conn = c.Conn
		case *TLSLink:
			conn = c.Conn
		default:
			return conn
		}
	}
}

// WithoutRest returns the connection under what only reads more than that.
func WithoutRest(conn net.Conn) net.Conn {
	for {
		c, ok := conn.(*Conn)
		if !ok {
			return conn
		}
		conn = c.Conn
	}
}

// HalfCloser is a connection whose write side can be shut down alone.
type HalfCloser interface{ CloseWrite() error }

// IsLoss reports whether err is that of a connection whose peer is gone.
func IsLoss(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
}
