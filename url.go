package reqws

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
)

// targetConfig is what the options come to that say where to.
type targetConfig struct {
	url         string
	baseURL     func() string
	params      map[string][]string
	extraParams []param
	pathParams  map[string]string
	pathStyle   PathStyle
	webSocket   bool // an http URL means one, too
	last        *atomic.Pointer[destination]
}

// URL sets what to connect to: ws or wss for a WebSocket, http or https for a
// plain HTTP request. It may be relative where [BaseURL] gives the rest, and its
// path may hold parameters for [PathParams]. Userinfo in it becomes Basic
// credentials, unless [Auth] or an Authorization header is given, and is never sent
// as part of the URL. A fragment, here or in BaseURL, is an error with ws and wss (RFC
// 6455, section 3), and left off with http and https.
func URL(u string) Option {
	return option("URL", func(c *config) { c.target.url = u })
}

// BaseURL sets what a relative [URL] is joined to, with exactly one slash
// between their paths; the query of the base comes before that of the URL. An
// absolute URL ignores it.
func BaseURL(u string) Option {
	return option("BaseURL", func(c *config) { c.target.baseURL = func() string { return u } })
}

// BaseURLFunc is [BaseURL] with a function that is asked on every attempt,
// from the goroutine that connects.
func BaseURLFunc(f func() string) Option {
	return checked("BaseURLFunc", f, notNilFunc, func(c *config, f func() string) { c.target.baseURL = f }).inPlaceOf("BaseURL")
}

// complete gives the request its URL: base, path parameters and parameters put
// together, anew on each attempt. A redirect has its URL already.
func (t *targetConfig) complete(req *http.Request, method string) error {
	h := hopOf(req.Context())
	if h.n > 0 {
		return nil
	}
	d, err := t.destination()
	if err != nil {
		return fail("url", nil, err) // what looks like host or port may be a password
	}
	h.user, h.url, h.origin, h.method, h.sent = d.user, d.url, d.url, method, *d.url
	if isWebSocket(d.url) {
		h.method = http.MethodGet
	}
	req.URL, req.Method, req.Pattern = &h.sent, h.method, d.pattern
	return nil
}

// destination is what a targetConfig comes to. It is not changed.
type destination struct {
	relative  bool   // URL is,
	base      string // to this
	webSocket bool
	url       *url.URL // without userinfo
	user      *url.Userinfo
	pattern   string
}

// destination puts the URL together, or returns what that came to before.
func (t *targetConfig) destination() (*destination, error) {
	d := t.last.Load()
	relative, base := d != nil && d.relative || d == nil && !absoluteURL.MatchString(t.url), ""
	if relative && t.baseURL != nil {
		base = t.baseURL()
	}
	if d != nil && d.base == base && d.webSocket == t.webSocket {
		return d, nil
	}
	u, pattern, err := t.resolve(base)
	if err != nil {
		return nil, err
	}
	d = &destination{relative: relative, base: base, webSocket: t.webSocket, url: u, user: u.User, pattern: pattern}
	u.User = nil
	t.last.Store(d)
	return d, nil
}

// mayHaveUser reports whether there may be userinfo in the URL.
func (t *targetConfig) mayHaveUser() bool { return t.baseURL != nil || strings.Contains(t.url, "@") }

// resolve puts the URL together from the options, with base for that of BaseURL. The pattern is its path before
// the path parameters stood in it.
func (t *targetConfig) resolve(base string) (u *url.URL, pattern string, err error) {
	ref, err := t.reference(base)
	if err != nil {
		return nil, "", err
	}
	path, err := t.expand(ref.path)
	if err != nil {
		return nil, "", err
	}
	u, err = url.Parse(ref.authority + path)
	if err != nil {
		return nil, "", fmt.Errorf("option URL: %w", parseError(err))
	}
	u.RawQuery = joinQuery(ref.query, t.query())
	if t.webSocket {
		u.Scheme = asWebSocket(u.Scheme)
	}
	if err := normalize(u); err != nil {
		return u, "", fmt.Errorf("option %s: %w", ref.from, err)
	}
	if ref.fragment != "" && isWebSocket(u) {
		// RFC 6455, section 3. Most often it is a # that lacks its escape, and
		// leaving off all that follows would connect to another resource.
		return u, "", fmt.Errorf("option %s: a WebSocket URL has no fragment; a # in it is written %%23", ref.fragment)
	}
	return u, cmp.Or(ref.path, "/"), nil
}

// shown is the URL that the options come to, for errors; nil if they come to none.
func (t *targetConfig) shown() *url.URL {
	d, err := t.destination()
	if err != nil {
		return nil
	}
	return d.url
}

// reference is a URL as it is written, taken apart: url.Parse would not take a
// path that begins with :name.
type reference struct {
	from      string // the option that gave the authority
	authority string // scheme://authority, or nothing where it is relative
	path      string
	query     string
	fragment  string // the option with one in it; what it says is never sent
}

// absoluteURL matches what begins an absolute URL, up to its path.
var absoluteURL = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*`)

func splitURL(option, raw string) reference {
	ref := reference{from: option, authority: absoluteURL.FindString(raw)}
	raw, _, hasFragment := strings.Cut(raw[len(ref.authority):], "#")
	if hasFragment {
		ref.fragment = option
	}
	ref.path, ref.query, _ = strings.Cut(raw, "?")
	return ref
}

// reference joins URL to BaseURL.
func (t *targetConfig) reference(base string) (reference, error) {
	ref := splitURL("URL", t.url)
	if ref.authority != "" {
		return ref, nil
	}
	switch {
	case base == "" && t.url == "":
		return ref, errors.New("option URL: it is missing")
	case base == "":
		return ref, errors.New("option URL: it has no scheme and host, and there is no BaseURL")
	}
	b := splitURL("BaseURL", base)
	if b.authority == "" {
		return ref, errors.New("option BaseURL: it has no scheme and host")
	}
	if _, err := url.Parse(b.authority + b.path); err != nil {
		return ref, fmt.Errorf("option BaseURL: %w", parseError(err))
	}
	ref.from, ref.authority = b.from, b.authority
	ref.fragment = cmp.Or(b.fragment, ref.fragment)
	ref.query = joinQuery(b.query, ref.query)
	if ref.path == "" {
		ref.path = b.path
	} else {
		ref.path = strings.TrimRight(b.path, "/") + "/" + strings.TrimLeft(ref.path, "/")
	}
	return ref, nil
}

func joinQuery(a, b string) string {
	if a == "" || b == "" || strings.HasSuffix(a, "&") {
		return a + b
	}
	return a + "&" + b
}

// parseError says what is wrong with a URL without quoting any of it, as the
// errors of url.Parse do: what looks like a port may be a password.
func parseError(err error) error {
	var escape url.EscapeError
	var host url.InvalidHostError
	switch {
	case errors.As(err, &escape):
		return errors.New("it has a percent-encoding that is not valid")
	case errors.As(err, &host):
		return errors.New("its host has a character that no host may have")
	}
	return errors.New("it cannot be parsed")
}
