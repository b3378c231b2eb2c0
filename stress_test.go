package reqws_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matryer/is"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/reqwstest"
)

// Many senders give up at random over a connection that takes bytes slowly. What
// a Send said is true: nil means that its frames arrived, once and in their order,
// and an error of its ctx that none did, unless it broke the stream.
func TestSendsGivenUpAtRandom(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				is := is.New(t)
				random, slow := rand.New(rand.NewPCG(seed, 0)), rand.New(rand.NewPCG(seed, 1))
				const senders, each = 20, 20
				got := make(map[string]int)
				last := make(map[string]int)
				srv := reqwstest.NewMemory(t, reqwstest.BufferSize(1+random.IntN(300)), reqwstest.Script(
					reqwstest.Accept(),
					reqwstest.Do(func(c *reqwstest.Conn) error {
						for {
							time.Sleep(time.Duration(slow.IntN(int(time.Millisecond))))
							op, p, err := c.ReadMessage()
							if err != nil || op == reqwstest.OpClose {
								return nil
							}
							name := strings.Fields(string(p))
							var n int
							fmt.Sscan(name[1], &n)
							if n <= last[name[0]] {
								return fmt.Errorf("%s: %d came after %d", name[0], n, last[name[0]])
							}
							last[name[0]] = n
							got[name[0]+" "+name[1]+" "+name[2]]++
						}
					}),
					reqwstest.Drop(),
				))
				resp, err := to(srv, reqws.WriteTimeout(time.Hour)).Do(t.Context())
				is.NoErr(err)
				var mu sync.Mutex
				said := make(map[string]error)
				var all sync.WaitGroup
				for i := range senders {
					waits := make([]time.Duration, each)
					sizes := make([]int, each)
					for n := range each {
						waits[n], sizes[n] = time.Duration(random.IntN(int(20*time.Millisecond))), random.IntN(100)
						if random.IntN(10) == 0 {
							sizes[n] += random.IntN(20_000)
						}
					}
					all.Go(func() {
						for n := range each {
							ctx, cancel := context.WithTimeout(t.Context(), waits[n])
							var frames []reqws.Frame
							for part := range 2 {
								frames = append(frames, reqws.Text(fmt.Sprintf("%d %d %d %s", i, 2*n+part+1, part, strings.Repeat("x", sizes[n]))))
							}
							err := resp.Send(ctx, frames...)
							cancel()
							mu.Lock()
							for part := range 2 {
								said[fmt.Sprintf("%d %d %d", i, 2*n+part+1, part)] = err
							}
							mu.Unlock()
						}
					})
				}
				all.Wait()
				_ = resp.Close(1000, "")
				_ = resp.Wait()
				is.NoErr(srv.Wait(t.Context()))
				for m, err := range said {
					gone := errors.Is(err, context.DeadlineExceeded) && !strings.Contains(err.Error(), "cut off")
					switch {
					case got[m] > 1:
						t.Errorf("%q came %d times", m, got[m])
					case err == nil && got[m] == 0:
						t.Errorf("%q was sent, and did not come", m)
					case gone && got[m] != 0:
						t.Errorf("%q was given up (%v), and came", m, err)
					}
				}
			})
		})
	}
}

// Whatever is done to a stream at the same time, it ends, once, with all that
// waits for it, and leaves nothing behind.
func TestEverythingAtOnce(t *testing.T) {
	for name, server := range servers {
		for _, mode := range []string{"handler", "each", "pull", "mailbox"} {
			t.Run(name+"/"+mode, func(t *testing.T) {
				tidy(t)
				const n = 20
				srv := server(t, reqwstest.Script(
					reqwstest.Accept(),
					reqwstest.Do(func(c *reqwstest.Conn) error {
						for i := range rand.IntN(50) {
							if c.WriteFrame(reqwstest.Text("text"), reqwstest.Ping(fmt.Sprint(i))) != nil {
								return nil
							}
						}
						switch rand.IntN(4) {
						case 0:
							_ = c.WriteFrame(reqwstest.Close(1000, ""))
						case 1:
							_ = c.WriteFrame(reqwstest.Frame{Fin: true, Op: 3})
						case 2:
							_ = c.Close()
						case 3:
							_ = c.Reset()
						}
						return nil
					}),
				).Times(n))
				for range n {
					chaos(t, to(srv, reqws.CloseTimeout(100*time.Millisecond)), mode)
				}
			})
		}
	}
}

// chaos runs one stream, and does at once all that can be done to it.
func chaos(t *testing.T, req *reqws.Request, mode string) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	errs, halted := 0, false
	handler := func(in reqws.Event, resp *reqws.Response) reqws.Directive {
		if in.Err != nil {
			errs++
		}
		switch rand.IntN(40) {
		case 0:
			halted = true
			return reqws.Halt(reqws.Text("bye"))
		case 1:
			return reqws.Cont(reqws.Text("\xff"))
		case 2:
			_ = resp.Close(1000, "")
		case 3:
			_ = resp.CloseNow()
		}
		return reqws.Cont(reqws.Text("one"), reqws.Text("two"))
	}
	box := make(chan reqws.Message)
	option := map[string]reqws.Option{
		"handler": reqws.Into(handler),
		"each":    reqws.Into(reqws.Each(echo)),
		"mailbox": reqws.IntoMailbox(box),
		"pull":    {},
	}[mode]
	resp, err := req.Do(ctx, option)
	if err != nil {
		t.Error(err)
		return
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for resp.Send(ctx, reqws.Text("send"), reqws.Ping("")) == nil {
			}
		})
		all.Go(func() {
			brief, cancel := context.WithTimeout(ctx, time.Duration(rand.IntN(int(time.Millisecond))))
			defer cancel()
			_ = resp.Send(brief, reqws.Binary(make([]byte, 100_000)))
		})
		all.Go(func() {
			for _, err := range resp.Frames(ctx) {
				_ = err
			}
		})
	}
	all.Go(func() {
		select {
		case m := <-box:
			_, _ = resp.ParseMessage(m)
		case <-resp.Done():
		}
	})
	all.Go(func() {
		time.Sleep(time.Duration(rand.IntN(int(2 * time.Millisecond)))) // any moment will do
		switch rand.IntN(4) {
		case 0:
			_ = resp.Close(1000, "")
		case 1:
			_ = resp.CloseNow()
		case 2:
			cancel()
		case 3:
			if resp.Send(ctx, reqws.Close(4000, "")) != nil {
				_ = resp.CloseNow() // nobody reads the mailbox on, which its stream waits for
			}
		}
	})
	end := resp.Wait()
	all.Wait()
	cancel()
	if again := resp.Wait(); again != end {
		t.Errorf("first it ended with %v, then with %v", end, again)
	}
	if mode == "handler" && (errs > 1 || errs == 1 && end == nil || errs == 0 && end != nil && !halted) {
		t.Errorf("the handler was told %d times of %v", errs, end)
	}
	if errors.Is(end, net.ErrClosed) {
		t.Errorf("%v does not say why", end)
	}
}
