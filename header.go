package reqws

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// userAgent is sent where the user gives none.
const userAgent = "reqws"

// setHeaders is the step that puts the user's headers on each hop; to another
// origin those that tell who the user is stay behind.
func setHeaders(c *config) Step {
	return func(next http.RoundTripper) http.RoundTripper {
		return RoundTripFunc(func(req *http.Request) (*http.Response, error) {
			h := hopOf(req.Context())
			req = req.Clone(req.Context())
			req.Header.Set("User-Agent", userAgent)
			for name, values := range c.header {
				switch {
				case strings.EqualFold(name, "Host"):
					if !h.elsewhere && len(values) > 0 {
						req.Host = values[0]
					}
				case h.foreign && isSecretName(name):
				default:
					replaceHeader(req.Header, name, values)
				}
			}
			if c.hostname != "" && req.Host == "" && !h.elsewhere {
				req.Host = hostPort(unbracketed(c.hostname), req.URL.Port())
			}
			if len(c.subprotocols) > 0 && isWebSocket(req.URL) {
				req.Header.Set("Sec-WebSocket-Protocol", strings.Join(c.subprotocols, ", "))
			}
			noteAttempt(req)
			return next.RoundTrip(req)
		})
	}
}

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

// hostPort writes a host without brackets and a port, which may be empty, as URLs
// and Host have them.
func hostPort(name, port string) string {
	if port != "" {
		return net.JoinHostPort(name, port)
	}
	if strings.Contains(name, ":") {
		return "[" + name + "]"
	}
	return name
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

// checkHeader says what is wrong with a header. It quotes no value: it may be a
// credential.
func checkHeader(name string, values []string) error {
	if !isToken(name) {
		return fmt.Errorf("%q is no header name", name)
	}
	if slices.Contains(ownHeaders, http.CanonicalHeaderKey(name)) {
		return fmt.Errorf("%s is a header of the handshake itself", name)
	}
	for _, v := range values {
		if err := checkHeaderValue(v); err != nil {
			return fmt.Errorf("the value of %s %w", name, err)
		}
	}
	return nil
}

func checkHeaderValue(v string) error {
	if !httpguts.ValidHeaderFieldValue(v) {
		return errors.New("has a line break or another control character")
	}
	return nil
}

// isToken tells a token of RFC 9110, section 5.6.2.
func isToken(s string) bool { return httpguts.ValidHeaderFieldName(s) }
