package fleet

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/internal/failure"
)

// session is one execution of a stream's request: from the first attempt until it is left, over all reconnects. A spec
// that changes ends one session and begins another, under the same claim. It has no goroutine of
// its own while the connection is idle.
type session struct {
	h    *held
	spec Spec
	ctx  context.Context
	stop context.CancelCauseFunc

	mu      sync.Mutex
	changed *sync.Cond // of what follows
	resp    *reqws.Response
	trying  bool // a handshake is under way, or has just been answered
	up      bool
	leaving bool // no other attempt is made
	over    bool
	paid    bool // the next attempt has had its turn under the opening limit
	link    uint64
}

var errLeaving = errors.New("the stream is being left")

func newSession(h *held, spec Spec, link uint64, paid bool) *session {
	s := &session{h: h, spec: spec, link: link, paid: paid}
	s.changed = sync.NewCond(&s.mu)
	s.ctx, s.stop = context.WithCancelCause(h.w.ctx)
	return s
}

// set changes the session's state, and tells those who wait for it.
func (s *session) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	s.changed.Broadcast()
}

// open connects, as often as it takes. It returns when the stream is up, or will never be.
func (s *session) open() {
	resp, err := s.connect()
	var left bool
	s.set(func() {
		s.resp, s.trying = resp, false
		s.over = s.over || err != nil
		left = s.leaving
	})
	if err != nil && !left && s.ctx.Err() == nil {
		s.h.failed(err) // an option: the spec is wrong in a way that only reqws sees
	}
}

// connect makes the request, and has it executed. Without a secret that is part of it there is no request
// yet: it is asked for again and again.
func (s *session) connect() (*reqws.Response, error) {
	for n := 0; ; n++ {
		req, err := s.request()
		if err == nil {
			return req.Do(s.ctx)
		}
		s.h.note(err)
		if err := sleep(s.ctx, retryDelay(n)); err != nil {
			return nil, err
		}
	}
}

// request is the spec as reqws has it.
func (s *session) request() (*reqws.Request, error) {
	spec, secret := &s.spec, s.h.secrets()
	params, secretParams := divide(spec.Params)
	headers, secretHeaders := divide(spec.Headers)
	options := append([]reqws.Option{reqws.Logger(nil)}, s.h.w.cfg.Options...)
	options = append(options, reqws.URL(spec.URL), reqws.Params(params), reqws.Subprotocols(spec.Subprotocols...))
	for name, v := range headers {
		options = append(options, reqws.Header(name, v))
	}
	if len(spec.PathParams) > 0 {
		// They are part of the request: a secret in them that changes is seen when the session is begun anew.
		resolved, err := secret.all(s.ctx, spec.PathParams)
		if err != nil {
			return nil, err
		}
		options = append(options, reqws.PathParams(resolved))
	}
	if len(secretParams)+len(secretHeaders) > 0 {
		options = append(options, reqws.Auth(secret.auth(secretHeaders, secretParams)))
	}
	if spec.Compression {
		options = append(options, reqws.Compression(websocket.CompressionContextTakeover))
	}
	if d := spec.Limits.ConnectTimeout; d > 0 {
		options = append(options, reqws.ConnectTimeout(time.Duration(d)))
	}
	if spec.Limits.Heartbeat != nil || spec.Limits.HeartbeatTimeout != nil {
		options = append(options, reqws.Heartbeat(s.heartbeat()))
	}
	return reqws.New(append(options,
		reqws.MaxMessageSize(s.maxMessage()),
		reqws.Use(s.turn),
		reqws.MaxRetries(-1), reqws.RetryFunc(s.retry), reqws.RetryDelay(retryDelay),
		reqws.Reconnect(-1), reqws.ReconnectFunc(s.reconnect),
		reqws.HearOut(true),
		reqws.OnOpen(s.onOpen),
		reqws.Into(s.handle),
		reqws.AddTrace(s.trace()))...), nil
}

func (s *session) heartbeat() (interval, timeout time.Duration) {
	interval, timeout = 20*time.Second, 20*time.Second
	if d := s.spec.Limits.Heartbeat; d != nil {
		interval = time.Duration(*d)
	}
	if d := s.spec.Limits.HeartbeatTimeout; d != nil {
		timeout = time.Duration(*d)
	}
	return interval, timeout
}

// headerRoom is what the headers of a NATS message may take of its largest size.
const headerRoom = 1024

func (s *session) maxMessage() int64 {
	most := max(1, s.h.w.f.nc.MaxPayload()-headerRoom-int64(3*len(s.spec.ID)))
	if own := s.spec.Limits.MaxMessageSize; own > 0 {
		most = min(most, own)
	}
	return most
}

// turn is the step in which an attempt waits until it may be made: under the opening limit of its host, and with
// not too many others of this worker.
func (s *session) turn(next http.RoundTripper) http.RoundTripper {
	return reqws.RoundTripFunc(func(req *http.Request) (*http.Response, error) {
		s.mu.Lock()
		paid := s.paid
		s.paid = false
		s.mu.Unlock()
		if !paid {
			if err := s.h.w.limiter.wait(req.Context(), req.URL.Hostname()); err != nil {
				return nil, err
			}
		}
		select {
		case s.h.w.openings <- struct{}{}:
			defer func() { <-s.h.w.openings }()
		case <-req.Context().Done():
			return nil, context.Cause(req.Context())
		}
		s.mu.Lock()
		leaving := s.leaving
		s.trying = !leaving
		s.mu.Unlock()
		if leaving {
			return nil, errLeaving
		}
		return next.RoundTrip(req)
	})
}

// retry decides after an attempt at the first connection that failed: there is always another one.
func (s *session) retry(_ *http.Request, resp *http.Response, err error) reqws.RetryDecision {
	if err == nil {
		err = &reqws.HTTPError{StatusCode: resp.StatusCode}
	}
	return s.again(err)
}

// reconnect likewise, after a connection that was lost and after each attempt that failed.
func (s *session) reconnect(err error) reqws.RetryDecision { return s.again(err) }

// refusedDelay is the wait after an answer that another attempt will not change soon: what is wrong is in the
// spec, a secret, or an account.
const refusedDelay = time.Minute

func (s *session) again(err error) reqws.RetryDecision {
	s.h.note(err)
	leaving := false
	s.set(func() { s.trying, leaving = false, s.leaving })
	var refused *reqws.HTTPError
	switch {
	case leaving:
		return reqws.GiveUp
	case errors.As(err, &refused) && !failure.IsTransientStatus(refused.StatusCode):
		return reqws.AgainAfter(refusedDelay + rand.N(refusedDelay))
	}
	return reqws.Again
}

// retryDelay has full jitter: many streams lose one server at once.
func retryDelay(n int) time.Duration {
	return rand.N(min(30*time.Second, time.Second<<min(n, 5)))
}

// onOpen sends what the spec has sent on open.
func (s *session) onOpen(*reqws.Response) reqws.Directive {
	frames := make([]reqws.Frame, len(s.spec.OnOpen))
	for i, text := range s.spec.OnOpen {
		resolved, err := s.h.secrets().in(s.ctx, text)
		if err != nil {
			s.h.note(err)
			return reqws.Fail(err)
		}
		frames[i] = reqws.Text(resolved)
	}
	return reqws.Cont(frames...)
}

// handle publishes the messages of a batch. While JetStream has too much to do, it waits, and the socket fills.
func (s *session) handle(in reqws.Event, _ *reqws.Response) reqws.Directive {
	for i := range in.Frames {
		f := &in.Frames[i]
		if f.Kind != reqws.KindText && f.Kind != reqws.KindBinary {
			continue
		}
		if err := s.h.publish(f.Kind, s.link, f.Data); err != nil {
			s.h.fenced(err)
			break
		}
	}
	return reqws.Cont()
}

// trace keeps the stream's status.
func (s *session) trace() *reqws.ClientTrace {
	return &reqws.ClientTrace{
		Opened: func(reqws.OpenedInfo) {
			s.set(func() { s.trying, s.up, s.link = false, true, s.link+1 })
			s.h.opened(s.link)
		},
		Closed: func(info reqws.ClosedInfo) {
			s.set(func() { s.up, s.over = false, s.over || !info.Reconnects })
			s.h.closed(s, info)
		},
		BatchIn: func(info reqws.BatchInfo) {
			s.h.framesIn.Add(uint64(info.Frames))
			s.h.bytesIn.Add(uint64(info.Bytes))
		},
		BatchOut: func(info reqws.BatchInfo) {
			s.h.framesOut.Add(uint64(info.Frames))
			s.h.bytesOut.Add(uint64(info.Bytes))
		},
	}
}

// leave ends the session in good order, and returns when it is over: all that the server sent before
// its close frame has been handled. With the end of ctx it is over at once.
func (s *session) leave(ctx context.Context) {
	s.mu.Lock()
	s.leaving = true
	await(ctx, s.changed, func() bool { return s.over || !s.trying && (!s.up || s.resp != nil) })
	resp, up, over := s.resp, s.up, s.over
	s.mu.Unlock()
	if !over && up && ctx.Err() == nil {
		if resp.Send(ctx, reqws.Close(websocket.StatusNormalClosure, "")) == nil {
			select {
			case <-resp.Done():
			case <-ctx.Done():
			}
		}
	}
	s.abort(errLeaving)
	s.awaitEnd()
}

// abort ends the session at once.
func (s *session) abort(why error) {
	s.mu.Lock()
	s.leaving = true
	resp := s.resp
	s.mu.Unlock()
	if resp != nil {
		_ = resp.CloseNow()
	}
	s.stop(why)
}

// awaitEnd waits until nothing of the session is left, after abort.
func (s *session) awaitEnd() {
	s.mu.Lock()
	for !s.over && s.resp == nil {
		s.changed.Wait()
	}
	resp := s.resp
	s.mu.Unlock()
	if resp != nil {
		_ = resp.CloseNow()
		<-resp.Done()
	}
}

// send sends a frame over the connection that there is, or over the next one.
func (s *session) send(ctx context.Context, f reqws.Frame) error {
	s.mu.Lock()
	await(ctx, s.changed, func() bool { return s.resp != nil || s.over || s.leaving })
	resp := s.resp
	s.mu.Unlock()
	if resp == nil {
		if err := ctx.Err(); err != nil {
			return err
		}
		return reqws.ErrClosed
	}
	return resp.Send(ctx, f)
}
