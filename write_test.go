package reqws_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matryer/is"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/reqwstest"
)

// over are the kinds of connections whose writes differ, in memory.
var over = map[string]func(t *testing.T, options ...reqwstest.Option) (*reqwstest.Server, *reqws.Request){
	"plain": func(t *testing.T, options ...reqwstest.Option) (*reqwstest.Server, *reqws.Request) {
		srv := reqwstest.NewMemory(t, options...)
		return srv, to(srv)
	},
	"tls": func(t *testing.T, options ...reqwstest.Option) (*reqwstest.Server, *reqws.Request) {
		srv := reqwstest.NewMemory(t, append(options, reqwstest.TLS())...)
		return srv, to(srv)
	},
	"transport": func(t *testing.T, options ...reqwstest.Option) (*reqwstest.Server, *reqws.Request) {
		srv := reqwstest.NewMemory(t, options...)
		return srv, to(srv, reqws.Transport(&http.Transport{DialContext: srv.DialContext}))
	},
	"transport with tls": func(t *testing.T, options ...reqwstest.Option) (*reqwstest.Server, *reqws.Request) {
		srv := reqwstest.NewMemory(t, append(options, reqwstest.TLS())...)
		return srv, to(srv, reqws.Transport(&http.Transport{DialContext: srv.DialContext, TLSClientConfig: srv.TLSConfig()}))
	},
}

// A peer that is slow but takes bytes is not stuck, whatever lies between.
func TestWriteTimeoutSparesTheSlowEverywhere(t *testing.T) {
	const size, step = 256 << 10, 8 << 10
	for name, server := range over {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				is := is.New(t)
				_, req := server(t, reqwstest.BufferSize(step), reqwstest.Script(
					reqwstest.Accept(),
					reqwstest.Do(func(c *reqwstest.Conn) error {
						for {
							time.Sleep(400 * time.Millisecond)
							if _, err := c.NetConn().Read(make([]byte, step)); err != nil {
								return nil
							}
						}
					}),
				))
				resp, err := req.Do(t.Context(), reqws.WriteTimeout(time.Second))
				is.NoErr(err)
				is.NoErr(resp.Send(t.Context(), reqws.Binary(make([]byte, size))))
				_ = resp.CloseNow()
			})
		})
	}
}

// The write timeout counts from when the peer last took something, whatever it took before.
func TestWriteTimeoutIsAsLongAsItSays(t *testing.T) {
	const timeout = 8 * time.Second
	for name, server := range over {
		for _, takes := range []int{0, 1000, 100_000} {
			t.Run(fmt.Sprintf("%s/%d", name, takes), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					is := is.New(t)
					stopped := make(chan time.Time, 1)
					_, req := server(t, reqwstest.BufferSize(1000), reqwstest.Script(
						reqwstest.Accept(),
						reqwstest.Do(func(c *reqwstest.Conn) error {
							time.Sleep(time.Second)
							for got := 0; got < takes; {
								n, err := c.NetConn().Read(make([]byte, 1000))
								if err != nil {
									return err
								}
								got += n
							}
							stopped <- time.Now()
							return nil
						}),
						reqwstest.Stall(),
					))
					resp, err := req.Do(t.Context(), reqws.WriteTimeout(timeout))
					is.NoErr(err)
					start := time.Now()
					err = resp.Send(t.Context(), reqws.Binary(make([]byte, 1<<20)))
					is.True(errors.Is(err, os.ErrDeadlineExceeded))
					is.True(strings.Contains(err.Error(), "write timeout of 8s"))
					from := <-stopped
					if takes == 0 {
						from = start
					}
					took, least := time.Since(from), timeout
					if strings.HasPrefix(name, "transport") {
						least -= time.Second // it does not tell of the last few bytes that were taken
					}
					if took < least || took > timeout+timeout/8 {
						t.Errorf("took %v", took)
					}
					is.True(resp.Wait() != nil)
				})
			})
		}
	}
}

// A Send that is given up while the connection is blocked breaks it for nobody else, unless it
// was cut off in the middle. What a Send said is true: of nil, the frames arrived, and of the
// ctx's error that they did not.
func TestSendsGivenUpOverABlockedConnection(t *testing.T) {
	for name, server := range over {
		for _, size := range []int{10, 3_000, 70_000} { // of the Send in front
			t.Run(fmt.Sprintf("%s/%d", name, size), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					is := is.New(t)
					resume := make(chan struct{})
					got := map[string]int{}
					srv, req := server(t, reqwstest.BufferSize(500), reqwstest.Script(
						reqwstest.Accept(),
						reqwstest.Await(resume),
						reqwstest.Do(func(c *reqwstest.Conn) error {
							for {
								_, p, err := c.ReadMessage()
								if err != nil {
									return err
								}
								if string(p) == "end" {
									return nil
								}
								got[strings.TrimLeft(string(p), "x")]++
							}
						}),
						reqwstest.ExpectClose(1000, ""), reqwstest.SendClose(1000, ""),
					))
					resp, err := req.Do(t.Context(), reqws.WriteTimeout(time.Hour))
					is.NoErr(err)
					said := map[string]error{}
					var mu sync.Mutex
					var all sync.WaitGroup
					send := func(ctx context.Context, name string, n int) {
						all.Go(func() {
							err := resp.Send(ctx, reqws.Text(strings.Repeat("x", n)+name))
							mu.Lock()
							said[name] = err
							mu.Unlock()
						})
						synctest.Wait()
					}
					send(t.Context(), "fills", 600)
					send(t.Context(), "first", size)
					for i := range 20 {
						ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i+1)*time.Second)
						defer cancel()
						send(ctx, fmt.Sprint("given up ", i), 10*i)
						send(t.Context(), fmt.Sprint("patient ", i), 10*i)
					}
					time.Sleep(time.Minute)
					close(resume)
					all.Wait()
					is.NoErr(resp.Send(t.Context(), reqws.Text("end")))
					is.NoErr(resp.Close(1000, ""))
					is.NoErr(srv.Wait(t.Context()))
					for name, err := range said {
						switch {
						case err != nil && !strings.HasPrefix(name, "given up"):
							t.Errorf("%s: %v", name, err)
						case err == nil && got[name] != 1:
							t.Errorf("%s was sent, and came %d times", name, got[name])
						case err != nil && (got[name] != 0 || !errors.Is(err, context.DeadlineExceeded)):
							t.Errorf("%s: %v, and it came %d times", name, err, got[name])
						}
					}
				})
			})
		}
	}
}

// A Send whose ctx ends about when its bytes are out does no harm.
func TestSendsWhoseCtxEndsInTheSameMoment(t *testing.T) {
	for name, server := range servers {
		for _, transport := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/transport=%v", name, transport), func(t *testing.T) {
				tidy(t)
				is := is.New(t)
				const n = 1000
				got := map[string]int{}
				srv := server(t, reqwstest.BufferSize(1<<20), reqwstest.Script(
					reqwstest.Accept(),
					reqwstest.Do(func(c *reqwstest.Conn) error {
						for {
							op, p, err := c.ReadMessage()
							if err != nil || op == reqwstest.OpClose {
								return err
							}
							got[string(p)]++
						}
					}),
					reqwstest.SendClose(1000, ""),
				))
				req := to(srv)
				if transport {
					req = to(srv, reqws.Transport(netHTTP(srv)))
				}
				resp, err := req.Do(t.Context(), reqws.WriteTimeout(time.Hour))
				is.NoErr(err)
				said := map[string]error{}
				var mu sync.Mutex
				var all sync.WaitGroup
				for i := range 4 {
					all.Go(func() {
						for k := range n / 4 {
							ctx, cancel := context.WithCancel(t.Context())
							if k%2 == 0 {
								go cancel()
							} else {
								time.AfterFunc(time.Duration(rand.IntN(40))*time.Microsecond, cancel)
							}
							text := fmt.Sprint(i, " ", k)
							err := resp.Send(ctx, reqws.Text(text))
							mu.Lock()
							said[text] = err
							mu.Unlock()
							cancel()
						}
					})
				}
				all.Wait()
				is.NoErr(resp.Close(1000, ""))
				is.NoErr(srv.Wait(t.Context()))
				for text, err := range said {
					switch {
					case err != nil && !errors.Is(err, context.Canceled):
						t.Errorf("%s: %v", text, err)
					case (err == nil) != (got[text] == 1):
						t.Errorf("%s: %v, and it came %d times", text, err, got[text])
					}
				}
			})
		}
	}
}

// A Send of which nothing was written was not cut off, though it shared the buffer of one that
// was.
func TestASendThatHadNotBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		resume := make(chan struct{})
		srv := reqwstest.NewMemory(t, reqwstest.BufferSize(1000), reqwstest.Script(
			reqwstest.Accept(), reqwstest.Await(resume),
			reqwstest.ExpectBinary(make([]byte, 200_000)), reqwstest.ExpectText("later"), reqwstest.Drop()))
		resp, err := to(srv, reqws.WriteTimeout(time.Hour)).Do(t.Context())
		is.NoErr(err)
		go func() { _ = resp.Send(t.Context(), reqws.Binary(make([]byte, 200_000))) }()
		synctest.Wait()
		var all sync.WaitGroup
		for i := range 3 {
			all.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i+1)*time.Second)
				defer cancel()
				err := resp.Send(ctx, reqws.Text("never begun"))
				is.True(errors.Is(err, context.DeadlineExceeded))
				is.True(!strings.Contains(err.Error(), "cut off"))
			})
		}
		all.Wait()
		close(resume)
		is.NoErr(resp.Send(t.Context(), reqws.Text("later")))
		is.NoErr(srv.Wait(t.Context()))
	})
}
