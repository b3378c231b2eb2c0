package reqws

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
)

// maxHead bounds the bytes of an answer before its body, interim answers included.
const maxHead = 1 << 20

var errHeadTooBig = fmt.Errorf("the head of the answer is larger than %d bytes", maxHead)

// upgrade performs the opening handshake of RFC 6455, section 4.1, on a
// connection of its own. The answer's body is the connection if the server
// switches protocols; else it is an ordinary body, which owns the connection.
func (t *trip) upgrade(ctx context.Context, conn net.Conn) (*http.Response, error) {
	t.enter(phaseHandshake)
	network := bare(conn)
	stop := context.AfterFunc(ctx, func() { network.Close() })
	resp, answer, err := t.exchange(conn)
	if err != nil {
		stop()
		network.Close()
		if alert(err) != nil { // in TLS 1.3 a client's certificate is refused this late
			t.enter(phaseTLS)
		}
		return nil, t.fail(ctx, err)
	}
	if secured, ok := conn.(*tls.Conn); ok {
		state := secured.ConnectionState()
		resp.TLS = &state
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		resp.Body = &ownBody{resp.Body, conn, stop}
		return resp, nil
	}
	if !stop() {
		network.Close()
		return nil, t.fail(ctx, ctx.Err())
	}
	resp.Body = &openConn{conn, answer.rest()}
	return resp, nil
}

// exchange sends the request and reads the head of its answer.
func (t *trip) exchange(conn net.Conn) (*http.Response, *answerReader, error) {
	trace := httptrace.ContextClientTrace(t.req.Context())
	if trace != nil && trace.GotConn != nil {
		trace.GotConn(httptrace.GotConnInfo{Conn: conn})
	}
	request, err := encodeRequest(handshakeRequest(t.req))
	if err != nil {
		return nil, nil, err
	}
	defer requestBuffers.Put(request)
	// A peer that hung up before it read everything may have said why.
	_, writeErr := conn.Write(request.Bytes())
	answer := readAnswer(conn)
	if trace != nil && trace.GotFirstResponseByte != nil {
		if _, err := answer.Peek(1); err == nil {
			trace.GotFirstResponseByte()
		}
	}
	resp, err := answer.head(t.req)
	if err != nil && writeErr != nil && alert(err) == nil {
		err = writeErr
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

var requestBuffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// encodeRequest returns a request without a body in one of requestBuffers.
func encodeRequest(req *http.Request) (*bytes.Buffer, error) {
	buf := requestBuffers.Get().(*bytes.Buffer)
	buf.Reset()
	return buf, req.Write(buf)
}

// writeRequest sends a request without a body in one Write.
func writeRequest(conn net.Conn, req *http.Request) error {
	buf, err := encodeRequest(req)
	if err != nil {
		return err
	}
	defer requestBuffers.Put(buf)
	_, err = conn.Write(buf.Bytes())
	return err
}

// answerReader reads the answer to one request, and never more of its head than
// maxHead.
type answerReader struct {
	*bufio.Reader
	conn net.Conn
	left int
	err  error // what ended the reading
}

var answerReaders = sync.Pool{New: func() any {
	r := &answerReader{}
	r.Reader = bufio.NewReader(readerFunc(r.fill))
	return r
}}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func readAnswer(conn net.Conn) *answerReader {
	r := answerReaders.Get().(*answerReader)
	r.conn, r.left, r.err = conn, maxHead, nil
	return r
}

func (r *answerReader) fill(p []byte) (n int, err error) {
	if r.left == 0 {
		r.err = errHeadTooBig
		return 0, r.err
	}
	n, r.err = r.conn.Read(p[:min(len(p), r.left)])
	r.left -= n
	return n, r.err
}

// head reads the head of the answer to req; interim answers (RFC 9110, section
// 15.2) are skipped. From then on the size is no longer bounded.
func (r *answerReader) head(req *http.Request) (*http.Response, error) {
	for {
		resp, err := http.ReadResponse(r.Reader, req)
		if err != nil {
			return nil, r.explain(err)
		}
		if resp.StatusCode/100 != 1 || resp.StatusCode == http.StatusSwitchingProtocols {
			r.left = math.MaxInt
			return resp, nil
		}
	}
}

// rest returns a copy of what came behind the head, nil if nothing did, and gives
// r back: it must not be used any more.
func (r *answerReader) rest() []byte {
	peeked, _ := r.Peek(r.Buffered())
	rest := append([]byte(nil), peeked...)
	r.Discard(len(peeked))
	r.conn = nil
	answerReaders.Put(r)
	return rest
}

// explain says why there is no head. net/http takes a line that was cut off for a
// whole one, and then finds fault with that.
func (r *answerReader) explain(err error) error {
	if r.err == io.EOF {
		return fmt.Errorf("the connection was closed before the answer was complete: %w", io.ErrUnexpectedEOF)
	}
	if r.err != nil {
		return r.err
	}
	if text := err.Error(); len(text) > 300 { // it quotes the line that is wrong
		return errors.New(text[:300] + "...")
	}
	return err
}

// ownBody is the body of an answer that does not switch protocols: the
// connection ends with it.
type ownBody struct {
	io.Reader // what net/http makes of it; its own Close would read on to the end
	conn      net.Conn
	stop      func() bool
}

func (b *ownBody) Close() error {
	b.stop()
	return b.conn.Close()
}
