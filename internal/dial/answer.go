package dial

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// maxHead bounds the bytes of an answer before its body, interim answers included.
const maxHead = 1 << 20

// What is wrong with a head. None of them quotes it: it may hold a cookie, or what
// the request said.
var (
	errHeadTooBig = fmt.Errorf("the head of the answer is larger than %d bytes", maxHead)
	errNotHTTP    = errors.New("the answer is not HTTP/1.1: its first line is malformed")
	errBadHeader  = errors.New("the answer has a malformed header line")
	errSpeaksTLS  = errors.New("the peer answered in TLS")
	errSpeaksH2   = errors.New("the peer answered in HTTP/2")
)

// headBuffers are for a request, and then for its answer. They are bytes alone: readers that others
// had before could remember how their connections ended.
var headBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

// mostPooled is how large a buffer may be that is kept for others.
const mostPooled = 16 << 10

// answerReader reads the answer to one request, and never more of its head than
// maxHead.
type answerReader struct {
	conn   net.Conn
	buf    []byte  // what has come
	at     int     // what of that has been taken
	err    error   // what the connection said with the last bytes
	pooled *[]byte // where buf is to go; nil: it is somebody else's
}

// readAnswer begins to read into a buffer of headBuffers, which may be nil.
func readAnswer(conn net.Conn, buffer *[]byte) answerReader {
	if buffer == nil {
		buffer = headBuffers.Get().(*[]byte)
	}
	return answerReader{conn: conn, buf: (*buffer)[:0], pooled: buffer}
}

// release gives the buffer back. Nobody may read the answer after that.
func (r *answerReader) release() {
	if r.pooled != nil && cap(r.buf) <= mostPooled {
		*r.pooled = r.buf[:0]
		headBuffers.Put(r.pooled)
	}
	r.buf, r.at, r.pooled = nil, 0, nil
}

// silent reports whether the peer has not said a word.
func (r *answerReader) silent() bool { return len(r.buf) == 0 }

// rest returns a copy of what came behind the head, nil if nothing did.
func (r *answerReader) rest() []byte { return append([]byte(nil), r.buf[r.at:]...) }

// await reads until there are n bytes that have not been taken.
func (r *answerReader) await(n int) error {
	for len(r.buf)-r.at < n {
		if err := r.more(); err != nil {
			return err
		}
	}
	return nil
}

// more reads what there is, once there is something.
func (r *answerReader) more() error {
	r.buf = slices.Grow(r.buf, 1)
	for range 100 {
		if r.err != nil {
			return r.err
		}
		n, err := r.conn.Read(r.buf[len(r.buf):cap(r.buf)])
		r.buf, r.err = r.buf[:len(r.buf)+n], err
		if n > 0 {
			return nil
		}
	}
	return io.ErrNoProgress
}

// Read makes a body of what follows the head. The buffer is its own from then on.
func (r *answerReader) Read(p []byte) (int, error) {
	if r.at < len(r.buf) {
		n := copy(p, r.buf[r.at:])
		r.at += n
		return n, nil
	}
	if r.err != nil {
		return 0, r.err
	}
	return r.conn.Read(p)
}

// head reads the head of the answer to req; interim answers (RFC 9110, section
// 15.2) are skipped.
func (r *answerReader) head(req *http.Request) (*http.Response, error) {
	if err := r.recognise(); err != nil {
		return nil, explainLoss(err)
	}
	for {
		start := r.at
		resp, err := r.next()
		if err != nil {
			return nil, explainLoss(err)
		}
		resp.Request = req
		switch {
		case resp.StatusCode/100 == 2 && req.Method == http.MethodConnect, resp.StatusCode == http.StatusSwitchingProtocols && req.Method != http.MethodConnect:
			return resp, nil
		case resp.StatusCode/100 != 1 || resp.StatusCode == http.StatusSwitchingProtocols:
			return r.withBody(resp, r.buf[start:r.at]), nil
		}
	}
}

// recognise says what the peer speaks if its first bytes are those of TLS (an alert
// or a handshake record: RFC 8446, section 5.1) or HTTP/2 (SETTINGS or GOAWAY: RFC 9113,
// section 4.1). Either may wait then for a line that never ends.
func (r *answerReader) recognise() error {
	if err := r.await(1); err != nil {
		return err
	}
	switch r.buf[0] {
	case 0x15, 0x16:
		if r.await(2) == nil && r.buf[1] == 3 {
			return errSpeaksTLS
		}
	case 0:
		if r.await(9) == nil && (r.buf[3] == 4 || r.buf[3] == 7) && string(r.buf[5:9]) == "\x00\x00\x00\x00" {
			return errSpeaksH2
		}
	case 'P':
		if r.await(6) == nil && string(r.buf[:6]) == "PRI * " {
			return errSpeaksH2
		}
	}
	return nil
}

// next reads one head and says what it has, without a look at what its headers say
// of a body.
func (r *answerReader) next() (*http.Response, error) {
	line, err := r.line()
	if err != nil {
		return nil, err
	}
	resp, ok := parseStatusLine(line)
	if !ok {
		return nil, errNotHTTP
	}
	start := r.at
	for len(line) > 0 {
		if line, err = r.line(); err != nil {
			return nil, err
		}
	}
	resp.Header, err = parseHeader(r.buf[start:r.at])
	return resp, err
}

// line takes up to the end of a line and returns it without that. It is valid up to the next call.
func (r *answerReader) line() ([]byte, error) {
	for seen := r.at; ; {
		if i := bytes.IndexByte(r.buf[seen:], '\n'); i >= 0 {
			start := r.at
			if r.at = seen + i + 1; r.at > maxHead {
				return nil, errHeadTooBig
			}
			return bytes.TrimRight(r.buf[start:r.at], "\r\n"), nil
		}
		if len(r.buf) > maxHead {
			return nil, errHeadTooBig
		}
		seen = len(r.buf)
		if err := r.more(); err != nil {
			return nil, err
		}
	}
}

// parseStatusLine reads the first line of an answer (RFC 9112, section 4).
func parseStatusLine(line []byte) (*http.Response, bool) {
	if string(line) == "HTTP/1.1 101 Switching Protocols" { // as nearly all say it who open
		return &http.Response{
			Status: "101 Switching Protocols", StatusCode: 101, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, ContentLength: -1,
		}, true
	}
	proto, status, _ := strings.Cut(string(line), " ")
	major, minor, ok := http.ParseHTTPVersion(proto)
	status = strings.TrimLeft(status, " ")
	digits, _, _ := strings.Cut(status, " ")
	code, err := strconv.ParseUint(digits, 10, 16)
	return &http.Response{
		Status: status, StatusCode: int(code), Proto: proto, ProtoMajor: major, ProtoMinor: minor, ContentLength: -1,
	}, ok && major == 1 && err == nil && len(digits) == 3
}

// parseHeader reads the lines of a header, up to and with the empty one, as net/textproto does. It
// leaves to that what is out of the ordinary.
func parseHeader(text []byte) (http.Header, error) {
	var room [16]field
	if fields, ok := plainFields(room[:0], text); ok {
		return headerOf(fields), nil
	}
	header, err := textproto.NewReader(bufio.NewReader(bytes.NewReader(text))).ReadMIMEHeader()
	if err != nil {
		return nil, errBadHeader
	}
	return http.Header(header), nil
}

// field is one line of a header. Its value is a part of the text, unless it is a known one.
type field struct {
	name  string
	value []byte
	known string
}

// plainFields appends the fields in text, or reports false where a line has not the plain form:
// a token, a colon, and a value that it does not share with the next line (RFC 9112, section 5).
func plainFields(fields []field, text []byte) ([]field, bool) {
	for {
		line, more, ok := bytes.Cut(text, []byte("\n"))
		line = bytes.TrimSuffix(line, []byte("\r"))
		if len(line) == 0 {
			return fields, ok && len(more) == 0
		}
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok || len(name) == 0 || slices.ContainsFunc(name, notInToken) || slices.ContainsFunc(value, notInValue) {
			return nil, false
		}
		value = bytes.Trim(value, " \t")
		fields = append(fields, field{canonicalName(name), value, knownWords[string(value)]})
		text = more
	}
}

// headerOf makes a header of fields. Their values share one string, and those that are the only
// one of their name one slice.
func headerOf(fields []field) http.Header {
	n := 0
	for _, f := range fields {
		if f.known == "" {
			n += len(f.value)
		}
	}
	var text strings.Builder
	text.Grow(n)
	h, values := make(http.Header, len(fields)), make([]string, len(fields))
	for i, f := range fields {
		if values[i] = f.known; f.known == "" {
			start := text.Len()
			text.Write(f.value)
			values[i] = text.String()[start:]
		}
		if have, ok := h[f.name]; ok {
			h[f.name] = append(have, values[i])
		} else {
			h[f.name] = values[i : i+1 : i+1]
		}
	}
	return h
}

// knownWords need no memory of their own: names as they come and as http.Header has them, and values.
var knownWords = func() map[string]string {
	words := map[string]string{"websocket": "websocket", "WebSocket": "WebSocket", "upgrade": "upgrade"}
	for _, name := range []string{
		"Upgrade", "Connection", "Sec-WebSocket-Accept", "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions",
		"Date", "Server", "Set-Cookie", "Content-Length", "Content-Type", "Cache-Control", "Via",
	} {
		words[name] = name
	}
	return words
}()

// canonicalNames are the names of knownWords, and those in lower case, as http.Header has them.
var canonicalNames = func() map[string]string {
	names := make(map[string]string)
	for word := range knownWords {
		names[word] = http.CanonicalHeaderKey(word)
		names[strings.ToLower(word)] = http.CanonicalHeaderKey(word)
	}
	return names
}()

func canonicalName(name []byte) string {
	if known, ok := canonicalNames[string(name)]; ok {
		return known
	}
	return http.CanonicalHeaderKey(string(name))
}

func notInToken(c byte) bool {
	return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0)
}

func notInValue(c byte) bool { return c < ' ' && c != '\t' || c == 0x7F }

// withBody returns the answer that text is the head of with what its headers say of
// its body, which follows. Where an answer opens a connection they say nothing (RFC
// 9110, section 9.3.6; RFC 9112, section 6.3). Where they say what cannot be, the
// status still counts, and the body goes on to the end of the connection.
func (r *answerReader) withBody(resp *http.Response, text []byte) *http.Response {
	r.pooled = nil
	whole, err := http.ReadResponse(bufio.NewReader(io.MultiReader(bytes.NewReader(text), r)), resp.Request)
	if err != nil {
		resp.Body = io.NopCloser(r)
		return resp
	}
	return whole
}

// explainLoss says what the end of a connection means where a head was to come.
func explainLoss(err error) error {
	if err == io.EOF {
		return fmt.Errorf("the connection was closed before the answer was complete: %w", io.ErrUnexpectedEOF)
	}
	return err
}
