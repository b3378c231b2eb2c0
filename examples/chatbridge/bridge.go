package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/reqws/reqws"
)

// bridge stands between two rooms.
type bridge struct {
	out     io.Writer
	sides   [2]side
	mailbox chan reqws.Message // of both
}

type side struct {
	name string
	resp *reqws.Response
	format
}

// open joins both rooms. A room chooses the format that it likes best.
func open(ctx context.Context, out io.Writer, names, urls [2]string, opts ...reqws.Option) (*bridge, error) {
	b := &bridge{out: out, mailbox: make(chan reqws.Message, 16)}
	room := reqws.New(reqws.Subprotocols("json.v1", "lines.v1"), reqws.IntoMailbox(b.mailbox)).With(opts...)
	for i := range b.sides {
		resp, err := room.Do(ctx, reqws.URL(urls[i]))
		if err != nil {
			b.leave()
			return nil, err
		}
		b.sides[i] = side{names[i], resp, formats[resp.Subprotocol]}
		if b.sides[i].read == nil {
			b.sides[i].resp = nil
			_ = resp.Close(1002, "no format in common")
			b.leave()
			return nil, fmt.Errorf("%s speaks none of our formats", names[i])
		}
	}
	return b, nil
}

// leave closes what is open.
func (b *bridge) leave() error {
	var errs []error
	for _, s := range b.sides {
		if s.resp != nil {
			errs = append(errs, s.resp.Close(1001, "the bridge is closed"))
		}
	}
	return errors.Join(errs...)
}

// run forwards until one room closes, and then leaves the other. It returns nil if that was all in
// good order.
func (b *bridge) run(ctx context.Context) error {
	for {
		from, to, frames, err := b.sort(<-b.mailbox)
		switch err {
		case nil:
			b.forward(ctx, from, to, frames)
		case io.EOF:
			fmt.Fprintf(b.out, "%s has closed\n", from.name)
			return b.leave() // which does nothing on the side that has ended
		default:
			_ = b.leave()
			return fmt.Errorf("%s: %w", from.name, err)
		}
	}
}

// sort tells which side a message is from.
func (b *bridge) sort(m reqws.Message) (from, to *side, frames []reqws.Frame, err error) {
	from, to = &b.sides[0], &b.sides[1]
	if frames, err = from.resp.ParseMessage(m); errors.Is(err, reqws.ErrUnknownMessage) {
		from, to = to, from
		frames, err = from.resp.ParseMessage(m)
	}
	return from, to, frames, err
}

// forward says in one room what was said in the other.
func (b *bridge) forward(ctx context.Context, from, to *side, frames []reqws.Frame) {
	var out []reqws.Frame
	for _, f := range frames {
		if f.Kind != reqws.KindText {
			continue
		}
		s, err := from.read(f)
		if err != nil {
			fmt.Fprintf(b.out, "%s: not understood: %v\n", from.name, err)
			continue
		}
		// A room tells everybody everything, us too. What has an @ came over a bridge, this one or
		// another: said again it would go round for ever.
		if strings.Contains(s.From, "@") {
			continue
		}
		fmt.Fprintf(b.out, "%s → %s  %s: %s\n", from.name, to.name, s.From, s.Text)
		s.From += "@" + from.name
		if f, err := to.write(s); err == nil {
			out = append(out, f)
		}
	}
	// While this waits nobody empties the mailbox, and then nobody reads the other room: a room that
	// takes nothing must not stop the bridge for long.
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := to.resp.Send(ctx, out...); err != nil {
		fmt.Fprintf(b.out, "%s: not forwarded: %v\n", to.name, err) // its end, if it is that, comes by mail
	}
}
