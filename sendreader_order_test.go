package reqws_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/coder/websocket"
	"github.com/matryer/is"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/reqwstest"
)

// Control frames pass between the fragments of a message; other data waits, in order, and so do
// other messages of readers.
func TestSendReaderAmongOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		srv := reqwstest.NewMemory(t, reqwstest.Script(
			reqwstest.Accept(),
			expectShown(`text "a" without FIN`),
			reqwstest.SendPing("1"),
			expectShown(`pong "1"`, `ping "mine"`, `continuation "b" without FIN`),
			reqwstest.SendText("answer me"),
			reqwstest.ExpectNothing(time.Minute), // the answer has to wait
			expectShown(`continuation "c" without FIN`, `continuation ""`,
				`text "first"`, `binary "d" without FIN`, `continuation "e" without FIN`, `continuation ""`, `text "second"`, `text "third"`, `text "answer"`),
			closes(),
		))
		resp, err := to(srv, reqws.Heartbeat(0, 0)).Do(t.Context(), reqws.Into(reqws.Each(func(f reqws.Frame) reqws.Directive {
			if f.Kind == reqws.KindText {
				return reqws.Cont(reqws.Text("answer"))
			}
			return reqws.Cont()
		})))
		is.NoErr(err)
		var all sync.WaitGroup
		one := slowly()
		all.Go(func() { is.NoErr(resp.SendReader(t.Context(), reqws.KindText, one)) })
		one.parts <- "a"
		synctest.Wait()
		queue := func(f func() error) {
			all.Go(func() { is.NoErr(f()) })
			synctest.Wait()
		}
		queue(func() error { return resp.Send(t.Context(), reqws.Text("first")) })
		queue(func() error { return resp.SendReader(t.Context(), reqws.KindBinary, yields(io.EOF, "d", "e")) })
		queue(func() error { return resp.Send(t.Context(), reqws.Text("second"), reqws.Text("third")) })
		is.NoErr(resp.Send(t.Context(), reqws.Ping("mine")))
		all.Go(func() { // is given up in the queue
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			is.True(errors.Is(resp.Send(ctx, reqws.Text("given up")), context.DeadlineExceeded))
		})
		one.parts <- "b"
		time.Sleep(time.Hour)
		one.parts <- "c"
		close(one.parts)
		all.Wait()
		synctest.Wait()
		is.NoErr(resp.Close(1000, ""))
	})
}

// Inside a handler it sends at once; what the handler answers comes behind.
func TestSendReaderInsideAHandler(t *testing.T) {
	for name, server := range servers {
		t.Run(name, func(t *testing.T) {
			tidy(t)
			is := is.New(t)
			srv := server(t, reqwstest.Script(
				reqwstest.Accept(),
				expectShown(`text "o" without FIN`, `continuation "pen" without FIN`, `continuation ""`, `text "opened"`),
				reqwstest.SendText("go"),
				expectShown(`text "a" without FIN`, `continuation "b" without FIN`, `continuation ""`, `text "done"`),
				closes(),
			))
			is.NoErr(to(srv).Run(t.Context(),
				reqws.OnOpen(func(resp *reqws.Response) reqws.Directive {
					is.NoErr(resp.SendReader(t.Context(), reqws.KindText, yields(io.EOF, "o", "pen")))
					return reqws.Cont(reqws.Text("opened"))
				}),
				reqws.Into(reqws.EachWith(func(_ reqws.Frame, resp *reqws.Response) reqws.Directive {
					is.NoErr(resp.SendReader(t.Context(), reqws.KindText, yields(io.EOF, "a", "b")))
					return reqws.Halt(reqws.Text("done"))
				}))))
		})
	}
}

// A stream that ends while a message is under way ends as it would without; the message fails.
func TestTheEndDuringASendReader(t *testing.T) {
	halts := func(replies ...reqws.Frame) reqws.Handler {
		return reqws.Each(func(f reqws.Frame) reqws.Directive {
			if f.Kind == reqws.KindText {
				return reqws.Halt(replies...)
			}
			return reqws.Cont()
		})
	}
	for _, tc := range []struct {
		name   string
		into   reqws.Handler
		script []reqwstest.Step // behind the first fragment
		do     func(*reqws.Response) error
		fails  func(error) bool
		end    func(error) bool
		rest   bool // the message goes on to its end
	}{
		{"Close", nil, []reqwstest.Step{expectShown(`close 1000 "bye"`), reqwstest.SendClose(1000, "")},
			func(r *reqws.Response) error { return r.Close(1000, "bye") }, isErr(reqws.ErrClosed), nil, false},
		{"a close frame", nil, []reqwstest.Step{expectShown(`close 4000 "bye"`), reqwstest.SendClose(4000, "")},
			func(r *reqws.Response) error { return r.Send(context.Background(), reqws.Close(4000, "bye")) }, isErr(reqws.ErrClosed), nil, false},
		{"CloseNow", nil, []reqwstest.Step{reqwstest.ExpectGone()},
			(*reqws.Response).CloseNow, isErr(reqws.ErrClosed), isErr(reqws.ErrClosed), false},
		{"the peer", nil, []reqwstest.Step{reqwstest.SendClose(1001, ""), expectShown(`close 1001 ""`), reqwstest.ExpectEOF()},
			nil, isErr(reqws.ErrClosed), func(err error) bool { return websocket.CloseStatus(err) == 1001 }, false},
		{"Halt", halts(), []reqwstest.Step{reqwstest.SendText("go"), expectShown(`close 1000 ""`), reqwstest.SendClose(1000, "")},
			nil, isErr(reqws.ErrClosed), nil, false},
		{"Halt with a ping", halts(reqws.Ping("p")), []reqwstest.Step{reqwstest.SendText("go"), expectShown(`ping "p"`, `close 1000 ""`), reqwstest.SendClose(1000, "")},
			nil, isErr(reqws.ErrClosed), nil, false},
		{"Halt with a text", halts(reqws.Text("bye")), []reqwstest.Step{reqwstest.SendText("go"), expectShown(`continuation "b" without FIN`, `continuation ""`, `text "bye"`, `close 1000 ""`), reqwstest.SendClose(1000, "")},
			nil, nil, nil, true},
		{"the connection", nil, []reqwstest.Step{reqwstest.Drop()},
			nil, isErr(io.ErrUnexpectedEOF), isErr(io.ErrUnexpectedEOF), false},
		{"the peer, while a reply waits", reqws.Each(echo), []reqwstest.Step{reqwstest.SendText("go"), reqwstest.Sleep(time.Second), reqwstest.SendClose(1001, ""), reqwstest.ExpectGone()},
			nil, func(err error) bool { return err != nil }, func(err error) bool { return websocket.CloseStatus(err) == 1001 }, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				is := is.New(t)
				begun := make(chan struct{})
				srv := reqwstest.NewMemory(t, reqwstest.Script(append([]reqwstest.Step{
					reqwstest.Accept(), expectShown(`text "a" without FIN`), reqwstest.Await(begun),
				}, tc.script...)...))
				if tc.into == nil {
					tc.into = reqws.Each(func(reqws.Frame) reqws.Directive { return reqws.Cont() })
				}
				resp, err := to(srv, reqws.Heartbeat(0, 0)).Do(t.Context(), reqws.Into(tc.into))
				is.NoErr(err)
				var all sync.WaitGroup
				from := slowly()
				all.Go(func() {
					err := resp.SendReader(t.Context(), reqws.KindText, from)
					if tc.rest {
						is.NoErr(err)
						return
					}
					is.True(tc.fails(err))
				})
				from.parts <- "a"
				synctest.Wait()
				if !tc.rest {
					all.Go(func() { // what waits is not sent
						is.True(resp.Send(t.Context(), reqws.Text("late")) != nil)
					})
					synctest.Wait()
				}
				close(begun)
				if tc.do != nil {
					is.NoErr(tc.do(resp))
				}
				if tc.rest {
					time.Sleep(time.Second)
					from.parts <- "b"
					close(from.parts)
				}
				err = resp.Wait()
				is.True(tc.end == nil && err == nil || tc.end != nil && tc.end(err))
				all.Wait() // though nothing came from the reader
				if !tc.rest {
					close(from.parts)
				}
			})
		})
	}
}

func isErr(want error) func(error) bool { return func(err error) bool { return errors.Is(err, want) } }

// A message that was not begun waits for the next connection, in its turn; one that was fails.
func TestSendReaderOverAReconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		srv := reqwstest.NewMemory(t,
			reqwstest.Script(reqwstest.Accept(), expectShown(`text "a" without FIN`), reqwstest.Drop()),
			reqwstest.Script(reqwstest.Accept(), expectShown(`text "one"`, `text "b" without FIN`, `continuation "c" without FIN`, `continuation ""`, `text "two"`),
				reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, "")),
		)
		resp, err := to(srv, reqws.Reconnect(-1), reqws.Heartbeat(0, 0), reqws.ReconnectBackOff(func() backoff.BackOff { return backoff.NewConstantBackOff(time.Minute) })).
			Do(t.Context(), reqws.Into(reqws.Each(func(reqws.Frame) reqws.Directive { return reqws.Cont() })))
		is.NoErr(err)
		var all sync.WaitGroup
		begun := slowly()
		all.Go(func() {
			err := resp.SendReader(t.Context(), reqws.KindText, begun)
			is.True(errors.Is(err, io.ErrUnexpectedEOF))
		})
		begun.parts <- "a"
		time.Sleep(time.Second) // the connection is lost, and the message with it
		synctest.Wait()
		for _, send := range []func() error{
			func() error { return resp.Send(t.Context(), reqws.Text("one")) },
			func() error { return resp.SendReader(t.Context(), reqws.KindText, yields(io.EOF, "b", "c")) },
			func() error { return resp.Send(t.Context(), reqws.Text("two")) },
		} {
			all.Go(func() { is.NoErr(send()) })
			synctest.Wait()
		}
		all.Wait()
		is.NoErr(resp.Wait())
		close(begun.parts)
	})
}

// Many at once: each message arrives whole, and none inside another, though many were cut into fragments.
func TestManySendReaders(t *testing.T) {
	for _, extensions := range []string{"", deflate, deflate + "; client_no_context_takeover; server_no_context_takeover"} {
		for name, server := range servers {
			t.Run(extensions+"/"+name, func(t *testing.T) {
				tidy(t)
				is := is.New(t)
				const senders, each = 8, 30
				accept := reqwstest.Accept()
				if extensions != "" {
					accept = accepting(extensions)
				}
				got := map[string]int{}
				srv := server(t, reqwstest.Script(accept, reqwstest.Do(func(c *reqwstest.Conn) error {
					for {
						op, p, err := c.ReadMessage()
						switch {
						case err != nil:
							return err
						case op == reqwstest.OpPing:
							err = c.WriteFrame(reqwstest.Pong(p))
						case op == reqwstest.OpClose:
							return c.WriteFrame(reqwstest.Close(1000, ""))
						case op != reqwstest.OpPong:
							got[string(p)]++
							err = c.WriteFrame(reqwstest.Ping("p"))
						}
						if err != nil {
							return err
						}
					}
				})))
				resp, err := to(srv, reqws.Compression(takeover)).Do(t.Context(), reqws.Into(reqws.Each(func(reqws.Frame) reqws.Directive { return reqws.Cont() })))
				is.NoErr(err)
				var all sync.WaitGroup
				sent := make([][]string, senders)
				for i := range senders {
					all.Go(func() {
						rng := rand.New(rand.NewPCG(uint64(i), 1))
						for j := range each {
							text := fmt.Sprint(i, " ", j, " ", prose(i*each+j, rng.IntN(3000)))
							var err error
							switch rng.IntN(4) {
							case 0:
								err = resp.Send(t.Context(), reqws.Text(text))
							case 1:
								err = resp.Send(t.Context(), reqws.Ping("x"), reqws.Text(text))
							case 2:
								err = resp.SendReader(t.Context(), reqws.KindText, iotest.HalfReader(strings.NewReader(text)))
							case 3:
								err = resp.SendReader(t.Context(), reqws.KindText, strings.NewReader(text))
							}
							is.NoErr(err)
							sent[i] = append(sent[i], text)
						}
					})
				}
				all.Wait()
				is.NoErr(resp.Close(1000, ""))
				n := 0
				for _, texts := range sent {
					for _, text := range texts {
						is.Equal(got[text], 1)
						n++
					}
				}
				is.Equal(len(got), n)
			})
		}
	}
}

// With compression a message is compressed as a whole, in fragments: only the first says so. What comes
// before and after may be compressed with a window, which the message is then part of.
func TestSendReaderCompressed(t *testing.T) {
	text := prose(1, 200_000)
	for _, extensions := range []string{
		deflate, deflate + "; client_max_window_bits=9", deflate + "; client_no_context_takeover; server_no_context_takeover",
	} {
		t.Run(extensions, func(t *testing.T) {
			tidy(t)
			is := is.New(t)
			srv := reqwstest.New(t, reqwstest.Script(
				accepting(extensions),
				reqwstest.ExpectText(text[:5000]), reqwstest.ExpectText(text), reqwstest.ExpectText(text[:5000]), reqwstest.ExpectText(text[:5000]),
				reqwstest.ExpectText("abc"), reqwstest.ExpectText(""), reqwstest.ExpectText(text[:1000]), reqwstest.ExpectText(text[:1000]), closes(),
			))
			resp, err := to(srv, reqws.Compression(takeover)).Do(t.Context())
			is.NoErr(err)
			is.NoErr(resp.Send(t.Context(), reqws.Text(text[:5000])))
			is.NoErr(resp.SendReader(t.Context(), reqws.KindText, strings.NewReader(text)))
			is.NoErr(resp.Send(t.Context(), reqws.Text(text[:5000])))
			is.NoErr(resp.Send(t.Context(), reqws.Text(text[:5000])))
			is.NoErr(resp.SendReader(t.Context(), reqws.KindText, yields(io.EOF, "a", "", "bc")))
			is.NoErr(resp.SendReader(t.Context(), reqws.KindText, yields(io.EOF)))
			is.NoErr(resp.SendReader(t.Context(), reqws.KindText, strings.NewReader(text[:1000])))
			is.NoErr(resp.Send(t.Context(), reqws.Text(text[:1000])))
			is.NoErr(resp.Close(1000, ""))
			size := 0
			for _, f := range srv.Conns()[0].Frames() {
				size += len(f.Payload)
				if f.Op == reqwstest.OpContinuation || !f.Fin {
					is.Equal(f.RSV == reqwstest.RSV1, f.Op == reqwstest.OpText)
				}
			}
			is.True(size < len(text)/2)
		})
	}
}
