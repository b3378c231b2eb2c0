package h2

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// Connect asks for a WebSocket at req's URL by extended CONNECT (RFC 8441): it waits for the peer's
// SETTINGS, sends the request, and waits for the response. Of req it uses the URL (http or https;
// ws and wss mean the same), Host, and Header; the fields that belong to HTTP/1.1 alone are left
// out.
//
// With a 2xx response the Stream is open and the response's Body is nil. With any other there is
// no Stream, and the caller reads and closes the Body.
//
// When ctx ends first, the stream is reset and the connection lives on; once the response is
// there, ctx has no further effect.
//
// Errors: ErrNoExtendedConnect, ErrStreamLimit, and those that are ErrNotProcessed leave the
// request unsent or known to be unprocessed.
func (c *Conn) Connect(ctx context.Context, req *http.Request) (*http.Response, *Stream, error) {
	if err := c.reserve(); err != nil {
		return nil, nil, err
	}
	return c.connect(ctx, req)
}

// connect is Connect for a caller that has reserved a place; it is given back if no stream takes it.
func (c *Conn) connect(ctx context.Context, req *http.Request) (*http.Response, *Stream, error) {
	s, ans, err := c.open(ctx, req)
	if err != nil {
		return nil, nil, err
	}
	select {
	case <-ans.done:
	case <-ctx.Done():
		s.reset(http2.ErrCodeCancel, net.ErrClosed)
		return nil, nil, fmt.Errorf("http2: waiting for the response: %w", ctx.Err())
	}
	if ans.status == 0 {
		s.mu.Lock()
		defer s.mu.Unlock()
		return nil, nil, s.recvErr
	}
	resp := &http.Response{
		Status:     strconv.Itoa(ans.status) + " " + http.StatusText(ans.status),
		StatusCode: ans.status,
		Proto:      "HTTP/2.0",
		ProtoMajor: 2,
		Header:     ans.header,
		Request:    req,
	}
	if ans.status/100 == 2 {
		resp.ContentLength = -1
		return resp, s, nil
	}
	s.CloseWrite() // fails only if the stream is over
	resp.Body = newBody(s, ans)
	resp.ContentLength = resp.Body.(*body).length
	return resp, nil, nil
}

// open waits for the peer's SETTINGS and makes the reserved place a stream, which begins with the
// request; or it gives the place back.
func (c *Conn) open(ctx context.Context, req *http.Request) (*Stream, *answer, error) {
	fields, err := requestFields(req)
	if err == nil {
		err = c.awaitSettings(ctx)
	}
	c.mu.Lock()
	if err == nil {
		err = c.refusal(fields)
	}
	if err != nil {
		// In one go with the check of the limit, so that no more are turned away than must be.
		last := c.vacate()
		c.mu.Unlock()
		c.idle(last)
		return nil, nil, err
	}
	defer c.mu.Unlock()
	s := &Stream{c: c, id: c.nextID, sendWindow: c.streamWindow, recvWindow: c.set.MaxReceiveBufferPerStream}
	s.sendable.L = &c.mu
	s.readable.L = &s.mu
	ans := &answer{done: make(chan struct{})}
	s.answer = ans
	c.nextID += 2
	c.streams[s.id] = s
	c.queueHeaders(s.id, fields)
	return s, ans, nil
}

func (c *Conn) awaitSettings(ctx context.Context) error {
	select {
	case <-c.ready:
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		return fmt.Errorf("http2: waiting for the server's settings: %w", ctx.Err())
	}
	return nil
}

// refusal says why a place that was reserved before the peer's SETTINGS were known cannot become
// a stream. c.mu is held.
func (c *Conn) refusal(fields []hpack.HeaderField) error {
	switch {
	case c.err != nil && c.settled:
		return fmt.Errorf("%w: %w", ErrNotProcessed, c.err)
	case c.err != nil:
		return c.err
	case c.goAway != nil:
		return *c.goAway
	case !c.extended:
		return ErrNoExtendedConnect
	case int64(c.inUse) > int64(c.maxStreams), c.nextID > maxStreamID:
		return ErrStreamLimit
	}
	var size uint64
	for _, f := range fields {
		size += uint64(f.Size())
	}
	if size > uint64(c.maxFields) {
		return fmt.Errorf("http2: request header of %d bytes, and the server takes no more than %d", size, c.maxFields)
	}
	return nil
}

// queueHeaders queues a header block, in frames of the size that the peer takes. c.mu is held.
func (c *Conn) queueHeaders(id uint32, fields []hpack.HeaderField) {
	c.encoded.Reset()
	for _, f := range fields {
		c.enc.WriteField(f)
	}
	first := c.encoded.Next(int(c.maxFrame))
	c.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: first, EndHeaders: c.encoded.Len() == 0})
	for c.encoded.Len() > 0 {
		part := c.encoded.Next(int(c.maxFrame))
		c.fr.WriteContinuation(id, c.encoded.Len() == 0, part)
	}
}

// body is that of a refusal. Its Close ends the stream.
type body struct {
	s      *Stream
	over   bool
	length int64 // Content-Length, -1 if unknown
	got    int64
}

func newBody(s *Stream, ans *answer) *body {
	b := &body{s: s, over: ans.over, length: -1}
	if n, err := strconv.ParseUint(ans.header.Get("Content-Length"), 10, 63); err == nil {
		b.length = int64(n)
	}
	if b.over || ans.status == http.StatusNotModified { // 304 states the length of what it does not send
		b.length = 0
	}
	return b
}

func (b *body) Read(p []byte) (int, error) {
	if b.over {
		return 0, io.EOF
	}
	n, err := b.s.Read(p)
	b.got += int64(n)
	if err == io.EOF && b.length >= 0 && b.got != b.length {
		err = fmt.Errorf("http2: body of %d bytes with a Content-Length of %d: %w", b.got, b.length, io.ErrUnexpectedEOF)
	}
	return n, err
}

func (b *body) Close() error { return b.s.Close() }
