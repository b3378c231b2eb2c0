package dial

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/reqws/reqws/reqwstest"
)

// pieces is a connection that gives what it has n bytes at a time, and then its end.
type pieces struct {
	net.Conn
	left []byte
	n    int
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.left) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), p.n)], p.left)
	p.left = p.left[n:]
	return n, nil
}

// However an answer comes in, it is understood the same way; nothing of it gets
// into an error, and what is behind the head of one that opens is kept whole.
func fuzzHead(f *testing.F, method string, opens func(status int) bool) {
	f.Fuzz(func(t *testing.T, answer []byte) {
		is := is.New(t)
		read := func(n int) (status int, rest string, text string) {
			conn := &pieces{left: answer, n: n}
			r := readAnswer(conn)
			resp, err := r.head(&http.Request{Method: method})
			if err != nil {
				return 0, "", err.Error()
			}
			is.True(resp.ProtoMajor == 1)
			if opens(resp.StatusCode) {
				return resp.StatusCode, string(append(r.rest(), conn.left...)), ""
			}
			body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
			return resp.StatusCode, fmt.Sprintf("%q %v", body, err == nil), ""
		}
		status, rest, text := read(1)
		for _, n := range []int{2, 7, len(answer) + 1} {
			again, restAgain, textAgain := read(n)
			is.Equal(status, again)
			is.Equal(text, textAgain)
			is.Equal(rest, restAgain)
		}
		if opens(status) {
			is.True(strings.HasSuffix(string(answer), rest))
		}
		known := []string{"", "the connection was closed before the answer was complete: unexpected EOF"}
		for _, err := range []error{ErrHeadTooBig, errNotHTTP, errBadHeader, errSpeaksTLS, errSpeaksH2} {
			known = append(known, err.Error())
		}
		is.True(slices.Contains(known, text))
	})
}

func FuzzAnswer(f *testing.F) {
	fuzzHead(f, http.MethodGet, func(status int) bool { return status == http.StatusSwitchingProtocols })
}

func FuzzProxyAnswer(f *testing.F) {
	fuzzHead(f, http.MethodConnect, func(status int) bool { return status/100 == 2 })
}

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

func TestParseProxy(t *testing.T) {
	for s, want := range map[string]string{
		"http://proxy":                  "http://proxy",
		"https://u:p@proxy:1/":          "https://u:p@proxy:1/",
		"socks5://proxy:1080":           "socks5://proxy:1080",
		"socks5h://u:p@[::1]:1080":      "socks5h://u:p@[::1]:1080",
		"proxy:3128":                    "http://proxy:3128",
		"u:p@127.0.0.1:3128":            "http://u:p@127.0.0.1:3128",
		"HTTP://proxy":                  "http://proxy",
		"http://" + strconv.Itoa(1<<10): "http://1024",
	} {
		is := is.New(t)
		u, err := ParseProxy(s)
		is.NoErr(err)
		is.Equal(u.String(), want)
	}
	for _, bad := range []string{"", "http://", "ftp://u:secret@proxy", "http://u:secret@", "http://u:sec/ret@proxy", "http://u:%zzsecret@proxy",
		"http://proxy:0", "http://u:secret@proxy:70000", "http://u:secret@proxy:port", "http://u:secret @proxy", "socks4://u:secret@proxy",
		"socks5://:secret@proxy", "socks5://u:" + strings.Repeat("secret", 50) + "@proxy", "ws://u:secret@proxy"} {
		is := is.New(t)
		_, err := ParseProxy(bad)
		is.True(err != nil)
		is.True(!strings.Contains(err.Error(), "sec"))
	}
}

func FuzzParseProxy(f *testing.F) {
	for _, s := range []string{"http://user:password@proxy:3128", "socks5h://[::1]:1080", "proxy:1", "http://%zz", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := ParseProxy(s)
		if err != nil {
			return
		}
		if _, err := address(u); err != nil && !strings.Contains(err.Error(), "host name is not valid") {
			t.Errorf("%q was taken, but %v", s, err)
		}
	})
}

// A port may be the beginning of a password.
func TestProxyPortIsNotShown(t *testing.T) {
	is := is.New(t)
	_, err := ParseProxy("http://user:12345678@proxy:99999")
	is.True(err != nil)
	_, err = ParseProxy("http://user:12345678#@proxy")
	is.True(err != nil)
	is.True(!strings.Contains(err.Error(), "1234"))
}
func TestLearnedIsBounded(t *testing.T) {
	is := is.New(t)
	tr := &roundTrip{Transport: New(Config{})}
	for i := range 5000 {
		tr.remember(string(rune(i)), HTTP2)
	}
	is.True(len(tr.learned) <= 1024)
}

// The server chose HTTP/1.1, and then nobody wanted to know.
func TestFallbackConnectionIsClosed(t *testing.T) {
	is := is.New(t)
	client, server := reqwstest.Pipe()
	var s fallback
	s.discard()
	s.put(client)
	is.Equal(s.take(), nil)
	_, err := server.Read(make([]byte, 1))
	is.Equal(err, io.EOF)

	client, server = reqwstest.Pipe()
	var again fallback
	again.put(client)
	again.discard()
	_, err = server.Read(make([]byte, 1))
	is.Equal(err, io.EOF)
}

// Neither a TLS session nor an HTTP/2 connection that was made with the certificate
// is used where that is not to be shown.
func TestForeignServersShareNoConnection(t *testing.T) {
	is := is.New(t)
	to := func(s Server) *roundTrip {
		req, err := http.NewRequestWithContext(WithServer(t.Context(), s), "GET", "https://example.com/", nil)
		is.NoErr(err)
		config := &tls.Config{Certificates: make([]tls.Certificate, 1), ClientSessionCache: tls.NewLRUClientSessionCache(1)}
		return &roundTrip{Transport: New(Config{TLS: config}), req: req}
	}
	own, foreign := to(Server{}), to(Server{Foreign: true})
	is.True(own.origin() != foreign.origin())
	is.True(own.serverTLS(nil).ClientSessionCache != nil)
	is.Equal(len(own.serverTLS(nil).Certificates), 1)
	is.Equal(foreign.serverTLS(nil).ClientSessionCache, nil)
	is.Equal(len(foreign.serverTLS(nil).Certificates), 0)
	is.Equal(len(foreign.TLS.Certificates), 1) // the user's stays as it is
}
