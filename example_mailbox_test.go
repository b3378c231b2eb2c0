package reqws_test

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/reqws/reqws"
)

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
