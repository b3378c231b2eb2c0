package reqws_test

import (
	"context"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/matryer/is"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/reqwstest"
)

// A peer's close frame that comes while a write is blocked is what the stream ends with, within
// CloseTimeout; the blocked Send says so, too.
func TestThePeerClosesDuringABlockedSend(t *testing.T) {
	for _, tc := range []struct {
		code int
		want string
	}{
		{1009, "too big for me"},
		{1001, "bye"},
	} {
		for _, tls := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d/tls=%v", tc.code, tls), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					is := is.New(t)
					options := []reqwstest.Option{reqwstest.BufferSize(1000), reqwstest.Script(
						reqwstest.Accept(),
						reqwstest.Do(func(c *reqwstest.Conn) error {
							_, err := io.CopyN(io.Discard, c, 10_000)
							return err
						}),
						reqwstest.SendClose(tc.code, tc.want),
						reqwstest.Stall(),
					)}
					if tls {
						options = append(options, reqwstest.TLS())
					}
					srv := reqwstest.NewMemory(t, options...)
					w := &witness{}
					resp, err := to(srv, reqws.CloseTimeout(time.Second), reqws.WriteTimeout(6*time.Second)).Do(t.Context(), w.into())
					is.NoErr(err)
					start := time.Now()
					err = resp.Send(t.Context(), reqws.Binary(make([]byte, 1<<20)))
					is.Equal(int(websocket.CloseStatus(err)), tc.code)
					is.Equal(int(websocket.CloseStatus(resp.Wait())), tc.code)
					is.Equal(time.Since(start), time.Second)
					code, reason, ok := resp.PeerClose()
					is.True(ok)
					is.Equal(int(code), tc.code)
					is.Equal(reason, tc.want)
				})
			})
		}
	}
}

// The same holds where it is the handler's own replies that the peer does not take, also while
// another Send is in front of them: the loop looks for the close frame meanwhile.
func TestThePeerClosesDuringABlockedReply(t *testing.T) {
	for name, server := range servers {
		for _, behind := range []bool{false, true} {
			for _, tc := range []struct {
				code int
				send bool // by Send inside the handler rather than as a reply
				read int  // ahead
			}{{1009, false, 0}, {1000, false, 0}, {1009, true, 0}, {1009, false, 1}, {1000, false, 1000}, {1009, true, 1}} {
				t.Run(fmt.Sprintf("%s/%d/send=%v/behind=%v/ahead=%d", name, tc.code, tc.send, behind, tc.read), func(t *testing.T) {
					code := tc.code
					tidy(t)
					is := is.New(t)
					inside, sending := make(chan struct{}), make(chan struct{})
					srv := server(t, reqwstest.BufferSize(4096), reqwstest.Script(
						reqwstest.Accept(),
						reqwstest.SendText("go"),
						reqwstest.Do(func(c *reqwstest.Conn) error {
							_, err := io.CopyN(io.Discard, c, 10_000)
							return err
						}),
						reqwstest.Send(reqwstest.Text("before"), reqwstest.Ping("p"), reqwstest.Close(code, "too big")),
						reqwstest.Stall(),
					))
					var got []string
					handler := func(in reqws.Event, resp *reqws.Response) reqws.Directive {
						for _, f := range in.Frames {
							got = append(got, f.String())
						}
						if len(got) > 1 || in.Err != nil {
							return reqws.Cont()
						}
						if close(inside); behind {
							<-sending
						}
						large := reqws.Binary(make([]byte, 12<<20))
						if !tc.send {
							return reqws.Cont(large)
						}
						is.True(resp.Send(context.Background(), large) != nil)
						is.Equal(in.Frames[0].Text(), "go") // lent until the handler returns
						return reqws.Cont()
					}
					resp, err := to(srv, reqws.CloseTimeout(100*time.Millisecond), reqws.WriteTimeout(time.Hour), reqws.ReadAhead(tc.read), reqws.AutoPong(false)).Do(t.Context(), reqws.Into(handler))
					is.NoErr(err)
					if behind {
						go func() {
							<-inside // else "go" may come together with what follows it
							close(sending)
							_ = resp.Send(context.Background(), reqws.Binary(make([]byte, 12<<20)))
						}()
					}
					err = resp.Wait()
					if code == 1009 {
						is.Equal(int(websocket.CloseStatus(err)), code)
					} else {
						is.True(err != nil) // the reply was lost
					}
					is.Equal(got, []string{`text "go"`, `text "before"`, `ping "p"`, fmt.Sprintf(`close %d "too big"`, code)})
				})
			}
		}
	}
}
