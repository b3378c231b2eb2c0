package reqws_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/coder/websocket"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/reqwstest"
)

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

// Fail ends the stream with an error of the handler's own, which Run returns.
func ExampleFail() {
	url, stop := plays(
		reqwstest.SendText(`{"error":"no such channel"}`),
		reqwstest.ExpectClose(1011, ""),
		reqwstest.SendClose(1011, ""),
	)
	defer stop()

	errRefused := errors.New("the server refused the subscription")
	err := reqws.New(reqws.URL(url)).Run(context.Background(), reqws.Into(reqws.Each(
		func(f reqws.Frame) reqws.Directive {
			return reqws.Fail(fmt.Errorf("%w: %s", errRefused, f.Data))
		})))
	fmt.Println(errors.Is(err, errRefused))
	// Output: true
}

// PeerClose tells what the server said when it closed.
func ExampleResponse_PeerClose() {
	url, stop := plays(reqwstest.SendClose(1001, "restart"), reqwstest.ExpectClose(1001, ""))
	defer stop()

	resp, err := reqws.New(reqws.URL(url)).Do(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = resp.Wait()
	code, reason, ok := resp.PeerClose()
	fmt.Println(int(code), reason, ok)
	// Output: 1001 restart true
}

// The last prices that a server sends while it is being left are not thrown away.
func ExampleHearOut() {
	url, stop := plays(
		reqwstest.ExpectClose(1000, "moving"),
		reqwstest.SendText("one more"),
		reqwstest.SendClose(1000, ""),
	)
	defer stop()

	resp, err := reqws.New(reqws.URL(url), reqws.HearOut(true)).Do(context.Background(), reqws.Into(reqws.Each(func(f reqws.Frame) reqws.Directive {
		fmt.Println(f)
		return reqws.Cont()
	})))
	if err == nil {
		err = resp.Send(context.Background(), reqws.Close(websocket.StatusNormalClosure, "moving"))
	}
	if err == nil {
		err = resp.Wait()
	}
	fmt.Println(err)
	// Output:
	// text "one more"
	// close 1000
	// <nil>
}
