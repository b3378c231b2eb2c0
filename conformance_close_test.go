package reqws_test

import (
	"errors"
	"fmt"
	"io"
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

// ended is one demand of RFC 6455 on how a connection ends.
type ended struct {
	section string
	asks    string
	opts    []reqws.Option
	server  []reqwstest.Step                  // behind the 101, to the end
	client  func(*is.I, *reqws.Response)      // what it is asked to do, if anything
	answers func(reqws.Frame) reqws.Directive // of its handler, Cont if nil
	gets    []string                          // what its handler is given
	after   time.Duration                     // of virtual time it is over
	peer    websocket.CloseError              // what PeerClose says; zero if there was no close frame
	err     func(error) bool                  // how the stream ends; nil: well
	sees    func(is *is.I, c *reqwstest.Conn) // what it has sent, if the steps do not say that
}

func (e ended) check(t *testing.T) {
	t.Run(e.section+" "+e.asks, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			is := is.New(t)
			srv := reqwstest.NewMemory(t, reqwstest.Script(append([]reqwstest.Step{reqwstest.Accept()}, e.server...)...))
			var got []string
			start := time.Now()
			resp, err := to(srv, e.opts...).Do(t.Context(), reqws.Into(reqws.Each(func(f reqws.Frame) reqws.Directive {
				got = append(got, f.String())
				if e.answers == nil {
					return reqws.Cont()
				}
				return e.answers(f)
			})))
			is.NoErr(err)
			if e.client != nil {
				e.client(is, resp)
			}
			err = resp.Wait()
			is.Equal(time.Since(start), e.after)
			is.Equal(got, e.gets)
			code, reason, ok := resp.PeerClose()
			is.Equal(ok, e.peer != websocket.CloseError{})
			is.Equal(websocket.CloseError{Code: code, Reason: reason}, e.peer)
			if e.err == nil {
				is.NoErr(err)
			} else {
				is.True(e.err(err))
			}
			is.NoErr(srv.Wait(t.Context()))
			if e.sees != nil {
				e.sees(is, srv.Conns()[0])
			}
		})
	})
}

// RFC 6455, sections 5.5.1 and 7.
func TestConformanceClosing(t *testing.T) {
	steps := func(s ...reqwstest.Step) []reqwstest.Step { return s }
	closes := func(code websocket.StatusCode, reason string) func(*is.I, *reqws.Response) {
		return func(is *is.I, resp *reqws.Response) { is.NoErr(resp.Close(code, reason)) }
	}
	peer := func(code websocket.StatusCode, reason string) websocket.CloseError {
		return websocket.CloseError{Code: code, Reason: reason}
	}
	closedBy := func(code websocket.StatusCode) func(error) bool {
		return func(err error) bool { return websocket.CloseStatus(err) == code }
	}
	lost := func(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) && websocket.CloseStatus(err) == -1 }
	broken := func(err error) bool { return errors.As(err, new(*reqws.ProtocolError)) }
	halts := func(reqws.Frame) reqws.Directive { return reqws.Halt() }
	bad := "\xc1\x01x" // RSV1 without an extension

	table := []ended{
		{section: "5.5.1", asks: "a close frame without a body is answered, and counts as 1005", server: steps(reqwstest.SendClose(0, ""), reqwstest.ExpectFrames(reqwstest.Close(0, "")), reqwstest.ExpectEOF()),
			gets: []string{"close"}, peer: peer(1005, "")},
		{section: "5.5.1", asks: "a close frame may have no body", client: sends(reqws.Close(0, "")),
			server: steps(reqwstest.ExpectFrames(reqwstest.Close(0, "")), reqwstest.SendClose(0, ""), reqwstest.ExpectEOF()), peer: peer(1005, "")},
		{section: "5.5.1", asks: "the code is two bytes in network byte order, the reason follows", client: closes(4660, "größer"),
			server: steps(reqwstest.ExpectFrames(reqwstest.Frame{Fin: true, Op: reqwstest.OpClose, Payload: []byte("\x12\x34größer")}), reqwstest.SendClose(4660, ""), reqwstest.ExpectEOF()), peer: peer(4660, "")},
		{section: "5.5.1", asks: "nothing follows a close frame, no pong either", client: closes(1000, ""),
			server: steps(reqwstest.ExpectClose(1000, ""), reqwstest.SendPing("late"), reqwstest.ExpectNothing(time.Second), reqwstest.SendClose(1000, ""), reqwstest.ExpectEOF()),
			after:  time.Second, peer: peer(1000, "")},
		{section: "5.5.1", asks: "inside a message, too, a close frame is answered", server: steps(wiretest.SendRaw("\x01\x01a"), reqwstest.SendClose(1001, ""), reqwstest.ExpectClose(1001, ""), reqwstest.ExpectEOF()),
			gets: []string{"close 1001"}, peer: peer(1001, ""), err: closedBy(1001)},
		{section: "5.5.1", asks: "once both have sent a close frame at the same time, that is all", client: closes(4000, "mine"),
			server: steps(reqwstest.Sleep(time.Second), reqwstest.SendClose(4001, "yours"), reqwstest.ExpectFrames(reqwstest.Close(4000, "mine")), reqwstest.ExpectEOF()),
			after:  time.Second, peer: peer(4001, "yours")},
		{section: "5.5.2", asks: "a ping behind a close frame needs no answer", server: steps(reqwstest.Send(reqwstest.Close(1000, ""), reqwstest.Ping("p")), reqwstest.ExpectFrames(reqwstest.Close(1000, "")), reqwstest.ExpectEOF()),
			gets: []string{"close 1000"}, peer: peer(1000, "")},
		{section: "7.1.1", asks: "the server is to close first: its end is waited for", server: steps(reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, ""), reqwstest.ExpectEOF(), reqwstest.Sleep(3*time.Second)),
			gets: []string{"close 1000"}, after: 3 * time.Second, peer: peer(1000, "")},
		{section: "7.1.1", asks: "but not for ever", server: steps(reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, ""), reqwstest.Stall()),
			gets: []string{"close 1000"}, after: 5 * time.Second, peer: peer(1000, "")},
		{section: "7.1.1", asks: "what still comes is thrown away", server: steps(reqwstest.Send(reqwstest.Close(1000, ""), reqwstest.Text("trailing")), reqwstest.ExpectClose(1000, ""), reqwstest.SendText("more"), reqwstest.ExpectEOF()),
			gets: []string{"close 1000"}, peer: peer(1000, "")},
		{section: "7.1.2", asks: "the closing handshake begins with code and reason", client: closes(4000, "bye"),
			server: steps(reqwstest.ExpectClose(4000, "bye"), reqwstest.SendClose(4000, ""), reqwstest.ExpectEOF()), peer: peer(4000, "")},
		{section: "7.1.5", asks: "without a close frame there is no code", server: steps(reqwstest.SendText("x")), gets: []string{`text "x"`}, err: lost},
		{section: "7.1.5", asks: "the first close frame counts", server: steps(reqwstest.Send(reqwstest.Close(4001, "a"), reqwstest.Close(4002, "b")), reqwstest.ExpectFrames(reqwstest.Close(4001, "")), reqwstest.ExpectEOF()),
			gets: []string{`close 4001 "a"`}, peer: peer(4001, "a"), err: closedBy(4001)},
		{section: "7.1.6", asks: "the reason is UTF-8", server: steps(reqwstest.SendClose(1000, "größer"), reqwstest.ExpectClose(1000, ""), reqwstest.ExpectEOF()),
			gets: []string{`close 1000 "größer"`}, peer: peer(1000, "größer")},
		{section: "7.1.7", asks: "who fails the connection says why, and takes nothing more from it",
			server: steps(wiretest.SendRaw(bad+"\x81\x01y\x89\x01p\x88\x02\x0f\xa0"), reqwstest.ExpectCloseCode(1002), reqwstest.Send(reqwstest.Ping("q"), reqwstest.Close(4000, "")), reqwstest.ExpectEOF()),
			err:    broken},
		{section: "7.1.7", asks: "what came before is not lost", server: steps(wiretest.SendRaw("\x81\x01y"+bad), reqwstest.ExpectCloseCode(1002), reqwstest.ExpectEOF()), gets: []string{`text "y"`}, err: broken},
		{section: "7.2.1", asks: "a connection that ends inside a frame has failed", server: steps(wiretest.SendRaw("\x81\x05ab")), err: lost},
		{section: "7.2.1", asks: "a connection that ends inside a message has failed", server: steps(wiretest.SendRaw("\x01\x02ab")), err: lost},
		{section: "7.2.1", asks: "a connection that is reset has failed", server: steps(reqwstest.Reset()), err: func(err error) bool { return errors.Is(err, syscall.ECONNRESET) }},
		{section: "7.3", asks: "whoever has had enough begins the closing handshake", answers: halts,
			server: steps(reqwstest.SendText("x"), reqwstest.ExpectClose(1000, ""), reqwstest.SendClose(1000, ""), reqwstest.ExpectEOF()), gets: []string{`text "x"`}, peer: peer(1000, "")},
		{section: "7.4.1", asks: "a reply with a code that may not be sent is not sent", answers: func(reqws.Frame) reqws.Directive { return reqws.Halt(reqws.Close(1006, "")) },
			server: steps(reqwstest.SendText("x"), reqwstest.ExpectCloseCode(1011), reqwstest.ExpectGone()), gets: []string{`text "x"`}, err: func(err error) bool { return err != nil }},
	}
	for _, code := range []int{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999} {
		status := websocket.StatusCode(code)
		received := ended{section: "7.4", asks: fmt.Sprintf("close code %d is taken, and echoed", code),
			server: steps(reqwstest.SendClose(code, "why"), reqwstest.ExpectClose(code, ""), reqwstest.ExpectEOF()),
			gets:   []string{fmt.Sprintf("close %d %q", code, "why")}, peer: peer(status, "why")}
		if code != 1000 {
			received.err = closedBy(status)
		}
		table = append(table, received, ended{section: "7.4", asks: fmt.Sprintf("close code %d is sent", code), client: closes(status, "why"),
			server: steps(reqwstest.ExpectClose(code, "why"), reqwstest.SendClose(code, ""), reqwstest.ExpectEOF()), peer: peer(status, "")})
	}
	for _, e := range table {
		e.check(t)
	}
}

// RFC 6455, sections 7.1.7 and 7.2.1: an opening handshake that fails closes its connection.
func TestConformanceFailedHandshakeCloses(t *testing.T) {
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				is := is.New(t)
				srv := reqwstest.NewMemory(t, reqwstest.Script(reqwstest.Accept(reqwstest.Without("Upgrade")), reqwstest.ExpectGone()))
				is.True(way(t.Context(), to(srv)) != nil)
				is.NoErr(srv.Wait(t.Context()))
			})
		})
	}
}

// RFC 6455, section 7.2.3: whoever comes again after a loss waits before it does, at random, and longer each time.
func TestConformanceComingAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		const losses = 12
		srv := reqwstest.NewMemory(t, reqwstest.Script(reqwstest.Accept()).Times(losses), opens())
		is.NoErr(to(srv, reqws.Reconnect(-1)).Run(t.Context(), reqws.Into(func(reqws.Event, *reqws.Response) reqws.Directive { return reqws.Cont() })))
		requests := srv.Requests()
		is.Equal(len(requests), losses+1)
		delays := map[time.Duration]bool{}
		longest := time.Duration(0)
		for i := 1; i <= losses; i++ {
			d := requests[i].Time.Sub(requests[i-1].Time)
			is.True(d > 0)
			is.True(d <= min(30*time.Second, time.Second<<(i-1)))
			delays[d] = true
			longest = max(longest, d)
		}
		is.Equal(len(delays), losses)
		is.True(longest > time.Second)
	})
}
