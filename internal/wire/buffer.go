package wire

import (
	"math/bits"
	"sync"
)

// Read buffers come in size classes: 4 KiB, 16 KiB, then 64 KiB and each doubling of it, these with
// room to spare so that a message of 2^n bytes fits with its header and the next frame's begin.
const (
	classSmall  = 0
	classAhead  = 2  // the largest for reading ahead; only a frame that needs more gets more
	classPooled = 10 // 16 MiB, the default limit of a message; larger ones are left to the GC
	spare       = 8 << 10

	overhang = 16 // capacity behind a buffer's length, for deflateTail
)

func classSize(class uint8) int {
	if class < classAhead {
		return 4<<10<<(2*class) - overhang
	}
	return 64<<10<<(class-classAhead) + spare - overhang
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
	return classAhead + uint8(bits.Len(uint(n-spare+overhang-1)>>16))
}

// buffer is what a Reader needs only while bytes are there to work on. The bytes that are not
// consumed lie in one piece of data:
//
//	delivered | data[from:to] the message so far | gap of consumed headers | data[start:end] unparsed
//
// Without a message in progress, only the unparsed bytes.
type buffer struct {
	data       []byte
	start, end int
	from, to   int
	checked    int // data[from:checked] is whole, valid code points
	left       int // payload bytes of the current frame that are still to come
	class      uint8
	assembling bool // a message has begun and is not delivered
	inFrame    bool // inside the payload of one of its frames
	op         Opcode
	fin, rsv1  bool
	aside      []byte // control payloads from between fragments: the message takes their place
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
	return &buffer{data: make([]byte, classSize(class), classSize(class)+overhang), class: class}
}

func (b *buffer) free() {
	if b.class > classPooled {
		return
	}
	*b = buffer{data: b.data, class: b.class, aside: b.aside[:0]}
	pools[b.class].Put(b)
}

// first is where the bytes begin that are still needed.
func (b *buffer) first() int {
	if b.assembling {
		return b.from
	}
	return b.start
}

// compact moves the needed bytes to the front of dst, which may be b.data itself, and closes the gap
// between them.
func (b *buffer) compact(dst []byte) {
	n := 0
	if b.assembling {
		n = b.to - b.from
		if &dst[0] != &b.data[0] || b.from > 0 {
			copy(dst, b.data[b.from:b.to])
		}
		b.checked -= b.from
		b.from, b.to = 0, n
	}
	m := copy(dst[n:], b.data[b.start:b.end])
	b.start, b.end = n, n+m
}

// moveTo carries the needed bytes and the state over to n, gives b back and returns n.
func (b *buffer) moveTo(n *buffer) *buffer {
	b.compact(n.data)
	data, class, aside := n.data, n.class, n.aside
	*n = *b
	n.data, n.class, n.aside = data, class, aside
	b.free()
	return n
}
