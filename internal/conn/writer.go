package conn

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/reqws/reqws/internal/netconn"
	"github.com/reqws/reqws/internal/wire"
)

// Writer is the outgoing half of a connection. Whoever sends puts its frames into a queue; the
// first one there leads: it writes, for itself and for all who came meanwhile, as much
// as the connection takes at once. Senders that meet share a write, and their order is that
// in which they came. When the connection takes no more, a goroutine of the writer's takes
// over until all is written, so that no sender is ever stuck in a write: each waits for its
// own frames, and no longer than its ctx.
//
// One owner at each time: who set busy (a leader, or the goroutine that it left the rest to)
// alone touches work and the connection, until it hands over or clears busy.
type Writer struct {
	conn    net.Conn         // takes the bytes; where the TLS is ours, what is below it
	tls     *tls.Conn        // encrypts them before, where it is ours
	link    *netconn.TLSLink // between the two
	try     TryWriter        // conn, where it can write without waiting
	watcher Watcher          // nil: nobody watches
	fragile bool             // an interrupted write to conn could not be taken up again
	timeout time.Duration
	deflate *wire.Deflate
	minimum int // payloads shorter than this go uncompressed
	owner   Owner
	closed  error         // what sending fails with behind a close frame
	taken   atomic.Uint32 // counts the writes that the connection took something of

	mu       sync.Mutex
	busy     bool // somebody leads, or there is nothing to write to yet
	waiting  bool // the owner of busy waits in a write
	shut     bool // a close frame has been queued: nothing may follow it
	timed    bool // a write deadline is set
	quitting bool // the writing is to stop where it is
	crowd    int8 // counts down the writes since several senders shared one
	err      error
	head     *Op           // waiting to be written
	tail     *Op           // the last of them
	pong     *Op           // an automatic pong among them, which a later one replaces
	message  *Message      // under way: no data of others until its last fragment
	idle     chan struct{} // closed when busy is cleared; made by who waits for that
	wakes    *sync.Pool    // channels for those who wait; made when somebody first does
	*work                  // nil while nobody writes
}

// Owner is what a Writer writes for.
type Owner interface {
	// WriteFailed is told why writing has failed, once, with the writer's lock held.
	WriteFailed(error)
	// Blocked is called by the goroutine of a Send or Reply before it waits for others to write
	// op. It returns when op.Woken, or when the ctx of that call has ended, if not earlier.
	Blocked(op *Op)
}

// Options says how a Writer writes.
type Options struct {
	Timeout time.Duration // how long the peer may take nothing; 0: for ever
	Deflate *wire.DeflateParams
	Watcher Watcher // nil: nobody watches
}

// errCut is a Send whose ctx ended when a part of its frames was written.
var errCut = errors.New("a Send was cut off in the middle of its frames")

// Init readies w for a connection that is not there yet: until Open, and behind a close frame,
// sending fails with closed.
func (w *Writer) Init(owner Owner, closed error) { w.owner, w.closed, w.err = owner, closed, closed }

// Open gives w the connection that it writes to. try is that, if it can write without waiting.
func (w *Writer) Open(to net.Conn, try TryWriter, o Options) {
	w.timeout, w.watcher = o.Timeout, o.Watcher
	if o.Deflate != nil {
		w.deflate, w.minimum = wire.NewDeflate(*o.Deflate), deflateThreshold(o.Deflate)
	}
	w.conn, w.try, w.err = to, try, nil
	secured, ok := to.(*tls.Conn)
	if !ok {
		_, w.fragile = to.(*netconn.Body)
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
	if raw := rawOf(below); try == nil && raw != nil {
		w.try = raw
	}
}

// deflateThreshold is the size from which on a payload is compressed: below it
// the frame hardly shrinks. With context takeover small messages pay too, since
// they repeat what earlier ones held.
func deflateThreshold(p *wire.DeflateParams) int {
	if p.ClientNoContextTakeover {
		return 512
	}
	return 128
}

// Send writes frames that Check found good and returns when they are written. ctx bounds it.
// The frames are not kept.
func (w *Writer) Send(ctx context.Context, frames []wire.Frame) error {
	_, err := w.SendOver(ctx, frames, nil)
	return err
}

// SendOver is Send for frames that may be sent over another connection where this one took none of
// them: begun reports whether it may have taken some. queued, if it is not nil, is called with the
// writer's lock held once nothing that is sent later can leave before them.
func (w *Writer) SendOver(ctx context.Context, frames []wire.Frame, queued func()) (begun bool, err error) {
	op := newOp(frames)
	op.watched, op.queued = true, queued
	return w.send(ctx, op)
}

// SendLast is Send for a frame behind which nothing is read any more: the owner is not told
// that it is blocked.
func (w *Writer) SendLast(ctx context.Context, frame wire.Frame) error {
	_, err := w.send(ctx, newOp([]wire.Frame{frame}))
	return err
}

// Reply is Send for the loop, which does nothing until it returns: the frames are not copied.
func (w *Writer) Reply(frames []wire.Frame) error {
	op := opPool.Get().(*Op)
	op.frames, op.watched, op.replies = frames, true, true
	_, err := w.send(context.Background(), op)
	return err
}

func (w *Writer) send(ctx context.Context, op *Op) (begun bool, err error) {
	op.ctx = ctx
	defer op.free()
	w.mu.Lock()
	if err := w.refusalOf(op); err != nil {
		w.mu.Unlock()
		return false, err
	}
	w.shut = w.shut || EndInClose(op.frames)
	w.enqueue(op)
	if op.queued != nil {
		op.queued()
	}
	if w.busy || w.held(op) {
		op.wake = w.borrowWake()
		w.mu.Unlock()
		err = w.await(op)
		return op.begun, err
	}
	w.busy, op.lead = true, true
	err = w.lead(op)
	return op.begun, err
}

// refusal says why nothing can be queued. mu is held.
func (w *Writer) refusal() error {
	if w.err == nil && w.shut {
		return w.closed
	}
	return w.err
}

// Pong sends automatic pongs and waits for nothing. While others write only the last
// one is kept: that answers all pings before it (RFC 6455, section 5.5.3).
func (w *Writer) Pong(pongs []wire.Frame) {
	w.mu.Lock()
	if w.refusalBetween() != nil {
		w.mu.Unlock()
		return
	}
	if w.busy {
		w.queuePong(pongs[len(pongs)-1].Data)
		w.mu.Unlock()
		return
	}
	w.busy = true
	op := opPool.Get().(*Op)
	op.frames = pongs
	w.writeUnattended(op)
}

// queuePong queues a pong, in place of one that is still waiting. mu is held.
func (w *Writer) queuePong(payload []byte) {
	if w.pong != nil {
		f := &w.pong.own[0]
		f.Data = append(f.Data[:0], payload...)
		return
	}
	op := newOp([]wire.Frame{{Op: wire.OpPong, Data: bytes.Clone(payload)}})
	op.ctx, op.unattended = context.Background(), true
	w.pong = op
	w.unshift(op)
}

// Ping sends a ping in front of all that waits, and waits for nothing: sent is called, with the
// writer's lock held, when the connection has taken it.
func (w *Writer) Ping(payload []byte, sent func()) {
	w.mu.Lock()
	if w.refusalBetween() != nil {
		w.mu.Unlock()
		return
	}
	op := newOp([]wire.Frame{{Op: wire.OpPing, Data: payload}})
	op.sent = sent
	if w.busy {
		op.ctx, op.unattended = context.Background(), true
		w.unshift(op)
		w.mu.Unlock()
		return
	}
	w.busy = true
	w.writeUnattended(op)
}

// Taken counts the writes that the connection has taken something of. It takes no lock.
func (w *Writer) Taken() uint32 { return w.taken.Load() }

// Farewell sends a close frame, if the connection takes it, and what is being written, within a
// moment. One that is on its way already has as long. Behind a write that the connection does not
// take there is no use in waiting.
func (w *Writer) Farewell(code uint16) {
	w.mu.Lock()
	busy, shut := w.busy, w.shut
	if w.err != nil || w.waiting && !shut {
		w.mu.Unlock()
		return
	}
	w.busy, w.shut = busy || !shut, true
	switch op := newOp([]wire.Frame{{Op: wire.OpClose, Code: int(code)}}); {
	case shut: // what is there may still be on its way
		op.free()
		w.mu.Unlock()
	case busy:
		op.ctx, op.unattended = context.Background(), true
		w.push(op)
		w.mu.Unlock()
	default:
		w.writeUnattended(op)
	}
	w.AwaitIdle(FarewellTime)
}

// FarewellTime is how long the last close frame of a connection that is being given up may
// hold that up.
const FarewellTime = 100 * time.Millisecond

// writeUnattended leads for an op that nobody waits for, as far as the connection takes
// it. mu is held, and given up.
func (w *Writer) writeUnattended(op *Op) {
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
		w.queuePong(last.Data)
		fallthrough
	default:
		op.lead, op.unattended = false, true
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
func (w *Writer) lead(own *Op) error {
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
func (w *Writer) flushAll() {
	w.mu.Lock()
	w.since = time.Now()
	for w.err == nil && !w.quitting {
		if len(w.unwritten()) > 0 {
			n, err := w.writeWaiting()
			w.settle(n, err)
		} else if len(w.flight) > 0 || w.next() != nil || w.pos < len(w.buf) {
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
func (w *Writer) borrowWake() chan bool {
	if w.wakes == nil {
		w.wakes = &sync.Pool{New: func() any { return make(chan bool, 1) }}
	}
	return w.wakes.Get().(chan bool)
}

// await waits while others write op, or until it is op's turn to lead.
func (w *Writer) await(op *Op) error {
	var done bool
	if op.watched {
		w.owner.Blocked(op)
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
func (w *Writer) withdraw(op *Op) bool {
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
func (w *Writer) reopen(op *Op) {
	if EndInClose(op.frames) {
		w.shut = false
	}
}

// interrupt makes a write that waits return. mu is held.
func (w *Writer) interrupt() {
	w.timed = true
	_ = w.conn.SetWriteDeadline(longAgo)
}

var longAgo = time.Unix(1, 0)

// handOver leaves the writing to the next whose frames are not out yet.
func (w *Writer) handOver() {
	next := w.next()
	if w.work != nil && len(w.flight) > 0 {
		next = w.flight[0]
	}
	switch {
	case w.err != nil:
		w.breakDown(w.err) // what a writer that quit has left in flight, too
		w.rest()
	case next == nil || w.quitting:
		w.rest()
	case next.unattended:
		w.load()
		go w.flush()
	default:
		next.lead = true
		next.wake <- false
	}
}

// rest ends the writing for now, and gives back what only writing needs.
func (w *Writer) rest() {
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
func (w *Writer) round() (blocked bool) {
	w.load()
	w.mu.Unlock()
	w.encode()
	if w.watcher != nil {
		w.tell()
	}
	n, err := w.writeNow()
	w.mu.Lock()
	w.settle(n, err)
	return w.err == nil && len(w.unwritten()) > 0
}

// load moves queued ops into the flight, about as many as fill the buffer.
func (w *Writer) load() {
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
	for size < writeChunk || len(w.flight) == 0 {
		op := w.next()
		if op == nil {
			break
		}
		w.remove(op)
		op.state = sendInFlight
		if op == w.pong {
			w.pong = nil
		}
		w.follow(op)
		w.flight = append(w.flight, op)
		if w.head == nil {
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
func (w *Writer) cancelled() bool {
	return slices.ContainsFunc(w.flight, func(op *Op) bool { return op.cancelled })
}

// writeWaiting writes a part of what there is, waiting until the connection takes
// some of it, or has taken nothing for the write timeout. mu is held, but not while it waits.
func (w *Writer) writeWaiting() (n int, err error) {
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
		n, err = w.try.WriteSome(p)
	} else {
		n, err = w.conn.Write(p)
	}
	w.mu.Lock()
	if err != nil {
		w.noteBegun() // n tells nothing of what was lent
	}
	w.waiting, w.lent = false, 0
	if n > 0 {
		w.since = time.Now()
	}
	return n, err
}
