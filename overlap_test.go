package reqws_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/matryer/is"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/reqwstest"
)

// wrapping hides what a body is, and closes what is inside.
type wrapping struct {
	io.Reader
	inner  io.Closer
	closed *atomic.Int32
}

func (w wrapping) Close() error {
	w.closed.Add(1)
	return w.inner.Close()
}

// disguises is what steps make of the answer that they return.
var disguises = map[string]func(resp *http.Response, asked *http.Request, closed *atomic.Int32) *http.Response{
	"as it is": func(resp *http.Response, _ *http.Request, _ *atomic.Int32) *http.Response { return resp },
	"the body wrapped": func(resp *http.Response, _ *http.Request, closed *atomic.Int32) *http.Response {
		resp.Body = wrapping{resp.Body, resp.Body, closed}
		return resp
	},
	"a copy, the body wrapped": func(resp *http.Response, _ *http.Request, closed *atomic.Int32) *http.Response {
		out := *resp
		out.Header = resp.Header.Clone()
		out.Body = wrapping{resp.Body, resp.Body, closed}
		return &out
	},
	"a copy for another request": func(resp *http.Response, asked *http.Request, closed *atomic.Int32) *http.Response {
		out := *resp
		out.Request = asked.Clone(context.Background())
		out.Body = wrapping{resp.Body, resp.Body, closed}
		return &out
	},
}

// A step may ask twice at once and take the faster answer. The slower one is
// closed, by the step or in the end, and never the winner.
func TestAStepThatHedges(t *testing.T) {
	for name, disguise := range disguises {
		for _, polite := range []bool{true, false} { // the step closes what it does not take
			if name == "a copy for another request" && !polite {
				continue // nothing tells then whose body is wrapped
			}
			for _, dial := range []bool{false, true} {
				t.Run(name, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						is := is.New(t)
						srv := reqwstest.NewMemory(t, reqwstest.Script(reqwstest.Do(func(c *reqwstest.Conn) error {
							if c.Number() == 1 { // the slower one is cut off
								if _, err := c.ReadRequest(); err != nil {
									return err
								}
								return c.Play(reqwstest.ExpectGone())
							}
							return c.Play(reqwstest.Accept(), reqwstest.EchoUntilClose())
						})).Times(2))
						var closed atomic.Int32
						late := make(chan struct{})
						hedge := func(next http.RoundTripper) http.RoundTripper {
							return reqws.RoundTripFunc(func(req *http.Request) (*http.Response, error) {
								type outcome struct {
									resp *http.Response
									err  error
								}
								outcomes := make(chan outcome, 2)
								for i := range 2 {
									go func() {
										time.Sleep(time.Duration(i) * time.Millisecond)
										resp, err := next.RoundTrip(req.Clone(req.Context()))
										outcomes <- outcome{resp, err}
									}()
								}
								winner := <-outcomes
								go func() {
									defer close(late)
									if loser := <-outcomes; polite && loser.err == nil {
										loser.resp.Body.Close()
									}
								}()
								if winner.err != nil {
									return nil, winner.err
								}
								return disguise(winner.resp, req, &closed), nil
							})
						}
						req := to(srv, reqws.Use(hedge))
						if dial {
							conn, _, err := req.Dial(t.Context())
							is.NoErr(err)
							time.Sleep(2 * time.Second)
							is.NoErr(conn.Write(t.Context(), websocket.MessageText, []byte("hello")))
							_, p, err := conn.Read(t.Context())
							is.NoErr(err)
							is.Equal(string(p), "hello")
							is.NoErr(conn.Close(websocket.StatusNormalClosure, ""))
						} else {
							resp, err := req.Do(t.Context())
							is.NoErr(err)
							time.Sleep(2 * time.Second)
							is.NoErr(resp.Send(t.Context(), reqws.Text("hello")))
							frames, err := resp.Receive(t.Context())
							is.NoErr(err)
							is.Equal(listed(frames), []string{`text "hello"`})
							is.NoErr(resp.Close(1000, ""))
						}
						<-late
						if name != "as it is" {
							is.Equal(closed.Load(), int32(1)) // the step learns of the end, once
						}
					})
				})
			}
		}
	}
}

// A hedged winner whose loser opened just before is found by its body or request,
// not by having come last.
func TestTheWinnerIsTheAnswer(t *testing.T) {
	for name, disguise := range disguises {
		if name == "a copy for another request" {
			continue
		}
		for _, first := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				tidy(t)
				is := is.New(t)
				srv := reqwstest.New(t,
					reqwstest.Script(reqwstest.Accept(reqwstest.WithFrames(reqwstest.Text("one"))), reqwstest.ExpectGone()),
					reqwstest.Script(reqwstest.Accept(reqwstest.WithFrames(reqwstest.Text("two"))), reqwstest.ExpectGone()),
				)
				var closed atomic.Int32
				both := func(next http.RoundTripper) http.RoundTripper {
					return reqws.RoundTripFunc(func(req *http.Request) (*http.Response, error) {
						one, err := next.RoundTrip(req.Clone(req.Context()))
						if err != nil {
							return nil, err
						}
						two, err := next.RoundTrip(req.Clone(req.Context()))
						if err != nil {
							return nil, err
						}
						if first {
							one, two = two, one
						}
						return disguise(two, req, &closed), nil // and one is forgotten
					})
				}
				resp, err := to(srv, reqws.Use(both)).Do(t.Context())
				is.NoErr(err)
				frames, err := resp.Receive(t.Context())
				is.NoErr(err)
				is.Equal(listed(frames), []string{map[bool]string{true: `text "one"`, false: `text "two"`}[first]})
				is.NoErr(resp.CloseNow())
			})
		}
	}
}

// A step that stops waiting leaves a handshake under way. It is ended with the
// execution: nothing leaks, and nothing that it does touches the connection that
// there is.
func TestAStepThatDoesNotWait(t *testing.T) {
	giveUp := errors.New("gave up waiting")
	impatient := func(next http.RoundTripper) http.RoundTripper {
		return reqws.RoundTripFunc(func(req *http.Request) (*http.Response, error) {
			type outcome struct {
				resp *http.Response
				err  error
			}
			done := make(chan outcome, 1)
			go func() {
				resp, err := next.RoundTrip(req)
				done <- outcome{resp, err}
			}()
			select {
			case o := <-done:
				return o.resp, o.err
			case <-time.After(time.Second):
				return nil, giveUp
			}
		})
	}
	slow := func(d time.Duration) reqwstest.Option {
		return reqwstest.Script(reqwstest.Do(func(c *reqwstest.Conn) error {
			if _, err := c.ReadRequest(); err != nil {
				return err
			}
			_ = c.Play(reqwstest.ExpectNothing(d)) // or the client goes before
			return nil
		}), reqwstest.ExpectGone())
	}
	for _, own := range []bool{true, false} {
		t.Run(map[bool]string{true: "own", false: "over a Transport"}[own], func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				is := is.New(t)
				srv := reqwstest.NewMemory(t, slow(time.Hour), slow(time.Hour),
					reqwstest.Script(reqwstest.Accept(), reqwstest.Sleep(time.Minute), reqwstest.SendText("still here"), reqwstest.ExpectGone()))
				req := to(srv, reqws.Use(impatient), reqws.ConnectTimeout(0), reqws.Heartbeat(0, 0))
				if !own {
					req = req.With(reqws.Transport(netHTTP(srv)))
				}
				start := time.Now()
				_, err := req.Do(t.Context())
				is.True(errors.Is(err, giveUp))
				is.Equal(time.Since(start), time.Second)
				synctest.Wait() // and its handshake has ended

				again := reqws.RetryFunc(func(_ *http.Request, _ *http.Response, err error) reqws.RetryDecision { return reqws.AgainAfter(0) })
				resp, err := req.Do(t.Context(), again)
				is.NoErr(err)
				frames, err := resp.Receive(t.Context())
				is.NoErr(err)
				is.Equal(listed(frames), []string{`text "still here"`})
				is.NoErr(resp.CloseNow())
			})
		})
	}
	t.Run("a handshake that begins too late", func(t *testing.T) {
		is := is.New(t)
		var kept http.RoundTripper
		var asked *http.Request
		keeps := func(next http.RoundTripper) http.RoundTripper {
			return reqws.RoundTripFunc(func(req *http.Request) (*http.Response, error) {
				kept, asked = next, req
				return nil, giveUp
			})
		}
		srv := reqwstest.NewMemory(t)
		_, err := to(srv, reqws.Use(keeps)).Do(t.Context())
		is.True(errors.Is(err, giveUp))
		_, err = kept.RoundTrip(asked) // and no connection comes
		is.True(strings.Contains(err.Error(), "went on without this handshake"))
	})
}

// A step that answers a refusal by asking again, as digest authentication does, may
// read the refusal to its end or not.
func TestAStepThatAsksAgain(t *testing.T) {
	for _, reads := range []bool{true, false} {
		for name, way := range ways {
			t.Run(name, func(t *testing.T) {
				tidy(t)
				is := is.New(t)
				srv := reqwstest.New(t,
					reqwstest.Script(reqwstest.Refuse(401, http.Header{"Www-Authenticate": {"Digest"}}, "who?")),
					reqwstest.Script(reqwstest.Accept(), reqwstest.SendClose(1000, "")),
				)
				again := func(next http.RoundTripper) http.RoundTripper {
					return reqws.RoundTripFunc(func(req *http.Request) (*http.Response, error) {
						resp, err := next.RoundTrip(req.Clone(req.Context()))
						if err != nil || resp.StatusCode != 401 {
							return resp, err
						}
						if reads {
							body, err := io.ReadAll(resp.Body)
							is.NoErr(err)
							is.Equal(string(body), "who?")
						}
						resp.Body.Close()
						return next.RoundTrip(req)
					})
				}
				is.NoErr(way(t.Context(), to(srv, reqws.Use(again))))
			})
		}
	}
}
