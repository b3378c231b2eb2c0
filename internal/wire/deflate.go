package wire

import (
	"sync"
	"sync/atomic"

	"github.com/klauspost/compress/flate"
)

// ownWindow is how much of the client's window is kept between messages. More of it hardly makes
// messages smaller, but takes a borrowed compressor longer to learn than it saves.
const ownWindow = 2 << 10

// Deflate compresses the messages of one connection. Between them it holds ownWindow and a quarter;
// the compressor, of about 800 KB, is borrowed for each message. If no other connection had that
// meanwhile, it goes on with the whole window.
type Deflate struct {
	bits     int
	takeover bool
	history  history
	point    point // none without takeover
}

// point is a place in the sequence of messages of one connection. The zero point is none.
type point struct{ connection, message uint64 }

var connections atomic.Uint64

// NewDeflate returns the compressor of a connection for which p was agreed.
func NewDeflate(p DeflateParams) *Deflate {
	d := &Deflate{bits: p.ClientMaxWindowBits, takeover: !p.ClientNoContextTakeover}
	d.Reset()
	return d
}

// compressor is a flate writer that appends to out.
type compressor struct {
	flate *flate.Writer
	out   []byte
	at    point // in the pool: whose window it has, if that may be used again
}

func (c *compressor) Write(p []byte) (int, error) {
	c.out = append(c.out, p...)
	return len(p), nil
}

// compressors are pooled by the bits of their windows.
var compressors [16]sync.Pool

// borrow takes a compressor out of its pool. kept says that its window is what at left in it. It has no point
// from then on, until it is put back with one: so no other use can leave a wrong one on it.
func borrow(bits int, at point) (c *compressor, kept bool) {
	c, ok := compressors[bits].Get().(*compressor)
	if !ok {
		return newCompressor(bits), false
	}
	kept = c.at != point{} && c.at == at
	c.at = point{}
	return c, kept
}

func newCompressor(bits int) *compressor {
	c := &compressor{}
	var err error
	if bits == 15 {
		c.flate, err = flate.NewWriter(c, flate.BestSpeed)
	} else {
		c.flate, err = flate.NewWriterWindow(c, 1<<bits)
	}
	if err != nil {
		panic(err) // bits are 8 to 15
	}
	return c
}

// Append appends the compressed form of a whole message, without the four bytes that RFC 7692
// section 7.2.1 has removed. It is to be sent before the next call, or Reset called.
func (d *Deflate) Append(dst, payload []byte) []byte {
	c, kept := borrow(d.bits, d.point)
	if !kept {
		c.flate.ResetDict(c, d.history)
	}
	c.out = dst
	// Neither fails: Write does not.
	_, _ = c.flate.Write(payload)
	_ = c.flate.Flush()
	dst = c.out[:len(c.out)-4]
	c.out = nil
	if d.takeover {
		d.history.add(payload, min(ownWindow, 1<<d.bits))
		d.point.message++
		c.at = d.point
	}
	compressors[d.bits].Put(c)
	return dst
}

// Packer compresses one message as its bytes come. It refers to no message before, and none may refer to it:
// Reset the Deflate where it is sent.
type Packer struct {
	bits int
	c    *compressor
}

// NewPacker returns a compressor for one message of the connection. Release is to follow.
func (d *Deflate) NewPacker() *Packer { return &Packer{bits: d.bits} }

// Append appends the compressed form of p, from which the peer can get all of p. Without more it is the end of
// the message, whose last four bytes RFC 7692 section 7.2.1 has removed.
func (k *Packer) Append(dst, p []byte, more bool) []byte {
	if k.c == nil {
		k.c, _ = borrow(k.bits, point{})
		k.c.flate.ResetDict(k.c, nil)
	}
	k.c.out = dst
	// Neither fails: Write does not.
	_, _ = k.c.flate.Write(p)
	_ = k.c.flate.Flush()
	dst, k.c.out = k.c.out, nil
	if !more {
		dst = dst[:len(dst)-4]
	}
	return dst
}

// Release gives the compressor back.
func (k *Packer) Release() {
	if k.c != nil {
		compressors[k.bits].Put(k.c)
		k.c = nil
	}
}

// Reset makes the next message independent of those before, which may then have been lost.
func (d *Deflate) Reset() {
	d.history = d.history[:0]
	if d.takeover {
		d.point = point{connection: connections.Add(1)}
	}
}

// Release gives back what d holds. It is as after Reset.
func (d *Deflate) Release() {
	d.Reset()
	d.history = nil
}
