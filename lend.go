package reqws

import (
	"context"
	"errors"
	"io"
	"math"
	"net/http"

	"github.com/coder/websocket"

	"github.com/reqws/reqws/internal/netconn"
)

// dial connects for Request.Dial.
func (e *execution) dial(ctx context.Context) (*websocket.Conn, *Response, error) {
	a, err := e.runSteps(ctx)
	if err != nil {
		return nil, nil, err
	}
	if a.resp.refused != nil {
		return nil, nil, a.resp.refused
	}
	if a.open.client, err = a.lend(e.opener.connect.compression, e.into.maxMessage); err != nil {
		return nil, nil, fail("handshake", a.url, err)
	}
	a.wrapped = nil
	s := e.newStream(ctx, a)
	s.conclude(ErrClosed)
	return a.open.client, a.resp, nil
}

// lend makes coder's Conn of an open connection. Its Dial is answered with what the
// server said; of that it checks and keeps what concerns itself.
func (a *answer) lend(compression websocket.CompressionMode, maxMessage int64) (*websocket.Conn, error) {
	h, lent := a.open, &lentConn{Conn: a.open.conn, h: a.open, wrapped: a.wrapped}
	answer := RoundTripFunc(func(req *http.Request) (*http.Response, error) {
		header := http.Header{
			"Connection":           {"Upgrade"},
			"Upgrade":              {"websocket"},
			"Sec-Websocket-Accept": {acceptKey(req.Header.Get("Sec-Websocket-Key"))},
		}
		if h.subprotocol != "" {
			header.Set("Sec-Websocket-Protocol", h.subprotocol)
		}
		header["Sec-Websocket-Extensions"] = h.extensions
		return &http.Response{StatusCode: http.StatusSwitchingProtocols, Header: header, Body: lent}, nil
	})
	client, _, err := websocket.Dial(context.Background(), "ws://lent", &websocket.DialOptions{
		HTTPClient:      &http.Client{Transport: answer},
		Subprotocols:    h.offered,
		CompressionMode: compression,
	})
	if err != nil {
		return nil, errors.New("the server's permessage-deflate has parameters that were not offered")
	}
	lent.live = true
	if maxMessage == math.MaxInt64 { // to coder one more counts
		maxMessage = -1
	}
	client.SetReadLimit(maxMessage)
	return client, nil
}

// lentConn is the body that coder's Conn keeps: closing it tells a step that
// wrapped the answer's body of the end.
type lentConn struct {
	*netconn.Conn
	h       *handshake
	wrapped io.Closer
	live    bool // until then there is nothing in it: a Dial that fails reads
}

func (l *lentConn) Read(p []byte) (int, error) {
	if !l.live {
		return 0, io.EOF
	}
	return l.Conn.Read(p)
}

func (l *lentConn) Close() error {
	err := l.Conn.Close()
	l.h.abandon()
	if l.wrapped != nil {
		_ = l.wrapped.Close()
	}
	return err
}
