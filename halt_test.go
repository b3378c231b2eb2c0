package reqws_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/matryer/is"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/internal/wiretest"
	"github.com/reqws/reqws/reqwstest"
)

// Halt sends the replies, then a close frame 1000 unless they have one, all in
// one write, and waits for the peer's.
func TestHalt(t *testing.T) {
	for _, tc := range []struct {
		name    string
		replies []reqws.Frame
		want    []reqwstest.Frame
	}{
		{"bare", nil, []reqwstest.Frame{reqwstest.Close(1000, "")}},
		{"with replies", []reqws.Frame{reqws.Text("a"), reqws.Binary("b")},
			[]reqwstest.Frame{reqwstest.Text("a"), reqwstest.Binary("b"), reqwstest.Close(1000, "")}},
		{"with a close frame", []reqws.Frame{reqws.Text("a"), reqws.Close(4000, "mine")},
			[]reqwstest.Frame{reqwstest.Text("a"), reqwstest.Close(4000, "mine")}},
	} {
		for _, each := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/each=%v", tc.name, each), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					is := is.New(t)
					srv := reqwstest.NewMemory(t, reqwstest.Script(
						reqwstest.Accept(),
						reqwstest.Send(reqwstest.Text("go"), reqwstest.Text("never seen by Each")),
						reqwstest.ExpectFrames(tc.want...),
						reqwstest.Send(reqwstest.Text("discarded"), reqwstest.Ping("not answered")),
						reqwstest.SendClose(int(1000), ""),
						reqwstest.ExpectEOF(),
					))
					calls := 0
					handler := func(reqws.Event, *reqws.Response) reqws.Directive {
						calls++
						return reqws.Halt(tc.replies...)
					}
					if each {
						handler = reqws.Each(func(reqws.Frame) reqws.Directive {
							calls++
							return reqws.Halt(tc.replies...)
						})
					}
					is.NoErr(to(srv).Run(t.Context(), reqws.Into(handler)))
					is.Equal(calls, 1)
					is.NoErr(srv.Wait(t.Context()))
					is.Equal(len(wiretest.WriteSizes(srv.Conns()[0])), 2) // the handshake, and all the rest
				})
			})
		}
	}
}

// A reply that is a close frame ends the stream as Halt does, with its code: also
// in the middle of what Each collects.
func TestCloseAsAReply(t *testing.T) {
	for _, each := range []bool{false, true} {
		t.Run(fmt.Sprint("each=", each), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				is := is.New(t)
				srv := reqwstest.NewMemory(t, reqwstest.Script(
					reqwstest.Accept(),
					reqwstest.Send(reqwstest.Text("go"), reqwstest.Text("more")),
					reqwstest.ExpectFrames(reqwstest.Text("bye"), reqwstest.Close(4000, "enough")),
					reqwstest.SendText("discarded"),
					reqwstest.SendClose(4000, "enough"),
					reqwstest.ExpectEOF(),
				))
				calls := 0
				bye := func() reqws.Directive {
					calls++
					return reqws.Cont(reqws.Text("bye"), reqws.Close(4000, "enough"))
				}
				handler := func(reqws.Event, *reqws.Response) reqws.Directive { return bye() }
				if each {
					handler = reqws.Each(func(reqws.Frame) reqws.Directive { return bye() })
				}
				is.NoErr(to(srv).Run(t.Context(), reqws.Into(handler)))
				is.Equal(calls, 1)
			})
		})
	}
}

// Fail ends the stream with the handler's own error, and tells the peer 1011 unless the
// replies say otherwise.
func TestFail(t *testing.T) {
	mine := errors.New("not what I asked for")
	for _, tc := range []struct {
		name   string
		answer reqws.Directive
		want   []reqwstest.Frame
		says   error
	}{
		{"bare", reqws.Fail(mine), []reqwstest.Frame{reqwstest.Close(1011, "")}, mine},
		{"with replies", reqws.Fail(mine, reqws.Text("a"), reqws.Text("b")),
			[]reqwstest.Frame{reqwstest.Text("a"), reqwstest.Text("b"), reqwstest.Close(1011, "")}, mine},
		{"with a close frame", reqws.Fail(mine, reqws.Close(4000, "mine")), []reqwstest.Frame{reqwstest.Close(4000, "mine")}, mine},
		{"without an error", reqws.Fail(nil), []reqwstest.Frame{reqwstest.Close(1011, "")}, nil},
	} {
		for _, answered := range []bool{true, false} {
			for _, mode := range []string{"handler", "each", "open"} {
				t.Run(fmt.Sprintf("%s/answered=%v/%s", tc.name, answered, mode), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						is := is.New(t)
						steps := []reqwstest.Step{reqwstest.Accept(), reqwstest.SendText("go"), reqwstest.ExpectFrames(tc.want...)}
						if answered {
							steps = append(steps, reqwstest.SendClose(1000, ""))
						}
						srv := reqwstest.NewMemory(t, reqwstest.Script(append(steps, reqwstest.ExpectEOF())...))
						calls := 0
						answer := func() reqws.Directive { calls++; return tc.answer }
						opts := []reqws.Option{reqws.Into(map[string]reqws.Handler{
							"handler": func(reqws.Event, *reqws.Response) reqws.Directive { return answer() },
							"each":    reqws.Each(func(reqws.Frame) reqws.Directive { return answer() }),
							"open":    func(reqws.Event, *reqws.Response) reqws.Directive { t.Error("called"); return reqws.Cont() },
						}[mode])}
						if mode == "open" {
							opts = append(opts, reqws.OnOpen(func(*reqws.Response) reqws.Directive { return answer() }))
						}
						resp, err := to(srv).Do(t.Context(), opts...)
						is.NoErr(err)
						err = resp.Wait()
						is.True(err != nil)
						is.True(tc.says == nil || errors.Is(err, tc.says))
						is.Equal(calls, 1)
					})
				})
			}
		}
	}
}

// A handler that is told why its stream broke may choose what Run returns.
func TestFailAfterABreak(t *testing.T) {
	is := is.New(t)
	srv := reqwstest.NewMemory(t, reqwstest.Script(reqwstest.Accept(), reqwstest.Drop()))
	mine := errors.New("the feed is gone")
	err := to(srv).Run(t.Context(), reqws.Into(func(in reqws.Event, _ *reqws.Response) reqws.Directive {
		return reqws.Fail(fmt.Errorf("%w: %w", mine, in.Err))
	}))
	is.True(errors.Is(err, mine))
	is.True(errors.Is(err, io.ErrUnexpectedEOF))
	is.True(strings.Contains(err.Error(), srv.URL))
}
