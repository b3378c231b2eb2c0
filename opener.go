package reqws

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync"

	"github.com/reqws/reqws/internal/dial"
	"github.com/reqws/reqws/internal/failure"
	"github.com/reqws/reqws/internal/netconn"
)

// opener is the innermost round tripper of one execution: it sends plain
// requests on as they are, and performs the opening handshake of the others.
// Steps may have it do so several times, at once, and for longer than they wait.
// So each handshake travels in its own answer, and those that are not in the
// answer which comes out of the steps are given up in the end.
type opener struct {
	connect   *connectConfig
	protocols *subprotocols
	forCoder  bool // its Conn is what is asked for
	seen      bool // steps of the user's see the answers, and may change them
	trace     *ClientTrace

	mu    sync.Mutex
	tries []*handshake
	first [1]*handshake // most often the only one
	over  bool          // the execution has its answer
}

// RoundTrip implements http.RoundTripper.
func (o *opener) RoundTrip(req *http.Request) (*http.Response, error) {
	if o.trace.Attempt != nil || o.trace.Opened != nil {
		return o.watched(req)
	}
	return o.roundTrip(req)
}

func (o *opener) roundTrip(req *http.Request) (*http.Response, error) {
	if isWebSocket(req.URL) {
		return o.handshake(req)
	}
	resp, err := o.exchange(req, req.URL, o.connect.own.RoundTrip)
	return resp, fail("request", req.URL, failure.Unquoted(err))
}

// exchange sends a request, in http or https, and returns the answer. u is its URL as errors
// show it, and own how that is done without the user's Transport.
func (o *opener) exchange(req *http.Request, u *url.URL, own RoundTripFunc) (*http.Response, error) {
	if o.connect.transport != nil {
		return answerOf(o.connect.transport, req)
	}
	if err := checkSent(req); err != nil {
		return nil, fail(failure.Request, u, err)
	}
	if s := o.connect.serverOf(hopOf(req.Context())); s != (dial.Server{}) {
		req = req.WithContext(dial.WithServer(req.Context(), s))
	}
	return own(req)
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
	h := &handshake{Context: req.Context(), o: o}
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
	h.body = openBody{h.conn, h}
	resp.Request, resp.Body = req, &h.body
	if o.seen {
		resp.Request = req.WithContext(h)
	}
	return resp, nil
}

// errOver is what comes of a handshake that a step did not wait for.
var errOver = errors.New("the execution went on without this handshake")

// begin reports whether there is still use for a handshake.
func (o *opener) begin(h *handshake) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.over {
		if o.tries == nil {
			o.tries = o.first[:0]
		}
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
	h.stopTimer()
	if o.connect.transport == nil { // an own connection has nothing to do with the ctx any more
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
	o.tries, o.first[0], o.over = nil, nil, true
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
