package wire

import (
	"errors"
	"fmt"
	"sync"
)

// messageTail is what RFC 7692 section 7.2.2 puts back behind a message.
var messageTail = []byte("\x00\x00\xff\xff")

// Inflate decompresses the messages of one connection, as their bytes come. Between them it holds the
// server's window, as far as that is filled; what else it needs to work it borrows.
type Inflate struct {
	window  int // how far back the server may refer into earlier messages
	reach   int // and within one
	pieces  bool
	history history
	decoder *decoder // of the message under way
	out     *buffer  // out.data[out.start:out.end] is that message so far, but for what was handed over in pieces; before it stand those of the batch
	begun   int      // where in out.data it began; below 0 if that was forgotten since
	text    Text
	class   uint8 // of the next out
	tailed  uint8 // how much of messageTail the message under way has had
}

// NewInflate returns the decompressor of a connection for which p was agreed.
func NewInflate(p DeflateParams) *Inflate {
	z := &Inflate{reach: 1 << p.ServerMaxWindowBits}
	if !p.ServerNoContextTakeover {
		z.window = z.reach
	}
	return z
}

var decoders = sync.Pool{New: func() any { return new(decoder) }}

// begin borrows what inflating a message takes.
func (z *Inflate) begin() {
	if z.out == nil {
		if z.out = pooled(z.class); z.out == nil {
			z.class = min(z.class, classAhead)
			z.out = newBuffer(z.class)
		}
	}
	z.decoder = decoders.Get().(*decoder)
	z.decoder.reset()
	z.begun, z.text = z.out.start, Text{}
	z.tailed = 0
	if z.window == 0 {
		z.history = z.history[:0]
	}
}

// write inflates p, the next bytes of a message, and returns how many of them it used. Crowded: it
// cannot go on before forget. That never happens to the first message after forget, unless that is to be
// handed over in pieces: then it may have to go with piece first.
func (z *Inflate) write(p []byte, text bool, limit int) (used int, crowded bool, err *Error) {
	if z.decoder == nil {
		z.begin()
	}
	for {
		from := z.out.end
		n, full, cause := z.decode(p[used:], limit)
		used += n
		if text && !z.text.Add(z.out.data[from:z.out.end]) {
			return used, false, badText()
		}
		switch {
		case cause != nil:
			return used, false, corrupt(cause)
		case !full:
			return used, false, nil
		case z.out.end-z.begun >= limit:
			return used, false, tooBig(limit)
		case z.out.start > 0 || z.pieces:
			if z.class < classAhead {
				z.class++ // there is use for a larger one
			}
			return used, true, nil
		}
		z.grow(limit)
	}
}

// decode lets the decoder go on with p, up to the end of what is there of out. Only the first message of a
// batch gets more of it than what suffices for reading ahead.
func (z *Inflate) decode(p []byte, limit int) (used int, full bool, err error) {
	b := z.out
	from := 0 // where the window begins, as far as it is in out
	if z.window == 0 {
		from = max(z.begun, 0)
	}
	to := min(len(b.data), z.begun+limit)
	if b.start > 0 || z.pieces {
		to = min(to, max(b.end, mostAhead))
	}
	o := output{
		p:  b.data[from:to],
		at: b.end - from, message: z.begun - from, window: z.window, history: z.history,
	}
	used, full, err = z.decoder.decode(p, &o)
	b.end = from + o.at
	return used, full, err
}

// finish ends the message. Its data is valid until forget. No bytes at all, which is not quite what RFC
// 7692 section 7.2.1 has for an empty message, are taken for one.
func (z *Inflate) finish(text bool, limit int) (data []byte, crowded bool, err *Error) {
	if z.decoder.inside || !z.decoder.complete() {
		var n int
		n, crowded, err = z.write(messageTail[z.tailed:], text, limit)
		z.tailed += uint8(n)
		switch {
		case crowded || err != nil:
			return nil, crowded, err
		case !z.decoder.complete():
			return nil, false, corrupt(errUnfinished)
		}
	}
	if text && !z.text.Whole() {
		return nil, false, badText()
	}
	z.end()
	return z.piece(), false, nil
}

// piece hands over what there is of the message. It is valid until forget.
func (z *Inflate) piece() []byte {
	b := z.out
	if b == nil {
		return nil
	}
	data := b.data[b.start:b.end:b.end]
	b.start = b.end
	return data
}

var errUnfinished = errors.New("it ends inside a block")

func corrupt(err error) *Error { return badData(fmt.Sprintf("compressed message: %v", err)) }

// end gives the decoder back.
func (z *Inflate) end() {
	if z.decoder != nil {
		decoders.Put(z.decoder)
		z.decoder = nil
	}
}

// held is how many bytes there are of the message under way.
func (z *Inflate) held() int {
	if z.out == nil {
		return 0
	}
	return z.out.end - z.out.start
}

// grow carries the message under way over to a larger buffer. It is all that there is.
func (z *Inflate) grow(limit int) {
	z.moveTo(min(z.out.class+1, classFor(limit)))
	z.class = max(z.class, z.out.class)
}

func (z *Inflate) moveTo(class uint8) {
	b := z.out
	z.out = newBuffer(class)
	z.out.end = copy(z.out.data, b.data[b.start:b.end])
	z.begun -= b.start
	b.free()
}

// forget reuses the memory of the messages so far, after it has noted their end in the history. A buffer
// larger than for reading ahead stays as long as each batch needs it.
func (z *Inflate) forget() {
	b := z.out
	if b == nil {
		return
	}
	switch {
	case z.window > 0:
		z.history.add(b.data[:b.start], z.window)
	case z.decoder != nil && z.begun < b.start: // pieces of a message that goes on
		z.history.add(b.data[max(z.begun, 0):b.start], z.reach)
	}
	switch {
	case b.end <= mostAhead && z.class > classAhead:
		z.class = classAhead
	case z.class > 0 && b.end <= classSize(z.class-1)/2:
		z.class--
	}
	z.shrink(z.class)
}

// shrink moves the message under way to the front of a buffer of class, or of a larger one if it needs that.
func (z *Inflate) shrink(class uint8) {
	b := z.out
	held := z.held()
	switch class = max(class, classFor(held)); {
	case z.decoder == nil && b.class != class:
		b.free()
		z.out = nil
	case b.class != class:
		z.moveTo(class)
	case b.start > 0:
		copy(b.data, b.data[b.start:b.end])
		z.begun -= b.start
		b.start, b.end = 0, held
	}
}

// idle gives back what is not needed to go on later. Nothing is lent any more.
func (z *Inflate) idle() {
	z.class = min(z.class, classAhead)
	if z.window == 0 && z.decoder == nil {
		z.history = nil
	}
	switch {
	case z.out == nil:
	case z.decoder == nil:
		z.out.free()
		z.out = nil
	default:
		z.shrink(classSmall)
	}
}

// release gives back everything.
func (z *Inflate) release() {
	z.end()
	if z.out != nil {
		z.out.free()
		z.out = nil
	}
	z.history = nil
}
