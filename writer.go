package reqws

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/reqws/reqws/internal/wire"
)

// writer is the outgoing half of a stream. Whoever sends puts its frames into
// a queue; the first one there writes, for itself and for all who came meanwhile,
// until its own frames are out, and then leaves the rest to the next in the queue.
// So there is no goroutine for writing, senders that meet share a write, and their
// order is that in which they came.
type writer struct {
	conn    net.Conn
	try     tryWriter // writes what goes at once without waiting; nil where the connection cannot
	timeout time.Duration
	deflate *wire.Deflate
	minimum int  // payloads shorter than this go uncompressed
	brittle bool // an interrupted write cannot be taken up again

	mu    sync.Mutex
	busy  bool // somebody leads, or there is nothing to write to yet
	shut  bool // a close frame has been queued: nothing may follow it
	err   error
	head  *sendOp // waiting to be written
	tail  *sendOp
	timed bool       // a write deadline is set
	crowd int8       // counts down the writes since several senders shared one; owned by the leader
	wakes *sync.Pool // channels for those who wait; made when somebody first does
	*work            // nil while nobody writes; owned by the leader
}

// work is what there is to writing while somebody does it.
type work struct {
	flight []*sendOp // being written, in order
	buf    []byte    // encoded, and written up to pos
	pos    int
	packed []byte // a compressed payload
}

// sendOp is one Send, or the replies of one batch.
type sendOp struct {
	frames []Frame
	own    []Frame // where frames were copied to
	ctx    context.Context
	next   *sendOp
	wake   chan bool // while it waits for somebody else's write: true when it is done, false if it is to lead
	err    error

	state     sendState
	lead      bool // to write is up to the one who waits for this op
	cancelled bool // its ctx ended while it was in flight

	frame int // the frame that is to be encoded next,
	off   int // from this byte of its payload on; 0: its header comes first
	body  []byte
	key   uint32
	start int // where its bytes begin and end in the buffer
	end   int
	begun bool // some of its bytes are written
	late  bool // the end of its ctx may still be under way to it: it must not be used again
}

type sendState uint8

const (
	sendQueued sendState = iota
	sendInFlight
	sendDone
)

// writeChunk is about how much is encoded before it is written. Payloads that do
// not fit are masked and written piece by piece.
const writeChunk = 64 << 10

// crowdMemory is after how many writes for a single sender senders count as alone
// again.
const crowdMemory = 16

var (
	opPool   = sync.Pool{New: func() any { return new(sendOp) }}
	workPool = sync.Pool{New: func() any { return &work{buf: make([]byte, 0, writeChunk+writeChunk/8)} }}
)

// newOp makes an op of frames, which it copies: that keeps the variadic slice of
// Send on its caller's stack.
func newOp(frames []Frame) *sendOp {
	op := opPool.Get().(*sendOp)
	op.own = append(op.own[:0], frames...)
	op.frames = op.own
	return op
}

// mostKept is how many frames a pooled op keeps room for.
const mostKept = 64

func (op *sendOp) free() {
	if op.late {
		return
	}
	clear(op.own)
	if cap(op.own) > mostKept {
		op.own = nil
	}
	*op = sendOp{own: op.own[:0]}
	opPool.Put(op)
}

// errCut is a Send whose ctx ended when a part of its frames was written.
var errCut = errors.New("a Send was cut off in the middle of its frames")

// send writes frames that checkFrames found good and returns when they are
// written. ctx bounds it.
func (w *writer) send(ctx context.Context, op *sendOp) error {
	op.ctx = ctx
	w.mu.Lock()
	switch {
	case w.err != nil:
		op.err = w.err
	case w.shut:
		op.err = ErrClosed
	}
	if op.err != nil {
		w.mu.Unlock()
		return op.err
	}
	w.shut = endInClose(op.frames)
	w.push(op)
	if w.busy {
		op.wake = w.borrowWake()
		w.mu.Unlock()
		done := w.await(ctx, op)
		w.wakes.Put(op.wake)
		if done {
			return op.err
		}
	} else {
		w.busy, op.lead = true, true
		w.mu.Unlock()
	}
	w.write(op)
	return op.err
}

// borrowWake lends a channel to wait on. Each writer has its own: a channel must
// not get out of the testing/synctest bubble that it was made in.
func (w *writer) borrowWake() chan bool {
	if w.wakes == nil {
		w.wakes = &sync.Pool{New: func() any { return make(chan bool, 1) }}
	}
	return w.wakes.Get().(chan bool)
}

func (w *writer) push(op *sendOp) {
	if w.tail == nil {
		w.head = op
	} else {
		w.tail.next = op
	}
	w.tail = op
}

// remove takes op out of the queue.
func (w *writer) remove(op *sendOp) {
	var before *sendOp
	for at := w.head; at != nil; before, at = at, at.next {
		if at != op {
			continue
		}
		if before == nil {
			w.head = op.next
		} else {
			before.next = op.next
		}
		if w.tail == op {
			w.tail = before
		}
		op.next = nil
		return
	}
}

// await waits while somebody else writes. It reports whether op is done with; if
// not, its caller has to lead.
func (w *writer) await(ctx context.Context, op *sendOp) (done bool) {
	if ctx.Done() == nil {
		return <-op.wake
	}
	select {
	case done = <-op.wake:
		return done
	case <-ctx.Done():
	}
	if w.withdraw(op) {
		return true
	}
	return <-op.wake // who writes it says what became of it
}

// withdraw takes op back since its ctx has ended. It reports false if that is
// too late, and then makes the write return.
func (w *writer) withdraw(op *sendOp) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if op.state != sendQueued {
		w.interrupt(op)
		return false
	}
	w.remove(op)
	if endInClose(op.frames) {
		w.shut = false
	}
	op.state, op.err = sendDone, op.ctx.Err()
	if op.lead { // just now
		<-op.wake
		w.handOver()
	}
	return true
}

// interrupt makes the write that op is in return now.
func (w *writer) interrupt(op *sendOp) {
	if op.state != sendInFlight {
		return
	}
	op.cancelled = true
	w.timed = true
	_ = w.conn.SetWriteDeadline(aLongTimeAgo)
}

var aLongTimeAgo = time.Unix(1, 0)

// handOver leaves the writing to the next whose frames are not out yet.
func (w *writer) handOver() {
	next := w.head
	if w.work != nil && len(w.flight) > 0 {
		next = w.flight[0]
	}
	if next == nil {
		w.busy = false
		w.rest()
		return
	}
	next.lead = true
	next.wake <- false
}

// rest gives back what only writing needs.
func (w *writer) rest() {
	if w.work == nil {
		return
	}
	clear(w.flight)
	*w.work = work{flight: w.flight[:0], buf: w.buf[:0], packed: w.packed[:0]}
	workPool.Put(w.work)
	w.work = nil
}

// write leads: it writes what is queued until own is out.
func (w *writer) write(own *sendOp) {
	var stop func() bool
	if w.crowd > 0 {
		// Where several sent of late, more are likely to be about to. To let them
		// run and join takes less than a write for each of them.
		runtime.Gosched()
	}
	w.mu.Lock()
	for own.state != sendDone {
		w.load()
		w.mu.Unlock()
		w.encode()
		n, err := w.writeNow(w.buf)
		if err == nil && n < len(w.buf) {
			if stop == nil && own.ctx.Done() != nil {
				stop = w.watch(own)
			}
			var m int
			m, err = w.writeWaiting(w.buf[n:])
			n += m
		}
		w.mu.Lock()
		w.settle(n, err)
	}
	w.handOver()
	w.mu.Unlock()
	if stop != nil && !stop() {
		own.late = true
	}
}

// watch interrupts the write when the ctx of the one who leads it ends.
func (w *writer) watch(own *sendOp) (stop func() bool) {
	return context.AfterFunc(own.ctx, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.interrupt(own)
	})
}

// load moves queued ops into the flight, about as many as fill the buffer.
func (w *writer) load() {
	if w.work == nil {
		w.work = workPool.Get().(*work)
	}
	size := 0
	if w.head != nil {
		for _, op := range w.flight {
			size += op.size()
		}
	}
	for w.head != nil && (size < writeChunk || len(w.flight) == 0) {
		op := w.head
		w.head, op.next = op.next, nil
		op.state = sendInFlight
		w.flight = append(w.flight, op)
		if w.head == nil {
			w.tail = nil
			break
		}
		size += op.size()
	}
	if len(w.flight) > 1 {
		w.crowd = crowdMemory
	} else if w.crowd > 0 {
		w.crowd--
	}
	if w.timed && w.try != nil && !w.cancelled() {
		w.timed = false
		_ = w.conn.SetWriteDeadline(time.Time{})
	}
}

// cancelled reports whether the ctx of an op in flight has ended.
func (w *writer) cancelled() bool {
	return slices.ContainsFunc(w.flight, func(op *sendOp) bool { return op.cancelled })
}

func (op *sendOp) size() int {
	n := 0
	for i := op.frame; i < len(op.frames); i++ {
		n += len(op.frames[i].Data) + 14
	}
	return n - op.off
}

// encode fills the buffer from the flight.
func (w *writer) encode() {
	buf := w.buf
	for _, op := range w.flight {
		if op.frame == len(op.frames) {
			continue // what is left of it is in the buffer already
		}
		if len(buf) >= writeChunk {
			break
		}
		if !op.begun && op.frame == 0 && op.off == 0 {
			op.start = len(buf)
		}
		for op.frame < len(op.frames) && len(buf) < writeChunk {
			buf = w.encodeFrame(buf, op)
		}
		op.end = len(buf)
	}
	w.buf = buf
}

// encodeFrame appends op's next frame to buf, or a piece of it where it is large.
func (w *writer) encodeFrame(buf []byte, op *sendOp) []byte {
	f := &op.frames[op.frame]
	if op.off == 0 {
		switch {
		case f.Kind == KindClose:
			op.frame++
			return wire.AppendClose(buf, uint16(f.Code), f.Data, wire.NewKey())
		case w.deflate != nil && f.Kind <= KindBinary && len(f.Data) >= w.minimum:
			return w.encodeDeflated(buf, op, f)
		case len(f.Data) <= writeChunk/8:
			op.frame++
			return wire.AppendFrame(buf, wire.Opcode(f.Kind), f.Data, wire.NewKey())
		}
		op.body, op.key = f.Data, wire.NewKey()
		buf = wire.AppendHeader(buf, wire.Opcode(f.Kind), true, false, len(op.body), op.key)
	}
	return op.encodePiece(buf)
}

// encodeDeflated begins a compressed message (RFC 7692, section 6.1).
func (w *writer) encodeDeflated(buf []byte, op *sendOp, f *Frame) []byte {
	// One payload at a time is under way, so that one buffer serves them all.
	w.packed = w.deflate.Append(w.packed[:0], f.Data)
	op.body, op.key = w.packed, wire.NewKey()
	buf = wire.AppendHeader(buf, wire.Opcode(f.Kind), true, true, len(op.body), op.key)
	return op.encodePiece(buf)
}

// encodePiece appends what fits of the current frame's payload.
func (op *sendOp) encodePiece(buf []byte) []byte {
	n := min(len(op.body)-op.off, max(writeChunk+writeChunk/16-len(buf), 0))
	at := len(buf)
	buf = slices.Grow(buf, n)[:at+n]
	wire.Mask(buf[at:], op.body[op.off:op.off+n], op.key, op.off)
	op.off += n
	if op.off == len(op.body) {
		op.frame, op.off, op.body = op.frame+1, 0, nil
	}
	return buf
}

// writeNow writes what the connection takes without waiting.
func (w *writer) writeNow(p []byte) (int, error) {
	if w.try == nil {
		return 0, nil
	}
	return w.try.tryWrite(p)
}

// writeWaiting writes p, until the peer has taken nothing for the write timeout.
func (w *writer) writeWaiting(p []byte) (int, error) {
	w.mu.Lock()
	var deadline time.Time
	if w.timeout > 0 {
		deadline = time.Now().Add(w.timeout)
	}
	if w.cancelled() {
		deadline = aLongTimeAgo
	}
	if w.timed || !deadline.IsZero() {
		w.timed = true
		_ = w.conn.SetWriteDeadline(deadline)
	}
	w.mu.Unlock()
	return w.conn.Write(p)
}

// settle takes stock after n bytes of the buffer were written.
func (w *writer) settle(n int, err error) {
	w.pos += n
	w.retire()
	timeout := errors.Is(err, os.ErrDeadlineExceeded)
	switch {
	case w.err != nil:
		err = w.err // the stream ended meanwhile, and knows why
	case timeout && w.cancelled():
		err = w.interrupted()
	case timeout && n > 0:
		err = nil // slow, but not stuck
	case timeout:
		err = fmt.Errorf("the peer took no bytes for the write timeout of %v: %w", w.timeout, err)
	}
	if err != nil {
		w.breakDown(err)
		return
	}
	w.compact()
}

// retire finishes the ops whose bytes are out.
func (w *writer) retire() {
	i := 0
	for ; i < len(w.flight); i++ {
		op := w.flight[i]
		if op.frame < len(op.frames) || op.end > w.pos {
			op.begun = op.begun || op.start < w.pos
			break
		}
		op.done(nil)
	}
	w.flight = w.flight[:copy(w.flight, w.flight[i:])]
}

func (op *sendOp) done(err error) {
	op.state, op.err = sendDone, err
	if !op.lead { // else it is who leads that finds out
		op.wake <- true
	}
}

// compact makes room in the buffer for the next round.
func (w *writer) compact() {
	rest := copy(w.buf, w.buf[w.pos:])
	w.buf = w.buf[:rest]
	for _, op := range w.flight {
		op.start, op.end = max(op.start-w.pos, 0), max(op.end-w.pos, 0)
	}
	w.pos = 0
}

// interrupted sorts out a write that was stopped since the ctx of one of its
// ops ended. An op that was cut in two takes the stream with it; what was not begun is
// taken back, and encoded anew if it is still wanted.
func (w *writer) interrupted() error {
	var kept, back []*sendOp
	end := w.pos
	for _, op := range w.flight {
		switch {
		case op.cancelled && (op.begun || w.brittle):
			return fmt.Errorf("%w: %w", errCut, op.ctx.Err())
		case op.begun:
			kept, end = append(kept, op), op.end
		case op.cancelled:
			if endInClose(op.frames) {
				w.shut = false
			}
			op.done(op.ctx.Err())
		default:
			back = append(back, op)
		}
	}
	w.flight = kept
	w.buf = w.buf[:end]
	w.requeue(back)
	return nil
}

// isBrittle reports whether a write to conn that was interrupted cannot be taken
// up again: TLS has then lost its place, and a body has been closed.
func isBrittle(conn net.Conn) bool {
	switch conn.(type) {
	case *tls.Conn, *bodyConn:
		return true
	}
	return false
}

// requeue puts ops that were encoded in vain back to the front of the queue. A
// compressor starts over with them: the peer never sees what it had compressed.
func (w *writer) requeue(ops []*sendOp) {
	for _, op := range slices.Backward(ops) {
		op.state, op.frame, op.off, op.body = sendQueued, 0, 0, nil
		if op.next = w.head; w.head == nil {
			w.tail = op
		}
		w.head = op
	}
	if w.deflate != nil {
		w.deflate.Reset()
	}
}

// breakDown fails everything that is not written, now and from now on.
func (w *writer) breakDown(err error) {
	if w.err == nil {
		w.err = err
	}
	for _, op := range w.flight {
		op.done(err)
	}
	w.flight = w.flight[:0]
	for w.head != nil {
		op := w.head
		w.head, op.next = op.next, nil
		op.done(err)
	}
	w.tail = nil
}

// stop fails what waits and what is still to come. What is in flight is up to
// its leader, whom the closing of the connection wakes.
func (w *writer) stop(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = err
	}
	for w.head != nil {
		op := w.head
		w.remove(op)
		op.done(w.err)
	}
}

// broken reports whether the connection can no longer be written to.
func (w *writer) broken() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err != nil
}

// releaseDeflate gives the compressor's memory back, after stop.
func (w *writer) releaseDeflate() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.deflate != nil && !w.busy {
		w.deflate.Release()
		w.deflate = nil
	}
}

// closing reports whether a close frame was queued.
func (w *writer) closing() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.shut
}

// farewell writes a close frame if that can be done right now: no one else is
// writing, and the connection takes it within a moment.
func (w *writer) farewell(code websocket.StatusCode) {
	w.mu.Lock()
	if w.busy || w.shut || w.err != nil {
		w.mu.Unlock()
		return
	}
	w.busy, w.shut = true, true
	w.mu.Unlock()
	_ = w.conn.SetWriteDeadline(time.Now().Add(farewellTime))
	_, _ = w.conn.Write(wire.AppendClose(nil, uint16(code), nil, wire.NewKey()))
	w.mu.Lock()
	w.handOver()
	w.mu.Unlock()
}

// farewellTime is how long the last close frame of a stream that is being given
// up may hold it up.
const farewellTime = 100 * time.Millisecond
