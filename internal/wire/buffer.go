package wire

import (
	"math/bits"
	"sync"
)

// Read buffers come in size classes: 4 KiB, 16 KiB, then 64 KiB and each doubling of it, these with
// room to spare so that a message of 2^n bytes fits with its header and the next frame's begin.
const (
	classSmall  = 0
	classAhead  = 2  // the largest for reading ahead; only a frame that needs more gets more,
	classWide   = 4  // and a stream that fills it again and again
	classPooled = 10 // 16 MiB, the default limit of a message; larger ones are left to the GC
	spare       = 8 << 10

	// Reads that fill whole pages took a third more of the kernel's time than those that end just before.
	short = 16

	mostAhead = 64<<10 + spare - short // bytes that are read without knowing what they are

	// The more a read takes the rarer is what each tells the peer's TCP, which then sends in fewer and longer runs:
	// a byte took half of the processor's time with reads of 200 KiB or more.
	mostWide  = 256<<10 + spare - short
	wideAfter = 8 // reads in a row that filled their buffer
)

func classSize(class uint8) int {
	if class < classAhead {
		return 4<<10<<(2*class) - short
	}
	return 64<<10<<(class-classAhead) + spare - short
}

// classFor is the smallest class with room for n bytes.
func classFor(n int) uint8 {
	switch {
	case n <= classSize(0):
		return 0
	case n <= classSize(1):
		return 1
	case n <= classSize(classAhead):
		return classAhead
	}
	return classAhead + uint8(bits.Len(uint(n-spare+short-1)>>16))
}

// buffer is what a Reader needs only while bytes are there to work on. The bytes that are not
// consumed lie in one piece of data:
//
//	delivered | data[from:to] the message so far | gap of consumed headers | data[start:end] unparsed
//
// Without a message in progress, and with one that is inflated as it comes, only the unparsed bytes.
type buffer struct {
	data       []byte
	start, end int
	from, to   int
	gone       int   // bytes of the message that were handed over before those
	text       Text  // its check
	left       int64 // payload bytes of the current frame that are still to come
	class      uint8
	assembling bool // a message has begun and is not delivered
	inPieces   bool // it is delivered as it comes
	inFrame    bool // inside the payload of one of its frames
	op         Opcode
	fin, rsv1  bool
	aside      []byte  // control payloads from between fragments: the message takes their place
	lent       bool    // frames of the last batch lie in data or aside
	retired    *buffer // or in those of this one
}

var pools [classPooled + 1]sync.Pool

// pooled returns a buffer of class if one is there to be had for nothing, else nil.
func pooled(class uint8) *buffer {
	if class > classPooled {
		return nil
	}
	b, _ := pools[class].Get().(*buffer)
	return b
}

func newBuffer(class uint8) *buffer {
	if b := pooled(class); b != nil {
		return b
	}
	return &buffer{data: make([]byte, classSize(class)), class: class}
}

// mostAside is how much room for aside a pooled buffer keeps.
const mostAside = 8 * maxControl

func (b *buffer) free() {
	if b.class > classPooled {
		return
	}
	if cap(b.aside) > mostAside {
		b.aside = nil
	}
	*b = buffer{data: b.data, class: b.class, aside: b.aside[:0]}
	pools[b.class].Put(b)
}

// joining reports whether a message is being put together in data.
func (b *buffer) joining() bool { return b.assembling && !b.rsv1 }

// first is where the bytes begin that are still needed.
func (b *buffer) first() int {
	if b.joining() {
		return b.from
	}
	return b.start
}

// awaited is how many bytes are known to come and to be needed in one piece with those that are there.
func (b *buffer) awaited() int {
	if b.inFrame && b.joining() && !b.inPieces {
		return int(b.left)
	}
	return 0
}

// compact moves the needed bytes to the front of dst, which may be b.data itself, and closes the gap
// between them.
func (b *buffer) compact(dst []byte) {
	n := 0
	if b.joining() {
		n = b.to - b.from
		if &dst[0] != &b.data[0] || b.from > 0 {
			copy(dst, b.data[b.from:b.to])
		}
		b.from, b.to = 0, n
	}
	m := copy(dst[n:], b.data[b.start:b.end])
	b.start, b.end = n, n+m
}

// moveTo carries the needed bytes and the state over to n, gives b back, unless that is lent, and
// returns n.
func (b *buffer) moveTo(n *buffer) *buffer {
	b.compact(n.data)
	data, class, aside := n.data, n.class, n.aside
	*n = *b
	n.data, n.class, n.aside = data, class, aside
	if b.lent {
		n.lent, n.retired = false, b
	} else {
		b.free()
	}
	return n
}

// takeBack ends the loan.
func (b *buffer) takeBack() {
	b.lent, b.aside = false, b.aside[:0]
	if b.retired != nil {
		b.retired.free()
		b.retired = nil
	}
}
