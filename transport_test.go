package reqws_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matryer/is"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/internal/wiretest"
	"github.com/reqws/reqws/reqwstest"
)

// netHTTP is the Transport of net/http on its way to a scripted server.
func netHTTP(srv *reqwstest.Server) *http.Transport {
	return &http.Transport{DialContext: srv.DialContext, TLSClientConfig: srv.TLSConfig(), DisableKeepAlives: true}
}

// Through net/http's Transport all is as it is without.
func TestTransport(t *testing.T) {
	for name, server := range servers {
		t.Run(name, func(t *testing.T) {
			tidy(t)
			is := is.New(t)
			big := bytes.Repeat([]byte("x"), 1<<20)
			srv := server(t, reqwstest.Script(
				reqwstest.Accept(reqwstest.WithFrames(reqwstest.Text("early"))),
				reqwstest.ExpectText("early"),
				reqwstest.SendBinary(big),
				reqwstest.ExpectBinary(big),
				reqwstest.SendPing("p"),
				reqwstest.ExpectPong("p"),
				reqwstest.SendClose(1000, ""),
				reqwstest.ExpectClose(1000, ""),
				reqwstest.ExpectEOF(),
			))
			is.NoErr(to(srv, reqws.Transport(netHTTP(srv))).Run(t.Context(), reqws.Into(reqws.Each(echo))))
		})
	}
}

// The timeouts of a stream hold there too, though net/http's body has no
// deadlines.
func TestTimeoutsOverATransport(t *testing.T) {
	t.Run("CloseTimeout", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			is := is.New(t)
			srv := reqwstest.NewMemory(t, reqwstest.Script(reqwstest.Accept(), reqwstest.ExpectClose(1000, ""), reqwstest.Stall()))
			resp, err := to(srv, reqws.Transport(netHTTP(srv)), reqws.CloseTimeout(time.Minute)).Do(t.Context())
			is.NoErr(err)
			start := time.Now()
			is.True(errors.Is(resp.Close(1000, ""), os.ErrDeadlineExceeded))
			is.Equal(time.Since(start), time.Minute)
			is.NoErr(resp.Wait())
		})
	})
	t.Run("WriteTimeout", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			is := is.New(t)
			srv := reqwstest.NewMemory(t, reqwstest.BufferSize(1000), reqwstest.Script(reqwstest.Accept(), reqwstest.Stall()))
			resp, err := to(srv, reqws.Transport(netHTTP(srv)), reqws.WriteTimeout(time.Minute)).Do(t.Context())
			is.NoErr(err)
			start := time.Now()
			err = resp.Send(t.Context(), reqws.Binary(make([]byte, 10_000)))
			is.True(errors.Is(err, os.ErrDeadlineExceeded))
			is.True(strings.Contains(err.Error(), "write timeout of 1m0s"))
			is.Equal(time.Since(start), time.Minute)
			is.True(errors.Is(resp.Wait(), os.ErrDeadlineExceeded))
		})
	})
	t.Run("Send", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			is := is.New(t)
			srv := reqwstest.NewMemory(t, reqwstest.BufferSize(1000), reqwstest.Script(reqwstest.Accept(), reqwstest.Stall()))
			resp, err := to(srv, reqws.Transport(netHTTP(srv))).Do(t.Context())
			is.NoErr(err)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			start := time.Now()
			err = resp.Send(ctx, reqws.Binary(make([]byte, 10_000)))
			is.True(errors.Is(err, context.DeadlineExceeded))
			is.True(strings.Contains(err.Error(), "cut off"))
			is.Equal(time.Since(start), time.Second)
			is.True(strings.Contains(resp.Wait().Error(), "cut off"))
		})
	})
	t.Run("ctx", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			is := is.New(t)
			srv := reqwstest.NewMemory(t, reqwstest.Script(reqwstest.Accept(), reqwstest.ExpectClose(1001, ""), reqwstest.ExpectGone()))
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			resp, err := to(srv, reqws.Transport(netHTTP(srv))).Do(ctx)
			is.NoErr(err)
			is.True(errors.Is(resp.Wait(), context.DeadlineExceeded))
		})
	})
}

// Nobody waits long for the body of a refusal that comes through a Transport.
func TestARefusalOverATransport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		srv := reqwstest.NewMemory(t,
			reqwstest.Script(reqwstest.Refuse(403, nil, "no")),
			reqwstest.Script(wiretest.RawResponse("HTTP/1.1 403 Forbidden\r\nContent-Length: 10\r\n\r\nsome"), reqwstest.Stall()),
		)
		req := to(srv, reqws.Transport(netHTTP(srv)), reqws.ConnectTimeout(time.Minute), reqws.HTTPErrors(reqws.ReturnErrors))
		resp, err := req.Do(t.Context())
		is.NoErr(err)
		is.Equal(string(resp.Body), "no")
		start := time.Now()
		resp, err = req.Do(t.Context())
		is.NoErr(err)
		is.Equal(resp.StatusCode, 403)
		is.Equal(string(resp.Body), "some") // what could be had of it
		is.Equal(time.Since(start), time.Second)
	})
}

// A Transport whose 101 cannot be written to is of no use.
func TestATransportWithoutAConnection(t *testing.T) {
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			closed := false
			rt := reqws.RoundTripFunc(func(req *http.Request) (*http.Response, error) {
				return &http.Response{
					StatusCode: 101, ProtoMajor: 1, ProtoMinor: 1,
					Header: http.Header{
						"Connection": {"Upgrade"}, "Upgrade": {"websocket"},
						"Sec-Websocket-Accept": {reqwstest.AcceptKey(req.Header.Get("Sec-WebSocket-Key"))},
					},
					Body: closer{strings.NewReader("read only"), &closed},
				}, nil
			})
			err := way(t.Context(), reqws.New(reqws.URL("ws://example.com/"), reqws.Transport(rt)))
			is.True(err != nil)
			is.True(strings.Contains(err.Error(), "cannot be written to"))
			is.True(closed)
		})
	}
}

type closer struct {
	io.Reader
	closed *bool
}

func (c closer) Close() error { *c.closed = true; return nil }

// A Transport may give the connection itself as the body.
func TestATransportThatGivesTheConnection(t *testing.T) {
	tidy(t)
	is := is.New(t)
	srv := reqwstest.New(t, reqwstest.Script(
		reqwstest.Accept(), reqwstest.SendText("hi"), reqwstest.ExpectText("hi"), reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, "")))
	rt := reqws.RoundTripFunc(func(req *http.Request) (*http.Response, error) {
		conn, err := net.Dial("tcp", srv.Addr())
		if err != nil {
			return nil, err
		}
		if err := req.Write(conn); err != nil {
			return nil, err
		}
		resp, err := http.ReadResponse(bufio.NewReaderSize(oneByte{conn}, 16), req)
		if err != nil {
			return nil, err
		}
		resp.Body = conn
		return resp, nil
	})
	is.NoErr(to(srv, reqws.Transport(rt)).Run(t.Context(), reqws.Into(reqws.Each(echo))))
}

// oneByte reads byte by byte, so that a buffer holds no more than was asked for.
type oneByte struct{ io.Reader }

func (r oneByte) Read(p []byte) (int, error) { return r.Reader.Read(p[:1]) }

// A Transport that only knows the ctx of the request meets the connect timeout
// all the same, and it is called that.
func TestATransportThatWaitsForItsCtx(t *testing.T) {
	rt := reqws.RoundTripFunc(func(req *http.Request) (*http.Response, error) {
		<-req.Context().Done()
		return nil, req.Context().Err()
	})
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				is := is.New(t)
				req := reqws.New(reqws.URL("ws://example.com/"), reqws.Transport(rt), reqws.Retry(reqws.Never), reqws.ConnectTimeout(time.Second))
				start := time.Now()
				err := way(t.Context(), req)
				is.True(errors.Is(err, context.DeadlineExceeded))
				is.True(strings.Contains(err.Error(), "connect timeout of 1s"))
				is.Equal(time.Since(start), time.Second)

				why := errors.New("no longer needed")
				ctx, cancel := context.WithCancelCause(t.Context())
				cancel(why)
				err = way(ctx, req.With(reqws.ConnectTimeout(0)))
				is.True(errors.Is(err, context.Canceled))
				is.True(errors.Is(err, why))
			})
		})
	}
}

// A failing Transport's error can be tested for.
func TestATransportThatFails(t *testing.T) {
	why := errors.New("no cable")
	rt := reqws.RoundTripFunc(func(*http.Request) (*http.Response, error) { return nil, why })
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			err := way(t.Context(), reqws.New(reqws.URL("ws://example.com/p?token=secret"), reqws.Transport(rt)))
			is.True(errors.Is(err, why))
			is.True(strings.Contains(err.Error(), "ws://example.com/p"))
			is.True(!strings.Contains(err.Error(), "secret"))
		})
	}
}
