// Package h2 is an HTTP/2 client for one purpose: streams opened by extended CONNECT (RFC 8441),
// each of them a net.Conn that carries a WebSocket connection.
//
// A Conn has two goroutines, however many streams it carries. The reader takes frames off the
// socket and puts their payload into the streams' buffers; flow control bounds these, so the reader
// waits for no stream. The writer takes everything that the streams and the reader have queued
// since its last write and sends it in one write.
//
// Two locks guard a stream: its own mu the receiving half, the connection's mu the sending half
// and all that the streams share. They are never held together.
package h2

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"math"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// Conn is the client's side of one HTTP/2 connection. Its methods are safe for concurrent use.
type Conn struct {
	nc     net.Conn
	set    http.HTTP2Config // without zero values
	onIdle func(*Conn)
	fr     *http2.Framer // reads: the reader alone; writes: mu

	ready   chan struct{} // closed when the peer's first SETTINGS are in, or the connection failed
	done    chan struct{} // closed when both goroutines have ended
	running atomic.Int32  // of the two

	in recvState // the reader's alone

	mu      sync.Mutex
	err     error        // why the connection is over
	goAway  *GoAwayError // the peer's, if it sent one
	grace   *time.Timer  // closes the socket if the last flush takes too long
	health  keepalive
	streams map[uint32]*Stream
	nextID  uint32
	inUse   int // streams, and Connect calls that have none yet

	settled       bool // the peer's first SETTINGS have been applied
	extended      bool // ENABLE_CONNECT_PROTOCOL
	maxStreams    uint32
	maxFrame      uint32
	maxFields     uint32
	streamWindow  int64 // what new streams may send
	sendWindow    int64 // what all streams together may send
	enc           *hpack.Encoder
	encoded       bytes.Buffer // enc writes here
	out           *outBuffer   // queued for the next write, nil if nothing is
	answers       int          // bytes in out that the peer made us queue
	outReady      sync.Cond    // wakes the writer; L is mu
	turns         []*Stream    // streams that wait for room in out or in sendWindow, first come first
	socketFailed  bool         // nothing more can be written,
	writeErr      error        // because of this, unless it is the reader that failed
	readyIsClosed bool
}

// NewConn starts HTTP/2 over nc, with prior knowledge or after ALPN agreed on h2: it sends the
// connection preface and reads what the peer sends. It owns nc from here on.
func NewConn(nc net.Conn, cfg Config) *Conn {
	c := &Conn{
		nc:           nc,
		set:          withDefaults(cfg.Settings),
		onIdle:       cfg.OnIdle,
		ready:        make(chan struct{}),
		done:         make(chan struct{}),
		streams:      make(map[uint32]*Stream),
		nextID:       1,
		maxStreams:   math.MaxUint32,
		maxFrame:     minFrameSize,
		maxFields:    math.MaxUint32,
		streamWindow: initialWindow,
		sendWindow:   initialWindow,
	}
	c.outReady.L = &c.mu
	c.enc = hpack.NewEncoder(&c.encoded)
	c.enc.SetMaxDynamicTableSizeLimit(uint32(c.set.MaxEncoderHeaderTableSize))
	c.fr = http2.NewFramer((*outQueue)(c), &c.in)
	c.fr.SetMaxReadFrameSize(uint32(c.set.MaxReadFrameSize))
	c.fr.MaxHeaderListSize = maxHeaderList
	c.fr.ReadMetaHeaders = hpack.NewDecoder(uint32(max(defaultTableSize, c.set.MaxDecoderHeaderTableSize)), nil)

	c.mu.Lock()
	c.queuePreface()
	c.health.start(c)
	c.mu.Unlock()
	c.running.Store(2)
	go c.readLoop()
	go c.writeLoop()
	return c
}

// queuePreface queues the connection preface (RFC 9113, section 3.4). c.mu is held.
func (c *Conn) queuePreface() {
	(*outQueue)(c).Write([]byte(http2.ClientPreface))
	c.fr.WriteSettings(
		http2.Setting{ID: http2.SettingEnablePush, Val: 0},
		http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(c.set.MaxReceiveBufferPerStream)},
		http2.Setting{ID: http2.SettingMaxFrameSize, Val: uint32(c.set.MaxReadFrameSize)},
		http2.Setting{ID: http2.SettingHeaderTableSize, Val: uint32(c.set.MaxDecoderHeaderTableSize)},
		http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: maxHeaderList},
	)
	if more := c.set.MaxReceiveBufferPerConnection - initialWindow; more > 0 {
		c.fr.WriteWindowUpdate(0, uint32(more))
	}
}

// Available reports whether a Connect could open a stream now: the connection is up, the peer has
// not sent GOAWAY, and its limit of concurrent streams is not reached.
func (c *Conn) Available() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.unusable() == nil
}

// unusable says why no further stream can be opened, nil if one can. c.mu is held.
func (c *Conn) unusable() error {
	switch {
	case c.err != nil:
		return fmt.Errorf("%w: %w", ErrNotProcessed, c.err)
	case c.goAway != nil:
		return *c.goAway
	case c.nextID > maxStreamID:
		return fmt.Errorf("%w: all stream identifiers are used", ErrStreamLimit)
	case int64(c.inUse) >= int64(c.maxStreams):
		return ErrStreamLimit
	}
	return nil
}

// reserve takes the place of one stream. Until the peer has stated its limit there is none: those
// beyond it are turned away when they open their stream.
func (c *Conn) reserve() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.unusable()
	if err == nil {
		c.inUse++
	}
	return err
}

// release gives back a place that no stream has used.
func (c *Conn) release() {
	c.mu.Lock()
	last := c.vacate()
	c.mu.Unlock()
	c.idle(last)
}

// vacate frees one place and reports whether it was the last in use. c.mu is held.
func (c *Conn) vacate() (last bool) {
	c.inUse--
	return c.inUse == 0
}

func (c *Conn) idle(last bool) {
	if last && c.onIdle != nil {
		c.onIdle(c)
	}
}

// full reports whether the peer allows no stream at all.
func (c *Conn) full() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.maxStreams == 0
}

// Err returns why the connection is over, nil while it is not.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Done is closed when the connection is over, its socket closed and its goroutines gone.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Close ends all streams with net.ErrClosed and the connection with GOAWAY. It does not wait:
// what was written before has a second to reach the peer, then the socket is closed (see Done).
func (c *Conn) Close() error {
	c.fail(net.ErrClosed, farewell{code: http2.ErrCodeNo})
	return nil
}

// CloseIfIdle closes a connection that has no stream and no Connect under way, and reports whether
// it did so.
func (c *Conn) CloseIfIdle() bool {
	c.mu.Lock()
	idle := c.inUse == 0
	if idle {
		c.shutdown(net.ErrClosed, farewell{code: http2.ErrCodeNo})
	}
	c.mu.Unlock()
	return idle
}

// farewell is the GOAWAY that a connection ends with.
type farewell struct {
	code   http2.ErrCode
	reason string
}

// fail ends the connection and all its streams with err, after a GOAWAY. Only the first call counts.
func (c *Conn) fail(err error, bye farewell) {
	c.mu.Lock()
	streams, last := c.shutdown(err, bye)
	c.mu.Unlock()
	c.finish(streams, err, last)
}

// lost ends the connection and all its streams because its socket failed.
func (c *Conn) lost(err error) {
	if err == io.EOF { // which would tell the streams of a clean end
		err = io.ErrUnexpectedEOF
	}
	err = fmt.Errorf("http2: connection lost: %w", err)
	c.mu.Lock()
	if c.goAway != nil {
		err = fmt.Errorf("%w (after GOAWAY with %s)", err, c.goAway.reason())
		if c.goAway.Code == http2.ErrCodeHTTP11Required {
			err = fmt.Errorf("%w: %w", ErrHTTP11Required, err)
		}
	}
	c.socketFailed = true
	streams, last := c.shutdown(err, farewell{})
	c.mu.Unlock()
	c.nc.Close() // after c.err is set, since it makes the reader and the writer fail too
	c.finish(streams, err, last)
}

// finish is the part of an end that needs the lock of each stream.
func (c *Conn) finish(streams []*Stream, err error, last bool) {
	for _, s := range streams {
		s.failReceive(err)
	}
	c.idle(last)
}

// shutdown makes the writer flush what is queued and close the socket, which ends the reader.
// It returns the streams whose receiving half must fail too. c.mu is held.
func (c *Conn) shutdown(err error, bye farewell) (streams []*Stream, last bool) {
	if c.err != nil {
		return nil, false
	}
	c.err = err
	c.health.stop()
	if !c.socketFailed {
		c.fr.WriteGoAway(0, bye.code, []byte(bye.reason))
		c.grace = time.AfterFunc(flushTimeout, func() { c.nc.Close() })
	}
	streams = slices.Collect(maps.Values(c.streams))
	for _, s := range streams {
		last = c.forget(s, err) || last
	}
	c.closeReady()
	c.outReady.Signal()
	return streams, last
}

// closeReady lets the Connect calls that wait for the peer's SETTINGS go on. c.mu is held.
func (c *Conn) closeReady() {
	if !c.readyIsClosed {
		c.readyIsClosed = true
		close(c.ready)
	}
}

// forget takes s out of the connection, its sending half failing with err, and reports whether
// it was the last. c.mu is held.
func (c *Conn) forget(s *Stream, err error) (last bool) {
	if s.sendErr == nil {
		s.sendErr = err
	}
	s.sendDeadline.stop()
	c.leaveTurns(s)
	s.sendable.Broadcast()
	if c.streams[s.id] != s {
		return false
	}
	delete(c.streams, s.id)
	return c.vacate()
}

// ended is called by each of the two goroutines as its last deed.
func (c *Conn) ended() {
	if c.running.Add(-1) == 0 {
		close(c.done)
	}
}
