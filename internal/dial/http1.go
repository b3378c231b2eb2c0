package dial

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strconv"
	"strings"

	"github.com/reqws/reqws/internal/failure"
	"github.com/reqws/reqws/internal/netconn"
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

// upgrade performs the opening handshake of RFC 6455, section 4.1, on a
// connection of its own. The answer's body is the connection if the server
// switches protocols; else it is an ordinary body, which owns the connection.
func (t *roundTrip) upgrade(ctx context.Context, conn net.Conn) (*http.Response, error) {
	t.enter(failure.Handshake)
	network := netconn.Bare(conn)
	stop := context.AfterFunc(ctx, func() { network.Close() })
	resp, answer, err := t.exchange(conn)
	if err != nil {
		stop()
		network.Close()
		if tlsAlert(err) != nil { // in TLS 1.3 a client's certificate is refused this late
			t.enter(failure.TLS)
		}
		return nil, t.fail(ctx, err)
	}
	if secured, ok := conn.(*tls.Conn); ok {
		state := secured.ConnectionState()
		resp.TLS = &state
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		resp.Body = &connBody{resp.Body, conn, stop}
		return resp, nil
	}
	if !stop() {
		network.Close()
		return nil, t.fail(ctx, ctx.Err())
	}
	resp.Body = &Conn{Conn: conn, Rest: answer.rest()}
	return resp, nil
}

// exchange sends the request and reads the head of its answer.
func (t *roundTrip) exchange(conn net.Conn) (*http.Response, *answerReader, error) {
	trace := httptrace.ContextClientTrace(t.req.Context())
	if trace != nil && trace.GotConn != nil {
		trace.GotConn(httptrace.GotConnInfo{Conn: conn})
	}
	var request bytes.Buffer
	if err := handshakeRequest(t.req).Write(&request); err != nil {
		return nil, nil, err
	}
	// A peer that hung up before it read everything may have said why.
	_, writeErr := conn.Write(request.Bytes())
	answer := readAnswer(conn)
	if trace != nil && trace.GotFirstResponseByte != nil {
		if _, err := answer.Peek(1); err == nil {
			trace.GotFirstResponseByte()
		}
	}
	resp, err := answer.head(t.req)
	if err != nil && writeErr != nil && netconn.IsLoss(err) && tlsAlert(err) == nil {
		err = writeErr
	}
	if err != nil && answer.silent() && netconn.IsLoss(err) {
		err = &lostError{err}
	}
	return resp, answer, err
}

// handshakeRequest returns req with its headers in the spelling of RFC 6455:
// names are equal in any case, but not all servers know.
func handshakeRequest(req *http.Request) *http.Request {
	out := *req
	out.Header = make(http.Header, len(req.Header))
	for name, values := range req.Header {
		if rest, ok := strings.CutPrefix(name, "Sec-Websocket-"); ok {
			name = "Sec-WebSocket-" + rest
		}
		out.Header[name] = values
	}
	return &out
}

// answerReader reads the answer to one request, and never more of its head than
// maxHead. It belongs to its connection: a buffer that others had before could
// remember how theirs ended.
type answerReader struct {
	*bufio.Reader
	text []byte // of the head
}

func readAnswer(conn net.Conn) *answerReader {
	return &answerReader{Reader: bufio.NewReader(conn)}
}

// silent reports whether the peer has not said a word.
func (r *answerReader) silent() bool { return len(r.text) == 0 && r.Buffered() == 0 }

// rest returns a copy of what came behind the head, nil if nothing did.
func (r *answerReader) rest() []byte {
	peeked, _ := r.Peek(r.Buffered())
	return append([]byte(nil), peeked...)
}

// head reads the head of the answer to req; interim answers (RFC 9110, section
// 15.2) are skipped.
func (r *answerReader) head(req *http.Request) (*http.Response, error) {
	if err := r.recognise(); err != nil {
		return nil, explainLoss(err)
	}
	for {
		start := len(r.text)
		resp, err := r.next()
		if err != nil {
			return nil, explainLoss(err)
		}
		resp.Request = req
		switch {
		case resp.StatusCode/100 == 2 && req.Method == http.MethodConnect, resp.StatusCode == http.StatusSwitchingProtocols && req.Method != http.MethodConnect:
			return resp, nil
		case resp.StatusCode/100 != 1 || resp.StatusCode == http.StatusSwitchingProtocols:
			return r.withBody(resp, r.text[start:]), nil
		}
	}
}

// recognise says what the peer speaks if its first bytes are those of TLS (an alert
// or a handshake record: RFC 8446, section 5.1) or HTTP/2 (SETTINGS or GOAWAY: RFC 9113,
// section 4.1). Either may wait then for a line that never ends.
func (r *answerReader) recognise() error {
	b, err := r.Peek(1)
	if err != nil {
		return err
	}
	switch b[0] {
	case 0x15, 0x16:
		if b, _ = r.Peek(2); len(b) == 2 && b[1] == 3 {
			return errSpeaksTLS
		}
	case 0:
		if b, _ = r.Peek(9); len(b) == 9 && (b[3] == 4 || b[3] == 7) && string(b[5:]) == "\x00\x00\x00\x00" {
			return errSpeaksH2
		}
	case 'P':
		if b, _ = r.Peek(6); string(b) == "PRI * " {
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
	start := len(r.text)
	for len(line) > 0 {
		if line, err = r.line(); err != nil {
			return nil, err
		}
	}
	header, err := textproto.NewReader(bufio.NewReader(bytes.NewReader(r.text[start:]))).ReadMIMEHeader()
	if err != nil {
		return nil, errBadHeader
	}
	resp.Header = http.Header(header)
	return resp, nil
}

// line reads up to the end of a line and returns it without that.
func (r *answerReader) line() (string, error) {
	start := len(r.text)
	for {
		part, err := r.ReadSlice('\n')
		r.text = append(r.text, part...)
		if len(r.text) > maxHead {
			return "", errHeadTooBig
		}
		if err == bufio.ErrBufferFull {
			continue
		}
		return strings.TrimRight(string(r.text[start:]), "\r\n"), err
	}
}

// parseStatusLine reads the first line of an answer (RFC 9112, section 4).
func parseStatusLine(line string) (*http.Response, bool) {
	proto, status, _ := strings.Cut(line, " ")
	major, minor, ok := http.ParseHTTPVersion(proto)
	status = strings.TrimLeft(status, " ")
	digits, _, _ := strings.Cut(status, " ")
	code, err := strconv.ParseUint(digits, 10, 16)
	return &http.Response{
		Status: status, StatusCode: int(code), Proto: proto, ProtoMajor: major, ProtoMinor: minor, ContentLength: -1,
	}, ok && major == 1 && err == nil && len(digits) == 3
}

// withBody returns the answer that text is the head of with what its headers say of
// its body, which follows. Where an answer opens a connection they say nothing (RFC
// 9110, section 9.3.6; RFC 9112, section 6.3). Where they say what cannot be, the
// status still counts, and the body goes on to the end of the connection.
func (r *answerReader) withBody(resp *http.Response, text []byte) *http.Response {
	whole, err := http.ReadResponse(bufio.NewReader(io.MultiReader(bytes.NewReader(text), r.Reader)), resp.Request)
	if err != nil {
		resp.Body = io.NopCloser(r.Reader)
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

// connBody is the body of an answer that does not switch protocols: the
// connection ends with it.
type connBody struct {
	io.Reader // what net/http makes of it; its own Close would read on to the end
	conn      net.Conn
	stop      func() bool
}

// Close does not wait for TLS to say goodbye.
func (b *connBody) Close() error {
	b.stop()
	return netconn.Bare(b.conn).Close()
}
