package dial

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/reqws/reqws/internal/failure"
	"github.com/reqws/reqws/internal/host"
	"github.com/reqws/reqws/internal/netconn"
)

// roundTrip is one exchange: from a request to its answer.
type roundTrip struct {
	*Transport
	req      *http.Request
	opens    bool          // a WebSocket
	via      *url.URL      // the proxy, or nil
	phase    atomic.Uint32 // of what is under way: the index in phaseNames
	watch    *Stopwatch    // nil: nobody wants to know how long that takes
	answer   answerReader  // over HTTP/1.1, in which there is one exchange at most
	fallback fallback
}

// phaseNames are all those of an exchange. Noting a number takes no memory.
var phaseNames = []string{failure.Lookup, failure.Dial, failure.Proxy, failure.TLS, failure.Handshake, failure.Request}

// enter notes what the roundTrip is about to do. HTTP/2 dials on a goroutine of its
// own.
func (t *roundTrip) enter(phase string) {
	t.phase.Store(uint32(slices.Index(phaseNames, phase)))
	t.watch.enter(phase)
}

// shown is the URL as errors show it: with ws or wss where it is a WebSocket's.
func (t *roundTrip) shown() *url.URL {
	if !t.opens {
		return t.req.URL
	}
	shown := *t.req.URL
	shown.Scheme = "ws" + strings.TrimPrefix(shown.Scheme, "http")
	return &shown
}

// TimeoutError says that the time for connecting ran out. The phase is
// around it.
type TimeoutError time.Duration

func (e TimeoutError) Error() string {
	return fmt.Sprintf("no answer within the connect timeout of %v", time.Duration(e))
}
func (TimeoutError) Timeout() bool        { return true }
func (TimeoutError) Temporary() bool      { return true }
func (TimeoutError) Is(target error) bool { return target == context.DeadlineExceeded }

// Bound cuts ctx off by the connect timeout, if there is one.
func (tr *Transport) Bound(ctx context.Context) (context.Context, context.CancelFunc) {
	if tr.Timeout == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, tr.Timeout, tr.timeLimit)
}

// timedOut reports whether ctx, one of Bound, was ended by the connect timeout.
func timedOut(ctx context.Context) bool {
	_, yes := context.Cause(ctx).(TimeoutError)
	return yes
}

// fail says what the roundTrip failed in. Where ctx is over that is why, whatever
// it looked like from inside.
func (t *roundTrip) fail(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if why := failure.Ended(ctx, err); why != nil {
		err = why
	}
	phase := phaseNames[t.phase.Load()]
	if phase == failure.Proxy && t.via != nil {
		err = &proxyError{proxyName(t.via), failure.WithoutURL(err)}
	}
	return failure.In(phase, t.shown(), failure.Unquoted(err))
}

// closeAtEnd runs f, which works on conn, and closes conn the moment ctx ends, so that
// nothing in f blocks past it. It relies on Close alone: connections from a
// DialContext need not support deadlines for that. After an error conn is closed.
func closeAtEnd(ctx context.Context, conn net.Conn, f func() error) error {
	conn = netconn.Bare(conn)
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	err := f()
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		conn.Close()
	}
	return err
}

// open connects to the request's server, through the proxy if there is one, with
// TLS if the URL asks for it. alpn is what TLS offers.
func (t *roundTrip) open(ctx context.Context, alpn ...string) (net.Conn, error) {
	conn, err := t.connect(ctx)
	if err != nil || t.req.URL.Scheme != "https" {
		return conn, err
	}
	return t.secure(ctx, conn, t.serverTLS(alpn))
}

// connect connects to the request's server, up to where its own bytes flow.
func (t *roundTrip) connect(ctx context.Context) (conn net.Conn, err error) {
	if t.via != nil {
		t.enter(failure.Proxy)
		conn, err = t.tunnel(ctx)
		return conn, t.fail(ctx, err)
	}
	t.enter(failure.Lookup)
	addr, err := address(t.req.URL)
	if err == nil {
		t.enter(failure.Dial)
		if t.looksUp || !isAddress(t.req.URL.Hostname()) {
			ctx = t.traceLookup(ctx)
		}
		conn, err = t.DialContext(ctx, "tcp", addr)
	}
	if failure.Has[*net.DNSError](err) {
		t.enter(failure.Lookup)
	}
	return conn, t.fail(ctx, err)
}

// traceLookup tells from the dial the lookup that is part of it, as far as the
// dialer is one of package net.
func (t *roundTrip) traceLookup(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		DNSStart: func(httptrace.DNSStartInfo) { t.enter(failure.Lookup) },
		DNSDone:  func(httptrace.DNSDoneInfo) { t.enter(failure.Dial) },
	})
}

// isAddress reports whether there is nothing to look up.
func isAddress(name string) bool {
	_, err := netip.ParseAddr(name)
	return err == nil
}

// address returns the host and port to dial for u. A host name beyond ASCII is
// looked up in its IDNA form (RFC 5891).
func address(u *url.URL) (string, error) {
	name, err := host.ASCII(u.Hostname())
	if err != nil {
		return "", err
	}
	if u.Port() != "" && name == u.Hostname() {
		return u.Host, nil
	}
	return net.JoinHostPort(name, cmp.Or(u.Port(), host.Ports[u.Scheme], socksPort)), nil
}

const socksPort = "1080" // RFC 1928, section 3
