package reqws_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matryer/is"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/reqwstest"
)

// Receive returns batch after batch, then io.EOF for ever.
func TestReceive(t *testing.T) {
	tidy(t)
	is := is.New(t)
	next := make(chan struct{})
	srv := reqwstest.New(t, reqwstest.Script(
		reqwstest.Accept(),
		reqwstest.Send(reqwstest.Text("a"), reqwstest.Ping("p"), reqwstest.Binary("b")),
		reqwstest.ExpectPong("p"),
		reqwstest.Await(next),
		reqwstest.Send(reqwstest.Text("c"), reqwstest.Close(1000, "done")),
		reqwstest.ExpectClose(1000, ""),
	))
	resp, err := to(srv).Do(t.Context())
	is.NoErr(err)
	frames, err := resp.Receive(t.Context())
	is.NoErr(err)
	is.Equal(listed(frames), []string{`text "a"`, `ping "p"`, `binary "b"`})
	close(next)
	frames, err = resp.Receive(t.Context())
	is.NoErr(err)
	is.Equal(listed(frames), []string{`text "c"`, `close 1000 "done"`})
	for range 3 {
		_, err = resp.Receive(t.Context())
		is.Equal(err, io.EOF) // bare, as readers expect it
	}
}

// What Receive returned is the caller's: later frames leave it alone, and so does
// the caller's writing them.
func TestReceivedFramesAreTheCallers(t *testing.T) {
	tidy(t)
	is := is.New(t)
	const n = 200
	srv := reqwstest.New(t, reqwstest.Script(
		reqwstest.Accept(),
		reqwstest.Do(func(c *reqwstest.Conn) error {
			for i := range n {
				if err := c.WriteFrame(reqwstest.Text(fmt.Sprintf("message %03d", i)), reqwstest.Ping(fmt.Sprintf("%03d", i))); err != nil {
					return err
				}
				if _, err := c.ReadFrame(); err != nil {
					return err
				}
			}
			return nil
		}),
		reqwstest.SendClose(1000, ""),
		reqwstest.ExpectClose(1000, ""),
	))
	resp, err := to(srv).Do(t.Context())
	is.NoErr(err)
	var all []reqws.Frame
	for {
		frames, err := resp.Receive(t.Context())
		if err == io.EOF {
			break
		}
		is.NoErr(err)
		for _, f := range frames {
			all = append(all, f)
			_ = append(f.Data, "more"...) // does not reach the next frame
		}
	}
	is.Equal(len(all), 2*n+1)
	for i := range n {
		is.Equal(all[2*i].Text(), fmt.Sprintf("message %03d", i))
		is.Equal(all[2*i+1].Text(), fmt.Sprintf("%03d", i))
	}
}

// The ctx of Receive is that call's alone.
func TestReceiveWithACtx(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		srv := reqwstest.NewMemory(t, reqwstest.Script(
			reqwstest.Accept(),
			reqwstest.Sleep(time.Minute),
			reqwstest.SendText("late"),
			reqwstest.ExpectText("alive"),
			reqwstest.SendClose(1000, ""),
			reqwstest.ExpectClose(1000, ""),
		))
		resp, err := to(srv, reqws.Heartbeat(0, 0)).Do(t.Context())
		is.NoErr(err)
		for range 3 {
			start := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			_, err = resp.Receive(ctx)
			cancel()
			is.True(errors.Is(err, context.DeadlineExceeded))
			is.True(strings.Contains(err.Error(), "receive"))
			is.Equal(time.Since(start), time.Second)
		}
		frames, err := resp.Receive(t.Context())
		is.NoErr(err)
		is.Equal(listed(frames), []string{`text "late"`})
		is.NoErr(resp.Send(t.Context(), reqws.Text("alive")))
		is.NoErr(resp.Wait())
	})
}

// Frames ranges over the frames one by one, and stops after a clean end.
func TestFrames(t *testing.T) {
	tidy(t)
	is := is.New(t)
	srv := reqwstest.New(t, reqwstest.Script(
		reqwstest.Accept(),
		reqwstest.Send(reqwstest.Text("a"), reqwstest.Text("b")),
		reqwstest.SendText("c"),
		reqwstest.SendClose(1000, ""),
		reqwstest.ExpectClose(1000, ""),
	))
	resp, err := to(srv).Do(t.Context())
	is.NoErr(err)
	var got []string
	for f, err := range resp.Frames(t.Context()) {
		is.NoErr(err)
		got = append(got, f.String())
	}
	is.Equal(got, []string{`text "a"`, `text "b"`, `text "c"`, "close 1000"})
}

// After a failure its error is the last pair; breaking out of the loop leaves the
// stream open.
func TestFramesEndInAnError(t *testing.T) {
	tidy(t)
	is := is.New(t)
	on := make(chan struct{})
	srv := reqwstest.New(t, reqwstest.Script(
		reqwstest.Accept(),
		reqwstest.SendText("a"),
		reqwstest.ExpectText("go on"),
		reqwstest.SendText("b"),
		reqwstest.Await(on),
		reqwstest.Drop(),
	))
	resp, err := to(srv).Do(t.Context())
	is.NoErr(err)
	for f, err := range resp.Frames(t.Context()) {
		is.NoErr(err)
		is.Equal(f.Text(), "a")
		break
	}
	is.NoErr(resp.Send(t.Context(), reqws.Text("go on")))
	var got []string
	var errs []error
	for f, err := range resp.Frames(t.Context()) {
		if err != nil {
			is.Equal(f.Kind, reqws.Kind(0))
			errs = append(errs, err)
			continue
		}
		got = append(got, f.String())
		close(on)
	}
	is.Equal(got, []string{`text "b"`})
	is.Equal(len(errs), 1)
	is.True(errors.Is(errs[0], io.ErrUnexpectedEOF))
	is.Equal(resp.Wait(), errs[0])
}

// A loop that is left early loses nothing: the next one goes on behind it.
func TestFramesLeftEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		srv := reqwstest.NewMemory(t, reqwstest.Script(
			reqwstest.Accept(),
			reqwstest.Send(reqwstest.Text("a"), reqwstest.Text("b"), reqwstest.Text("c"), reqwstest.Text("d")),
			reqwstest.SendText("e"),
			reqwstest.SendClose(1000, ""),
			reqwstest.ExpectClose(1000, ""),
		))
		resp, err := to(srv).Do(t.Context())
		is.NoErr(err)
		synctest.Wait()
		var got []string
		for range 2 {
			for f, err := range resp.Frames(t.Context()) {
				is.NoErr(err)
				got = append(got, f.Text())
				break
			}
		}
		frames, err := resp.Receive(t.Context())
		is.NoErr(err)
		for _, f := range frames {
			got = append(got, f.Text())
		}
		is.Equal(got, []string{"a", "b", "c", "d", "e", ""})
		_, err = resp.Receive(t.Context())
		is.Equal(err, io.EOF)
	})
}

// The ctx of Frames ends the loop alone.
func TestFramesWithACtx(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		srv := reqwstest.NewMemory(t, reqwstest.Script(
			reqwstest.Accept(),
			reqwstest.ExpectClose(1000, ""),
			reqwstest.SendClose(1000, ""),
		))
		resp, err := to(srv).Do(t.Context())
		is.NoErr(err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		n := 0
		for _, err := range resp.Frames(ctx) {
			n++
			is.True(errors.Is(err, context.DeadlineExceeded))
		}
		is.Equal(n, 1)
		is.NoErr(resp.Close(1000, ""))
	})
}

// Pings are answered on arrival, though nobody receives.
func TestPingsAreAnsweredWhileNobodyReceives(t *testing.T) {
	tidy(t)
	is := is.New(t)
	steps := []reqwstest.Step{reqwstest.Accept()}
	for i := range 100 {
		p := fmt.Sprint(i)
		steps = append(steps, reqwstest.Send(reqwstest.Text(p), reqwstest.Ping(p)), reqwstest.ExpectPong(p))
	}
	srv := reqwstest.New(t, reqwstest.Script(append(steps, reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, ""))...))
	resp, err := to(srv).Do(t.Context())
	is.NoErr(err)
	is.NoErr(srv.Wait(t.Context())) // all is played before anything is received
	is.NoErr(resp.Wait())
	n := 0
	for _, err := range resp.Frames(t.Context()) {
		is.NoErr(err)
		n++
	}
	is.Equal(n, 201)
}

// A full backlog does not keep the stream from being closed.
func TestAFullBacklogCanBeClosed(t *testing.T) {
	for _, end := range []string{"Close", "CloseNow", "ctx"} {
		t.Run(end, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				is := is.New(t)
				srv := reqwstest.NewMemory(t, reqwstest.BufferSize(1<<20), reqwstest.Script(
					reqwstest.Accept(),
					reqwstest.SendBinary(make([]byte, 300<<10)),
					reqwstest.SendBinary(make([]byte, 300<<10)),
					reqwstest.Do(func(c *reqwstest.Conn) error {
						for { // a close frame, or none
							f, err := c.ReadFrame()
							if err != nil {
								return nil
							}
							if f.Op == reqwstest.OpClose {
								_ = c.WriteFrame(reqwstest.Close(1000, "")) // at the end of ctx nobody waits for it
							}
						}
					}),
				))
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				resp, err := to(srv).Do(ctx)
				is.NoErr(err)
				synctest.Wait()
				switch end {
				case "Close":
					is.NoErr(resp.Close(1000, ""))
					is.NoErr(resp.Wait())
				case "CloseNow":
					is.NoErr(resp.CloseNow())
					is.True(errors.Is(resp.Wait(), reqws.ErrClosed))
				case "ctx":
					cancel()
					is.True(errors.Is(resp.Wait(), context.Canceled))
				}
				frames, err := resp.Receive(t.Context()) // what had arrived comes first
				is.NoErr(err)
				is.Equal(len(frames[0].Data), 300<<10)
				_, err = resp.Receive(t.Context())
				is.True(err != nil)
			})
		})
	}
}

// What arrived before a failure comes before its error.
func TestReceiveBeforeTheError(t *testing.T) {
	tidy(t)
	is := is.New(t)
	srv := reqwstest.New(t, reqwstest.Script(
		reqwstest.Accept(),
		reqwstest.SendText("a"),
		reqwstest.Reset(),
	))
	resp, err := to(srv).Do(t.Context())
	is.NoErr(err)
	end := resp.Wait()
	is.True(end != nil)
	frames, err := resp.Receive(t.Context())
	if err == nil { // the reset may have discarded it on its way
		is.Equal(listed(frames), []string{`text "a"`})
		_, err = resp.Receive(t.Context())
	}
	is.Equal(err, end)
}

// Many may receive at once: each batch goes to one of them.
func TestManyReceivers(t *testing.T) {
	tidy(t)
	is := is.New(t)
	const n = 500
	srv := reqwstest.New(t, reqwstest.Script(
		reqwstest.Accept(),
		reqwstest.Do(func(c *reqwstest.Conn) error {
			for i := range n {
				if err := c.WriteFrame(reqwstest.Text(fmt.Sprint(i))); err != nil {
					return err
				}
			}
			return nil
		}),
		reqwstest.SendClose(1000, ""),
		reqwstest.ExpectClose(1000, ""),
	))
	resp, err := to(srv).Do(t.Context())
	is.NoErr(err)
	var mu sync.Mutex
	seen := map[string]int{}
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			for f, err := range resp.Frames(t.Context()) {
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				seen[f.String()]++
				mu.Unlock()
			}
		})
	}
	all.Wait()
	is.Equal(len(seen), n+1)
	for f, times := range seen {
		if times != 1 {
			t.Errorf("%s came %d times", f, times)
		}
	}
}
