package reqws

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/reqws/reqws/internal/failure"
	"github.com/reqws/reqws/internal/host"
)

// redacted returns what [Response].Request keeps of a request, with credentials
// taken out. It lives as long as the connection does, so it holds no more than
// that.
func (p *subprotocols) redacted(req *http.Request) *http.Request {
	u := &url.URL{
		Scheme:     req.URL.Scheme,
		Host:       req.URL.Host,
		Path:       req.URL.Path,
		RawPath:    req.URL.RawPath,
		ForceQuery: req.URL.ForceQuery,
		RawQuery:   redactedQuery(req.URL.RawQuery),
	}
	return &http.Request{
		Method:     req.Method,
		URL:        u,
		Proto:      req.Proto,
		ProtoMajor: req.ProtoMajor,
		ProtoMinor: req.ProtoMinor,
		Header:     p.redactedHeader(req.Header),
		Host:       req.Host,
	}
}

// redactedHeader copies h without the key of the handshake, into as little
// memory as holds it.
func (p *subprotocols) redactedHeader(h http.Header) http.Header {
	n := 0
	for _, values := range h {
		n += len(values)
	}
	all := make([]string, 0, n)
	out := make(http.Header, len(h))
	for name, values := range h {
		if isKey(name) {
			continue
		}
		start, secret := len(all), isSecretName(name)
		for _, v := range values {
			all = append(all, p.redactedValue(name, secret, v))
		}
		out[name] = all[start:len(all):len(all)]
	}
	return out
}

// isKey tells the header that says nothing once the handshake is over.
func isKey(name string) bool { return strings.EqualFold(name, "Sec-WebSocket-Key") }

func (p *subprotocols) redactedValue(name string, secret bool, v string) string {
	switch {
	case secret:
		return failure.Hidden
	case strings.EqualFold(name, protocolHeader):
		return p.shown(v)
	}
	return v
}

// redactedQuery takes the values of secret parameters out of a query, and leaves
// the rest as it is.
func redactedQuery(raw string) string {
	if raw == "" {
		return ""
	}
	pairs := strings.Split(raw, "&")
	for i, pair := range pairs {
		name, _, hasValue := strings.Cut(pair, "=")
		decoded, err := url.QueryUnescape(name)
		if err != nil {
			decoded = name
		}
		if hasValue && isSecretName(decoded) {
			pairs[i] = name + "=" + failure.Hidden
		}
	}
	return strings.Join(pairs, "&")
}

// What the names of credentials are made of, at clouds, APIs and exchanges.
var (
	// Wherever they stand.
	secretParts = []string{
		"authorization", "authentication", "cookie", "token", "secret", "password", "passwd", "passphrase", "passcode",
		"credential", "signature", "apikey", "accesskey", "privatekey", "authkey", "authcode", "connectionstring",
		"session", "bearer", "jwt", "hmac", "oidcdata",
	}
	// At the end of a word: of Ocp-Apim-Subscription-Key, listenKey and X-BAPI-SIGN-TYPE.
	secretEnds = []string{"key", "keys", "sign", "sig", "auth", "pass", "pwd", "psk", "otp", "dsn", "ticket", "assertion", "creds"}
	// As the whole name.
	secretNames = []string{
		"code", "sid", "pin", "pw", "cred", "hash", "dpop", "samlresponse",
		"header",         // AppSync's headers, in the query
		"cst",            // IG's and Capital.com's session
		"btseapi",        // BTSE
		"xapplication",   // Betfair
		"xhoneycombteam", // Honeycomb
	}
)

// isSecretName tells from the name of a header or parameter that its value is a
// credential, or may be one: it errs on that side.
func isSecretName(name string) bool {
	switch name {
	case "User-Agent", "Origin", "Host", "Accept", "Accept-Language", "Accept-Encoding", "Cache-Control", "Pragma", protocolHeader:
		return false // as what follows says, too
	}
	words := nameWords(name)
	for _, word := range words {
		word = strings.TrimRight(word, "0123456789")
		if slices.ContainsFunc(secretEnds, func(end string) bool { return strings.HasSuffix(word, end) }) {
			return true
		}
	}
	whole := strings.Join(words, "")
	return slices.Contains(secretNames, whole) ||
		slices.ContainsFunc(secretParts, func(part string) bool { return strings.Contains(whole, part) })
}

// nameWords takes a name apart at all that is neither letter nor digit, and where a
// capital follows a small letter. The words are in lower case.
func nameWords(name string) []string {
	var spaced strings.Builder
	var last rune
	for _, r := range name {
		if unicode.IsUpper(r) && unicode.IsLower(last) {
			spaced.WriteByte(' ')
		}
		spaced.WriteRune(unicode.ToLower(r))
		last = r
	}
	return strings.FieldsFunc(spaced.String(), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
}

// Format writes the Request for people with any verb: its URL template, and no
// credential that it has.
func (r Request) Format(f fmt.State, verb rune) { failure.Format(f, verb, r.describe()) }

// LogValue is what log/slog shows of a Request.
func (r Request) LogValue() slog.Value { return slog.StringValue(r.describe()) }

func (r Request) describe() string {
	if r.c == nil {
		return "reqws.Request{}"
	}
	return "reqws.Request{" + shownTemplate(r.c.target.url) + "}"
}

// schemeAlone matches what begins a URL that lacks its slashes, or a user and a
// password in front of a host.
var schemeAlone = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*:`)

// shownTemplate writes what the option [URL] was given, without what may be secret:
// nothing of what is no URL, since it may be a password that makes it none.
func shownTemplate(raw string) string {
	const invalid = "invalid URL"
	ref := splitURL("URL", raw)
	if strings.ContainsFunc(raw, unicode.IsControl) || ref.authority == "" && schemeAlone.MatchString(ref.path) {
		return invalid
	}
	u, err := url.Parse(ref.authority)
	if err != nil || ref.authority != "" && (u.Hostname() == "" || host.Ports[u.Scheme] == "") || ref.fragment != "" && isWebSocket(u) {
		return invalid
	}
	behind := raw[len(ref.authority)+len(ref.path):]
	switch {
	case raw == "":
		return failure.SafeURL(nil)
	case u.User == nil && failure.IsCutOff(ref.path, behind):
		return failure.SafeURL(&url.URL{Scheme: u.Scheme, Host: u.Host, Path: ref.path, RawQuery: behind})
	case ref.authority == "":
		return ref.path
	}
	return u.Scheme + "://" + u.Host + ref.path
}

// Format writes the Response for people with any verb: status, protocol and URL,
// none of the headers and bytes.
func (r Response) Format(f fmt.State, verb rune) { failure.Format(f, verb, r.describe()) }

// LogValue is what log/slog shows of a Response.
func (r Response) LogValue() slog.Value { return slog.StringValue(r.describe()) }

func (r Response) describe() string {
	var u *url.URL
	if r.Request != nil {
		u = r.Request.URL
	}
	return fmt.Sprintf("reqws.Response{%s %d %s, %s}", r.Proto, r.StatusCode, http.StatusText(r.StatusCode), failure.SafeURL(u))
}

// Format writes a SigV4 without its keys, with any verb.
func (s SigV4) Format(f fmt.State, verb rune) { failure.Format(f, verb, s.describe()) }

// LogValue is what log/slog shows of a SigV4: no keys.
func (s SigV4) LogValue() slog.Value { return slog.StringValue(s.describe()) }

func (s SigV4) describe() string {
	return fmt.Sprintf("reqws.SigV4{Service: %s, Region: %s, Presign: %v, keys %s}", s.Service, s.Region, s.Presign, failure.Hidden)
}
