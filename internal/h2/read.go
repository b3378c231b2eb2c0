package h2

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"

	"golang.org/x/net/http2"
)

// readers lends each connection the buffer between its socket and its frames.
var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 32<<10) }}

// recvState is what the reader alone uses. It is also the Framer's io.Reader.
type recvState struct {
	br     *bufio.Reader
	window int64 // DATA that the peer may still send, all streams together
	owed   int64 // DATA that has arrived since the last WINDOW_UPDATE

	metered bool // a header block is being read,
	budget  int  // and this many bytes it may still have, its frame headers included
}

// errHeaderFlood is what the Framer gets when a header block does not end.
var errHeaderFlood = errors.New("header block too long")

func (in *recvState) Read(p []byte) (int, error) {
	if !in.metered {
		return in.br.Read(p)
	}
	if in.budget <= 0 {
		return 0, errHeaderFlood
	}
	n, err := in.br.Read(p[:min(len(p), in.budget)])
	in.budget -= n
	return n, err
}

// socket is the Conn as the source of its read buffer.
type socket Conn

func (s *socket) Read(p []byte) (int, error) {
	n, err := s.nc.Read(p)
	if n > 0 {
		s.health.arrived()
	}
	return n, err
}

// readLoop is the reader: it handles frames until the connection is over.
func (c *Conn) readLoop() {
	defer c.ended()
	c.in.br = readers.Get().(*bufio.Reader)
	c.in.br.Reset((*socket)(c))
	c.in.window = int64(c.set.MaxReceiveBufferPerConnection)

	err := c.readFrames()
	c.in.br.Reset(nil)
	readers.Put(c.in.br)
	c.in.br = nil

	var broken ConnError
	if !errors.As(err, &broken) {
		c.lost(c.reason(err))
		return
	}
	c.set.CountError(errorToken("conn_", broken.Code))
	c.fail(err, farewell{broken.Code, broken.Reason})
}

// reason is why the connection was lost if reading fails with err: what made a write fail before,
// unless it was the peer's TLS that ended it.
func (c *Conn) reason(err error) error {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "remote error" {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return cmp.Or(c.writeErr, err)
}

// readFrames returns the error that ends the connection.
func (c *Conn) readFrames() error {
	if err := c.recognise(); err != nil {
		return err
	}
	fh, err := c.fr.ReadFrameHeader()
	if err == nil && (fh.Type != http2.FrameSettings || fh.Flags.Has(http2.FlagSettingsAck)) {
		err = connError(http2.ErrCodeProtocol, "the first frame is %v, not SETTINGS", fh.Type)
	}
	if err = c.framerError(err); errors.As(err, new(ConnError)) {
		return fmt.Errorf("%w: %w", ErrNotHTTP2, err)
	}
	for err == nil {
		if err = c.handle(fh); err == nil {
			fh, err = c.fr.ReadFrameHeader()
			err = c.framerError(err)
		}
	}
	return err
}

// recognise says what the peer speaks, if it begins as in TLS (an alert or a handshake record) or
// in HTTP/1: the Framer would wait for a frame of that length.
func (c *Conn) recognise() error {
	switch b, err := c.in.br.Peek(2); {
	case err != nil:
		return err
	case (b[0] == 0x15 || b[0] == 0x16) && b[1] == 3:
		return fmt.Errorf("%w: %w", ErrNotHTTP2, connError(http2.ErrCodeProtocol, "it answered in TLS"))
	case string(b) == "HT":
		return fmt.Errorf("%w: %w", ErrNotHTTP2, connError(http2.ErrCodeProtocol, "it answered in HTTP/1"))
	}
	return nil
}

// framerError translates what the Framer reports; socket errors stay as they are.
func (c *Conn) framerError(err error) error {
	if err == nil {
		return nil // for a frame in good order must not cost an allocation, as errors.As does
	}
	var code http2.ConnectionError
	switch {
	case errors.Is(err, http2.ErrFrameTooLarge):
		return connError(http2.ErrCodeFrameSize, "frame larger than the %d bytes allowed", c.set.MaxReadFrameSize)
	case errors.Is(err, errHeaderFlood):
		return connError(http2.ErrCodeEnhanceYourCalm, "header block larger than %d bytes", 2*maxHeaderList)
	case errors.As(err, &code):
		if detail := c.fr.ErrorDetail(); detail != nil {
			return connError(http2.ErrCode(code), "%v", detail)
		}
		return connError(http2.ErrCode(code), "malformed frame")
	}
	return err
}

// handle reads the payload of the frame that fh begins and acts on it. A fault of one stream
// resets that stream; an error is the end of the connection.
func (c *Conn) handle(fh http2.FrameHeader) error {
	err := c.dispatch(fh)
	if err == nil {
		return nil // as above
	}
	var fault streamFault
	if !errors.As(err, &fault) {
		return err
	}
	s, err := c.stream(fault.id)
	if s != nil {
		c.set.CountError(errorToken("stream_", fault.Code))
		s.reset(fault.Code, fault.StreamError)
	}
	return err
}

func (c *Conn) dispatch(fh http2.FrameHeader) error {
	switch fh.Type {
	case http2.FrameData:
		return c.onData(fh)
	case http2.FrameHeaders:
		return c.onHeaders(fh)
	case http2.FramePushPromise:
		return connError(http2.ErrCodeProtocol, "PUSH_PROMISE, which SETTINGS_ENABLE_PUSH forbids")
	case http2.FramePriorityUpdate:
		return connError(http2.ErrCodeProtocol, "PRIORITY_UPDATE from a server")
	case http2.FramePriority, http2.FrameRSTStream, http2.FrameSettings, http2.FramePing,
		http2.FrameGoAway, http2.FrameWindowUpdate:
	default: // extensions are ignored (RFC 9113, section 5.5)
		_, err := c.in.br.Discard(int(fh.Length))
		return err
	}
	f, err := c.fr.ReadFrameForHeader(fh)
	var fault http2.StreamError
	if errors.As(err, &fault) {
		return streamError(fault.StreamID, fault.Code, "malformed %v frame", fh.Type)
	}
	if err != nil {
		return c.framerError(err)
	}
	switch f := f.(type) {
	case *http2.SettingsFrame:
		return c.onSettings(f)
	case *http2.PingFrame:
		return c.onPing(f)
	case *http2.WindowUpdateFrame:
		return c.onWindowUpdate(f)
	case *http2.RSTStreamFrame:
		return c.onReset(f)
	case *http2.GoAwayFrame:
		c.onGoAway(f)
	}
	return nil
}

// stream returns the stream of a frame: nil if it is over, in which case the frame was under way
// when it ended and is ignored; an error if there never was such a stream.
func (c *Conn) stream(id uint32) (*Stream, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.streams[id]; s != nil {
		return s, nil
	}
	if id%2 == 0 || id >= c.nextID {
		return nil, connError(http2.ErrCodeProtocol, "frame on stream %d, which is idle", id)
	}
	return nil, nil
}

// onData moves a DATA frame's payload from the read buffer to the stream's, or discards it if the
// stream cannot take it. The connection's window is given back at once either way: what waits for
// a slow reader counts against the window of its stream alone.
func (c *Conn) onData(fh http2.FrameHeader) error {
	if fh.StreamID == 0 {
		return connError(http2.ErrCodeProtocol, "DATA on stream 0")
	}
	size := int(fh.Length)
	if int64(size) > c.in.window {
		return connError(http2.ErrCodeFlowControl, "DATA beyond the connection's window")
	}
	padding, err := c.padding(fh)
	if err != nil {
		return err
	}
	s, err := c.stream(fh.StreamID)
	if err != nil {
		return err
	}
	var fault error
	if s != nil {
		if fault = s.admit(size); fault != nil {
			s = nil
		}
	}
	body := size - padding
	if fh.Flags.Has(http2.FlagDataPadded) {
		body--
	}
	if err := c.receive(s, body, padding); err != nil {
		return err
	}
	c.giveBack(size)
	if s != nil {
		s.giveBack(size - body)
		if fh.Flags.Has(http2.FlagDataEndStream) {
			s.remoteEnded()
		}
	}
	return fault
}

// padding reads the pad length of a DATA frame.
func (c *Conn) padding(fh http2.FrameHeader) (int, error) {
	if !fh.Flags.Has(http2.FlagDataPadded) {
		return 0, nil
	}
	if fh.Length == 0 {
		return 0, connError(http2.ErrCodeFrameSize, "padded DATA without a pad length")
	}
	n, err := c.in.br.ReadByte()
	if err == nil && uint32(n) >= fh.Length {
		err = connError(http2.ErrCodeProtocol, "DATA with more padding than payload")
	}
	return int(n), err
}

// receive copies body bytes to s as they come in, discarding them if s is nil, and discards the
// padding after them.
func (c *Conn) receive(s *Stream, body, padding int) error {
	for s != nil && body > 0 {
		if _, err := c.in.br.Peek(1); err != nil {
			return err
		}
		p, _ := c.in.br.Peek(min(body, c.in.br.Buffered()))
		s.deliver(p)
		c.in.br.Discard(len(p))
		body -= len(p)
	}
	_, err := c.in.br.Discard(body + padding)
	return err
}

// giveBack returns n bytes of window to the peer, in updates of half the window.
func (c *Conn) giveBack(n int) {
	c.in.window -= int64(n)
	c.in.owed += int64(n)
	if c.in.owed < int64(c.set.MaxReceiveBufferPerConnection)/2 {
		return
	}
	c.mu.Lock()
	c.fr.WriteWindowUpdate(0, uint32(c.in.owed))
	c.mu.Unlock()
	c.in.window += c.in.owed
	c.in.owed = 0
}

// onHeaders handles a response, an interim response, or trailers.
func (c *Conn) onHeaders(fh http2.FrameHeader) error {
	fixed := uint32(0)
	if fh.Flags.Has(http2.FlagHeadersPadded) {
		fixed++
	}
	if fh.Flags.Has(http2.FlagHeadersPriority) {
		fixed += 5
	}
	if fh.Length < fixed {
		return connError(http2.ErrCodeFrameSize, "HEADERS too short for its flags")
	}
	c.in.metered, c.in.budget = true, 2*maxHeaderList
	f, err := c.fr.ReadFrameForHeader(fh)
	c.in.metered = false

	var fault http2.StreamError
	if errors.As(err, &fault) {
		if fault.Cause == nil { // padding: the block was not decoded, so that no later one can be
			return connError(http2.ErrCodeProtocol, "HEADERS with more padding than payload")
		}
		return streamError(fault.StreamID, fault.Code, "%v", fault.Cause)
	}
	if err != nil {
		return c.framerError(err)
	}
	s, err := c.stream(fh.StreamID)
	if s == nil {
		return err
	}
	return s.onHeaders(f.(*http2.MetaHeadersFrame))
}

// onSettings applies the peer's SETTINGS (RFC 9113, section 6.5) and acknowledges them.
func (c *Conn) onSettings(f *http2.SettingsFrame) error {
	if f.IsAck() {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := f.ForeachSetting(c.apply); err != nil {
		return err
	}
	c.settled = true
	c.closeReady()
	c.fr.WriteSettingsAck()
	return c.answer(0)
}

// apply is called for each setting in turn. c.mu is held.
func (c *Conn) apply(s http2.Setting) error {
	if err := s.Valid(); err != nil {
		code := http2.ConnectionError(http2.ErrCodeProtocol)
		errors.As(err, &code)
		return connError(http2.ErrCode(code), "invalid setting %v", s)
	}
	switch s.ID {
	case http2.SettingHeaderTableSize:
		c.enc.SetMaxDynamicTableSize(s.Val) // bounded by the encoder's own limit
	case http2.SettingEnablePush:
		if s.Val != 0 {
			return connError(http2.ErrCodeProtocol, "SETTINGS_ENABLE_PUSH from a server")
		}
	case http2.SettingMaxConcurrentStreams:
		c.maxStreams = s.Val
	case http2.SettingInitialWindowSize:
		return c.resizeWindows(int64(s.Val))
	case http2.SettingMaxFrameSize:
		c.maxFrame = s.Val
	case http2.SettingMaxHeaderListSize:
		c.maxFields = s.Val
	case http2.SettingEnableConnectProtocol:
		if c.extended && s.Val == 0 {
			return connError(http2.ErrCodeProtocol, "SETTINGS_ENABLE_CONNECT_PROTOCOL withdrawn")
		}
		c.extended = s.Val == 1
	}
	return nil
}

// resizeWindows gives all streams the new initial window, less what they have used; a window may
// become negative (RFC 9113, section 6.9.2). c.mu is held.
func (c *Conn) resizeWindows(size int64) error {
	delta := size - c.streamWindow
	c.streamWindow = size
	for _, s := range c.streams {
		if s.sendWindow+delta > maxWindow {
			return connError(http2.ErrCodeFlowControl, "SETTINGS_INITIAL_WINDOW_SIZE makes the window of stream %d overflow", s.id)
		}
		s.sendWindow += delta
		s.sendable.Broadcast()
	}
	return nil
}

func (c *Conn) onPing(f *http2.PingFrame) error {
	if f.IsAck() {
		return nil // its arrival is what mattered
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fr.WritePing(true, f.Data)
	return c.answer(len(f.Data))
}

func (c *Conn) onWindowUpdate(f *http2.WindowUpdateFrame) error {
	if f.StreamID == 0 {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.sendWindow += int64(f.Increment); c.sendWindow > maxWindow {
			return connError(http2.ErrCodeFlowControl, "WINDOW_UPDATE makes the connection's window overflow")
		}
		c.wakeTurn()
		return nil
	}
	s, err := c.stream(f.StreamID)
	if s == nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.sendWindow+int64(f.Increment) > maxWindow {
		return streamError(f.StreamID, http2.ErrCodeFlowControl, "WINDOW_UPDATE makes the window overflow")
	}
	s.sendWindow += int64(f.Increment)
	s.sendable.Broadcast()
	return nil
}

// onReset ends a stream. If the peer had ended its half, all that it sent stays readable up to
// io.EOF, and the reset says only that it wants no more (RFC 9113, section 8.1).
func (c *Conn) onReset(f *http2.RSTStreamFrame) error {
	s, err := c.stream(f.StreamID)
	if s != nil {
		c.set.CountError(errorToken("recv_rststream_", f.ErrCode))
		s.end(StreamError{Code: f.ErrCode})
	}
	return err
}

// onGoAway fails the streams that the peer will not process; the others go on, and no new ones
// are begun (RFC 9113, section 6.8).
func (c *Conn) onGoAway(f *http2.GoAwayFrame) {
	debug := string(f.DebugData()[:min(len(f.DebugData()), 1<<10)])
	away := GoAwayError{f.LastStreamID, f.ErrCode, strings.ToValidUTF8(debug, "\uFFFD")}
	if f.ErrCode != http2.ErrCodeNo {
		c.set.CountError(errorToken("recv_goaway_", f.ErrCode))
	}
	c.mu.Lock()
	c.goAway = &away
	var doomed []*Stream
	last := false
	for id, s := range c.streams {
		if id > f.LastStreamID {
			doomed = append(doomed, s)
			last = c.forget(s, away) || last
		}
	}
	c.mu.Unlock()
	c.finish(doomed, away, last)
}
