package reqws_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime/debug"
	"sync/atomic"
	"testing"

	"github.com/matryer/is"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/internal/wiretest"
	"github.com/reqws/reqws/reqwstest"
)

// rawPeer is the far end of an open WebSocket over loopback, with nothing in it
// that allocates.
func rawPeer(t *testing.T, opts ...reqws.Option) (net.Conn, *reqws.Response) {
	t.Helper()
	return rawPeerWith(t, "", opts...)
}

// rawCompressed is rawPeer, with compression.
func rawCompressed(t *testing.T, opts ...reqws.Option) (net.Conn, *reqws.Response) {
	t.Helper()
	return rawPeerWith(t, deflate, append(opts, reqws.Compression(takeover))...)
}

// rawPeerWith is rawPeer, with extensions.
func rawPeerWith(t *testing.T, extensions string, opts ...reqws.Option) (net.Conn, *reqws.Response) {
	t.Helper()
	is := is.New(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	is.NoErr(err)
	defer ln.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		_, _ = io.WriteString(conn, switching(readKey(conn), extensions))
		accepted <- conn
	}()
	resp, err := reqws.New(reqws.URL("ws://"+ln.Addr().String())).Do(t.Context(), opts...)
	is.NoErr(err)
	peer := <-accepted
	t.Cleanup(func() {
		_ = resp.CloseNow()
		_ = peer.Close()
		_ = resp.Wait()
	})
	return peer, resp
}

// allocates fails the test if run, once warm, allocates at all.
func allocates(t *testing.T, run func()) {
	t.Helper()
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // it empties the pools
	for range 50 {
		run()
	}
	if n := testing.AllocsPerRun(200, run); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// In steady state nothing is allocated for what arrives, nor for the replies.
func TestNothingIsAllocatedPerMessage(t *testing.T) {
	text := reqwstest.Text("sixteen bytes ..")
	many := func(n int, f reqwstest.Frame) []byte { return bytes.Repeat(reqwstest.Encode(f), n) }
	pong := reqws.Cont(reqws.Pong("pong"))
	for _, tc := range []struct {
		name    string
		in      []byte
		frames  int // in it
		reply   int // bytes that come back
		handler func(reqws.Frame) reqws.Directive
	}{
		{"a text", many(1, text), 1, 0, func(reqws.Frame) reqws.Directive { return reqws.Cont() }},
		{"256 texts", many(256, text), 256, 0, func(reqws.Frame) reqws.Directive { return reqws.Cont() }},
		{"2000 texts", many(2000, text), 2000, 0, func(reqws.Frame) reqws.Directive { return reqws.Cont() }},
		{"a ping, answered for the handler", many(1, reqwstest.Ping("ping")), 1, 6 + 4, func(reqws.Frame) reqws.Directive { return reqws.Cont() }},
		{"a ping, answered by the handler", many(1, reqwstest.Ping("ping")), 1, 6 + 4, func(f reqws.Frame) reqws.Directive { return reqws.Cont(reqws.Pong(f.Data)) }},
		{"100 pings", many(100, reqwstest.Ping("ping")), 100, 100 * (6 + 4), func(f reqws.Frame) reqws.Directive { return reqws.Cont(reqws.Pong(f.Data)) }},
		{"a reply", many(1, text), 1, 6 + 16, func(f reqws.Frame) reqws.Directive { return reqws.Cont(f) }},
		{"256 replies", many(256, text), 256, 256 * (6 + 16), func(f reqws.Frame) reqws.Directive { return reqws.Cont(f) }},
		{"a ready-made reply", many(16, text), 16, 16 * (6 + 4 + 0), func(reqws.Frame) reqws.Directive { return pong }},
		{"64 KiB", many(1, reqwstest.Binary(make([]byte, 64<<10))), 1, 0, func(reqws.Frame) reqws.Directive { return reqws.Cont() }},
		{"64 KiB and back", many(1, reqwstest.Binary(make([]byte, 64<<10))), 1, 14 + 64<<10, func(f reqws.Frame) reqws.Directive { return reqws.Cont(f) }},
		{"fragments", reqwstest.Encode(wiretest.Fragments(100, reqwstest.Text(bytes.Repeat([]byte("x"), 1000)))...), 1, 0, func(reqws.Frame) reqws.Directive { return reqws.Cont() }},
	} {
		for _, mode := range []string{"each", "batch", "ahead"} {
			if mode == "batch" && tc.frames > 1 && tc.reply > 0 {
				continue // a handler that answers several frames at once makes a slice of its replies
			}
			t.Run(tc.name+"/"+mode, func(t *testing.T) {
				seen := make(chan int, 1)
				left := tc.frames
				count := func(n int) {
					if left -= n; left == 0 {
						left = tc.frames
						seen <- 0
					}
				}
				handler := reqws.Each(func(f reqws.Frame) reqws.Directive {
					count(1)
					return tc.handler(f)
				})
				var opts []reqws.Option
				switch mode {
				case "ahead": // pings are answered at once, or by the handler
					opts = []reqws.Option{reqws.ReadAhead(128 << 10), reqws.AutoPong(tc.name == "a ping, answered for the handler")}
				case "batch":
					handler = func(in reqws.Event, _ *reqws.Response) reqws.Directive {
						count(len(in.Frames))
						if tc.reply == 0 || len(in.Frames) == 0 {
							return reqws.Cont()
						}
						return tc.handler(in.Frames[0])
					}
				}
				peer, _ := rawPeer(t, append(opts, reqws.Into(handler))...)
				back := make([]byte, tc.reply)
				allocates(t, func() {
					if _, err := peer.Write(tc.in); err != nil {
						t.Error(err)
					}
					<-seen
					if _, err := io.ReadFull(peer, back); err != nil {
						t.Error(err)
					}
				})
			})
		}
	}
}

// Nor for a Send.
func TestNothingIsAllocatedPerSend(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for _, tc := range []struct {
		name   string
		ctx    context.Context
		frames []reqws.Frame
		size   int
	}{
		{"a text", context.Background(), []reqws.Frame{reqws.Text("sixteen bytes ..")}, 6 + 16},
		{"with a ctx", ctx, []reqws.Frame{reqws.Text("sixteen bytes ..")}, 6 + 16},
		{"three frames", context.Background(), []reqws.Frame{reqws.Text("a"), reqws.Ping("b"), reqws.Binary("c")}, 3 * 7},
		{"4 KiB", context.Background(), []reqws.Frame{reqws.Binary(make([]byte, 4<<10))}, 8 + 4<<10},
		{"64 KiB", context.Background(), []reqws.Frame{reqws.Binary(make([]byte, 64<<10))}, 14 + 64<<10},
	} {
		t.Run(tc.name, func(t *testing.T) {
			peer, resp := rawPeer(t)
			back := make([]byte, tc.size)
			allocates(t, func() {
				if err := resp.Send(tc.ctx, tc.frames...); err != nil {
					t.Error(err)
				}
				if _, err := io.ReadFull(peer, back); err != nil {
					t.Error(err)
				}
			})
		})
	}
	t.Run("one frame on the stack", func(t *testing.T) {
		peer, resp := rawPeer(t)
		back := make([]byte, 6+5)
		allocates(t, func() {
			if err := resp.Send(context.Background(), reqws.Text("hello")); err != nil {
				t.Error(err)
			}
			if _, err := io.ReadFull(peer, back); err != nil {
				t.Error(err)
			}
		})
	})
}

// Nor while somebody watches, or would log frames at a level that is not enabled.
func TestNothingIsAllocatedForWatching(t *testing.T) {
	text := reqwstest.Text("sixteen bytes ..")
	var in, out, beats atomic.Int64
	quiet := slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelInfo}))
	trace := func() *reqws.ClientTrace {
		return &reqws.ClientTrace{
			Opened:    func(reqws.OpenedInfo) {},
			BatchIn:   func(i reqws.BatchInfo) { in.Add(int64(i.Bytes)) },
			BatchOut:  func(i reqws.BatchInfo) { out.Add(int64(i.Bytes)) },
			Heartbeat: func(reqws.HeartbeatInfo) { beats.Add(1) },
			Closed:    func(reqws.ClosedInfo) {},
		}
	}
	for _, tc := range []struct {
		name string
		opts []reqws.Option
		told bool
	}{
		{"hooks", []reqws.Option{reqws.Trace(trace())}, true},
		{"hooks of several", []reqws.Option{reqws.Trace(trace()), reqws.AddTrace(trace()), reqws.AddTrace(trace())}, true},
		{"hooks of others", []reqws.Option{reqws.Trace(&reqws.ClientTrace{Closed: func(reqws.ClosedInfo) {}})}, false},
		{"a level that is not enabled", []reqws.Option{reqws.LogFrames(slog.LevelDebug), reqws.Logger(quiet)}, false},
		{"both", []reqws.Option{reqws.LogFrames(slog.LevelDebug), reqws.Logger(quiet), reqws.Trace(trace())}, true},
	} {
		for _, n := range []int{1, 256} {
			t.Run(fmt.Sprintf("%s/%d", tc.name, n), func(t *testing.T) {
				in.Store(0)
				out.Store(0)
				peer, resp := rawPeer(t, append(tc.opts, reqws.Into(reqws.Each(echo)))...)
				data, back := bytes.Repeat(reqwstest.Encode(text), n), make([]byte, n*(6+16))
				sent := make([]byte, 6+5)
				allocates(t, func() {
					if _, err := peer.Write(data); err != nil {
						t.Error(err)
					}
					if _, err := io.ReadFull(peer, back); err != nil {
						t.Error(err)
					}
					if err := resp.Send(context.Background(), reqws.Text("hello")); err != nil {
						t.Error(err)
					}
					if _, err := io.ReadFull(peer, sent); err != nil {
						t.Error(err)
					}
				})
				if told := in.Load() > 0 && out.Load() > in.Load(); told != tc.told {
					t.Error(in.Load(), out.Load())
				}
			})
		}
	}
}

// Making a directive of up to one reply allocates nothing either.
func TestDirectivesOfOneReply(t *testing.T) {
	data := []byte("data")
	var d reqws.Directive
	allocates(t, func() {
		d = reqws.Cont()
		d = reqws.Halt()
		d = reqws.Cont(reqws.Text("one"))
		d = reqws.Cont(reqws.Pong(data))
		d = reqws.Halt(reqws.Binary(data))
	})
	_ = d
}
