package dial

import (
	"cmp"
	"errors"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/reqws/reqws/internal/host"
)

// appendRequest appends the head of an opening handshake (RFC 9112, section 3; RFC 6455, section
// 4.1) to b, as net/http writes it: the same order, the same rules for what is left out and changed.
// But the names of RFC 6455 have its spelling: names are equal in any case, but not all servers
// know. A handshake has no body.
func appendRequest(b []byte, req *http.Request, trace *httptrace.ClientTrace) (_ []byte, err error) {
	if trace != nil && trace.WroteRequest != nil {
		defer func() { trace.WroteRequest(httptrace.WroteRequestInfo{Err: err}) }()
	}
	name, err := sentHost(req)
	if err != nil {
		return nil, err
	}
	target := req.URL.RequestURI()
	if strings.ContainsFunc(target, func(r rune) bool { return r < ' ' || r == 0x7F }) {
		return nil, errors.New("the URL has a control character")
	}
	b = append(b, req.Method...)
	b = append(b, ' ')
	b = append(b, target...)
	b = append(b, " HTTP/1.1\r\n"...)
	w := headWriter{b, trace}
	w.field("Host", []string{name})
	w.header(req.Header)
	if trace != nil && trace.WroteHeaders != nil {
		trace.WroteHeaders()
	}
	return append(w.b, "\r\n"...), nil
}

// sentHost is what the field Host says. One that is none is sent empty (RFC 9112, section 3.2).
func sentHost(req *http.Request) (string, error) {
	name, err := httpguts.PunycodeHostPort(cmp.Or(req.Host, req.URL.Host))
	if err != nil {
		return "", err
	}
	if !httpguts.ValidHostHeader(name) {
		return "", nil
	}
	return host.WithoutZone(name), nil
}

// headWriter appends the fields of a request to b.
type headWriter struct {
	b     []byte
	trace *httptrace.ClientTrace
}

// header appends the fields of h, User-Agent first and the others in the order of their names.
func (w *headWriter) header(h http.Header) {
	agent, given := h["User-Agent"]
	switch {
	case !given: // a step has taken it out
		w.field("User-Agent", []string{"Go-http-client/1.1"})
	case len(agent) > 0 && agent[0] != "":
		w.field("User-Agent", agent[:1])
	}
	type named struct {
		name   string
		values []string
	}
	var room [16]named
	fields := room[:0]
	for name, values := range h {
		if httpguts.ValidHeaderFieldName(name) && !slices.Contains(notAmongFields, name) {
			fields = append(fields, named{spelling(name), values})
		}
	}
	slices.SortFunc(fields, func(a, b named) int { return strings.Compare(a.name, b.name) })
	for _, f := range fields {
		w.field(f.name, f.values)
	}
}

// field appends a line for each value.
func (w *headWriter) field(name string, values []string) {
	var told []string
	for _, v := range values {
		v = textproto.TrimString(onOneLine(v))
		w.b = append(append(w.b, name...), ": "...)
		w.b = append(append(w.b, v...), "\r\n"...)
		if w.trace != nil && w.trace.WroteHeaderField != nil {
			told = append(told, v)
		}
	}
	if w.trace != nil && w.trace.WroteHeaderField != nil {
		w.trace.WroteHeaderField(name, told)
	}
}

// onOneLine has spaces for what would end a line.
func onOneLine(value string) string {
	if strings.IndexByte(value, '\r') < 0 && strings.IndexByte(value, '\n') < 0 {
		return value
	}
	return strings.NewReplacer("\r", " ", "\n", " ").Replace(value)
}

// notAmongFields are written from other parts of a request, or not at all.
var notAmongFields = []string{"Host", "User-Agent", "Content-Length", "Transfer-Encoding", "Trailer"}

// spelling is a name as RFC 6455 writes it, if it does.
func spelling(name string) string {
	switch name {
	case "Sec-Websocket-Key":
		return "Sec-WebSocket-Key"
	case "Sec-Websocket-Version":
		return "Sec-WebSocket-Version"
	case "Sec-Websocket-Protocol":
		return "Sec-WebSocket-Protocol"
	case "Sec-Websocket-Extensions":
		return "Sec-WebSocket-Extensions"
	}
	if rest, ok := strings.CutPrefix(name, "Sec-Websocket-"); ok {
		return "Sec-WebSocket-" + rest
	}
	return name
}
