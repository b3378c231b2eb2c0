package dial

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matryer/is"
)

// Each phase of the network of slowly takes another time.
const (
	lookupTime    = 1 * time.Second
	dialTime      = 2 * time.Second
	proxyTime     = 4 * time.Second
	tlsTime       = 8 * time.Second
	handshakeTime = 16 * time.Second
)

// slowly connects to hosts, and takes its time for that.
func slowly(hosts lan) Option {
	return DialContext(func(ctx context.Context, network, addr string) (net.Conn, error) {
		if trace := httptrace.ContextClientTrace(ctx); trace != nil {
			trace.DNSStart(httptrace.DNSStartInfo{})
			time.Sleep(lookupTime)
			trace.DNSDone(httptrace.DNSDoneInfo{})
		}
		time.Sleep(dialTime)
		return hosts.dial(ctx, network, addr)
	})
}

// late is serve, some time later.
func late(d time.Duration, serve func(net.Conn)) func(net.Conn) {
	return func(conn net.Conn) {
		time.Sleep(d)
		serve(conn)
	}
}

// via is an http proxy in front of serve.
func via(serve func(net.Conn)) func(net.Conn) {
	return func(conn net.Conn) {
		readHead(conn)
		time.Sleep(proxyTime)
		io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
		serve(conn)
	}
}

// measured performs one exchange, and returns what it took.
func measured(t *testing.T, tr *Transport, u string) (Times, *http.Response, error) {
	t.Helper()
	var watch Stopwatch
	ctx := WithStopwatch(t.Context(), &watch)
	req := opening(ctx, u)
	if strings.HasPrefix(u, "http") {
		req, _ = http.NewRequestWithContext(ctx, http.MethodGet, u, nil)
	}
	resp, err := tr.RoundTrip(req)
	if err == nil {
		t.Cleanup(func() { resp.Body.Close() })
	}
	return watch.Stop(), resp, err
}

func TestTimesOfThePhases(t *testing.T) {
	_, roots := certificate()
	trusting := TLSConfig(&tls.Config{RootCAs: roots, ServerName: "example.com"})
	upgrades := late(handshakeTime, upgrading)
	says := late(handshakeTime, hangingUp("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
	overTLS := func(serve func(net.Conn), alpn ...string) func(net.Conn) {
		return late(tlsTime, (&host2{http1: serve}).overTLS(alpn))
	}
	refuses := late(handshakeTime, hangingUp("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"))
	speaks2 := func(conn net.Conn) { late(handshakeTime, (&host2{http2: true, extended: true}).serve2)(conn) }
	for _, tt := range []struct {
		name string
		url  string
		opts []Option
		want Times
	}{
		{"ws", "ws://host/", []Option{slowly(lan{"host:80": upgrades})},
			Times{Lookup: lookupTime, Dial: dialTime, Handshake: handshakeTime}},
		{"refused", "ws://host/", []Option{slowly(lan{"host:80": refuses})},
			Times{Lookup: lookupTime, Dial: dialTime, Handshake: handshakeTime}},
		{"wss", "wss://host/", []Option{trusting, slowly(lan{"host:443": overTLS(upgrades)})},
			Times{Lookup: lookupTime, Dial: dialTime, TLS: tlsTime, Handshake: handshakeTime}},
		{"ws, a proxy", "ws://host/", []Option{ProxyURL("http://proxy"), slowly(lan{"proxy:80": via(upgrades)})},
			Times{Proxy: dialTime + proxyTime, Handshake: handshakeTime}},
		{"wss, a proxy", "wss://host/", []Option{trusting, ProxyURL("http://proxy"), slowly(lan{"proxy:80": via(overTLS(upgrades))})},
			Times{Proxy: dialTime + proxyTime, TLS: tlsTime, Handshake: handshakeTime}},
		{"HTTP/2 in the clear", "ws://host/", []Option{Protocols(HTTP2), slowly(lan{"host:80": speaks2})},
			Times{Lookup: lookupTime, Dial: dialTime, Handshake: handshakeTime}},
		{"HTTP/2", "wss://host/", []Option{trusting, Protocols(HTTP2), slowly(lan{"host:443": late(tlsTime, (&host2{http2: true, extended: true}).overTLS([]string{"h2"}))})},
			Times{Lookup: lookupTime, Dial: dialTime, TLS: tlsTime}},
		{"HTTP/1.1 on the connection that HTTP/2 was to have", "wss://host/", []Option{trusting, Protocols(HTTP2, HTTP1), slowly(lan{"host:443": overTLS(upgrades, "http/1.1")})},
			Times{Lookup: lookupTime, Dial: dialTime, TLS: tlsTime, Handshake: handshakeTime}},
		{"http", "http://host/", []Option{slowly(lan{"host:80": says})},
			Times{Lookup: lookupTime, Dial: dialTime, Handshake: handshakeTime}},
		{"https", "https://host/", []Option{trusting, Protocols(HTTP1), slowly(lan{"host:443": overTLS(says)})},
			Times{Lookup: lookupTime, Dial: dialTime, TLS: tlsTime, Handshake: handshakeTime}},
		{"http, a proxy", "http://host/", []Option{ProxyURL("http://proxy"), slowly(lan{"proxy:80": says})},
			Times{Proxy: dialTime, Handshake: handshakeTime}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				is := is.New(t)
				got, _, err := measured(t, transportOf(append(tt.opts, ConnectTimeout(time.Minute))...), tt.url)
				is.NoErr(err)
				is.Equal(got, tt.want)
			})
		})
	}
}

// What fails has its time in the phase that its error names.
func TestTimesOfAFailure(t *testing.T) {
	for _, tt := range phases {
		t.Run(tt.phase, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				is := is.New(t)
				got, _, err := measured(t, transportOf(append(tt.opts, ConnectTimeout(30*time.Second))...), tt.url)
				is.True(err != nil)
				want := map[string]Times{
					"lookup": {Lookup: 30 * time.Second}, "dial": {Dial: 30 * time.Second}, "proxy": {Proxy: 30 * time.Second},
					"TLS": {TLS: 30 * time.Second}, "handshake": {Handshake: 30 * time.Second},
				}
				is.Equal(got, want[tt.phase])
			})
		})
	}
}

// A stream on another one's connection has looked up and dialled nothing.
func TestTimesOnASharedConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		tr := transportOf(Protocols(HTTP2), slowly(lan{"host:80": (&host2{http2: true, extended: true}).serve}))
		first, _, err := measured(t, tr, "ws://host/a")
		is.NoErr(err)
		is.Equal(first, Times{Lookup: lookupTime, Dial: dialTime})
		second, _, err := measured(t, tr, "ws://host/b")
		is.NoErr(err)
		is.Equal(second, Times{Reused: true})
	})
}

// Who waits for another one's dial has waited in its handshake, and a dial that goes on after the
// exchange is not counted any more.
func TestTimesOfASharedDial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		tr := transportOf(Protocols(HTTP2), slowly(lan{"host:80": (&host2{http2: true, extended: true}).serve}))
		ctx, cancel := context.WithTimeout(t.Context(), lookupTime/2)
		defer cancel()
		var watch Stopwatch
		left := make(chan Times, 1)
		go func() {
			_, err := tr.RoundTrip(opening(WithStopwatch(ctx, &watch), "ws://host/a"))
			is.True(err != nil)
			left <- watch.Stop()
		}()
		time.Sleep(time.Millisecond)
		got, _, err := measured(t, tr, "ws://host/b")
		is.NoErr(err)
		is.Equal(got, Times{Handshake: lookupTime + dialTime - time.Millisecond, Reused: true})
		is.Equal(<-left, Times{Lookup: lookupTime / 2})
		is.Equal(watch.Stop(), Times{Lookup: lookupTime / 2})
	})
}
