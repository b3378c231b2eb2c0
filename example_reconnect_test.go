package reqws_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/coder/websocket"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/reqwstest"
)

// subscribed is a connection to a feed: it wants a subscription, and ends with a close frame.
func subscribed(tick string, code int) reqwstest.Option {
	return reqwstest.Script(
		reqwstest.Accept(),
		reqwstest.ExpectText("subscribe"),
		reqwstest.SendText(tick),
		reqwstest.SendClose(code, ""),
		reqwstest.ExpectClose(code, ""),
	)
}

// A bot that is started once stays connected, and subscribes again each time.
func ExampleReconnect() {
	url, stop := serves(
		subscribed("100", 1012), // the server restarts
		subscribed("101", 1000),
	)
	defer stop()

	err := reqws.New(
		reqws.URL(url),
		reqws.Reconnect(-1),
		reqws.ReconnectBackOff(quick), // an example should not take long
		reqws.OnOpen(func(*reqws.Response) reqws.Directive {
			return reqws.Cont(reqws.Text("subscribe"))
		}),
	).Run(context.Background(), reqws.Into(reqws.Each(func(f reqws.Frame) reqws.Directive {
		fmt.Println(f)
		return reqws.Cont()
	})))
	fmt.Println(err)
	// Output:
	// text "100"
	// close 1012
	// text "101"
	// close 1000
	// <nil>
}

// A handler of batches is told of each break, and decides whether it goes on.
func ExampleReconnect_handler() {
	url, stop := serves(subscribed("100", 1012), subscribed("101", 1012))
	defer stop()

	errEnough := errors.New("enough for today")
	breaks := 0
	err := reqws.New(
		reqws.URL(url),
		reqws.Reconnect(-1),
		reqws.ReconnectBackOff(quick),
		reqws.OnOpen(func(*reqws.Response) reqws.Directive {
			return reqws.Cont(reqws.Text("subscribe"))
		}),
	).Run(context.Background(), reqws.Into(func(in reqws.Event, _ *reqws.Response) reqws.Directive {
		if in.Err == nil {
			return reqws.Cont()
		}
		breaks++
		fmt.Println("lost:", websocket.CloseStatus(in.Err))
		if breaks == 2 {
			return reqws.Fail(errEnough)
		}
		return reqws.Cont()
	}))
	fmt.Println(errors.Is(err, errEnough))
	// Output:
	// lost: StatusServiceRestart
	// lost: StatusServiceRestart
	// true
}

// Delays that grow as a backoff of one's own has it.
func ExampleReconnectBackOff() {
	url, stop := serves(subscribed("100", 1012), subscribed("101", 1000))
	defer stop()

	err := reqws.New(
		reqws.URL(url),
		reqws.Reconnect(10),
		reqws.ReconnectBackOff(func() backoff.BackOff {
			return backoff.NewExponentialBackOff(
				backoff.WithInitialInterval(10*time.Millisecond),
				backoff.WithMaxInterval(time.Minute),
			)
		}),
		reqws.OnOpen(func(*reqws.Response) reqws.Directive {
			return reqws.Cont(reqws.Text("subscribe"))
		}),
	).Run(context.Background(), reqws.Into(reqws.Each(func(f reqws.Frame) reqws.Directive {
		fmt.Println(f)
		return reqws.Cont()
	})))
	fmt.Println(err)
	// Output:
	// text "100"
	// close 1012
	// text "101"
	// close 1000
	// <nil>
}

// A service that closes with 1000 every now and then, and means no goodbye by it.
func ExampleReconnectFunc() {
	url, stop := serves(
		subscribed("100", 1000),
		reqwstest.Script(reqwstest.Refuse(http.StatusForbidden, nil, "")),
	)
	defer stop()

	err := reqws.New(
		reqws.URL(url),
		reqws.Reconnect(-1),
		reqws.ReconnectFunc(func(err error) reqws.RetryDecision {
			if refused := new(reqws.HTTPError); errors.As(err, &refused) {
				return reqws.GiveUp
			}
			return reqws.AgainAfter(10 * time.Millisecond)
		}),
		reqws.OnOpen(func(*reqws.Response) reqws.Directive {
			return reqws.Cont(reqws.Text("subscribe"))
		}),
	).Run(context.Background(), reqws.Into(reqws.Each(func(f reqws.Frame) reqws.Directive {
		fmt.Println(f)
		return reqws.Cont()
	})))
	var refused *reqws.HTTPError
	fmt.Println(errors.As(err, &refused) && refused.StatusCode == http.StatusForbidden)
	// Output:
	// text "100"
	// close 1000
	// true
}

// A server that accepts and hangs up at once is given up after three attempts: no connection lasted
// for a minute.
func ExampleMinUptime() {
	hangUp := reqwstest.Script(reqwstest.Accept(), reqwstest.Drop())
	url, stop := serves(hangUp.Times(4))
	defer stop()

	err := reqws.New(
		reqws.URL(url),
		reqws.Reconnect(3),
		reqws.ReconnectBackOff(quick),
		reqws.MinUptime(time.Minute),
	).Run(context.Background(), reqws.Into(reqws.Each(func(reqws.Frame) reqws.Directive {
		return reqws.Cont()
	})))
	fmt.Println(err != nil)
	// Output: true
}

// quick is a backoff for examples.
func quick() backoff.BackOff { return backoff.NewConstantBackOff(time.Millisecond) }
