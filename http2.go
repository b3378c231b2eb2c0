package reqws

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"

	"github.com/reqws/reqws/internal/failure"
	"github.com/reqws/reqws/internal/h2"
	"github.com/reqws/reqws/internal/netconn"
)

// handshake opens a WebSocket in the protocol that is preferred, and where the
// server wants another one in that.
func (t *trip) handshake(ctx context.Context) (*http.Response, error) {
	defer t.spare.discard()
	origin := t.origin()
	first, second := t.order(origin)
	resp, err := t.speak(ctx, first, second != 0)
	if second == 0 {
		return resp, err
	}
	declined, always := t.declines(origin, first, resp, err)
	if !declined {
		if err == nil && first == HTTP1 {
			t.learn(origin, HTTP1)
		}
		return resp, err
	}
	if resp != nil {
		resp.Body = io.NopCloser(bytes.NewReader(startOf(ctx, resp.Body))) // cut short, it is still a refusal
	}
	other, otherErr := t.speak(ctx, second, false)
	switch {
	case otherErr == nil:
		if (always || second == HTTP2) && !wantsOther(other) {
			t.learn(origin, second)
		}
		return other, nil
	case resp != nil && t.req.Context().Err() == nil:
		return resp, nil // the server has said what it wants, and that is not to be had
	case first == HTTP1 && !always: // it hung up on both
		t.learn(origin, HTTP1)
		if ctx.Err() == nil {
			return nil, err
		}
	}
	return nil, otherErr
}

// origin names all that decides what is at the other end of a connection: those
// that agree in it can share one.
func (t *trip) origin() string {
	via := ""
	if t.via != nil {
		via = t.via.String()
	}
	foreign := ""
	if Foreign(t.req.Context()) { // without the user's certificates
		foreign = "foreign"
	}
	return strings.Join([]string{t.req.URL.Scheme, t.req.URL.Host, t.serverName(), via, foreign}, " ")
}

// order returns the protocols to try; the second is 0 if there is but one.
func (t *trip) order(origin string) (first, second Protocol) {
	if len(t.protocols) == 1 {
		return t.protocols[0], 0
	}
	if t.learnt(origin) == t.protocols[1] {
		return t.protocols[1], t.protocols[0]
	}
	return t.protocols[0], t.protocols[1]
}

// learnt returns what learn has remembered, 0 if that is nothing.
func (t *trip) learnt(origin string) Protocol {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.learned[origin]
}

// learn remembers what a server has, or is to be asked in.
func (t *trip) learn(origin string, p Protocol) {
	const most = 1024 // origins; a redirecting server could name ever new ones
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, known := t.learned[origin]; t.learned == nil || len(t.learned) >= most && !known {
		t.learned = make(map[string]Protocol)
	}
	t.learned[origin] = p
}

func (t *trip) speak(ctx context.Context, p Protocol, orElse bool) (*http.Response, error) {
	if p == HTTP2 {
		return t.extendedConnect(ctx, orElse)
	}
	conn := t.spare.take()
	if conn == nil {
		var err error
		if conn, err = t.open(ctx, alpnHTTP1); err != nil {
			return nil, err
		}
	}
	return t.upgrade(ctx, conn)
}

// errNoHTTP2 says that TLS agreed on another protocol.
var errNoHTTP2 = errors.New("the server did not choose HTTP/2 in ALPN")

// declines says whether an answer or error means that the server wants another
// protocol than p, and whether it always will.
func (t *trip) declines(origin string, p Protocol, resp *http.Response, err error) (declined, always bool) {
	if err == nil {
		declined = wantsOther(resp)
		return declined, declined
	}
	for _, other := range []error{h2.ErrNoExtendedConnect, h2.ErrNotHTTP2, h2.ErrHTTP11Required, errNoHTTP2, errSpeaksH2} {
		if errors.Is(err, other) {
			return true, true
		}
	}
	if refusesALPN(err) {
		return true, true
	}
	// In the clear a server may just hang up on a protocol that it has not. But so may
	// one that has trouble: it is asked in HTTP/2 once at most, and only if the user said
	// that it may speak that.
	var lost *lostError
	if t.req.URL.Scheme != "http" || !errors.As(err, &lost) {
		return false, false
	}
	return p == HTTP2 || t.named && t.learnt(origin) != HTTP1, false
}

// wantsOther reports whether an answer asks for another protocol.
func wantsOther(resp *http.Response) bool {
	return resp.StatusCode == http.StatusUpgradeRequired || resp.StatusCode == http.StatusHTTPVersionNotSupported
}

// lostError is the loss of a connection without a word of the answer.
type lostError struct{ error }

func (e *lostError) Unwrap() error { return e.error }

// unprocessedError is the failure of a request that the server never acted on
// (RFC 9113, section 8.7).
type unprocessedError struct{ error }

func (e unprocessedError) Unwrap() error { return e.error }

// Retryable tells the retry step that this may pass.
func (unprocessedError) Retryable() bool { return true }

// extendedConnect opens a WebSocket on a stream of an HTTP/2 connection (RFC
// 8441), which requests to one origin share. orElse says that HTTP/1.1 would be
// the next: then TLS offers both, and a connection on which the server chose
// HTTP/1.1 is left in t.spare.
func (t *trip) extendedConnect(ctx context.Context, orElse bool) (*http.Response, error) {
	t.enter(failure.Handshake)
	dial := func(shared context.Context) (net.Conn, error) { return t.openHTTP2(shared, orElse) }
	resp, stream, err := t.pool.Connect(ctx, t.origin(), streamRequest(t.req), dial, h2.Config{Settings: t.http2})
	if err != nil {
		return nil, t.failStream(ctx, err)
	}
	resp.Request = t.req
	if stream != nil {
		resp.Body = &netconn.Conn{Conn: stream}
	}
	return resp, nil
}

// openHTTP2 connects for all who wait for a connection to the origin. shared
// ends when none of them does any more.
func (t *trip) openHTTP2(shared context.Context, orElse bool) (net.Conn, error) {
	ctx, cancel := bound(shared, t.timeout)
	defer cancel()
	offer := []string{alpnHTTP2}
	if orElse {
		offer = append(offer, alpnHTTP1)
	}
	conn, err := t.open(ctx, offer...)
	if err != nil {
		return nil, err
	}
	t.enter(failure.Handshake)
	if secured, ok := conn.(*tls.Conn); ok && secured.ConnectionState().NegotiatedProtocol != alpnHTTP2 {
		if orElse {
			t.spare.put(conn)
		} else {
			netconn.Bare(conn).Close()
		}
		return nil, t.fail(ctx, errNoHTTP2)
	}
	return conn, nil
}

// failStream is fail for an error of the pool: it may come from the dial of
// another request, and then names that one's URL.
func (t *trip) failStream(ctx context.Context, err error) error {
	var shared *failure.Error
	if errors.As(err, &shared) {
		return &failure.Error{Phase: shared.Phase, URL: failure.SafeURL(t.url), Err: shared.Err}
	}
	unprocessed := errors.Is(err, h2.ErrNotProcessed)
	if netconn.IsLoss(err) && !errors.Is(err, h2.ErrHTTP11Required) {
		err = &lostError{fmt.Errorf("the connection was closed before the answer was complete: %w", err)}
	}
	if unprocessed {
		err = unprocessedError{err}
	}
	if alert(err) != nil { // in TLS 1.3 a client's certificate is refused this late
		t.enter(failure.TLS)
	}
	return t.fail(ctx, err)
}

// streamRequest returns req without what only HTTP/1.1 proves the handshake with
// (RFC 8441, section 5).
func streamRequest(req *http.Request) *http.Request {
	out := *req
	out.Host = withoutZone(cmp.Or(req.Host, req.URL.Host))
	out.Header = make(http.Header, len(req.Header))
	for name, values := range req.Header {
		if !strings.EqualFold(name, "Sec-WebSocket-Key") {
			out.Header[name] = values
		}
	}
	return &out
}

// spare holds a connection that was opened for HTTP/2, but on which the server
// chose HTTP/1.1.
type spare struct {
	mu   sync.Mutex
	conn net.Conn
	over bool // nobody will take it any more
}

func (s *spare) put(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		netconn.Bare(conn).Close()
		return
	}
	s.conn = conn
}

func (s *spare) take() net.Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	conn := s.conn
	s.conn = nil
	return conn
}

// discard closes what nobody took.
func (s *spare) discard() {
	conn := s.take()
	if conn != nil {
		netconn.Bare(conn).Close()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
}
