package dial

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/reqws/reqws/internal/failure"
	"github.com/reqws/reqws/internal/h2"
	"github.com/reqws/reqws/internal/host"
	"github.com/reqws/reqws/internal/netconn"
)

// unprocessedError is the failure of a request that the server never acted on
// (RFC 9113, section 8.7).
type unprocessedError struct{ error }

func (e unprocessedError) Unwrap() error { return e.error }

// Retryable tells the retry step that this may pass.
func (unprocessedError) Retryable() bool { return true }

// extendedConnect opens a WebSocket on a stream of an HTTP/2 connection (RFC
// 8441), which requests to one origin share. orElse says that HTTP/1.1 would be
// the next: then TLS offers both, and a connection on which the server chose
// HTTP/1.1 is left in t.fallback.
func (t *roundTrip) extendedConnect(ctx context.Context, orElse bool) (*http.Response, error) {
	t.enter(failure.Handshake)
	dial := func(shared context.Context) (net.Conn, error) {
		t.watch.dials()
		return t.openHTTP2(shared, orElse)
	}
	resp, stream, err := t.pool.Connect(ctx, t.origin().String(), streamRequest(t.req), dial, h2.Config{Settings: t.HTTP2})
	if err != nil {
		return nil, t.failStream(ctx, err)
	}
	t.watch.shares()
	resp.Request = t.req
	if stream != nil {
		resp.Body = &Conn{Conn: stream}
	}
	return resp, nil
}

// openHTTP2 connects for all who wait for a connection to the origin. shared
// ends when none of them does any more.
func (t *roundTrip) openHTTP2(shared context.Context, orElse bool) (net.Conn, error) {
	ctx, cancel := t.Bound(shared)
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
			t.fallback.put(conn)
		} else {
			netconn.Bare(conn).Close()
		}
		return nil, t.fail(ctx, errNoHTTP2)
	}
	return conn, nil
}

// failStream is fail for an error of the pool: it may come from the dial of
// another request, and then names that one's URL.
func (t *roundTrip) failStream(ctx context.Context, err error) error {
	var shared *failure.Error
	if errors.As(err, &shared) {
		return &failure.Error{Phase: shared.Phase, URL: failure.SafeURL(t.shown()), Err: shared.Err}
	}
	unprocessed := errors.Is(err, h2.ErrNotProcessed)
	if netconn.IsLoss(err) && !errors.Is(err, h2.ErrHTTP11Required) {
		err = &lostError{fmt.Errorf("the connection was closed before the answer was complete: %w", err)}
	}
	if unprocessed {
		err = unprocessedError{err}
	}
	if tlsAlert(err) != nil { // in TLS 1.3 a client's certificate is refused this late
		t.enter(failure.TLS)
	}
	return t.fail(ctx, err)
}

// streamRequest returns req without what only HTTP/1.1 proves the handshake with
// (RFC 8441, section 5).
func streamRequest(req *http.Request) *http.Request {
	out := *req
	out.Host = host.WithoutZone(cmp.Or(req.Host, req.URL.Host))
	out.Header = make(http.Header, len(req.Header))
	for name, values := range req.Header {
		if !strings.EqualFold(name, "Sec-WebSocket-Key") {
			out.Header[name] = values
		}
	}
	return &out
}
