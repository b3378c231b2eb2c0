package reqws

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matryer/is"

	"github.com/reqws/reqws/internal/dial"
	"github.com/reqws/reqws/internal/failure"
)

func TestCheckHostname(t *testing.T) {
	for _, good := range []string{"example.com", "a", "a-b.example.", "xn--bcher-kva.example", "_srv.example", "127.0.0.1", "[::1]", "[2001:db8::1]", strings.Repeat("a", 63) + ".example"} {
		is.New(t).NoErr(checkHostname(good))
	}
	for _, bad := range []string{"", ".", "a..b", ".a", "a b", "a/b", "a:80", "[::1]:80", "::1", "[127.0.0.1]", "bücher.example", "a\r\nX: y", "user@host", "*",
		strings.Repeat("a", 64), strings.Repeat("abc.", 64)} {
		is.New(t).True(checkHostname(bad) != nil)
	}
	err := defaults().with([]Option{Hostname("a b")}).err()
	is.New(t).Equal(err.Error(), `reqws: option Hostname: "a b" is no host name`)
}

// The option refuses what is no proxy, and says which it is.
func TestProxyURLOption(t *testing.T) {
	for _, bad := range []string{"", "ftp://u:secret@proxy", "http://u:sec/ret@proxy", "http://u:secret @proxy"} {
		is := is.New(t)
		err := defaults().with([]Option{ProxyURL(bad)}).err()
		is.True(strings.HasPrefix(err.Error(), "reqws: option ProxyURL: "))
		is.True(!strings.Contains(err.Error(), "sec"))
	}
}

// The answer of a proxy is not the server's. Its error says what it said, but for what it was told,
// and whether that may pass.
func TestProxyErrors(t *testing.T) {
	tests := []struct {
		name, answer string
		status       int
		says         string
		passes       bool
	}{
		{"407", "HTTP/1.1 407 Auth\r\nContent-Length: 4\r\n\r\nwho?", 407, "407 Proxy Authentication Required: who?", false},
		{"403", "HTTP/1.1 403 Forbidden\r\nContent-Length: 21\r\n\r\n<h1>\n\t  Denied </h1>\n", 403, "403 Forbidden: <h1> Denied </h1>", false},
		{"502 with a body without end", "HTTP/1.1 502 Bad Gateway\r\n\r\n" + strings.Repeat("x", 10_000), 502, "502 Bad Gateway: " + strings.Repeat("x", 200), true},
		{"503 with a body that stalls", "HTTP/1.1 503 Busy\r\nContent-Length: 100\r\n\r\nnot n\xffow", 503, "503 Service Unavailable: not now", true},
		{"504 without a body", "HTTP/1.1 504 Gateway Timeout\r\nContent-Length: 0\r\n\r\n", 504, "504 Gateway Timeout", true},
		{"echoes what it was sent", "HTTP/1.1 407 secret\r\nContent-Length: 61\r\n\r\nno dXNlcjpzZWNyZXQ=, that is user:secret or SECRET and so on\n", 407,
			"407 Proxy Authentication Required: no REDACTED, that is user:REDACTED or REDACTED and so on", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				is := is.New(t)
				proxy := func(conn net.Conn) {
					_, _ = conn.Read(make([]byte, 4<<10))
					_, _ = io.WriteString(conn, tt.answer)
					_, _ = io.Copy(io.Discard, conn)
				}
				start := time.Now()
				_, err := New(URL("wss://host/p?token=secret"), ProxyURL("http://user:secret@proxy"), DialContext(dialTo(proxy)), Retry(Never)).Do(t.Context())
				is.True(err != nil)
				is.Equal(err.Error(), "reqws: proxy: wss://host/p: proxy http://proxy: refused to connect: "+tt.says)
				is.True(!errors.As(err, new(*HTTPError)))
				var refused *ProxyError
				is.True(errors.As(err, &refused))
				is.Equal(refused.StatusCode, tt.status)
				is.True(refused.Header != nil)
				is.Equal(failure.IsTransient(err), tt.passes)
				is.True(time.Since(start) <= time.Second) // nobody waits for a body
			})
		})
	}
}

// Hostname holds for the first origin alone; on foreign hops the server is told to be one.
func TestServerOfAHop(t *testing.T) {
	for _, tt := range []struct {
		hostname string
		hop      hop
		want     dial.Server
	}{
		{"", hop{}, dial.Server{}},
		{"b.example.com", hop{}, dial.Server{Name: "b.example.com"}},
		{"[::1]", hop{}, dial.Server{Name: "::1"}},
		{"b.example.com", hop{crossOrigin: true}, dial.Server{}},
		{"b.example.com", hop{crossOrigin: true, foreign: true}, dial.Server{Foreign: true}},
		{"b.example.com", hop{foreign: true}, dial.Server{Name: "b.example.com", Foreign: true}},
	} {
		c := connectConfig{hostname: tt.hostname}
		is.New(t).Equal(c.serverOf(&tt.hop), tt.want)
	}
}
