package reqws

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// hiddenValue stands for what is not shown.
const hiddenValue = "REDACTED"

// redacted returns what [Response].Request keeps of a request, with credentials
// taken out. It lives as long as the connection does, so it holds no more than
// that.
func redacted(req *http.Request) *http.Request {
	u := &url.URL{
		Scheme:   req.URL.Scheme,
		Host:     req.URL.Host,
		Path:     req.URL.Path,
		RawPath:  req.URL.RawPath,
		RawQuery: redactedQuery(req.URL.RawQuery),
	}
	return &http.Request{
		Method:     req.Method,
		URL:        u,
		Proto:      req.Proto,
		ProtoMajor: req.ProtoMajor,
		ProtoMinor: req.ProtoMinor,
		Header:     redactedHeader(req.Header),
		Host:       req.Host,
	}
}

// redactedHeader copies h without the key of the handshake, into as little
// memory as holds it.
func redactedHeader(h http.Header) http.Header {
	n := 0
	for _, values := range h {
		n += len(values)
	}
	all := make([]string, 0, n)
	out := make(http.Header, len(h))
	for name, values := range h {
		if strings.EqualFold(name, "Sec-WebSocket-Key") {
			continue
		}
		start := len(all)
		for _, v := range values {
			if isSecretName(name) {
				v = hiddenValue
			}
			all = append(all, v)
		}
		out[name] = all[start:len(all):len(all)]
	}
	return out
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
			pairs[i] = name + "=" + hiddenValue
		}
	}
	return strings.Join(pairs, "&")
}

// isSecretName tells from the name of a header or parameter that its value is a
// credential, or may be one: it errs on that side.
func isSecretName(name string) bool {
	name = strings.ToLower(strings.NewReplacer("-", "", "_", "", ".", "", "[", "", "]", "").Replace(name))
	for _, part := range []string{
		"authorization", "cookie", "token", "secret", "password", "passwd", "passphrase", "credential",
		"signature", "apikey", "accesskey", "privatekey", "authkey", "session", "bearer", "jwt",
	} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return slices.Contains([]string{"key", "sig", "auth", "xauth", "pass", "pwd", "code", "sid", "otp"}, name)
}

// Format writes the Request for people with any verb: its URL template, and no
// credential that it has.
func (r Request) Format(f fmt.State, verb rune) { format(f, verb, r.describe()) }

// LogValue is what log/slog shows of a Request.
func (r Request) LogValue() slog.Value { return slog.StringValue(r.describe()) }

func (r Request) describe() string {
	if r.c == nil {
		return "reqws.Request{}"
	}
	u, err := url.Parse(r.c.url)
	if err != nil {
		return "reqws.Request{invalid URL}"
	}
	return "reqws.Request{" + safeURL(u) + "}"
}

// Format writes the Response for people with any verb: status, protocol and URL,
// none of the headers and bytes.
func (r Response) Format(f fmt.State, verb rune) { format(f, verb, r.describe()) }

// LogValue is what log/slog shows of a Response.
func (r Response) LogValue() slog.Value { return slog.StringValue(r.describe()) }

func (r Response) describe() string {
	var u *url.URL
	if r.Request != nil {
		u = r.Request.URL
	}
	return fmt.Sprintf("reqws.Response{%s %d %s, %s}", r.Proto, r.StatusCode, http.StatusText(r.StatusCode), safeURL(u))
}

// Format writes a SigV4 without its keys, with any verb.
func (s SigV4) Format(f fmt.State, verb rune) { format(f, verb, s.describe()) }

// LogValue is what log/slog shows of a SigV4: no keys.
func (s SigV4) LogValue() slog.Value { return slog.StringValue(s.describe()) }

func (s SigV4) describe() string {
	return fmt.Sprintf("reqws.SigV4{Service: %s, Region: %s, Presign: %v, keys %s}", s.Service, s.Region, s.Presign, hiddenValue)
}

// format writes text for the verb: quoted for %q, else as it is.
func format(f fmt.State, verb rune, text string) {
	if verb == 'q' {
		text = strconv.Quote(text)
	}
	io.WriteString(f, text)
}
