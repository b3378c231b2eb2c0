package reqws_test

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/reqwstest"
)

// What an operator wants to know of a connection: how long it took to open, and why it ended.
func ExampleTrace() {
	url, stop := plays(
		reqwstest.SendText("hello"),
		reqwstest.SendClose(4001, "go away"),
		reqwstest.ExpectClose(4001, ""),
	)
	defer stop()

	err := reqws.New(
		reqws.URL(url),
		reqws.Trace(&reqws.ClientTrace{
			Opened: func(o reqws.OpenedInfo) {
				p := o.Phases
				took := p.Lookup + p.Dial + p.Proxy + p.TLS + p.Handshake
				fmt.Println("opened:", o.Proto, took < time.Minute)
			},
			Closed: func(c reqws.ClosedInfo) {
				fmt.Println("closed by the peer:", int(c.PeerCode), c.PeerReason, "clean:", c.Clean)
			},
		}),
	).Run(context.Background(), reqws.Into(reqws.Each(func(f reqws.Frame) reqws.Directive {
		fmt.Println(f)
		return reqws.Cont()
	})))
	fmt.Println(err != nil)
	// Output:
	// opened: HTTP/1.1 true
	// text "hello"
	// close 4001 "go away"
	// closed by the peer: 4001 go away clean: true
	// true
}

// A plugin watches beside the user: both are told.
func ExampleAddTrace() {
	srv := newExampleServer()
	defer srv.Close()
	srv.Refuse("302 /there")

	redirects := 0
	plugin := reqws.Options(reqws.AddTrace(&reqws.ClientTrace{
		Redirect: func(reqws.RedirectInfo) { redirects++ },
	}))
	open(reqws.New(reqws.URL(srv.WS), plugin, reqws.Trace(&reqws.ClientTrace{
		Attempt: func(a reqws.AttemptInfo) { fmt.Println("attempt:", a.StatusCode) },
		Redirect: func(r reqws.RedirectInfo) {
			fmt.Println("redirect:", r.StatusCode)
		},
	})))
	fmt.Println("redirects that the plugin saw:", redirects)
	// Output:
	// GET /
	// attempt: 302
	// redirect: 302
	// GET /there
	// attempt: 101
	// redirects that the plugin saw: 1
}

// Each frame in and out, for those who want to see what a service says.
func ExampleLogFrames() {
	url, stop := plays(
		reqwstest.SendText(`{"op":"hello"}`),
		reqwstest.ExpectBinary("\x01\x02"),
		reqwstest.SendClose(1000, "bye"),
		reqwstest.ExpectClose(1000, ""),
	)
	defer stop()

	err := reqws.New(
		reqws.URL(url),
		reqws.LogFrames(slog.LevelDebug),
		reqws.Logger(logger()), // which writes lines without time and URL
	).Run(context.Background(), reqws.Into(reqws.Each(func(f reqws.Frame) reqws.Directive {
		if f.Kind == reqws.KindText {
			return reqws.Cont(reqws.Binary("\x01\x02"))
		}
		return reqws.Cont()
	})))
	fmt.Println(err)
	// Output:
	// level=DEBUG msg="reqws: frame" direction=in kind=text length=14 data="{\"op\":\"hello\"}"
	// level=DEBUG msg="reqws: frame" direction=out kind=binary length=2 data=0102
	// level=DEBUG msg="reqws: frame" direction=in kind=close length=5 code=1000 data=bye
	// level=DEBUG msg="reqws: frame" direction=out kind=close length=2 code=1000
	// <nil>
}
