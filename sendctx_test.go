package reqws_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matryer/is"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/reqwstest"
)

// A Send whose ctx is over before it begins sends nothing.
func TestSendWithAnEndedCtx(t *testing.T) {
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
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err = resp.Send(ctx, reqws.Text("bad"))
	is.True(errors.Is(err, context.Canceled))
	is.True(strings.Contains(err.Error(), "send"))
	is.NoErr(resp.Send(t.Context(), reqws.Text("good")))
	is.NoErr(resp.Close(1000, ""))
}

// A Send that waits for another one's write can be given up: its frames are not
// sent, the others are, and the connection stays usable.
func TestSendGivenUpInTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		big := make([]byte, 1<<20)
		resume := make(chan struct{})
		srv := reqwstest.NewMemory(t, reqwstest.BufferSize(1000), reqwstest.Script(
			reqwstest.Accept(),
			reqwstest.Await(resume),
			reqwstest.ExpectFrames(reqwstest.Binary(big), reqwstest.Text("wanted"), reqwstest.Text("later")),
			reqwstest.ExpectClose(1000, ""),
			reqwstest.SendClose(1000, ""),
		))
		resp, err := to(srv, reqws.WriteTimeout(time.Hour)).Do(t.Context())
		is.NoErr(err)
		var all sync.WaitGroup
		all.Go(func() { is.NoErr(resp.Send(t.Context(), reqws.Binary(big))) })
		synctest.Wait()
		start := time.Now()
		all.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			err := resp.Send(ctx, reqws.Text("given up"), reqws.Text("this too"))
			is.True(errors.Is(err, context.DeadlineExceeded))
			is.Equal(time.Since(start), time.Second)
		})
		synctest.Wait()
		all.Go(func() { is.NoErr(resp.Send(t.Context(), reqws.Text("wanted"))) })
		time.Sleep(2 * time.Second)
		close(resume)
		all.Wait()
		is.NoErr(resp.Send(t.Context(), reqws.Text("later")))
		is.NoErr(resp.Close(1000, ""))
		is.NoErr(resp.Wait())
	})
}

// The same for one that shares the buffer of a write which is stuck: it is taken
// out of it, unless a part of it is written.
func TestSendGivenUpInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		resume := make(chan struct{})
		srv := reqwstest.NewMemory(t, reqwstest.BufferSize(300), reqwstest.Script(
			reqwstest.Accept(),
			reqwstest.Await(resume),
			reqwstest.ExpectFrames(reqwstest.Text(strings.Repeat("0", 290)), reqwstest.Text("1"+strings.Repeat("x", 100)),
				reqwstest.Text("3"+strings.Repeat("x", 100))),
			reqwstest.ExpectClose(1000, ""),
			reqwstest.SendClose(1000, ""),
		))
		resp, err := to(srv, reqws.WriteTimeout(time.Hour)).Do(t.Context())
		is.NoErr(err)
		var all sync.WaitGroup
		// The first fills what the connection takes; the others wait together.
		is.NoErr(resp.Send(t.Context(), reqws.Text(strings.Repeat("0", 290))))
		ctx, cancel := context.WithCancel(t.Context())
		all.Go(func() { is.NoErr(resp.Send(t.Context(), reqws.Text("1"+strings.Repeat("x", 100)))) })
		synctest.Wait()
		all.Go(func() {
			err := resp.Send(ctx, reqws.Text("2"+strings.Repeat("x", 100)))
			is.True(errors.Is(err, context.Canceled))
		})
		all.Go(func() {
			time.Sleep(time.Millisecond)
			is.NoErr(resp.Send(t.Context(), reqws.Text("3"+strings.Repeat("x", 100))))
		})
		time.Sleep(time.Second)
		cancel()
		synctest.Wait()
		close(resume)
		all.Wait()
		is.NoErr(resp.Close(1000, ""))
		is.NoErr(resp.Wait())
	})
}

// The one who writes for all gives up before a byte of its own is out.
func TestSendGivenUpByTheLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		resume := make(chan struct{})
		srv := reqwstest.NewMemory(t, reqwstest.BufferSize(300), reqwstest.Script(
			reqwstest.Accept(),
			reqwstest.Await(resume),
			reqwstest.ExpectFrames(reqwstest.Text(strings.Repeat("0", 292)), reqwstest.Text("wanted")),
			reqwstest.ExpectClose(1000, ""),
			reqwstest.SendClose(1000, ""),
		))
		resp, err := to(srv, reqws.WriteTimeout(time.Hour)).Do(t.Context())
		is.NoErr(err)
		is.NoErr(resp.Send(t.Context(), reqws.Text(strings.Repeat("0", 292)))) // 300 with its header
		var all sync.WaitGroup
		all.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			err := resp.Send(ctx, reqws.Text("given up"))
			is.True(errors.Is(err, context.DeadlineExceeded))
		})
		synctest.Wait()
		all.Go(func() { is.NoErr(resp.Send(t.Context(), reqws.Text("wanted"))) })
		time.Sleep(2 * time.Second)
		close(resume)
		all.Wait()
		is.NoErr(resp.Close(1000, ""))
		is.NoErr(resp.Wait())
	})
}

// A Send that is cut off in the middle of a frame breaks the stream, and both say
// so.
func TestSendCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		srv := reqwstest.NewMemory(t, reqwstest.BufferSize(1000), reqwstest.Script(reqwstest.Accept(), reqwstest.Stall()))
		w := &witness{}
		resp, err := to(srv, reqws.WriteTimeout(time.Hour)).Do(t.Context(), w.into())
		is.NoErr(err)
		var all sync.WaitGroup
		all.Go(func() {
			time.Sleep(time.Millisecond)
			err := resp.Send(t.Context(), reqws.Text("waits behind it"))
			is.True(err != nil)
			is.True(strings.Contains(err.Error(), "cut off"))
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		err = resp.Send(ctx, reqws.Binary(make([]byte, 1<<20)))
		is.Equal(time.Since(start), time.Second)
		is.True(errors.Is(err, context.DeadlineExceeded))
		is.True(strings.Contains(err.Error(), "cut off"))
		all.Wait()
		end := resp.Wait()
		is.True(strings.Contains(end.Error(), "cut off"))
		is.Equal(len(w.errs), 1)
		is.True(resp.Send(t.Context(), reqws.Text("x")) != nil)
	})
}

// Over TLS a write cannot be taken up again where it was interrupted.
func TestSendCutOffOverTLS(t *testing.T) {
	tidy(t)
	is := is.New(t)
	srv := reqwstest.NewTLS(t, reqwstest.Script(reqwstest.Accept(), reqwstest.Stall()))
	resp, err := to(srv).Do(t.Context())
	is.NoErr(err)
	large := reqws.Binary(make([]byte, 32<<20)) // making it may take longer than ctx has
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err = resp.Send(ctx, large)
	is.True(errors.Is(err, context.DeadlineExceeded))
	is.True(strings.Contains(err.Error(), "cut off"))
	is.True(strings.Contains(resp.Wait().Error(), "cut off"))
}

// There the stream breaks also where no whole record of the frame was written.
func TestSendGivenUpOverTLS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		srv := reqwstest.NewMemory(t, reqwstest.TLS(), reqwstest.BufferSize(1000), reqwstest.Script(reqwstest.Accept(), reqwstest.Stall()))
		resp, err := to(srv).Do(t.Context())
		is.NoErr(err)
		is.NoErr(resp.Send(t.Context(), reqws.Binary(make([]byte, 900)))) // nearly all it takes
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		err = resp.Send(ctx, reqws.Binary(make([]byte, 500)))
		is.Equal(time.Since(start), time.Second)
		is.True(errors.Is(err, context.DeadlineExceeded))
		is.True(strings.Contains(err.Error(), "cut off"))
		is.True(strings.Contains(resp.Wait().Error(), "cut off"))
	})
}

// A close frame that was given up, in the queue or before a byte of it was out,
// leaves the stream open.
func TestSendOfACloseFrameGivenUp(t *testing.T) {
	for _, queued := range []bool{false, true} {
		t.Run(fmt.Sprint("queued=", queued), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				is := is.New(t)
				resume := make(chan struct{})
				script := []reqwstest.Step{
					reqwstest.Accept(),
					reqwstest.Await(resume),
					reqwstest.ExpectText(strings.Repeat("0", 292)),
				}
				if queued {
					script = append(script, reqwstest.ExpectText("before"))
				}
				script = append(script, reqwstest.ExpectText("after"), reqwstest.SendClose(1000, ""), reqwstest.ExpectFrames(reqwstest.Close(1000, "")))
				srv := reqwstest.NewMemory(t, reqwstest.BufferSize(300), reqwstest.Script(script...))
				resp, err := to(srv, reqws.WriteTimeout(time.Hour)).Do(t.Context())
				is.NoErr(err)
				is.NoErr(resp.Send(t.Context(), reqws.Text(strings.Repeat("0", 292)))) // 300 with its header
				var all sync.WaitGroup
				if queued {
					all.Go(func() { is.NoErr(resp.Send(t.Context(), reqws.Text("before"))) })
					synctest.Wait()
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				is.True(errors.Is(resp.Send(ctx, reqws.Close(4000, "")), context.DeadlineExceeded))
				close(resume)
				all.Wait()
				is.NoErr(resp.Send(t.Context(), reqws.Text("after")))
				is.NoErr(resp.Wait())
			})
		})
	}
}

// What arrives while a close frame waits in the queue is not thrown away: the frame may be given up.
func TestWhatComesBeforeACloseFrameGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		queued := make(chan struct{})
		srv := reqwstest.NewMemory(t, reqwstest.BufferSize(1000), reqwstest.Script(
			reqwstest.Accept(),
			reqwstest.Await(queued),
			reqwstest.SendText("kept"),
			reqwstest.Stall(),
		))
		resp, err := to(srv, reqws.WriteTimeout(time.Hour)).Do(t.Context())
		is.NoErr(err)
		go func() { _ = resp.Send(context.Background(), reqws.Binary(make([]byte, 10_000))) }()
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		sent := make(chan error, 1)
		go func() { sent <- resp.Send(ctx, reqws.Close(4000, "")) }()
		synctest.Wait()
		close(queued)
		synctest.Wait()
		cancel()
		is.True(errors.Is(<-sent, context.Canceled))
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		frames, err := resp.Receive(ctx)
		is.NoErr(err)
		is.Equal(listed(frames), []string{`text "kept"`})
		is.NoErr(resp.CloseNow())
	})
}
