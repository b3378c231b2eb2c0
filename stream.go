package reqws

import (
	"context"
	"errors"
	"io"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/coder/websocket"

	"github.com/reqws/reqws/internal/wire"
)

// Response is the answer to one handshake, or to one plain HTTP request, and the
// way to the stream behind it. All Responses of one execution share that stream.
// Its fields are to be read only; its methods are safe for concurrent use.
type Response struct {
	StatusCode  int // 101, over HTTP/2 200; what a refusal or a plain answer has
	Header      http.Header
	Proto       string // "HTTP/1.1" or "HTTP/2.0"
	Subprotocol string // the one that the server chose, if any
	// Body is that of a plain HTTP answer, or the first 1 MiB of a refused
	// handshake's.
	Body []byte
	// Request is what was sent last, after all steps and redirects, with
	// credentials replaced.
	Request *http.Request

	refused *HTTPError
	s       *stream
}

// Send sends frames in order, in one write where they are small, and returns
// when they are written. If one of them may not be sent, none is. Calls from
// several goroutines keep the order in which they came, and share writes.
//
// ctx bounds this call alone. If it ends the frames are not sent and the
// connection stays usable, unless a part of them was written already: that breaks the
// stream, and the error says so. After the end of the stream the error is what ended
// it, or [ErrClosed].
//
// A close frame may be the last of them: it begins the closing handshake, as [Response.Close] does, and
// does not wait for its end. What the peer sends before its own close frame is discarded without [HearOut].
func (r *Response) Send(ctx context.Context, frames ...Frame) error {
	s := r.stream()
	if err := ctx.Err(); err != nil {
		return r.fail("send", err)
	}
	if len(frames) == 0 {
		return nil
	}
	if err := checkFrames(frames); err != nil {
		return r.fail("send", err)
	}
	l, err := s.send(ctx, wireFrames(frames))
	if err != nil {
		return r.fail("send", err)
	}
	if endInClose(frames) {
		l.closing(closeSentBySend, l.closeTimeout)
	}
	return nil
}

// SendJSON sends v as encoding/json writes it, in a text message. See [Response.Send].
func (r *Response) SendJSON(ctx context.Context, v any) error {
	f, err := JSON(v)
	if err != nil {
		return r.fail("send", err)
	}
	return r.Send(ctx, f)
}

// Receive returns the next batch of frames, which the caller then owns, for
// streams without a handler and mailbox. It waits for one until ctx ends, which
// leaves the stream as it is. After a clean end it returns io.EOF, else why the stream
// ended; what arrived before comes first. Pings are among the frames, but answered
// already.
//
// The stream reads ahead of Receive, up to about 256 KiB; then it leaves the rest
// to the socket, and pings are not answered until Receive is called.
func (r *Response) Receive(ctx context.Context) ([]Frame, error) {
	s := r.stream()
	switch {
	case s.handler == nil:
		return nil, r.fail("receive", ErrClosed)
	case s.pull == nil:
		return nil, r.fail("receive", errors.New("the frames of this stream go to its handler or mailbox"))
	case s.insideHandler(): // OnOpen
		return nil, r.fail("receive", errInside)
	}
	frames, err := s.pull.receive(ctx, s)
	if err == io.EOF {
		return frames, err
	}
	return frames, r.fail("receive", err)
}

// Frames returns an iterator over the frames that [Response.Receive] would
// return, one by one. It stops after a clean end; any other error is its last pair.
// What a loop that is left early has not seen comes next to Receive or Frames.
func (r *Response) Frames(ctx context.Context) iter.Seq2[Frame, error] {
	return func(yield func(Frame, error) bool) {
		for {
			frames, err := r.Receive(ctx)
			for i, f := range frames {
				if !yield(f, nil) {
					r.stream().pull.putBack(frames[i+1:])
					return
				}
			}
			if err != nil {
				if err != io.EOF {
					yield(Frame{}, err)
				}
				return
			}
		}
	}
}

// Close sends a close frame with code and reason, waits for the peer's close and for the end
// of the connection, and disconnects: all within [CloseTimeout]. What arrives meanwhile is
// discarded, and the handler is not called any more. Its error says that the peer did not answer
// the close frame, and then Wait returns nil all the same; or that the close frame could not be
// sent, and then Wait returns why the stream broke, or [ErrClosed]. After the end of the stream
// it does nothing. Close(0, "") sends a close frame without a code.
//
// Called from inside a handler it cannot wait for the peer, and returns when the
// close frame is sent: return [Halt] there instead.
func (r *Response) Close(code websocket.StatusCode, reason string) error {
	s := r.stream()
	frames := []Frame{Close(code, reason)}
	if err := checkFrames(frames); err != nil {
		return r.fail("close", err)
	}
	s.leave()
	if s.link().body != nil {
		s.closeBody()
		return nil
	}
	if s.gate.leave(nil) {
		s.awaitEnd()
		return nil
	}
	return r.fail("close", s.link().close(wireFrames(frames)[0]))
}

// CloseNow disconnects without a close frame. The stream then ends with
// [ErrClosed]. It does not wait for a handler that is running.
func (r *Response) CloseNow() error {
	s := r.stream()
	s.leave()
	if !s.gate.leave(ErrClosed) {
		s.link().abort(ErrClosed)
	}
	return nil
}

// Done returns a channel that is closed when the stream has ended.
func (r *Response) Done() <-chan struct{} { return r.stream().doneChan() }

// Wait waits for the end of the stream. It returns nil after Close, after a Halt that the
// peer answered, and after the peer's close with code 1000 or without one; else why the stream
// ended. Called from inside the stream's own handler, which would wait for itself, it returns
// an error at once.
func (r *Response) Wait() error {
	s := r.stream()
	if s.insideHandler() {
		return r.fail("wait", errInside)
	}
	<-s.doneChan()
	return s.err
}

// errInside is what a handler gets that waits for its own stream.
var errInside = errors.New("called from inside the handler of this stream, which it would wait for")

// PeerClose returns the code and reason of the peer's close frame, once that has come. One
// without a code counts as 1005 (RFC 6455, section 7.1.5).
func (r *Response) PeerClose() (code websocket.StatusCode, reason string, ok bool) {
	if peer := r.stream().link().peerClose(); peer != nil {
		return peer.Code, peer.Reason, true
	}
	return 0, "", false
}

// Latency returns how long the last heartbeat took to be answered, 0 before the first (see
// [Heartbeat]).
func (r *Response) Latency() time.Duration { return time.Duration(r.stream().latency.Load()) }

// noStream stands behind a Response that was not made by this package.
var noStream = func() *stream {
	s := &stream{life: context.Background()}
	s.at.Store(s.newLink(nil, 0))
	s.conclude(ErrClosed)
	return s
}()

// fail wraps an error with its phase and the URL of r.
func (r *Response) fail(phase string, err error) error {
	if r == nil {
		return fail(phase, nil, err)
	}
	return fail(phase, r.requestURL(), err)
}

// requestURL is where the answer came from.
func (r *Response) requestURL() *url.URL {
	if r.Request == nil {
		return nil
	}
	return r.Request.URL
}

func (r *Response) stream() *stream {
	if r == nil || r.s == nil {
		return noStream
	}
	return r.s
}

// stream is one execution: who gets the frames, how long, over which link, and how it ends.
type stream struct {
	at   atomic.Pointer[link] // that is open now, or was last
	gate *gate                // to the links of a stream that reconnects; nil else

	handler  Handler // the user's, the mailbox's, or pull's
	direct   bool    // it is the user's
	pull     *pull
	mailbox  chan<- Message
	left     chan struct{} // closed once the owner of the mailbox has closed the stream
	autoPong bool

	life    context.Context
	unwatch func() bool // ends the watch over it
	resume  func()      // run, where that is in the background; nil else
	calling atomic.Bool // a handler is running
	batch   *batch      // while there is something to do
	latency atomic.Int64

	ending
}

// link returns the connection that is open now, or was last.
func (s *stream) link() *link { return s.at.Load() }

// newStream makes the stream behind an answer.
func (e *execution) newStream(ctx context.Context, a *answer) *stream {
	s := &stream{life: ctx, direct: e.into.handler != nil, autoPong: !e.into.noAutoPong}
	s.chooseHandler(e.into)
	s.at.Store(e.newLink(s, a))
	if ctx.Done() != nil && a.resp.refused == nil {
		s.unwatch = context.AfterFunc(ctx, s.ctxEnded)
	}
	return s
}

// newLink makes the link behind an answer.
func (e *execution) newLink(s *stream, a *answer) *link {
	a.resp.s = s
	l := s.newLink(a.resp, e.life.closeTimeout)
	l.wrapped, l.hearsOut = a.wrapped, e.into.hearOut
	l.waiter.Shared = e.shared
	if a.open != nil && a.open.client == nil {
		l.watch = e.newWatch(s, a)
		l.open(a.open, e.into.maxMessage, e.life)
		if e.into.pieces {
			l.in.Pieces()
		}
		if e.into.readAhead > 0 && s.pull == nil {
			s.readAhead(l, e.into.readAhead)
		}
	}
	return l
}

// newLink returns one that has no connection yet.
func (s *stream) newLink(resp *Response, closeTimeout time.Duration) *link {
	l := &link{user: s, resp: resp, closeTimeout: closeTimeout}
	if s.pull != nil || s.mailbox != nil {
		l.unblock = make(chan struct{})
	}
	l.out.Init(l, ErrClosed)
	return l
}

// chooseHandler decides what gets the frames.
func (s *stream) chooseHandler(into *intoConfig) {
	switch {
	case into.handler != nil:
		s.handler = into.handler
	case into.mailbox != nil:
		s.mailbox, s.left = into.mailbox, make(chan struct{})
		s.handler = s.toMailbox
	default:
		s.pull = &pull{}
		s.handler = s.toPull
	}
	for _, wrap := range slices.Backward(into.wraps) {
		if s.handler = wrap(s.handler); s.handler == nil {
			s.handler = func(Event, *Response) Directive { return Fail(errNilHandler) }
		}
	}
}

var errNilHandler = errors.New("a function of the option Wrap returned nil in place of a handler")

// start greets the peer with what OnOpen says, before anything else is sent.
func (s *stream) start(onOpen func(*Response) Directive) error {
	ok := false
	defer func() {
		if !ok {
			s.conclude(s.fail("open", errHandlerPanicked))
		}
	}()
	s.link().watch.begins()
	if onOpen == nil {
		ok = true
		s.gate.admit()
		return nil
	}
	s.borrow()
	defer s.giveBack()
	d := s.callOnOpen(onOpen)
	ok = true
	if err := s.reply(d, nil); err != nil {
		code, err := explainViolation(err)
		s.decided, s.err = true, s.fail("open", err)
		s.link().closeWith(code, err)
		s.link().stayAwake()
		_ = s.serve() // to the end of the connection
		return s.err
	}
	s.gate.admit()
	return nil
}

// background has the loop run apart from the caller, once there is something to do.
func (s *stream) background() {
	s.resume = s.run
	switch l := s.link(); {
	case l.ahead != nil:
		l.ahead.start(true)
	case !l.parkAtOnce(s.resume):
		go s.resume()
	}
}

// run is the loop: it returns when the stream has ended, or waits without a goroutine.
func (s *stream) run() {
	ok := false
	defer func() {
		if !ok { // a panic in a handler, or the end of its goroutine
			s.link().abort(ErrClosed)
			s.conclude(s.fail("handler", errHandlerPanicked))
		}
	}()
	for again := true; again; {
		err := s.serve()
		if err == errParked {
			ok = true
			return
		}
		s.decide(err)
		again = s.follows && s.reconnect()
	}
	ok = true
	s.finish()
	if s.mailbox != nil {
		s.lastMessage(s.err)
	}
}

// errParked is how serve says that the stream waits without a goroutine now: it
// may be running again already, in another one.
var errParked = errors.New("parked")

var errHandlerPanicked = errors.New("the handler panicked")

// serve reads and hands on until the connection is at its end, and returns why that is.
func (s *stream) serve() error {
	l := s.link()
	if l.body != nil {
		return s.serveBody()
	}
	switch {
	case l.ahead == nil:
		l.awake()
	case !l.drained:
		if err := s.serveAhead(); err != nil {
			return err
		}
	}
	for {
		if !l.drained {
			s.drain()
		}
		if l.stopped {
			return l.stopErr
		}
		err := l.fill()
		if err == nil {
			l.read = true
			continue
		}
		if parked, again := l.readsOn(err); parked {
			return errParked
		} else if !again {
			return err
		}
	}
}

// beat notes how long a heartbeat took to be answered.
func (s *stream) beat(took time.Duration) {
	s.latency.Store(int64(took))
	s.link().watch.beat(took)
}

// mostFrames is how many frames a batch has at most: as many as keep its slices
// in the processor's nearer caches. With 1024 small messages took a third longer.
const mostFrames = 512

// drain hands over all frames that have been read.
func (s *stream) drain() {
	s.borrow()
	defer s.giveBack()
	l := s.link()
	for !l.drained && !l.stopped {
		frames, more, err := s.parse(l, s.batch)
		if len(frames) > 0 {
			if err := s.dispatch(frames); err != nil {
				s.violation(err)
				return
			}
		}
		if err != nil {
			s.violation(err)
			return
		}
		if !more {
			return
		}
	}
}

// parse takes the next frames out of what l has read, those that are for the handler; it lists the
// pongs for them in b. It reports whether there may be more.
func (s *stream) parse(l *link, b *batch) (frames []Frame, more bool, err error) {
	n, err := l.in.Batch(wireFrames(b.frames))
	frames = b.frames[:n]
	l.watch.in(frames)
	b.used = max(b.used, n)
	if l.in.Control() {
		frames = s.control(l, b, frames)
	}
	return frames, n > 0, err
}

// control lists the pongs for the pings among frames, and takes out what answers our own.
func (s *stream) control(l *link, b *batch, frames []Frame) []Frame {
	pongs := false
	for i := range frames {
		switch frames[i].Kind {
		case KindPing:
			if s.autoPong {
				b.out = append(b.out, Pong(frames[i].Data))
			}
		case KindPong:
			pongs = true
		}
	}
	if pongs {
		frames = l.withoutOwnPongs(frames)
	}
	return frames
}

// wireFrames views frames as package wire has them: that it writes them where the
// handler reads them halves the cost of a small message. The two types
// agree in all but the names of their fields' types; a test holds them to it.
func wireFrames(frames []Frame) []wire.Frame {
	return unsafe.Slice((*wire.Frame)(unsafe.Pointer(unsafe.SliceData(frames))), len(frames))
}

// dispatch has a batch handled, and answers it. Its error is a reply that cannot be sent.
func (s *stream) dispatch(frames []Frame) error {
	l := s.link()
	var peer *Frame
	if last := frames[len(frames)-1]; last.Kind == KindClose {
		peer = &last
		l.closedBy(peer)
	}
	if l.discards() {
		s.batch.reset()
		if peer != nil {
			s.shutDown()
		}
		return nil
	}
	if !s.direct {
		// Handing over may have to wait for a reader, and pings do not wait.
		s.batch.pongs(l)
	}
	d := s.call(Event{Frames: frames})
	if peer != nil {
		l.arm(l.endTime()) // whatever holds up the answer
	}
	if err := s.reply(d, peer); err != nil {
		return err
	}
	if peer != nil {
		s.shutDown()
	}
	return nil
}
