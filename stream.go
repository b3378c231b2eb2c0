package reqws

import (
	"context"
	"errors"
	"io"
	"iter"
	"net"
	"net/http"
	"net/url"
	"sync"
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
func (r *Response) Send(ctx context.Context, frames ...Frame) error {
	s := r.stream()
	if err := ctx.Err(); err != nil {
		return s.fail("send", err)
	}
	if len(frames) == 0 {
		return nil
	}
	if err := checkFrames(frames); err != nil {
		return s.fail("send", err)
	}
	op := newOp(frames)
	defer op.free()
	if err := s.send(ctx, op); err != nil {
		return s.fail("send", err)
	}
	if endInClose(frames) {
		s.beginClose()
	}
	return nil
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
		return nil, s.fail("receive", ErrClosed)
	case s.pull == nil:
		return nil, s.fail("receive", errors.New("the frames of this stream go to its handler or mailbox"))
	}
	frames, err := s.pull.receive(ctx, s)
	if err == io.EOF {
		return frames, err
	}
	return frames, s.fail("receive", err)
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

// Close sends a close frame with code and reason, waits for the peer's close up
// to [CloseTimeout], and disconnects. What arrives meanwhile is discarded, and the
// handler is not called any more. Its error says that the close frame could not be
// sent, or that the peer did not answer it. After the end of the stream it does
// nothing.
//
// Called from inside a handler it cannot wait for the peer, and returns when the
// close frame is sent: return [Halt] there instead.
func (r *Response) Close(code websocket.StatusCode, reason string) error {
	s := r.stream()
	frames := []Frame{Close(code, reason)}
	if err := checkFrames(frames); err != nil {
		return s.fail("close", err)
	}
	s.leave()
	if s.over() {
		return nil
	}
	if s.body != nil {
		s.closeBody()
		return nil
	}
	if err := s.sendClose(frames); err != nil {
		s.breakOff(ErrClosed)
		return s.fail("close", err)
	}
	if s.insideHandler() {
		return nil
	}
	return s.fail("close", s.awaitClose())
}

// CloseNow disconnects without a close frame. The stream then ends with
// [ErrClosed]. It does not wait for a handler that is running.
func (r *Response) CloseNow() error {
	s := r.stream()
	s.leave()
	s.breakOff(ErrClosed)
	return nil
}

// Done returns a channel that is closed when the stream has ended.
func (r *Response) Done() <-chan struct{} { return r.stream().doneChan() }

// Wait waits for the end of the stream. It returns nil after Halt, Close or the
// peer's close with code 1000, else why the stream ended.
func (r *Response) Wait() error {
	s := r.stream()
	<-s.doneChan()
	return s.err
}

// noStream stands behind a Response that was not made by this package.
var noStream = func() *stream {
	s := &stream{life: context.Background()}
	s.finish(ErrClosed)
	return s
}()

func (r *Response) stream() *stream {
	if r == nil || r.s == nil {
		return noStream
	}
	return r.s
}

// stream is one execution's connection: the loop that reads it, what is sent
// over it, and how it ends.
type stream struct {
	// Of the options, what is needed while it lives: a stream keeps no config alive.
	mailbox      chan<- Message
	closeTimeout time.Duration
	autoPong     bool
	direct       bool // the handler is the user's

	resp *Response // of the connection that is open now
	conn net.Conn
	in   wire.Reader
	src  source
	out  writer

	place place // where it waits, without a goroutine

	handler Handler // the user's, the mailbox's, or pull's
	pull    *pull
	batch   *batch        // while there is something to do
	body    io.ReadCloser // of a plain HTTP answer, in place of conn
	wrapped io.Closer     // tells a step of the user's of the end
	cancel  func()        // lets go of what bounded the handshake

	peer *websocket.CloseError // the peer's close frame, if it came before one was sent from this side

	life    context.Context
	mu      sync.Mutex
	cause   error // why it was broken off from this side
	lost    error // a write failed since the peer is gone
	closing bool  // a close frame was sent from this side
	quit    chan struct{}
	left    chan struct{} // closed once the owner of the mailbox has closed the stream
	unwatch func() bool   // ends the watch over ctx
	calling atomic.Bool   // a handler is running

	ended      atomic.Bool
	done       chan struct{} // closed with the end; made when somebody asks for it
	err        error         // this and the next are valid once ended is set
	unanswered error         // why our close frame got no answer
}

func newStream(ctx context.Context, c *config, a *answer) *stream {
	s := &stream{
		resp: a.resp, wrapped: a.wrapped, life: ctx,
		mailbox: c.mailbox, direct: c.handler != nil, autoPong: !c.noAutoPong, closeTimeout: c.closeTimeout,
	}
	a.resp.s = s
	s.out.err = ErrClosed // until there is a connection
	switch {
	case c.handler != nil:
		s.handler = c.handler
	case c.mailbox != nil:
		s.quit, s.left = make(chan struct{}), make(chan struct{})
		s.handler = s.toMailbox
	default:
		s.quit = make(chan struct{})
		s.pull = &pull{}
		s.handler = s.toPull
	}
	if a.open != nil && a.open.client == nil {
		s.attach(c, a.open)
	}
	if ctx.Done() != nil && a.resp.refused == nil {
		s.unwatch = context.AfterFunc(ctx, s.giveUp)
	}
	return s
}

// attach puts an opened connection under the stream.
func (s *stream) attach(c *config, h *handshake) {
	s.conn, s.cancel = h.conn.Conn, h.cancel
	src, try := sourceOf(s.conn)
	s.src = src
	s.out.brittle = isBrittle(s.conn)
	s.out.conn, s.out.try, s.out.timeout, s.out.err = s.conn, try, c.writeTimeout, nil
	var inflate *wire.Inflate
	if h.deflate != nil {
		inflate = wire.NewInflate(*h.deflate)
		s.out.deflate = wire.NewDeflate(*h.deflate)
		s.out.minimum = deflateThreshold(h.deflate)
	}
	s.in.Init(c.maxMessage, inflate)
	s.in.Prime(h.conn.rest)
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

// start greets the peer with what OnOpen says, before anything else is sent.
func (s *stream) start(onOpen func(*Response) Directive) error {
	if onOpen == nil {
		return nil
	}
	ok := false
	defer func() {
		if !ok {
			s.finish(s.fail("open", errHandlerPanicked))
		}
	}()
	s.borrow()
	defer s.giveBack()
	d := s.callOnOpen(onOpen)
	ok = true
	if err := s.reply(d, nil); err != nil {
		err = s.violated(err)
		s.finish(err)
		return s.fail("open", err)
	}
	return nil
}

// run is the loop: it returns when the stream has ended.
func (s *stream) run() {
	ok := false
	defer func() {
		if !ok { // a panic in a handler, or the end of its goroutine
			s.breakOff(ErrClosed)
			s.finish(s.fail("handler", errHandlerPanicked))
		}
	}()
	s.started()
	err := s.serve()
	if err == errParked {
		ok = true
		return
	}
	if err = s.fail("stream", err); err != nil && s.direct {
		s.call(Event{Err: err})
	}
	ok = true
	s.finish(err)
	if s.mailbox != nil {
		s.lastMessage(err)
	}
}

// errParked is how serve says that the stream waits without a goroutine now: it
// may be running again already, in another one.
var errParked = errors.New("parked")

var errHandlerPanicked = errors.New("the handler panicked")

// serve reads and hands on until the connection is at its end: nil if that is a
// clean one.
func (s *stream) serve() error {
	if s.body != nil {
		return s.serveBody()
	}
	for {
		over, err := s.drain()
		if err != nil {
			return s.violated(err)
		}
		if over {
			return s.closed()
		}
		_, err = s.src.read(&s.in)
		if err == nil {
			s.place.read = true
			continue
		}
		parked, readOn := s.quiet(err)
		if parked {
			return errParked
		}
		if !readOn {
			return s.readFailed(err)
		}
	}
}

// mostFrames is how many frames a batch has at most: as many as keep its slices
// in the processor's nearer caches. With 1024 small messages took a third longer.
const mostFrames = 512

// requestURL is where the answer came from.
func (r *Response) requestURL() *url.URL {
	if r.Request == nil {
		return nil
	}
	return r.Request.URL
}

// drain hands over all frames that have been read. over says that nothing more
// is to be read: the peer's close frame came, and was answered.
func (s *stream) drain() (over bool, err error) {
	s.borrow()
	defer s.giveBack()
	for {
		frames, err := s.parse()
		if len(frames) > 0 {
			if over, err := s.dispatch(frames); over || err != nil {
				return over, err
			}
		}
		if err != nil || len(frames) == 0 {
			return false, err
		}
	}
}

// parse takes the next frames out of what was read.
func (s *stream) parse() ([]Frame, error) {
	b := s.batch
	n, err := s.in.Batch(wireFrames(b.frames))
	frames := b.frames[:n]
	if s.autoPong {
		for i := range frames {
			if frames[i].Kind == KindPing {
				b.out = append(b.out, Pong(frames[i].Data))
			}
		}
	}
	return frames, err
}

// wireFrames views frames as package wire has them: that it writes them where the
// handler reads them halves the cost of a small message. The two types
// agree in all but the names of their fields' types; a test holds them to it.
func wireFrames(frames []Frame) []wire.Frame {
	return unsafe.Slice((*wire.Frame)(unsafe.Pointer(unsafe.SliceData(frames))), len(frames))
}

// dispatch has a batch handled, and answers it.
func (s *stream) dispatch(frames []Frame) (over bool, err error) {
	var peer *Frame
	if last := frames[len(frames)-1]; last.Kind == KindClose {
		peer = &last
	}
	if s.discards() {
		s.batch.out = s.batch.out[:0]
		return peer != nil, nil
	}
	if !s.direct {
		// Handing over may have to wait for a reader, and pings do not wait.
		if err := s.reply(Directive{}, nil); err != nil {
			return false, err
		}
	}
	d := s.call(Event{Frames: frames})
	return peer != nil, s.reply(d, peer)
}

// send queues op and has it written. A failed write ends the stream.
func (s *stream) send(ctx context.Context, op *sendOp) error {
	err := s.out.send(ctx, op)
	switch {
	case err == nil || !s.out.broken():
	case peerLeft(err):
		s.lose(err)
	default:
		s.breakOff(err)
	}
	return err
}
