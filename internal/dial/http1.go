package dial

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"

	"github.com/reqws/reqws/internal/failure"
	"github.com/reqws/reqws/internal/netconn"
)

// upgrade performs the opening handshake of RFC 6455, section 4.1, on a
// connection of its own. The answer's body is the connection if the server
// switches protocols; else it is an ordinary body, which owns the connection.
func (t *roundTrip) upgrade(ctx context.Context, conn net.Conn) (*http.Response, error) {
	t.enter(failure.Handshake)
	network := netconn.Bare(conn)
	stop := context.AfterFunc(ctx, func() { network.Close() })
	resp, err := t.exchange(conn)
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
	resp.Body = &Conn{Conn: conn, Rest: t.answer.rest()}
	t.answer.release()
	return resp, nil
}

// exchange sends the request and reads the head of its answer.
func (t *roundTrip) exchange(conn net.Conn) (*http.Response, error) {
	trace := httptrace.ContextClientTrace(t.req.Context())
	if trace != nil && trace.GotConn != nil {
		trace.GotConn(httptrace.GotConnInfo{Conn: conn})
	}
	buffer := headBuffers.Get().(*[]byte)
	request, err := appendRequest((*buffer)[:0], t.req, trace)
	if err != nil {
		headBuffers.Put(buffer)
		return nil, err
	}
	// A peer that hung up before it read everything may have said why.
	_, writeErr := conn.Write(request)
	t.answer = readAnswer(conn, buffer)
	if trace != nil && trace.GotFirstResponseByte != nil && t.answer.await(1) == nil {
		trace.GotFirstResponseByte()
	}
	resp, err := t.answer.head(t.req)
	if err != nil && writeErr != nil && netconn.IsLoss(err) && tlsAlert(err) == nil {
		err = writeErr
	}
	if err != nil && t.answer.silent() && netconn.IsLoss(err) {
		err = &lostError{err}
	}
	return resp, err
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
