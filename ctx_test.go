package reqws_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matryer/is"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/reqwstest"
)

// ctx is the stream's life: its end breaks it off, with a close frame 1001 where
// one can be sent.
func TestTheEndOfCtx(t *testing.T) {
	for name, server := range servers {
		for _, answered := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/answered=%v", name, answered), func(t *testing.T) {
				tidy(t)
				is := is.New(t)
				steps := []reqwstest.Step{reqwstest.Accept(), reqwstest.SendText("go"), reqwstest.ExpectCloseCode(1001)}
				if answered {
					steps = append(steps, reqwstest.Do(func(c *reqwstest.Conn) error {
						_ = c.WriteFrame(reqwstest.Close(1001, "")) // the client does not wait for it
						return nil
					}))
				}
				srv := server(t, reqwstest.Script(append(steps, reqwstest.ExpectGone())...))
				why := errors.New("the user went home")
				ctx, cancel := context.WithCancelCause(t.Context())
				w := &witness{}
				w.answer = func(in reqws.Event, _ *reqws.Response) reqws.Directive {
					cancel(why)
					return reqws.Cont()
				}
				err := to(srv).Run(ctx, w.into())
				is.True(errors.Is(err, context.Canceled))
				is.True(errors.Is(err, why))
				is.True(strings.Contains(err.Error(), srv.URL))
				is.Equal(w.frames(), []string{`text "go"`})
				is.Equal(len(w.errs), 1)
				is.Equal(w.errs[0], err)
			})
		}
	}
}

// Every mode learns of the end of ctx, and nothing arrives after it.
func TestTheEndOfCtxInEveryMode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		srv := reqwstest.NewMemory(t, reqwstest.Script(reqwstest.Accept(), reqwstest.ExpectClose(1001, ""), reqwstest.ExpectEOF()).Times(2))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		pulled, err := to(srv, reqws.Heartbeat(0, 0)).Do(ctx)
		is.NoErr(err)
		box := make(chan reqws.Message, 1)
		mailed, err := to(srv, reqws.Heartbeat(0, 0)).Do(ctx, reqws.IntoMailbox(box))
		is.NoErr(err)
		start := time.Now()
		_, err = pulled.Receive(t.Context())
		is.Equal(time.Since(start), time.Minute)
		is.True(errors.Is(err, context.DeadlineExceeded))
		is.True(errors.Is((<-box).Err, context.DeadlineExceeded))
		is.True(errors.Is(mailed.Wait(), context.DeadlineExceeded))
		is.True(errors.Is(pulled.Send(t.Context(), reqws.Text("x")), context.DeadlineExceeded))
	})
}

// A ctx that is over before, or ends while, the handshake takes place.
func TestTheEndOfCtxBeforeTheStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		srv := reqwstest.NewMemory(t, reqwstest.Script(reqwstest.Stall()))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_, err := to(srv).Do(ctx)
		is.True(errors.Is(err, context.DeadlineExceeded))
		is.Equal(time.Since(start), time.Second)

		why := errors.New("never mind")
		over, stop := context.WithCancelCause(t.Context())
		stop(why)
		w := &witness{}
		err = to(srv).Run(over, w.into())
		is.True(errors.Is(err, context.Canceled))
		is.Equal(w.errs, nil)
	})
}

// Once the stream has ended well its ctx changes nothing any more.
func TestTheEndOfCtxAfterTheStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		srv := reqwstest.NewMemory(t, reqwstest.Script(reqwstest.Accept(), reqwstest.SendClose(1000, ""), reqwstest.ExpectFrames(reqwstest.Close(1000, "")), reqwstest.ExpectEOF()))
		ctx, cancel := context.WithCancel(t.Context())
		resp, err := to(srv).Do(ctx)
		is.NoErr(err)
		is.NoErr(resp.Wait())
		cancel()
		synctest.Wait()
		is.NoErr(resp.Wait())
		frames, err := resp.Receive(t.Context())
		is.NoErr(err)
		is.Equal(listed(frames), []string{"close 1000"})
		_, err = resp.Receive(t.Context())
		is.Equal(err, io.EOF)
	})
}

// With a connection that takes nothing the end of ctx does not wait for its close
// frame.
func TestTheEndOfCtxWithAStalledPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		srv := reqwstest.NewMemory(t, reqwstest.BufferSize(1000), reqwstest.Script(reqwstest.Accept(), reqwstest.Stall()))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		resp, err := to(srv).Do(ctx)
		is.NoErr(err)
		start := time.Now()
		err = resp.Send(context.Background(), reqws.Binary(make([]byte, 5000)))
		is.True(errors.Is(err, context.DeadlineExceeded))
		is.True(errors.Is(resp.Wait(), context.DeadlineExceeded))
		is.Equal(time.Since(start), time.Second)
	})
}

// gatedConn is a connection whose writes wait for the gate, once there is one.
type gatedConn struct {
	net.Conn
	gate atomic.Pointer[chan struct{}]
}

func (c *gatedConn) Write(p []byte) (int, error) {
	if gate := c.gate.Load(); gate != nil {
		<-*gate
	}
	return c.Conn.Write(p)
}

// A program may close a stream at the moment in which its ctx ends, as one that is interrupted does:
// a close frame that is being written then still arrives.
func TestTheEndOfCtxWhileTheCloseFrameIsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		srv := reqwstest.NewMemory(t, reqwstest.Script(reqwstest.Accept(), reqwstest.ExpectClose(1000, "bye"), reqwstest.ExpectGone()))
		var c *gatedConn
		dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
			inner, err := srv.DialContext(ctx, network, addr)
			c = &gatedConn{Conn: inner}
			return c, err
		}
		ctx, cancel := context.WithCancel(t.Context())
		resp, err := to(srv, reqws.DialContext(dial)).Do(ctx)
		is.NoErr(err)
		gate := make(chan struct{})
		c.gate.Store(&gate)
		closed := make(chan error)
		go func() { closed <- resp.Close(1000, "bye") }()
		synctest.Wait()
		start := time.Now()
		cancel()
		synctest.Wait()
		close(gate)
		<-closed
		is.True(errors.Is(resp.Wait(), context.Canceled))
		is.Equal(time.Since(start), time.Duration(0))
	})
}
