package wire

import (
	"bytes"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/flate"
)

// deflateTail is what RFC 7692 section 7.2.2 puts back behind a message, and an empty final block,
// from which the decoder knows the end.
const deflateTail = "\x00\x00\xff\xff" + "\x01\x00\x00\xff\xff"

// Inflate decompresses the messages of one connection. Between them it holds the server's window, as
// far as that is filled; what else it needs to work it borrows.
type Inflate struct {
	window  int // how far back the server may refer into earlier messages
	history history
	out     *buffer   // out.data[out.start:out.end] is the message being inflated
	full    []*buffer // hold earlier messages of the batch
	class   uint8     // of the next out
}

// NewInflate returns the decompressor of a connection for which p was agreed.
func NewInflate(p DeflateParams) *Inflate {
	z := &Inflate{}
	if !p.ServerNoContextTakeover {
		z.window = 1 << p.ServerMaxWindowBits
	}
	return z
}

// message inflates p, a whole message. For the time of the call it uses the capacity behind p, which
// has room for deflateTail. The result is valid until forget. No bytes at all, which is not quite
// what RFC 7692 section 7.2.1 has for an empty message, are taken for one.
func (z *Inflate) message(p []byte, limit int) ([]byte, *Error) {
	n := len(p)
	if n == 0 {
		return nil, nil
	}
	p = p[:n+len(deflateTail)]
	behind := [len(deflateTail)]byte(p[n:])
	copy(p[n:], deflateTail)
	err := z.inflate(p, limit)
	copy(p[n:], behind[:])
	if err != nil {
		return nil, err
	}
	if z.window == 0 {
		z.history = z.history[:0]
	}
	data := z.out.data[z.out.start:z.out.end:z.out.end]
	z.out.start = z.out.end
	return data, nil
}

// decoder is a flate reader and its source; flate is fastest on a *bytes.Reader.
type decoder struct {
	flate io.Reader
	src   bytes.Reader
}

var decoders = sync.Pool{New: func() any {
	d := &decoder{}
	d.flate = flate.NewReader(&d.src)
	return d
}}

func (z *Inflate) inflate(p []byte, limit int) *Error {
	if z.out == nil {
		if z.out = pooled(z.class); z.out == nil {
			z.class = min(z.class, classAhead)
			z.out = newBuffer(z.class)
		}
	}
	d := decoders.Get().(*decoder)
	defer decoders.Put(d)
	d.src.Reset(p)
	for {
		_ = d.flate.(flate.Resetter).Reset(&d.src, z.history) // it does not fail
		from := z.out.end - z.out.start
		if err := z.drain(d, limit); err != nil {
			return err
		}
		atEnd := d.src.Len() == 0 || d.src.Len() == len(deflateTail)
		if z.window > 0 || !atEnd {
			window := z.window
			if window == 0 {
				window = maxWindow // inside this message
			}
			z.history.add(z.out.data[z.out.start+from:z.out.end], window)
		}
		if atEnd {
			return nil
		}
		// That was a final block inside the message. RFC 7692 section 7.2.1: what follows
		// begins at the next byte.
	}
}

// drain takes from d until a final block ends.
func (z *Inflate) drain(d *decoder, limit int) *Error {
	for {
		b := z.out
		if b.end == len(b.data) {
			b = z.grow(limit)
		}
		most := min(len(b.data), b.start+limit+1)
		n, err := d.flate.Read(b.data[b.end:most])
		switch b.end += n; {
		case b.end-b.start > limit:
			return tooBig(limit)
		case err == io.EOF:
			return nil
		case err != nil:
			return corrupt(err)
		}
	}
}

func corrupt(err error) *Error {
	if err == io.ErrUnexpectedEOF {
		return badData("compressed message ends inside a block")
	}
	return badData(fmt.Sprintf("compressed message: %v", err))
}

// grow carries the message being inflated over to a larger buffer.
func (z *Inflate) grow(limit int) *buffer {
	b := z.out
	size := b.end - b.start
	n := newBuffer(min(classFor(max(2*size, classSize(z.class))), classFor(limit+1)))
	n.end = copy(n.data, b.data[b.start:b.end])
	if b.start > 0 {
		z.full = append(z.full, b)
	} else {
		b.free()
	}
	z.class = max(z.class, n.class)
	z.out = n
	return n
}

// forget reuses the memory of the messages so far.
func (z *Inflate) forget() {
	b := z.out
	if b == nil {
		return
	}
	for i := range z.full {
		z.full[i].free()
		z.full[i] = nil
	}
	if len(z.full) == 0 && z.class > 0 && b.end < classSize(z.class-1)/2 {
		z.class--
	}
	z.full = z.full[:0]
	if b.start, b.end = 0, 0; b.class != z.class {
		b.free()
		z.out = nil
	}
}

// Idle gives back all but the history. The Reader calls it.
func (z *Inflate) Idle() {
	z.forget()
	if z.out != nil {
		z.out.free()
		z.out = nil
	}
}

// Release gives back everything. The Reader calls it.
func (z *Inflate) Release() {
	z.Idle()
	z.history = nil
}
