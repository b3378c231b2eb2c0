package reqws_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
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

// executions are the ways to execute a Request that has a handler: they return when its stream has ended.
var executions = map[string]func(context.Context, *reqws.Request, ...reqws.Option) error{
	"Run": func(ctx context.Context, r *reqws.Request, opts ...reqws.Option) error { return r.Run(ctx, opts...) },
	"Do": func(ctx context.Context, r *reqws.Request, opts ...reqws.Option) error {
		resp, err := r.Do(ctx, opts...)
		if err != nil {
			return err
		}
		return resp.Wait()
	},
}

// slow is a handler that takes fifty seconds for its first batch.
func slow() *witness {
	first := true
	return &witness{answer: func(reqws.Event, *reqws.Response) reqws.Directive {
		if first {
			first = false
			time.Sleep(50 * time.Second)
		}
		return reqws.Cont()
	}}
}

// gap is longer than what arrived together takes, and shorter than all else.
func gap() reqwstest.Step { return reqwstest.Sleep(time.Second) }

// While a handler works, pings are answered only with ReadAhead; what came meanwhile is one batch.
func TestReadAheadAnswersPings(t *testing.T) {
	for way, execute := range executions {
		for _, ahead := range []int{0, 1 << 10} {
			t.Run(fmt.Sprintf("%s/%d", way, ahead), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					tidy(t)
					is := is.New(t)
					var took time.Duration
					srv := reqwstest.NewMemory(t, reqwstest.Script(
						reqwstest.Accept(),
						reqwstest.SendText("work"),
						gap(),
						reqwstest.Do(func(c *reqwstest.Conn) error {
							start := time.Now()
							for i := range 3 {
								if err := c.Play(reqwstest.SendPing(fmt.Sprint(i)), reqwstest.ExpectPong(fmt.Sprint(i))); err != nil {
									return err
								}
							}
							took = time.Since(start)
							return nil
						}),
						reqwstest.Send(reqwstest.Text("more"), reqwstest.Close(1000, "")),
						reqwstest.ExpectClose(1000, ""),
					))
					w := slow()
					is.NoErr(execute(t.Context(), to(srv), w.into(), reqws.ReadAhead(ahead)))
					if ahead == 0 {
						is.Equal(took, 49*time.Second)
						return
					}
					is.Equal(took, time.Duration(0))
					is.Equal(w.batches, [][]string{{`text "work"`}, {`ping "0"`, `ping "1"`, `ping "2"`, `text "more"`, "close 1000"}})
				})
			})
		}
	}
}

// A mailbox that is full does not stop the reading either.
func TestReadAheadOfAMailbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tidy(t)
		is := is.New(t)
		srv := reqwstest.NewMemory(t, reqwstest.Script(
			reqwstest.Accept(),
			reqwstest.SendText("first"), gap(),
			reqwstest.SendText("second"), gap(),
			reqwstest.SendPing("p"), reqwstest.ExpectPong("p"),
			reqwstest.SendClose(4000, "bye"), reqwstest.ExpectClose(4000, ""),
		))
		box := make(chan reqws.Message)
		resp, err := to(srv).Do(t.Context(), reqws.IntoMailbox(box), reqws.ReadAhead(1<<10))
		is.NoErr(err)
		time.Sleep(time.Minute)
		for _, want := range [][]string{{`text "first"`}, {`text "second"`, `ping "p"`, `close 4000 "bye"`}} {
			frames, err := resp.ParseMessage(<-box)
			is.NoErr(err)
			is.Equal(listed(frames), want)
		}
		_, err = resp.ParseMessage(<-box)
		is.Equal(int(websocket.CloseStatus(err)), 4000)
	})
}

// The handler's own pong is a second one, unless AutoPong is off: then the peer waits for that.
func TestPongsWithReadAhead(t *testing.T) {
	for _, auto := range []bool{true, false} {
		t.Run(fmt.Sprint(auto), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tidy(t)
				is := is.New(t)
				want := []string{`pong "p"`, `pong "p"`, `close 1000 ""`}
				if !auto {
					want = want[1:]
				}
				srv := reqwstest.NewMemory(t, reqwstest.Script(
					reqwstest.Accept(), reqwstest.SendText("work"), gap(), reqwstest.SendPing("p"),
					gap(), reqwstest.SendClose(1000, ""),
					reqwstest.Do(func(c *reqwstest.Conn) error {
						for {
							if f, err := c.ReadFrame(); err != nil || f.Op == reqwstest.OpClose {
								return err
							}
						}
					}),
				))
				w := slow()
				sleep := w.answer
				w.answer = func(in reqws.Event, resp *reqws.Response) reqws.Directive {
					sleep(in, resp)
					if in.Frames[0].Kind == reqws.KindPing {
						return reqws.Cont(reqws.Pong(in.Frames[0].Data))
					}
					return reqws.Cont()
				}
				is.NoErr(to(srv).Run(t.Context(), w.into(), reqws.ReadAhead(1<<10), reqws.AutoPong(auto)))
				is.Equal(shown(srv.Conns()[0]), want)
			})
		})
	}
}

// What is read ahead is bounded, be it few large frames or many empty ones. Nobody who waits behind
// that is mistaken for dead, nor for alive when there is room again.
func TestReadAheadIsBounded(t *testing.T) {
	const most, buffers = 100_000, 72<<10 + 8<<10 // of the reader, and of the connection
	for _, size := range []int{0, 100, 5000} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tidy(t)
				is := is.New(t)
				frame := reqwstest.Encode(reqwstest.Binary(make([]byte, size)))
				var written atomic.Int64 // frames
				full := make(chan struct{})
				srv := reqwstest.NewMemory(t, reqwstest.BufferSize(8<<10), reqwstest.Script(
					reqwstest.Accept(), reqwstest.SendText("work"), gap(),
					reqwstest.Do(func(c *reqwstest.Conn) error {
						for {
							if _, err := c.Write(frame); err != nil {
								return err
							}
							select {
							case <-full:
								_, err := io.Copy(io.Discard, c) // says nothing any more
								return err
							default:
								written.Add(1)
							}
						}
					}),
				))
				total, largest := 0, 0
				err := to(srv).Run(t.Context(), reqws.ReadAhead(most), reqws.Into(func(in reqws.Event, _ *reqws.Response) reqws.Directive {
					if in.Err != nil {
						return reqws.Cont()
					}
					if total == 0 {
						time.Sleep(time.Hour)
						sent, ahead := int(written.Load()), most/(size+64)
						is.True(sent > ahead)
						is.True(sent <= ahead+buffers/len(frame)+2)
						close(full)
					}
					total += len(in.Frames)
					largest = max(largest, len(in.Frames))
					return reqws.Cont()
				}))
				is.True(errors.Is(err, reqws.ErrPeerUnresponsive))
				is.Equal(total, 1+int(written.Load())+1)
				is.Equal(largest, most/(size+64))
			})
		})
	}
}

// A message that is larger than what may wait is handed over all the same.
func TestReadAheadOfALargeMessage(t *testing.T) {
	for _, n := range []int{1, 64, 1000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tidy(t)
				is := is.New(t)
				large := strings.Repeat("x", 200_000)
				srv := reqwstest.NewMemory(t, reqwstest.Script(
					reqwstest.Accept(), reqwstest.SendText("work"), gap(),
					reqwstest.Send(reqwstest.Text(large), reqwstest.Text("a"), reqwstest.Text(large), reqwstest.Close(1000, "")),
					reqwstest.ExpectClose(1000, ""),
				))
				var got []int
				is.NoErr(to(srv).Run(t.Context(), reqws.ReadAhead(n), reqws.Into(reqws.Each(func(f reqws.Frame) reqws.Directive {
					if got = append(got, len(f.Data)); len(got) == 1 {
						time.Sleep(50 * time.Second)
					}
					return reqws.Cont()
				}))))
				is.Equal(got, []int{4, len(large), 1, len(large), 0})
			})
		})
	}
}

// What a handler was lent stays as it is until it returns, whatever is read meanwhile.
func TestReadAheadLendsUntilTheHandlerReturns(t *testing.T) {
	for way, execute := range executions {
		t.Run(way, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tidy(t)
				is := is.New(t)
				const n = 100
				var steps []reqwstest.Step
				for i := range n {
					steps = append(steps, reqwstest.Send(reqwstest.Text(fmt.Sprint("a", i)), reqwstest.Text(strings.Repeat("b", i))), gap())
				}
				steps = append(steps, reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, ""))
				srv := reqwstest.NewMemory(t, reqwstest.Script(append([]reqwstest.Step{reqwstest.Accept()}, steps...)...))
				total := 0
				is.NoErr(execute(t.Context(), to(srv), reqws.ReadAhead(1<<20), reqws.Into(func(in reqws.Event, _ *reqws.Response) reqws.Directive {
					before := listed(in.Frames)
					time.Sleep(time.Duration(len(before)) * 3 * time.Second)
					is.Equal(listed(in.Frames), before)
					for i, f := range in.Frames {
						_ = append(f.Data, "overwritten"...) // which is not the next one's
						is.Equal(f.String(), before[i])
					}
					total += len(before)
					return reqws.Cont()
				})))
				is.Equal(total, 2*n+1)
			})
		})
	}
}

// Own pongs are not shown, and prove life.
func TestHeartbeatWithReadAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tidy(t)
		is := is.New(t)
		s := &seen{answer: pongs}
		srv := reqwstest.NewMemory(t, reqwstest.Script(slices.Insert(s.steps(), 1, reqwstest.SendText("work"))...))
		w := &witness{answer: func(_ reqws.Event, resp *reqws.Response) reqws.Directive {
			time.Sleep(50 * time.Second)
			is.Equal(resp.Latency(), time.Duration(0)) // in a bubble
			return reqws.Halt()
		}}
		is.NoErr(to(srv).Run(t.Context(), w.into(), reqws.ReadAhead(1<<10), reqws.CloseTimeout(time.Second)))
		is.Equal(s.log, []string{"20s ping", "40s ping", "50s close"})
		is.Equal(w.frames(), []string{`text "work"`})
	})
}

// Each goes through its frames in order, and answers them in order, however far ahead was read.
func TestReadAheadKeepsTheOrder(t *testing.T) {
	for name, server := range servers {
		for way, execute := range executions {
			for _, n := range []int{1, 1000, 1 << 20} {
				t.Run(fmt.Sprintf("%s/%s/%d", name, way, n), func(t *testing.T) {
					tidy(t)
					is := is.New(t)
					const messages = 2000
					srv := server(t, reqwstest.Script(
						reqwstest.Accept(),
						reqwstest.Do(func(c *reqwstest.Conn) error {
							sent := make(chan error, 1)
							go func() {
								for i := range messages {
									if err := c.WriteFrame(reqwstest.Text(fmt.Sprint(i))); err != nil {
										sent <- err
										return
									}
								}
								sent <- c.WriteFrame(reqwstest.Close(1000, ""))
							}()
							for i := range messages {
								f, err := c.ReadFrame()
								if err != nil || string(f.Payload) != fmt.Sprint(i) {
									return fmt.Errorf("%v, %v in place of %d", f, err, i)
								}
							}
							return <-sent
						}),
						reqwstest.ExpectClose(1000, ""),
					))
					is.NoErr(execute(t.Context(), to(srv), reqws.ReadAhead(n), reqws.Into(reqws.Each(echo))))
				})
			}
		}
	}
}

// Receive has a backlog of its own, and a plain answer is read as before.
func TestReadAheadHasNoEffect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tidy(t)
		is := is.New(t)
		srv := reqwstest.NewMemory(t,
			reqwstest.Script(reqwstest.Accept(), reqwstest.SendText("a"), reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, "")),
			reqwstest.Script(reqwstest.RespondChunks("a", "b")),
		)
		resp, err := to(srv, reqws.ReadAhead(1)).Do(t.Context())
		is.NoErr(err)
		var got []string
		for {
			frames, err := resp.Receive(t.Context())
			if err == io.EOF {
				break
			}
			is.NoErr(err)
			got = append(got, listed(frames)...)
		}
		is.Equal(got, []string{`text "a"`, "close 1000"})

		body := ""
		is.NoErr(to(srv, reqws.URL(srv.HTTPURL()), reqws.ReadAhead(1)).Run(t.Context(), reqws.Into(reqws.Each(func(f reqws.Frame) reqws.Directive {
			body += f.Text()
			return reqws.Cont()
		}))))
		is.Equal(body, "ab")
	})
}
