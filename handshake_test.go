package reqws_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/matryer/is"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/internal/wiretest"
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
				srv := reqwstest.NewMemory(t, reqwstest.BufferSize(n), reqwstest.Script(
					reqwstest.Accept(
						reqwstest.WithHeader("X-Long", strings.Repeat("x", 300)),
						reqwstest.WithFrames(reqwstest.Text("early"), reqwstest.Ping("p"), reqwstest.Text("bird")),
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
	for name, server := range servers {
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

// What is neither a refusal nor an open WebSocket is an error, always, and leaves
// nothing open.
func TestAWrongAnswer(t *testing.T) {
	for _, tc := range []struct {
		name string
		step reqwstest.Step
		says string
		opts []reqws.Option
	}{
		{"wrong accept", reqwstest.Accept(reqwstest.Without("Sec-WebSocket-Accept"), reqwstest.WithHeader("Sec-WebSocket-Accept", "bm90IHRoZSByaWdodCBvbmU=")), "Sec-WebSocket-Accept", nil},
		{"no accept", reqwstest.Accept(reqwstest.Without("Sec-WebSocket-Accept")), "Sec-WebSocket-Accept", nil},
		{"no Upgrade", reqwstest.Accept(reqwstest.Without("Upgrade")), "Upgrade", nil},
		{"no Connection", reqwstest.Accept(reqwstest.Without("Connection")), "Connection", nil},
		{"unasked subprotocol", reqwstest.Accept(reqwstest.WithSubprotocol("chat")), "Sec-WebSocket-Protocol", nil},
		{"another subprotocol", reqwstest.Accept(reqwstest.WithSubprotocol("chat")), "Sec-WebSocket-Protocol", []reqws.Option{reqws.Subprotocols("a", "b")}},
		{"two subprotocols", reqwstest.Accept(reqwstest.WithSubprotocol("a"), reqwstest.WithHeader("Sec-WebSocket-Protocol", "chat")), "Sec-WebSocket-Protocol", []reqws.Option{reqws.Subprotocols("a", "b")}},
		{"unasked extension", reqwstest.Accept(reqwstest.WithHeader("Sec-WebSocket-Extensions", "permessage-deflate")), "xtension", nil},
		{"unknown extension", reqwstest.Accept(reqwstest.WithHeader("Sec-WebSocket-Extensions", "x-webkit-what")), "xtension", []reqws.Option{reqws.Compression(websocket.CompressionContextTakeover)}},
		{"bad extension parameter", reqwstest.Accept(reqwstest.WithHeader("Sec-WebSocket-Extensions", "permessage-deflate; server_max_window_bits=99")), "", []reqws.Option{reqws.Compression(websocket.CompressionContextTakeover)}},
		{"no HTTP", wiretest.RawResponse("SSH-2.0-OpenSSH_9.9\r\n"), "", nil},
		{"a subprotocol in another case", reqwstest.Accept(reqwstest.WithSubprotocol("Chat")), "Sec-WebSocket-Protocol", []reqws.Option{reqws.Subprotocols("chat")}},
		{"a subprotocol echoed as a list", reqwstest.Accept(reqwstest.WithSubprotocol("a, secret")), "Sec-WebSocket-Protocol", []reqws.Option{reqws.Subprotocols("a", "secret")}},
		{"a piece of a subprotocol", reqwstest.Accept(reqwstest.WithSubprotocol("secret")), "Sec-WebSocket-Protocol", []reqws.Option{reqws.Subprotocols("bearer.secret.token")}},
		{"two accepts", reqwstest.Accept(reqwstest.WithHeader("Sec-WebSocket-Accept", "secret")), "Sec-WebSocket-Accept", nil},
		{"malformed extensions", reqwstest.Accept(reqwstest.WithHeader("Sec-WebSocket-Extensions", "permessage-deflate secret")), "xtension", []reqws.Option{reqws.Compression(websocket.CompressionContextTakeover)}},
		{"a long parameter", reqwstest.Accept(reqwstest.WithHeader("Sec-WebSocket-Extensions", "permessage-deflate; secret-"+strings.Repeat("x", 30))), "xtension", []reqws.Option{reqws.Compression(websocket.CompressionContextTakeover)}},
		{"a line that is no header", wiretest.RawResponse("HTTP/1.1 101 Switching Protocols\r\nSet-Cookie session=secret\r\n\r\n"), "malformed header line", nil},
		{"a first line that is none", wiretest.RawResponse("HTTP/1.1 secret\r\n\r\n"), "first line", nil},
		{"HTTP/2 in words", wiretest.RawResponse("HTTP/2.0 200 OK\r\n\r\n"), "not HTTP/1.1", nil},
		{"a 101 in HTTP/2", wiretest.RawResponse("HTTP/2.0 101 Switching Protocols\r\n\r\n"), "not HTTP/1.1", nil},
		{"nothing", wiretest.RawResponse(""), "closed", nil},
		{"half an answer", wiretest.RawResponse("HTTP/1.1 101 Switching Protocols\r\nUpgrade: web"), "closed", nil},
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

// An answer that breaks the rules is an error at once, though the server waits.
func TestAWrongAnswerBeforeSilence(t *testing.T) {
	for name, answer := range map[string]reqwstest.Step{
		"no Connection": reqwstest.Accept(reqwstest.Without("Connection")),
		"no Upgrade":    reqwstest.Accept(reqwstest.Without("Upgrade")),
		"wrong accept":  reqwstest.Accept(reqwstest.Without("Sec-WebSocket-Accept"), reqwstest.WithHeader("Sec-WebSocket-Accept", "no")),
		"subprotocol":   reqwstest.Accept(reqwstest.WithSubprotocol("x")),
		"extension":     reqwstest.Accept(reqwstest.WithHeader("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits=10")),
		"SSH":           wiretest.RawResponse("SSH-2.0-OpenSSH_9.9\r\n"),
		"TLS":           wiretest.RawResponse("\x15\x03\x01\x00\x02\x02\x46"),
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
