package reqws_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/matryer/is"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/reqwstest"
)

// log notes what the hooks of its trace are told.
type hookLog struct {
	mu    sync.Mutex
	lines []string
}

func (l *hookLog) note(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, fmt.Sprintf(format, args...))
}

func (l *hookLog) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.lines...)
}

// reason is what an error comes to in a line.
func reason(err error) string {
	var code websocket.CloseError
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &code):
		return fmt.Sprint("closed with ", int(code.Code))
	}
	for _, known := range []error{syscall.ECONNRESET, syscall.ECONNREFUSED, io.ErrUnexpectedEOF, reqws.ErrClosed, context.Canceled, reqws.ErrPeerUnresponsive} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return err.Error()
}

func (l *hookLog) trace() *reqws.ClientTrace {
	return &reqws.ClientTrace{
		Attempt: func(i reqws.AttemptInfo) {
			l.note("attempt %d, hop %d: %s %s: %d %s, %v", i.Attempt, i.Redirects, i.Method, i.URL, i.StatusCode, reason(i.Err), i.Took)
		},
		Retry: func(i reqws.RetryInfo) {
			l.note("retry after %d of %s: %d %s, in %v", i.Attempt, i.URL, i.StatusCode, reason(i.Err), i.Delay)
		},
		Redirect: func(i reqws.RedirectInfo) {
			l.note("redirect %d: %d %s to %s", i.Redirects, i.StatusCode, i.From, i.To)
		},
		Opened: func(i reqws.OpenedInfo) {
			l.note("opened %d: %s %s %q %q", i.Connection, i.URL, i.Proto, i.Subprotocol, i.Compression)
		},
		BatchIn:   func(i reqws.BatchInfo) { l.note("in %d, %d bytes", i.Frames, i.Bytes) },
		BatchOut:  func(i reqws.BatchInfo) { l.note("out %d, %d bytes", i.Frames, i.Bytes) },
		Heartbeat: func(i reqws.HeartbeatInfo) { l.note("heartbeat %v", i.RoundTrip) },
		Reconnecting: func(i reqws.ReconnectingInfo) {
			l.note("reconnecting %d: %s, in %v", i.N, reason(i.Err), i.Delay)
		},
		Closed: func(i reqws.ClosedInfo) {
			l.note("closed: %s, clean %v, %d/%d %q, lived %v, reconnects %v", reason(i.Err), i.Clean, i.Code, i.PeerCode, i.PeerReason, i.Lived, i.Reconnects)
		},
	}
}

// What is told, in which order, of each way that an execution may go.
func TestWhatIsTraced(t *testing.T) {
	const u = "ws://reqwstest.test/"
	soon := reqws.Options(reqws.Retry(reqws.SafeTransient), reqws.RetryDelay(func(int) time.Duration { return time.Second }))
	opened := []string{"attempt 0, hop 0: GET " + u + ": 101 ok, 0s", "opened 1: " + u + ` HTTP/1.1 "" ""`}
	after := func(first []string, more ...string) []string { return append(append([]string(nil), first...), more...) }
	goodbye := []reqwstest.Step{reqwstest.Accept(), reqwstest.SendClose(1000, "bye"), reqwstest.ExpectClose(1000, "")}
	for _, tt := range []struct {
		name    string
		scripts []reqwstest.Option
		opts    []reqws.Option
		want    []string
	}{
		{"closed by the peer", []reqwstest.Option{reqwstest.Script(goodbye...)}, nil, after(opened,
			"in 1, 5 bytes", "out 1, 2 bytes", `closed: ok, clean true, 1000/1000 "bye", lived 0s, reconnects false`)},
		{"closed without a code", []reqwstest.Option{reqwstest.Script(reqwstest.Accept(), reqwstest.SendClose(0, ""), reqwstest.ExpectClose(0, ""))}, nil, after(opened,
			"in 1, 0 bytes", "out 1, 0 bytes", `closed: ok, clean true, 1005/1005 "", lived 0s, reconnects false`)},
		{"closed with an error", []reqwstest.Option{reqwstest.Script(reqwstest.Accept(), reqwstest.Sleep(3*time.Second), reqwstest.SendClose(4001, ""), reqwstest.ExpectClose(4001, ""))}, nil, after(opened,
			"in 1, 2 bytes", "out 1, 2 bytes", `closed: closed with 4001, clean true, 4001/4001 "", lived 3s, reconnects false`)},
		{"messages, answered", []reqwstest.Option{reqwstest.Script(reqwstest.Accept(),
			reqwstest.Send(reqwstest.Text("one"), reqwstest.Ping("p"), reqwstest.Text("three")), reqwstest.ExpectPong("p"), reqwstest.ExpectText("one"), reqwstest.ExpectText("three"),
			reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, ""))}, nil, after(opened,
			"in 3, 9 bytes", "out 3, 9 bytes", "in 1, 2 bytes", "out 1, 2 bytes", `closed: ok, clean true, 1000/1000 "", lived 0s, reconnects false`)},
		{"lost", []reqwstest.Option{reqwstest.Script(reqwstest.Accept(), reqwstest.Sleep(time.Second), reqwstest.Reset())}, nil, after(opened,
			`closed: connection reset by peer, clean false, 0/0 "", lived 1s, reconnects false`)},
		{"broken by the peer", []reqwstest.Option{reqwstest.Script(reqwstest.Accept(), reqwstest.Send(reqwstest.Frame{Fin: true, Op: reqwstest.OpPong, RSV: reqwstest.RSV1}), reqwstest.ExpectCloseCode(1002))}, nil, after(opened,
			fmt.Sprint("out 1, ", 2+len("reserved bits 0x40 set"), " bytes"), `closed: reqws: stream: `+u+`: protocol error 1002: reserved bits 0x40 set, clean false, 1002/0 "", lived 0s, reconnects false`)},
		{"refused", []reqwstest.Option{refused(404)}, nil, []string{"attempt 0, hop 0: GET " + u + ": 404 ok, 0s"}},
		{"no server", []reqwstest.Option{reqwstest.DialError(syscall.ECONNREFUSED)}, nil, []string{"attempt 0, hop 0: GET " + u + ": 0 connection refused, 0s"}},
		{"retries", []reqwstest.Option{refused(503), reqwstest.DialError(syscall.ECONNREFUSED), reqwstest.Script(goodbye...)}, []reqws.Option{soon}, []string{
			"attempt 0, hop 0: GET " + u + ": 503 ok, 0s", "retry after 0 of " + u + ": 503 ok, in 1s",
			"attempt 1, hop 0: GET " + u + ": 0 connection refused, 0s", "retry after 1 of " + u + ": 0 connection refused, in 1s",
			"attempt 2, hop 0: GET " + u + ": 101 ok, 0s", "opened 1: " + u + ` HTTP/1.1 "" ""`,
			"in 1, 5 bytes", "out 1, 2 bytes", `closed: ok, clean true, 1000/1000 "bye", lived 0s, reconnects false`}},
		{"a redirect", []reqwstest.Option{reqwstest.Script(reqwstest.Redirect(302, "/there?token=secret")), reqwstest.Script(goodbye...)}, nil, []string{
			"attempt 0, hop 0: GET " + u + ": 302 ok, 0s", "redirect 1: 302 " + u + " to " + u + "there",
			"attempt 0, hop 1: GET " + u + "there: 101 ok, 0s", "opened 1: " + u + `there HTTP/1.1 "" ""`,
			"in 1, 5 bytes", "out 1, 2 bytes", `closed: ok, clean true, 1000/1000 "bye", lived 0s, reconnects false`}},
		{"reconnects", []reqwstest.Option{reqwstest.Script(reqwstest.Accept(), reqwstest.Reset()), refused(503), reqwstest.Script(goodbye...)}, []reqws.Option{reqws.Reconnect(-1), atOnce()}, after(opened,
			`closed: connection reset by peer, clean false, 0/0 "", lived 0s, reconnects true`,
			"reconnecting 1: connection reset by peer, in 0s", "attempt 0, hop 0: GET "+u+": 503 ok, 0s",
			"reconnecting 2: reqws: handshake: "+u+": refused with status 503 Service Unavailable, in 0s", "attempt 1, hop 0: GET "+u+": 101 ok, 0s",
			"opened 2: "+u+` HTTP/1.1 "" ""`, "in 1, 5 bytes", "out 1, 2 bytes", `closed: ok, clean true, 1000/1000 "bye", lived 0s, reconnects false`)},
		{"reconnects after a close frame", []reqwstest.Option{reqwstest.Script(reqwstest.Accept(), reqwstest.SendClose(1012, ""), reqwstest.ExpectClose(1012, "")), refused(404)}, []reqws.Option{reqws.Reconnect(-1), atOnce()}, after(opened,
			"in 1, 2 bytes", "out 1, 2 bytes", `closed: closed with 1012, clean true, 1012/1012 "", lived 0s, reconnects true`,
			"reconnecting 1: closed with 1012, in 0s", "attempt 0, hop 0: GET "+u+": 404 ok, 0s")},
		{"retries of a RetryFunc while it reconnects", []reqwstest.Option{reqwstest.Script(reqwstest.Accept(), reqwstest.Reset()), refused(418), reqwstest.Script(goodbye...)}, []reqws.Option{
			reqws.Reconnect(-1), atOnce(), reqws.RetryFunc(func(*http.Request, *http.Response, error) reqws.RetryDecision { return reqws.AgainAfter(time.Second) })}, after(opened,
			`closed: connection reset by peer, clean false, 0/0 "", lived 0s, reconnects true`, "reconnecting 1: connection reset by peer, in 0s",
			"attempt 0, hop 0: GET "+u+": 418 ok, 0s", "retry after 0 of "+u+": 418 ok, in 1s", "attempt 1, hop 0: GET "+u+": 101 ok, 0s",
			"opened 2: "+u+` HTTP/1.1 "" ""`, "in 1, 5 bytes", "out 1, 2 bytes", `closed: ok, clean true, 1000/1000 "bye", lived 0s, reconnects false`)},
		{"heartbeats", []reqwstest.Option{reqwstest.Script(reqwstest.Accept(), reqwstest.Do(func(c *reqwstest.Conn) error {
			f, err := c.ReadFrame()
			time.Sleep(time.Second / 2)
			return errors.Join(err, c.WriteFrame(reqwstest.Pong(f.Payload)))
		}), reqwstest.Sleep(time.Second), reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, ""))}, []reqws.Option{reqws.Heartbeat(10*time.Second, 5*time.Second)}, after(opened,
			"out 1, 8 bytes", "in 1, 8 bytes", "heartbeat 500ms", "in 1, 2 bytes", "out 1, 2 bytes", `closed: ok, clean true, 1000/1000 "", lived 11.5s, reconnects false`)},
		{"no answer to a heartbeat", []reqwstest.Option{reqwstest.Script(reqwstest.Accept(), reqwstest.Stall())}, []reqws.Option{reqws.Heartbeat(10*time.Second, 5*time.Second)}, after(opened,
			"out 1, 8 bytes", `closed: the peer does not respond, clean false, 0/0 "", lived 15s, reconnects false`)},
		{"negotiated", []reqwstest.Option{reqwstest.Script(reqwstest.Accept(reqwstest.WithSubprotocol("chat"), reqwstest.WithHeader("Sec-WebSocket-Extensions", "permessage-deflate; server_no_context_takeover")),
			reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, ""))}, []reqws.Option{reqws.Subprotocols("chat"), reqws.Compression(websocket.CompressionContextTakeover)}, []string{
			opened[0], "opened 1: " + u + ` HTTP/1.1 "chat" "permessage-deflate; server_no_context_takeover"`,
			"in 1, 2 bytes", "out 1, 2 bytes", `closed: ok, clean true, 1000/1000 "", lived 0s, reconnects false`}},
		{"fragments", []reqwstest.Option{reqwstest.Script(reqwstest.Accept(),
			reqwstest.Send(reqwstest.Frame{Op: reqwstest.OpBinary, Payload: []byte("ab")}, reqwstest.Frame{Fin: true, Op: reqwstest.OpContinuation, Payload: []byte("c")}, reqwstest.Close(1000, "")),
			reqwstest.ExpectBinary("abc"), reqwstest.ExpectClose(1000, ""))}, nil, after(opened,
			"in 2, 5 bytes", "out 2, 5 bytes", `closed: ok, clean true, 1000/1000 "", lived 0s, reconnects false`)},
		{"plain", []reqwstest.Option{reqwstest.Script(reqwstest.Respond(503, nil, "busy")), reqwstest.Script(reqwstest.Redirect(302, "/there")), reqwstest.Script(reqwstest.Respond(200, nil, "ok"))},
			[]reqws.Option{soon, reqws.URL("http://reqwstest.test/")}, []string{
				"attempt 0, hop 0: GET http://reqwstest.test/: 503 ok, 0s", "retry after 0 of http://reqwstest.test/: 503 ok, in 1s",
				"attempt 1, hop 0: GET http://reqwstest.test/: 302 ok, 0s", "redirect 1: 302 http://reqwstest.test/ to http://reqwstest.test/there",
				"attempt 1, hop 1: GET http://reqwstest.test/there: 200 ok, 0s"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tidy(t)
				is := is.New(t)
				srv := reqwstest.NewMemory(t, tt.scripts...)
				var one, two hookLog
				_ = to(srv, tt.opts...).Run(t.Context(), reqws.Into(reqws.Each(echo)), reqws.Trace(one.trace()), reqws.AddTrace(nil), reqws.AddTrace(two.trace()))
				is.Equal(one.all(), tt.want)
				is.Equal(two.all(), tt.want)
			})
		})
	}
}

// A stream that this side ends, in each way: one Closed for one Opened.
func TestClosedFromThisSide(t *testing.T) {
	for _, tt := range []struct {
		name string
		step reqwstest.Step
		end  func(*reqws.Response, context.CancelFunc)
		want string
	}{
		{"Close", reqwstest.EchoUntilClose(), func(r *reqws.Response, _ context.CancelFunc) { _ = r.Close(4000, "bye") }, `closed: ok, clean true, 4000/4000 "bye", lived 1s, reconnects false`},
		{"CloseNow", reqwstest.ExpectGone(), func(r *reqws.Response, _ context.CancelFunc) { _ = r.CloseNow() }, `closed: the stream is closed, clean false, 0/0 "", lived 1s, reconnects false`},
		{"ctx", reqwstest.ExpectCloseCode(1001), func(_ *reqws.Response, cancel context.CancelFunc) { cancel() }, `closed: context canceled, clean false, 1001/0 "", lived 1s, reconnects false`},
		{"a close frame", reqwstest.EchoUntilClose(), func(r *reqws.Response, _ context.CancelFunc) { _ = r.Send(context.Background(), reqws.Close(3000, "")) }, `closed: ok, clean true, 3000/3000 "", lived 1s, reconnects false`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tidy(t)
				is := is.New(t)
				srv := reqwstest.NewMemory(t, reqwstest.Script(reqwstest.Accept(), tt.step))
				var log hookLog
				all := log.trace()
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				resp, err := to(srv).Do(ctx, reqws.Trace(&reqws.ClientTrace{Opened: all.Opened, Closed: all.Closed}), reqws.Reconnect(-1))
				is.NoErr(err)
				time.Sleep(time.Second)
				tt.end(resp, cancel)
				_ = resp.Wait()
				is.Equal(log.all(), []string{`opened 1: ws://reqwstest.test/ HTTP/1.1 "" ""`, tt.want})
			})
		})
	}
}

// Request.Dial is traced up to where the connection is the caller's.
func TestTraceOfDial(t *testing.T) {
	tidy(t)
	is := is.New(t)
	srv := reqwstest.NewMemory(t, reqwstest.Script(reqwstest.Accept(), reqwstest.EchoUntilClose()))
	seen := 0
	client, _, err := to(srv).Dial(t.Context(), reqws.LogFrames(0), reqws.Trace(&reqws.ClientTrace{
		Attempt: func(i reqws.AttemptInfo) { seen++; is.Equal(i.StatusCode, 101) },
		Opened:  func(reqws.OpenedInfo) { t.Error("Opened") },
		BatchIn: func(reqws.BatchInfo) { t.Error("BatchIn") },
		Closed:  func(reqws.ClosedInfo) { t.Error("Closed") },
	}))
	is.NoErr(err)
	is.NoErr(client.Close(1000, ""))
	is.Equal(seen, 1)
}

// All that is told of one connection is told with its Response, and each has its own.
func TestTracesTellTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tidy(t)
		is := is.New(t)
		srv := reqwstest.NewMemory(t, reqwstest.Script(reqwstest.Accept(), reqwstest.SendText("x"), reqwstest.ExpectText("x"), reqwstest.Reset()),
			reqwstest.Script(reqwstest.Accept(), reqwstest.Send(reqwstest.Text("y"), reqwstest.Close(1000, "")), reqwstest.ExpectText("y"), reqwstest.ExpectClose(1000, "")))
		var mu sync.Mutex
		told := map[string][]*reqws.Response{}
		note := func(hook string, r *reqws.Response) {
			mu.Lock()
			defer mu.Unlock()
			told[hook] = append(told[hook], r)
		}
		is.NoErr(to(srv).Run(t.Context(), reqws.Into(reqws.Each(echo)), reqws.Reconnect(1), atOnce(), reqws.Trace(&reqws.ClientTrace{
			Opened:       func(i reqws.OpenedInfo) { note("opened", i.Response) },
			BatchIn:      func(i reqws.BatchInfo) { note("in", i.Response) },
			BatchOut:     func(i reqws.BatchInfo) { note("out", i.Response) },
			Reconnecting: func(i reqws.ReconnectingInfo) { note("reconnecting", i.Response) },
			Closed:       func(i reqws.ClosedInfo) { note("closed", i.Response) },
		})))
		first, second := told["opened"][0], told["opened"][1]
		is.True(first != second)
		is.Equal(told["closed"], []*reqws.Response{first, second})
		is.Equal(told["in"], []*reqws.Response{first, second})
		is.Equal(told["out"], []*reqws.Response{first, second})
		is.Equal(told["reconnecting"], []*reqws.Response{first})
	})
}

// The phases of what was opened, and of what was not.
func TestPhases(t *testing.T) {
	slow := func(srv *reqwstest.Server) reqws.Option {
		return reqws.DialContext(func(ctx context.Context, network, addr string) (net.Conn, error) {
			time.Sleep(time.Second)
			return srv.DialContext(ctx, network, addr)
		})
	}
	for _, tt := range []struct {
		name   string
		server func(reqwstest.TB, ...reqwstest.Option) *reqwstest.Server
		option func(*reqwstest.Server) reqws.Option
		want   reqws.Phases
	}{
		{"ws", reqwstest.NewMemory, slow, reqws.Phases{Dial: time.Second, Handshake: 2 * time.Second}},
		{"wss", func(tb reqwstest.TB, o ...reqwstest.Option) *reqwstest.Server {
			return reqwstest.NewMemory(tb, append(o, reqwstest.TLS())...)
		}, slow,
			reqws.Phases{Dial: time.Second, TLS: 2 * time.Second}},
		{"Transport", reqwstest.NewMemory, func(srv *reqwstest.Server) reqws.Option {
			return reqws.Transport(&http.Transport{DialContext: srv.DialContext, DisableKeepAlives: true})
		}, reqws.Phases{Handshake: 2 * time.Second}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tidy(t)
				is := is.New(t)
				srv := tt.server(t, reqwstest.Script(reqwstest.Sleep(2*time.Second), reqwstest.Accept(), reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, "")))
				var attempt, opened reqws.Phases
				var took time.Duration
				is.NoErr(to(srv, tt.option(srv)).Run(t.Context(), reqws.Into(reqws.Each(echo)), reqws.Trace(&reqws.ClientTrace{
					Attempt: func(i reqws.AttemptInfo) { attempt, took = i.Phases, i.Took },
					Opened:  func(i reqws.OpenedInfo) { opened = i.Phases },
				})))
				is.Equal(opened, tt.want)
				is.Equal(attempt, tt.want)
				is.Equal(took, tt.want.Dial+tt.want.TLS+tt.want.Handshake)
			})
		})
	}
}

// Through a proxy all of the way there is its phase.
func TestPhasesOfAProxy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tidy(t)
		is := is.New(t)
		srv := reqwstest.NewMemory(t, reqwstest.Script(
			reqwstest.Do(func(c *reqwstest.Conn) error {
				_, err := c.ReadRequest() // CONNECT
				time.Sleep(2 * time.Second)
				_, werr := io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
				return errors.Join(err, werr)
			}),
			reqwstest.Sleep(3*time.Second), reqwstest.Accept(), reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, "")))
		var got reqws.Phases
		is.NoErr(to(srv, reqws.ProxyURL("http://proxy")).Run(t.Context(), reqws.Into(reqws.Each(echo)),
			reqws.Trace(&reqws.ClientTrace{Opened: func(i reqws.OpenedInfo) { got = i.Phases }})))
		is.Equal(got, reqws.Phases{Proxy: 2 * time.Second, Handshake: 3 * time.Second})
	})
}

// No hook and no line of the log gets a credential.
func TestTracesShowNoSecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tidy(t)
		is := is.New(t)
		srv := reqwstest.NewMemory(t,
			reqwstest.Script(reqwstest.Refuse(503, http.Header{"Set-Cookie": {"sid=hush"}}, "no hushhush")),
			reqwstest.Script(reqwstest.Redirect(307, "/b?token=hush")),
			reqwstest.Script(reqwstest.Accept(reqwstest.WithSubprotocol("hushhush")), reqwstest.Reset()),
			reqwstest.Script(reqwstest.Accept(), reqwstest.SendText("x"), reqwstest.ExpectText("x"), reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, "")),
		)
		var log hookLog
		var lines strings.Builder
		is.NoErr(to(srv, reqws.URL("ws://user:hush@reqwstest.test/a?token=hush&x=hush"), reqws.SecretSubprotocol("hushhush"), reqws.Retry(reqws.SafeTransient)).Run(t.Context(),
			reqws.Into(reqws.Each(echo)), reqws.Reconnect(1), reqws.Logger(linesTo(&lines)), reqws.LogFrames(0), reqws.Trace(&reqws.ClientTrace{
				Attempt:      func(i reqws.AttemptInfo) { log.note("%+v %#v", i, i) },
				Retry:        func(i reqws.RetryInfo) { log.note("%+v %#v", i, i) },
				Redirect:     func(i reqws.RedirectInfo) { log.note("%+v %#v", i, i) },
				Opened:       func(i reqws.OpenedInfo) { log.note("%+v %#v", i, i) },
				Reconnecting: func(i reqws.ReconnectingInfo) { log.note("%+v %#v", i, i) },
				Closed:       func(i reqws.ClosedInfo) { log.note("%+v %#v", i, i) },
			})))
		all := strings.Join(log.all(), "\n")
		is.Equal(len(log.all()), 4+1+1+2+1+2)
		is.True(!strings.Contains(all, "hush"))
		is.True(strings.Contains(lines.String(), "reqws: frame"))
		is.True(!strings.Contains(lines.String(), "hush"))
	})
}
