package reqws

import (
	"bufio"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/matryer/is"
)

func TestOrigin(t *testing.T) {
	is := is.New(t)
	of := func(s string) string {
		u, err := url.Parse(s)
		is.NoErr(err)
		return origin(u)
	}
	is.Equal(of("ws://Example.com/a"), of("http://example.com:80/b"))
	is.Equal(of("wss://[::1]/a"), of("https://[::1]:443"))
	for _, other := range []string{"wss://example.com", "ws://example.com:81", "ws://example.org", "ws://www.example.com"} {
		is.True(of(other) != of("ws://example.com"))
	}
}

// A user's own Transport may answer with a Location that no server could send.
func TestResolveLocation(t *testing.T) {
	is := is.New(t)
	h := &hop{url: &url.URL{Scheme: "wss", Host: "example.com", Path: "/a/x"}}
	h.origin = h.url
	for location, want := range map[string]string{
		"/a\r\nX: y":   "wss://example.com/a%0D%0AX:%20y",
		"/a?\x00\r\n1": "wss://example.com/a?%00%0D%0A1",
		" \t/b\n":      "wss://example.com/b",
		"#\n":          "wss://example.com/a/x",
		"":             "wss://example.com/a/x",
	} {
		u, err := h.resolve(location)
		is.NoErr(err)
		is.Equal(u.String(), want)
	}
}

// clean matches a Location that has nothing to escape, no userinfo and no port.
var clean = regexp.MustCompile(`^(https?://[a-z.]+|wss?://[a-z.]+|//[a-z.]+)?[/?][A-Za-z0-9._~/?&=-]*$`)

// FuzzLocation resolves what a server may name as the next place. What is followed
// is a request line and a Host that cannot break out of theirs, and reads back as it is.
func FuzzLocation(f *testing.F) {
	for _, s := range []string{"/off/100%", "?x=100%", "//u:100%@h/%zz", "12:30/../b#c", "http://[::1%25eth0]:80/\xe9\\", "///x", "https:x", "\t/a\r\n b?%", "//other.example/a/../b/./c?x=/../", "wss://a.b/?", "?q=1", "//user:password-that-is-long@exa mple/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, location string) {
		for _, base := range []string{"ws://example.com/a/x?q", "https://bücher.example:8443/%2F/"} {
			from, err := url.Parse(base)
			if err != nil || normalize(from) != nil {
				t.Fatal(err)
			}
			h := &hop{url: from, origin: from}
			u, err := h.resolve(location)
			if err != nil {
				if len(location) > 20 && strings.Contains(err.Error(), location) {
					t.Fatalf("%v quotes %q", err, location)
				}
				continue
			}
			if clean.MatchString(location) { // which browsers and net/url read alike
				if ref, err := url.Parse(location); err == nil {
					want := from.ResolveReference(ref)
					if u.RequestURI() != want.RequestURI() || !strings.EqualFold(u.Hostname(), want.Hostname()) {
						t.Fatalf("%q leads to %q, and with net/url to %q", location, u, want)
					}
				}
			}
			if isWebSocket(u) != isWebSocket(from) || u.User != nil || u.Fragment != "" || u.Hostname() == "" {
				t.Fatalf("%q leads to %q", location, u)
			}
			read, err := http.ReadRequest(bufio.NewReader(strings.NewReader("GET " + u.RequestURI() + " HTTP/1.1\r\nHost: " + u.Host + "\r\n\r\n")))
			if err != nil {
				t.Fatalf("%q: GET %q with Host %q: %v", location, u.RequestURI(), u.Host, err)
			}
			if read.RequestURI != u.RequestURI() || read.Host != u.Host {
				t.Fatalf("%q: %q with Host %q arrives as %q with %q", location, u.RequestURI(), u.Host, read.RequestURI, read.Host)
			}
			again, err := h.resolve(u.String())
			if err != nil || again.String() != u.String() {
				t.Fatalf("%q leads to %q, and that to %q, %v", location, u, again, err)
			}
		}
	})
}
