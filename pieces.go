package reqws

import "errors"

// Pieces has a message that is not whole in what was read handed over as its bytes arrive, so that
// none has to fit into memory: in frames of its kind with [Frame].More set on all but the last, in
// order. Control frames come between them, as they arrived between its fragments. The last frame may be empty.
// Without it, which is the default, every message arrives whole.
//
// Where a message is cut has no meaning. A text may be cut inside a code point: its UTF-8 is checked
// over all of it, and so is [MaxMessageSize], after decompression. What breaks the protocol after
// some pieces were handed over ends the stream as ever; the message has no last piece then, nor has
// one whose connection was lost. [EachJSON] puts the pieces together again. A piece cannot
// be sent as it is: see [Response.SendReader]. Pieces has no effect on [Request.Dial] and
// plain HTTP.
func Pieces(on bool) Option {
	return option("Pieces", func(c *config) { c.into.pieces = on })
}

// errPiece is what fails for a frame that needs a whole message.
var errPiece = errors.New("it is a piece of a message, which the option Pieces has cut")

// joiners hold messages of which not all pieces have come, for each EachJSON of a handler that has
// one: different functions may take turns. There are none most of the time.
type joiners map[*joinerID][]byte

// joinerID tells the functions made by EachJSON apart. It is not empty, since pointers to what is
// may be equal.
type joinerID struct{ _ byte }

// join puts the pieces of a message together, in f with the last one. It reports whether f is whole.
// Where a test calls the handler there is no link to keep them, and f stays a piece.
func (r *Response) join(id *joinerID, f *Frame) (whole bool) {
	if r == nil || r.s == nil {
		return true
	}
	l := r.s.link()
	if !f.More && len(l.joiners) == 0 {
		return true
	}
	data, begun := l.joiners[id]
	data = append(data, f.Data...)
	if f.More {
		if l.joiners == nil {
			l.joiners = joiners{}
		}
		l.joiners[id] = data
		return false
	}
	if begun {
		f.Data = data
		delete(l.joiners, id)
	}
	return true
}
