package reqws_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matryer/is"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/internal/wiretest"
	"github.com/reqws/reqws/reqwstest"
)

func TestConversation(t *testing.T) {
	for _, server := range []struct {
		name string
		make func(reqwstest.TB, ...reqwstest.Option) *reqwstest.Server
	}{{"ws", reqwstest.New}, {"wss", reqwstest.NewTLS}, {"memory", reqwstest.NewMemory}} {
		t.Run(server.name, func(t *testing.T) {
			tidy(t)
			is := is.New(t)
			srv := server.make(t, reqwstest.Script(
				reqwstest.Accept(),
				reqwstest.SendText("hello"),
				reqwstest.ExpectText("you said hello"),
				reqwstest.SendPing("are you there?"),
				reqwstest.ExpectPong("are you there?"),
				reqwstest.SendBinary([]byte{1, 2, 3}),
				reqwstest.ExpectBinary([]byte{3, 2, 1}),
				reqwstest.SendText("bye"),
				reqwstest.ExpectText("bye"),
				reqwstest.ExpectClose(1000, ""),
				reqwstest.SendClose(1000, ""),
				reqwstest.ExpectEOF(),
			))
			var seen []string
			err := to(srv).Run(t.Context(), reqws.Into(reqws.Each(func(f reqws.Frame) reqws.Directive {
				seen = append(seen, f.String())
				switch {
				case f.Kind == reqws.KindBinary:
					return reqws.Cont(reqws.Binary([]byte{f.Data[2], f.Data[1], f.Data[0]}))
				case f.Text() == "bye":
					return reqws.Halt(reqws.Text("bye"))
				case f.Kind == reqws.KindText:
					return reqws.Cont(reqws.Text("you said " + f.Text()))
				}
				return reqws.Cont()
			})))
			is.NoErr(err)
			is.Equal(seen, []string{`text "hello"`, `ping "are you there?"`, `binary "\x01\x02\x03"`, `text "bye"`})
		})
	}
}

// A Unix domain socket does as well as TCP.
func TestUnixSocket(t *testing.T) {
	tidy(t)
	is := is.New(t)
	srv := reqwstest.New(t, reqwstest.Script(
		reqwstest.Accept(), reqwstest.SendText("hi"), reqwstest.ExpectText("hi"), reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, "")))
	path := filepath.Join(t.TempDir(), "socket")
	ln, err := net.Listen("unix", path)
	is.NoErr(err)
	var relay sync.WaitGroup
	relay.Go(func() {
		client, err := ln.Accept()
		is.NoErr(err)
		defer client.Close()
		server, err := net.Dial("tcp", srv.Addr())
		is.NoErr(err)
		defer server.Close()
		relay.Go(func() { _, _ = io.Copy(struct{ io.Writer }{server}, client); _ = server.(*net.TCPConn).CloseWrite() })
		_, _ = io.Copy(struct{ io.Writer }{client}, server) // without the pipes that splice keeps
	})
	is.NoErr(to(srv, reqws.DialContext(func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	})).Run(t.Context(), reqws.Into(reqws.Each(echo))))
	is.NoErr(ln.Close())
	relay.Wait()
}

func TestDoRunsTheHandlerInTheBackground(t *testing.T) {
	tidy(t)
	is := is.New(t)
	srv := reqwstest.New(t, reqwstest.Script(
		reqwstest.Accept(reqwstest.WithHeader("X-Served-By", "me")),
		reqwstest.ExpectText("go"),
		reqwstest.SendText("went"),
		reqwstest.ExpectClose(1000, ""),
		reqwstest.SendClose(1000, ""),
	))
	w := &witness{answer: func(reqws.Event, *reqws.Response) reqws.Directive { return reqws.Halt() }}
	resp, err := to(srv).Do(t.Context(), w.into())
	is.NoErr(err)
	is.Equal(resp.StatusCode, 101)
	is.Equal(resp.Proto, "HTTP/1.1")
	is.Equal(resp.Header.Get("X-Served-By"), "me")
	is.Equal(resp.Request.URL.Scheme, "ws")
	select {
	case <-resp.Done():
		t.Error("done before its end")
	default:
	}
	is.NoErr(resp.Send(t.Context(), reqws.Text("go")))
	<-resp.Done()
	is.NoErr(resp.Wait())
	is.Equal(w.batches, [][]string{{`text "went"`}})
	is.Equal(w.errs, nil)
}

// What arrives together is one batch, and its replies leave in one write.
func TestBatchesAndTheirReplies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		var batch []reqwstest.Frame
		for i := range 16 {
			batch = append(batch, reqwstest.Text(fmt.Sprint(i)), reqwstest.Ping(fmt.Sprint(i)))
		}
		read := make(chan struct{})
		srv := reqwstest.NewMemory(t, reqwstest.Script(
			reqwstest.Accept(),
			reqwstest.Send(batch...),
			reqwstest.Await(read),
			reqwstest.Send(reqwstest.Text("alone")),
			reqwstest.ExpectFrames(expected(16)...),
			reqwstest.ExpectText("alone"),
			reqwstest.SendClose(1000, ""),
			reqwstest.ExpectClose(1000, ""),
		))
		calls := 0
		err := to(srv).Run(t.Context(), reqws.Into(func(in reqws.Event, _ *reqws.Response) reqws.Directive {
			calls++
			var out []reqws.Frame
			for _, f := range in.Frames {
				if f.Kind == reqws.KindText {
					out = append(out, reqws.Text(f.Text()))
				}
			}
			if calls == 1 {
				is.Equal(len(in.Frames), 32)
				close(read)
			}
			return reqws.Cont(out...)
		}))
		is.NoErr(err)
		is.Equal(calls, 3)
		is.NoErr(srv.Wait(t.Context()))
		writes := wiretest.WriteSizes(srv.Conns()[0])
		is.Equal(len(writes), 1+3) // the handshake, two batches, the close frame
	})
}

// A lone message is answered at once, though the next one is on its way.
func TestALoneMessageIsAnsweredAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		whole := reqwstest.Encode(reqwstest.Text("first"), reqwstest.Text("second"))
		srv := reqwstest.NewMemory(t, reqwstest.Script(
			reqwstest.Accept(),
			wiretest.SendRaw(whole[:len(whole)-1]),
			reqwstest.ExpectText("first"),
			wiretest.SendRaw(whole[len(whole)-1:]),
			reqwstest.ExpectText("second"),
			reqwstest.SendClose(1000, ""),
			reqwstest.ExpectClose(1000, ""),
		))
		is.NoErr(to(srv).Run(t.Context(), reqws.Into(reqws.Each(echo))))
	})
}

// Frames reach the handler whatever pieces their bytes come in.
func TestFramesInAnyPieces(t *testing.T) {
	var frames []reqwstest.Frame
	frames = append(frames, reqwstest.Text("grüße"))
	frames = append(frames, wiretest.Fragments(3, reqwstest.Text("größer"))...)
	parts := wiretest.Fragments(2, reqwstest.Binary("12345678"))
	frames = append(frames, parts[0], reqwstest.Ping("between"), parts[1], reqwstest.Pong(""))
	frames = append(frames, parts[2:]...)
	frames = append(frames, reqwstest.Text(""), reqwstest.Binary(bytes.Repeat([]byte("x"), 300)), reqwstest.Ping(""))
	want := []string{
		`text "grüße"`, `text "größer"`, `ping "between"`, `pong`, `binary "12345678"`, `text`,
		reqws.Binary(bytes.Repeat([]byte("x"), 300)).String(), `ping`, `close 1000 "done"`,
	}
	frames = append(frames, reqwstest.Close(1000, "done"))
	for _, n := range []int{1, 2, 3, 7, 64, 1000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				is := is.New(t)
				srv := reqwstest.NewMemory(t, reqwstest.Script(
					reqwstest.Accept(),
					wiretest.SendSplit(n, reqwstest.Encode(frames...)),
					reqwstest.ExpectPong("between"),
					reqwstest.ExpectPong(""),
					reqwstest.ExpectClose(1000, ""),
				))
				w := &witness{}
				is.NoErr(to(srv).Run(t.Context(), w.into()))
				is.Equal(w.frames(), want)
				is.Equal(w.errs, nil)
			})
		})
	}
}

// More frames in one read than a batch holds: none is lost, and all replies leave
// in order.
func TestMoreFramesThanABatchHolds(t *testing.T) {
	tidy(t)
	is := is.New(t)
	const n = 5000
	var frames []reqwstest.Frame
	for i := range n {
		frames = append(frames, reqwstest.Text(fmt.Sprint(i)))
	}
	srv := reqwstest.NewMemory(t, reqwstest.BufferSize(1<<20), reqwstest.Script(
		reqwstest.Accept(),
		reqwstest.Send(frames...),
		reqwstest.ExpectFrames(frames...),
		reqwstest.SendClose(1000, ""),
		reqwstest.ExpectClose(1000, ""),
	))
	is.NoErr(to(srv).Run(t.Context(), reqws.Into(reqws.Each(echo))))
}

// A message of 1 MiB comes whole and goes back whole.
func TestLargeMessages(t *testing.T) {
	for name, server := range servers {
		t.Run(name, func(t *testing.T) {
			tidy(t)
			is := is.New(t)
			big := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
			srv := server(t, reqwstest.Script(
				reqwstest.Accept(),
				reqwstest.SendBinary(big),
				reqwstest.ExpectBinary(big),
				reqwstest.Send(wiretest.Fragments(100, reqwstest.Text(big))...),
				reqwstest.ExpectText(big),
				reqwstest.SendClose(1000, ""),
				reqwstest.ExpectClose(1000, ""),
			))
			is.NoErr(to(srv).Run(t.Context(), reqws.Into(reqws.Each(echo))))
		})
	}
}

// Masking keys differ from frame to frame, in replies and in sends.
func TestMaskingKeysDiffer(t *testing.T) {
	tidy(t)
	is := is.New(t)
	keys := map[[4]byte]bool{}
	srv := reqwstest.New(t, reqwstest.Script(
		reqwstest.Accept(),
		reqwstest.SendText("go"),
		reqwstest.Do(func(c *reqwstest.Conn) error {
			for range 40 {
				f, err := reqwstest.Decode(c)
				if err != nil {
					return err
				}
				keys[f.Key] = true
			}
			return nil
		}),
		reqwstest.SendClose(1000, ""),
		reqwstest.ExpectClose(1000, ""),
	))
	same := make([]reqws.Frame, 20)
	for i := range same {
		same[i] = reqws.Text("the same")
	}
	err := to(srv).Run(t.Context(), reqws.Into(func(in reqws.Event, resp *reqws.Response) reqws.Directive {
		if in.Frames[0].Kind == reqws.KindClose {
			return reqws.Cont()
		}
		is.NoErr(resp.Send(t.Context(), same...))
		return reqws.Cont(same...)
	}))
	is.NoErr(err)
	is.NoErr(srv.Wait(t.Context()))
	is.True(len(keys) >= 40)
}

// One Request runs many times at once: Each keeps no state of its own.
func TestOneRequestManyRuns(t *testing.T) {
	tidy(t)
	const n = 20
	srv := reqwstest.New(t, reqwstest.Script(
		reqwstest.Accept(),
		reqwstest.Send(reqwstest.Text("a"), reqwstest.Text("b"), reqwstest.Text("c")),
		reqwstest.ExpectText("a"), reqwstest.ExpectText("b"), reqwstest.ExpectText("c"),
		reqwstest.SendClose(1000, ""),
		reqwstest.ExpectClose(1000, ""),
	).Times(n))
	req := to(srv, reqws.Into(reqws.Each(echo)))
	errs := make(chan error, n)
	for range n {
		go func() { errs <- req.Run(t.Context()) }()
	}
	for range n {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

// AutoPong answers the pings that the handler's directive leaves unanswered, and
// those alone.
func TestAutoPong(t *testing.T) {
	pings := []reqwstest.Frame{reqwstest.Ping("a"), reqwstest.Ping("b"), reqwstest.Ping("")}
	pong := func(p string) reqwstest.Frame { return reqwstest.Pong(p) }
	for _, tc := range []struct {
		name    string
		on      bool
		replies []reqws.Frame
		want    []reqwstest.Frame
	}{
		{"all are answered", true, nil, []reqwstest.Frame{pong("a"), pong("b"), pong("")}},
		{"the handler answers one", true, []reqws.Frame{reqws.Pong("b")}, []reqwstest.Frame{pong("a"), pong(""), pong("b")}},
		{"the handler answers all", true, []reqws.Frame{reqws.Pong("a"), reqws.Pong("b"), reqws.Pong("")}, []reqwstest.Frame{pong("a"), pong("b"), pong("")}},
		{"in another order", true, []reqws.Frame{reqws.Pong(""), reqws.Pong("b"), reqws.Pong("a")}, []reqwstest.Frame{pong(""), pong("b"), pong("a")}},
		{"the handler answers something else", true, []reqws.Frame{reqws.Pong("x"), reqws.Text("a")}, []reqwstest.Frame{pong("a"), pong("b"), pong(""), pong("x"), reqwstest.Text("a")}},
		{"off", false, nil, nil},
		{"off, the handler answers one", false, []reqws.Frame{reqws.Pong("b")}, []reqwstest.Frame{pong("b")}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				is := is.New(t)
				srv := reqwstest.NewMemory(t, reqwstest.Script(
					reqwstest.Accept(),
					reqwstest.Send(pings...),
					reqwstest.ExpectFrames(tc.want...),
					reqwstest.ExpectNothing(time.Second),
					reqwstest.SendClose(1000, ""),
					reqwstest.ExpectClose(1000, ""),
				))
				err := to(srv, reqws.AutoPong(tc.on)).Run(t.Context(), reqws.Into(func(in reqws.Event, _ *reqws.Response) reqws.Directive {
					if in.Frames[0].Kind == reqws.KindPing {
						return reqws.Cont(tc.replies...)
					}
					return reqws.Cont()
				}))
				is.NoErr(err)
			})
		})
	}
}

// A reply that may not be sent ends the stream with 1011 and an error that names
// it; nothing of its batch is written.
func TestBadReplies(t *testing.T) {
	for _, tc := range badFrames() {
		for _, halt := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/halt=%v", tc.name, halt), func(t *testing.T) {
				tidy(t)
				is := is.New(t)
				srv := reqwstest.New(t, reqwstest.Script(
					reqwstest.Accept(),
					reqwstest.SendText("go"),
					reqwstest.ExpectCloseCode(1011),
					reqwstest.ExpectGone(),
				))
				w := &witness{answer: func(reqws.Event, *reqws.Response) reqws.Directive {
					replies := append([]reqws.Frame{reqws.Text("good")}, tc.frames...)
					if halt {
						return reqws.Halt(replies...)
					}
					return reqws.Cont(replies...)
				}}
				err := to(srv).Run(t.Context(), w.into())
				var pe *reqws.ProtocolError
				is.True(errors.As(err, &pe))
				is.True(strings.Contains(err.Error(), "reply"))
				if !strings.Contains(err.Error(), tc.says) {
					t.Errorf("%q does not say %q", err, tc.says)
				}
				is.Equal(len(w.errs), 1)
				is.Equal(w.errs[0], err)
				is.NoErr(srv.Wait(t.Context()))
				is.Equal(len(shown(srv.Conns()[0])), 1)
			})
		}
	}
}

// Nothing of a stream that ended badly gets into another one, though they share
// memory.
func TestStreamsDoNotMix(t *testing.T) {
	tidy(t)
	is := is.New(t)
	for range 20 {
		bad := reqwstest.New(t, reqwstest.Script(
			reqwstest.Accept(),
			reqwstest.Send(reqwstest.Ping("stale"), reqwstest.Text("stale")),
			reqwstest.ExpectCloseCode(1011),
		))
		err := to(bad).Run(t.Context(), reqws.Into(func(reqws.Event, *reqws.Response) reqws.Directive {
			return reqws.Cont(reqws.Text("stale"), reqws.Text("\xff"))
		}))
		is.True(err != nil)
		good := reqwstest.New(t, reqwstest.Script(
			reqwstest.Accept(),
			reqwstest.SendText("fresh"),
			reqwstest.ExpectFrames(reqwstest.Text("fresh")),
			reqwstest.SendClose(1000, ""),
			reqwstest.ExpectFrames(reqwstest.Close(1000, "")),
		))
		is.NoErr(to(good).Run(t.Context(), reqws.Into(reqws.Each(echo))))
	}
}

// The Response that a handler gets is the one that Do returns, and its methods
// work in there.
func TestTheHandlersResponse(t *testing.T) {
	tidy(t)
	is := is.New(t)
	srv := reqwstest.New(t, reqwstest.Script(
		reqwstest.Accept(),
		reqwstest.SendText("go"),
		reqwstest.ExpectText("sent"),
		reqwstest.ExpectText("replied"),
		reqwstest.SendClose(1000, ""),
		reqwstest.ExpectClose(1000, ""),
	))
	var inside *reqws.Response
	w := &witness{answer: func(in reqws.Event, resp *reqws.Response) reqws.Directive {
		inside = resp
		if in.Frames[0].Kind == reqws.KindClose {
			return reqws.Cont()
		}
		is.NoErr(resp.Send(context.Background(), reqws.Text("sent")))
		_, err := resp.Receive(t.Context())
		is.True(err != nil) // the frames go to the handler
		return reqws.Cont(reqws.Text("replied"))
	}}
	resp, err := to(srv).Do(t.Context(), w.into())
	is.NoErr(err)
	is.NoErr(resp.Wait())
	is.True(inside == resp)
}
