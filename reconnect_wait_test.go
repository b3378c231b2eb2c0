package reqws_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/coder/websocket"
	"github.com/matryer/is"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/reqwstest"
)

// gaps are the times between the requests of a server.
func gaps(srv *reqwstest.Server) []time.Duration {
	var out []time.Duration
	requests := srv.Requests()
	for i := range requests[1:] {
		out = append(out, requests[i+1].Time.Sub(requests[i].Time))
	}
	return out
}

func refused(status int, header ...string) *reqwstest.ConnScript {
	h := http.Header{}
	if len(header) > 0 {
		h.Set(header[0], header[1])
	}
	return reqwstest.Script(reqwstest.Refuse(status, h, ""))
}

func dropped(after time.Duration) *reqwstest.ConnScript {
	return reqwstest.Script(reqwstest.Accept(), reqwstest.Sleep(after))
}

// Without other options the wait before an attempt is anything up to twice that before the last, up
// to 30s; a connection that lasted for MinUptime begins anew.
func TestReconnectDelays(t *testing.T) {
	const s = time.Second
	for _, tt := range []struct {
		name    string
		scripts []reqwstest.Option
		opts    []reqws.Option
		least   []time.Duration
		most    []time.Duration
	}{
		{"refused again and again", []reqwstest.Option{dropped(0), refused(503).Times(8)}, nil,
			make([]time.Duration, 9), []time.Duration{s, 2 * s, 4 * s, 8 * s, 16 * s, 30 * s, 30 * s, 30 * s, 30 * s}},
		{"Retry-After", []reqwstest.Option{dropped(0), refused(503, "Retry-After", "100"), refused(429, "Retry-After", "1"), refused(500, "Retry-After", "100")}, nil,
			[]time.Duration{0, 100 * s, s, 0}, []time.Duration{s, 102 * s, 5 * s, 8 * s}},
		{"short connections", []reqwstest.Option{dropped(5*s - 1).Times(4)}, nil,
			[]time.Duration{5*s - 1, 5*s - 1, 5*s - 1, 5*s - 1}, []time.Duration{6 * s, 7 * s, 9 * s, 13 * s}},
		{"long connections", []reqwstest.Option{dropped(5 * s).Times(8)}, nil,
			slices.Repeat([]time.Duration{5 * s}, 8), slices.Repeat([]time.Duration{6 * s}, 8)},
		{"MinUptime", []reqwstest.Option{dropped(s).Times(8)}, []reqws.Option{reqws.MinUptime(s)},
			slices.Repeat([]time.Duration{s}, 8), slices.Repeat([]time.Duration{2 * s}, 8)},
		{"ReconnectBackOff", []reqwstest.Option{dropped(0), refused(503), refused(503, "Retry-After", "100"), refused(503)},
			[]reqws.Option{reqws.ReconnectBackOff(func() backoff.BackOff { return backoff.NewConstantBackOff(7 * s) })},
			[]time.Duration{7 * s, 7 * s, 100 * s, 7 * s}, []time.Duration{7 * s, 7 * s, 100 * s, 7 * s}},
		{"ReconnectFunc", []reqwstest.Option{dropped(0), refused(418), refused(503, "Retry-After", "100")},
			[]reqws.Option{reqws.ReconnectFunc(func(error) reqws.RetryDecision { return reqws.AgainAfter(3 * s) })},
			[]time.Duration{3 * s, 3 * s, 3 * s}, []time.Duration{3 * s, 3 * s, 3 * s}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				is := is.New(t)
				srv := reqwstest.NewMemory(t, append(tt.scripts, reqwstest.Script(reqwstest.Accept(), reqwstest.SendClose(1002, ""), reqwstest.ExpectClose(1002, "")))...)
				w := &witness{}
				err := to(srv, append(tt.opts, reqws.Reconnect(-1))...).Run(t.Context(), w.into(), reqws.Wrap(func(next reqws.Handler) reqws.Handler {
					return func(in reqws.Event, resp *reqws.Response) reqws.Directive {
						var closed websocket.CloseError
						if errors.As(in.Err, &closed) && closed.Code == 1002 {
							return reqws.Halt()
						}
						return next(in, resp)
					}
				}))
				is.True(err != nil)
				got := gaps(srv)
				is.Equal(len(got), len(tt.most))
				for i, d := range got {
					if d < tt.least[i] || d > tt.most[i] {
						t.Errorf("attempt %d came after %v, not between %v and %v", i+1, d, tt.least[i], tt.most[i])
					}
				}
			})
		})
	}
}

// A Retry-After without end is no short one.
func TestEndlessRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		srv := reqwstest.NewMemory(t, dropped(0), refused(503, "Retry-After", fmt.Sprint(uint64(math.MaxUint64))))
		ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
		defer cancel()
		is.True(errors.Is(to(srv, reqws.Reconnect(-1)).Run(ctx, (&witness{}).into()), context.DeadlineExceeded))
	})
}

// A thousand streams that lose their server together come back spread out.
func TestNoStampede(t *testing.T) {
	const n = 1000
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		restart := make(chan struct{})
		srv := reqwstest.NewMemory(t,
			reqwstest.Script(reqwstest.Accept(), reqwstest.Await(restart), reqwstest.SendClose(1012, "restart"), reqwstest.ExpectClose(1012, "")).Times(n),
			refused(503).Times(2*n), // about twice each
			reqwstest.Script(reqwstest.Accept(), reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, "")).Times(n))
		r := to(srv, reqws.Reconnect(-1))
		var all sync.WaitGroup
		for range n {
			all.Go(func() {
				if err := r.Run(t.Context(), reqws.Into(reqws.Each(func(reqws.Frame) reqws.Directive { return reqws.Cont() }))); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		start := time.Now()
		close(restart)
		all.Wait()
		var buckets [100]int
		back := 0
		for _, req := range srv.Requests()[n:] {
			buckets[min(int(req.Time.Sub(start)/(100*time.Millisecond)), len(buckets)-1)]++
			back++
		}
		is.Equal(back, 3*n)
		var chart strings.Builder
		for i, b := range buckets {
			fmt.Fprintf(&chart, "%4.1fs %3d %s\n", float64(i)/10, b, strings.Repeat("#", b/4))
		}
		t.Logf("attempts per 100 ms after the restart:\n%s", &chart)
		is.True(slices.Max(buckets[:]) < n/5)      // a stampede has all of them in one
		is.True(!slices.Contains(buckets[:40], 0)) // nor do they come in waves
	})
}

// Reconnect bounds the attempts in a row, the log tells of each, and the error of the last.
func TestReconnectGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		srv := reqwstest.NewMemory(t, dropped(time.Minute), refused(503), dropped(time.Second), refused(503))
		var log bytes.Buffer
		w := &witness{}
		err := to(srv, reqws.Heartbeat(0, 0), reqws.Reconnect(3), reqws.ReconnectBackOff(func() backoff.BackOff { return backoff.NewConstantBackOff(time.Second) }),
			reqws.Logger(slog.New(slog.NewTextHandler(&log, nil)))).Run(t.Context(), w.into())
		var last *reqws.HTTPError
		is.True(errors.As(err, &last))
		is.True(strings.Contains(err.Error(), "gave up after 3 attempts to reconnect"))
		is.Equal(len(w.errs), 3) // two breaks, and the end
		is.Equal(w.errs[2], err)
		is.Equal(strings.Count(log.String(), "will reconnect"), 3)
		is.True(strings.Contains(log.String(), "attempts_left=3"))
		is.True(strings.Contains(log.String(), "attempts_left=1"))
		is.True(strings.Contains(log.String(), "level=WARN"))
	})
}

// A backoff may give up, is reset after a good connection, and must not be nil.
func TestReconnectBackOff(t *testing.T) {
	t.Run("Stop", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			is := is.New(t)
			srv := reqwstest.NewMemory(t, dropped(0))
			err := to(srv, reqws.Reconnect(-1), reqws.ReconnectBackOff(func() backoff.BackOff { return &backoff.StopBackOff{} })).Run(t.Context(), (&witness{}).into())
			is.True(errors.Is(err, io.ErrUnexpectedEOF))
		})
	})
	t.Run("Reset", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			is := is.New(t)
			srv := reqwstest.NewMemory(t, dropped(0), dropped(0), dropped(time.Second), dropped(0), goodbye("hi"))
			b := &countedBackOff{}
			is.NoErr(to(srv, reqws.Reconnect(-1), reqws.MinUptime(time.Second), reqws.ReconnectBackOff(func() backoff.BackOff { return b })).Run(t.Context(), (&witness{}).into()))
			is.Equal(b.log, "reset next next reset next next ")
		})
	})
	t.Run("nil", func(t *testing.T) {
		is := is.New(t)
		_, err := reqws.New(reqws.URL("ws://localhost:1"), reqws.Reconnect(1), reqws.ReconnectBackOff(func() backoff.BackOff { return nil })).Do(t.Context())
		is.True(err != nil)
		is.True(strings.Contains(err.Error(), "ReconnectBackOff"))
	})
}

type countedBackOff struct{ log string }

func (b *countedBackOff) NextBackOff() time.Duration { b.log += "next "; return 0 }
func (b *countedBackOff) Reset()                     { b.log += "reset " }

// ReconnectFunc decides alone, and is asked about a usual end too.
func TestReconnectFunc(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		srv := reqwstest.NewMemory(t,
			reqwstest.Script(reqwstest.Accept(), reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, "")),
			reqwstest.Script(reqwstest.Accept(), reqwstest.SendClose(0, ""), reqwstest.ExpectClose(0, "")),
			reqwstest.Script(reqwstest.Accept(), reqwstest.Reset()),
			refused(404),
			reqwstest.DialError(syscall.ECONNREFUSED),
			goodbye("hi"))
		var asked []string
		w := &witness{}
		err := to(srv, reqws.Reconnect(-1), reqws.ReconnectFunc(func(err error) reqws.RetryDecision {
			var closed websocket.CloseError
			var refused *reqws.HTTPError
			switch {
			case len(asked) == 5:
				return reqws.GiveUp
			case errors.As(err, &closed):
				asked = append(asked, fmt.Sprint(int(closed.Code)))
			case errors.As(err, &refused):
				asked = append(asked, fmt.Sprint("status ", refused.StatusCode))
			case errors.Is(err, syscall.ECONNRESET):
				asked = append(asked, "reset")
			case errors.Is(err, syscall.ECONNREFUSED):
				asked = append(asked, "refused")
			}
			return reqws.AgainAfter(0)
		})).Run(t.Context(), w.into())
		is.NoErr(err) // what it gave up is a usual end
		is.Equal(asked, []string{"1000", "1005", "reset", "status 404", "refused"})
		is.Equal(len(w.errs), 3)
	})
}

// Without Reconnect there is none, whatever the other options say.
func TestNoReconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		srv := reqwstest.NewMemory(t, reqwstest.Script(reqwstest.Accept(), reqwstest.Reset()))
		err := to(srv, reqws.ReconnectFunc(func(error) reqws.RetryDecision { return reqws.Again }), atOnce(), reqws.Reconnect(0)).Run(t.Context(), (&witness{}).into())
		is.True(errors.Is(err, syscall.ECONNRESET))
	})
}

// Close, CloseNow and the end of ctx end a stream that waits for its next connection, or is about to
// open that.
func TestEndsBetweenTwoLinks(t *testing.T) {
	for name, tt := range map[string]struct {
		end  func(resp *reqws.Response, cancel func()) error
		want error
	}{
		"Close":    {func(resp *reqws.Response, _ func()) error { return resp.Close(1000, "") }, nil},
		"CloseNow": {func(resp *reqws.Response, _ func()) error { return resp.CloseNow() }, reqws.ErrClosed},
		"ctx":      {func(_ *reqws.Response, cancel func()) error { cancel(); return nil }, context.Canceled},
	} {
		for where, script := range map[string]*reqwstest.ConnScript{
			"waiting":    reqwstest.Script(reqwstest.Refuse(503, http.Header{"Retry-After": {"100"}}, "")),
			"connecting": reqwstest.Script(reqwstest.Do(func(c *reqwstest.Conn) error { _, err := c.ReadRequest(); return err }), reqwstest.ExpectGone()),
		} {
			for mode, into := range map[string]func() reqws.Option{
				"handler": func() reqws.Option { return (&witness{}).into() },
				"mailbox": func() reqws.Option { return reqws.IntoMailbox(make(chan reqws.Message, 1)) },
				"pull":    func() reqws.Option { return reqws.Options() },
			} {
				t.Run(name+"/"+where+"/"+mode, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						tidy(t)
						is := is.New(t)
						srv := reqwstest.NewMemory(t, dropped(0), script)
						ctx, cancel := context.WithCancel(t.Context())
						resp, err := to(srv, reqws.Reconnect(-1), reqws.ConnectTimeout(time.Hour)).Do(ctx, into())
						is.NoErr(err)
						time.Sleep(10 * time.Second)
						start := time.Now()
						is.NoErr(tt.end(resp, cancel))
						err = resp.Wait()
						is.Equal(time.Since(start), time.Duration(0))
						if tt.want == nil {
							is.NoErr(err)
						} else {
							is.True(errors.Is(err, tt.want))
						}
						is.True(resp.Send(t.Context(), reqws.Text("x")) != nil)
						cancel()
					})
				})
			}
		}
	}
}

// Sends that wait for their turn when their connection is lost go over the next one in the order in
// which they came.
func TestSendsKeepTheirOrderOverAReconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tidy(t)
		is := is.New(t)
		const many = 50
		next := []reqwstest.Step{reqwstest.Accept()}
		for n := range many {
			next = append(next, reqwstest.ExpectText(fmt.Sprint(n)))
		}
		next = append(next, reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, ""))
		srv := reqwstest.NewMemory(t,
			reqwstest.Script(reqwstest.Accept(), reqwstest.Sleep(time.Second), reqwstest.Reset()), reqwstest.Script(next...))
		resp, err := to(srv, reqws.Reconnect(1), atOnce()).Do(t.Context(), reqws.Into(reqws.Each(func(reqws.Frame) reqws.Directive { return reqws.Cont() })))
		is.NoErr(err)
		var sends sync.WaitGroup
		sends.Go(func() { is.True(resp.Send(t.Context(), reqws.Text(strings.Repeat("x", 1<<20))) != nil) }) // begun, and then lost
		for n := range many {
			synctest.Wait() // it stands in line
			sends.Go(func() { is.NoErr(resp.Send(t.Context(), reqws.Text(fmt.Sprint(n)))) })
		}
		sends.Wait()
		is.NoErr(resp.Wait())
	})
}
