package dial

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"testing"

	"github.com/matryer/is"
)

// What is sent is what net/http would send, and a trace is told the same of it.
func TestRequestsAreWrittenAsNetHTTPDoes(t *testing.T) {
	handshake := http.Header{
		"User-Agent": {"reqws"}, "Connection": {"Upgrade"}, "Upgrade": {"websocket"},
		"Sec-WebSocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}, "Sec-WebSocket-Version": {"13"},
	}
	for _, tt := range []struct {
		name, url, host string
		header          http.Header
	}{
		{"a handshake", "http://host:8080/p?a=b", "", handshake},
		{"a Host", "http://host/", "other.example:81", handshake},
		{"no path", "http://host", "", handshake},
		{"escapes", "http://host/a%2Fb%20c/%E2%82%AC?q=%20&x=a+b", "", handshake},
		{"a query alone", "http://host?", "", handshake},
		{"IDN", "http://h\u00f6st/", "", handshake},
		{"IPv6", "http://[::1]:80/", "", handshake},
		{"a zone", "http://[fe80::1%25eth0]:80/", "", handshake},
		{"a Host that is none", "http://host/", "a b", handshake},
		{"no header", "http://host/", "", nil},
		{"no user agent", "http://host/", "", http.Header{"User-Agent": nil, "A": {"b"}}},
		{"an empty user agent", "http://host/", "", http.Header{"User-Agent": {"", "second"}}},
		{"user agents", "http://host/", "", http.Header{"User-Agent": {" first ", "second"}}},
		{"order", "http://host/", "", http.Header{"B": {"2"}, "a": {"4"}, "A": {"1"}, "C": {"3", "0"}, "User-Agent": {"u"}}},
		{"spaces", "http://host/", "", http.Header{"A": {"  x\ty \r\n"}, "B": {"x\r\nInjected: 1"}, "C": {""}}},
		{"names that are none", "http://host/", "", http.Header{"A b": {"1"}, "A:": {"1"}, "": {"1"}, "A\r\nB": {"1"}}},
		{"what has other places", "http://host/", "", http.Header{"Host": {"x"}, "Content-Length": {"7"}, "Transfer-Encoding": {"chunked"}, "Trailer": {"x"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			is := is.New(t)
			u, err := url.Parse(tt.url)
			is.NoErr(err)
			write := func(write func(*http.Request, *httptrace.ClientTrace) ([]byte, error)) (string, []string) {
				var told []string
				trace := &httptrace.ClientTrace{
					WroteHeaderField: func(name string, values []string) { told = append(told, fmt.Sprint(name, values)) },
					WroteHeaders:     func() { told = append(told, "headers") },
					WroteRequest:     func(i httptrace.WroteRequestInfo) { told = append(told, fmt.Sprint("request ", i.Err)) },
				}
				req := &http.Request{Method: "GET", URL: u, Host: tt.host, Header: tt.header}
				b, err := write(req.WithContext(httptrace.WithClientTrace(context.Background(), trace)), trace)
				is.NoErr(err)
				return string(b), told
			}
			got, told := write(func(req *http.Request, trace *httptrace.ClientTrace) ([]byte, error) {
				return appendRequest(nil, req, trace)
			})
			want, wantTold := write(func(req *http.Request, _ *httptrace.ClientTrace) ([]byte, error) {
				var b bytes.Buffer
				err := req.Write(&b)
				return b.Bytes(), err
			})
			is.Equal(got, want)
			is.Equal(told, wantTold)
		})
	}
}

func TestARequestThatCannotBeWritten(t *testing.T) {
	for _, req := range []*http.Request{
		{Method: "GET", URL: &url.URL{Scheme: "http", Host: "host", Opaque: "/a\r\nb"}},
		{Method: "GET", URL: &url.URL{Scheme: "http", Host: "host", Path: "/", RawQuery: "a\x7fb"}},
	} {
		is := is.New(t)
		_, err := appendRequest(nil, req, nil)
		is.True(err != nil)
		is.True(req.Write(&bytes.Buffer{}) != nil) // nor by net/http
	}
}

// The names of RFC 6455 have its spelling on the wire, wherever they stand in the order.
func TestSpelling(t *testing.T) {
	is := is.New(t)
	b, err := appendRequest(nil, &http.Request{Method: "GET", URL: &url.URL{Host: "h", Path: "/"}, Header: http.Header{
		"User-Agent": {"u"}, "Sec-Websocket-Key": {"k"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Protocol": {"p"},
		"Sec-Websocket-Extensions": {"e"}, "Sec-Websocket-Other": {"o"}, "Sec-A": {"a"}, "sec-websocket-lower": {"l"},
	}}, nil)
	is.NoErr(err)
	is.Equal(string(b), "GET / HTTP/1.1\r\nHost: h\r\nUser-Agent: u\r\nSec-A: a\r\n"+
		"Sec-WebSocket-Extensions: e\r\nSec-WebSocket-Key: k\r\nSec-WebSocket-Other: o\r\nSec-WebSocket-Protocol: p\r\nSec-WebSocket-Version: 13\r\n"+
		"sec-websocket-lower: l\r\n\r\n")
}
