package fleet

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/reqws/reqws"
)

// The headers of a message in PREFIX.in.ID. Of PREFIX.out.ID only the kind is looked at.
const (
	// HeaderKind is "text" or "binary".
	HeaderKind = "Reqws-Kind"
	// HeaderFence is the revision of the claim under which a message was received. It grows each time
	// that a stream changes its worker.
	HeaderFence = "Reqws-Fence"
	// HeaderLink is the number of the connection within its fence, from 1.
	HeaderLink = "Reqws-Link"
	// HeaderSequence is the number of the message within its fence, from 1, over all links.
	HeaderSequence = "Reqws-Sequence"
)

const (
	kindText   = "text"
	kindBinary = "binary"
)

// In is a message that a stream of the fleet has received. Fence, and within it Sequence, order those of
// one stream as they were received.
type In struct {
	ID       string
	Fence    uint64
	Link     uint64
	Sequence uint64
	Frame    reqws.Frame // of KindText or KindBinary; its Data is that of the NATS message
}

// ParseIn reads a message of PREFIX.in.ID, such as jetstream.Msg is one.
func (f *Fleet) ParseIn(m interface {
	Subject() string
	Headers() nats.Header
	Data() []byte
}) (In, error) {
	id, found := strings.CutPrefix(m.Subject(), f.inSubject(""))
	if !found {
		return In{}, fmt.Errorf("fleet: %s is no subject of messages that came in", m.Subject())
	}
	in := In{ID: id, Frame: reqws.Frame{Kind: reqws.KindText, Data: m.Data()}}
	switch kind := m.Headers().Get(HeaderKind); kind {
	case kindText:
	case kindBinary:
		in.Frame.Kind = reqws.KindBinary
	default:
		return In{}, fmt.Errorf("fleet: %s: %s is %q", m.Subject(), HeaderKind, kind)
	}
	for _, h := range []struct {
		name string
		to   *uint64
	}{{HeaderFence, &in.Fence}, {HeaderLink, &in.Link}, {HeaderSequence, &in.Sequence}} {
		n, err := strconv.ParseUint(m.Headers().Get(h.name), 10, 64)
		if err != nil {
			return In{}, fmt.Errorf("fleet: %s: %s is no number", m.Subject(), h.name)
		}
		*h.to = n
	}
	return in, nil
}

// Send publishes messages to PREFIX.out.ID, one after the other, and returns when JetStream has them: the
// worker that holds the stream sends them in order. Frames are of KindText or KindBinary. Who publishes to
// the subject with other means says "binary" in the header Reqws-Kind for what is not text.
func (f *Fleet) Send(ctx context.Context, id string, frames ...reqws.Frame) error {
	if err := checkID(id); err != nil {
		return err
	}
	for _, frame := range frames {
		m := &nats.Msg{Subject: f.outSubject(id), Data: frame.Data, Header: nats.Header{}}
		switch {
		case frame.Kind == reqws.KindBinary:
			m.Header.Set(HeaderKind, kindBinary)
		case frame.Kind != reqws.KindText || !utf8.Valid(frame.Data):
			return fmt.Errorf("fleet: send to %s: %v is neither text nor binary", id, frame.Kind)
		}
		if _, err := f.js.PublishMsg(ctx, m); err != nil {
			return fmt.Errorf("fleet: send to %s: %w", id, err)
		}
	}
	return nil
}

// frameOf is what a message of PREFIX.out.ID is sent as.
func frameOf(m jetstream.Msg) (reqws.Frame, error) {
	switch kind := m.Headers().Get(HeaderKind); {
	case kind == kindBinary:
		return reqws.Binary(m.Data()), nil
	case kind != "" && kind != kindText:
		return reqws.Frame{}, fmt.Errorf("its kind is %q, neither text nor binary", kind)
	case !utf8.Valid(m.Data()):
		return reqws.Frame{}, errors.New("it is sent as text, and is not UTF-8")
	}
	return reqws.Text(m.Data()), nil
}
