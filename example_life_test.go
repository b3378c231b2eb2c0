package reqws_test

import (
	"context"
	"fmt"
	"time"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/reqwstest"
)

// A peer is asked for a sign of life after silence, and how long it took is known.
func ExampleHeartbeat() {
	url, stop := plays(
		reqwstest.AnswerPing(),
		reqwstest.AnswerPing(),
		reqwstest.SendClose(1000, "that will do"),
		reqwstest.ExpectClose(1000, ""),
	)
	defer stop()

	resp, err := reqws.New(
		reqws.URL(url),
		reqws.Heartbeat(10*time.Millisecond, 5*time.Second),
	).Do(context.Background(), reqws.Into(reqws.Each(func(f reqws.Frame) reqws.Directive {
		fmt.Println(f) // the pongs are not shown
		return reqws.Cont()
	})))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(resp.Wait())
	fmt.Println("latency known:", resp.Latency() > 0)
	// Output:
	// close 1000 "that will do"
	// <nil>
	// latency known: true
}

// Some services want a message of their own to keep a connection.
func ExampleHeartbeatFrame() {
	url, stop := plays(
		reqwstest.ExpectText(`{"op":"ping"}`),
		reqwstest.SendText(`{"op":"pong"}`),
		reqwstest.SendClose(1000, ""),
		reqwstest.ExpectClose(1000, ""),
	)
	defer stop()

	err := reqws.New(
		reqws.URL(url),
		reqws.Heartbeat(10*time.Millisecond, 5*time.Second),
		reqws.HeartbeatFrame(func() reqws.Frame { return reqws.Text(`{"op":"ping"}`) }),
	).Run(context.Background(), reqws.Into(reqws.Each(func(f reqws.Frame) reqws.Directive {
		fmt.Println(f)
		return reqws.Cont()
	})))
	fmt.Println(err)
	// Output:
	// text "{\"op\":\"pong\"}"
	// close 1000
	// <nil>
}
