package main

import (
	"context"

	"github.com/coder/websocket"
	"github.com/reqws/reqws"
)

var (
	reqwsClient = reqwsLibrary{"reqws", reqws.Protocols(reqws.HTTP1, reqws.HTTP2)}
	reqwsHTTP1  = reqwsLibrary{"reqws, HTTP/1.1", reqws.Protocols(reqws.HTTP1)}
	reqwsHTTP2  = reqwsLibrary{"reqws, HTTP/2", reqws.Protocols(reqws.HTTP2)}
)

type reqwsLibrary struct {
	label     string
	protocols reqws.Option
}

func (l reqwsLibrary) name() string { return l.label }
func (l reqwsLibrary) part() part   { return own }

func (l reqwsLibrary) request(t target, into reqws.Handler) *reqws.Request {
	o := []reqws.Option{reqws.URL(t.url), reqws.Into(into), l.protocols}
	if t.tls != nil {
		o = append(o, reqws.TLSConfig(t.tls))
	}
	if t.deflate {
		o = append(o, reqws.Compression(websocket.CompressionNoContextTakeover))
	}
	return reqws.New(o...)
}

func (l reqwsLibrary) run(t target, reply bool, got received) error {
	into := reading(got)
	if reply {
		into = answering(got)
	}
	return l.request(t, into).Run(context.Background())
}

// reading sees a batch at a time.
func reading(got received) reqws.Handler {
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
		return reqws.Cont()
	}
}

// answering replies to each message on its own, as the others do.
func answering(got received) reqws.Handler {
	return reqws.Each(func(f reqws.Frame) reqws.Directive {
		if f.Kind != reqws.KindText && f.Kind != reqws.KindBinary {
			return reqws.Cont()
		}
		if !got(1, len(f.Data)) {
			return reqws.Halt()
		}
		return reqws.Cont(f)
	})
}

func (l reqwsLibrary) opener(t target, got received) func() (conn, error) {
	r := l.request(t, reading(got))
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
