package reqws

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/coder/websocket"
)

// Request describes a connection: where to, with which parameters and
// credentials, how to get there and what becomes of the frames. It is immutable
// and safe for concurrent use: each execution starts from it anew.
type Request struct {
	c *config
}

// New returns a Request with opts applied to the defaults.
func New(opts ...Option) *Request {
	return &Request{defaults().with(opts)}
}

// With returns a changed copy of r: opts are applied to what r has.
func (r *Request) With(opts ...Option) *Request {
	return &Request{r.c.with(opts)}
}

// Step wraps the exchange of one request for one answer: the middleware shape
// of net/http clients, so that any wrapper of an http.RoundTripper is a Step. It sees
// the URL with the user's scheme, ws and wss included, and a WebSocket that opened
// as an answer with status 101 (200 over HTTP/2) whose body is the connection.
type Step func(next http.RoundTripper) http.RoundTripper

// RoundTripFunc is a function as an http.RoundTripper, for writing a [Step].
type RoundTripFunc func(*http.Request) (*http.Response, error)

// RoundTrip calls f.
func (f RoundTripFunc) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// Use adds steps behind the built-in ones, the first one outermost; only AWS
// signing comes after them. Any wrapper of an http.RoundTripper fits. They find the
// template of the path, such as /rooms/:room, in the request's Pattern, a name for
// traces and metrics that does not differ with the values; a request that a redirect
// led to has none.
//
// Credentials belong in [Auth], which a redirect to another origin leaves out. A step
// given here runs on each hop, and what it sets goes wherever the redirect leads: one
// that adds an Authorization header, or any other secret, has to ask [Foreign] first.
func Use(steps ...Step) Option {
	return checked("Use", slices.Clone(steps), noStepNil, func(c *config, steps []Step) { c.steps = append(c.steps, steps...) }).adding()
}

// UseOuter adds steps in front of all others, the first one outermost: around the
// retries and redirects of one execution, which they see as one exchange. Their
// request has no URL yet, and of the headers and the body only what they give it
// themselves; URL, headers and credentials are put in behind them, anew on each
// attempt. Their answer is the last one, with the request that it answers in its field
// Request, and the body of a WebSocket that opened is the connection.
func UseOuter(steps ...Step) Option {
	return checked("UseOuter", slices.Clone(steps), noStepNil, func(c *config, steps []Step) { c.outerSteps = append(c.outerSteps, steps...) }).adding()
}

func noStepNil(steps []Step) error {
	for i, s := range steps {
		if s == nil {
			return fmt.Errorf("step %d is nil", i+1)
		}
	}
	return nil
}

// send has the steps and the handshake make an answer. All that is inside attempts runs again on
// each attempt, and all that is inside followRedirects on each hop. chain has the order there.
func (c *config) send(ctx context.Context, handshake *opener) (*http.Response, error) {
	next := c.chain(handshake)
	if len(c.outerSteps) == 0 && ctx != nil { // nobody sees a request before that of an attempt
		blank := &http.Request{Method: c.plain.method, URL: noURL, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
		return c.attempts(ctx, blank, next)
	}
	req, err := http.NewRequestWithContext(ctx, c.plain.method, "", nil)
	if err != nil {
		return nil, err
	}
	return answerOf(users(c.outerSteps, RoundTripFunc(func(req *http.Request) (*http.Response, error) {
		return c.attempts(req.Context(), req, next)
	})), req)
}

var noURL = new(url.URL)

// chain puts the steps of one attempt in their order around the handshake: the last one here is the
// outermost.
func (c *config) chain(handshake *opener) http.RoundTripper {
	next := http.RoundTripper(handshake)
	next = keepSpelling(c.header.fields, next)
	next = sign(c.sigV4, next)
	next = users(c.steps, next)
	next = authenticate(c.auth, &c.target, next)
	next = cookies(c.jar, next)
	return c.followRedirects(next)
}

// complete gives the request of a hop its URL, and then its headers.
func (c *config) complete(req *http.Request) error {
	if err := c.target.complete(req, c.plain.method); err != nil {
		if req.Header == nil { // a RetryFunc is asked about that, too
			req.Header = make(http.Header)
		}
		return err
	}
	return c.header.complete(req, c.plain.body, c.connect.hostname)
}

// users puts steps of the user's around next, the first one outermost.
func users(steps []Step, next http.RoundTripper) http.RoundTripper {
	if len(steps) == 0 {
		return next
	}
	next = completing("request", next)
	for _, s := range slices.Backward(steps) {
		next = applyStep("request", s, next)
	}
	return next
}

// execution returns what one execution reads of the options, unless they are wrong.
func (c *config) execution() (*execution, error) {
	steps := len(c.steps)+len(c.outerSteps) > 0
	return &execution{
		config: c,
		opener: opener{
			connect:   &c.connect,
			protocols: &c.header.protocols,
			forCoder:  c.target.webSocket,
			seen:      steps || c.auth != nil,
			trace:     c.watch.hooks,
		},
		target:     &c.target,
		method:     c.plain.method,
		into:       &c.into,
		life:       &c.life,
		httpErrors: c.httpErrors,
		shared:     c.connect.dialContext != nil || steps,
	}, c.err()
}

// Do connects and returns the answer once the handshake is over; then a
// handler given with [Into] runs in a goroutine of its own, and without one the
// frames wait for [Response.Receive]. The handler may run before Do has returned: it
// uses the [Response] that it is given.
//
// ctx is the life of the stream, not only of the handshake. When it ends, an open
// WebSocket is sent a close frame with code 1001, where that can be done at once, and
// closed without waiting for the peer's; the stream then ends with the error of ctx. For
// any other goodbye call [Response.Close] before ctx ends.
//
// A handshake that the server refused is an [*HTTPError], and the plain answer to an
// http or https URL a Response whatever its status, unless [HTTPErrors] says otherwise.
// A plain answer has its whole body in Body, or hands it to the handler or mailbox in
// frames of [KindChunk].
func (r *Request) Do(ctx context.Context, opts ...Option) (*Response, error) {
	e, err := r.c.with(opts).execution()
	if err != nil {
		return nil, err
	}
	s, resp, err := e.open(ctx, false)
	if err != nil {
		return nil, err
	}
	if s != nil {
		s.background()
	}
	return resp, nil
}

// Run is [Request.Do], and then the stream's loop in the caller's goroutine: it
// returns what [Response.Wait] would, which the package page lists. It needs [Into] or
// [IntoMailbox]. A refusal is an [*HTTPError], and so is a plain HTTP status of 400 and
// above.
func (r *Request) Run(ctx context.Context, opts ...Option) error {
	e, err := r.c.with(opts).execution()
	if e.into.handler == nil && e.into.mailbox == nil {
		err = errors.Join(errors.New("reqws: Run needs the option Into or IntoMailbox"), err)
	}
	if err != nil {
		return err
	}
	s, resp, err := e.open(ctx, true)
	if err != nil {
		return err
	}
	if s != nil {
		s.run()
	}
	return resp.Wait()
}

// Dial connects as Do does, but hands the open WebSocket over as a Conn of
// github.com/coder/websocket, which the caller then owns; the options of the
// groups into and life (see the package page for the groups) have no effect on it, but
// for [MaxMessageSize], which is its read limit, and the [Response] only tells of the
// handshake. ctx bounds the handshake alone. A refusal is an [*HTTPError]. A URL with http
// means ws here, one with https wss.
func (r *Request) Dial(ctx context.Context, opts ...Option) (*websocket.Conn, *Response, error) {
	c := *r.c.with(opts)
	c.target.webSocket = true
	e, err := c.execution()
	if err != nil {
		return nil, nil, err
	}
	return e.dial(ctx)
}
