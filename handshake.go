package reqws

import (
	"context"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/net/http/httpguts"

	"github.com/reqws/reqws/internal/dial"
	"github.com/reqws/reqws/internal/failure"
	"github.com/reqws/reqws/internal/netconn"
	"github.com/reqws/reqws/internal/wire"
)

// opener is the innermost round tripper of one execution: it sends plain
// requests on as they are, and performs the opening handshake of the others.
// Steps may have it do so several times, at once, and for longer than they wait.
// So each handshake travels in its own answer, and those that are not in the
// answer which comes out of the steps are given up in the end.
type opener struct {
	c *config

	mu    sync.Mutex
	tries []*handshake
	over  bool // the execution has its answer
}

// handshake is one opening handshake, and once it succeeded the connection. What
// is set until then belongs to the goroutine that performs it, and is fixed once
// open is.
type handshake struct {
	c           *config
	key         string   // Sec-WebSocket-Key
	offer       string   // Sec-WebSocket-Extensions, if any
	noCtx       bool     // the offer is one without context takeover
	offered     []string // subprotocols
	timer       *time.Timer
	cancel      context.CancelFunc // of an open one, lets go of what a user's Transport holds
	conn        *netconn.Conn
	deflate     *wire.DeflateParams
	extensions  []string // what the server accepted
	subprotocol string
	client      *websocket.Conn // coder's, where it was asked for

	open bool        // guarded by the opener's mu
	gone atomic.Bool // it was given up
}

type handshakeKey struct{}

// RoundTrip implements http.RoundTripper.
func (o *opener) RoundTrip(req *http.Request) (*http.Response, error) {
	if isWebSocket(req.URL) {
		return o.handshake(req)
	}
	resp, err := o.c.exchange(req, req.URL)
	return resp, fail("request", req.URL, failure.Unquoted(err))
}

// exchange sends a request, in http or https, and returns the answer. u is its URL as errors
// show it.
func (c *config) exchange(req *http.Request, u *url.URL) (*http.Response, error) {
	if c.connect.transport == nil {
		if err := checkSent(req); err != nil {
			return nil, fail(failure.Request, u, err)
		}
		req = req.WithContext(c.connect.withServer(req.Context(), hopOf(req.Context())))
	}
	return answerOf(c.connect.roundTripper(), req)
}

// answerOf has a round tripper that may be anyone's perform one exchange, and
// makes up for what its answer may lack.
func answerOf(rt http.RoundTripper, req *http.Request) (*http.Response, error) {
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if resp == nil {
		return nil, errors.New("a step or Transport returned neither an answer nor an error")
	}
	if resp.Body == nil {
		resp.Body = http.NoBody
	}
	if r := resp.Request; r == nil || r.URL == nil || req.URL.Host != "" && isWebSocket(r.URL) != isWebSocket(req.URL) {
		resp.Request = req // a step that goes elsewhere answers what it was asked
	}
	return resp, nil
}

// handshake performs one opening handshake. A refusal is an answer, which steps
// may act upon, and everything else that opens nothing an error.
func (o *opener) handshake(req *http.Request) (*http.Response, error) {
	h := &handshake{c: o.c}
	h.offerDeflate()
	ctx := h.bound(req.Context())
	if !o.begin(h) {
		h.abandon()
		return nil, fail("handshake", req.URL, errOver)
	}
	resp, err := h.exchange(ctx, req)
	if err == nil && h.conn != nil && !o.opened(h) {
		err = errOver
	}
	if err != nil {
		h.abandon()
		return nil, fail("handshake", req.URL, err)
	}
	if h.conn == nil {
		resp.Request, resp.Body = req, &refusal{resp.Body, h}
		return resp, nil
	}
	// By the body the handshake is found again, and by the request where a step
	// wraps the body.
	resp.Request = req.WithContext(context.WithValue(req.Context(), handshakeKey{}, h))
	resp.Body = &openBody{h.conn, h}
	return resp, nil
}

// errOver is what comes of a handshake that a step did not wait for.
var errOver = errors.New("the execution went on without this handshake")

// begin reports whether there is still use for a handshake.
func (o *opener) begin(h *handshake) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.over {
		o.tries = append(o.tries, h)
	}
	return !o.over
}

// opened is begin for one that succeeded.
func (o *opener) opened(h *handshake) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.over {
		return false
	}
	h.inTime()
	if o.c.connect.transport == nil { // an own connection has nothing to do with the ctx any more
		h.cancel()
		h.cancel = nil
	}
	h.open = true
	return true
}

// find returns the handshake whose answer resp is, or was before steps changed
// it. Where none of what they may change tells, it is the only one that is open.
func (o *opener) find(resp *http.Response) *handshake {
	o.mu.Lock()
	defer o.mu.Unlock()
	found, _ := resp.Request.Context().Value(handshakeKey{}).(*handshake)
	if body, ok := resp.Body.(*openBody); ok {
		found = body.h
	}
	if found != nil && slices.Contains(o.tries, found) {
		return found
	}
	open := slices.DeleteFunc(slices.Clone(o.tries), func(h *handshake) bool { return !h.open || h.gone.Load() })
	if len(open) == 1 {
		return open[0]
	}
	return nil
}

// settle ends the execution: all handshakes but the winner are given up, also
// those that are under way.
func (o *opener) settle(winner *handshake) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, h := range o.tries {
		switch {
		case h == winner:
		case h.open:
			h.abandon()
		default: // the one who performs it does the rest
			h.cancel()
		}
	}
	o.tries, o.over = nil, true
}

// bound makes the ctx of a handshake, which ends when it is given up. Over the
// user's own Transport ConnectTimeout ends it too.
func (h *handshake) bound(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancelCause(ctx)
	h.cancel = func() { cancel(nil) }
	if timeout := h.c.connect.timeout; h.c.connect.transport != nil && timeout > 0 {
		h.timer = time.AfterFunc(timeout, func() { cancel(dial.TimeoutError(timeout)) })
	}
	return ctx
}

// inTime stops the timer of bound.
func (h *handshake) inTime() {
	if h.timer != nil {
		h.timer.Stop()
	}
}

// abandon closes what h has open, and waits for nothing. It may be called again.
func (h *handshake) abandon() {
	h.gone.Store(true)
	if h.conn != nil {
		_ = netconn.Bare(h.conn).Close()
	}
	h.inTime()
	if h.cancel != nil {
		h.cancel()
	}
}

// openBody is what steps see of an open WebSocket: the connection.
type openBody struct {
	*netconn.Conn
	h *handshake
}

func (b *openBody) Close() error {
	err := b.Conn.Close()
	b.h.abandon()
	return err
}

// refusal is the body of a refused handshake. What bounds the handshake bounds
// reading it.
type refusal struct {
	io.ReadCloser
	h *handshake
}

func (r *refusal) Close() error {
	err := r.ReadCloser.Close()
	r.h.abandon()
	return err
}

// exchange sends the opening handshake of RFC 6455, section 4.1, and checks what
// comes back. If that opens a WebSocket, h.conn is set.
func (h *handshake) exchange(ctx context.Context, req *http.Request) (*http.Response, error) {
	resp, err := h.c.exchange(h.request(ctx, req), req.URL)
	if err != nil {
		return nil, caused(ctx, failure.Unquoted(err))
	}
	_, own := resp.Body.(*netconn.Conn)
	if !opensWebSocket(resp) || resp.ProtoMajor == 2 && !own { // a Transport knows no extended CONNECT
		return resp, nil
	}
	if h.conn, err = openConn(resp.Body); err != nil {
		return nil, err
	}
	if resp.ProtoMajor != 2 {
		if err := h.switched(resp); err != nil {
			return nil, err
		}
	}
	if err := h.chosen(resp.Header.Values(protocolHeader)); err != nil {
		return nil, err
	}
	return resp, h.negotiated(resp.Header.Values("Sec-WebSocket-Extensions"))
}

// request returns req as an opening handshake in http or https.
func (h *handshake) request(ctx context.Context, req *http.Request) *http.Request {
	out := req.Clone(ctx)
	out.Method, out.Body, out.GetBody, out.ContentLength = http.MethodGet, nil, nil, 0
	out.URL.Scheme = asHTTP(req.URL.Scheme)
	out.URL.User, out.URL.Fragment, out.URL.RawFragment = nil, "", ""
	if out.Header == nil {
		out.Header = make(http.Header)
	}
	var key [16]byte
	rand.Read(key[:])
	h.key = base64.StdEncoding.EncodeToString(key[:])
	h.offered = protocolNames(out.Header)
	set := func(name, value string) {
		deleteHeader(out.Header, name)
		if value != "" {
			out.Header.Set(name, value)
		}
	}
	set("Connection", "Upgrade")
	set("Upgrade", "websocket")
	set("Sec-Websocket-Version", "13")
	set("Sec-Websocket-Key", h.key)
	set("Sec-Websocket-Extensions", h.offer)
	set(protocolHeader, strings.Join(h.offered, ","))
	return out
}

// offerDeflate decides what to offer. coder's Conn has an offer of its own: it
// cannot compress with a smaller window.
func (h *handshake) offerDeflate() {
	if h.c.connect.compression == websocket.CompressionDisabled {
		return
	}
	h.noCtx = h.c.connect.compression == websocket.CompressionNoContextTakeover
	h.offer = wire.DeflateOffer(h.noCtx)
	if h.c.target.webSocket {
		h.offer = strings.Replace(h.offer, "; client_max_window_bits", "", 1)
	}
}

// switched checks the 101 (RFC 6455, section 4.1).
func (h *handshake) switched(resp *http.Response) error {
	if !httpguts.HeaderValuesContainsToken(resp.Header.Values("Connection"), "Upgrade") {
		return errors.New("the answer 101 has no Connection: Upgrade")
	}
	if !httpguts.HeaderValuesContainsToken(resp.Header.Values("Upgrade"), "websocket") {
		return errors.New("the answer 101 has no Upgrade: websocket")
	}
	accept := resp.Header.Values("Sec-WebSocket-Accept")
	if len(accept) > 1 {
		return errors.New("the server answered with more than one Sec-WebSocket-Accept") // RFC 6455, section 11.3.3
	}
	if len(accept) == 0 || accept[0] != acceptKey(h.key) {
		return errors.New("the server's Sec-WebSocket-Accept does not answer the key that was sent")
	}
	return nil
}

// acceptKey is what proves that the server understood the handshake (RFC 6455,
// section 4.2.2).
func acceptKey(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// chosen takes in the subprotocol that the server chose.
func (h *handshake) chosen(names []string) error {
	switch len(names) {
	case 0:
		return nil
	case 1:
		h.subprotocol = names[0]
		return h.c.header.protocols.check(h.subprotocol, h.offered)
	}
	return errors.New("the server answered with more than one Sec-WebSocket-Protocol") // RFC 6455, section 11.3.4
}

// negotiated takes in which extensions the server accepted.
func (h *handshake) negotiated(answer []string) error {
	params, ok, err := wire.ParseDeflateAnswer(answer, h.noCtx)
	if h.offer == "" && (ok || err != nil) {
		return fmt.Errorf("the server accepted an extension that was not offered%s", plainly(strings.Join(answer, ",")))
	}
	if ok {
		h.deflate, h.extensions = &params, answer
	}
	return withoutHeader(err, answer)
}

// plainly is how an error goes on with what the peer sent, if that is a short name.
func plainly(name string) string {
	if len(name) > longestName || !isToken(name) {
		return ""
	}
	return fmt.Sprintf(": %q", name)
}

// longestName is as long as the names of permessage-deflate are.
const longestName = len("server_no_context_takeover")

// withoutHeader is err about header, unless it may quote what is no plain name in
// there.
func withoutHeader(err error, header []string) error {
	const malformed = "malformed Sec-WebSocket-Extensions"
	long := func(word string) bool { return len(word) > longestName }
	switch {
	case err == nil:
		return nil
	case strings.HasPrefix(err.Error(), malformed):
		return errors.New(malformed)
	case slices.ContainsFunc(strings.FieldsFunc(strings.Join(header, ","), func(r rune) bool { return strings.ContainsRune("=;, ", r) }), long):
		return errors.New("the server accepted an extension or a parameter that was not offered")
	}
	return err
}

// caused says why the cancellation err took place: in place of it where that is
// the timeout of bound.
func caused(ctx context.Context, err error) error {
	cause := context.Cause(ctx)
	var timeout dial.TimeoutError
	switch {
	case cause == nil || !errors.Is(err, context.Canceled) || errors.Is(err, cause):
		return err
	case errors.As(cause, &timeout):
		return cause
	}
	return fmt.Errorf("%w: %w", err, cause)
}

// openConn makes a connection of the body of a 101.
func openConn(body io.ReadCloser) (*netconn.Conn, error) {
	switch b := body.(type) {
	case *netconn.Conn:
		return b, nil
	case net.Conn:
		return &netconn.Conn{Conn: b}, nil
	case io.ReadWriteCloser:
		return &netconn.Conn{Conn: netconn.NewBody(b)}, nil
	}
	_ = body.Close()
	return nil, fmt.Errorf("the transport's answer 101 has a body of type %T, which cannot be written to", body)
}

// answer is what running the steps once came to.
type answer struct {
	resp *Response
	open *handshake // a WebSocket, or
	body io.ReadCloser
	// wrapped is the body as a step wrapped it: closing it tells that step of the
	// end of the connection.
	wrapped io.Closer

	c    *config
	url  *url.URL      // what answered
	sent *http.Request // as it was sent, credentials and all
}

// runSteps runs the steps and the handshake once.
func (c *config) runSteps(ctx context.Context) (*answer, error) {
	o := &opener{c: c}
	var winner *handshake
	defer func() { o.settle(winner) }()
	req, err := http.NewRequestWithContext(ctx, c.plain.method, "", nil)
	if err != nil {
		return nil, fail("request", nil, err)
	}
	httpResp, err := answerOf(c.chain(o), req)
	if err != nil {
		return nil, fail("request", c.destination(), err)
	}
	a, err := c.answer(httpResp)
	if err != nil {
		return nil, err
	}
	if opensWebSocket(httpResp) {
		winner = o.find(httpResp)
	}
	switch {
	case winner != nil:
		a.open, a.resp.Subprotocol = winner, winner.subprotocol
		if _, own := httpResp.Body.(*openBody); !own {
			a.wrapped = httpResp.Body
		}
	case !isWebSocket(a.url):
	case httpResp.StatusCode == http.StatusSwitchingProtocols:
		_ = httpResp.Body.Close()
		return nil, fail("handshake", a.url, errors.New("a step answered with status 101, but opened no connection"))
	default:
		a.refuse(ctx)
	}
	return a, nil
}

// opensWebSocket tells an answer that says it opened a WebSocket: 101 (RFC 6455),
// or a 2xx over HTTP/2 (RFC 8441).
func opensWebSocket(resp *http.Response) bool {
	if resp.ProtoMajor == 2 {
		return resp.StatusCode/100 == 2
	}
	return resp.StatusCode == http.StatusSwitchingProtocols
}

// answer makes an answer of what came out of the steps.
func (c *config) answer(httpResp *http.Response) (*answer, error) {
	a := &answer{
		resp: &Response{
			StatusCode: httpResp.StatusCode,
			Header:     httpResp.Header,
			Proto:      httpResp.Proto,
			Request:    shared(c.header.protocols.redacted(httpResp.Request)),
		},
		body: httpResp.Body,
		c:    c,
		url:  httpResp.Request.URL,
		sent: httpResp.Request,
	}
	if a.url.Host == "" { // a step in front of all others answered
		u, _, err := c.target.resolve()
		if err != nil {
			_ = a.body.Close()
			return nil, fail("url", nil, err)
		}
		a.url = u
	}
	return a, nil
}

// destination is the URL that the options come to, nil if they come to none.
func (c *config) destination() *url.URL {
	u, _, err := c.target.resolve()
	if err != nil {
		return nil
	}
	return u
}

// refuse makes an error of an answer that is not what was asked for. Its status
// counts, and of the body what can be had.
func (a *answer) refuse(ctx context.Context) *HTTPError {
	phase := failure.Request
	if isWebSocket(a.url) {
		phase = failure.Handshake
	}
	a.resp.Body = dial.ReadStart(ctx, a.body)
	a.resp.refused = &HTTPError{
		StatusCode: a.resp.StatusCode,
		Header:     a.resp.Header,
		Body:       a.resp.Body,
		URL:        failure.SafeURL(a.url),
		phase:      phase,
		says:       excerpt(a.resp.Header, a.resp.Body, a.c.header.protocols.secretsIn(a.sent)),
	}
	return a.resp.refused
}

// raises reports whether Do makes an error of an error status.
func (c *config) raises(webSocket bool) bool {
	if c.httpErrors == 0 {
		return webSocket
	}
	return c.httpErrors == RaiseErrors
}

// execute connects and makes the stream of what was opened, ready to run; where
// nothing remains to be run the stream is nil. always says that an error status is
// to be an error whatever HTTPErrors says.
func (c *config) execute(ctx context.Context, always bool) (*stream, *Response, error) {
	if err := c.err(); err != nil {
		return nil, nil, err
	}
	a, err := c.runSteps(ctx)
	if err != nil {
		return nil, nil, err
	}
	raise := always || c.raises(isWebSocket(a.url))
	s := newStream(ctx, c.into, a, c.life, c.mayShare())
	switch {
	case a.resp.refused != nil:
		s.conclude(a.resp.refused)
		if s.mailbox != nil && !raise {
			go s.lastMessage(s.err) // ends as that of a stream that was open does
		}
		s = nil
	case a.open == nil:
		if s, _, err = s.startPlain(a, c.into.maxMessage, raise); err != nil {
			return nil, nil, err
		}
	default:
		if err := s.start(c.into.onOpen); err != nil {
			return nil, nil, err
		}
	}
	if raise && a.resp.refused != nil {
		return nil, nil, a.resp.refused
	}
	return s, a.resp, nil
}

// dial connects for Request.Dial.
func (c *config) dial(ctx context.Context) (*websocket.Conn, *Response, error) {
	if err := c.err(); err != nil {
		return nil, nil, err
	}
	a, err := c.runSteps(ctx)
	if err != nil {
		return nil, nil, err
	}
	if a.resp.refused != nil {
		return nil, nil, a.resp.refused
	}
	if a.open.client, err = c.lend(a); err != nil {
		return nil, nil, fail("handshake", a.url, err)
	}
	a.wrapped = nil
	s := newStream(ctx, c.into, a, c.life, c.mayShare())
	s.conclude(ErrClosed)
	return a.open.client, a.resp, nil
}

// lend makes coder's Conn of an open connection. Its Dial is answered with what the
// server said; of that it checks and keeps what concerns itself.
func (c *config) lend(a *answer) (*websocket.Conn, error) {
	h, lent := a.open, &lentConn{Conn: a.open.conn, h: a.open, wrapped: a.wrapped}
	answer := RoundTripFunc(func(req *http.Request) (*http.Response, error) {
		header := http.Header{
			"Connection":           {"Upgrade"},
			"Upgrade":              {"websocket"},
			"Sec-Websocket-Accept": {acceptKey(req.Header.Get("Sec-Websocket-Key"))},
		}
		if h.subprotocol != "" {
			header.Set("Sec-Websocket-Protocol", h.subprotocol)
		}
		header["Sec-Websocket-Extensions"] = h.extensions
		return &http.Response{StatusCode: http.StatusSwitchingProtocols, Header: header, Body: lent}, nil
	})
	client, _, err := websocket.Dial(context.Background(), "ws://lent", &websocket.DialOptions{
		HTTPClient:      &http.Client{Transport: answer},
		Subprotocols:    h.offered,
		CompressionMode: c.connect.compression,
	})
	if err != nil {
		return nil, errors.New("the server's permessage-deflate has parameters that were not offered")
	}
	lent.live = true
	if most := c.into.maxMessage; most == math.MaxInt64 { // to coder one more counts
		client.SetReadLimit(-1)
	} else {
		client.SetReadLimit(most)
	}
	return client, nil
}

// lentConn is the body that coder's Conn keeps: closing it tells a step that
// wrapped the answer's body of the end.
type lentConn struct {
	*netconn.Conn
	h       *handshake
	wrapped io.Closer
	live    bool // until then there is nothing in it: a Dial that fails reads
}

func (l *lentConn) Read(p []byte) (int, error) {
	if !l.live {
		return 0, io.EOF
	}
	return l.Conn.Read(p)
}

func (l *lentConn) Close() error {
	err := l.Conn.Close()
	l.h.abandon()
	if l.wrapped != nil {
		_ = l.wrapped.Close()
	}
	return err
}
