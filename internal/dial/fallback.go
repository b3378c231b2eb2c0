package dial

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"

	"github.com/reqws/reqws/internal/h2"
	"github.com/reqws/reqws/internal/netconn"
)

// handshake opens a WebSocket in the protocol that is preferred, and where the
// server wants another one in that.
func (t *roundTrip) handshake(ctx context.Context) (*http.Response, error) {
	defer t.fallback.discard()
	origin := t.origin()
	first, second := t.order(origin)
	resp, err := t.openIn(ctx, first, second != 0)
	if second == 0 {
		return resp, err
	}
	declined, always := t.declines(origin, first, resp, err)
	if !declined {
		if err == nil && first == HTTP1 {
			t.remember(origin, HTTP1)
		}
		return resp, err
	}
	if resp != nil {
		resp.Body = io.NopCloser(bytes.NewReader(ReadStart(ctx, resp.Body))) // cut short, it is still a refusal
	}
	other, otherErr := t.openIn(ctx, second, false)
	switch {
	case otherErr == nil:
		if (always || second == HTTP2) && !wantsOther(other) {
			t.remember(origin, second)
		}
		return other, nil
	case resp != nil && (ctx.Err() == nil || timedOut(ctx)):
		return resp, nil // the server has said what it wants, and that is not to be had
	case first == HTTP1 && !always: // it hung up on both
		t.remember(origin, HTTP1)
		if ctx.Err() == nil {
			return nil, err
		}
	}
	return nil, otherErr
}

// origin is all that decides what is at the other end of a connection: those
// that agree in it can share one.
type origin struct {
	scheme, host string
	serverName   string
	via          string // the proxy
	foreign      bool   // without the user's certificates
}

func (o origin) String() string {
	return fmt.Sprint(o.scheme, " ", o.host, " ", o.serverName, " ", o.via, " ", o.foreign)
}

func (t *roundTrip) origin() origin {
	o := origin{scheme: t.req.URL.Scheme, host: t.req.URL.Host, serverName: t.serverName(), foreign: t.server().Foreign}
	if t.via != nil {
		o.via = t.via.String()
	}
	return o
}

// order returns the protocols to try; the second is 0 if there is but one.
func (t *roundTrip) order(origin origin) (first, second Protocol) {
	if len(t.Protocols) == 1 {
		return t.Protocols[0], 0
	}
	if t.remembered(origin) == t.Protocols[1] {
		return t.Protocols[1], t.Protocols[0]
	}
	return t.Protocols[0], t.Protocols[1]
}

// remembered returns what is known of an origin, 0 if that is nothing.
func (tr *Transport) remembered(o origin) Protocol {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.learned[o]
}

// remember keeps what a server has, or is to be asked in.
func (tr *Transport) remember(o origin, p Protocol) {
	const most = 1024 // origins; a redirecting server could name ever new ones
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if _, known := tr.learned[o]; tr.learned == nil || len(tr.learned) >= most && !known {
		tr.learned = make(map[origin]Protocol)
	}
	tr.learned[o] = p
}

func (t *roundTrip) openIn(ctx context.Context, p Protocol, orElse bool) (*http.Response, error) {
	if p == HTTP2 {
		return t.extendedConnect(ctx, orElse)
	}
	conn := t.fallback.take()
	if conn == nil {
		var err error
		if conn, err = t.open(ctx, onlyHTTP1...); err != nil {
			return nil, err
		}
	}
	return t.upgrade(ctx, conn)
}

// errNoHTTP2 says that TLS agreed on another protocol.
var errNoHTTP2 = errors.New("the server did not choose HTTP/2 in ALPN")

// declines says whether an answer or error means that the server wants another
// protocol than p, and whether it always will.
func (t *roundTrip) declines(origin origin, p Protocol, resp *http.Response, err error) (declined, always bool) {
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
	return p == HTTP2 || t.Named && t.remembered(origin) != HTTP1, false
}

// wantsOther reports whether an answer asks for another protocol.
func wantsOther(resp *http.Response) bool {
	return resp.StatusCode == http.StatusUpgradeRequired || resp.StatusCode == http.StatusHTTPVersionNotSupported
}

// lostError is the loss of a connection without a word of the answer.
type lostError struct{ error }

func (e *lostError) Unwrap() error { return e.error }

// fallback holds a connection that was opened for HTTP/2, but on which the server
// chose HTTP/1.1.
type fallback struct {
	mu   sync.Mutex
	conn net.Conn
	over bool // nobody will take it any more
}

func (s *fallback) put(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		netconn.Bare(conn).Close()
		return
	}
	s.conn = conn
}

func (s *fallback) take() net.Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	conn := s.conn
	s.conn = nil
	return conn
}

// discard closes what nobody took.
func (s *fallback) discard() {
	conn := s.take()
	if conn != nil {
		netconn.Bare(conn).Close()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
}
