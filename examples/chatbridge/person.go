package main

import (
	"context"

	"github.com/reqws/reqws"
)

// person sits in a room and talks.
type person struct {
	name   string
	first  string                                       // what to begin with; "": with silence
	answer func(from string) (text string, leaves bool) // to what others say, or ""
}

// join goes into a room.
func (p person) join(ctx context.Context, url string) (*reqws.Response, error) {
	return reqws.New(
		reqws.URL(url),
		reqws.Subprotocols("lines.v1", "json.v1"),
		reqws.OnOpen(func(resp *reqws.Response) reqws.Directive { return p.say(resp, p.first) }),
		reqws.Into(reqws.EachWith(p.hear)),
	).Do(ctx)
}

// hear is the handler.
func (p person) hear(f reqws.Frame, resp *reqws.Response) reqws.Directive {
	if f.Kind != reqws.KindText {
		return reqws.Cont()
	}
	s, err := formats[resp.Subprotocol].read(f)
	if err != nil || s.From == p.name {
		return reqws.Cont()
	}
	text, leaves := p.answer(s.From)
	if leaves {
		return reqws.Halt()
	}
	return p.say(resp, text)
}

func (p person) say(resp *reqws.Response, text string) reqws.Directive {
	if text == "" {
		return reqws.Cont()
	}
	f, err := formats[resp.Subprotocol].write(said{p.name, text})
	if err != nil {
		return reqws.Fail(err)
	}
	return reqws.Cont(f)
}
