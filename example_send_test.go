package reqws_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/coder/websocket"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/reqwstest"
)

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

// SendJSON is Send of one value as JSON.
func ExampleResponse_SendJSON() {
	url, stop := chat()
	defer stop()

	ctx := context.Background()
	resp, err := reqws.New(reqws.URL(url)).Do(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.CloseNow()
	err = resp.SendJSON(ctx, map[string]any{"op": "subscribe", "markets": []string{"BTC/EUR"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	frames, err := resp.Receive(ctx)
	fmt.Println(frames, err)
	// Output: [text "{\"markets\":[\"BTC/EUR\"],\"op\":\"subscribe\"}"] <nil>
}

// What is too large to be held leaves as it is read, in one message.
func ExampleResponse_SendReader() {
	url, stop := plays(
		reqwstest.ExpectText("line 1\nline 2\nline 3\n"),
		reqwstest.ExpectText("that was all"),
		reqwstest.ExpectClose(1000, ""),
		reqwstest.SendClose(1000, ""),
	)
	defer stop()

	ctx := context.Background()
	resp, err := reqws.New(reqws.URL(url)).Do(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	lines, writer := io.Pipe()
	go func() {
		for i := range 3 {
			fmt.Fprintf(writer, "line %d\n", i+1)
		}
		writer.Close()
	}()
	fmt.Println(resp.SendReader(ctx, reqws.KindText, lines))
	fmt.Println(resp.Send(ctx, reqws.Text("that was all")))
	fmt.Println(resp.Close(1000, ""))
	// Output:
	// <nil>
	// <nil>
	// <nil>
}
