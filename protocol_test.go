package reqws_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/matryer/is"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/internal/wiretest"
	"github.com/reqws/reqws/reqwstest"
)

// What a server must not send ends the stream with the right close code, and an
// error that says what was wrong, once; what came before it is delivered.
func TestProtocolErrors(t *testing.T) {
	for _, tc := range violations() {
		for _, together := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/%s/together=%v", tc.section, tc.name, together), func(t *testing.T) {
				tidy(t)
				is := is.New(t)
				before := reqwstest.Encode(reqwstest.Text("before"), reqwstest.Ping("p"))
				sends := []reqwstest.Step{wiretest.SendRaw(before), reqwstest.ExpectPong("p"), wiretest.SendRaw(tc.bytes)}
				if together {
					sends = []reqwstest.Step{wiretest.SendRaw(append(before, tc.bytes...)), reqwstest.ExpectPong("p")}
				}
				steps := append([]reqwstest.Step{reqwstest.Accept()}, sends...)
				steps = append(steps, reqwstest.ExpectCloseCode(tc.code), reqwstest.ExpectGone())
				srv := reqwstest.New(t, reqwstest.Script(steps...))

				w := &witness{}
				err := to(srv, tc.opts...).Run(t.Context(), w.into())
				is.Equal(w.frames(), []string{`text "before"`, `ping "p"`})
				var pe *reqws.ProtocolError
				is.True(errors.As(err, &pe))
				is.Equal(int(pe.Code), tc.code)
				if !strings.Contains(pe.Reason, tc.reason) || !strings.Contains(err.Error(), tc.reason) {
					t.Errorf("%q does not say %q", err, tc.reason)
				}
				is.True(strings.Contains(err.Error(), srv.URL)) // for which URL
				is.Equal(errors.Is(err, reqws.ErrMessageTooBig), tc.code == 1009)
				is.Equal(len(w.errs), 1)
				is.Equal(w.errs[0], err)
				is.True(websocket.CloseStatus(err) == -1) // it is not the peer's close
				is.NoErr(srv.Wait(t.Context()))
				frames := srv.Conns()[0].Frames()
				last := frames[len(frames)-1]
				is.True(strings.Contains(string(last.Payload), tc.reason)) // the peer learns it too
			})
		}
	}
}

// Without a handler, too, what came before a violation can be received.
func TestProtocolErrorWhilePulling(t *testing.T) {
	tidy(t)
	is := is.New(t)
	srv := reqwstest.New(t, reqwstest.Script(
		reqwstest.Accept(),
		wiretest.SendRaw(append(reqwstest.Encode(reqwstest.Text("before")), 0x83, 0)),
		reqwstest.ExpectCloseCode(1002),
	))
	resp, err := to(srv).Do(t.Context())
	is.NoErr(err)
	frames, err := resp.Receive(t.Context())
	is.NoErr(err)
	is.Equal(listed(frames), []string{`text "before"`})
	_, err = resp.Receive(t.Context())
	var pe *reqws.ProtocolError
	is.True(errors.As(err, &pe))
	is.Equal(resp.Wait(), err)
}

func TestMaxMessageSize(t *testing.T) {
	body := strings.Repeat("x", 1000)
	for _, tc := range []struct {
		limit int64
		ok    bool
	}{{1000, true}, {999, false}, {-1, true}, {0, false}} {
		t.Run(fmt.Sprint(tc.limit), func(t *testing.T) {
			tidy(t)
			is := is.New(t)
			end := []reqwstest.Step{reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, "")}
			if !tc.ok {
				end = []reqwstest.Step{reqwstest.ExpectCloseCode(1009)}
			}
			srv := reqwstest.New(t, reqwstest.Script(append([]reqwstest.Step{
				reqwstest.Accept(),
				reqwstest.SendText(body),
			}, end...)...))
			err := to(srv, reqws.MaxMessageSize(tc.limit)).Run(t.Context(), reqws.Into(reqws.Each(func(f reqws.Frame) reqws.Directive {
				is.True(f.Kind == reqws.KindClose || len(f.Data) == 1000)
				return reqws.Cont()
			})))
			is.Equal(err == nil, tc.ok)
			is.Equal(errors.Is(err, reqws.ErrMessageTooBig), !tc.ok)
		})
	}
}

// -1 lifts the limit above the default, too.
func TestMaxMessageSizeLifted(t *testing.T) {
	tidy(t)
	is := is.New(t)
	srv := reqwstest.New(t, reqwstest.Script(
		reqwstest.Accept(),
		reqwstest.SendBinary(make([]byte, 17<<20)),
		reqwstest.SendClose(1000, ""),
		reqwstest.ExpectClose(1000, ""),
	))
	size := 0
	is.NoErr(to(srv, reqws.MaxMessageSize(-1)).Run(t.Context(), reqws.Into(reqws.Each(func(f reqws.Frame) reqws.Directive {
		size += len(f.Data)
		return reqws.Cont()
	}))))
	is.Equal(size, 17<<20)
}
