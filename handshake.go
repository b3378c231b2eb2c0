package reqws

import (
	"context"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/reqws/reqws/internal/wire"
)

// opener is the innermost round tripper of one execution: it sends plain
// requests on as they are, and performs the opening handshake of the others. It
// remembers what it opened, since a step may wrap the body of the answer.
type opener struct {
	c     *config
	coder bool // the caller wants coder's Conn, with its own compression

	mu   sync.Mutex
	url  *url.URL // of the last request
	ws   bool     // the last request was a handshake
	open *handshake
}

// handshake is one opening handshake, and once it succeeded the connection.
type handshake struct {
	c       *config
	next    http.RoundTripper
	offered []string // subprotocols
	offer   bool     // permessage-deflate
	noCtx   bool     // without context takeover
	coder   bool
	cancel  context.CancelFunc // these two over the user's own Transport
	timer   *time.Timer
	resp    *http.Response
	err     error // of the round trip, before coder's Dial wraps it
	conn    *openConn
	deflate *wire.DeflateParams
	client  *websocket.Conn // coder's, where it was asked for
	lent    *lentConn       // what that works on
}

// RoundTrip implements http.RoundTripper.
func (o *opener) RoundTrip(req *http.Request) (*http.Response, error) {
	o.asked(req.URL)
	if !isWebSocket(req.URL) && !o.coder {
		resp, err := o.c.roundTripper().RoundTrip(req)
		if err != nil {
			return nil, fail("request", req.URL, err)
		}
		return resp, nil
	}
	return o.handshake(req)
}

// note is the step that notes what is asked for, since the user's steps behind
// it may answer by themselves, and makes up for what these answers may lack.
func (o *opener) note(next http.RoundTripper) http.RoundTripper {
	return RoundTripFunc(func(req *http.Request) (*http.Response, error) {
		o.asked(req.URL)
		resp, err := next.RoundTrip(req)
		if err == nil && resp == nil {
			return nil, fail("request", req.URL, errors.New("a step returned neither an answer nor an error"))
		}
		if err != nil {
			return nil, err
		}
		if resp.Body == nil {
			resp.Body = http.NoBody
		}
		if resp.Request == nil {
			resp.Request = req
		}
		return resp, nil
	})
}

func (o *opener) asked(u *url.URL) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.url, o.ws = u, isWebSocket(u)
}

// handshake lets coder's Dial speak the opening handshake of RFC 6455, section
// 4.1, and takes the connection from it.
func (o *opener) handshake(req *http.Request) (*http.Response, error) {
	h := &handshake{c: o.c, next: o.c.roundTripper(), coder: o.coder}
	mode := websocket.CompressionDisabled
	if o.coder {
		mode = o.c.compression
	} else if o.c.compression != websocket.CompressionDisabled {
		h.offer, h.noCtx = true, o.c.compression == websocket.CompressionNoContextTakeover
	}
	header := req.Header.Clone()
	h.offered = protocolNames(header)
	header.Del(protocolHeader)
	u := *req.URL
	u.Fragment, u.RawFragment, u.User = "", "", nil

	ctx := req.Context()
	if o.c.transport != nil {
		ctx = h.bound(ctx, o.c.connectTimeout)
	}
	client, _, err := websocket.Dial(ctx, u.String(), &websocket.DialOptions{
		HTTPClient: &http.Client{
			Transport:     h,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		HTTPHeader:      header,
		Host:            req.Host,
		Subprotocols:    h.offered,
		CompressionMode: mode,
	})
	if err != nil {
		return h.failed(req, err)
	}
	h.inTime()
	h.resp.Request = req
	if o.coder {
		h.client = client
	} else {
		// The buffers that Dial lent it go back to their pools; the connection is
		// not closed, since coder only has an inert body.
		_ = client.CloseNow()
	}
	o.mu.Lock()
	old := o.open
	o.open = h
	o.mu.Unlock()
	old.abandon() // a step asked twice: the first connection has no owner any more
	return h.resp, nil
}

// bound ends a handshake over the user's own Transport after timeout. What
// stays of it is let go of with the connection, or with the body of a refusal.
func (h *handshake) bound(ctx context.Context, timeout time.Duration) context.Context {
	ctx, cancel := context.WithCancelCause(ctx)
	h.cancel = func() { cancel(nil) }
	if timeout > 0 {
		h.timer = time.AfterFunc(timeout, func() { cancel(connectTimeoutError(timeout)) })
	}
	return ctx
}

// inTime stops what bound began.
func (h *handshake) inTime() {
	if h.timer != nil {
		h.timer.Stop()
	}
}

// refusal is the body of a refused handshake over the user's own Transport.
type refusal struct {
	io.ReadCloser
	h *handshake
}

func (r refusal) Close() error {
	err := r.ReadCloser.Close()
	r.h.abandon()
	return err
}

// failed is the outcome of a handshake that opened nothing: a refusal is an
// answer, which other steps may act upon, and everything else an error.
func (h *handshake) failed(req *http.Request, err error) (*http.Response, error) {
	if h.resp != nil && h.resp.StatusCode >= 300 && h.err == nil {
		h.resp.Request = req
		if h.cancel != nil {
			h.resp.Body = refusal{h.resp.Body, h}
		}
		return h.resp, nil
	}
	h.abandon()
	if h.resp != nil && h.resp.Body != nil {
		_ = h.resp.Body.Close()
	}
	if inner := errors.Unwrap(err); inner != nil { // the outer one says that Dial failed
		err = inner
	}
	if h.err != nil {
		err = h.err
	}
	return nil, fail("handshake", req.URL, err)
}

// abandon closes what h has open.
func (h *handshake) abandon() {
	if h == nil {
		return
	}
	if h.conn != nil {
		_ = h.conn.Close()
	}
	h.inTime()
	if h.cancel != nil {
		h.cancel()
	}
}

// RoundTrip stands between coder's Dial and the transport. Out of Dial's sight it
// negotiates permessage-deflate, whose parameters Dial does not know all of, and
// makes an HTTP/2 answer look like the 101 that Dial expects.
func (h *handshake) RoundTrip(req *http.Request) (*http.Response, error) {
	if h.offer {
		req = req.Clone(req.Context())
		req.Header.Set("Sec-Websocket-Extensions", wire.DeflateOffer(h.noCtx))
	}
	resp, err := h.next.RoundTrip(req)
	if err != nil {
		if h.cancel != nil {
			err = caused(req.Context(), err)
		}
		h.err = err
		return nil, err
	}
	h.resp = resp
	seen := *resp // by Dial
	seen.Body = http.NoBody
	if !opened(resp) {
		return &seen, nil
	}
	if h.conn, err = asOpenConn(resp.Body); err != nil {
		h.err = err
		return nil, err
	}
	if h.err = answeredOnce(resp.Header); h.err != nil {
		return nil, h.err
	}
	if h.err = h.c.checkSubprotocol(resp.Header.Get(protocolHeader), h.offered); h.err != nil {
		return nil, h.err
	}
	resp.Body = h.conn
	seen.Body = inert{}
	if h.coder {
		h.lent = &lentConn{openConn: h.conn}
		seen.Body = h.lent
	}
	seen.Header = resp.Header.Clone()
	if resp.ProtoMajor == 2 {
		seen.StatusCode = http.StatusSwitchingProtocols
		seen.Header.Set("Connection", "Upgrade")
		seen.Header.Set("Upgrade", "websocket")
		seen.Header.Set("Sec-Websocket-Accept", acceptKey(req.Header.Get("Sec-Websocket-Key")))
	}
	if !h.coder {
		if h.err = h.negotiated(resp.Header.Values("Sec-Websocket-Extensions")); h.err != nil {
			return nil, h.err
		}
		seen.Header.Del("Sec-Websocket-Extensions")
	}
	return &seen, nil
}

// caused says why the cancellation err took place: in place of it where that is
// the timeout of bound.
func caused(ctx context.Context, err error) error {
	cause := context.Cause(ctx)
	var timeout connectTimeoutError
	switch {
	case cause == nil || !errors.Is(err, context.Canceled) || errors.Is(err, cause):
		return err
	case errors.As(cause, &timeout):
		return cause
	}
	return fmt.Errorf("%w: %w", err, cause)
}

// negotiated takes in which extensions the server accepted.
func (h *handshake) negotiated(answer []string) error {
	if !h.offer {
		if len(answer) > 0 {
			return fmt.Errorf("the server accepted an extension that was not offered: %.100q", strings.Join(answer, ", "))
		}
		return nil
	}
	params, ok, err := wire.ParseDeflateAnswer(answer, h.noCtx)
	if err != nil {
		return err
	}
	if ok {
		h.deflate = &params
	}
	return nil
}

// opened says whether an answer opens a WebSocket: 101 (RFC 6455), or any 2xx to
// an extended CONNECT (RFC 8441), whose only 2xx bodies are open connections.
func opened(resp *http.Response) bool {
	if resp.ProtoMajor == 2 {
		_, ok := resp.Body.(*openConn)
		return ok && resp.StatusCode/100 == 2
	}
	return resp.StatusCode == http.StatusSwitchingProtocols
}

// answeredOnce refuses an answer with two values where one may be (RFC 6455,
// sections 11.3.3 and 11.3.4): Dial looks at the first alone.
func answeredOnce(header http.Header) error {
	for _, name := range []string{"Sec-WebSocket-Accept", "Sec-WebSocket-Protocol"} {
		if len(header.Values(name)) > 1 {
			return fmt.Errorf("the server answered with more than one %s", name)
		}
	}
	return nil
}

// asOpenConn makes a connection of the body of a 101.
func asOpenConn(body io.ReadCloser) (*openConn, error) {
	switch b := body.(type) {
	case *openConn:
		return b, nil
	case net.Conn:
		return &openConn{Conn: b}, nil
	case io.ReadWriteCloser:
		return &openConn{Conn: newBodyConn(b)}, nil
	}
	_ = body.Close()
	return nil, fmt.Errorf("the transport's answer 101 has a body of type %T, which cannot be written to", body)
}

// acceptKey is what proves that the server understood the handshake (RFC 6455,
// section 4.2.2).
func acceptKey(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// inert is the body that coder's Dial gets in place of the connection.
type inert struct{}

func (inert) Read([]byte) (int, error)    { return 0, io.EOF }
func (inert) Write(p []byte) (int, error) { return len(p), nil }
func (inert) Close() error                { return nil }

// lentConn is the body that coder's Conn keeps: closing it tells a step that
// wrapped the answer's body of the end.
type lentConn struct {
	*openConn
	wrapped io.Closer
}

func (l *lentConn) Close() error {
	err := l.openConn.Close()
	if l.wrapped != nil {
		_ = l.wrapped.Close()
	}
	return err
}

// roundTripper is what performs the exchange itself.
func (c *config) roundTripper() http.RoundTripper {
	if c.transport != nil {
		return c.transport
	}
	return c.own
}

// maxRefusal is how much of a refused handshake's body is kept.
const maxRefusal = 1 << 20

// answer is what running the steps once came to.
type answer struct {
	resp *Response
	open *handshake // a WebSocket, or
	body io.ReadCloser
	// wrapped is the body as a step wrapped it: closing it tells that step of the
	// end of the connection.
	wrapped io.Closer
}

// connect runs the steps and the handshake once.
func (c *config) connect(ctx context.Context, coder bool) (*answer, error) {
	o := &opener{c: c, coder: coder}
	req, err := http.NewRequestWithContext(ctx, c.method, "", nil)
	if err != nil {
		return nil, fail("request", nil, err)
	}
	httpResp, err := c.chain(o).RoundTrip(req)
	if err != nil {
		o.open.abandon()
		return nil, fail("request", o.url, err)
	}
	if o.url.Host == "" { // a step of UseOuter answered in place of all others
		u, _, err := c.resolve()
		if err != nil {
			_ = httpResp.Body.Close()
			return nil, fail("url", nil, err)
		}
		o.asked(u)
	}
	resp := &Response{
		StatusCode:  httpResp.StatusCode,
		Header:      httpResp.Header,
		Proto:       httpResp.Proto,
		Subprotocol: httpResp.Header.Get("Sec-Websocket-Protocol"),
	}
	if httpResp.Request != nil {
		resp.Request = shared(c.redacted(httpResp.Request))
	}
	a := &answer{resp: resp, body: httpResp.Body}
	if !o.ws && !coder {
		return a, nil
	}
	if httpResp.StatusCode >= 300 {
		o.open.abandon()
		a.refuse(o.url)
		return a, nil
	}
	if o.open == nil {
		_ = httpResp.Body.Close()
		return nil, fail("handshake", o.url, fmt.Errorf("a step answered with status %d, but opened no connection", httpResp.StatusCode))
	}
	a.open = o.open
	if httpResp.Body != io.ReadCloser(o.open.conn) {
		a.wrapped = httpResp.Body
	}
	return a, nil
}

// refuse makes an error of an answer that is not what was asked for. Its status
// counts, and of the body what can be had.
func (a *answer) refuse(u *url.URL) error {
	defer a.body.Close()
	body, _ := io.ReadAll(io.LimitReader(a.body, maxRefusal))
	a.resp.Body = body
	phase := phaseRequest
	if u != nil && isWebSocket(u) {
		phase = phaseHandshake
	}
	a.resp.refused = &HTTPError{StatusCode: a.resp.StatusCode, Header: a.resp.Header, Body: body, phase: phase, url: safeURL(u)}
	return a.resp.refused
}

// execute connects and makes the stream of what was opened, ready to run; where
// nothing remains to be run the stream is nil. raise says that an error status is to be
// a refusal of a plain request, too.
func (c *config) execute(ctx context.Context, raise bool) (*stream, *Response, error) {
	if err := c.err(); err != nil {
		return nil, nil, err
	}
	a, err := c.connect(ctx, false)
	if err != nil {
		return nil, nil, err
	}
	s := newStream(ctx, c, a)
	if a.resp.refused != nil {
		s.finish(a.resp.refused)
		return nil, a.resp, nil
	}
	if a.open == nil {
		return s.startPlain(a, c.maxMessage, raise)
	}
	if err := s.start(c.onOpen); err != nil {
		return nil, nil, err
	}
	return s, a.resp, nil
}

// dial connects for Request.Dial.
func (c *config) dial(ctx context.Context) (*websocket.Conn, *Response, error) {
	if err := c.err(); err != nil {
		return nil, nil, err
	}
	a, err := c.connect(ctx, true)
	if err != nil {
		return nil, nil, err
	}
	if a.resp.refused != nil {
		return nil, nil, a.resp.refused
	}
	a.open.lent.wrapped, a.wrapped = a.wrapped, nil
	s := newStream(ctx, c, a)
	s.finish(ErrClosed)
	return a.open.client, a.resp, nil
}
