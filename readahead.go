package reqws

import (
	"sync"
	"time"

	"github.com/reqws/reqws/internal/conn"
)

// ReadAhead has the connection read apart from the handler, so that a slow one costs no connection:
// while it works, up to n bytes of frames are read ahead of it, pings are answered, and heartbeats go
// on. Past n nothing is read, the socket fills, and the peer has to wait, as it does at once with 0,
// the default. Each frame counts for its payload and 64 bytes more; a message that is larger than n
// is read ahead when nothing else waits.
//
// The handler is still called by one goroutine, that of Run's caller, or after Do one of its own,
// with all that waits as one batch, and the bytes of that are lent to it until it returns. Its
// answers, the peer's close frame, and what the stream ended with, take their places behind the frames
// that came before them; [Halt], [Fail], [Response.Close], [Response.CloseNow] and the end of ctx
// discard what was read ahead. A [Response.PeerClose] is known when the handler has been given it.
//
// Pings are answered as they are read, whatever the handler answers: to one that sends pongs of
// its own give [AutoPong](false), and the peer waits for those.
//
// ReadAhead is for [Into], and for [IntoMailbox], where it is what is read beside the channel. It has no
// effect on [Response.Receive], which has a backlog of its own, nor on the body of a plain HTTP answer.
func ReadAhead(n int) Option {
	return checked("ReadAhead", n, notNegative, func(c *config, n int) { c.into.readAhead = n })
}

// ahead reads a link ahead of the stream's loop: one goroutine reads, answers pings and puts frames
// into a queue, out of which the loop takes them. The reader owns the link's reading (l.src, l.in, and
// what belongs to waiting) from start to end; then the loop does.
type ahead struct {
	s    *stream
	l    *link
	most int // bytes that may wait

	started bool
	came    chan struct{} // has an element when the loop is to look,
	room    chan struct{} // or the reader
	closes  chan struct{} // closed when the peer's close frame was read

	mu       sync.Mutex // guards what follows; a leaf
	next     *backlog   // what waits, nil if nothing does
	resting  bool       // the loop has no goroutine
	recalled bool       // the reader is to end
	ended    bool       // it has,
	violated error      // since the peer broke the protocol
}

// readAhead puts a reader before the loop of a link.
func (s *stream) readAhead(l *link, most int) {
	l.ahead = &ahead{
		s: s, l: l, most: most,
		came: make(chan struct{}, 1), room: make(chan struct{}, 1), closes: make(chan struct{}),
	}
}

// start begins to read. With resting the loop is not running now.
func (a *ahead) start(resting bool) {
	a.started, a.resting = true, resting
	if read := a.read; !a.l.parkAtOnce(read) {
		go read()
	}
}

// read is the reader.
func (a *ahead) read() {
	l := a.l
	l.awake()
	for !a.isRecalled() {
		if !a.gather() {
			break
		}
		err := l.fill()
		if err == nil {
			l.read = true
			continue
		}
		if parked, again := l.readsOn(err); parked {
			return // and is called again
		} else if !again {
			l.readErr = err
			break
		}
	}
	a.end()
}

// gather queues the frames that have been read. It reports whether more is to be read.
func (a *ahead) gather() bool {
	b := batches.Get().(*batch)
	defer b.giveBack()
	for {
		frames, more, err := a.s.parse(a.l, b)
		b.pongs(a.l)
		closes := len(frames) > 0 && frames[len(frames)-1].Kind == KindClose
		if closes {
			close(a.closes)
		}
		if !a.queue(frames) || closes {
			return false
		}
		if err != nil {
			a.violated = err // the loop reads it when the reader has ended
			return false
		}
		if !more {
			return true
		}
	}
}

// queue puts copies of frames behind what waits, and waits for room. It reports false where the reader
// is to end.
func (a *ahead) queue(frames []Frame) bool {
	for len(frames) > 0 {
		a.mu.Lock()
		if a.recalled {
			a.mu.Unlock()
			return false
		}
		if a.next == nil {
			a.next = backlogs.Get().(*backlog)
		}
		n := a.next.add(frames, a.most)
		frames = frames[n:]
		if n > 0 {
			a.rouse()
		}
		a.mu.Unlock()
		if len(frames) > 0 {
			<-a.room
		}
	}
	return true
}

// rouse lets the loop look. mu is held.
func (a *ahead) rouse() {
	if a.resting {
		a.resting = false
		go a.s.resume()
		return
	}
	notify(a.came)
}

func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// end is the last that the reader does.
func (a *ahead) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ended = true
	a.l.hearsNoMore()
	a.rouse()
}

func (a *ahead) isRecalled() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.recalled
}

// take returns what waits, for the loop, or nil when nothing will come any more. It reports parked
// where there is nothing yet and the loop is to return: it may be running again already.
func (a *ahead) take() (b *backlog, parked bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for a.next == nil && !a.ended {
		if a.s.resume != nil {
			a.resting = true
			return nil, true
		}
		a.await()
	}
	b, a.next = a.next, nil
	notify(a.room)
	return b, false
}

// await waits until the loop is to look. mu is held, but not meanwhile.
func (a *ahead) await() {
	a.mu.Unlock()
	<-a.came
	a.mu.Lock()
}

// recall ends the reader, wherever it is, and waits for that: the loop, which calls it, may read
// then.
func (l *link) recall() {
	a := l.ahead
	if a == nil || !a.started {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.ended {
		a.recalled = true
		notify(a.room)
		a.mu.Unlock()
		conn.Interrupt(&l.waiter)
		l.readUntil(longAgo)
		a.mu.Lock()
		for !a.ended {
			a.await()
		}
		l.readErr = nil
		l.readUntil(time.Time{})
	}
	l.stayAwake()
}

// serveAhead hands over what the reader has queued. It returns nil where the loop is to go on by
// itself.
func (s *stream) serveAhead() error {
	l := s.link()
	a := l.ahead
	if !a.started {
		a.start(false)
	}
	for !l.drained && !l.stopped {
		b, parked := a.take()
		switch {
		case parked:
			return errParked
		case b != nil:
			s.handOver(b)
		case a.violated != nil:
			s.violation(a.violated)
		default:
			return l.readErr
		}
	}
	return nil
}

// handOver has what waited handled, as one batch.
func (s *stream) handOver(b *backlog) {
	defer b.free()
	s.borrow()
	defer s.giveBack()
	if err := s.dispatch(b.lend()); err != nil {
		s.violation(err)
	}
}

// backlog holds copies of frames.
type backlog struct {
	frames []Frame
	data   []byte // their payloads, one behind the other
	size   int    // what they count for
}

var backlogs = sync.Pool{New: func() any { return new(backlog) }}

// add appends copies of as many of the frames as fit into most bytes, and returns how many those are:
// one at least if b is empty.
func (b *backlog) add(frames []Frame, most int) int {
	for i := range frames {
		f := &frames[i]
		size := len(f.Data) + frameSize
		if b.size+size > most && len(b.frames) > 0 {
			return i
		}
		b.size += size
		from := len(b.data)
		b.data = append(b.data, f.Data...)
		b.frames = append(b.frames, Frame{Kind: f.Kind, More: f.More, Data: b.data[from:], Code: f.Code})
	}
	return len(frames)
}

// lend returns the frames. Their payloads have moved while b grew.
func (b *backlog) lend() []Frame {
	from := 0
	for i := range b.frames {
		f := &b.frames[i]
		to := from + len(f.Data)
		f.Data = b.data[from:to:to]
		from = to
	}
	return b.frames
}

// mostBacklog is how much memory for payloads, and for frames, is kept for the next backlog.
const mostBacklog = 1 << 20

func (b *backlog) free() {
	clear(b.frames)
	b.frames, b.data, b.size = b.frames[:0], b.data[:0], 0
	if cap(b.data) > mostBacklog || cap(b.frames) > mostBacklog/frameSize {
		*b = backlog{}
	}
	backlogs.Put(b)
}
