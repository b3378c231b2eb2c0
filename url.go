package reqws

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/reqws/reqws/internal/host"
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
}

// param is one name of the query, with its values as text.
type param struct {
	name   string
	values []string
}

// PathStyle says how path parameters are written in the URL's path.
type PathStyle uint8

const (
	Colon PathStyle = iota // :name, the default
	Curly                  // {name}
)

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

// Params sets the parameters that are appended to the URL's query, in the order
// of their names. Given twice it holds name by name: a later value stands in place of
// an earlier one, and nil takes one back.
//
// Values are written when the option is made. A slice or array gives its name
// several times, without those of its items that are nil. A pointer counts as what it
// points to. A time.Time is written in RFC 3339. A []byte, and a type made of it such
// as json.RawMessage, is the text it holds. A float is a plain decimal without
// exponent. A fmt.Stringer, an error, a string, a number and a bool are as fmt.Sprint
// writes them. Anything else (maps, functions, channels, other structs, slices of
// slices) is refused.
func Params(p map[string]any) Option {
	var opts []Option
	for _, name := range slices.Sorted(maps.Keys(p)) {
		one, err := queryParam(name, p[name])
		opts = append(opts, fallible("Params("+name+")", func(c *config) error {
			if err == nil {
				c.target.setParam(one)
			}
			return err
		}))
	}
	return Options(opts...)
}

// Param adds one parameter to the query, behind those of [Params], with its value
// written as there. It adds to what earlier Param options gave, also under the same
// name.
func Param(name string, value any) Option {
	p, err := queryParam(name, value)
	return fallible("Param("+name+")", func(c *config) error {
		if err == nil {
			c.target.extraParams = append(c.target.extraParams, p)
		}
		return err
	}).adding()
}

// PathParams sets what stands for :name (or {name}, see [PathParamsStyle]) in
// the path of the [URL]. Names match [A-Za-z]\w*. A value is written as [Params]
// writes one, and percent-encoded but for unreserved characters (RFC 3986, section
// 2.3), so that a slash in it stays one path segment. Values that would make a
// segment "." or ".." are an error of the execution, since no encoding keeps a
// server from going up the path for them. Names in the path that p does not hold
// are left as they are; but where p also holds a name that the path does not have, one
// is taken for the other, misspelt, and the execution fails. nil and slices are
// refused. Given twice, the later option stands as a whole.
func PathParams(p map[string]any) Option {
	params, err := pathParams(p)
	return fallible("PathParams", func(c *config) error {
		if err == nil {
			c.target.pathParams = params
		}
		return err
	})
}

// PathParamsStyle says how path parameters are written: [Colon], the default,
// or [Curly].
func PathParamsStyle(s PathStyle) Option {
	return checked("PathParamsStyle", s, func(s PathStyle) error {
		if s > Curly {
			return fmt.Errorf("unknown style %d", s)
		}
		return nil
	}, func(c *config, s PathStyle) { c.target.pathStyle = s })
}

// resolveURL is the step that gives the request its URL: base, path parameters
// and parameters put together, anew on each attempt. A redirect has its URL
// already.
func resolveURL(t *targetConfig, method string) Step {
	return func(next http.RoundTripper) http.RoundTripper {
		return RoundTripFunc(func(req *http.Request) (*http.Response, error) {
			h := hopOf(req.Context())
			if h.n > 0 {
				return next.RoundTrip(req)
			}
			u, pattern, err := t.resolve()
			if err != nil {
				return nil, fail("url", nil, err) // what looks like host or port may be a password
			}
			h.user, u.User = u.User, nil
			h.url, h.origin, h.method = u, u, method
			if isWebSocket(u) {
				h.method = http.MethodGet
			}
			req = req.WithContext(req.Context())
			req.URL, req.Method, req.Pattern = cloneURL(u), h.method, pattern
			return next.RoundTrip(req)
		})
	}
}

// resolve puts the URL together from the options. The pattern is its path before
// the path parameters stood in it.
func (t *targetConfig) resolve() (u *url.URL, pattern string, err error) {
	ref, err := t.reference()
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

// destination is the URL that the options come to, nil if they come to none.
func (t *targetConfig) destination() *url.URL {
	u, _, err := t.resolve()
	if err != nil {
		return nil
	}
	return u
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
func (t *targetConfig) reference() (reference, error) {
	ref := splitURL("URL", t.url)
	if ref.authority != "" {
		return ref, nil
	}
	var base string
	if t.baseURL != nil {
		base = t.baseURL()
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

// normalize checks an absolute URL and brings it into the form that is sent: the
// host in ASCII and without a default port, a path, nothing unescaped that a
// request line may not hold, no fragment.
func normalize(u *url.URL) error {
	port, known := defaultPorts[u.Scheme]
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

var defaultPorts = map[string]string{"ws": "80", "http": "80", "wss": "443", "https": "443"}

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

// Path parameters

var (
	paramName  = regexp.MustCompile(`^[A-Za-z]\w*$`)
	colonParam = regexp.MustCompile(`:[A-Za-z]\w*`)
	curlyParam = regexp.MustCompile(`\{[A-Za-z]\w*\}`)
)

// expand puts the path parameters into the template.
func (t *targetConfig) expand(template string) (string, error) {
	if len(t.pathParams) == 0 {
		return template, nil
	}
	pattern := colonParam
	if t.pathStyle == Curly {
		pattern = curlyParam
	}
	unused := maps.Clone(t.pathParams)
	var unfilled []string
	segments := strings.Split(template, "/")
	for i, segment := range segments {
		expanded := pattern.ReplaceAllStringFunc(segment, func(m string) string {
			name := strings.Trim(m, ":{}")
			value, ok := t.pathParams[name]
			if !ok {
				unfilled = append(unfilled, m)
				return m
			}
			delete(unused, name)
			return escapeBytes(value, isUnreserved)
		})
		if expanded != segment && isDotSegment(expanded) {
			// No escape keeps "." and ".." from being taken for a path up the
			// tree: %2E is the same character to any server (RFC 3986, section 6.2.2.2).
			return "", fmt.Errorf("option PathParams: the values of %s make the path segment %q", segment, expanded)
		}
		segments[i] = expanded
	}
	if len(unused) > 0 && len(unfilled) > 0 { // most often one is the other, misspelt
		return "", fmt.Errorf("option PathParams: the path does not use %s, and has no value for %s",
			strings.Join(slices.Sorted(maps.Keys(unused)), ", "), strings.Join(unfilled, ", "))
	}
	return strings.Join(segments, "/"), nil
}

func isDotSegment(s string) bool {
	s = strings.ReplaceAll(strings.ToLower(s), "%2e", ".")
	return s == "." || s == ".."
}

// pathParams takes in what [PathParams] is given.
func pathParams(p map[string]any) (map[string]string, error) {
	params := make(map[string]string, len(p))
	for _, name := range slices.Sorted(maps.Keys(p)) {
		if !paramName.MatchString(name) {
			return nil, fmt.Errorf("%q is no name: a letter, then letters, digits and underscores", name)
		}
		text, err := textOf(p[name], urlDate)
		if err != nil {
			return nil, fmt.Errorf("%s is %w", name, err)
		}
		params[name] = text
	}
	return params, nil
}

// Parameters of the query

// query writes what Params and Param gave.
func (t *targetConfig) query() string {
	var pairs []string
	add := func(name string, values []string) {
		for _, v := range values {
			pairs = append(pairs, url.QueryEscape(name)+"="+url.QueryEscape(v))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(t.params)) {
		add(name, t.params[name])
	}
	for _, p := range t.extraParams {
		add(p.name, p.values)
	}
	return strings.Join(pairs, "&")
}

// setParam replaces what an earlier Params gave under the name.
func (t *targetConfig) setParam(p param) {
	if t.params == nil {
		t.params = make(map[string][]string)
	}
	t.params[p.name] = p.values
}

func queryParam(name string, v any) (param, error) {
	if name == "" {
		return param{}, errors.New("a name is empty")
	}
	values, err := textsOf(v, urlDate)
	if err != nil {
		return param{}, fmt.Errorf("%s is %w", name, err)
	}
	return param{name, values}, nil
}
