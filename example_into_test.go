package reqws_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/reqwstest"
)

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

// A handler that is slow keeps a server waiting that counts on its pings being answered; what is read
// ahead of it does not.
func ExampleReadAhead() {
	answered := make(chan struct{})
	url, stop := plays(
		reqwstest.SendText("work"),
		reqwstest.SendPing("are you there?"),
		reqwstest.ExpectPong("are you there?"),
		reqwstest.Do(func(*reqwstest.Conn) error { close(answered); return nil }),
		reqwstest.ExpectText("done"),
		reqwstest.ExpectClose(1000, ""),
		reqwstest.SendClose(1000, ""),
	)
	defer stop()

	err := reqws.New(reqws.URL(url), reqws.ReadAhead(1<<20)).Run(context.Background(), reqws.Into(reqws.Each(
		func(f reqws.Frame) reqws.Directive {
			if f.Kind == reqws.KindText {
				<-answered // by the time that the work is done
				return reqws.Halt(reqws.Text("done"))
			}
			return reqws.Cont()
		})))
	fmt.Println(err)
	// Output: <nil>
}
