package reqws

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/reqws/reqws/internal/host"
)

// headerConfig is what the options come to that set headers.
type headerConfig struct {
	fields    http.Header
	protocols subprotocols
}

// Header sets one header of the request. An underscore in name is sent as a
// hyphen (user_agent is User-Agent). The value is written as [Params] writes one, but
// for a time.Time, which becomes an HTTP date (RFC 9110, section 5.6.7): a slice gives
// several fields of that name, nil none at all. Refused are a name that is no
// token, a value with CR, LF, NUL or another control character, and the headers
// that the handshake itself writes: Connection, Upgrade, Content-Length,
// Transfer-Encoding, and those of Sec-WebSocket but for Sec-WebSocket-Protocol, for
// which [Subprotocols] counts where it is given. The name Host sets the request's
// Host.
//
// Given again, also by [Headers] and in another case, the later one stands; with nil
// it takes the header back. On a redirect to another origin few headers are sent, and
// Host is not: see [RedirectTrusted].
func Header(name string, value any) Option {
	name = http.CanonicalHeaderKey(strings.ReplaceAll(name, "_", "-"))
	values, err := headerValues(value)
	return fallible(headerOption(name), func(c *config) error {
		if err != nil {
			return err
		}
		if err := checkHeader(name, values); err != nil {
			return err
		}
		c.setHeader(name, values)
		return nil
	})
}

// Headers sets each header in h, with its name as it is written there: steps find
// it under its canonical name, the server gets it in that spelling. (Over HTTP/2 all
// names are in lower case, and User-Agent and a few others that net/http itself looks
// for are always written so.) The map is copied. Two spellings of one name are an
// error. See [Header] for what else is refused.
func Headers(h http.Header) Option {
	h = h.Clone()
	return fallible("Headers", func(c *config) error {
		if err := checkHeaders(h); err != nil {
			return err
		}
		for name, values := range h {
			c.setHeader(name, values)
		}
		return nil
	})
}

// setHeader replaces a header whatever the case its name was given in before.
func (c *config) setHeader(name string, values []string) {
	if c.header.fields == nil {
		c.header.fields = make(http.Header)
	}
	replaceHeader(c.header.fields, name, values)
	delete(c.errs, headerOption(http.CanonicalHeaderKey(name)))
}

// userAgent is sent where the user gives none.
const userAgent = "reqws"

// complete puts the user's headers on each hop, under their
// canonical names: steps and net/http look for them there. The spelling that the
// user gave them comes last, see [keepSpelling].
func (c *headerConfig) complete(req *http.Request, body *requestBody, hostname string) error {
	h := hopOf(req.Context())
	req.Header = headerCopy(req.Header, len(c.fields)+1)
	if err := body.set(req, h); err != nil {
		return fail("request", req.URL, err)
	}
	c.set(req.Header)
	setHost(req, h, hostname)
	if h.bodiless {
		maps.DeleteFunc(req.Header, func(name string, _ []string) bool { return isOfBody(name) })
	}
	if h.foreign {
		maps.DeleteFunc(req.Header, func(name string, _ []string) bool { return !mayCrossOrigins(name) })
	}
	c.protocols.offer(req, h)
	noteAttempt(req)
	return nil
}

// headerCopy copies a header, with room for more.
func headerCopy(h http.Header, more int) http.Header {
	c := make(http.Header, len(h)+more)
	for name, values := range h {
		c[name] = slices.Clone(values)
	}
	return c
}

// set puts what the options say into a header that belongs to one hop. The values, which steps may
// change, are copies that lie side by side.
func (c *headerConfig) set(h http.Header) {
	n := 1
	for _, values := range c.fields {
		n += len(values)
	}
	copies := make([]string, 0, n)
	set := func(name string, values ...string) {
		start := len(copies)
		copies = append(copies, values...)
		h[name] = copies[start:len(copies):len(copies)]
	}
	if _, given := h["User-Agent"]; !given {
		set("User-Agent", userAgent)
	}
	for name, values := range c.fields {
		set(http.CanonicalHeaderKey(name), values...)
	}
}

// setHost sets the Host that the user has given a name of, which holds for the
// first origin alone.
func setHost(req *http.Request, h *hop, hostname string) {
	given := req.Header["Host"]
	delete(req.Header, "Host")
	switch {
	case h.crossOrigin:
		req.Host = ""
	case len(given) > 0:
		req.Host = given[0]
	case hostname != "" && req.Host == "":
		req.Host = host.Join(host.Unbracketed(hostname), req.URL.Port())
	}
}

// isOfBody tells the headers that describe a request's body (RFC 9110, section
// 15.4): without one they say something wrong.
func isOfBody(name string) bool {
	name = http.CanonicalHeaderKey(name)
	return strings.HasPrefix(name, "Content-") || slices.Contains([]string{"Digest", "Expect", "Repr-Digest", "Trailer"}, name)
}

// mayCrossOrigins tells the headers that another origin may see, too: they tell what
// the client can do and wants, not who the user is. The comment of
// [RedirectTrusted] lists them.
func mayCrossOrigins(name string) bool {
	return slices.Contains([]string{
		"Accept", "Accept-Charset", "Accept-Encoding", "Accept-Language", "Cache-Control",
		"Content-Encoding", "Content-Language", "Content-Type", "Origin", "Pragma", "Sec-Websocket-Protocol", "User-Agent",
	}, http.CanonicalHeaderKey(name))
}

// keepSpelling is the step that gives headers the spelling that [Headers] has, for
// servers to which that matters. What another step has put in place of the user's value
// keeps the canonical name, and so do those that net/http looks for itself, since it
// would send a value of its own besides.
func keepSpelling(fields http.Header, next http.RoundTripper) http.RoundTripper {
	var spelled []string
	for written := range fields {
		if name := http.CanonicalHeaderKey(written); name != written && !keepsCanonicalName(name) {
			spelled = append(spelled, written)
		}
	}
	if len(spelled) == 0 {
		return next
	}
	return RoundTripFunc(func(req *http.Request) (*http.Response, error) {
		req = req.Clone(req.Context())
		for _, written := range spelled {
			name := http.CanonicalHeaderKey(written)
			if values := req.Header[name]; values != nil && slices.Equal(values, fields[written]) {
				delete(req.Header, name)
				req.Header[written] = values
			}
		}
		return next.RoundTrip(req)
	})
}

func keepsCanonicalName(name string) bool {
	return strings.HasPrefix(name, "Sec-Websocket-") || slices.Contains(readByNetHTTP, name)
}

var readByNetHTTP = []string{"Accept-Encoding", "Expect", "Host", "Proxy-Authorization", "Range", "Trailer", "User-Agent"}

// replaceHeader sets a header under the name as it is written, in place of any
// that differs from it in case only. It copies values.
func replaceHeader(h http.Header, name string, values []string) {
	deleteHeader(h, name)
	h[name] = slices.Clone(values)
}

func deleteHeader(h http.Header, name string) {
	for have := range h {
		if strings.EqualFold(have, name) {
			delete(h, have)
		}
	}
}

// headerValues makes the fields of a header from what [Header] takes.
func headerValues(v any) ([]string, error) {
	fields, err := textsOf(v, httpDate)
	if err != nil {
		return nil, fmt.Errorf("its value is %w", err)
	}
	return fields, nil
}

// ownHeaders are written by the handshake itself. Another value for one of them
// would break the handshake or the framing of the request.
var ownHeaders = []string{
	"Connection", "Upgrade", "Content-Length", "Transfer-Encoding",
	"Sec-Websocket-Key", "Sec-Websocket-Version", "Sec-Websocket-Extensions", "Sec-Websocket-Accept",
}

// headerOption is what errors call a [Header] option. A name that holds a colon is
// most often a whole line: what is behind that may be a credential.
func headerOption(name string) string { return "Header(" + shownName(name) + ")" }

func shownName(name string) string {
	if field, value, ok := strings.Cut(name, ":"); ok && value != "" {
		return field + ":…"
	}
	return name
}

// checkHeader says what is wrong with a header. It quotes no value: it may be a
// credential.
func checkHeader(name string, values []string) error {
	if !isToken(name) {
		return fmt.Errorf("%q is no header name", shownName(name))
	}
	if slices.Contains(ownHeaders, http.CanonicalHeaderKey(name)) {
		return fmt.Errorf("%s is a header of the handshake itself", name)
	}
	for _, v := range values {
		if err := checkHeaderValue(v); err != nil {
			return fmt.Errorf("the value of %s %w", name, err)
		}
	}
	if strings.EqualFold(name, "Host") && len(values) > 0 {
		if len(values) > 1 {
			return errors.New("a request has one Host")
		}
		return checkHost(values[0])
	}
	return nil
}

// checkHost says what is wrong with the Host of a request: net/http would send an
// empty one in its place.
func checkHost(host string) error {
	ascii, err := httpguts.PunycodeHostPort(host)
	if err != nil || !httpguts.ValidHostHeader(ascii) {
		return errors.New("the Host is no host with or without a port")
	}
	return nil
}

// checkHeaders is checkHeader for each one of a map, which has no order to say
// which of two spellings of a name stands.
func checkHeaders(h http.Header) error {
	seen := make(map[string]string, len(h))
	for _, name := range slices.Sorted(maps.Keys(h)) {
		if err := checkHeader(name, h[name]); err != nil {
			return err
		}
		canonical := http.CanonicalHeaderKey(name)
		if other, ok := seen[canonical]; ok {
			return fmt.Errorf("%s and %s are the same header", other, name)
		}
		seen[canonical] = name
	}
	return nil
}

func checkHeaderValue(v string) error {
	if !httpguts.ValidHeaderFieldValue(v) {
		return errors.New("has a line break or another control character")
	}
	return nil
}

// checkSent says what is wrong with a request as steps have left it: net/http would
// leave out or change some of it without a word.
func checkSent(req *http.Request) error {
	for name, values := range req.Header {
		if !isToken(name) {
			return errors.New("a step has set a header whose name is none")
		}
		for _, v := range values {
			if err := checkHeaderValue(v); err != nil {
				return fmt.Errorf("the value of %s %w", name, err)
			}
		}
	}
	return checkHost(req.Host)
}

// isToken tells a token of RFC 9110, section 5.6.2.
func isToken(s string) bool { return httpguts.ValidHeaderFieldName(s) }
