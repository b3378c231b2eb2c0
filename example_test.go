package reqws_test

import (
	"context"
	"fmt"

	"github.com/coder/websocket"

	"github.com/reqws/reqws"
)

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
