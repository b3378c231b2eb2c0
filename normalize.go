package reqws

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/reqws/reqws/internal/host"
)

// normalize checks an absolute URL and brings it into the form that is sent: the
// host in ASCII and without a default port, a path, nothing unescaped that a
// request line may not hold, no fragment.
func normalize(u *url.URL) error {
	port, known := host.Ports[u.Scheme]
	if !known {
		return fmt.Errorf("its scheme is %q, not ws, wss, http or https", u.Scheme)
	}
	if u.Hostname() == "" {
		return errors.New("it has no host")
	}
	if p := u.Port(); p != "" {
		if _, err := strconv.ParseUint(p, 10, 16); err != nil {
			return errors.New("its port is above 65535")
		}
	}
	name, err := host.ASCII(u.Hostname())
	if err != nil {
		return err
	}
	if strings.Contains(u.Host, "[") || strings.Contains(name, ":") {
		if ip, err := netip.ParseAddr(name); err != nil || !ip.Is6() || u.Host[0] != '[' {
			return errors.New("its host is no IPv6 address in brackets")
		}
	}
	u.Host = withoutPort(host.Join(name, u.Port()), port)
	u.Opaque, u.Fragment, u.RawFragment = "", "", ""
	normalizePath(u)
	u.RawQuery = escapeBytes(u.RawQuery, inQuery)
	return nil
}

// normalizePath makes the path one that net/url sends as it is written. Where
// it is not, because of one character that needs escaping, EscapedPath would
// write it anew from the decoded form and turn each %2F into a slash.
func normalizePath(u *url.URL) {
	if u.Path == "" {
		u.Path = "/"
	}
	written := escapeBytes(cmp.Or(u.RawPath, u.EscapedPath()), inPath)
	if u.EscapedPath() != written {
		u.RawPath = written
	}
}

// withoutPort takes port, or an empty one, off the end of a host.
func withoutPort(host, port string) string {
	return strings.TrimSuffix(strings.TrimSuffix(host, ":"+port), ":")
}

func cloneURL(u *url.URL) *url.URL {
	c := *u
	return &c
}

func isWebSocket(u *url.URL) bool { return u.Scheme == "ws" || u.Scheme == "wss" }

// asHTTP is a scheme as HTTP knows it; all but ws and wss stay as they are.
func asHTTP(scheme string) string {
	return cmp.Or(map[string]string{"ws": "http", "wss": "https"}[scheme], scheme)
}

// asWebSocket is the other way round.
func asWebSocket(scheme string) string {
	return cmp.Or(map[string]string{"http": "ws", "https": "wss"}[scheme], scheme)
}

// escapeBytes percent-encodes the bytes that allowed does not take.
func escapeBytes(s string, allowed func(byte) bool) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; allowed(c) {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// isUnreserved tells the characters of RFC 3986, section 2.3.
func isUnreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0
}

// inPath tells what a path may hold (RFC 3986, section 3.3), escapes included.
func inPath(c byte) bool { return isUnreserved(c) || strings.IndexByte("!$&'()*+,;=:@/%", c) >= 0 }

// inQuery tells what goes into a query as it is. It is more than RFC 3986 has,
// since servers meet the rest from browsers; what ends a request line is not in it.
func inQuery(c byte) bool { return '!' <= c && c <= '~' && strings.IndexByte(`"<>`, c) < 0 }
