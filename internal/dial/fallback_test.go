package dial

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matryer/is"

	"github.com/reqws/reqws/internal/failure"
	"github.com/reqws/reqws/internal/h2"
	"github.com/reqws/reqws/internal/pipe"
)

func TestLearnedIsBounded(t *testing.T) {
	is := is.New(t)
	tr := &roundTrip{Transport: New(Config{})}
	for i := range 5000 {
		tr.remember(origin{host: string(rune(i))}, HTTP2)
	}
	is.True(len(tr.learned) <= 1024)
}

// The server chose HTTP/1.1, and then nobody wanted to know.
func TestFallbackConnectionIsClosed(t *testing.T) {
	is := is.New(t)
	client, server := pipe.New()
	var s fallback
	s.discard()
	s.put(client)
	is.Equal(s.take(), nil)
	_, err := server.Read(make([]byte, 1))
	is.Equal(err, io.EOF)

	client, server = pipe.New()
	var again fallback
	again.put(client)
	again.discard()
	_, err = server.Read(make([]byte, 1))
	is.Equal(err, io.EOF)
}

func TestProtocolsInTheClear(t *testing.T) {
	both, reverse := []Protocol{HTTP1, HTTP2}, []Protocol{HTTP2, HTTP1}
	tests := []struct {
		name      string
		protocols []Protocol
		host      *host2
		status    int    // 0: an error
		proto     string // of the answer
		body      string // of a refusal
		err       error
		conns     [2]int // in all, after one handshake and after another one
	}{
		{name: "HTTP/1.1", protocols: both, host: &host2{http1: upgrading, http2: true, extended: true}, status: 101, proto: "HTTP/1.1", conns: [2]int{1, 2}},
		{name: "HTTP/1.1 refused", protocols: both, host: &host2{http1: answering(unauthorized), http2: true, extended: true}, status: 401, proto: "HTTP/1.1", body: "HTTP1", conns: [2]int{1, 2}},
		{name: "426", protocols: both, host: &host2{http1: answering(upgradeRequired), http2: true, extended: true}, status: 200, proto: "HTTP/2.0", conns: [2]int{2, 2}},
		{name: "505", protocols: both, host: &host2{http1: answering(notSupported), http2: true, extended: true}, status: 200, proto: "HTTP/2.0", conns: [2]int{2, 2}},
		{name: "426, then 403", protocols: both, host: &host2{http1: answering(upgradeRequired), http2: true, extended: true, status: "403"}, status: 403, proto: "HTTP/2.0", body: "no!", conns: [2]int{2, 3}},
		{name: "426 without HTTP/2", protocols: both, host: &host2{http1: answering(upgradeRequired)}, status: 426, proto: "HTTP/1.1", body: "HTTP2", conns: [2]int{2, 4}},
		{name: "426 without extended CONNECT", protocols: both, host: &host2{http1: answering(upgradeRequired), http2: true}, status: 426, proto: "HTTP/1.1", body: "HTTP2", conns: [2]int{2, 4}},
		{name: "HTTP/1.1 alone", protocols: []Protocol{HTTP1}, host: &host2{http1: answering(upgradeRequired), http2: true, extended: true}, status: 426, proto: "HTTP/1.1", body: "HTTP2", conns: [2]int{1, 2}},
		{name: "HTTP/2", protocols: reverse, host: &host2{http1: upgrading, http2: true, extended: true}, status: 200, proto: "HTTP/2.0", conns: [2]int{1, 1}},
		{name: "HTTP/2 refused", protocols: reverse, host: &host2{http1: upgrading, http2: true, extended: true, status: "404"}, status: 404, proto: "HTTP/2.0", body: "no!", conns: [2]int{1, 2}},
		{name: "HTTP/2 without extended CONNECT", protocols: reverse, host: &host2{http1: upgrading, http2: true}, status: 101, proto: "HTTP/1.1", conns: [2]int{2, 3}},
		{name: "no HTTP/2", protocols: reverse, host: &host2{http1: upgrading}, status: 101, proto: "HTTP/1.1", conns: [2]int{2, 3}},
		{name: "no HTTP/2, and hangs up", protocols: reverse, host: &host2{http1: upgrading}, status: 101, proto: "HTTP/1.1", conns: [2]int{2, 4}},
		{name: "HTTP/2 alone, and hangs up on HTTP/1.1", protocols: both, host: &host2{http2: true, extended: true}, status: 200, proto: "HTTP/2.0", conns: [2]int{2, 2}},
		{name: "HTTP/2 alone, and hangs up, by default", host: &host2{http2: true, extended: true}, err: io.ErrUnexpectedEOF, conns: [2]int{1, 2}},
		{name: "HTTP/2 alone, and says so", protocols: both, host: &host2{http1: answering("\x00\x00\x00\x04\x00\x00\x00\x00\x00"), http2: true, extended: true}, status: 200, proto: "HTTP/2.0", conns: [2]int{2, 2}},
		{name: "HTTP/2 alone, and says so, by default", host: &host2{http1: answering("\x00\x00\x00\x04\x00\x00\x00\x00\x00"), http2: true, extended: true}, status: 200, proto: "HTTP/2.0", conns: [2]int{2, 2}},
		{name: "neither", protocols: both, host: &host2{}, err: io.ErrUnexpectedEOF, conns: [2]int{2, 3}},
		{name: "half an answer", protocols: both, host: &host2{http1: hangingUp("HTTP/1.1 1"), http2: true, extended: true}, err: io.ErrUnexpectedEOF, conns: [2]int{1, 2}},
		{name: "505 over HTTP/2", protocols: reverse, host: &host2{http1: upgrading, http2: true, extended: true, status: "505"}, status: 101, proto: "HTTP/1.1", conns: [2]int{2, 3}},
		{name: "426 over HTTP/2", protocols: reverse, host: &host2{http1: upgrading, http2: true, extended: true, status: "426"}, status: 101, proto: "HTTP/1.1", conns: [2]int{2, 3}},
		{name: "505 over both", protocols: reverse, host: &host2{http1: answering(notSupported), http2: true, extended: true, status: "505"}, status: 505, proto: "HTTP/1.1", body: "HTTP2", conns: [2]int{2, 4}},
		{name: "RST_STREAM with HTTP_1_1_REQUIRED", protocols: reverse, host: &host2{http1: upgrading, http2: true, extended: true, requires: "RST_STREAM"}, status: 101, proto: "HTTP/1.1", conns: [2]int{2, 3}},
		{name: "GOAWAY with HTTP_1_1_REQUIRED", protocols: reverse, host: &host2{http1: upgrading, http2: true, extended: true, requires: "GOAWAY"}, status: 101, proto: "HTTP/1.1", conns: [2]int{2, 3}},
		{name: "GOAWAY with HTTP_1_1_REQUIRED at once", protocols: reverse, host: &host2{http1: upgrading, http2: true, extended: true, requires: "GOAWAY at once"}, status: 101, proto: "HTTP/1.1", conns: [2]int{2, 3}},
		{name: "GOAWAY with HTTP_1_1_REQUIRED that does not name the stream", protocols: reverse, host: &host2{http1: upgrading, http2: true, extended: true, requires: "GOAWAY, and hangs up"}, status: 101, proto: "HTTP/1.1", conns: [2]int{2, 3}},
		{name: "HTTP_1_1_REQUIRED and HTTP/2 alone", protocols: []Protocol{HTTP2}, host: &host2{http2: true, extended: true, requires: "GOAWAY"}, err: h2.ErrHTTP11Required, conns: [2]int{1, 2}},
		{name: "HTTP/2 alone, without extended CONNECT", protocols: []Protocol{HTTP2}, host: &host2{http1: upgrading, http2: true}, err: h2.ErrNoExtendedConnect, conns: [2]int{1, 2}},
		{name: "HTTP/2 alone, but there is none", protocols: []Protocol{HTTP2}, host: &host2{http1: upgrading}, err: h2.ErrNotHTTP2, conns: [2]int{1, 2}},
		{name: "HTTP/2 alone", protocols: []Protocol{HTTP2}, host: &host2{http2: true, extended: true}, status: 200, proto: "HTTP/2.0", conns: [2]int{1, 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				is := is.New(t)
				host := tt.host.serve
				if strings.HasSuffix(tt.name, "hangs up") {
					host = func(conn net.Conn) {
						b := make([]byte, 1)
						if conn.Read(b); b[0] == 'P' {
							tt.host.conns++
							return
						}
						tt.host.serve(peeked{conn, bufio.NewReader(io.MultiReader(strings.NewReader(string(b)), conn))})
					}
				}
				opts := []Option{DialContext(lan{"host:80": host}.dial)}
				if tt.protocols != nil {
					opts = append(opts, Protocols(tt.protocols...))
				}
				tr := transportOf(opts...)
				for _, conns := range tt.conns {
					resp, err := tr.RoundTrip(opening(t.Context(), "ws://host/p?q=1"))
					synctest.Wait()
					got, _ := tt.host.counts()
					is.Equal(got, conns)
					if tt.err != nil {
						is.True(errors.Is(err, tt.err))
						is.True(strings.HasPrefix(err.Error(), "reqws: handshake: ws://host/p: "))
						is.True(!strings.HasSuffix(tt.name, "HTTP/2 alone") || !failure.IsTransient(err))
						continue
					}
					is.NoErr(err)
					is.Equal(resp.StatusCode, tt.status)
					is.Equal(resp.Proto, tt.proto)
					if conn, ok := resp.Body.(*Conn); ok {
						is.Equal(tt.body, "")
						_, err := conn.Write([]byte("echo"))
						is.NoErr(err)
						b := make([]byte, 4)
						_, err = io.ReadFull(conn, b)
						is.NoErr(err)
						is.Equal(string(b), "echo")
						defer conn.Close()
						continue
					}
					body, err := io.ReadAll(resp.Body)
					is.NoErr(err)
					is.Equal(string(body), tt.body)
					is.NoErr(resp.Body.Close())
				}
			})
		})
	}
}

func TestProtocolsOverTLS(t *testing.T) {
	both, reverse := []Protocol{HTTP1, HTTP2}, []Protocol{HTTP2, HTTP1}
	tests := []struct {
		name      string
		protocols []Protocol
		alpn      []string
		host      *host2
		refused   int // connections that TLS refuses, in both handshakes
		status    int
		proto     string
		err       string
		is        error
		conns     [2]int // that TLS did not refuse
	}{
		{name: "HTTP/1.1", protocols: both, alpn: []string{"h2", "http/1.1"}, host: &host2{http1: upgrading, http2: true, extended: true}, status: 101, proto: "HTTP/1.1", conns: [2]int{1, 2}},
		{name: "ALPN refuses HTTP/1.1", protocols: both, alpn: []string{"h2"}, host: &host2{http2: true, extended: true}, refused: 1, status: 200, proto: "HTTP/2.0", conns: [2]int{1, 1}},
		{name: "ALPN refuses both", protocols: both, alpn: []string{"h3"}, host: &host2{}, refused: 4, err: "reqws: TLS: wss://example.com/p: the peer has none of the protocols offered (h2): remote error: tls: no application protocol"},
		{name: "ALPN refuses HTTP/1.1 and there is no extended CONNECT", protocols: both, alpn: []string{"h2"}, host: &host2{http2: true}, refused: 2, err: "reqws: handshake: wss://example.com/p: ", is: h2.ErrNoExtendedConnect, conns: [2]int{1, 2}},
		{name: "426", protocols: both, alpn: []string{"h2", "http/1.1"}, host: &host2{http1: answering(upgradeRequired), http2: true, extended: true}, status: 200, proto: "HTTP/2.0", conns: [2]int{2, 2}},
		{name: "HTTP/1.1 alone", protocols: []Protocol{HTTP1}, alpn: []string{"h2"}, host: &host2{}, refused: 2, err: "reqws: TLS: wss://example.com/p: the peer has none of the protocols offered (http/1.1)"},
		{name: "HTTP/2", protocols: reverse, alpn: []string{"http/1.1", "h2"}, host: &host2{http1: upgrading}, status: 101, proto: "HTTP/1.1", conns: [2]int{1, 2}},
		{name: "HTTP/2 chosen", protocols: reverse, alpn: []string{"h2", "http/1.1"}, host: &host2{http1: upgrading, http2: true, extended: true}, status: 200, proto: "HTTP/2.0", conns: [2]int{1, 1}},
		{name: "HTTP/1.1 chosen", protocols: reverse, alpn: []string{"http/1.1"}, host: &host2{http1: upgrading}, status: 101, proto: "HTTP/1.1", conns: [2]int{1, 2}},
		{name: "no extended CONNECT", protocols: reverse, alpn: []string{"h2", "http/1.1"}, host: &host2{http1: upgrading, http2: true}, status: 101, proto: "HTTP/1.1", conns: [2]int{2, 3}},
		{name: "no ALPN", protocols: reverse, alpn: []string{}, host: &host2{http1: upgrading}, status: 101, proto: "HTTP/1.1", conns: [2]int{1, 2}},
		{name: "HTTP/2 alone, without ALPN", protocols: []Protocol{HTTP2}, alpn: []string{}, host: &host2{http1: upgrading}, err: "reqws: handshake: wss://example.com/p: ", is: errNoHTTP2, conns: [2]int{1, 2}},
		{name: "HTTP/2 alone, refused by ALPN", protocols: []Protocol{HTTP2}, alpn: []string{"http/1.1"}, host: &host2{}, refused: 2, err: "reqws: TLS: wss://example.com/p: the peer has none of the protocols offered (h2)"},
	}
	_, roots := certificate()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				is := is.New(t)
				tr := transportOf(
					DialContext(lan{"example.com:443": tt.host.overTLS(tt.alpn)}.dial),
					Protocols(tt.protocols...), TLSConfig(&tls.Config{RootCAs: roots}),
				)
				for _, conns := range tt.conns {
					resp, err := tr.RoundTrip(opening(t.Context(), "wss://example.com/p?q=1"))
					synctest.Wait()
					got, _ := tt.host.counts()
					is.Equal(got, conns)
					if tt.err != "" {
						is.True(err != nil)
						is.True(strings.HasPrefix(err.Error(), tt.err))
						is.True(tt.is == nil || errors.Is(err, tt.is))
						continue
					}
					is.NoErr(err)
					is.Equal(resp.StatusCode, tt.status)
					is.Equal(resp.Proto, tt.proto)
					defer resp.Body.Close()
					conn := resp.Body.(*Conn)
					_, err = conn.Write([]byte("echo"))
					is.NoErr(err)
					b := make([]byte, 4)
					_, err = io.ReadFull(conn, b)
					is.NoErr(err)
					is.Equal(string(b), "echo")
				}
				is.Equal(tt.host.refused, tt.refused)
			})
		})
	}
}

// A server that has spoken HTTP/1.1 is not asked in HTTP/2 when it hangs up.
func TestAHangUpIsNoWishForAnotherProtocol(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		host := &host2{http1: upgrading}
		tr := transportOf(DialContext(lan{"host:80": func(c net.Conn) { host.serve(c) }}.dial), Protocols(HTTP1, HTTP2))
		resp, err := tr.RoundTrip(opening(t.Context(), "ws://host"))
		is.NoErr(err)
		is.NoErr(resp.Body.Close())
		host = &host2{http2: true, extended: true}
		_, err = tr.RoundTrip(opening(t.Context(), "ws://host"))
		is.True(errors.Is(err, io.ErrUnexpectedEOF))
		is.True(failure.IsTransient(err))
		conns, _ := host.counts()
		is.Equal(conns, 1)
	})
}

// A server of HTTP/1.1 may wait for the rest of what is no request to it. Then its
// own answer stands, once the time is up.
func TestUpgradeRequiredBeforeSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		first := true
		start := time.Now()
		resp, err := handshakeOver(t.Context(), "ws://host", DialContext(lan{"host:80": func(conn net.Conn) {
			if first {
				first = false
				answering(upgradeRequired)(conn)
			}
			silent(conn)
		}}.dial))
		is.NoErr(err)
		is.Equal(time.Since(start), 30*time.Second)
		is.Equal(resp.StatusCode, http.StatusUpgradeRequired)
		body, err := io.ReadAll(resp.Body)
		is.NoErr(err)
		is.Equal(string(body), "HTTP2")
	})
}

// The server that was found to want HTTP/2 does not any more.
func TestWhatWasLearnedIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		host := &host2{http1: answering(upgradeRequired), http2: true, extended: true}
		tr := transportOf(DialContext(lan{"host:80": func(c net.Conn) { host.serve(c) }}.dial))
		proto := func() string {
			resp, err := tr.RoundTrip(opening(t.Context(), "ws://host"))
			is.NoErr(err)
			is.NoErr(resp.Body.Close())
			return resp.Proto
		}
		is.Equal(proto(), "HTTP/2.0")
		is.Equal(proto(), "HTTP/2.0")
		host = &host2{http1: upgrading}
		is.Equal(proto(), "HTTP/1.1")
		is.Equal(proto(), "HTTP/1.1")
		conns, _ := host.counts()
		is.Equal(conns, 3) // HTTP/2, and two of HTTP/1.1
	})
}
