package dial

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matryer/is"

	"github.com/reqws/reqws/internal/failure"
	"github.com/reqws/reqws/internal/h2"
	"github.com/reqws/reqws/internal/pipe"
)

func TestExtendedConnectRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		host := &host2{http2: true, extended: true}
		tr := transportOf(DialContext(lan{"host:80": host.serve}.dial), Protocols(HTTP2))
		req := opening(t.Context(), "ws://host/p?q=1")
		req.Header.Set("Sec-WebSocket-Protocol", "chat")
		req.Header.Set("Authorization", "Bearer x")
		resp, err := tr.RoundTrip(req)
		is.NoErr(err)
		is.Equal(resp.Request, req)
		is.True(req.Header.Get("Sec-WebSocket-Key") != "") // not changed
		_, ok := resp.Body.(*Conn).Conn.(*h2.Stream)
		is.True(ok)
		is.Equal(host.streams, []map[string]string{{
			":method": "CONNECT", ":protocol": "websocket", ":scheme": "http", ":authority": "host", ":path": "/p?q=1",
			"sec-websocket-version": "13", "sec-websocket-protocol": "chat", "authorization": "Bearer x",
		}})
		is.NoErr(resp.Body.Close())
	})
}

// The zone of an IPv6 address says something to this machine alone.
func TestNoZoneLeavesThisMachine(t *testing.T) {
	for _, tt := range []struct{ host, set, want string }{
		{"[fe80::1%25lo]", "", "[fe80::1]"},
		{"[fe80::1%25lo]:8080", "", "[fe80::1]:8080"},
		{"[fe80::1]:8080", "", "[fe80::1]:8080"},
		{"host", "[fe80::1%lo]:1", "[fe80::1]:1"},
		{"host", "", "host"},
	} {
		for _, p := range []Protocol{HTTP1, HTTP2} {
			synctest.Test(t, func(t *testing.T) {
				is := is.New(t)
				host := &host2{http2: true, extended: true}
				heads := make(chan string, 1)
				dial := DialContext(func(context.Context, string, string) (net.Conn, error) {
					client, server := pipe.New()
					go func() {
						defer server.Close()
						if p == HTTP2 {
							host.serve(server)
							return
						}
						heads <- readHead(server)
						io.WriteString(server, switching)
					}()
					return client, nil
				})
				req := opening(t.Context(), "ws://"+tt.host)
				req.Host = tt.set
				resp, err := transportOf(dial, Protocols(p)).RoundTrip(req)
				is.NoErr(err)
				is.NoErr(resp.Body.Close())
				if p == HTTP2 {
					is.Equal(host.streams[0][":authority"], tt.want)
				} else {
					is.True(strings.Contains(<-heads, "\r\nHost: "+tt.want+"\r\n"))
				}
			})
		}
	}
}

// What is wrong with the fields of an answer in HTTP/2 is told without them.
func TestBadFieldsAreNotQuoted(t *testing.T) {
	for _, extra := range [][2]string{{"Upper canary", "x"}, {"x-canary\x00", "x"}, {"x", "canary\n"}, {":canary", "x"}, {":status", "canary"}} {
		for _, plain := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				is := is.New(t)
				host := &host2{http2: true, extended: true, extra: extra}
				req := opening(t.Context(), "ws://example.com/")
				if plain {
					req.Header = make(http.Header)
				}
				_, err := transportOf(Protocols(HTTP2), DialContext(lan{"example.com:80": host.serve}.dial)).RoundTrip(req)
				is.True(err != nil)
				is.True(strings.Contains(err.Error(), "PROTOCOL_ERROR"))
				is.True(!strings.Contains(strings.ToLower(fmt.Sprintf("%v %+v %#v %q %d", err, err, err, err, err)), "canary"))
			})
		}
	}
}

func TestStreamsShareAConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		host := &host2{http2: true, extended: true}
		g := func(conn net.Conn) {
			readHead(conn)
			io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
			host.serve(conn)
		}
		viaProxy := false
		tr := transportOf(
			DialContext(lan{"host:80": host.serve, "host:81": host.serve, "proxy:80": g}.dial), Protocols(HTTP2),
			Proxy(func(*http.Request) (*url.URL, error) {
				if viaProxy {
					return ParseProxy("proxy")
				}
				return nil, nil
			}),
		)
		var wg sync.WaitGroup
		var mu sync.Mutex
		var all []*http.Response
		open := func(u string) {
			wg.Go(func() {
				resp, err := tr.RoundTrip(opening(t.Context(), u))
				is.NoErr(err)
				mu.Lock()
				defer mu.Unlock()
				all = append(all, resp)
			})
		}
		for range 10 {
			open("ws://host/a")
		}
		wg.Wait()
		conns, streams := host.counts()
		is.Equal(conns, 1)
		is.Equal(streams, 10)

		open("ws://host:81/a") // another origin
		wg.Wait()
		viaProxy = true
		open("ws://host/a") // another way
		wg.Wait()
		conns, _ = host.counts()
		is.Equal(conns, 3)

		is.NoErr(all[0].Body.Close()) // alone
		_, err := all[1].Body.(*Conn).Write([]byte("echo"))
		is.NoErr(err)
		_, err = io.ReadFull(all[1].Body, make([]byte, 4))
		is.NoErr(err)
		for _, resp := range all {
			resp.Body.Close()
		}
	})
}

// A dial that several wait for fails each of them, with its own URL.
func TestSharedDialFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		tr := transportOf(Protocols(HTTP2), DialContext(func(ctx context.Context, _, _ string) (net.Conn, error) {
			time.Sleep(time.Second)
			return nil, syscall.ECONNREFUSED
		}))
		var wg sync.WaitGroup
		for _, path := range []string{"/a", "/b"} {
			wg.Go(func() {
				_, err := tr.RoundTrip(opening(t.Context(), "ws://host"+path))
				is.True(errors.Is(err, syscall.ECONNREFUSED))
				is.Equal(err.Error(), "reqws: dial: ws://host"+path+": connection refused")
			})
		}
		wg.Wait()
	})
}

// One who gives up does not take the shared dial along.
func TestSharedDialGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		host := &host2{http2: true, extended: true}
		tr := transportOf(Protocols(HTTP2), DialContext(func(ctx context.Context, network, addr string) (net.Conn, error) {
			time.Sleep(2 * time.Second)
			return lan{"host:80": host.serve}.dial(ctx, network, addr)
		}))
		var wg sync.WaitGroup
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := tr.RoundTrip(opening(ctx, "ws://host/a"))
			is.True(errors.Is(err, context.DeadlineExceeded))
			is.True(strings.HasPrefix(err.Error(), "reqws: dial: ws://host/a: "))
		})
		time.Sleep(time.Millisecond)
		wg.Go(func() {
			resp, err := tr.RoundTrip(opening(t.Context(), "ws://host/b"))
			is.NoErr(err)
			is.NoErr(resp.Body.Close())
		})
		wg.Wait()
		conns, _ := host.counts()
		is.Equal(conns, 1)
	})
}

func TestStreamThatWasNotProcessed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		host := &host2{http1: upgrading, http2: true, extended: true, resets: true}
		_, err := handshakeOver(t.Context(), "ws://host", DialContext(lan{"host:80": host.serve}.dial), Protocols(HTTP2, HTTP1))
		is.True(errors.Is(err, h2.ErrNotProcessed))
		is.True(strings.HasPrefix(err.Error(), "reqws: handshake: ws://host: http2: "))
		is.True(failure.IsTransient(err))
	})
}

func TestRefusedStreamBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		host := &host2{http2: true, extended: true, status: "403"}
		resp, err := handshakeOver(t.Context(), "ws://host", DialContext(lan{"host:80": host.serve}.dial), Protocols(HTTP2))
		is.NoErr(err)
		body, err := io.ReadAll(resp.Body) // and this closes it
		is.NoErr(err)
		is.Equal(string(body), "no!")
	})
}
