package reqws_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/matryer/is"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/reqwstest"
)

// ways are the three ways to execute a Request.
var ways = map[string]func(context.Context, *reqws.Request) error{
	"Do": func(ctx context.Context, r *reqws.Request) error {
		resp, err := r.Do(ctx)
		if err == nil {
			_ = resp.CloseNow()
			_ = resp.Wait()
		}
		return err
	},
	"Run": func(ctx context.Context, r *reqws.Request) error {
		return r.Run(ctx, reqws.Into(reqws.Each(func(reqws.Frame) reqws.Directive { return reqws.Cont() })))
	},
	"Dial": func(ctx context.Context, r *reqws.Request) error {
		conn, _, err := r.Dial(ctx)
		if err == nil {
			_ = conn.CloseNow()
		}
		return err
	},
}

// The 101 may come in any pieces, with frames behind it.
func TestTheAnswerInPieces(t *testing.T) {
	for _, n := range []int{1, 2, 3, 10, 100, 10_000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				is := is.New(t)
				srv := reqwstest.NewMemory(t, reqwstest.Script(
					reqwstest.Accept(
						reqwstest.WithHeader("X-Long", strings.Repeat("x", 300)),
						reqwstest.WithFrames(reqwstest.Text("early"), reqwstest.Ping("p"), reqwstest.Text("bird")),
						reqwstest.InPieces(n),
					),
					reqwstest.ExpectPong("p"),
					reqwstest.SendClose(1000, ""),
					reqwstest.ExpectClose(1000, ""),
				))
				w := &witness{}
				is.NoErr(to(srv).Run(t.Context(), w.into()))
				is.Equal(w.frames(), []string{`text "early"`, `ping "p"`, `text "bird"`, "close 1000"})
			})
		})
	}
}

// What comes in the packet of the 101 is not lost, whatever its size and the way
// it is read.
func TestFramesInThePacketOfTheAnswer(t *testing.T) {
	big := strings.Repeat("x", 100_000)
	for name, server := range map[string]func(reqwstest.TB, ...reqwstest.Option) *reqwstest.Server{
		"ws": reqwstest.New, "wss": reqwstest.NewTLS, "memory": reqwstest.NewMemory,
	} {
		for _, mode := range []string{"run", "do", "pull", "mailbox", "dial"} {
			t.Run(name+"/"+mode, func(t *testing.T) {
				tidy(t)
				is := is.New(t)
				srv := server(t, reqwstest.Script(
					reqwstest.Accept(reqwstest.WithFrames(reqwstest.Text("a"), reqwstest.Text(big), reqwstest.Close(1000, ""))),
					reqwstest.ExpectClose(1000, ""),
				))
				req := to(srv, reqws.MaxMessageSize(1<<20))
				want := []string{`text "a"`, reqws.Text(big).String(), "close 1000"}
				w := &witness{}
				var got []string
				switch mode {
				case "run":
					is.NoErr(req.Run(t.Context(), w.into()))
					got = w.frames()
				case "do":
					resp, err := req.Do(t.Context(), w.into())
					is.NoErr(err)
					is.NoErr(resp.Wait())
					got = w.frames()
				case "pull":
					resp, err := req.Do(t.Context())
					is.NoErr(err)
					for f, err := range resp.Frames(t.Context()) {
						is.NoErr(err)
						got = append(got, f.String())
					}
				case "mailbox":
					box := make(chan reqws.Message, 10)
					is.NoErr(req.Run(t.Context(), reqws.IntoMailbox(box)))
					for m := range box {
						if m.Err != nil {
							break
						}
						got = append(got, listed(m.Frames)...)
					}
				case "dial":
					conn, _, err := req.Dial(t.Context())
					is.NoErr(err)
					conn.SetReadLimit(1 << 20)
					for range 2 {
						_, p, err := conn.Read(t.Context())
						is.NoErr(err)
						got = append(got, reqws.Text(p).String())
					}
					_, _, err = conn.Read(t.Context())
					is.Equal(websocket.CloseStatus(err), websocket.StatusNormalClosure)
					got = append(got, "close 1000")
				}
				is.Equal(got, want)
			})
		}
	}
}

// A URL without a path means "/".
func TestNoPath(t *testing.T) {
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			tidy(t)
			is := is.New(t)
			srv := reqwstest.New(t, reqwstest.Script(reqwstest.Accept(reqwstest.WithFrames(reqwstest.Close(1000, "")))).Times(2))
			for _, u := range []string{srv.URL, srv.URL + "?q=1"} {
				is.NoErr(way(t.Context(), to(srv, reqws.URL(u))))
			}
			is.Equal(srv.Requests()[0].RequestURI, "/")
			is.Equal(srv.Requests()[1].RequestURI, "/?q=1")
		})
	}
}

// A refused handshake is an answer of Do, with its status, headers and body, and
// an *HTTPError of everything else.
func TestARefusedHandshake(t *testing.T) {
	for _, status := range []int{200, 202, 300, 304, 400, 401, 403, 404, 410, 418, 429, 500, 503} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			tidy(t)
			is := is.New(t)
			header := http.Header{"X-Why": {"no room"}, "Www-Authenticate": {"Basic"}}
			body := "the house is full"
			if status == 304 {
				body = "" // it cannot have one
			}
			srv := reqwstest.New(t, reqwstest.Script(reqwstest.Refuse(status, header, body)).Times(6))
			w := &witness{}
			req := to(srv, reqws.URL(srv.URL+"/chat?token=secret"), reqws.OnOpen(func(*reqws.Response) reqws.Directive {
				t.Error("OnOpen was called")
				return reqws.Cont()
			}))
			check := func(h http.Header, got int, b []byte) {
				t.Helper()
				is.Equal(got, status)
				is.Equal(h.Get("X-Why"), "no room")
				is.Equal(string(b), body)
			}
			for _, opts := range [][]reqws.Option{nil, {w.into()}} {
				resp, err := req.Do(t.Context(), append(opts, reqws.HTTPErrors(reqws.ReturnErrors))...)
				is.NoErr(err)
				check(resp.Header, resp.StatusCode, resp.Body)
				is.Equal(resp.Proto, "HTTP/1.1")
				is.Equal(resp.Request.URL.Path, "/chat")
				<-resp.Done()
				if opts == nil {
					_, err = resp.Receive(t.Context())
					is.Equal(err, resp.Wait())
				}
				is.True(resp.Send(t.Context(), reqws.Text("x")) != nil)
				is.NoErr(resp.Close(1000, ""))
			}
			for name, execute := range map[string]func() error{
				"Do":          func() error { _, err := req.Do(t.Context()); return err },
				"RaiseErrors": func() error { _, err := req.Do(t.Context(), reqws.HTTPErrors(reqws.RaiseErrors)); return err },
				"Run":         func() error { return req.Run(t.Context(), w.into()) },
				"Dial":        func() error { _, _, err := req.Dial(t.Context()); return err },
			} {
				t.Run(name, func(t *testing.T) {
					err := execute()
					var he *reqws.HTTPError
					is.True(errors.As(err, &he))
					check(he.Header, he.StatusCode, he.Body)
					is.True(strings.Contains(err.Error(), "handshake"))
					is.True(strings.Contains(err.Error(), fmt.Sprint(status)))
					is.True(strings.Contains(err.Error(), srv.URL+"/chat"))
					is.True(strings.HasSuffix(err.Error(), body))
					is.Equal(he.URL, srv.URL+"/chat")
					is.True(!strings.Contains(err.Error(), "secret"))
				})
			}
			is.Equal(w.frames(), nil)
			is.Equal(w.errs, nil)
		})
	}
}

// A refusal counts, whatever its headers say of how long the body is.
func TestARefusalOfNoKnownLength(t *testing.T) {
	for _, says := range []string{
		"Content-Length: secret", "Content-Length: 1\r\nContent-Length: 2", "Content-Length: 99999999999999999999",
		"Transfer-Encoding: identity", "Transfer-Encoding: gzip, chunked", "Transfer-Encoding: secret",
	} {
		for name, way := range ways {
			t.Run(says+"/"+name, func(t *testing.T) {
				tidy(t)
				is := is.New(t)
				answer := reqwstest.RawResponse("HTTP/1.1 403 Forbidden\r\n" + says + "\r\n\r\nno room")
				srv := reqwstest.New(t, reqwstest.Script(answer).Times(2))
				err := way(t.Context(), to(srv, reqws.URL(srv.URL)))
				var he *reqws.HTTPError
				is.True(errors.As(err, &he))
				is.Equal(he.StatusCode, 403)
				is.True(strings.HasSuffix(err.Error(), ": refused with status 403 Forbidden: no room"))

				err = way(t.Context(), to(srv, reqws.URL("ws://example.com/"), reqws.ProxyURL(strings.Replace(srv.URL, "ws", "http", 1))))
				var pe *reqws.ProxyError
				is.True(errors.As(err, &pe))
				is.Equal(pe.StatusCode, 403)
				is.Equal(string(pe.Body), "no room")
			})
		}
	}
}

// Of a refusal's body the first 1 MiB are kept.
func TestTheBodyOfARefusalIsBounded(t *testing.T) {
	tidy(t)
	is := is.New(t)
	srv := reqwstest.New(t, reqwstest.Script(reqwstest.Refuse(403, nil, strings.Repeat("x", 1<<20+1))))
	_, err := to(srv).Do(t.Context())
	var he *reqws.HTTPError
	is.True(errors.As(err, &he))
	is.Equal(len(he.Body), 1<<20)
}

// With Redirect(false) a redirect is a refusal like any other.
func TestARedirectNotFollowed(t *testing.T) {
	tidy(t)
	is := is.New(t)
	srv := reqwstest.New(t, reqwstest.Script(reqwstest.Redirect(307, "/elsewhere")).Times(2))
	req := to(srv, reqws.Redirect(false))
	resp, err := req.Do(t.Context(), reqws.HTTPErrors(reqws.ReturnErrors))
	is.NoErr(err)
	is.Equal(resp.StatusCode, 307)
	is.Equal(resp.Header.Get("Location"), "/elsewhere")
	var he *reqws.HTTPError
	is.True(errors.As(req.Run(t.Context(), (&witness{}).into()), &he))
	is.Equal(he.StatusCode, 307)
}

// What is neither a refusal nor an open WebSocket is an error, always, and leaves
// nothing open.
func TestAWrongAnswer(t *testing.T) {
	for _, tc := range []struct {
		name string
		step reqwstest.Step
		says string
		opts []reqws.Option
	}{
		{"wrong accept", reqwstest.Accept(reqwstest.WithAccept("bm90IHRoZSByaWdodCBvbmU=")), "Sec-WebSocket-Accept", nil},
		{"no accept", reqwstest.Accept(reqwstest.Without("Sec-WebSocket-Accept")), "Sec-WebSocket-Accept", nil},
		{"no Upgrade", reqwstest.Accept(reqwstest.Without("Upgrade")), "Upgrade", nil},
		{"no Connection", reqwstest.Accept(reqwstest.Without("Connection")), "Connection", nil},
		{"unasked subprotocol", reqwstest.Accept(reqwstest.WithSubprotocol("chat")), "Sec-WebSocket-Protocol", nil},
		{"another subprotocol", reqwstest.Accept(reqwstest.WithSubprotocol("chat")), "Sec-WebSocket-Protocol", []reqws.Option{reqws.Subprotocols("a", "b")}},
		{"two subprotocols", reqwstest.Accept(reqwstest.WithSubprotocol("a"), reqwstest.WithHeader("Sec-WebSocket-Protocol", "chat")), "Sec-WebSocket-Protocol", []reqws.Option{reqws.Subprotocols("a", "b")}},
		{"unasked extension", reqwstest.Accept(reqwstest.WithExtensions("permessage-deflate")), "xtension", nil},
		{"unknown extension", reqwstest.Accept(reqwstest.WithExtensions("x-webkit-what")), "xtension", []reqws.Option{reqws.Compression(websocket.CompressionContextTakeover)}},
		{"bad extension parameter", reqwstest.Accept(reqwstest.WithExtensions("permessage-deflate; server_max_window_bits=99")), "", []reqws.Option{reqws.Compression(websocket.CompressionContextTakeover)}},
		{"no HTTP", reqwstest.RawResponse("SSH-2.0-OpenSSH_9.9\r\n"), "", nil},
		{"a subprotocol in another case", reqwstest.Accept(reqwstest.WithSubprotocol("Chat")), "Sec-WebSocket-Protocol", []reqws.Option{reqws.Subprotocols("chat")}},
		{"a subprotocol echoed as a list", reqwstest.Accept(reqwstest.WithSubprotocol("a, secret")), "Sec-WebSocket-Protocol", []reqws.Option{reqws.Subprotocols("a", "secret")}},
		{"a piece of a subprotocol", reqwstest.Accept(reqwstest.WithSubprotocol("secret")), "Sec-WebSocket-Protocol", []reqws.Option{reqws.Subprotocols("bearer.secret.token")}},
		{"two accepts", reqwstest.Accept(reqwstest.WithHeader("Sec-WebSocket-Accept", "secret")), "Sec-WebSocket-Accept", nil},
		{"malformed extensions", reqwstest.Accept(reqwstest.WithExtensions("permessage-deflate secret")), "xtension", []reqws.Option{reqws.Compression(websocket.CompressionContextTakeover)}},
		{"a long parameter", reqwstest.Accept(reqwstest.WithExtensions("permessage-deflate; secret-" + strings.Repeat("x", 30))), "xtension", []reqws.Option{reqws.Compression(websocket.CompressionContextTakeover)}},
		{"a line that is no header", reqwstest.RawResponse("HTTP/1.1 101 Switching Protocols\r\nSet-Cookie session=secret\r\n\r\n"), "malformed header line", nil},
		{"a first line that is none", reqwstest.RawResponse("HTTP/1.1 secret\r\n\r\n"), "first line", nil},
		{"HTTP/2 in words", reqwstest.RawResponse("HTTP/2.0 200 OK\r\n\r\n"), "not HTTP/1.1", nil},
		{"a 101 in HTTP/2", reqwstest.RawResponse("HTTP/2.0 101 Switching Protocols\r\n\r\n"), "not HTTP/1.1", nil},
		{"nothing", reqwstest.RawResponse(""), "closed", nil},
		{"half an answer", reqwstest.RawResponse("HTTP/1.1 101 Switching Protocols\r\nUpgrade: web"), "closed", nil},
	} {
		for name, way := range ways {
			t.Run(tc.name+"/"+name, func(t *testing.T) {
				tidy(t)
				is := is.New(t)
				srv := reqwstest.New(t, reqwstest.Script(tc.step))
				err := way(t.Context(), to(srv, reqws.URL(srv.URL+"/chat?token=secret")).With(tc.opts...))
				is.True(err != nil)
				var he *reqws.HTTPError
				is.True(!errors.As(err, &he))
				for _, part := range []string{"reqws: handshake: ", srv.URL + "/chat", tc.says} {
					if !strings.Contains(err.Error(), part) {
						t.Errorf("%q does not say %q", err, part)
					}
				}
				is.True(!strings.Contains(err.Error(), "secret"))
			})
		}
	}
}

// Subprotocols are offered in order, and the server's choice is told.
func TestSubprotocols(t *testing.T) {
	for name, way := range map[string]func(*reqws.Request) *reqws.Response{
		"Do": func(r *reqws.Request) *reqws.Response {
			resp, err := r.Do(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.CloseNow()
			return resp
		},
		"Dial": func(r *reqws.Request) *reqws.Response {
			conn, resp, err := r.Dial(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			is.New(t).Equal(conn.Subprotocol(), resp.Subprotocol)
			_ = conn.CloseNow()
			return resp
		},
	} {
		t.Run(name, func(t *testing.T) {
			tidy(t)
			is := is.New(t)
			srv := reqwstest.New(t,
				reqwstest.Script(reqwstest.Accept(reqwstest.WithSubprotocol("mqtt")), reqwstest.ExpectGone()),
				reqwstest.Script(reqwstest.Accept(), reqwstest.ExpectGone()),
			)
			req := to(srv, reqws.Subprotocols("stomp", "mqtt"))
			is.Equal(way(req).Subprotocol, "mqtt")
			is.Equal(way(req).Subprotocol, "") // the server may choose none
			is.Equal(strings.ReplaceAll(srv.Requests()[0].Header.Get("Sec-WebSocket-Protocol"), " ", ""), "stomp,mqtt")
		})
	}
}

// A server that says nothing meets ConnectTimeout, in every way, also through the
// user's own Transport.
func TestASilentServer(t *testing.T) {
	for name, way := range ways {
		for _, own := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/own=%v", name, own), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					is := is.New(t)
					srv := reqwstest.NewMemory(t, reqwstest.Script(reqwstest.Stall()))
					req := to(srv, reqws.ConnectTimeout(7*time.Second))
					if !own {
						req = req.With(reqws.Transport(netHTTP(srv)))
					}
					start := time.Now()
					err := way(t.Context(), req)
					is.Equal(time.Since(start), 7*time.Second)
					is.True(errors.Is(err, context.DeadlineExceeded))
					is.True(strings.Contains(err.Error(), "connect timeout of 7s"))
					is.True(strings.Contains(err.Error(), srv.URL))
				})
			})
		}
	}
}

// netHTTP is the Transport of net/http on its way to a scripted server.
func netHTTP(srv *reqwstest.Server) *http.Transport {
	return &http.Transport{DialContext: srv.DialContext, TLSClientConfig: srv.TLSConfig(), DisableKeepAlives: true}
}

// Through net/http's Transport all is as it is without.
func TestTransport(t *testing.T) {
	for name, server := range map[string]func(reqwstest.TB, ...reqwstest.Option) *reqwstest.Server{
		"ws": reqwstest.New, "wss": reqwstest.NewTLS, "memory": reqwstest.NewMemory,
	} {
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
			reqwstest.Script(reqwstest.RawResponse("HTTP/1.1 403 Forbidden\r\nContent-Length: 10\r\n\r\nsome"), reqwstest.Stall()),
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

// wrapper is a step that wraps the answer's body, as those that measure do.
type wrapper struct {
	closed int
	seen   []string // of the requests, and the answers
}

func (w *wrapper) step(next http.RoundTripper) http.RoundTripper {
	return reqws.RoundTripFunc(func(req *http.Request) (*http.Response, error) {
		w.seen = append(w.seen, req.URL.Scheme)
		resp, err := next.RoundTrip(req)
		if err == nil {
			w.seen = append(w.seen, resp.Status)
			resp.Body = &wrapped{resp.Body.(io.ReadWriteCloser), w}
		}
		return resp, err
	})
}

type wrapped struct {
	io.ReadWriteCloser
	w *wrapper
}

func (b *wrapped) Close() error {
	b.w.closed++
	return b.ReadWriteCloser.Close()
}

// A step may wrap the body of the 101, and learns of the connection's end: once.
func TestAStepThatWrapsTheBody(t *testing.T) {
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			tidy(t)
			is := is.New(t)
			srv := reqwstest.New(t, reqwstest.Script(reqwstest.Accept(), reqwstest.SendClose(1000, "")))
			w := &wrapper{}
			is.NoErr(way(t.Context(), to(srv, reqws.Use(w.step))))
			is.Equal(w.seen, []string{"ws", "101 Switching Protocols"})
			is.Equal(w.closed, 1)
		})
	}
}

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

// A step may answer in the server's place: with a refusal, never with a success.
func TestAStepThatAnswers(t *testing.T) {
	answer := func(status int, body io.ReadCloser) reqws.Option {
		return reqws.Use(func(http.RoundTripper) http.RoundTripper {
			return reqws.RoundTripFunc(func(*http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: status, Header: http.Header{"X-By": {"a step"}}, Body: body}, nil
			})
		})
	}
	req := reqws.New(reqws.URL("ws://example.com/p"))
	returning := reqws.HTTPErrors(reqws.ReturnErrors)
	t.Run("403", func(t *testing.T) {
		is := is.New(t)
		closed := false
		resp, err := req.Do(t.Context(), answer(403, closer{strings.NewReader("not you"), &closed}), returning)
		is.NoErr(err)
		is.Equal(resp.StatusCode, 403)
		is.Equal(string(resp.Body), "not you")
		is.Equal(resp.Request.URL.String(), "ws://example.com/p")
		is.True(closed)
		for _, way := range []string{"Run", "Dial"} {
			err := ways[way](t.Context(), req.With(answer(403, nil))) // a body is not needed
			var he *reqws.HTTPError
			is.True(errors.As(err, &he))
			is.Equal(he.Header.Get("X-By"), "a step")
			is.True(strings.Contains(err.Error(), "ws://example.com/p"))
		}
	})
	for _, status := range []int{101, 200} {
		for name, way := range ways {
			t.Run(fmt.Sprint(status, "/", name), func(t *testing.T) {
				is := is.New(t)
				err := way(t.Context(), req.With(answer(status, nil)))
				is.True(err != nil)
				is.Equal(errors.As(err, new(*reqws.HTTPError)), status == 200) // a refusal, as of a server
				is.True(strings.Contains(err.Error(), fmt.Sprint(status)))
				is.True(strings.Contains(err.Error(), "ws://example.com/p"))
			})
		}
	}
	t.Run("nothing", func(t *testing.T) {
		is := is.New(t)
		for _, way := range ways {
			err := way(t.Context(), req.With(reqws.Use(func(http.RoundTripper) http.RoundTripper {
				return reqws.RoundTripFunc(func(*http.Request) (*http.Response, error) { return nil, nil })
			})))
			is.True(err != nil)
		}
	})
	t.Run("no round tripper", func(t *testing.T) {
		is := is.New(t)
		for _, way := range ways {
			err := way(t.Context(), req.With(reqws.Use(func(http.RoundTripper) http.RoundTripper { return nil })))
			is.True(err != nil)
			is.True(strings.HasPrefix(err.Error(), "reqws: request: ws://example.com/p: a step returned nil"))
		}
	})
	t.Run("plain", func(t *testing.T) {
		is := is.New(t)
		err := req.Run(t.Context(), reqws.URL("http://example.com/p"), answer(404, nil), (&witness{}).into())
		is.True(strings.Contains(err.Error(), "http://example.com/p"))
		resp, err := req.Do(t.Context(), reqws.URL("http://example.com/"), answer(200, io.NopCloser(strings.NewReader("cached"))))
		is.NoErr(err)
		is.Equal(string(resp.Body), "cached")
	})
}

// A step that opens two connections, or opens one and then refuses, leaves none
// behind.
func TestAStepThatAsksTwice(t *testing.T) {
	tidy(t)
	is := is.New(t)
	srv := reqwstest.New(t,
		reqwstest.Script(reqwstest.Accept(), reqwstest.ExpectGone()),
		reqwstest.Script(reqwstest.Accept(), reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, "")),
		reqwstest.Script(reqwstest.Accept(), reqwstest.ExpectGone()),
	)
	twice := func(next http.RoundTripper) http.RoundTripper {
		return reqws.RoundTripFunc(func(req *http.Request) (*http.Response, error) {
			if _, err := next.RoundTrip(req.Clone(req.Context())); err != nil {
				return nil, err
			}
			return next.RoundTrip(req)
		})
	}
	is.NoErr(to(srv, reqws.Use(twice)).Run(t.Context(), (&witness{}).into()))
	refuses := func(next http.RoundTripper) http.RoundTripper {
		return reqws.RoundTripFunc(func(req *http.Request) (*http.Response, error) {
			if _, err := next.RoundTrip(req); err != nil {
				return nil, err
			}
			return &http.Response{StatusCode: 418}, nil
		})
	}
	resp, err := to(srv, reqws.Use(refuses), reqws.HTTPErrors(reqws.ReturnErrors)).Do(t.Context())
	is.NoErr(err)
	is.Equal(resp.StatusCode, 418)
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

// A DialContext that returns a nil pointer returned no connection.
func TestDialContextThatReturnsNothing(t *testing.T) {
	for name, way := range ways {
		for _, conn := range []net.Conn{nil, (*net.TCPConn)(nil)} {
			t.Run(name, func(t *testing.T) {
				is := is.New(t)
				err := way(t.Context(), reqws.New(reqws.URL("wss://example.com/"), reqws.Proxy(nil), reqws.DialContext(func(context.Context, string, string) (net.Conn, error) {
					return conn, nil
				})))
				is.Equal(err.Error(), "reqws: dial: wss://example.com/: DialContext returned neither a connection nor an error")
			})
		}
	}
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

// With permessage-deflate both sides may compress, and the frames that a handler
// sees are what was meant.
func TestCompression(t *testing.T) {
	for _, tc := range []struct {
		mode websocket.CompressionMode
		ext  string
	}{
		{websocket.CompressionContextTakeover, "permessage-deflate"},
		{websocket.CompressionNoContextTakeover, "permessage-deflate; client_no_context_takeover; server_no_context_takeover"},
	} {
		t.Run(tc.ext, func(t *testing.T) {
			tidy(t)
			is := is.New(t)
			text := strings.Repeat("the same again and again ", 200)
			srv := reqwstest.New(t, reqwstest.Script(
				reqwstest.Accept(reqwstest.WithExtensions(tc.ext)),
				reqwstest.Send(reqwstest.Deflate(reqwstest.Text(text)), reqwstest.Text("as it is"), reqwstest.Deflate(reqwstest.Binary(""))),
				reqwstest.ExpectText(text),
				reqwstest.ExpectText("as it is"),
				reqwstest.ExpectBinary(""),
				reqwstest.SendClose(1000, ""),
				reqwstest.ExpectClose(1000, ""),
			))
			is.NoErr(to(srv, reqws.Compression(tc.mode)).Run(t.Context(), reqws.Into(reqws.Each(echo))))
			is.NoErr(srv.Wait(t.Context()))
			is.True(len(srv.Conns()[0].Frames()[0].Payload) < len(text)/10)
		})
	}
}

// A deflate bomb stops at MaxMessageSize.
func TestADeflateBomb(t *testing.T) {
	tidy(t)
	is := is.New(t)
	srv := reqwstest.New(t, reqwstest.Script(
		reqwstest.Accept(reqwstest.WithExtensions("permessage-deflate")),
		reqwstest.Send(reqwstest.Text("before"), reqwstest.Deflate(reqwstest.Binary(make([]byte, 32<<20)))),
		reqwstest.ExpectCloseCode(1009),
	))
	w := &witness{}
	err := to(srv, reqws.Compression(websocket.CompressionContextTakeover), reqws.MaxMessageSize(1<<20)).Run(t.Context(), w.into())
	is.True(errors.Is(err, reqws.ErrMessageTooBig))
	is.Equal(w.frames(), []string{`text "before"`})
}

// Whoever answers nothing, or leaves out of an answer what it can do without, is
// survived: in every way, and as what it was meant.
func TestAnAnswerThatLacksSomething(t *testing.T) {
	answers := func(resp *http.Response) http.RoundTripper {
		return reqws.RoundTripFunc(func(*http.Request) (*http.Response, error) { return resp, nil })
	}
	step := func(resp *http.Response) reqws.Step {
		return func(http.RoundTripper) http.RoundTripper { return answers(resp) }
	}
	places := map[string]func(*http.Response) reqws.Option{
		"Transport": func(r *http.Response) reqws.Option { return reqws.Transport(answers(r)) },
		"Use":       func(r *http.Response) reqws.Option { return reqws.Use(step(r)) },
		"Auth":      func(r *http.Response) reqws.Option { return reqws.Auth(step(r)) },
		"AuthFunc": func(r *http.Response) reqws.Option {
			return reqws.Auth(reqws.AuthFunc(func(context.Context) (reqws.Step, error) { return step(r), nil }))
		},
	}
	for place, option := range places {
		for _, u := range []string{"ws://example.com/p", "http://example.com/p"} {
			for name, way := range ways {
				t.Run(place+"/"+u+"/"+name, func(t *testing.T) {
					is := is.New(t)
					req := reqws.New(reqws.URL(u), reqws.Retry(reqws.Never), reqws.Proxy(nil))
					err := way(t.Context(), req.With(option(nil)))
					is.True(err != nil)
					is.True(strings.Contains(err.Error(), "neither an answer nor an error"))
					is.True(strings.Contains(err.Error(), "://example.com/p: "))

					err = way(t.Context(), req.With(option(&http.Response{StatusCode: 403}), reqws.HTTPErrors(reqws.RaiseErrors)))
					var he *reqws.HTTPError
					is.True(errors.As(err, &he))
					is.Equal(he.StatusCode, 403)
					is.True(strings.HasSuffix(he.URL, "://example.com/p"))

					err = way(t.Context(), req.With(option(&http.Response{StatusCode: 403, Request: &http.Request{}}), reqws.HTTPErrors(reqws.RaiseErrors)))
					is.True(errors.As(err, &he))
					is.True(strings.HasSuffix(he.URL, "://example.com/p"))
				})
			}
		}
	}
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

// An answer that breaks the rules is an error at once, though the server waits.
func TestAWrongAnswerBeforeSilence(t *testing.T) {
	for name, answer := range map[string]reqwstest.Step{
		"no Connection": reqwstest.Accept(reqwstest.Without("Connection")),
		"no Upgrade":    reqwstest.Accept(reqwstest.Without("Upgrade")),
		"wrong accept":  reqwstest.Accept(reqwstest.WithAccept("no")),
		"subprotocol":   reqwstest.Accept(reqwstest.WithSubprotocol("x")),
		"extension":     reqwstest.Accept(reqwstest.WithExtensions("permessage-deflate; client_max_window_bits=10")),
		"SSH":           reqwstest.RawResponse("SSH-2.0-OpenSSH_9.9\r\n"),
		"TLS":           reqwstest.RawResponse("\x15\x03\x01\x00\x02\x02\x46"),
	} {
		for wayName, way := range ways {
			for _, own := range []bool{true, false} {
				if !own && (name == "SSH" || name == "TLS") {
					continue // net/http waits for the end of the head
				}
				t.Run(fmt.Sprint(name, "/", wayName, "/own=", own), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						is := is.New(t)
						srv := reqwstest.NewMemory(t, reqwstest.Script(answer, reqwstest.ExpectGone()))
						req := to(srv, reqws.Compression(websocket.CompressionContextTakeover))
						if name == "extension" && wayName != "Dial" {
							req = to(srv)
						}
						if !own {
							req = req.With(reqws.Transport(netHTTP(srv)))
						}
						start := time.Now()
						err := way(t.Context(), req)
						is.True(err != nil)
						is.Equal(time.Since(start), 0*time.Second)
						is.True(strings.HasPrefix(err.Error(), "reqws: handshake: "+srv.URL))
					})
				})
			}
		}
	}
}

// The headers of a 101 that speak of a body say nothing, and its Connection may
// hold more than one thing.
func TestHeadersThatDoNotMatterInA101(t *testing.T) {
	for _, tc := range []struct {
		name, value string
		overHTTP    bool // net/http lets it pass, too
	}{
		{"Transfer-Encoding", "identity", false},
		{"Transfer-Encoding", "gzip, chunked", false},
		{"Transfer-Encoding", "chunked", true},
		{"Content-Length", "0", true},
		{"Content-Length", "12", true},
		{"Content-Length", "nonsense", false},
		{"Content-Length", "5\r\nContent-Length: 6", false},
		{"Connection", "close", false},
		{"Sec-WebSocket-Extensions", "", true},
		{"Sec-WebSocket-Protocol", "", true},
	} {
		for name, way := range ways {
			for _, own := range []bool{true, false} {
				if !own && !tc.overHTTP {
					continue
				}
				t.Run(fmt.Sprint(tc.name, " ", tc.value, "/", name, "/own=", own), func(t *testing.T) {
					tidy(t)
					is := is.New(t)
					srv := reqwstest.New(t, reqwstest.Script(
						reqwstest.Accept(reqwstest.WithHeader(tc.name, tc.value), reqwstest.WithFrames(reqwstest.Close(1000, ""))),
						reqwstest.Do(func(c *reqwstest.Conn) error {
							io.Copy(io.Discard, c)
							return nil
						})))
					req := to(srv)
					if !own {
						req = req.With(reqws.Transport(netHTTP(srv)))
					}
					is.NoErr(way(t.Context(), req))
				})
			}
		}
	}
	for _, value := range []string{"close, Upgrade", "keep-alive, upgrade", "UPGRADE,close"} {
		t.Run("Connection "+value, func(t *testing.T) {
			tidy(t)
			is := is.New(t)
			srv := reqwstest.New(t, reqwstest.Script(
				reqwstest.Accept(reqwstest.Without("Connection"), reqwstest.WithHeader("Connection", value)),
				reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, "")))
			is.NoErr(to(srv).Run(t.Context(), (&witness{}).into()))
		})
	}
}

// The body of a refusal may have no end: nobody waits for it longer than a second,
// and ctx ends that too.
func TestARefusalWithoutEnd(t *testing.T) {
	for name, opts := range map[string]func(*reqwstest.Server) []reqws.Option{
		"own":       func(*reqwstest.Server) []reqws.Option { return nil },
		"Transport": func(srv *reqwstest.Server) []reqws.Option { return []reqws.Option{reqws.Transport(netHTTP(srv))} },
		"a body that does not hear of its end": func(*reqwstest.Server) []reqws.Option {
			return []reqws.Option{reqws.Use(func(next http.RoundTripper) http.RoundTripper {
				return reqws.RoundTripFunc(func(req *http.Request) (*http.Response, error) {
					resp, err := next.RoundTrip(req)
					if err == nil {
						inner, stuck := resp.Body, make(chan struct{})
						time.AfterFunc(time.Hour, func() { close(stuck); inner.Close() })
						resp.Body = stubborn{io.LimitReader(inner, 9), stuck}
					}
					return resp, err
				})
			})}
		},
	} {
		for wayName, way := range ways {
			t.Run(name+"/"+wayName, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					is := is.New(t)
					srv := reqwstest.NewMemory(t, reqwstest.Script(reqwstest.RawResponse("HTTP/1.1 503 Busy\r\n\r\nso busy!\n"), reqwstest.ExpectGone()).Times(2))
					req := to(srv, append(opts(srv), reqws.ConnectTimeout(0))...)
					start := time.Now()
					err := way(t.Context(), req)
					is.Equal(time.Since(start), time.Second)
					var he *reqws.HTTPError
					is.True(errors.As(err, &he))
					is.Equal(string(he.Body), "so busy!\n")
					is.True(strings.HasSuffix(err.Error(), "refused with status 503 Service Unavailable: so busy!"))

					ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
					defer cancel()
					start = time.Now()
					is.True(errors.As(way(ctx, req), &he))
					is.Equal(time.Since(start), time.Millisecond)
					time.Sleep(2 * time.Hour)
				})
			})
		}
	}
}

// stubborn goes on reading when it is closed, and closing waits for that.
type stubborn struct {
	io.Reader
	end chan struct{}
}

func (s stubborn) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err == io.EOF {
		<-s.end
	}
	return n, err
}

func (s stubborn) Close() error { <-s.end; return nil }

// A server that speaks something else is told by its name.
func TestWhatThePeerSpeaks(t *testing.T) {
	const settings = "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	for _, tc := range []struct {
		name, answer, says string
		protocols          []reqws.Protocol
		conns              int
	}{
		{"an alert", "\x15\x03\x01\x00\x02\x02\x46", "TLS", nil, 1},
		{"a TLS handshake", "\x16\x03\x03\x00\x02\x02\x46", "TLS", nil, 1},
		{"SETTINGS", settings, "HTTP/2", []reqws.Protocol{reqws.HTTP1}, 1},
		{"GOAWAY", "\x00\x00\x08\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01", "HTTP/2", []reqws.Protocol{reqws.HTTP1}, 1},
		{"a preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/2", []reqws.Protocol{reqws.HTTP1}, 1},
		{"an alert to HTTP/2", "\x15\x03\x01\x00\x02\x02\x46", "TLS", []reqws.Protocol{reqws.HTTP2}, 1},
		{"HTTP/1 to HTTP/2", "HTTP/1.1 400 Bad Request\r\n\r\n", "HTTP/1", []reqws.Protocol{reqws.HTTP2}, 1},
	} {
		for name, way := range ways {
			t.Run(tc.name+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					is := is.New(t)
					srv := reqwstest.NewMemory(t, reqwstest.Script(reqwstest.Do(func(c *reqwstest.Conn) error {
						if _, err := io.ReadFull(c, make([]byte, 18)); err != nil {
							return err
						}
						if _, err := c.Write([]byte(tc.answer)); err != nil {
							return err
						}
						_, err := io.Copy(io.Discard, c)
						return err
					})).Times(tc.conns))
					req := to(srv)
					if tc.protocols != nil {
						req = req.With(reqws.Protocols(tc.protocols...))
					}
					start := time.Now()
					err := way(t.Context(), req)
					is.True(strings.Contains(err.Error(), tc.says))
					is.True(strings.HasPrefix(err.Error(), "reqws: handshake: "+srv.URL))
					is.Equal(time.Since(start), 0*time.Second)
				})
			})
		}
	}
}
