package reqws

import (
	"errors"
	"fmt"
	"io"
	"time"
)

// Message is what a mailbox receives (see [IntoMailbox]): a batch of frames of one
// stream, or how that stream ended. The frames are copies, which the receiver owns.
type Message struct {
	Response *Response
	Frames   []Frame
	// Err is set in the last message of a stream, which has no Frames: io.EOF
	// after a clean end, else why it ended.
	Err error
}

// IntoMailbox sends each batch of frames to ch as a [Message], from the stream's
// goroutine, which reads nothing while it waits for room in ch, unless [ReadAhead] says
// otherwise. The channel is the caller's: it is never closed here, and may serve many
// streams. The last message of each Response that Do returns has Err set, whatever ends
// it: io.EOF after a clean end, the [*HTTPError] where the handshake was refused. Whoever empties ch
// and sends to one of its streams gives that Send a ctx: the peer may wait for room in ch itself.
func IntoMailbox(ch chan<- Message) Option {
	return checked("IntoMailbox", ch, func(ch chan<- Message) error {
		if ch == nil {
			return errors.New("the channel is nil")
		}
		return nil
	}, func(c *config, ch chan<- Message) { c.into.handler, c.into.mailbox = nil, ch }).inPlaceOf("Into")
}

// ParseMessage returns what m holds if it is of this Response's stream, and
// [ErrUnknownMessage] if it is another stream's: a mailbox may serve many. Err of the
// message is returned as the error.
func (r *Response) ParseMessage(m Message) ([]Frame, error) {
	if r == nil || r.s == nil || m.Response == nil || m.Response.s != r.s {
		return nil, fmt.Errorf("reqws: %w", ErrUnknownMessage)
	}
	return m.Frames, m.Err
}

// toMailbox is the handler of a stream that goes into a mailbox.
func (s *stream) toMailbox(in Event, resp *Response) Directive {
	select {
	case s.mailbox <- Message{Response: resp, Frames: cloneAll(in.Frames)}:
	case <-s.link().unblock: // what arrives while a stream is being closed is discarded
	}
	return Cont()
}

// lastMessage tells the mailbox of the end. It waits for room; once ctx is over
// or somebody closed the stream it does so for the close timeout only, since then
// there may be no reader any more.
func (s *stream) lastMessage(err error) {
	m := Message{Response: s.link().resp, Err: err}
	if err == nil {
		m.Err = io.EOF
	}
	select {
	case s.mailbox <- m:
		return
	default:
	}
	select {
	case s.mailbox <- m:
		return
	case <-s.life.Done():
	case <-s.left:
	}
	timer := time.NewTimer(s.link().closeTimeout)
	defer timer.Stop()
	select {
	case s.mailbox <- m:
	case <-timer.C:
	}
}

// leave notes that somebody closed the stream, before its end or after it: its
// mailbox may not be read any more.
func (s *stream) leave() {
	if s.left == nil {
		return
	}
	s.doneMu.Lock()
	defer s.doneMu.Unlock()
	select {
	case <-s.left:
	default:
		close(s.left)
	}
}

// cloneAll copies a batch, all payloads into one piece of memory.
func cloneAll(frames []Frame) []Frame {
	size := 0
	for i := range frames {
		size += len(frames[i].Data)
	}
	data := make([]byte, 0, size)
	out := make([]Frame, len(frames))
	for i, f := range frames {
		if len(f.Data) > 0 {
			at := len(data)
			data = append(data, f.Data...)
			f.Data = data[at:len(data):len(data)]
		}
		out[i] = f
	}
	return out
}
