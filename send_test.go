package reqws_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matryer/is"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/internal/wiretest"
	"github.com/reqws/reqws/reqwstest"
)

// A frame that must not be sent is an error of Send that names it. Nothing is
// written, of its neighbours neither, and the stream goes on.
func TestSendRefusesBadFrames(t *testing.T) {
	for _, tc := range badFrames() {
		t.Run(tc.name, func(t *testing.T) {
			tidy(t)
			is := is.New(t)
			srv := reqwstest.New(t, reqwstest.Script(
				reqwstest.Accept(),
				reqwstest.ExpectFrames(reqwstest.Text("good")),
				reqwstest.ExpectClose(1000, ""),
				reqwstest.SendClose(1000, ""),
			))
			resp, err := to(srv).Do(t.Context())
			is.NoErr(err)
			err = resp.Send(t.Context(), append([]reqws.Frame{reqws.Text("neighbour")}, tc.frames...)...)
			var pe *reqws.ProtocolError
			is.True(errors.As(err, &pe))
			if !strings.Contains(err.Error(), tc.says) {
				t.Errorf("%q does not say %q", err, tc.says)
			}
			is.NoErr(resp.Send(t.Context(), reqws.Text("good")))
			is.NoErr(resp.Close(1000, ""))
			is.NoErr(resp.Wait())
		})
	}
}

// The largest frames of their kinds may be sent.
func TestSendAtTheLimits(t *testing.T) {
	tidy(t)
	is := is.New(t)
	long := strings.Repeat("x", 125)
	srv := reqwstest.New(t, reqwstest.Script(
		reqwstest.Accept(),
		reqwstest.ExpectPing(long),
		reqwstest.ExpectPong(long),
		reqwstest.ExpectPing(""),
		reqwstest.ExpectText(""),
		reqwstest.ExpectBinary(""),
		reqwstest.ExpectClose(4999, long[:123]),
		reqwstest.SendClose(4999, ""),
	))
	resp, err := to(srv).Do(t.Context())
	is.NoErr(err)
	is.NoErr(resp.Send(t.Context()))
	is.NoErr(resp.Send(t.Context(), reqws.Ping(long), reqws.Pong(long), reqws.Ping(""), reqws.Text(""), reqws.Binary("")))
	is.NoErr(resp.Close(4999, long[:123]))
	is.NoErr(resp.Wait())
}

// Payloads of all sizes around the borders of the length's encodings and of the
// write buffer arrive as they are.
func TestSendSizes(t *testing.T) {
	for name, server := range servers {
		t.Run(name, func(t *testing.T) {
			tidy(t)
			is := is.New(t)
			var frames []reqws.Frame
			steps := []reqwstest.Step{reqwstest.Accept()}
			for _, n := range []int{0, 1, 125, 126, 127, 8191, 8192, 8193, 65535, 65536, 65537, 73727, 73728, 73729, 131072, 1 << 20} {
				p := make([]byte, n)
				for i := range p {
					p[i] = byte(i * 7)
				}
				frames = append(frames, reqws.Binary(p), reqws.Text("x"))
				steps = append(steps, reqwstest.ExpectBinary(p), reqwstest.ExpectText("x"))
			}
			steps = append(steps, steps[1:]...) // one by one, and all in one call
			steps = append(steps, reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, ""))
			srv := server(t, reqwstest.Script(steps...))
			resp, err := to(srv).Do(t.Context())
			is.NoErr(err)
			for _, f := range frames {
				is.NoErr(resp.Send(t.Context(), f))
			}
			is.NoErr(resp.Send(t.Context(), frames...))
			is.NoErr(resp.Wait())
		})
	}
}

// Send only reads what it is given.
func TestSendLeavesThePayloadAlone(t *testing.T) {
	tidy(t)
	is := is.New(t)
	p := bytes.Repeat([]byte("0123456789"), 20_000)
	srv := reqwstest.New(t, reqwstest.Script(
		reqwstest.Accept(),
		reqwstest.ExpectBinary(p),
		reqwstest.SendClose(1000, ""),
		reqwstest.ExpectClose(1000, ""),
	))
	resp, err := to(srv).Do(t.Context())
	is.NoErr(err)
	mine := bytes.Clone(p)
	is.NoErr(resp.Send(t.Context(), reqws.Binary(mine)))
	is.True(bytes.Equal(mine, p))
	clear(mine) // the caller's again
	is.NoErr(resp.Wait())
}

// Many goroutines send at once: all arrives, what one sent in its order, in far
// fewer writes than messages where writing takes its time.
func TestManySenders(t *testing.T) {
	const senders, each = 100, 20
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		last := make(map[string]int)
		srv := reqwstest.NewMemory(t, reqwstest.BufferSize(64), reqwstest.Script(
			reqwstest.Accept(),
			reqwstest.Do(func(c *reqwstest.Conn) error {
				for range senders * each {
					time.Sleep(time.Millisecond) // so that they meet
					_, p, err := c.ReadMessage()
					if err != nil {
						return err
					}
					name, number, _ := strings.Cut(string(p), " ")
					var n int
					fmt.Sscan(number, &n)
					if n != last[name]+1 {
						return fmt.Errorf("%s: %d came after %d", name, n, last[name])
					}
					last[name] = n
				}
				return nil
			}),
			reqwstest.SendClose(1000, ""),
			reqwstest.ExpectClose(1000, ""),
		))
		resp, err := to(srv).Do(t.Context())
		is.NoErr(err)
		var all sync.WaitGroup
		for i := range senders {
			all.Go(func() {
				for n := range each {
					if err := resp.Send(t.Context(), reqws.Text(fmt.Sprintf("sender-%d %d", i, n+1))); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		is.NoErr(resp.Wait())
		writes := len(wiretest.WriteSizes(srv.Conns()[0]))
		if writes > senders*each/10 {
			t.Errorf("%d writes for %d messages", writes, senders*each)
		}
	})
}

// The same over a real connection, where whoever writes hardly waits.
func TestManySendersOverTCP(t *testing.T) {
	for name, server := range map[string]func(reqwstest.TB, ...reqwstest.Option) *reqwstest.Server{
		"ws": reqwstest.New, "wss": reqwstest.NewTLS,
	} {
		t.Run(name, func(t *testing.T) {
			tidy(t)
			is := is.New(t)
			const senders, each = 100, 50
			last := make([]int, senders)
			srv := server(t, reqwstest.Script(
				reqwstest.Accept(),
				reqwstest.Do(func(c *reqwstest.Conn) error {
					for range senders * each {
						_, p, err := c.ReadMessage()
						if err != nil {
							return err
						}
						var i, n int
						fmt.Sscan(string(p), &i, &n)
						if n != last[i]+1 {
							return fmt.Errorf("sender %d: %d came after %d", i, n, last[i])
						}
						last[i] = n
					}
					return nil
				}),
				reqwstest.SendClose(1000, ""),
				reqwstest.ExpectClose(1000, ""),
			))
			resp, err := to(srv).Do(t.Context())
			is.NoErr(err)
			var all sync.WaitGroup
			for i := range senders {
				all.Go(func() {
					for n := range each {
						if err := resp.Send(context.Background(), reqws.Text(fmt.Sprint(i, " ", n+1))); err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			all.Wait()
			is.NoErr(resp.Wait())
		})
	}
}

// Small messages get through beside a large one, whole and in order.
func TestLargeAndSmallSends(t *testing.T) {
	for name, server := range servers {
		t.Run(name, func(t *testing.T) {
			tidy(t)
			is := is.New(t)
			const large, small = 2, 300
			big := bytes.Repeat([]byte("0123456789"), 1<<18)
			if name == "ws" {
				big = bytes.Repeat(big, 4) // 10 MB
			}
			var bigs, smalls int
			srv := server(t, reqwstest.Script(
				reqwstest.Accept(),
				reqwstest.Do(func(c *reqwstest.Conn) error {
					for range large + small {
						op, p, err := c.ReadMessage()
						switch {
						case err != nil:
							return err
						case op == reqwstest.OpBinary && bytes.Equal(p, big):
							bigs++
						case op == reqwstest.OpText && string(p) == fmt.Sprint("small ", smalls):
							smalls++
						default:
							return fmt.Errorf("unexpected message of %d bytes", len(p))
						}
					}
					return nil
				}),
				reqwstest.SendClose(1000, ""),
				reqwstest.ExpectClose(1000, ""),
			))
			resp, err := to(srv).Do(t.Context())
			is.NoErr(err)
			var all sync.WaitGroup
			all.Go(func() {
				for range large {
					is.NoErr(resp.Send(t.Context(), reqws.Binary(big)))
				}
			})
			all.Go(func() {
				for i := range small {
					is.NoErr(resp.Send(t.Context(), reqws.Text(fmt.Sprint("small ", i))))
				}
			})
			all.Wait()
			is.NoErr(resp.Wait())
			is.Equal(bigs, large)
			is.Equal(smalls, small)
		})
	}
}

// Replies of the handler and sends of others share the connection.
func TestSendsBesideReplies(t *testing.T) {
	tidy(t)
	is := is.New(t)
	const n = 500
	var frames []reqwstest.Frame
	for range n {
		frames = append(frames, reqwstest.Text("in"))
	}
	counts := map[string]int{}
	srv := reqwstest.New(t, reqwstest.Script(
		reqwstest.Accept(),
		reqwstest.Send(frames...),
		reqwstest.Do(func(c *reqwstest.Conn) error {
			for range 2 * n {
				_, p, err := c.ReadMessage()
				if err != nil {
					return err
				}
				counts[string(p)]++
			}
			return nil
		}),
		reqwstest.SendClose(1000, ""),
		reqwstest.ExpectClose(1000, ""),
	))
	resp, err := to(srv).Do(t.Context(), reqws.Into(reqws.Each(echo)))
	is.NoErr(err)
	for range n {
		is.NoErr(resp.Send(t.Context(), reqws.Text("sent")))
	}
	is.NoErr(resp.Wait())
	is.Equal(counts, map[string]int{"in": n, "sent": n})
}

// After the end of the stream Send says what ended it.
func TestSendAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tc := range []struct {
			name string
			step reqwstest.Step
			do   func(*reqws.Response) error
			want error
		}{
			{"Close", reqwstest.SendClose(1000, ""), func(r *reqws.Response) error { return r.Close(1000, "") }, reqws.ErrClosed},
			{"CloseNow", reqwstest.Stall(), (*reqws.Response).CloseNow, reqws.ErrClosed},
			{"reset", reqwstest.Reset(), nil, syscall.ECONNRESET},
		} {
			is := is.New(t)
			srv := reqwstest.NewMemory(t, reqwstest.Script(reqwstest.Accept(), tc.step))
			resp, err := to(srv).Do(t.Context())
			is.NoErr(err)
			if tc.do != nil {
				is.NoErr(tc.do(resp))
			}
			<-resp.Done()
			err = resp.Send(t.Context(), reqws.Text("late"))
			is.True(errors.Is(err, tc.want))
		}
	})
}

// Sends that wait when the stream ends come back with why.
func TestSendsThatWaitAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		srv := reqwstest.NewMemory(t, reqwstest.BufferSize(1000), reqwstest.Script(reqwstest.Accept(), reqwstest.Stall()))
		resp, err := to(srv).Do(t.Context())
		is.NoErr(err)
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				err := resp.Send(t.Context(), reqws.Binary(make([]byte, 2000)))
				is.True(errors.Is(err, reqws.ErrClosed))
			})
		}
		synctest.Wait()
		is.NoErr(resp.CloseNow())
		all.Wait()
		is.True(errors.Is(resp.Wait(), reqws.ErrClosed))
	})
}

// A close frame can be sent as any other, and begins the closing handshake.
func TestSendOfACloseFrame(t *testing.T) {
	tidy(t)
	is := is.New(t)
	srv := reqwstest.New(t, reqwstest.Script(
		reqwstest.Accept(),
		reqwstest.ExpectText("last words"),
		reqwstest.ExpectClose(4001, "enough"),
		reqwstest.SendClose(4001, ""),
		reqwstest.ExpectEOF(),
	))
	resp, err := to(srv).Do(t.Context())
	is.NoErr(err)
	is.NoErr(resp.Send(t.Context(), reqws.Text("last words"), reqws.Close(4001, "enough")))
	is.True(errors.Is(resp.Send(t.Context(), reqws.Text("too late")), reqws.ErrClosed))
	is.NoErr(resp.Wait())
}

// Many frames of one Send arrive in order.
func TestSendOfManyFrames(t *testing.T) {
	tidy(t)
	is := is.New(t)
	var frames []reqws.Frame
	var want []reqwstest.Frame
	for i := range 1000 {
		frames = append(frames, reqws.Text(fmt.Sprint(i)))
		want = append(want, reqwstest.Text(fmt.Sprint(i)))
	}
	srv := reqwstest.New(t, reqwstest.Script(
		reqwstest.Accept(),
		reqwstest.ExpectFrames(append(want, want...)...),
		reqwstest.SendClose(1000, ""),
		reqwstest.ExpectClose(1000, ""),
	))
	resp, err := to(srv).Do(t.Context())
	is.NoErr(err)
	is.NoErr(resp.Send(t.Context(), frames...))
	is.NoErr(resp.Send(t.Context(), frames...))
	is.NoErr(resp.Wait())
}

// A real peer that stalls: the socket's buffers fill, and ctx ends the Send.
func TestSendToAStalledSocket(t *testing.T) {
	tidy(t)
	is := is.New(t)
	srv := reqwstest.New(t, reqwstest.Script(reqwstest.Accept(), reqwstest.Stall()))
	resp, err := to(srv).Do(t.Context())
	is.NoErr(err)
	large := reqws.Binary(make([]byte, 32<<20)) // making it may take longer than ctx has
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err = resp.Send(ctx, large)
	is.True(errors.Is(err, context.DeadlineExceeded))
	is.True(strings.Contains(err.Error(), "cut off"))
	is.True(resp.Wait() != nil)
	is.True(!errors.Is(resp.Wait(), net.ErrClosed)) // says why, not what became of the socket
}
