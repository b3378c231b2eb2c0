package h2

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// connectionFields are the fields that HTTP/2 has no use for and forbids (RFC 9113, section 8.2.2).
var connectionFields = []string{"connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade"}

// ownFields are those that the pseudo-headers replace, and those that speak of a body.
var ownFields = []string{"host", "content-length", "te", "http2-settings"}

// secretFields are sent as never indexed (RFC 7541, section 7.1.3).
var secretFields = []string{"authorization", "proxy-authorization", "cookie", "x-amz-security-token"}

// requestFields returns the header list of an extended CONNECT (RFC 8441, section 4).
func requestFields(req *http.Request) ([]hpack.HeaderField, error) {
	scheme, ok := map[string]string{"http": "http", "https": "https", "ws": "http", "wss": "https"}[req.URL.Scheme]
	if !ok {
		return nil, fmt.Errorf("http2: unsupported URL scheme %q", req.URL.Scheme)
	}
	host := req.Host
	if host == "" {
		host = req.URL.Host
	}
	authority, err := httpguts.PunycodeHostPort(host)
	if err != nil || authority == "" || !httpguts.ValidHostHeader(authority) {
		return nil, fmt.Errorf("http2: invalid host %q", host)
	}
	path := req.URL.RequestURI()
	if !strings.HasPrefix(path, "/") || !httpguts.ValidHeaderFieldValue(path) {
		return nil, fmt.Errorf("http2: invalid request path")
	}
	fields := []hpack.HeaderField{
		{Name: ":method", Value: "CONNECT"},
		{Name: ":protocol", Value: "websocket"},
		{Name: ":scheme", Value: scheme},
		{Name: ":authority", Value: authority},
		// A query may hold a token or a signature.
		{Name: ":path", Value: path, Sensitive: req.URL.RawQuery != ""},
	}
	return appendFields(fields, req.Header)
}

// appendFields appends the regular fields of h in the order of their names.
func appendFields(fields []hpack.HeaderField, h http.Header) ([]hpack.HeaderField, error) {
	names := make([]string, 0, len(h))
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, key := range names {
		name := strings.ToLower(key)
		if !httpguts.ValidHeaderFieldName(key) {
			return nil, fmt.Errorf("http2: invalid header field name %q", key)
		}
		if slices.Contains(connectionFields, name) || slices.Contains(ownFields, name) ||
			httpguts.HeaderValuesContainsToken(h["Connection"], name) {
			continue
		}
		secret := slices.Contains(secretFields, name)
		for _, v := range h[key] {
			v = strings.Trim(v, " \t") // as RFC 9113 demands in section 8.2.1
			if !httpguts.ValidHeaderFieldValue(v) {
				return nil, fmt.Errorf("http2: invalid value of header field %q", key)
			}
			fields = append(fields, hpack.HeaderField{Name: name, Value: v, Sensitive: secret})
		}
	}
	return fields, nil
}

// onHeaders takes a header list that arrived on the stream. The Framer has checked names, values
// and the order of pseudo-headers.
func (s *Stream) onHeaders(f *http2.MetaHeadersFrame) error {
	if f.Truncated {
		return streamError(s.id, http2.ErrCodeProtocol, "header list larger than %d bytes", maxHeaderList)
	}
	s.mu.Lock()
	over, answered := s.recvErr == io.EOF, s.answered
	s.mu.Unlock()
	if over {
		return streamError(s.id, http2.ErrCodeStreamClosed, "HEADERS after END_STREAM")
	}
	if answered {
		return s.onTrailers(f)
	}
	return s.onResponse(f)
}

// onTrailers checks trailers and drops them: a WebSocket has no use for any.
func (s *Stream) onTrailers(f *http2.MetaHeadersFrame) error {
	if !f.StreamEnded() {
		return streamError(s.id, http2.ErrCodeProtocol, "second response HEADERS")
	}
	if len(f.PseudoFields()) > 0 {
		return streamError(s.id, http2.ErrCodeProtocol, "pseudo-header in trailers")
	}
	s.remoteEnded()
	return nil
}

// onResponse hands a final response to Connect and skips interim ones.
func (s *Stream) onResponse(f *http2.MetaHeadersFrame) error {
	status, ok := parseStatus(f)
	if !ok {
		return streamError(s.id, http2.ErrCodeProtocol, "response without a valid :status")
	}
	if status < 200 {
		if f.StreamEnded() || status == http.StatusSwitchingProtocols {
			return streamError(s.id, http2.ErrCodeProtocol, "interim response %d that ends the stream or switches protocols", status)
		}
		return nil
	}
	header := make(http.Header, len(f.Fields))
	for _, field := range f.RegularFields() {
		if slices.Contains(connectionFields, field.Name) {
			return streamError(s.id, http2.ErrCodeProtocol, "response with the header field %q", field.Name)
		}
		header.Add(field.Name, field.Value)
	}
	s.mu.Lock()
	s.answered = true
	if s.answer != nil {
		s.answer.status, s.answer.header, s.answer.over = status, header, f.StreamEnded()
		s.giveAnswer()
	}
	s.mu.Unlock()
	if f.StreamEnded() {
		s.remoteEnded()
	}
	return nil
}

// parseStatus returns the status code, three digits from 100 on.
func parseStatus(f *http2.MetaHeadersFrame) (int, bool) {
	if len(f.PseudoFields()) != 1 {
		return 0, false
	}
	v := f.PseudoValue("status")
	n, err := strconv.ParseUint(v, 10, 16)
	return int(n), err == nil && len(v) == 3 && n >= 100
}
