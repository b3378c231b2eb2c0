package reqws_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/matryer/is"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/reqwstest"
)

// awayAMinute is what a stream between two connections looks like: the next comes a minute later.
func awayAMinute() reqws.Option {
	return reqws.ReconnectFunc(func(err error) reqws.RetryDecision {
		if websocket.CloseStatus(err) == websocket.StatusNormalClosure {
			return reqws.GiveUp
		}
		return reqws.AgainAfter(time.Minute)
	})
}

// Sends wait for the next connection in the order in which they came, behind what OnOpen says.
func TestSendsWaitForTheNextLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tidy(t)
		is := is.New(t)
		const n = 50
		want := []reqwstest.Frame{reqwstest.Text("first"), reqwstest.Text("open")}
		for i := range n {
			if i != 7 {
				want = append(want, reqwstest.Text(fmt.Sprint(i)))
			}
		}
		srv := reqwstest.NewMemory(t,
			reqwstest.Script(reqwstest.Accept(), reqwstest.ExpectFrames(want[:2]...)),
			reqwstest.Script(reqwstest.Accept(), reqwstest.ExpectFrames(want...), reqwstest.ExpectText("last"), reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, "")))
		resp, err := to(srv, reqws.Reconnect(-1), awayAMinute(), reqws.OnOpen(func(resp *reqws.Response) reqws.Directive {
			if err := resp.Send(t.Context(), reqws.Text("first")); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Second) // while nobody else gets through
			return reqws.Cont(reqws.Text("open"))
		})).Do(t.Context(), (&witness{}).into())
		is.NoErr(err)
		time.Sleep(10 * time.Second)
		start := time.Now()
		var all sync.WaitGroup
		for i := range n {
			all.Go(func() {
				ctx := t.Context()
				if i == 7 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, time.Second)
					defer cancel()
				}
				err := resp.Send(ctx, reqws.Text(fmt.Sprint(i)))
				switch {
				case i == 7:
					if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
						t.Error(err, time.Since(start))
					}
				case err != nil:
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		all.Wait()
		is.Equal(time.Since(start), 51*time.Second)
		is.NoErr(resp.Send(t.Context(), reqws.Text("last")))
		is.NoErr(resp.Wait())
	})
}

// A Send that was begun fails with the link; those behind it, of which nothing was written, go to the
// next.
func TestBegunSendsFail(t *testing.T) {
	for name, server := range over {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				is := is.New(t)
				srv, req := server(t, reqwstest.BufferSize(1000),
					reqwstest.Script(reqwstest.Accept(), reqwstest.Sleep(5*time.Second), reqwstest.Drop()),
					reqwstest.Script(reqwstest.Accept(), reqwstest.ExpectText("one"), reqwstest.ExpectText("two"), reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, "")))
				resp, err := req.Do(t.Context(), reqws.Reconnect(-1), awayAMinute(), (&witness{}).into())
				is.NoErr(err)
				var begun, one, two error
				var all sync.WaitGroup
				all.Go(func() { begun = resp.Send(t.Context(), reqws.Text(strings.Repeat("x", 500_000))) })
				synctest.Wait()
				all.Go(func() { one = resp.Send(t.Context(), reqws.Text("one")) })
				synctest.Wait()
				all.Go(func() { two = resp.Send(t.Context(), reqws.Text("two")) })
				all.Wait()
				is.True(begun != nil)
				is.NoErr(one)
				is.NoErr(two)
				is.NoErr(resp.Wait())
				is.Equal(len(srv.Requests()), 2)
			})
		})
	}
}

// What waits when the stream ends fails with the error of that.
func TestWaitingSendsEndWithTheStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		srv := reqwstest.NewMemory(t, dropped(0), refused(403))
		resp, err := to(srv, reqws.Reconnect(-1), reqws.ReconnectFunc(func(err error) reqws.RetryDecision {
			if errors.As(err, new(*reqws.HTTPError)) {
				return reqws.GiveUp
			}
			return reqws.AgainAfter(time.Minute)
		})).Do(t.Context())
		is.NoErr(err)
		time.Sleep(time.Second)
		err = resp.Send(t.Context(), reqws.Text("x"))
		var no *reqws.HTTPError
		is.True(errors.As(err, &no))
		is.Equal(err, resp.Wait())
	})
}

// A handler that is told of a break cannot wait for the next link: its Send says at once that there
// is none.
func TestSendsOfTheHandlerAtABreak(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		srv := reqwstest.NewMemory(t, reqwstest.Script(reqwstest.Accept(), reqwstest.SendText("go"), reqwstest.Drop()), goodbye("hi"))
		var sent []error
		is.NoErr(to(srv, reqws.Reconnect(-1), atOnce()).Run(t.Context(), reqws.Into(func(in reqws.Event, resp *reqws.Response) reqws.Directive {
			switch {
			case in.Err != nil:
				sent = append(sent, resp.Send(t.Context(), reqws.Text("too late")))
			case in.Frames[0].Text() == "go":
				synctest.Wait() // the connection is gone
				sent = append(sent, resp.Send(t.Context(), reqws.Text("too late")))
			}
			return reqws.Cont()
		})))
		is.Equal(len(sent), 2)
		for _, err := range sent {
			is.True(err != nil)
		}
	})
}

// Close while a link is open ends the stream, and what is sent after it fails at once.
func TestCloseOfAStreamThatReconnects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tidy(t)
		is := is.New(t)
		srv := reqwstest.NewMemory(t, reqwstest.Script(reqwstest.Accept(), reqwstest.ExpectClose(1000, ""), reqwstest.Sleep(time.Second), reqwstest.SendClose(1012, "")))
		resp, err := to(srv, reqws.Reconnect(-1)).Do(t.Context(), (&witness{}).into())
		is.NoErr(err)
		start := time.Now()
		go func() {
			synctest.Wait()
			if err := resp.Send(t.Context(), reqws.Text("x")); !errors.Is(err, reqws.ErrClosed) || time.Since(start) > 0 {
				t.Error(err)
			}
		}()
		is.NoErr(resp.Close(1000, ""))
		is.NoErr(resp.Wait())
	})
}

// OnOpen may end a stream on any of its links, also by what must not be.
func TestOnOpenOfALaterLink(t *testing.T) {
	for name, tt := range map[string]struct {
		answer reqws.Directive
		code   int
		ok     bool
	}{
		"Halt":      {reqws.Halt(reqws.Text("enough")), 1000, true},
		"Fail":      {reqws.Fail(errors.New("enough"), reqws.Text("enough")), 1011, false},
		"bad frame": {reqws.Cont(reqws.Frame{}), 1011, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tidy(t)
				is := is.New(t)
				last := []reqwstest.Step{reqwstest.Accept(), reqwstest.ExpectText("enough"), reqwstest.ExpectCloseCode(tt.code), reqwstest.SendClose(tt.code, "")}
				if name == "bad frame" {
					last = slices.Delete(last, 1, 2)
				}
				srv := reqwstest.NewMemory(t, dropped(0), reqwstest.Script(last...))
				n := 0
				w := &witness{}
				err := to(srv, reqws.Reconnect(-1), atOnce(), reqws.OnOpen(func(*reqws.Response) reqws.Directive {
					if n++; n == 1 {
						return reqws.Cont()
					}
					return tt.answer
				})).Run(t.Context(), w.into())
				is.Equal(err == nil, tt.ok)
				is.Equal(n, 2)
				if name == "bad frame" {
					is.Equal(w.errs[len(w.errs)-1], err)
				}
			})
		})
	}
}

// Many goroutines send over many short links that the server closes in good order: what Send said
// nil for has arrived once, nothing twice, and what each of them sent is in its order.
func TestSendsOverManyLinks(t *testing.T) {
	const links, perLink, senders = 30, 40, 8
	for name, serve := range servers {
		t.Run(name, func(t *testing.T) {
			tidy(t)
			is := is.New(t)
			got := make([][]int, senders) // by who sent it; one link is served at a time
			read := func(c *reqwstest.Conn) (done bool, err error) {
				f, err := c.ReadFrame()
				if err != nil || f.Op == reqwstest.OpClose {
					return true, err
				}
				var g, i int
				_, err = fmt.Sscanf(string(f.Payload), "%d/%d", &g, &i)
				got[g] = append(got[g], i)
				return false, err
			}
			lastLink := make(chan struct{})
			srv := serve(t,
				reqwstest.Script(reqwstest.Accept(), reqwstest.Do(func(c *reqwstest.Conn) error {
					for i := 0; ; i++ {
						if i == perLink {
							if err := c.WriteFrame(reqwstest.Close(1012, "")); err != nil {
								return err
							}
						}
						if done, err := read(c); done {
							return err
						}
					}
				})).Times(links),
				reqwstest.Script(reqwstest.Accept(), reqwstest.Do(func(c *reqwstest.Conn) error {
					close(lastLink)
					for {
						if done, err := read(c); done {
							return errors.Join(err, c.WriteFrame(reqwstest.Close(1000, "")))
						}
					}
				})))
			resp, err := to(srv, reqws.Reconnect(-1), atOnce()).Do(t.Context(), (&witness{}).into())
			is.NoErr(err)
			var all sync.WaitGroup
			sent := make([]int, senders)
			for g := range senders {
				all.Go(func() {
					for more := true; more; sent[g]++ {
						select {
						case <-lastLink:
							more = false
						default:
						}
						if err := resp.Send(t.Context(), reqws.Text(fmt.Sprintf("%d/%d", g, sent[g]))); err != nil {
							t.Errorf("%d/%d: %v", g, sent[g], err)
							return
						}
					}
				})
			}
			all.Wait()
			is.NoErr(resp.Close(1000, ""))
			is.NoErr(resp.Wait())
			srv.Close()
			for g, n := range sent {
				is.Equal(len(got[g]), n)
				is.True(slices.IsSorted(got[g]))
				is.Equal(len(slices.Compact(got[g])), n)
			}
		})
	}
}

// A Close that meets the end of a link that another would follow is a Close of the stream.
func TestCloseMeetsABreak(t *testing.T) {
	for name, tt := range map[string]struct {
		code int
		ok   bool
	}{"restart": {1012, true}, "policy": {1008, false}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tidy(t)
				is := is.New(t)
				srv := reqwstest.NewMemory(t, reqwstest.Script(reqwstest.Accept(), reqwstest.SendClose(tt.code, ""), reqwstest.ExpectCloseCode(tt.code), reqwstest.Sleep(time.Second)))
				resp, err := to(srv, reqws.Reconnect(-1)).Do(t.Context(), (&witness{}).into())
				is.NoErr(err)
				synctest.Wait() // the close frames are exchanged, and the connection is still open
				is.NoErr(resp.Close(1000, ""))
				err = resp.Wait()
				is.Equal(err == nil, tt.ok)
			})
		})
	}
}
