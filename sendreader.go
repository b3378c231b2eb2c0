package reqws

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/coder/websocket"

	"github.com/reqws/reqws/internal/conn"
	"github.com/reqws/reqws/internal/wire"
)

// SendReader sends one message, of [KindText] or [KindBinary], that need not fit into memory: what
// each Read of from returns, of up to 32 KiB, leaves at once as a fragment of it (RFC 6455, section
// 5.4), compressed where that was agreed. It returns when from is at its end and all is written. An
// empty reader makes an empty message. The text is checked to be UTF-8 before it is written; it may
// be cut inside a code point.
//
// The message takes its turn with its first fragment, so that from may be slow to begin. From then
// on, until the last, other messages wait: those of Send, of other SendReaders, and the replies of
// the handler, which reads nothing meanwhile. Control frames pass between the fragments: pings, pongs, a close
// frame, after which SendReader fails. WriteTimeout bounds the writing, not the reading of from. With [Reconnect] a
// message that was not begun waits for the next connection.
//
// from is read in a goroutine of its own, since a Read cannot be interrupted: SendReader returns when
// ctx or the stream ends, and leaves a Read that still goes on to itself, whose bytes are lost. A
// panic of from's goes on in the caller.
//
// If ctx ends, or from fails, before a fragment was written, nothing was sent, and the connection
// stays usable. After that the message cannot be completed: the stream breaks, and the error says so.
func (r *Response) SendReader(ctx context.Context, kind Kind, from io.Reader) error {
	s := r.stream()
	switch {
	case kind != KindText && kind != KindBinary:
		return r.fail("send", badMessage(wire.CodeProtocolError, kind, "SendReader sends text and binary messages alone"))
	case isNil(from):
		return r.fail("send", errors.New("the reader is nil"))
	case s.over.Load():
		return r.fail("send", s.after())
	}
	return r.fail("send", s.sendReader(ctx, kind, from))
}

func badMessage(code websocket.StatusCode, kind Kind, reason string) error {
	return &ProtocolError{Code: code, Reason: fmt.Sprintf("outgoing message (%v): %s", kind, reason)}
}

func (s *stream) sendReader(ctx context.Context, kind Kind, from io.Reader) error {
	if err := s.link().out.Refusal(); err != nil && s.gate == nil {
		return err
	}
	f := newFragments(kind, from)
	defer f.release()
	data, last, err := f.next(ctx, s, nil)
	switch {
	case err != nil:
		return err
	case last:
		_, err = s.send(ctx, []wire.Frame{{Op: wire.Opcode(kind), Data: data}})
		return err
	}
	m, err := s.sendFirst(ctx, kind, data)
	if err != nil {
		return err
	}
	return s.sendRest(ctx, m, f)
}

// sendFirst sends the first fragment of a message, over the link that is open or will be.
func (s *stream) sendFirst(ctx context.Context, kind Kind, data []byte) (m *conn.Message, err error) {
	_, err = s.through(ctx, func(l *link, queued func()) (begun bool, err error) {
		m = l.out.NewMessage(wire.Opcode(kind))
		if begun, err = m.Send(ctx, data, true, queued); err != nil {
			err = m.End(err)
		}
		return begun, err
	})
	return m, err
}

// sendRest sends the other fragments.
func (s *stream) sendRest(ctx context.Context, m *conn.Message, f *fragments) (err error) {
	cause := errReaderPanicked
	defer func() { err = m.End(cause) }()
	for last := false; !last; {
		var data []byte
		if data, last, err = f.next(ctx, s, m); err == nil {
			_, err = m.Send(ctx, data, !last, nil)
		}
		if err != nil {
			cause = err
			return err
		}
	}
	cause = nil
	return nil
}

var errReaderPanicked = errors.New("the reader panicked")

// fragments are what a reader yields, for a message.
type fragments struct {
	kind Kind
	text wire.Text
	from io.Reader
	buf  *[]byte
	ask  chan []byte // to be filled
	got  chan reading
}

// reading is what became of a Read.
type reading struct {
	n        int
	err      error
	panicked any
}

func newFragments(kind Kind, from io.Reader) *fragments {
	f := &fragments{
		kind: kind, from: from, buf: chunks.Get().(*[]byte),
		ask: make(chan []byte), got: make(chan reading, 1),
	}
	go f.read()
	return f
}

// release ends the reading.
func (f *fragments) release() {
	close(f.ask)
	if f.buf != nil {
		chunks.Put(f.buf)
	}
}

// read is the goroutine that reads.
func (f *fragments) read() {
	for p := range f.ask {
		f.readOnce(p)
	}
}

func (f *fragments) readOnce(p []byte) {
	r := reading{err: errors.New("the reader ended its goroutine")}
	defer func() {
		r.panicked = recover()
		f.got <- r
	}()
	r.n, r.err = f.from.Read(p)
}

// mostEmptyReads is how often a reader may return nothing at all, as for package bufio.
const mostEmptyReads = 100

// next returns the next fragment, and whether it is the last. It does not wait longer than until ctx
// has ended, or s, or m, which is nil before it has begun.
func (f *fragments) next(ctx context.Context, s *stream, m *conn.Message) (data []byte, last bool, err error) {
	for range mostEmptyReads {
		n, err := f.wait(ctx, s, m)
		last = err == io.EOF || err == nil && exhausted(f.from)
		if err != nil && err != io.EOF {
			return nil, false, err
		}
		if n > 0 || last {
			data = (*f.buf)[:n]
			return data, last, f.check(data, last)
		}
	}
	return nil, false, fmt.Errorf("reading the message: %w", io.ErrNoProgress)
}

// wait has the reader read once.
func (f *fragments) wait(ctx context.Context, s *stream, m *conn.Message) (n int, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	var ended <-chan struct{}
	if m != nil {
		ended = m.Ended()
	}
	f.ask <- *f.buf
	select {
	case r := <-f.got:
		switch {
		case r.panicked != nil:
			panic(r.panicked)
		case r.n < 0 || r.n > len(*f.buf):
			return 0, fmt.Errorf("reading the message: a Read returned the impossible count %d", r.n)
		case r.err != nil && r.err != io.EOF:
			return 0, fmt.Errorf("reading the message: %w", r.err)
		}
		return r.n, r.err
	case <-ctx.Done():
		err = ctx.Err()
	case <-ended:
		err = m.Refusal()
	case <-s.doneChan():
		err = s.after()
	}
	f.buf = nil // it is the reader's until its Read returns
	return 0, err
}

// exhausted reports whether a reader that is known has nothing left: then its last fragment is known to
// be that. Other readers say so with the next Read, and the last fragment is empty.
func exhausted(from io.Reader) bool {
	switch r := from.(type) {
	case *bytes.Reader:
		return r.Len() == 0
	case *strings.Reader:
		return r.Len() == 0
	case *bytes.Buffer:
		return r.Len() == 0
	}
	return false
}

// check sees that a text is UTF-8.
func (f *fragments) check(data []byte, last bool) error {
	if f.kind == KindText && (!f.text.Add(data) || last && !f.text.Whole()) {
		return badMessage(wire.CodeInvalidData, f.kind, "the text is not valid UTF-8")
	}
	return nil
}
