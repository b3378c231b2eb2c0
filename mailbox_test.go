package reqws_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matryer/is"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/reqwstest"
)

// A mailbox gets each batch, and a last message with io.EOF after a clean end.
func TestMailbox(t *testing.T) {
	for _, run := range []bool{false, true} {
		t.Run(fmt.Sprint("run=", run), func(t *testing.T) {
			tidy(t)
			is := is.New(t)
			srv := reqwstest.New(t, reqwstest.Script(
				reqwstest.Accept(),
				reqwstest.Send(reqwstest.Text("a"), reqwstest.Ping("p")),
				reqwstest.ExpectPong("p"),
				reqwstest.SendClose(1000, ""),
				reqwstest.ExpectClose(1000, ""),
			))
			box := make(chan reqws.Message, 10)
			if run {
				is.NoErr(to(srv).Run(t.Context(), reqws.IntoMailbox(box)))
			} else {
				resp, err := to(srv).Do(t.Context(), reqws.IntoMailbox(box))
				is.NoErr(err)
				is.NoErr(resp.Wait())
			}
			var got []string
			for {
				m := <-box
				is.True(m.Response != nil)
				is.Equal(m.Response.StatusCode, 101)
				if m.Err != nil {
					is.Equal(m.Err, io.EOF)
					is.Equal(m.Frames, nil)
					break
				}
				got = append(got, listed(m.Frames)...)
			}
			is.Equal(got, []string{`text "a"`, `ping "p"`, "close 1000"})
			is.Equal(len(box), 0) // neither closed, nor is there more
		})
	}
}

// After a failure the last message has its error.
func TestMailboxAfterAFailure(t *testing.T) {
	tidy(t)
	is := is.New(t)
	srv := reqwstest.New(t, reqwstest.Script(reqwstest.Accept(), reqwstest.SendText("a"), reqwstest.Drop()))
	box := make(chan reqws.Message)
	resp, err := to(srv).Do(t.Context(), reqws.IntoMailbox(box))
	is.NoErr(err)
	m := <-box
	is.Equal(listed(m.Frames), []string{`text "a"`})
	frames, err := resp.ParseMessage(m)
	is.NoErr(err)
	is.Equal(listed(frames), []string{`text "a"`})
	m = <-box
	is.True(errors.Is(m.Err, io.ErrUnexpectedEOF))
	_, err = resp.ParseMessage(m)
	is.Equal(err, m.Err)
	is.Equal(resp.Wait(), m.Err)
}

// Many streams share one channel; ParseMessage tells whose a message is.
func TestManyStreamsOneMailbox(t *testing.T) {
	tidy(t)
	is := is.New(t)
	const n = 10
	var scripts []reqwstest.Option
	for i := range n {
		scripts = append(scripts, reqwstest.Script(
			reqwstest.Accept(),
			reqwstest.SendText(fmt.Sprint(i)),
			reqwstest.SendText(fmt.Sprint(i)),
			reqwstest.SendClose(1000, ""),
			reqwstest.ExpectClose(1000, ""),
		))
	}
	srv := reqwstest.New(t, scripts...)
	box := make(chan reqws.Message)
	req := to(srv, reqws.IntoMailbox(box))
	var streams []*reqws.Response
	for range n {
		resp, err := req.Do(t.Context())
		is.NoErr(err)
		streams = append(streams, resp)
	}
	got := make([]string, n)
	for open := n; open > 0; {
		m := <-box
		whose := 0
		for i, resp := range streams {
			frames, err := resp.ParseMessage(m)
			if errors.Is(err, reqws.ErrUnknownMessage) {
				is.Equal(frames, nil)
				continue
			}
			whose++
			if err == io.EOF {
				open--
				continue
			}
			is.NoErr(err)
			for _, f := range frames {
				if f.Kind == reqws.KindText {
					got[i] += f.Text()
				}
			}
		}
		is.Equal(whose, 1)
	}
	for i := range n {
		is.Equal(got[i], fmt.Sprintf("%d%d", i, i))
	}
	_, err := streams[0].ParseMessage(reqws.Message{})
	is.True(errors.Is(err, reqws.ErrUnknownMessage))
}

// The frames of a message are its receiver's.
func TestMailboxFramesAreCopies(t *testing.T) {
	tidy(t)
	is := is.New(t)
	const n = 100
	steps := []reqwstest.Step{reqwstest.Accept()}
	for i := range n {
		steps = append(steps, reqwstest.SendText(fmt.Sprintf("message %03d", i)), reqwstest.SendPing(""), reqwstest.ExpectPong(""))
	}
	srv := reqwstest.New(t, reqwstest.Script(append(steps, reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, ""))...))
	box := make(chan reqws.Message, 3*n)
	is.NoErr(to(srv).Run(t.Context(), reqws.IntoMailbox(box)))
	next := 0
	for m := range box {
		if m.Err != nil {
			break
		}
		for _, f := range m.Frames {
			if f.Kind == reqws.KindText {
				is.Equal(f.Text(), fmt.Sprintf("message %03d", next))
				next++
			}
		}
	}
	is.Equal(next, n)
}

// A full mailbox holds up reading, not the pong before it; and everything once
// there is room again.
func TestAFullMailboxWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		srv := reqwstest.NewMemory(t, reqwstest.Script(
			reqwstest.Accept(),
			reqwstest.Send(reqwstest.Text("a"), reqwstest.Ping("p")),
			reqwstest.ExpectPong("p"),
			reqwstest.SendText("b"),
			reqwstest.SendClose(1000, ""),
			reqwstest.ExpectNothing(time.Hour),
			reqwstest.ExpectClose(1000, ""),
		))
		box := make(chan reqws.Message)
		resp, err := to(srv).Do(t.Context(), reqws.IntoMailbox(box))
		is.NoErr(err)
		time.Sleep(2 * time.Hour)
		var got []string
		for m := range box {
			if m.Err != nil {
				is.Equal(m.Err, io.EOF)
				break
			}
			got = append(got, listed(m.Frames)...)
		}
		is.Equal(got, []string{`text "a"`, `ping "p"`, `text "b"`, "close 1000"})
		is.NoErr(resp.Wait())
	})
}

// Close, CloseNow and the end of ctx free a stream whose mailbox nobody reads any
// more; its last message is offered for the close timeout.
func TestAFullMailboxIsNotForEver(t *testing.T) {
	for _, end := range []string{"Close", "CloseNow", "ctx"} {
		for _, reader := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/reader=%v", end, reader), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					is := is.New(t)
					srv := reqwstest.NewMemory(t, reqwstest.Script(
						reqwstest.Accept(),
						reqwstest.SendText("a"),
						reqwstest.SendText("b"),
						reqwstest.Do(func(c *reqwstest.Conn) error {
							if f, err := c.ReadFrame(); err == nil && f.Op == reqwstest.OpClose {
								_ = c.WriteFrame(f) // not waited for after the end of ctx
							}
							return nil
						}),
						reqwstest.ExpectGone(),
					))
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					box := make(chan reqws.Message)
					resp, err := to(srv).Do(ctx, reqws.IntoMailbox(box))
					is.NoErr(err)
					synctest.Wait()
					want := io.EOF
					switch end {
					case "Close":
						is.NoErr(resp.Close(1000, ""))
						is.NoErr(resp.Wait())
					case "CloseNow":
						is.NoErr(resp.CloseNow())
						want = reqws.ErrClosed
					case "ctx":
						cancel()
						want = context.Canceled
					}
					<-resp.Done()
					if reader {
						time.Sleep(4 * time.Second)
						m := <-box
						is.True(errors.Is(m.Err, want))
						return
					}
					time.Sleep(6 * time.Second)
					select {
					case <-box:
						t.Error("a message after the close timeout")
					default:
					}
				})
			})
		}
	}
}

// A stream that has ended waits with its last message for a reader, until it is
// closed.
func TestTheLastMessageWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		srv := reqwstest.NewMemory(t, reqwstest.Script(
			reqwstest.Accept(), reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, ""),
		).Times(2))
		box := make(chan reqws.Message)
		req := to(srv, reqws.IntoMailbox(box))
		resp, err := req.Do(t.Context())
		is.NoErr(err)
		is.Equal(listed((<-box).Frames), []string{"close 1000"})
		is.NoErr(resp.Wait())
		time.Sleep(time.Hour)
		is.Equal((<-box).Err, io.EOF)

		resp, err = req.Do(t.Context())
		is.NoErr(err)
		<-box
		is.NoErr(resp.Wait())
		is.NoErr(resp.Close(1000, "")) // nobody reads on
		time.Sleep(6 * time.Second)    // then the bubble ends, which nobody may be left in
	})
}
