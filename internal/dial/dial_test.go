package dial

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http/httptrace"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matryer/is"

	"github.com/reqws/reqws/internal/netconn"
	"github.com/reqws/reqws/internal/wiretest"
	"github.com/reqws/reqws/reqwstest"
)

func TestHandshakeOpensTheBareConnection(t *testing.T) {
	reqwstest.NoLeaks(t)
	wiretest.NoFDLeaks(t)
	t.Run("ws", func(t *testing.T) {
		is := is.New(t)
		srv := reqwstest.New(t, reqwstest.Script(reqwstest.Accept(), reqwstest.EchoUntilClose()))
		conn := opens(t, srv.URL)
		_, ok := conn.Conn.(*net.TCPConn)
		is.True(ok)
		echoes(t, conn)
		is.NoErr(conn.Close())
	})
	t.Run("wss", func(t *testing.T) {
		is := is.New(t)
		srv := reqwstest.NewTLS(t, reqwstest.Script(reqwstest.Accept(), reqwstest.EchoUntilClose()))
		resp, err := handshakeOver(t.Context(), srv.URL, TLSConfig(srv.TLSConfig()))
		is.NoErr(err)
		is.True(resp.TLS.HandshakeComplete)
		conn := resp.Body.(*Conn)
		secured, ok := conn.Conn.(*tls.Conn)
		is.True(ok)
		_, ok = netconn.Bare(secured).(*net.TCPConn)
		is.True(ok)
		echoes(t, conn)
		is.NoErr(conn.Close())
	})
}

// strict is a connection on which no deadline may be set.
type strict struct {
	net.Conn
	t testing.TB
}

func (s strict) SetDeadline(time.Time) error {
	s.t.Error("a deadline was set")
	return os.ErrNoDeadline
}
func (s strict) SetReadDeadline(t time.Time) error  { return s.SetDeadline(t) }
func (s strict) SetWriteDeadline(t time.Time) error { return s.SetDeadline(t) }

func TestHandshakeLeavesNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		hosts := lan{"host:80": answering(switching)}
		ctx, cancel := context.WithCancel(t.Context())
		resp, err := handshakeOver(ctx, "ws://host", DialContext(
			func(ctx context.Context, network, addr string) (net.Conn, error) {
				conn, err := hosts.dial(ctx, network, addr)
				return strict{conn, t}, err
			}))
		is.NoErr(err)
		conn := resp.Body.(*Conn)
		cancel()                   // no longer has a say
		time.Sleep(24 * time.Hour) // nor has the connect timeout
		_, err = conn.Write([]byte("still here"))
		is.NoErr(err)
		is.NoErr(conn.Close())
	})
}

func TestTransportIsSafeForConcurrentUse(t *testing.T) {
	reqwstest.NoLeaks(t)
	is := is.New(t)
	srv := reqwstest.NewTLS(t, reqwstest.Script(reqwstest.Accept(), reqwstest.EchoUntilClose()).Repeat())
	tr := transportOf(TLSConfig(srv.TLSConfig()))
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			resp, err := tr.RoundTrip(opening(t.Context(), srv.URL))
			is.NoErr(err)
			echoes(t, resp.Body.(*Conn))
			is.NoErr(resp.Body.Close())
		})
	}
	wg.Wait()
}

func TestTrace(t *testing.T) {
	is := is.New(t)
	srv := reqwstest.NewTLS(t, reqwstest.Script(reqwstest.Accept(), reqwstest.EchoUntilClose()))
	var seen []string
	note := func(s string) { seen = append(seen, s) }
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		ConnectStart:         func(string, string) { note("connect") },
		ConnectDone:          func(string, string, error) { note("connected") },
		TLSHandshakeStart:    func() { note("TLS") },
		TLSHandshakeDone:     func(s tls.ConnectionState, err error) { note(fmt.Sprint("TLS done ", s.HandshakeComplete, err)) },
		GotConn:              func(httptrace.GotConnInfo) { note("conn") },
		WroteRequest:         func(i httptrace.WroteRequestInfo) { note(fmt.Sprint("wrote ", i.Err)) },
		GotFirstResponseByte: func() { note("first byte") },
	})
	resp, err := handshakeOver(ctx, srv.URL, TLSConfig(srv.TLSConfig()))
	is.NoErr(err)
	is.NoErr(resp.Body.Close())
	is.Equal(seen, []string{"connect", "connected", "TLS", "TLS done true <nil>", "conn", "wrote <nil>", "first byte"})
}
