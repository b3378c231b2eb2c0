package reqws

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/reqws/reqws/internal/failure"
)

// retryConfig is what the options of the group retry come to.
type retryConfig struct {
	mode    RetryMode
	decides func(*http.Request, *http.Response, error) RetryDecision // in place of mode
	delay   func(n int) time.Duration
	backOff func() backoff.BackOff
	most    int // -1: no bound
	before  int // attempts for the same connection that others have made
	level   slog.Level
}

// Retry says what is tried again: [SafeTransient], the default, [Transient] or
// [Never].
func Retry(m RetryMode) Option {
	return checked("Retry", m, func(m RetryMode) error {
		if m > Never {
			return fmt.Errorf("unknown mode %d", m)
		}
		return nil
	}, func(c *config, m RetryMode) { c.retry.mode, c.retry.decides = m, nil })
}

// RetryFunc sets a function that alone decides, in place of [Retry], whether
// an answer or an error is tried again: [GiveUp], [Again] (after the usual delay)
// or [AgainAfter]. The request is the last one of the attempt, redirects included,
// with its URL and headers but not yet its credentials. Of the response and the error
// one is nil; the body is not to be read. It is not asked about a WebSocket that
// opened, nor once the context is over. [MaxRetries] still bounds it; [Attempt] tells
// from the request's context which try it was.
func RetryFunc(f func(*http.Request, *http.Response, error) RetryDecision) Option {
	return checked("RetryFunc", f, notNilFunc,
		func(c *config, f func(*http.Request, *http.Response, error) RetryDecision) { c.retry.decides = f }).inPlaceOf("Retry")
}

// RetryDelay sets the delay before the n-th retry, n counting from 0, in place
// of Retry-After and the default of 1s, 2s, 4s and so on, each up to a tenth shorter at
// random. A negative one counts as 0.
func RetryDelay(f func(n int) time.Duration) Option {
	return checked("RetryDelay", f, notNilFunc,
		func(c *config, f func(int) time.Duration) { c.retry.delay, c.retry.backOff = f, nil })
}

// RetryBackOff sets where delays come from, in place of Retry-After and the
// default: f is called once per execution, and what it returns is Reset, and then asked
// before each retry. backoff.Stop gives up.
func RetryBackOff(f func() backoff.BackOff) Option {
	return checked("RetryBackOff", f, notNilFunc,
		func(c *config, f func() backoff.BackOff) { c.retry.delay, c.retry.backOff = nil, f }).inPlaceOf("RetryDelay")
}

// MaxRetries sets how often an execution tries again; the default is 3, and -1
// means without a bound but ctx. The default delays go on doubling then: [RetryDelay] or
// [RetryBackOff] keep them short.
func MaxRetries(n int) Option {
	return checked("MaxRetries", n, countOrNoBound, func(c *config, n int) { c.retry.most = n })
}

// RetryLogLevel sets the level of the line that each retry logs; the default is
// warn. attempts_left in it is -1 where [MaxRetries] sets no bound.
func RetryLogLevel(l slog.Level) Option {
	return option("RetryLogLevel", func(c *config) { c.retry.level = l })
}

// RetryMode says what is tried again. See [Retry].
type RetryMode uint8

const (
	// SafeTransient tries GET and HEAD again, and handshakes, which are GETs: on
	// the statuses 408, 429, 500, 502, 503 and 504, of the server or of a proxy, on
	// timeouts, and on connections that were refused, or closed or reset before an
	// answer came. TLS and DNS failures, answers that break the protocol and the end of
	// the ctx are final.
	SafeTransient RetryMode = iota
	// Transient does so with any method.
	Transient
	// Never tries nothing again.
	Never
)

// RetryDecision is what a [RetryFunc] answers: [GiveUp], [Again], or what
// [AgainAfter] returns.
type RetryDecision int64

const (
	GiveUp RetryDecision = 0  // what is there stands; the zero value
	Again  RetryDecision = -1 // try again after the usual delay
)

// AgainAfter decides to try again after d, whatever the usual delay is. A
// negative d counts as 0.
func AgainAfter(d time.Duration) RetryDecision {
	return RetryDecision(min(max(d, 0), math.MaxInt64-1) + 1)
}

// after returns the delay that the decision names, if it names one.
func (d RetryDecision) after() (time.Duration, bool) { return time.Duration(d) - 1, d > 0 }

// attempt is one try, and the context of its requests: its number, its first hop, and the last
// request of it, redirects included, for the decision whether to make another one.
type attempt struct {
	context.Context
	n     int
	req   *http.Request
	first hop
}

type attemptKey struct{}

// Value implements context.Context.
func (a *attempt) Value(key any) any {
	switch key.(type) {
	case attemptKey:
		return a
	case hopKey:
		return &a.first
	}
	return a.Context.Value(key)
}

// Attempt tells a [Step], or the function of [RetryFunc], from the context of its
// request which try for a connection this is: 0 is the first, 1 its first retry. The
// hops of a redirect belong to one try. Outside of an execution it is 0.
func Attempt(ctx context.Context) int {
	if a, ok := ctx.Value(attemptKey{}).(*attempt); ok {
		return a.n
	}
	return 0
}

// noteAttempt records req, which has its URL and headers but no credentials
// yet, as the one that its attempt is about to send.
func noteAttempt(req *http.Request) {
	if a, ok := req.Context().Value(attemptKey{}).(*attempt); ok {
		a.req = req
	}
}

// attempts runs all steps but those of [UseOuter], which get a request made of req, and
// runs them again where a failure may pass.
func (c *config) attempts(ctx context.Context, req *http.Request, next http.RoundTripper) (*http.Response, error) {
	delays, err := c.retry.newDelays()
	if err != nil {
		return nil, fail("retry", nil, err)
	}
	for n := 0; ; n++ {
		a := &attempt{Context: ctx, n: c.retry.before + n}
		a.req = req.WithContext(a)
		if req.URL == noURL {
			a.req.URL = &a.first.sent // which is its own
		}
		resp, err := next.RoundTrip(a.req)
		if n == c.retry.most || ctx.Err() != nil || isOpen(a.req, resp) {
			return resp, err
		}
		decision := c.retry.decide(a.req, c.plain.method, resp, err)
		if decision == GiveUp {
			return resp, err
		}
		delay, ok := delays.next(n, decision, resp)
		if !ok {
			return resp, err
		}
		c.retry.log(c.logs.logger(), n, a, resp, err, delay)
		if resp != nil {
			_ = resp.Body.Close()
		}
		c.watch.hooks.retries(a, resp, err, delay)
		if ctxErr := sleep(ctx, delay); ctxErr != nil {
			return nil, fail("retry", a.req.URL, waitError(ctxErr, resp, err))
		}
	}
}

// isOpen tells an answer that opened a WebSocket: 101, or over HTTP/2 any 2xx that
// the handshake let through.
func isOpen(req *http.Request, resp *http.Response) bool {
	return resp != nil && isWebSocket(req.URL) && opensWebSocket(resp)
}

func (c *retryConfig) decide(req *http.Request, method string, resp *http.Response, err error) RetryDecision {
	if c.decides != nil {
		return c.decides(req, resp, err)
	}
	again := false
	switch {
	case c.mode == Never:
	case c.mode == SafeTransient && !isWebSocket(req.URL) && method != http.MethodGet && method != http.MethodHead:
	case err != nil:
		again = failure.IsTransient(err)
	default:
		again = failure.IsTransientStatus(resp.StatusCode)
	}
	if again {
		return Again
	}
	return GiveUp
}

// delays is where one execution takes the delays of its retries from.
type delays struct {
	given   func(n int) time.Duration
	backOff backoff.BackOff // the user's
}

func (c *retryConfig) newDelays() (delays, error) {
	d := delays{given: c.delay}
	if c.backOff != nil {
		if d.backOff = c.backOff(); isNil(d.backOff) {
			return d, errors.New("option RetryBackOff: the function returned nil")
		}
		d.backOff.Reset() // without it, one that was put together by hand has no interval yet
	}
	return d, nil
}

// next returns the delay before the n-th retry, or false where there is to be
// none.
func (d *delays) next(n int, decision RetryDecision, resp *http.Response) (time.Duration, bool) {
	if after, ok := decision.after(); ok {
		return after, true
	}
	if d.given != nil {
		return max(0, d.given(n)), true
	}
	if d.backOff != nil {
		delay := d.backOff.NextBackOff()
		return max(0, delay), delay != backoff.Stop
	}
	if after, ok := retryAfter(resp); ok {
		return after, true
	}
	return usualDelay(n), true
}

// usualDelay is 1s, 2s, 4s and so on, each up to a tenth shorter at random: those who
// failed together do not come back together.
func usualDelay(n int) time.Duration {
	d := time.Second << min(n, 33) // 272 years
	return d - rand.N(d/10+1)
}

// retryAfter reads Retry-After (RFC 9110, section 10.2.3) of a 429 or 503. What
// is neither seconds nor an HTTP date to come counts as absent.
func retryAfter(resp *http.Response) (time.Duration, bool) {
	if resp == nil || resp.StatusCode != http.StatusTooManyRequests && resp.StatusCode != http.StatusServiceUnavailable {
		return 0, false
	}
	value := strings.TrimSpace(resp.Header.Get("Retry-After"))
	seconds, err := strconv.ParseUint(value, 10, 64)
	if err == nil || errors.Is(err, strconv.ErrRange) {
		return time.Duration(min(seconds, math.MaxInt64/uint64(time.Second))) * time.Second, true
	}
	date, err := http.ParseTime(value)
	if wait := time.Until(date); err == nil && wait > 0 {
		return wait, true
	}
	return 0, false
}

// sleep waits for d, or until ctx ends and returns why.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return failure.Ended(ctx, nil)
	}
}

// waitError says that the wait for a retry was cut off, and what the retry was
// for.
func waitError(ctxErr error, resp *http.Response, err error) error {
	if err != nil {
		return fmt.Errorf("%w while waiting to try again after: %v", ctxErr, failure.WithoutURL(err))
	}
	return fmt.Errorf("%w while waiting to try again after status %d", ctxErr, resp.StatusCode)
}

func (c *retryConfig) log(log *slog.Logger, n int, a *attempt, resp *http.Response, err error, delay time.Duration) {
	if log == nil {
		return
	}
	left := c.most // -1: no bound
	if left > 0 {
		left -= n
	}
	var why slog.Attr
	if err != nil {
		why = slog.String("error", fail("request", a.req.URL, err).Error())
	} else {
		why = slog.Int("status", resp.StatusCode)
	}
	log.LogAttrs(a.req.Context(), c.level, "reqws: will try again",
		slog.String("url", failure.SafeURL(a.req.URL)), why, slog.Duration("delay", delay), slog.Int("attempts_left", left))
}
