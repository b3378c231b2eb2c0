package reqws

import (
	"bytes"
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

	"github.com/reqws/reqws/internal/netconn"
	"github.com/reqws/reqws/internal/wire"
)

// writer is the outgoing half of a stream. Whoever sends puts its frames into a queue; the
// first one there leads: it writes, for itself and for all who came meanwhile, as much
// as the connection takes at once. Senders that meet share a write, and their order is that
// in which they came. When the connection takes no more, a goroutine of the writer's takes
// over until all is written, so that no sender is ever stuck in a write: each waits for its
// own frames, and no longer than its ctx.
//
// One owner at each time: who set busy (a leader, or the goroutine that it left the rest to)
// alone touches work and the connection, until it hands over or clears busy.
type writer struct {
	conn    net.Conn         // takes the bytes; where the TLS is ours, what is below it
	tls     *tls.Conn        // encrypts them before, where it is ours: see tlsLink
	link    *netconn.TLSLink // between the two
	try     tryWriter        // conn, where it can write without waiting
	fragile bool             // an interrupted write to conn could not be taken up again
	timeout time.Duration
	deflate *wire.Deflate
	minimum int                             // payloads shorter than this go uncompressed
	owner   interface{ writeFailed(error) } // told why writing has failed, once, with mu held

	mu       sync.Mutex
	busy     bool // somebody leads, or there is nothing to write to yet
	waiting  bool // the owner of busy waits in a write
	shut     bool // a close frame has been queued: nothing may follow it
	timed    bool // a write deadline is set
	quitting bool // the writing is to stop where it is
	crowd    int8 // counts down the writes since several senders shared one
	err      error
	head     *sendOp       // waiting to be written
	tail     *sendOp       // the last of them
	pong     *sendOp       // an automatic pong among them, which a later one replaces
	idle     chan struct{} // closed when busy is cleared; made by who waits for that
	wakes    *sync.Pool    // channels for those who wait; made when somebody first does
	*work                  // nil while nobody writes
}

// work is what there is to writing while somebody does it.
type work struct {
	flight []*sendOp // being written, in order
	buf    []byte    // encoded,
	pos    int       // and out up to here: written, or encrypted
	sealed []byte    // encrypted,
	out    int       // and written up to here
	packed []byte    // a compressed payload
	lent   int       // bytes behind pos that a fragile connection may have taken
	since  time.Time // when the connection last took something
	of     *writer
	flush  func() // flushAll of that, made once since to begin a goroutine is to allocate else
}

// sendOp is one Send, or the replies of one batch.
type sendOp struct {
	frames []Frame
	own    []Frame // where frames were copied to
	ctx    context.Context
	s      *stream // whose loop may be the one that waits, from inside a handler
	next   *sendOp
	wake   chan bool // while it waits for somebody else's write: true when it is done, false if it is to lead
	err    error

	state     sendState
	lead      bool // to write is up to the one who waits for this op
	orphan    bool // nobody waits for it
	replies   bool // of the loop's
	cancelled bool // its ctx ended while it was in flight

	frame   int // the frame that is to be encoded next,
	off     int // from this byte of its payload on; 0: its header comes first
	body    []byte
	key     uint32
	start   int // where its bytes begin and end in the buffer
	end     int
	encoded bool // it has bytes there, or had some
	begun   bool // some of its bytes left the buffer
}

type sendState uint8

const (
	sendQueued sendState = iota
	sendInFlight
	sendDone
)

const (
	// writeChunk is about how much is encoded before it is written. Payloads that do
	// not fit are masked and written piece by piece.
	writeChunk = 64 << 10
	// fragilePiece is how much a fragile connection is given at once: that it took one
	// is all one learns of its progress.
	fragilePiece = 4 << 10
	// sealedPiece is how much is encrypted at once while the connection takes little,
	// since what is encrypted cannot be taken back: a whole record.
	sealedPiece = 16 << 10
	// crowdMemory is after how many writes for a single sender senders count as alone
	// again.
	crowdMemory = 16
	// mostKept is how many frames, and mostPacked how many bytes of a compressed payload,
	// pooled memory keeps room for.
	mostKept   = 64
	mostPacked = 256 << 10
)

var (
	opPool   = sync.Pool{New: func() any { return new(sendOp) }}
	workPool sync.Pool
)

func newWork() *work {
	if k, ok := workPool.Get().(*work); ok {
		return k
	}
	k := &work{buf: make([]byte, 0, writeChunk+writeChunk/8)}
	k.flush = func() { k.of.flushAll() }
	return k
}

// newOp makes an op of frames, which it copies: that keeps the variadic slice of
// Send on its caller's stack.
func newOp(frames []Frame) *sendOp {
	op := opPool.Get().(*sendOp)
	op.own = append(op.own[:0], frames...)
	op.frames = op.own
	return op
}

func (op *sendOp) free() {
	clear(op.own)
	if cap(op.own) > mostKept {
		op.own = nil
	}
	*op = sendOp{own: op.own[:0]}
	opPool.Put(op)
}

// errCut is a Send whose ctx ended when a part of its frames was written.
var errCut = errors.New("a Send was cut off in the middle of its frames")

// attach gives w the connection that it writes to.
func (w *writer) attach(conn net.Conn, try tryWriter) {
	w.conn, w.try, w.err = conn, try, nil
	secured, ok := conn.(*tls.Conn)
	if !ok {
		_, w.fragile = conn.(*netconn.Body)
		return
	}
	link, ok := secured.NetConn().(*netconn.TLSLink)
	if !ok {
		w.fragile = true // a TLS write that was interrupted has lost its place
		return
	}
	link.Hold()
	below := netconn.WithoutRest(link.Conn)
	_, w.fragile = below.(*tls.Conn)
	w.tls, w.link, w.conn = secured, link, below
	w.try = nil
	if raw := rawSourceOf(below); raw != nil {
		w.try = raw
	}
}

// send writes frames that checkFrames found good and returns when they are
// written. ctx bounds it.
func (w *writer) send(ctx context.Context, op *sendOp) error {
	op.ctx = ctx
	w.mu.Lock()
	if err := w.refusal(); err != nil {
		w.mu.Unlock()
		return err
	}
	w.shut = endInClose(op.frames)
	w.push(op)
	if w.busy {
		op.wake = w.borrowWake()
		w.mu.Unlock()
		return w.await(op)
	}
	w.busy, op.lead = true, true
	return w.lead(op)
}

// refusal says why nothing can be queued. mu is held.
func (w *writer) refusal() error {
	if w.err == nil && w.shut {
		return ErrClosed
	}
	return w.err
}

// answer sends automatic pongs and waits for nothing. While others write only the last
// one is kept: that answers all pings before it (RFC 6455, section 5.5.3).
func (w *writer) answer(pongs []Frame) {
	w.mu.Lock()
	if w.refusal() != nil {
		w.mu.Unlock()
		return
	}
	if w.busy {
		w.keepPong(pongs[len(pongs)-1].Data)
		w.mu.Unlock()
		return
	}
	w.busy = true
	op := opPool.Get().(*sendOp)
	op.frames = pongs
	w.writeOrphan(op)
}

// keepPong queues a pong, in place of one that is still waiting. mu is held.
func (w *writer) keepPong(payload []byte) {
	if w.pong != nil {
		f := &w.pong.own[0]
		f.Data = append(f.Data[:0], payload...)
		return
	}
	op := newOp([]Frame{Pong(bytes.Clone(payload))})
	op.ctx, op.orphan = context.Background(), true
	w.pong = op
	w.unshift(op)
}

// farewell sends a close frame if that can be done right now: nobody else is writing,
// and the connection takes it within a moment.
func (w *writer) farewell(code websocket.StatusCode) {
	w.mu.Lock()
	if w.busy || w.refusal() != nil {
		w.mu.Unlock()
		return
	}
	w.busy, w.shut = true, true
	w.writeOrphan(newOp([]Frame{Close(code, "")}))
	w.awaitIdle(farewellTime)
}

// farewellTime is how long the last close frame of a stream that is being given
// up may hold it up.
const farewellTime = 100 * time.Millisecond

// writeOrphan leads for an op that nobody waits for, as far as the connection takes
// it. mu is held, and given up.
func (w *writer) writeOrphan(op *sendOp) {
	op.ctx, op.lead = context.Background(), true
	w.push(op)
	blocked := false
	for op.state != sendDone && !blocked {
		blocked = w.round()
	}
	switch {
	case op.state == sendDone:
		op.free()
	case op.frame < len(op.frames):
		// The payloads of what is not encoded yet are only lent for now.
		last := &op.frames[len(op.frames)-1]
		op.frames = op.frames[:op.frame]
		w.keepPong(last.Data)
		fallthrough
	default:
		op.lead, op.orphan = false, true
	}
	if blocked {
		go w.flush()
	} else {
		w.handOver()
	}
	w.mu.Unlock()
}

// lead writes until own is done. When the connection takes no more, it leaves the rest to a
// goroutine, and waits. mu is held, and given up.
func (w *writer) lead(own *sendOp) error {
	if w.crowd > 0 {
		// Where several sent of late, more are likely to be about to. To let them
		// run and join takes less than a write for each of them.
		w.mu.Unlock()
		runtime.Gosched()
		w.mu.Lock()
	}
	blocked := false
	for own.state != sendDone && !blocked {
		blocked = w.round()
	}
	done := own.state == sendDone
	if !done {
		own.lead, own.wake = false, w.borrowWake()
	}
	if blocked {
		go w.flush()
	} else {
		w.handOver()
	}
	w.mu.Unlock()
	if !done {
		return w.await(own)
	}
	return own.err
}

// flushAll writes all that there is, waiting where it must. It is the goroutine that
// a leader leaves a connection to that takes no more.
func (w *writer) flushAll() {
	w.mu.Lock()
	w.since = time.Now()
	for w.err == nil && !w.quitting {
		if len(w.unwritten()) > 0 {
			n, err := w.writeWaiting()
			w.settle(n, err)
		} else if len(w.flight) > 0 || w.head != nil || w.pos < len(w.buf) {
			w.round()
		} else {
			break
		}
	}
	if w.err != nil {
		w.breakDown(w.err)
	}
	w.rest()
	w.mu.Unlock()
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

// unshift puts op in front of the queue.
func (w *writer) unshift(op *sendOp) {
	if op.next = w.head; w.head == nil {
		w.tail = op
	}
	w.head = op
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

// await waits while others write op, or until it is op's turn to lead.
func (w *writer) await(op *sendOp) error {
	var done bool
	if op.s != nil {
		op.s.lookOut(op)
	}
	select {
	case done = <-op.wake:
	case <-op.ctx.Done():
		if done = w.withdraw(op); !done {
			done = <-op.wake // who writes it says what became of it
		}
	}
	w.wakes.Put(op.wake)
	op.wake = nil
	if !done {
		w.mu.Lock()
		return w.lead(op)
	}
	return op.err
}

// withdraw takes op back since its ctx has ended. It reports false if that is for
// who writes it to do.
func (w *writer) withdraw(op *sendOp) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case op.state == sendDone || op.lead && op.state != sendQueued:
		return false
	case op.state == sendInFlight:
		op.cancelled = true
		switch {
		case !w.waiting: // it looks before it waits
		case w.fragile:
			if err := w.sortOut(); err != nil {
				w.breakDown(err)
			}
		default:
			w.interrupt()
		}
		return false
	}
	w.remove(op)
	w.reopen(op)
	op.state, op.err = sendDone, op.ctx.Err()
	if op.lead { // just now
		<-op.wake
		w.handOver()
	}
	return true
}

// reopen takes back that nothing may follow op, which is not sent.
func (w *writer) reopen(op *sendOp) {
	if endInClose(op.frames) {
		w.shut = false
	}
}

// interrupt makes a write that waits return. mu is held.
func (w *writer) interrupt() {
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
	switch {
	case w.err != nil:
		w.breakDown(w.err) // what a writer that quit has left in flight, too
		w.rest()
	case next == nil || w.quitting:
		w.rest()
	case next.orphan:
		w.load()
		go w.flush()
	default:
		next.lead = true
		next.wake <- false
	}
}

// rest ends the writing for now, and gives back what only writing needs.
func (w *writer) rest() {
	w.busy, w.quitting = false, false
	if w.idle != nil {
		close(w.idle)
		w.idle = nil
	}
	if w.work == nil || len(w.flight) > 0 {
		return
	}
	clear(w.flight[:cap(w.flight)])
	if cap(w.flight) > mostKept {
		w.flight = nil
	}
	if cap(w.packed) > mostPacked {
		w.packed = nil
	}
	if cap(w.sealed) > 2*writeChunk {
		w.sealed = nil
	}
	*w.work = work{flight: w.flight[:0], buf: w.buf[:0], sealed: w.sealed[:0], packed: w.packed[:0], flush: w.flush}
	workPool.Put(w.work)
	w.work = nil
}

// round writes what is queued, as far as it fits into the buffer and the connection
// takes it at once. It reports whether something is left that the connection does not take
// now. mu is held, but not while it works.
func (w *writer) round() (blocked bool) {
	w.load()
	w.mu.Unlock()
	w.encode()
	n, err := w.writeNow()
	w.mu.Lock()
	w.settle(n, err)
	return w.err == nil && len(w.unwritten()) > 0
}

// load moves queued ops into the flight, about as many as fill the buffer.
func (w *writer) load() {
	if w.work == nil {
		w.work = newWork()
		w.of = w
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
		if op == w.pong {
			w.pong = nil
		}
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
	if w.timed {
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
		if !op.encoded {
			op.encoded, op.start = true, len(buf)
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

// unwritten is what the connection is to take next.
func (w *writer) unwritten() []byte {
	switch {
	case w.work == nil:
		return nil
	case w.tls != nil:
		return w.sealed[w.out:]
	}
	return w.buf[w.pos:]
}

// writeNow writes what the connection takes without waiting.
func (w *writer) writeNow() (int, error) {
	if w.tls != nil && len(w.unwritten()) == 0 {
		if err := w.encrypt(); err != nil {
			return 0, err
		}
	}
	if w.try == nil {
		return 0, nil
	}
	return w.try.tryWrite(w.unwritten())
}

// encrypt passes on what is encoded: all of it, but not much while the connection is slow,
// for what is encrypted cannot be taken back.
func (w *writer) encrypt() error {
	p := w.buf[w.pos:]
	if !w.since.IsZero() {
		p = p[:min(len(p), sealedPiece)]
	}
	w.link.Lend(w.sealed)
	_, err := w.tls.Write(p)
	w.sealed, w.out = w.link.Take(), 0
	if err == nil {
		w.pos += len(p)
	}
	return err
}

// writeWaiting writes a part of what there is, waiting until the connection takes
// some of it, or has taken nothing for the write timeout. mu is held, but not while it waits.
func (w *writer) writeWaiting() (n int, err error) {
	if w.cancelled() {
		return 0, nil
	}
	p := w.unwritten()
	var deadline time.Time
	if w.timeout > 0 {
		deadline = w.since.Add(w.timeout)
	}
	switch {
	case w.try != nil:
	case w.fragile:
		p = p[:min(len(p), fragilePiece)]
		if w.tls == nil {
			w.lent = len(p)
		}
	case w.timeout > 0:
		// One write may report what it took early only at its deadline.
		if slice := time.Now().Add(w.timeout / 32); slice.Before(deadline) {
			deadline = slice
		}
	}
	w.timed, w.waiting = true, true
	_ = w.conn.SetWriteDeadline(deadline)
	w.mu.Unlock()
	if w.try != nil {
		n, err = w.try.writeSome(p)
	} else {
		n, err = w.conn.Write(p)
	}
	w.mu.Lock()
	w.waiting, w.lent = false, 0
	if n > 0 {
		w.since = time.Now()
	}
	return n, err
}

// settle takes stock after n bytes were written.
func (w *writer) settle(n int, err error) {
	if w.tls != nil {
		w.out += n
	} else {
		w.pos += n
	}
	w.retire()
	late := errors.Is(err, os.ErrDeadlineExceeded)
	switch {
	case w.err != nil:
		err = w.err // the stream ended meanwhile, and knows why
	case late && w.quitting:
		err = nil
	case late && !w.fragile && (n > 0 || w.cancelled() || time.Since(w.since) < w.timeout):
		err = nil // the peer is slow, or the write was interrupted
	case late:
		err = fmt.Errorf("the peer took no bytes for the write timeout of %v: %w", w.timeout, err)
	}
	if err == nil && w.cancelled() {
		err = w.sortOut()
	}
	if err != nil {
		w.breakDown(err)
		return
	}
	w.compact()
}

// handed reports whether some of op's bytes have left the buffer, and whether all have.
func (w *writer) handed(op *sendOp) (some, all bool) {
	to := w.pos + w.lent
	some = op.begun || op.encoded && op.start < to
	return some, some && op.frame == len(op.frames) && op.end <= to
}

// retire finishes the ops whose bytes are out.
func (w *writer) retire() {
	i := 0
	for ; i < len(w.flight); i++ {
		op := w.flight[i]
		some, all := w.handed(op)
		op.begun = some
		if !all || w.tls != nil && w.out < len(w.sealed) {
			break
		}
		op.done(nil)
	}
	w.drop(i)
}

// drop takes the first n ops out of the flight.
func (w *writer) drop(n int) {
	if n > 0 {
		rest := copy(w.flight, w.flight[n:])
		clear(w.flight[rest:])
		w.flight = w.flight[:rest]
	}
}

func (op *sendOp) done(err error) {
	op.state, op.err = sendDone, err
	switch {
	case op.orphan:
		op.free()
	case !op.lead: // else it is who leads that finds out
		op.wake <- true
	}
}

// compact makes room in the buffer for the next round.
func (w *writer) compact() {
	if w.pos == 0 {
		return
	}
	for _, op := range w.flight {
		op.begun, _ = w.handed(op)
		op.start, op.end = max(op.start-w.pos, 0), max(op.end-w.pos, 0)
	}
	rest := copy(w.buf, w.buf[w.pos:])
	w.buf = w.buf[:rest]
	w.pos = 0
}

// sortOut settles the ops whose ctx has ended. One of which nothing has left the buffer is
// taken back, and what stands behind it is encoded anew. One that was cut in two takes the
// stream with it. Where all of it was handed down, and cannot be taken back without breaking
// the connection for others, it counts as sent.
func (w *writer) sortOut() error {
	alone := w.inHand() == 1
	for _, op := range w.flight { // before any of them is done
		if some, all := w.handed(op); op.cancelled && some && (!all || alone && w.out > 0) {
			return fmt.Errorf("%w: %w", errCut, op.ctx.Err())
		}
	}
	var kept, back []*sendOp
	end := w.pos + w.lent
	for _, op := range w.flight {
		some, _ := w.handed(op)
		switch {
		case !op.cancelled && some:
			kept, end = append(kept, op), max(end, op.end)
		case !op.cancelled:
			back = append(back, op)
		case !some:
			w.reopen(op)
			op.done(op.ctx.Err())
		default:
			op.done(nil)
		}
	}
	clear(w.flight)
	w.flight = append(w.flight[:0], kept...)
	w.buf = w.buf[:end]
	w.requeue(back)
	return nil
}

// inHand counts the ops in flight that have bytes outside the buffer.
func (w *writer) inHand() int {
	n := 0
	for _, op := range w.flight {
		if some, _ := w.handed(op); some {
			n++
		}
	}
	return n
}

// requeue puts ops that were encoded in vain back to the front of the queue. A
// compressor starts over with them: the peer never sees what it had compressed.
func (w *writer) requeue(ops []*sendOp) {
	for _, op := range slices.Backward(ops) {
		op.state, op.frame, op.off, op.body, op.encoded = sendQueued, 0, 0, nil, false
		w.unshift(op)
	}
	if w.deflate != nil {
		w.deflate.Reset()
	}
}

// breakDown fails everything that is not written, now and from now on.
func (w *writer) breakDown(err error) {
	if w.err == nil {
		w.err = err
		w.owner.writeFailed(err) // before anybody learns of it from a Send
	}
	if w.work != nil {
		for _, op := range w.flight {
			op.done(w.err)
		}
		w.drop(len(w.flight))
	}
	w.failQueue()
}

func (w *writer) failQueue() {
	for w.head != nil {
		op := w.head
		w.head, op.next = op.next, nil
		op.done(w.err)
	}
	w.tail, w.pong = nil, nil
}

// stop fails what waits and what is still to come. What is in flight is up to who
// writes it, whom the closing of the connection wakes.
func (w *writer) stop(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil || w.conn == nil {
		w.err = err
	}
	if !w.busy {
		w.breakDown(w.err)
	} else {
		w.failQueue()
	}
}

// giveUp makes all that is not written fail with err. What is in flight is up to who
// writes it.
func (w *writer) giveUp(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return
	}
	w.err = err
	w.owner.writeFailed(err)
	w.failQueue()
	if w.waiting {
		w.interrupt()
	}
}

// quit stops the writing where it is, and waits a moment for that: whatever has failed is known
// to the owner then. A connection whose deadlines do not work is not waited for.
func (w *writer) quit() {
	w.mu.Lock()
	if w.busy && w.conn != nil {
		w.quitting = true
		w.interrupt()
	}
	w.mu.Unlock()
	w.awaitIdle(farewellTime)
}

// awaitIdle waits until nobody writes, or for d where that is above 0.
func (w *writer) awaitIdle(d time.Duration) {
	w.mu.Lock()
	if !w.busy {
		w.mu.Unlock()
		return
	}
	if w.idle == nil {
		w.idle = make(chan struct{})
	}
	idle := w.idle
	w.mu.Unlock()
	if d == 0 {
		<-idle
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-idle:
	case <-timer.C:
	}
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

// leaving reports whether a close frame is being written, or was: one that is still in the queue,
// where it is the last, may yet be taken back.
func (w *writer) leaving() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.shut && (w.tail == nil || !endInClose(w.tail.frames))
}

// closing reports whether a close frame was queued.
func (w *writer) closing() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.shut
}
