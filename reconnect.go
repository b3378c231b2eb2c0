package reqws

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/coder/websocket"

	"github.com/reqws/reqws/internal/failure"
)

// reconnectConfig is what the options of reconnecting come to.
type reconnectConfig struct {
	most      int // attempts in a row; -1: no bound, 0: none
	backOff   func() backoff.BackOff
	decides   func(error) RetryDecision
	minUptime time.Duration
}

// Reconnect has a stream whose connection was lost, or closed by the peer, open another one, with
// up to max attempts in a row; -1 means without a bound, and 0, the default, not at all. Each
// attempt runs all steps again, so that credentials are fresh, and waits before it: a random time of
// up to 1s before the first, 2s before the second and so on, up to 30s, and after a Retry-After at
// least as long as that says. [ReconnectBackOff] waits otherwise. [MinUptime] says when attempts are
// counted anew. In place of [Retry], which sees to the first connection, an attempt that fails is
// followed by the next; a [RetryFunc] is asked before.
//
// The handler is told of the break, with [Event].Err: Cont goes on with the next connection, Halt
// and Fail end the stream; replies go nowhere. A handler made by [Each] goes on. [OnOpen] runs on
// each connection, in the stream's goroutine, and what it answers is sent before anything else. Receive,
// Frames and the mailbox carry on. A Send of which nothing was written waits for the next connection, as
// long as its ctx lets it; one that was begun fails, since it may have arrived.
//
// The [Response] of Do stays the handle for all of it; the one that a handler gets is that of the
// connection which its frames came from.
//
// Not reconnected is what ended on purpose: by Halt, Fail, Close, the end of ctx, or a close
// frame of this side; what broke the protocol; a close frame of the peer's with code 1000, 1002,
// 1003, 1007, 1008, 1009 or 1010; and an attempt that was refused with a status that is not
// transient (see [SafeTransient]), whose [*HTTPError] ends the stream. All other failures of an
// attempt are followed by the next: lookups, certificates and descriptors fail for a while in every
// long life. [ReconnectFunc] decides otherwise.
func Reconnect(max int) Option {
	return checked("Reconnect", max, countOrNoBound, func(c *config, max int) { c.life.reconnect.most = max })
}

// ReconnectBackOff sets where the delays between the attempts of [Reconnect] come from, in place of
// the default: f is called once per execution, and what it returns is Reset at first and after each
// connection that lasted for [MinUptime]. backoff.Stop gives up. A Retry-After that is longer is
// obeyed all the same.
func ReconnectBackOff(f func() backoff.BackOff) Option {
	return checked("ReconnectBackOff", f, notNilFunc, func(c *config, f func() backoff.BackOff) { c.life.reconnect.backOff = f })
}

// ReconnectFunc sets a function that alone decides after which errors [Reconnect] makes an attempt:
// [GiveUp], [Again], or [AgainAfter]. It is asked why a connection ended, also where that was a close
// frame of the peer's with code 1000, which is a websocket.CloseError then, and why an attempt
// failed, by the stream's goroutine. It is not asked about an end that this side has chosen. Without
// Reconnect it has no effect.
func ReconnectFunc(f func(error) RetryDecision) Option {
	return checked("ReconnectFunc", f, notNilFunc, func(c *config, f func(error) RetryDecision) { c.life.reconnect.decides = f })
}

// MinUptime sets how long a connection must have lasted for the attempts of [Reconnect] to be
// counted anew, and their delays to begin anew: a server that accepts and hangs up at once is not
// asked more and more often. The default is 5s.
func MinUptime(d time.Duration) Option {
	return checked("MinUptime", d, notNegative, func(c *config, d time.Duration) { c.life.reconnect.minUptime = d })
}

// comeback is how a stream gets its next link.
type comeback struct {
	e        *execution
	backOff  backoff.BackOff // the user's
	tries    int             // in a row
	opened   time.Time       // when the link was
	decision RetryDecision   // about its end
	clean    bool            // which is no error if none follows
}

// newComeback makes what a stream needs to reconnect.
func newComeback(e *execution) (comeback, error) {
	c := comeback{e: e, opened: time.Now()}
	if f := e.life.reconnect.backOff; f != nil {
		if c.backOff = f(); isNil(c.backOff) {
			return c, errors.New("reqws: option ReconnectBackOff: the function returned nil")
		}
		c.backOff.Reset()
	}
	return c, nil
}

// breaks reports whether another link is to follow the one that has ended with err, which then says
// why though that may be a clean end.
func (s *stream) breaks() bool {
	l := s.link()
	l.mu.Lock()
	ours, peer := l.ours, l.peer
	l.mu.Unlock()
	if s.halted || s.failed != nil || ours || s.life.Err() != nil {
		return false
	}
	why := s.err
	if why == nil && peer != nil {
		why = s.fail("stream", fmt.Errorf("closed by the peer: %w", *peer))
	}
	if why == nil {
		return false
	}
	if s.gate.hasLeft() {
		if !isFinal(why) {
			s.err = s.fail("stream", s.gate.leftWith) // the link was lost before it could be closed
		}
		return false
	}
	c := &s.gate.comeback
	if c.decision = c.e.life.reconnect.decide(why); c.decision == GiveUp {
		return false
	}
	c.clean = s.err == nil
	s.err = why
	return true
}

// stays ends a stream with what its last link ended with.
func (s *stream) stays() {
	if s.follows && s.gate.comeback.clean {
		s.err = nil
	}
	s.follows = false
}

// decide says whether an attempt follows after err.
func (r *reconnectConfig) decide(err error) RetryDecision {
	if r.decides != nil {
		return r.decides(err)
	}
	if isFinal(err) {
		return GiveUp
	}
	return Again
}

// isFinal reports whether there is no use in coming back after err.
func isFinal(err error) bool {
	var (
		refused  *HTTPError
		proxy    *ProxyError
		protocol *ProtocolError
		closed   websocket.CloseError
	)
	switch {
	case errors.As(err, &refused):
		return !failure.IsTransientStatus(refused.StatusCode)
	case errors.As(err, &proxy):
		return !failure.IsTransientStatus(proxy.StatusCode)
	case errors.As(err, &closed):
		return isFinalCode(closed.Code)
	}
	return errors.As(err, &protocol)
}

// isFinalCode tells the close codes that say that.
func isFinalCode(code websocket.StatusCode) bool {
	switch code {
	case websocket.StatusNormalClosure, websocket.StatusProtocolError, websocket.StatusUnsupportedData,
		websocket.StatusInvalidFramePayloadData, websocket.StatusPolicyViolation, websocket.StatusMessageTooBig,
		websocket.StatusMandatoryExtension:
		return true
	}
	return false
}

// reconnect puts another link under the stream. Where there is none it says why in err, and the
// handler knows.
func (s *stream) reconnect() bool {
	ctx, cancel, ok := s.gate.depart()
	if !ok {
		s.err = s.fail("stream", s.gate.leftWith)
		return false
	}
	old := s.link()
	old.finish(s.err)
	s.follows, s.decided, s.replyErr = false, false, nil
	old.watch.ends(old, s.err, true)
	l, err := s.gate.comeback.search(ctx, s)
	if !s.gate.arrive(l) {
		cancel()
		if l != nil {
			l.finish(ErrClosed)
		}
		s.err, s.decided = s.fail("reconnect", s.unfound(err)), true
		if s.err != nil {
			s.tell()
		}
		return false
	}
	l.lasts(cancel)
	if s.resume != nil && l.ahead == nil {
		l.mayPark(s.resume)
	}
	s.err = nil
	if s.life.Err() != nil { // whoever watches it may have seen the old link only
		s.ctxEnded()
	}
	if s.start(s.gate.comeback.e.into.onOpen) != nil {
		s.tell()
		return false
	}
	return true
}

// unfound is what the stream ends with when no link was found, for err.
func (s *stream) unfound(err error) error {
	if life := s.lifeError(); life != nil {
		return life
	}
	if left, with := s.gate.hasLeft(), s.gate.leftWith; left {
		return with
	}
	return err
}

// search makes attempts until one succeeds, or there are to be no more.
func (c *comeback) search(ctx context.Context, s *stream) (*link, error) {
	if time.Since(c.opened) >= c.e.life.reconnect.minUptime {
		c.tries = 0
		if c.backOff != nil {
			c.backOff.Reset()
		}
	}
	for why := s.err; ; c.decision = c.e.life.reconnect.decide(why) {
		delay, ok := c.delay(why)
		switch {
		case !ok && c.tries == c.e.life.reconnect.most:
			return nil, fmt.Errorf("reqws: gave up after %d attempts to reconnect: %w", c.tries, why)
		case !ok:
			return nil, why
		}
		c.log(s, why, delay)
		c.e.config.watch.hooks.reconnects(s, why, delay, c.tries+1)
		if err := sleep(ctx, delay); err != nil {
			return nil, err
		}
		c.tries++
		a, err := c.attempt(ctx)
		if err == nil {
			c.opened = time.Now()
			return c.e.newLink(s, a), nil
		}
		if ctx.Err() != nil {
			return nil, err
		}
		why = err
	}
}

// attempt makes one.
func (c *comeback) attempt(ctx context.Context) (*answer, error) {
	a, err := c.e.config.again(c.tries - 1).runSteps(ctx)
	switch {
	case err != nil:
		return nil, err
	case a.resp.refused != nil:
		return nil, a.resp.refused
	case a.open == nil:
		_ = a.body.Close()
		return nil, fail("reconnect", a.url, errors.New("the answer is that to a plain request"))
	}
	return a, nil
}

// again returns an execution for an attempt to reconnect. What is to be done after a failure is
// not for its step retry to say, unless that asks the user.
func (c *config) again(tries int) *execution {
	d := *c
	d.retry.before = tries
	if d.retry.decides == nil {
		d.retry.most = 0
	}
	e, _ := d.execution() // whose options were good before
	return e
}

const (
	firstDelay = time.Second // the longest before the first attempt
	mostDelay  = 30 * time.Second
)

// delay returns how long to wait for the next attempt after an error, or false where there is to be
// none.
func (c *comeback) delay(why error) (time.Duration, bool) {
	if c.decision == GiveUp || c.tries == c.e.life.reconnect.most {
		return 0, false
	}
	if after, ok := c.decision.after(); ok {
		return after, true
	}
	after := min(refusedFor(why), math.MaxInt64-2*mostDelay)
	if c.backOff != nil {
		d := c.backOff.NextBackOff()
		return max(0, d, after), d != backoff.Stop
	}
	// All of the delay is random: a thousand streams that were lost together come back apart.
	return after + rand.N(min(mostDelay, firstDelay<<min(c.tries, 10))+1), true
}

// refusedFor is how long a server that refused has asked to be left alone.
func refusedFor(err error) time.Duration {
	var refused *HTTPError
	if !errors.As(err, &refused) {
		return 0
	}
	after, _ := retryAfter(&http.Response{StatusCode: refused.StatusCode, Header: refused.Header})
	return after
}

func (c *comeback) log(s *stream, why error, delay time.Duration) {
	log := c.e.config.logs.logger()
	if log == nil {
		return
	}
	left := c.e.life.reconnect.most
	if left > 0 {
		left -= c.tries
	}
	log.LogAttrs(s.life, c.e.config.retry.level, "reqws: will reconnect",
		slog.String("url", failure.SafeURL(s.link().resp.requestURL())), slog.String("error", why.Error()), slog.Duration("delay", delay), slog.Int("attempts_left", left))
}
