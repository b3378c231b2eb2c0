package reqws

import (
	"fmt"

	"github.com/coder/websocket"
)

// Each makes a [Handler] of a function for single frames. The replies to all
// frames of a batch still leave together. Halt, Fail, or a close frame as a reply, leaves
// the rest of the batch unseen. When the stream breaks f is not called: what is to be done then may
// wait for [Response.Done], or see Event.Err in a handler around this one (see [Wrap]).
func Each(f func(Frame) Directive) Handler {
	if f == nil {
		return nil // which Into reports
	}
	return func(in Event, resp *Response) Directive {
		c := collector{b: resp.batch()}
		for i := range in.Frames {
			if d := f(in.Frames[i]); (d.head != 0 || d.more != nil) && c.add(d) {
				break
			}
		}
		return c.directive()
	}
}

// EachWith is [Each] for a function that uses the [Response], too: its Header, or Send.
func EachWith(f func(Frame, *Response) Directive) Handler {
	if f == nil {
		return nil
	}
	// The loop of Each once more: one through the other takes half as long again.
	return func(in Event, resp *Response) Directive {
		c := collector{b: resp.batch()}
		for i := range in.Frames {
			if d := f(in.Frames[i], resp); (d.head != 0 || d.more != nil) && c.add(d) {
				break
			}
		}
		return c.directive()
	}
}

// EachJSON is [EachWith] for messages in JSON: each text and binary message is decoded into a
// new T as encoding/json does. One that does not decode ends the stream with close code 1007
// and an error that says why. Control frames are not shown. With [Pieces] the pieces of a message
// are put together first: it takes the memory of all of it, which [MaxMessageSize] bounds.
func EachJSON[T any](f func(T, *Response) Directive) Handler {
	if f == nil {
		return nil
	}
	id := new(joinerID)
	return EachWith(func(frame Frame, resp *Response) Directive {
		if frame.Kind != KindText && frame.Kind != KindBinary {
			return Directive{}
		}
		if !resp.join(id, &frame) {
			return Directive{}
		}
		var v T
		if err := frame.JSON(&v); err != nil {
			return Fail(fmt.Errorf("EachJSON: %w", err), Close(websocket.StatusInvalidFramePayloadData, "not the JSON that was expected"))
		}
		return f(v, resp)
	})
}

// collector puts the answers to the frames of a batch together, in memory that the batch
// lends.
type collector struct {
	b    *batch // nil where a test calls the handler
	out  []Frame
	took bool
	halt bool
	err  error
}

// add takes in one answer that is not Cont(), and reports whether it is the last.
func (c *collector) add(d Directive) (last bool) {
	n := len(c.out)
	if d.more == nil && !d.Halts() && n < cap(c.out) { // one reply, and there is room: this is the usual way
		c.out = c.out[:n+1]
		d.first(&c.out[n])
		return Kind(d.head) == KindClose
	}
	return c.addAny(d)
}

func (c *collector) addAny(d Directive) (last bool) {
	if d.replies() && !c.took {
		c.borrow()
	}
	c.out = d.appendTo(c.out)
	c.halt, c.err = d.Halts(), d.Err()
	return d.ends()
}

func (c *collector) borrow() {
	c.took = true
	if c.b != nil {
		c.out = c.b.replies[:0]
		c.b.replies = nil
	}
}

// directive is what all came to.
func (c *collector) directive() Directive {
	var d Directive
	if c.halt {
		d.head = haltBit
	}
	if !c.took && c.err == nil {
		return d
	}
	if c.b != nil && c.b.kept.frames == nil && c.b.kept.err == nil {
		d.more = &c.b.kept // which another directive of the same batch does not have yet
	} else {
		d.more = new(more)
	}
	d.more.frames, d.more.err = c.out, c.err
	return d
}
