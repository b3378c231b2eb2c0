package conn

import (
	"bytes"
	"crypto/tls"
	"reflect"
	"sync"
	"unsafe"
)

// Package tls keeps two buffers for good that are empty most of the time: what it has read of the next
// record, as large as the largest so far, and what it has of a handshake message, as large as the server's
// certificates. For an idle connection that is more than all else that is not keys: 3 KB with one small certificate,
// 20 KB or more after a full record. There is no way to say that they are not needed now, so this file
// looks for them in the Conn: where they are not what they were in the Go this was written for they stay
// as they are, which a test tells.

// tlsBuffers are the two, and what TLS has not returned of a record, which lies in the first; each nil if it was not
// found.
type tlsBuffers struct {
	record, message *bytes.Buffer
	input           *bytes.Reader
	lent            *[]byte // to record
}

var (
	recordAt, recordFound   = offsetIn[bytes.Buffer]("rawInput")
	messageAt, messageFound = offsetIn[bytes.Buffer]("hand")
	inputAt, inputFound     = offsetIn[bytes.Reader]("input")
)

func offsetIn[T any](field string) (offset uintptr, ok bool) {
	f, ok := reflect.TypeFor[tls.Conn]().FieldByName(field)
	return f.Offset, ok && f.Type == reflect.TypeFor[T]()
}

func buffersOf(c *tls.Conn) (b tlsBuffers) {
	if recordFound && messageFound && inputFound {
		b.record = (*bytes.Buffer)(unsafe.Add(unsafe.Pointer(c), recordAt))
		b.message = (*bytes.Buffer)(unsafe.Add(unsafe.Pointer(c), messageAt))
		b.input = (*bytes.Reader)(unsafe.Add(unsafe.Pointer(c), inputAt))
	}
	return b
}

// The pools hold *[]byte, for the records of connections that have something to read. TLS reads as much as there
// is room for: of a stream that it does not keep up with several records, as wire.Reader reads such a stream.
var (
	recordPool = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}
	widePool   = sync.Pool{New: func() any { b := make([]byte, 0, wideRecords); return &b }}
)

const wideRecords = 256 << 10

// lend gives TLS a buffer to read into, where it has none. Who reads calls it, as with what follows.
func (b *tlsBuffers) lend() {
	if b.record != nil && b.record.Cap() == 0 {
		b.exchange(&recordPool)
	}
}

// exchange has TLS go on with a buffer of another pool. It has returned all of its last record.
func (b *tlsBuffers) exchange(pool *sync.Pool) {
	next := pool.Get().(*[]byte)
	held := append(*next, b.record.Bytes()...)
	b.giveBack()
	*b.record = *bytes.NewBuffer(held)
	b.lent = next
}

// giveBack ends the loan. What was lent may have grown.
func (b *tlsBuffers) giveBack() {
	if b.lent == nil {
		return
	}
	b.record.Reset()
	*b.lent = b.record.AvailableBuffer()
	if b.wide() {
		widePool.Put(b.lent)
	} else {
		recordPool.Put(b.lent)
	}
	b.lent = nil
}

// wide reports whether TLS has a large buffer of ours.
func (b *tlsBuffers) wide() bool { return b.lent != nil && b.record.Cap() >= wideRecords }

// empty reports whether TLS has read nothing that it has not returned, as far as that is known.
func (b *tlsBuffers) empty() bool {
	return b.record != nil && b.record.Len() == 0 && b.input.Len() == 0
}

// takeBack lets go of the buffers that are empty.
func (b *tlsBuffers) takeBack() {
	if !b.empty() {
		return
	}
	b.input.Reset(nil)
	b.giveBack()
	*b.record = bytes.Buffer{}
	if b.message.Len() == 0 {
		*b.message = bytes.Buffer{}
	}
}
