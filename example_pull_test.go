package reqws_test

import (
	"context"
	"fmt"
	"io"

	"github.com/coder/websocket"

	"github.com/reqws/reqws"
)

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
