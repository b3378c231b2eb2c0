package reqws_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"time"

	"github.com/coder/websocket"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/reqwstest"
)

// chat is a server that says what it is told to, echoes every message, and closes
// when it hears "bye". It returns its URL and what stops it.
func chat(says ...string) (url string, stop func()) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer conn.CloseNow()
		for _, text := range says {
			conn.Write(r.Context(), websocket.MessageText, []byte(text))
		}
		for {
			kind, p, err := conn.Read(r.Context())
			if err != nil {
				return
			}
			if string(p) == "bye" {
				conn.Close(websocket.StatusNormalClosure, "see you")
				return
			}
			conn.Write(r.Context(), kind, p)
		}
	}))
	return "ws" + strings.TrimPrefix(srv.URL, "http"), srv.Close
}

// plays is a server that plays a script: of reqwstest, which tests have too.
func plays(steps ...reqwstest.Step) (url string, stop func()) {
	srv := reqwstest.New(tb{}, reqwstest.Script(append([]reqwstest.Step{reqwstest.Accept()}, steps...)...))
	return srv.URL, srv.Close
}

// A bot in ten lines: it answers pings with pongs, and texts with texts.
func Example() {
	url, stop := chat("hello", "how are you?", "bye")
	defer stop()

	err := reqws.New(reqws.URL(url)).Run(context.Background(),
		reqws.Into(reqws.Each(func(f reqws.Frame) reqws.Directive {
			switch {
			case f.Kind == reqws.KindPing:
				return reqws.Cont(reqws.Pong(f.Data))
			case f.Text() == "bye":
				return reqws.Halt(reqws.Text("bye"))
			}
			fmt.Println("they say", f.Text())
			return reqws.Cont()
		})))
	fmt.Println("the end:", err)
	// Output:
	// they say hello
	// they say how are you?
	// the end: <nil>
}

// A Request is made once, and changed copies of it where they are needed.
func ExampleNew() {
	url, stop := chat()
	defer stop()

	api := reqws.New(reqws.BaseURL(url), reqws.Auth(reqws.Bearer("token")))
	trades := api.With(reqws.URL("/trades"), reqws.Param("symbol", "BTC"))
	resp, err := trades.Do(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(resp.StatusCode, resp.Request.URL.RequestURI())
	fmt.Println(resp.Close(websocket.StatusNormalClosure, ""))
	// Output:
	// 101 /trades?symbol=BTC
	// <nil>
}

// A handler gets all frames that have arrived together, and answers them
// together: in one write.
func ExampleInto() {
	url, stop := plays(
		reqwstest.Send(reqwstest.Text("1"), reqwstest.Text("2"), reqwstest.Ping("still there?")),
		reqwstest.ExpectPong("still there?"),
		reqwstest.ExpectText("got 2"),
		reqwstest.ExpectClose(1000, ""),
		reqwstest.SendClose(1000, ""),
	)
	defer stop()

	err := reqws.New(reqws.URL(url)).Run(context.Background(), reqws.Into(
		func(in reqws.Event, _ *reqws.Response) reqws.Directive {
			if in.Err != nil {
				fmt.Println("the stream broke:", in.Err)
				return reqws.Halt()
			}
			texts := 0
			for _, f := range in.Frames {
				fmt.Println(f)
				if f.Kind == reqws.KindText {
					texts++
				}
			}
			return reqws.Halt(reqws.Text(fmt.Sprint("got ", texts)))
		}))
	fmt.Println(err)
	// Output:
	// text "1"
	// text "2"
	// ping "still there?"
	// <nil>
}

// Each looks at one frame at a time. The answers still leave together.
func ExampleEach() {
	url, stop := chat("ready")
	defer stop()

	count := 0
	err := reqws.New(reqws.URL(url)).Run(context.Background(), reqws.Into(reqws.Each(
		func(f reqws.Frame) reqws.Directive {
			fmt.Println(f)
			if f.Kind == reqws.KindClose {
				return reqws.Cont() // answered by itself
			}
			if count++; count == 3 {
				return reqws.Cont(reqws.Text("bye"))
			}
			return reqws.Cont(reqws.Text(fmt.Sprint("message ", count)))
		})))
	fmt.Println(err)
	// Output:
	// text "ready"
	// text "message 1"
	// text "message 2"
	// close 1000 "see you"
	// <nil>
}

// Halt says the last words; then the connection is closed as the protocol asks.
func ExampleHalt() {
	url, stop := plays(
		reqwstest.SendText("that is all"),
		reqwstest.ExpectText("thank you"),
		reqwstest.ExpectClose(1000, ""),
		reqwstest.SendClose(1000, ""),
	)
	defer stop()

	err := reqws.New(reqws.URL(url)).Run(context.Background(), reqws.Into(reqws.Each(
		func(f reqws.Frame) reqws.Directive { return reqws.Halt(reqws.Text("thank you")) })))
	fmt.Println(err)
	// Output: <nil>
}

// One channel may serve many streams, and one goroutine read it.
func ExampleIntoMailbox() {
	url, stop := chat("ready")
	defer stop()

	mailbox := make(chan reqws.Message, 16)
	req := reqws.New(reqws.URL(url), reqws.IntoMailbox(mailbox))
	resp, err := req.Do(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	for m := range mailbox {
		if m.Err == io.EOF {
			break // this stream has ended; the channel stays open
		}
		for _, f := range m.Frames {
			fmt.Println(f)
			if f.Text() == "ready" {
				m.Response.Send(context.Background(), reqws.Text("bye"))
			}
		}
	}
	fmt.Println(resp.Wait())
	// Output:
	// text "ready"
	// close 1000 "see you"
	// <nil>
}

// ParseMessage tells the streams of a mailbox apart.
func ExampleResponse_ParseMessage() {
	url, stop := chat("ready")
	defer stop()

	mailbox := make(chan reqws.Message)
	req := reqws.New(reqws.URL(url), reqws.IntoMailbox(mailbox))
	a, err := req.Do(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	m := <-mailbox
	frames, err := a.ParseMessage(m)
	fmt.Println(frames, err)

	b, err := req.Do(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = b.ParseMessage(m)
	fmt.Println(errors.Is(err, reqws.ErrUnknownMessage))
	a.CloseNow()
	b.CloseNow()
	// Output:
	// [text "ready"] <nil>
	// true
}

// Without a handler and a mailbox the frames wait to be received.
func ExampleResponse_Receive() {
	url, stop := chat("ready")
	defer stop()

	ctx := context.Background()
	resp, err := reqws.New(reqws.URL(url)).Do(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	for {
		frames, err := resp.Receive(ctx)
		if err == io.EOF {
			break
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, f := range frames {
			fmt.Println(f)
			if f.Text() == "ready" {
				resp.Send(ctx, reqws.Text("bye"))
			}
		}
	}
	// Output:
	// text "ready"
	// close 1000 "see you"
}

// A stream is a range over its frames.
func ExampleResponse_Frames() {
	url, stop := chat("one", "two", "three")
	defer stop()

	ctx := context.Background()
	resp, err := reqws.New(reqws.URL(url)).Do(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Close(websocket.StatusNormalClosure, "")
	for f, err := range resp.Frames(ctx) {
		if err != nil {
			fmt.Println(err)
			break
		}
		fmt.Println(f.Text())
		if f.Text() == "three" {
			break
		}
	}
	// Output:
	// one
	// two
	// three
}

// Send works from any goroutine, beside the handler.
func ExampleResponse_Send() {
	url, stop := chat()
	defer stop()

	ctx := context.Background()
	resp, err := reqws.New(reqws.URL(url)).Do(ctx, reqws.Into(reqws.Each(func(f reqws.Frame) reqws.Directive {
		fmt.Println(f)
		return reqws.Cont()
	})))
	if err != nil {
		fmt.Println(err)
		return
	}
	// Several frames of one Send leave in one write.
	fmt.Println("sent:", resp.Send(ctx, reqws.Binary("data"), reqws.Ping("p"), reqws.Text("bye")) == nil)
	// A frame that must not be sent is refused, and nothing is written.
	err = resp.Send(ctx, reqws.Text("\xff"))
	fmt.Println("bad frame:", errors.As(err, new(*reqws.ProtocolError)))
	fmt.Println("the end:", resp.Wait())
	// Unordered output:
	// sent: true
	// bad frame: true
	// binary "data"
	// pong "p"
	// close 1000 "see you"
	// the end: <nil>
}

// Close says goodbye and waits for the other side's.
func ExampleResponse_Close() {
	url, stop := plays(
		reqwstest.ExpectClose(1001, "going home"),
		reqwstest.SendClose(1001, ""),
	)
	defer stop()

	resp, err := reqws.New(reqws.URL(url)).Do(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(resp.Close(websocket.StatusGoingAway, "going home"))
	fmt.Println(resp.Wait())
	// Output:
	// <nil>
	// <nil>
}

// CloseNow is the way out that waits for nobody.
func ExampleResponse_CloseNow() {
	url, stop := chat()
	defer stop()

	resp, err := reqws.New(reqws.URL(url)).Do(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(resp.CloseNow())
	fmt.Println(errors.Is(resp.Wait(), reqws.ErrClosed))
	// Output:
	// <nil>
	// true
}

// The code of the peer's close can be had from the error.
func ExampleResponse_Wait() {
	url, stop := plays(
		reqwstest.SendClose(1012, "back in a minute"),
		reqwstest.ExpectClose(1012, ""),
	)
	defer stop()

	resp, err := reqws.New(reqws.URL(url)).Do(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	err = resp.Wait()
	var closed websocket.CloseError
	if errors.As(err, &closed) {
		fmt.Println(closed.Code, closed.Reason)
	}
	// Output: StatusServiceRestart back in a minute
}

// OnOpen speaks first.
func ExampleOnOpen() {
	url, stop := plays(
		reqwstest.ExpectText(`{"op":"subscribe","channel":"trades"}`),
		reqwstest.SendText(`{"price":64000}`),
		reqwstest.SendClose(1000, ""),
		reqwstest.ExpectClose(1000, ""),
	)
	defer stop()

	subscribe, err := reqws.JSON(struct {
		Op      string `json:"op"`
		Channel string `json:"channel"`
	}{"subscribe", "trades"})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = reqws.New(
		reqws.URL(url),
		reqws.OnOpen(func(*reqws.Response) reqws.Directive { return reqws.Cont(subscribe) }),
		show,
	).Run(context.Background())
	fmt.Println(err)
	// Output:
	// {"price":64000}
	// <nil>
}

// Pings that a handler does not answer are answered for it, unless it is to do so
// by itself.
func ExampleAutoPong() {
	url, stop := plays(
		reqwstest.SendPing("one"),
		reqwstest.SendPing("two"),
		reqwstest.ExpectPong("two"),
		reqwstest.SendClose(1000, ""),
		reqwstest.ExpectClose(1000, ""),
	)
	defer stop()

	err := reqws.New(reqws.URL(url), reqws.AutoPong(false)).Run(context.Background(),
		reqws.Into(reqws.Each(func(f reqws.Frame) reqws.Directive {
			if f.Kind == reqws.KindPing && f.Text() == "two" {
				return reqws.Cont(reqws.Pong(f.Data))
			}
			return reqws.Cont()
		})))
	fmt.Println(err)
	// Output: <nil>
}

// A message that is too large ends the stream before it takes up memory.
func ExampleMaxMessageSize() {
	url, stop := chat("short", "rather long")
	defer stop()

	err := reqws.New(reqws.URL(url), reqws.MaxMessageSize(10), show).Run(context.Background())
	fmt.Println(errors.Is(err, reqws.ErrMessageTooBig))
	// Output:
	// short
	// true
}

// A peer that stops reading does not hold up its senders for ever.
func ExampleWriteTimeout() {
	url, stop := plays(reqwstest.Stall())
	defer stop()

	ctx := context.Background()
	resp, err := reqws.New(reqws.URL(url), reqws.WriteTimeout(20*time.Millisecond)).Do(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	err = resp.Send(ctx, reqws.Binary(make([]byte, 64<<20)))
	fmt.Println(errors.Is(err, os.ErrDeadlineExceeded))
	// Output: true
}

// A peer that does not say goodbye is left after a while.
func ExampleCloseTimeout() {
	url, stop := plays(reqwstest.ExpectClose(1000, ""), reqwstest.Stall())
	defer stop()

	resp, err := reqws.New(reqws.URL(url), reqws.CloseTimeout(20*time.Millisecond)).Do(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(resp.Close(websocket.StatusNormalClosure, "") != nil) // the peer did not answer
	fmt.Println(resp.Wait())
	// Output:
	// true
	// <nil>
}

// Dial hands over a Conn of github.com/coder/websocket, behind all the steps of
// the Request.
func ExampleRequest_Dial() {
	url, stop := chat("ready")
	defer stop()

	ctx := context.Background()
	conn, resp, err := reqws.New(reqws.URL(url), reqws.Auth(reqws.Bearer("token"))).Dial(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.CloseNow()
	_, p, err := conn.Read(ctx)
	fmt.Println(resp.StatusCode, string(p), err)
	// Output: 101 ready <nil>
}

// The answer to a plain http URL comes in chunks, through the same steps.
func ExampleRequest_Run_plainHTTP() {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "event: hello\n")
	}))
	defer srv.Close()

	err := reqws.New(reqws.URL(srv.URL)).Run(context.Background(),
		reqws.Into(reqws.Each(func(f reqws.Frame) reqws.Directive {
			fmt.Print(f.Kind, ": ", f.Text())
			return reqws.Cont()
		})))
	fmt.Println(err)
	// Output:
	// chunk: event: hello
	// <nil>
}

// A handshake that was refused is an answer of Do. Run makes it an error.
func ExampleHTTPError() {
	srv := httptest.NewServer(http.NotFoundHandler())
	defer srv.Close()
	req := reqws.New(reqws.URL(wsURL(srv)), show)

	err := req.Run(context.Background())
	var refused *reqws.HTTPError
	if errors.As(err, &refused) {
		fmt.Println(refused.StatusCode, refused.URL == wsURL(srv)+"/")
		fmt.Printf("%s", refused.Body)
	}
	fmt.Println(strings.Replace(err.Error(), wsURL(srv), "ws://host", 1))
	// Output:
	// 404 true
	// 404 page not found
	// reqws: handshake: ws://host/: refused with status 404 Not Found: 404 page not found
}

// What a server must not send ends the stream; the error says what it was.
func ExampleProtocolError() {
	url, stop := plays(
		reqwstest.SendText("not UTF-8: \xff"),
		reqwstest.ExpectCloseCode(1007),
	)
	defer stop()

	err := reqws.New(reqws.URL(url), show).Run(context.Background())
	var broken *reqws.ProtocolError
	if errors.As(err, &broken) {
		fmt.Println(int(broken.Code), broken.Reason)
	}
	// Output: 1007 text is not UTF-8
}

// JSON makes a text message of a value, and Frame.JSON a value of a message.
func ExampleJSON() {
	type order struct {
		Coin   string  `json:"coin"`
		Amount float64 `json:"amount"`
	}
	f, err := reqws.JSON(order{"ETH", 1.5})
	fmt.Println(f, err)

	var back order
	err = f.JSON(&back)
	fmt.Println(back, err)
	// Output:
	// text "{\"coin\":\"ETH\",\"amount\":1.5}" <nil>
	// {ETH 1.5} <nil>
}

// Frames are made of strings and of bytes alike, and show what they are.
func ExampleText() {
	fmt.Println(reqws.Text("hello"))
	fmt.Println(reqws.Binary([]byte{1, 2, 3}))
	fmt.Println(reqws.Ping(""))
	fmt.Println(reqws.Pong("are you there?"))
	fmt.Println(reqws.Close(websocket.StatusGoingAway, "good night"))
	// Output:
	// text "hello"
	// binary "\x01\x02\x03"
	// ping
	// pong "are you there?"
	// close 1001 "good night"
}

// A handler is a function: a test calls it, without a server.
func ExampleHandler() {
	handler := reqws.Each(func(f reqws.Frame) reqws.Directive {
		fmt.Println("handling", f)
		return reqws.Cont()
	})
	handler(reqws.Event{Frames: []reqws.Frame{reqws.Text("a"), reqws.Ping("b")}}, nil)
	// Output:
	// handling text "a"
	// handling ping "b"
}

// Clone keeps a frame beyond the call of the handler.
func ExampleFrame_Clone() {
	url, stop := chat("keep me", "and me")
	defer stop()

	var kept []reqws.Frame
	err := reqws.New(reqws.URL(url)).Run(context.Background(),
		reqws.Into(reqws.Each(func(f reqws.Frame) reqws.Directive {
			if kept = append(kept, f.Clone()); len(kept) == 2 {
				return reqws.Halt()
			}
			return reqws.Cont()
		})))
	fmt.Println(kept, err)
	// Output: [text "keep me" text "and me"] <nil>
}
