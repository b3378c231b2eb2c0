package main

import (
	"context"

	"github.com/coder/websocket"
	"github.com/reqws/reqws"
)

var (
	// reqwsClient is the library as its README shows it: a function for each frame.
	reqwsClient = reqwsLibrary{"reqws", own, each, reqws.Options()}
	// reqwsBatches has a handler of Event.Frames.
	reqwsBatches = reqwsLibrary{"reqws, whole batches", another, batches, reqws.Options()}
	reqwsHTTP1   = reqwsLibrary{"reqws, HTTP/1.1", own, each, reqws.Protocols(reqws.HTTP1)}
	reqwsHTTP2   = reqwsLibrary{"reqws, HTTP/2", own, each, reqws.Protocols(reqws.HTTP2)}
)

type reqwsLibrary struct {
	label   string
	is      part
	handler func(reply bool, got received) reqws.Handler
	options reqws.Option
}

func (l reqwsLibrary) name() string { return l.label }
func (l reqwsLibrary) part() part   { return l.is }

func (l reqwsLibrary) request(t target, into reqws.Handler) *reqws.Request {
	o := []reqws.Option{reqws.URL(t.url), reqws.Into(into), l.options}
	if t.tls != nil {
		o = append(o, reqws.TLSConfig(t.tls))
	}
	if t.deflate {
		o = append(o, reqws.Compression(websocket.CompressionNoContextTakeover))
	}
	return reqws.New(o...)
}

func (l reqwsLibrary) run(t target, reply bool, got received) error {
	return l.request(t, l.handler(reply, got)).Run(context.Background())
}

// each sees one frame at a time.
func each(reply bool, got received) reqws.Handler {
	return reqws.Each(func(f reqws.Frame) reqws.Directive {
		if f.Kind != reqws.KindText && f.Kind != reqws.KindBinary {
			return reqws.Cont()
		}
		if !got(1, len(f.Data)) {
			return reqws.Halt()
		}
		if reply {
			return reqws.Cont(f)
		}
		return reqws.Cont()
	})
}

// batches sees what arrived together.
func batches(reply bool, got received) reqws.Handler {
	return func(in reqws.Event, _ *reqws.Response) reqws.Directive {
		messages, bytes := 0, 0
		for i := range in.Frames {
			f := &in.Frames[i]
			if f.Kind == reqws.KindText || f.Kind == reqws.KindBinary {
				messages, bytes = messages+1, bytes+len(f.Data)
			}
		}
		if !got(messages, bytes) {
			return reqws.Halt()
		}
		if reply && messages == len(in.Frames) {
			return reqws.Cont(in.Frames...)
		}
		return reqws.Cont()
	}
}

func (l reqwsLibrary) opener(t target, got received) func() (conn, error) {
	r := l.request(t, l.handler(false, got))
	return func() (conn, error) {
		resp, err := r.Do(context.Background())
		if err != nil {
			return nil, err
		}
		return reqwsConn{resp}, nil
	}
}

type reqwsConn struct{ *reqws.Response }

func (c reqwsConn) send(text []byte) error {
	return c.Send(context.Background(), reqws.Text(text))
}

func (c reqwsConn) close() { c.CloseNow() }
