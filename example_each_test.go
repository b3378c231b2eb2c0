package reqws_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/reqwstest"
)

// EachWith is Each with the Response at hand.
func ExampleEachWith() {
	url, stop := chat("hello", "bye")
	defer stop()

	err := reqws.New(reqws.URL(url)).Run(context.Background(), reqws.Into(reqws.EachWith(
		func(f reqws.Frame, resp *reqws.Response) reqws.Directive {
			fmt.Println(resp.Proto, f)
			if f.Kind == reqws.KindText {
				return reqws.Cont(f)
			}
			return reqws.Cont()
		})))
	fmt.Println(err)
	// Output:
	// HTTP/1.1 text "hello"
	// HTTP/1.1 text "bye"
	// HTTP/1.1 text "hello"
	// HTTP/1.1 close 1000 "see you"
	// <nil>
}

// EachJSON decodes each message; one that is no JSON of that type ends the stream.
func ExampleEachJSON() {
	url, stop := plays(
		reqwstest.SendText(`{"market":"BTC/EUR","price":64000}`),
		reqwstest.SendText(`{"market":"ETH/EUR","price":3100}`),
		reqwstest.ExpectText(`{"sell":"ETH/EUR"}`),
		reqwstest.SendClose(1000, ""),
		reqwstest.ExpectClose(1000, ""),
	)
	defer stop()

	type trade struct {
		Market string
		Price  float64
	}
	err := reqws.New(reqws.URL(url)).Run(context.Background(), reqws.Into(reqws.EachJSON(
		func(t trade, _ *reqws.Response) reqws.Directive {
			fmt.Println(t.Market, t.Price)
			if t.Price < 5000 {
				return reqws.Cont(reqws.Text(`{"sell":"` + t.Market + `"}`))
			}
			return reqws.Cont()
		})))
	fmt.Println(err)
	// Output:
	// BTC/EUR 64000
	// ETH/EUR 3100
	// <nil>
}

// Wrap puts a function around the handler: here one that counts what comes.
func ExampleWrap() {
	url, stop := chat("one", "two", "three")
	defer stop()

	count := 0
	counting := func(next reqws.Handler) reqws.Handler {
		return func(in reqws.Event, resp *reqws.Response) reqws.Directive {
			count += len(in.Frames)
			return next(in, resp)
		}
	}
	seen := 0
	err := reqws.New(reqws.URL(url), reqws.Wrap(counting)).Run(context.Background(),
		reqws.Into(reqws.Each(func(reqws.Frame) reqws.Directive {
			if seen++; seen == 3 {
				return reqws.Halt()
			}
			return reqws.Cont()
		})))
	fmt.Println(count, err)
	// Output: 3 <nil>
}

// A handler is a function: a test calls it, and looks at the Directive, without a server.
func ExampleDirective() {
	greeter := reqws.Each(func(f reqws.Frame) reqws.Directive {
		switch f.Text() {
		case "bye":
			return reqws.Halt(reqws.Text("see you"))
		case "?":
			return reqws.Fail(errors.New("not understood"))
		}
		return reqws.Cont(reqws.Text("hello " + f.Text()))
	})
	for _, text := range []string{"Ada", "bye", "?"} {
		d := greeter(reqws.Event{Frames: []reqws.Frame{reqws.Text(text)}}, nil)
		fmt.Println(d.Halts(), d.Err(), d.Replies(), d)
	}
	// Output:
	// false <nil> [text "hello Ada"] cont(text "hello Ada")
	// true <nil> [text "see you"] halt(text "see you")
	// true not understood [] fail(not understood)
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
