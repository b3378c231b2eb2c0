package reqws_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/matryer/is"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/internal/wiretest"
	"github.com/reqws/reqws/reqwstest"
)

// What the peer sent before it was gone is delivered, in every mode, however late it is asked
// for and though a Send has met the loss long before.
func TestALossIsToldLast(t *testing.T) {
	const n = 1500
	for name, server := range servers {
		for _, mode := range []string{"pull", "mailbox", "handler"} {
			t.Run(name+"/"+mode, func(t *testing.T) {
				tidy(t)
				is := is.New(t)
				width := 20 // so that all is in the client's socket before the reset
				if name == "memory" {
					width = 1000
				}
				payload := func(i int) string { return fmt.Sprintf("%0*d", width, i) }
				gone := make(chan struct{})
				srv := server(t, reqwstest.BufferSize(4<<20), reqwstest.Script(
					reqwstest.Accept(),
					reqwstest.Do(func(c *reqwstest.Conn) error {
						defer close(gone)
						var frames []reqwstest.Frame
						for i := range n {
							frames = append(frames, reqwstest.Text(payload(i)))
						}
						return errors.Join(c.WriteFrame(frames...), c.Reset())
					}),
				))
				late := make(chan struct{}) // closed when the reader begins
				box := make(chan reqws.Message)
				got := 0
				take := func(frames []reqws.Frame) {
					for _, f := range frames {
						if f.Text() != payload(got) {
							t.Errorf("message %d is %.20q", got, f.Text())
						}
						got++
					}
				}
				option := map[string]reqws.Option{
					"pull":    {},
					"mailbox": reqws.IntoMailbox(box),
					"handler": reqws.Into(func(in reqws.Event, _ *reqws.Response) reqws.Directive {
						<-late
						take(in.Frames)
						return reqws.Cont()
					}),
				}[mode]
				resp, err := to(srv, reqws.CloseTimeout(time.Millisecond)).Do(t.Context(), option)
				is.NoErr(err)
				<-gone
				for resp.Send(t.Context(), reqws.Text("x")) == nil {
				}
				time.Sleep(50 * time.Millisecond) // longer than the close timeout
				close(late)
				var end error
				switch mode {
				case "pull":
					for end == nil {
						var frames []reqws.Frame
						frames, end = resp.Receive(t.Context())
						take(frames)
					}
				case "mailbox":
					for end == nil {
						m := <-box
						take(m.Frames)
						end = m.Err
					}
				case "handler":
					end = resp.Wait()
				}
				is.Equal(got, n)
				is.True(errors.Is(end, syscall.ECONNRESET) || errors.Is(end, syscall.EPIPE))
			})
		}
	}
}

// A peer that takes nothing, but goes on to send, does not put off the end by that.
func TestATalkativePeerThatTakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		srv := reqwstest.NewMemory(t, reqwstest.BufferSize(1000), reqwstest.Script(
			reqwstest.Accept(),
			reqwstest.Do(func(c *reqwstest.Conn) error {
				for c.WriteFrame(reqwstest.Text("tick")) == nil {
					time.Sleep(10 * time.Millisecond)
				}
				return nil
			}),
		))
		resp, err := to(srv, reqws.WriteTimeout(7*time.Second)).Do(t.Context(), (&witness{}).into())
		is.NoErr(err)
		start := time.Now()
		is.True(resp.Send(t.Context(), reqws.Binary(make([]byte, 5000))) != nil)
		is.True(resp.Wait() != nil)
		is.True(time.Since(start) < 8*time.Second)
	})
}

// An automatic pong never stops the reading, whatever else is being written: a peer that sends
// all it has before it reads gets rid of it.
func TestPongsDoNotStopTheReading(t *testing.T) {
	for name, server := range servers {
		size := 12 << 20 // more than the sockets of both sides hold
		if name == "memory" {
			size = 2 << 20
		}
		for _, mode := range []string{"handler", "pull", "mailbox"} {
			t.Run(name+"/"+mode, func(t *testing.T) {
				tidy(t)
				is := is.New(t)
				chunk := make([]byte, 64<<10)
				srv := server(t, reqwstest.Script(
					reqwstest.Accept(),
					reqwstest.ExpectText("first"),
					reqwstest.Do(func(c *reqwstest.Conn) error {
						for i := range size / len(chunk) {
							if err := c.WriteFrame(reqwstest.Ping(fmt.Sprint(i)), reqwstest.Binary(chunk)); err != nil {
								return err
							}
						}
						return nil
					}),
					reqwstest.Do(func(c *reqwstest.Conn) error { // and only now it reads
						pongs := 0
						for {
							op, p, err := c.ReadMessage()
							switch {
							case err != nil:
								return err
							case op == reqwstest.OpPong:
								pongs++
							case op == reqwstest.OpText && string(p) == "last":
								if pongs == 0 {
									return errors.New("no pong at all")
								}
								return c.WriteFrame(reqwstest.Close(1000, ""))
							case op == reqwstest.OpClose: // behind pongs that were queued until then
								return nil
							}
						}
					}),
				))
				received := 0
				count := func(frames []reqws.Frame) {
					for _, f := range frames {
						if f.Kind == reqws.KindBinary {
							received += len(f.Data)
						}
					}
				}
				box := make(chan reqws.Message)
				option := map[string]reqws.Option{
					"pull": {}, "mailbox": reqws.IntoMailbox(box),
					"handler": reqws.Into(func(in reqws.Event, _ *reqws.Response) reqws.Directive { count(in.Frames); return reqws.Cont() }),
				}[mode]
				resp, err := to(srv, reqws.WriteTimeout(time.Minute)).Do(t.Context(), option)
				is.NoErr(err)
				sent := make(chan error, 1)
				go func() {
					err := resp.Send(context.Background(), reqws.Text("first"), reqws.Binary(make([]byte, size)))
					sent <- errors.Join(err, resp.Send(context.Background(), reqws.Text("last")))
				}()
				switch mode {
				case "pull":
					for f, err := range resp.Frames(t.Context()) {
						is.NoErr(err)
						count([]reqws.Frame{f})
					}
				case "mailbox":
					for m := range box {
						count(m.Frames)
						if m.Err != nil {
							is.Equal(m.Err, io.EOF)
							break
						}
					}
				}
				is.NoErr(<-sent)
				is.NoErr(resp.Wait())
				is.Equal(received, size)
			})
		}
	}
}

// An echo that is blocked stays what it was, while what comes behind it is read ahead into the
// same reader: the peer compares each byte, of small and large messages, plain and compressed.
func TestABlockedEchoIsNotOverwritten(t *testing.T) {
	for name, server := range servers {
		for _, compressed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/compressed=%v", name, compressed), func(t *testing.T) {
				tidy(t)
				is := is.New(t)
				var in, ahead []reqwstest.Frame
				message := func(i, size int) reqwstest.Frame {
					p := make([]byte, size)
					for k := range p {
						p[k] = byte(i*31 + k*k>>3 + k)
					}
					return reqwstest.Binary(p)
				}
				for i, size := range []int{10, 3000, 8000, 1, 400} {
					in = append(in, message(i, size))
				}
				for i := range 30 {
					ahead = append(ahead, message(100+i, 1000))
				}
				send := func(frames []reqwstest.Frame) []reqwstest.Frame {
					if !compressed {
						return frames
					}
					var out []reqwstest.Frame
					for _, f := range frames {
						out = append(out, wiretest.Deflate(f))
					}
					return out
				}
				accept := reqwstest.Accept()
				if compressed {
					accept = reqwstest.Accept(reqwstest.WithHeader("Sec-WebSocket-Extensions", "permessage-deflate; client_no_context_takeover; server_no_context_takeover"))
				}
				srv := server(t, reqwstest.BufferSize(4096), reqwstest.Script(
					accept,
					reqwstest.Do(func(c *reqwstest.Conn) error {
						for _, frames := range [][]reqwstest.Frame{in, ahead} {
							if err := c.WriteFrame(send(frames)...); err != nil {
								return err
							}
						}
						for i, want := range append(in, ahead...) { // and only now it reads
							_, p, err := c.ReadMessage()
							if err != nil {
								return err
							}
							if !bytes.Equal(p, want.Payload) {
								return fmt.Errorf("message %d of %d bytes came back as another one", i, len(want.Payload))
							}
						}
						return nil
					}),
					reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, ""),
				))
				opts := []reqws.Option{reqws.Into(reqws.Each(echo)), reqws.WriteTimeout(time.Minute)}
				if compressed {
					opts = append(opts, reqws.Compression(websocket.CompressionNoContextTakeover))
				}
				is.NoErr(to(srv).Run(t.Context(), opts...))
				is.NoErr(srv.Wait(t.Context()))
			})
		}
	}
}

// Whoever dialled the connection may close it: the stream ends with that, parked or not.
func TestAConnectionClosedByItsDialler(t *testing.T) {
	for name, server := range servers {
		for _, mode := range []string{"Do", "Run"} {
			t.Run(name+"/"+mode, func(t *testing.T) {
				tidy(t)
				is := is.New(t)
				srv := server(t, reqwstest.Script(reqwstest.Accept(), reqwstest.ExpectGone()))
				dialled := make(chan net.Conn, 1)
				req := to(srv, reqws.DialContext(func(ctx context.Context, network, addr string) (net.Conn, error) {
					conn, err := srv.DialContext(ctx, network, addr)
					dialled <- conn
					return conn, err
				}), (&witness{}).into())
				end := make(chan error, 1)
				opened := make(chan struct{})
				open := reqws.OnOpen(func(*reqws.Response) reqws.Directive { close(opened); return reqws.Cont() })
				go func() {
					if mode == "Run" {
						end <- req.Run(t.Context(), open)
						return
					}
					resp, err := req.Do(t.Context(), open)
					if err != nil {
						end <- err
						return
					}
					end <- resp.Wait()
				}()
				conn := <-dialled
				<-opened
				is.NoErr(conn.Close())
				err := <-end
				is.True(errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe))
			})
		}
	}
}
