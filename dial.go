package reqws

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/net/idna"

	"github.com/reqws/reqws/internal/failure"
	"github.com/reqws/reqws/internal/netconn"
)

// trip is one round trip: a request on its way to an answer.
type trip struct {
	*transport
	req   *http.Request
	url   *url.URL     // as errors show it: ws and wss where it is a WebSocket
	via   *url.URL     // the proxy, or nil
	phase atomic.Value // of what is under way
	spare spare
}

// enter notes what the trip is about to do. HTTP/2 dials on a goroutine of its
// own.
func (t *trip) enter(phase string) { t.phase.Store(phase) }

// connectTimeoutError says that the time for connecting ran out. The phase is
// around it.
type connectTimeoutError time.Duration

func (e connectTimeoutError) Error() string {
	return fmt.Sprintf("no answer within the connect timeout of %v", time.Duration(e))
}
func (connectTimeoutError) Timeout() bool        { return true }
func (connectTimeoutError) Temporary() bool      { return true }
func (connectTimeoutError) Is(target error) bool { return target == context.DeadlineExceeded }

// bound cuts ctx off by the connect timeout d; 0 is none.
func bound(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if d == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, d, connectTimeoutError(d))
}

// fail says what the trip failed in. Where ctx is over that is why, whatever
// it looked like from inside.
func (t *trip) fail(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if why := failure.Ended(ctx, err); why != nil {
		err = why
	}
	phase := t.phase.Load().(string)
	if phase == failure.Proxy && t.via != nil {
		err = &proxyError{proxyName(t.via), failure.WithoutURL(err)}
	}
	return fail(phase, t.url, err)
}

// guard runs f, which works on conn, and closes conn the moment ctx ends, so that
// nothing in f blocks past it. It relies on Close alone: connections from a
// DialContext need not support deadlines for that. After an error conn is closed.
func guard(ctx context.Context, conn net.Conn, f func() error) error {
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
func (t *trip) open(ctx context.Context, alpn ...string) (net.Conn, error) {
	conn, err := t.reach(ctx)
	if err != nil || t.req.URL.Scheme != "https" {
		return conn, err
	}
	return t.secure(ctx, conn, t.serverTLS(alpn))
}

// reach connects to the request's server, up to where its own bytes flow.
func (t *trip) reach(ctx context.Context) (conn net.Conn, err error) {
	if t.via != nil {
		t.enter(failure.Proxy)
		conn, err = t.through(ctx)
		return conn, t.fail(ctx, err)
	}
	t.enter(failure.Lookup)
	addr, err := address(t.req.URL)
	if err == nil {
		t.enter(failure.Dial)
		conn, err = t.dial(t.traceLookup(ctx), addr)
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		t.enter(failure.Lookup)
	}
	return conn, t.fail(ctx, err)
}

// traceLookup tells from the dial the lookup that is part of it, as far as the
// dialer is one of package net.
func (t *trip) traceLookup(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		DNSStart: func(httptrace.DNSStartInfo) { t.enter(failure.Lookup) },
		DNSDone:  func(httptrace.DNSDoneInfo) { t.enter(failure.Dial) },
	})
}

// dial opens one network connection.
func (t *transport) dial(ctx context.Context, addr string) (net.Conn, error) {
	conn, err := t.dialContext(ctx, "tcp", addr)
	if err == nil && isNil(conn) {
		err = errors.New("DialContext returned neither a connection nor an error")
	}
	return conn, err
}

// address returns the host and port to dial for u. A host name beyond ASCII is
// looked up in its IDNA form (RFC 5891).
func address(u *url.URL) (string, error) {
	host, err := asciiHost(u.Hostname())
	if err != nil {
		return "", err
	}
	return net.JoinHostPort(host, cmp.Or(u.Port(), defaultPorts[u.Scheme], socksPort)), nil
}

const socksPort = "1080" // RFC 1928, section 3

func asciiHost(host string) (string, error) {
	if host == "" {
		return "", errors.New("the URL has no host")
	}
	if !strings.ContainsFunc(host, func(r rune) bool { return r > 0x7F }) {
		return host, nil
	}
	ascii, err := idna.Lookup.ToASCII(host)
	if err != nil {
		return "", fmt.Errorf("the host name is not valid: %w", err)
	}
	return ascii, nil
}

// withoutZone takes the zone off an IPv6 address in brackets: it says something to
// this machine alone (RFC 6874, section 1).
func withoutZone(host string) string {
	zone, end := strings.IndexByte(host, '%'), strings.IndexByte(host, ']')
	if zone < 0 || end < zone {
		return host
	}
	return host[:zone] + host[end:]
}
