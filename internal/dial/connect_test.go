package dial

import (
	"context"
	"errors"
	"net"
	"net/http/httptrace"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matryer/is"
)

func TestAddress(t *testing.T) {
	for u, want := range map[string]string{
		"http://host":             "host:80",
		"https://host":            "host:443",
		"https://host:8443/p":     "host:8443",
		"http://[::1]":            "[::1]:80",
		"http://[fe80::1%25lo]:9": "[fe80::1%lo]:9",
		"http://bücher.example":   "xn--bcher-kva.example:80",
		"socks5://host":           "host:1080",
		"socks5h://host:9":        "host:9",
	} {
		is := is.New(t)
		parsed, err := url.Parse(u)
		is.NoErr(err)
		got, err := address(parsed)
		is.NoErr(err)
		is.Equal(got, want)
	}
}

// phases are hosts that stop answering in one of the phases.
var phases = []struct {
	phase string
	url   string
	shown string
	opts  []Option
}{
	{"lookup", "ws://host/p", "ws://host/p", []Option{DialContext(func(ctx context.Context, _, _ string) (net.Conn, error) {
		httptrace.ContextClientTrace(ctx).DNSStart(httptrace.DNSStartInfo{Host: "host"})
		<-ctx.Done()
		return nil, &net.DNSError{Err: "i/o timeout", Name: "host", IsTimeout: true}
	})}},
	{"dial", "ws://host/p", "ws://host/p", []Option{DialContext(lan{"host:80": nil}.dial)}},
	{"dial", "ws://host/p", "ws://host/p", []Option{DialContext(func(ctx context.Context, _, addr string) (net.Conn, error) {
		trace := httptrace.ContextClientTrace(ctx)
		trace.DNSStart(httptrace.DNSStartInfo{Host: "host"})
		trace.DNSDone(httptrace.DNSDoneInfo{})
		return lan{"host:80": nil}.dial(ctx, "tcp", addr)
	})}},
	{"dial", "wss://host/p", "wss://host/p", []Option{DialContext(lan{"host:443": nil}.dial), Protocols(HTTP2)}},
	{"proxy", "wss://host/p", "wss://host/p", []Option{ProxyURL("http://u:secret@proxy:3128"), DialContext(lan{"proxy:3128": nil}.dial)}},
	{"proxy", "wss://host/p", "wss://host/p", []Option{ProxyURL("http://u:secret@proxy:3128"), DialContext(lan{"proxy:3128": silent}.dial)}},
	{"proxy", "ws://host/p", "ws://host/p", []Option{ProxyURL("https://u:secret@proxy:3128"), DialContext(lan{"proxy:3128": silent}.dial)}},
	{"proxy", "ws://host/p", "ws://host/p", []Option{ProxyURL("socks5://u:secret@proxy:1080"), DialContext(lan{"proxy:1080": silent}.dial)}},
	{"TLS", "wss://host/p", "wss://host/p", []Option{DialContext(lan{"host:443": silent}.dial)}},
	{"TLS", "wss://host/p", "wss://host/p", []Option{DialContext(lan{"host:443": silent}.dial), Protocols(HTTP2, HTTP1)}},
	{"TLS", "wss://host/p", "wss://host/p", []Option{ProxyURL("http://proxy"), DialContext(lan{"proxy:80": answering("HTTP/1.1 200 OK\r\n\r\n")}.dial)}},
	{"handshake", "ws://host/p", "ws://host/p", []Option{DialContext(lan{"host:80": silent}.dial)}},
	{"handshake", "ws://host/p", "ws://host/p", []Option{DialContext(lan{"host:80": answering("HTTP/1.1 101")}.dial)}},
	{"handshake", "ws://host/p", "ws://host/p", []Option{DialContext(lan{"host:80": silent}.dial), Protocols(HTTP2, HTTP1)}},
}

func TestConnectTimeoutSaysInWhichPhase(t *testing.T) {
	for _, tt := range phases {
		t.Run(tt.phase, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				is := is.New(t)
				start := time.Now()
				_, err := handshakeOver(t.Context(), tt.url+"?token=secret", append(tt.opts, ConnectTimeout(30*time.Second))...)
				is.Equal(time.Since(start), 30*time.Second)
				is.True(strings.HasPrefix(err.Error(), "reqws: "+tt.phase+": "+tt.shown+": "))
				is.True(strings.HasSuffix(err.Error(), ": no answer within the connect timeout of 30s"))
				is.True(!strings.Contains(err.Error(), "secret"))
				is.True(errors.Is(err, context.DeadlineExceeded))
				var timeout net.Error
				is.True(errors.As(err, &timeout))
				is.True(timeout.Timeout())
			})
		})
	}
}

// The resolver of package net waits for a name server when ctx ends.
func TestContextEndsLookup(t *testing.T) {
	is := is.New(t)
	ctx, cancel := context.WithCancel(t.Context())
	dialer := &net.Dialer{Resolver: &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		cancel()
		<-ctx.Done()
		return nil, ctx.Err()
	}}}
	_, err := handshakeOver(ctx, "ws://mute.example/p", DialContext(dialer.DialContext))
	is.Equal(err.Error(), "reqws: lookup: ws://mute.example/p: context canceled")
	is.True(errors.Is(err, context.Canceled))
}

func TestContextEndsEachPhase(t *testing.T) {
	mine := errors.New("mine")
	ends := map[string]struct {
		ctx func(context.Context) (context.Context, context.CancelFunc)
		is  []error
	}{
		"deadline": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Second)
		}, []error{context.DeadlineExceeded}},
		"cancel": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(time.Second, cancel)
			return ctx, cancel
		}, []error{context.Canceled}},
		"cause": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancelCause(ctx)
			time.AfterFunc(time.Second, func() { cancel(mine) })
			return ctx, func() { cancel(nil) }
		}, []error{context.Canceled, mine}},
	}
	for name, end := range ends {
		for _, tt := range phases {
			t.Run(tt.phase+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					is := is.New(t)
					ctx, cancel := end.ctx(t.Context())
					defer cancel()
					start := time.Now()
					_, err := handshakeOver(ctx, tt.url, append(tt.opts, ConnectTimeout(0))...)
					is.Equal(time.Since(start), time.Second)
					is.True(strings.HasPrefix(err.Error(), "reqws: "+tt.phase+": "+tt.shown+": "))
					for _, target := range end.is {
						is.True(errors.Is(err, target))
					}
					is.True(!errors.As(err, new(TimeoutError)))
				})
			})
		}
	}
}

func TestCancelledBeforeTheStart(t *testing.T) {
	for _, tt := range phases {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			_, err := handshakeOver(ctx, tt.url, tt.opts...)
			is.New(t).True(errors.Is(err, context.Canceled))
		})
	}
}

func TestDialErrors(t *testing.T) {
	tests := []struct {
		name string
		url  string
		dial func(context.Context, string, string) (net.Conn, error)
		err  string
		is   error
	}{
		{"refused", "ws://host/p", lan{}.dial, "reqws: dial: ws://host/p: dial tcp: connection refused", syscall.ECONNREFUSED},
		{"no such host", "wss://host/p", func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "host", IsNotFound: true}}
		}, "reqws: lookup: wss://host/p: dial tcp: lookup host: no such host", nil},
		{"no host", "ws:///p", lan{}.dial, "reqws: lookup: ws:///p: the URL has no host", nil},
		{"bad host", "ws://a\u200d.example/p", lan{}.dial, "reqws: lookup: ws://a%E2%80%8D.example/p: the host name is not valid: idna: invalid label", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			is := is.New(t)
			_, err := handshakeOver(t.Context(), tt.url, DialContext(tt.dial))
			is.True(err != nil)
			is.True(strings.HasPrefix(err.Error(), tt.err))
			is.True(tt.is == nil || errors.Is(err, tt.is))
		})
	}
}
