package reqwstest

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/reqws/reqws/internal/pipe"
)

// state is how far a connection's script has come.
type state int

const (
	playing state = iota
	played
	broken
)

// Conn is the server's end of one connection, for steps made with Do, and for
// asking afterwards what came over it: all frames are kept. Reading and writing
// belong to the script; the other methods may be called from any goroutine.
type Conn struct {
	srv    *Server
	n      int
	script *ConnScript
	raw    net.Conn // TCP or memory; nil if the dial was refused

	nc      net.Conn // raw, or TLS over it
	tls     *tls.Conn
	r       *bufio.Reader
	rules   rules
	message *message // completed by the last frame
	inside  bool     // the WebSocket handshake is done

	// Below: guarded by srv.mu.
	state   state
	current Step
	step    int
	frames  []Frame
}

// serve plays the script and then closes in good order.
func (c *Conn) serve() {
	defer c.raw.Close()
	if c.srv.tls {
		c.startTLS()
	}
	err := errGoexit // stays if a Do step ends the goroutine, as t.FailNow does
	defer func() { c.finish(err) }()
	if err = c.playScript(); err == nil {
		c.finish(nil)
		c.linger()
	}
}

var errGoexit = errors.New("left by runtime.Goexit, as t.FailNow does")

func (c *Conn) playScript() error {
	for i, s := range c.script.steps {
		c.srv.mu.Lock()
		c.step, c.current = i+1, s
		c.srv.mu.Unlock()
		if err := s.run(c); err != nil {
			return err
		}
	}
	return nil
}

// finish ends the script, once, and reports its failure if there is one. A script
// that the end of the test cuts off stays unfinished.
func (c *Conn) finish(err error) {
	c.srv.mu.Lock()
	defer c.srv.mu.Unlock()
	switch {
	case c.state != playing:
		return
	case err == nil:
		c.state = played
	case c.srv.ctx.Err() == nil:
		c.state = broken
		c.srv.failLocked("%s: %v", c.where(), err)
	}
	c.srv.settleLocked()
}

// linger sends a FIN and takes what the client still sends, until that closes too.
// Closing at once would make the system send an RST where bytes were left unread,
// and the client would see a failure in place of the end.
func (c *Conn) linger() {
	c.CloseWrite()
	for c.inside {
		if _, err := c.ReadFrame(); err != nil {
			var v *violation
			if errors.As(err, &v) && c.srv.ctx.Err() == nil {
				c.srv.fail("connection %d, after its script: %v", c.n, err)
			}
			break
		}
	}
	io.Copy(io.Discard, c.raw)
}

func (c *Conn) kill() {
	if c.raw != nil {
		c.raw.Close()
	}
}

// where names the connection and the step that it is in. The caller holds srv.mu.
func (c *Conn) where() string {
	if c.step == 0 {
		return fmt.Sprintf("connection %d (%s)", c.n, c.script.at)
	}
	return fmt.Sprintf("connection %d, step %d %s (%s)", c.n, c.step, c.current.name, c.current.at)
}

// Number is 1 for the server's first connection, and so on.
func (c *Conn) Number() int { return c.n }

// Context ends with the test. A Do step that waits for something should watch it.
func (c *Conn) Context() context.Context { return c.srv.ctx }

// Frames returns the frames received so far, unmasked, as they came: fragments
// and compressed payloads included. Comparing them with what Text and the like
// return works.
func (c *Conn) Frames() []Frame {
	c.srv.mu.Lock()
	defer c.srv.mu.Unlock()
	return append([]Frame(nil), c.frames...)
}

// NetConn is the connection under any TLS. Reading from it directly misses what
// is buffered already.
func (c *Conn) NetConn() net.Conn { return c.raw }

// TLS is the TLS over it, nil without.
func (c *Conn) TLS() *tls.Conn { return c.tls }

// Read reads bytes as they are, after TLS.
func (c *Conn) Read(p []byte) (int, error) { return c.r.Read(p) }

// Write writes bytes as they are, in one write.
func (c *Conn) Write(p []byte) (int, error) { return c.nc.Write(p) }

// WriteFrame writes frames in one write, checking nothing.
func (c *Conn) WriteFrame(frames ...Frame) error {
	_, err := c.Write(Encode(frames...))
	return err
}

// ReadFrame reads the next frame, unmasks, records and checks it. A frame that
// RFC 6455 forbids is an error that names the section.
func (c *Conn) ReadFrame() (Frame, error) {
	f, err := Decode(c.r)
	if err != nil {
		return f, err
	}
	m, err := c.rules.frame(f)
	c.message = m
	f.Masked, f.Key = false, [4]byte{}
	c.srv.mu.Lock()
	defer c.srv.mu.Unlock()
	c.frames = append(c.frames, f)
	return f, err
}

// ReadMessage reads up to the end of the next message, put together and inflated,
// or the next control frame, whichever comes first.
func (c *Conn) ReadMessage() (Op, []byte, error) {
	m, err := c.readMessage()
	return m.op, m.payload, err
}

func (c *Conn) readMessage() (message, error) {
	for {
		if _, err := c.ReadFrame(); err != nil {
			return message{}, err
		}
		if c.message != nil {
			return *c.message, nil
		}
	}
}

// Play runs further steps, for Do.
func (c *Conn) Play(steps ...Step) error {
	for _, s := range steps {
		if err := s.run(c); err != nil {
			return fmt.Errorf("%s (%s): %w", s.name, s.at, err)
		}
	}
	return nil
}

// CloseWrite sends a FIN (after close_notify, with TLS): the client reads EOF, and
// can still send.
func (c *Conn) CloseWrite() error {
	if c.tls != nil {
		c.tls.CloseWrite()
	}
	return c.raw.(interface{ CloseWrite() error }).CloseWrite()
}

// Close closes the connection under any TLS, without a word.
func (c *Conn) Close() error { return c.raw.Close() }

// Reset closes the connection with an RST: the client gets syscall.ECONNRESET.
func (c *Conn) Reset() error {
	if tcp, ok := c.raw.(*net.TCPConn); ok {
		tcp.SetLinger(0)
		return tcp.Close()
	}
	return c.raw.(*pipe.Conn).Reset()
}

// StartTLS makes the rest of the connection TLS, as after the answer to CONNECT.
// Server.TLSConfig is the client's side, also if the server is without TLS.
func (c *Conn) StartTLS() error {
	c.startTLS()
	return c.tls.Handshake()
}

// startTLS makes the rest of the connection TLS. The handshake happens at the
// first read or write.
func (c *Conn) startTLS() {
	c.tls = tls.Server(bufferedConn{c.nc, c.r}, c.srv.config)
	c.nc = c.tls
	c.r = bufio.NewReaderSize(c.tls, 4096)
}

// bufferedConn reads what was read ahead first.
type bufferedConn struct {
	net.Conn
	r *bufio.Reader
}

func (c bufferedConn) Read(p []byte) (int, error) { return c.r.Read(p) }

// flush waits, in memory, until the client has read all that was written.
func (c *Conn) flush() {
	if p, ok := c.raw.(*pipe.Conn); ok {
		p.Flush()
	}
}
