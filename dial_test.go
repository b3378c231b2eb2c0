package reqws_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/matryer/is"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/reqwstest"
)

// While it is open, Dial's connection works behind such a step.
func TestDialBehindAStepThatWrapsTheBody(t *testing.T) {
	tidy(t)
	is := is.New(t)
	srv := reqwstest.New(t, reqwstest.Script(reqwstest.Accept(), reqwstest.EchoUntilClose()))
	w := &wrapper{}
	conn, _, err := to(srv, reqws.Use(w.step)).Dial(t.Context())
	is.NoErr(err)
	is.NoErr(conn.Write(t.Context(), websocket.MessageText, []byte("hello")))
	_, p, err := conn.Read(t.Context())
	is.NoErr(err)
	is.Equal(string(p), "hello")
	is.Equal(w.closed, 0)
	is.NoErr(conn.Close(websocket.StatusNormalClosure, ""))
	is.Equal(w.closed, 1)
}

// Dial hands over coder's Conn, which works as it does from its own Dial, and a
// Response that tells of the handshake.
func TestDial(t *testing.T) {
	reqwstest.NoLeaks(t, "github.com/coder/websocket")
	is := is.New(t)
	done := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(done)
		conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{
			Subprotocols: []string{"echo"}, CompressionMode: websocket.CompressionContextTakeover,
		})
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.CloseNow()
		for {
			kind, p, err := conn.Read(r.Context())
			if err != nil {
				return
			}
			_ = conn.Write(r.Context(), kind, p)
		}
	}))
	defer srv.Close()
	ctx, cancel := context.WithCancel(t.Context())
	conn, resp, err := reqws.New(
		reqws.URL("ws"+strings.TrimPrefix(srv.URL, "http")),
		reqws.Subprotocols("echo"),
		reqws.Compression(websocket.CompressionContextTakeover),
	).Dial(ctx)
	is.NoErr(err)
	cancel() // it bounds the handshake alone
	is.Equal(resp.StatusCode, 101)
	is.Equal(resp.Subprotocol, "echo")
	is.True(strings.Contains(resp.Header.Get("Sec-WebSocket-Extensions"), "permessage-deflate"))
	is.Equal(resp.Request.URL.Scheme, "ws")
	for _, p := range []string{"hello", strings.Repeat("compress me ", 1000)} {
		is.NoErr(conn.Write(t.Context(), websocket.MessageText, []byte(p)))
		_, got, err := conn.Read(t.Context())
		is.NoErr(err)
		is.Equal(string(got), p)
	}
	is.NoErr(conn.Ping(conn.CloseRead(t.Context())))
	is.NoErr(conn.Close(websocket.StatusNormalClosure, "done"))
	<-done
	is.True(errors.Is(resp.Send(t.Context(), reqws.Text("x")), reqws.ErrClosed)) // the Conn has the stream
}

// A host that a URL has to write in another way is dialled as any.
func TestDialOfAnAddressWithAZone(t *testing.T) {
	is := is.New(t)
	srv := reqwstest.NewMemory(t, reqwstest.Script(reqwstest.Accept(), reqwstest.ExpectText("hi")))
	conn, _, err := reqws.New(reqws.URL("ws://[fe80::1%25eth0]:81/"), reqws.DialContext(srv.DialContext)).Dial(t.Context())
	is.NoErr(err)
	defer conn.CloseNow()
	is.NoErr(conn.Write(t.Context(), websocket.MessageText, []byte("hi")))
}

// The end of the ctx that Dial was given does not end a connection through the
// user's own Transport either.
func TestDialOverATransport(t *testing.T) {
	tidy(t)
	is := is.New(t)
	srv := reqwstest.New(t, reqwstest.Script(reqwstest.Accept(), reqwstest.EchoUntilClose()))
	ctx, cancel := context.WithCancel(t.Context())
	conn, _, err := to(srv, reqws.Transport(netHTTP(srv))).Dial(ctx)
	is.NoErr(err)
	cancel()
	for range 3 {
		is.NoErr(conn.Write(t.Context(), websocket.MessageText, []byte("hello")))
		_, p, err := conn.Read(t.Context())
		is.NoErr(err)
		is.Equal(string(p), "hello")
	}
	is.NoErr(conn.Close(websocket.StatusNormalClosure, ""))
}

// A Transport's context ends with the connection.
func TestDialOverATransportLeavesNothing(t *testing.T) {
	for _, wrap := range []bool{false, true} {
		t.Run(fmt.Sprint(wrap), func(t *testing.T) {
			tidy(t)
			is := is.New(t)
			srv := reqwstest.New(t, reqwstest.Script(reqwstest.Accept(), reqwstest.EchoUntilClose()).Repeat())
			var ctxs []context.Context
			rt := netHTTP(srv)
			req := to(srv, reqws.Transport(reqws.RoundTripFunc(func(req *http.Request) (*http.Response, error) {
				ctxs = append(ctxs, req.Context())
				return rt.RoundTrip(req)
			})))
			if wrap {
				req = req.With(reqws.Use((&wrapper{}).step))
			}
			for _, end := range []func(*websocket.Conn) error{
				(*websocket.Conn).CloseNow,
				func(c *websocket.Conn) error { return c.Close(websocket.StatusNormalClosure, "") },
			} {
				conn, _, err := req.Dial(context.Background())
				is.NoErr(err)
				is.NoErr(ctxs[len(ctxs)-1].Err())
				is.NoErr(end(conn))
				is.True(ctxs[len(ctxs)-1].Err() != nil)
			}
		})
	}
}

// Dial makes a WebSocket of an http URL: subprotocols, method and all.
func TestDialOfAnHTTPURL(t *testing.T) {
	tidy(t)
	is := is.New(t)
	srv := reqwstest.New(t,
		reqwstest.Script(reqwstest.Redirect(302, "/there")),
		reqwstest.Script(reqwstest.Accept(reqwstest.WithSubprotocol("chat")), reqwstest.EchoUntilClose()),
		reqwstest.Script(reqwstest.Refuse(403, nil, "no")))
	req := to(srv, reqws.URL(srv.HTTPURL()+"/here"), reqws.Method("POST"), reqws.Subprotocols("chat"))
	conn, resp, err := req.Dial(t.Context())
	is.NoErr(err)
	is.Equal(conn.Subprotocol(), "chat")
	is.Equal(resp.Subprotocol, "chat")
	is.Equal(resp.Request.URL.String(), srv.URL+"/there")
	is.NoErr(conn.CloseNow())
	_, _, err = req.Dial(t.Context())
	is.True(strings.HasPrefix(err.Error(), "reqws: handshake: "+srv.URL+"/here: refused with status 403 "))
}

// MaxMessageSize is the read limit of Dial's Conn.
func TestDialsReadLimit(t *testing.T) {
	for _, tc := range []struct {
		limit []reqws.Option
		size  int
		fits  bool
	}{
		{nil, 1 << 20, true}, // and coder's own is 32 KiB
		{nil, 16<<20 + 1, false},
		{[]reqws.Option{reqws.MaxMessageSize(1000)}, 1000, true},
		{[]reqws.Option{reqws.MaxMessageSize(1000)}, 1001, false},
		{[]reqws.Option{reqws.MaxMessageSize(-1)}, 16<<20 + 1, true},
		{[]reqws.Option{reqws.MaxMessageSize(math.MaxInt64)}, 16<<20 + 1, true},
	} {
		t.Run(fmt.Sprint(len(tc.limit), tc.size, tc.fits), func(t *testing.T) {
			tidy(t)
			is := is.New(t)
			srv := reqwstest.NewMemory(t, reqwstest.Script(reqwstest.Accept(), reqwstest.Do(func(c *reqwstest.Conn) error {
				_ = c.WriteFrame(reqwstest.Binary(make([]byte, tc.size)))
				return nil
			}), reqwstest.Do(func(c *reqwstest.Conn) error {
				io.Copy(io.Discard, c)
				return nil
			})))
			conn, _, err := to(srv, tc.limit...).Dial(t.Context())
			is.NoErr(err)
			_, p, err := conn.Read(t.Context())
			is.Equal(err == nil, tc.fits)
			if tc.fits {
				is.Equal(len(p), tc.size)
			} else {
				is.True(errors.Is(err, websocket.ErrMessageTooBig))
			}
			_ = conn.CloseNow()
		})
	}
}
