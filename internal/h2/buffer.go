package h2

import "sync"

const (
	smallChunk = 2 << 10
	largeChunk = 32 << 10
)

// chunk is a piece of received data; buf[r:w] has not been read yet.
type chunk struct {
	next *chunk
	buf  []byte
	r, w int
}

var (
	smallChunks = sync.Pool{New: func() any { return &chunk{buf: make([]byte, smallChunk)} }}
	largeChunks = sync.Pool{New: func() any { return &chunk{buf: make([]byte, largeChunk)} }}
)

// buffer is a queue of bytes in chunks lent by the pools: empty, it holds no memory.
// Every chunk in it has something to read.
type buffer struct {
	head, tail *chunk
}

func (b *buffer) empty() bool { return b.head == nil }

// write appends a copy of p.
func (b *buffer) write(p []byte) {
	for len(p) > 0 {
		if b.tail == nil || b.tail.w == len(b.tail.buf) {
			b.grow(len(p))
		}
		n := copy(b.tail.buf[b.tail.w:], p)
		b.tail.w += n
		p = p[n:]
	}
}

// grow appends a chunk: a small one if it is all that the buffer needs now.
func (b *buffer) grow(need int) {
	pool := &largeChunks
	if b.tail == nil && need <= smallChunk {
		pool = &smallChunks
	}
	k := pool.Get().(*chunk)
	if b.tail == nil {
		b.head = k
	} else {
		b.tail.next = k
	}
	b.tail = k
}

// read moves bytes into p, as many as there are.
func (b *buffer) read(p []byte) int {
	n := 0
	for n < len(p) && b.head != nil {
		k := b.head
		m := copy(p[n:], k.buf[k.r:k.w])
		k.r += m
		n += m
		if k.r == k.w {
			b.drop()
		}
	}
	return n
}

// drop gives the first chunk back.
func (b *buffer) drop() {
	k := b.head
	if b.head = k.next; b.head == nil {
		b.tail = nil
	}
	k.next, k.r, k.w = nil, 0, 0
	if len(k.buf) == smallChunk {
		smallChunks.Put(k)
	} else {
		largeChunks.Put(k)
	}
}

func (b *buffer) free() {
	for b.head != nil {
		b.drop()
	}
}
