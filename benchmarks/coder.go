package main

import (
	"bytes"
	"context"

	"github.com/coder/websocket"
)

var (
	coderClient = &library{label: "coder", is: peer, dial: func(t target) (socket, error) {
		c, err := dialCoder(t)
		return coderSocket{c}, err
	}}
	coderFast = &library{label: "coder, tuned", is: tuned, dial: func(t target) (socket, error) {
		c, err := dialCoder(t)
		return fastCoderSocket{coderSocket{c}}, err
	}}
)

func dialCoder(t target) (*websocket.Conn, error) {
	o := &websocket.DialOptions{HTTPClient: t.http}
	if t.deflate {
		o.CompressionMode = websocket.CompressionNoContextTakeover
	}
	c, _, err := websocket.Dial(context.Background(), t.url, o)
	if err == nil {
		c.SetReadLimit(-1)
	}
	return c, err
}

type coderSocket struct{ *websocket.Conn }

func (c coderSocket) loop(reply bool, got received) error {
	ctx := context.Background()
	for {
		kind, p, err := c.Read(ctx)
		if err != nil {
			return err
		}
		if reply {
			if err := c.Write(ctx, kind, p); err != nil {
				return err
			}
		}
		if !got(1, len(p)) {
			return nil
		}
	}
}

func (c coderSocket) send(text []byte) error {
	return c.Write(context.Background(), websocket.MessageText, text)
}

func (c coderSocket) close() { c.CloseNow() }

// fastCoderSocket reads each message into the same buffer.
type fastCoderSocket struct{ coderSocket }

func (c fastCoderSocket) loop(reply bool, got received) error {
	ctx := context.Background()
	var b bytes.Buffer
	for {
		kind, r, err := c.Reader(ctx)
		if err != nil {
			return err
		}
		b.Reset()
		if _, err := b.ReadFrom(r); err != nil {
			return err
		}
		if reply {
			if err := c.Write(ctx, kind, b.Bytes()); err != nil {
				return err
			}
		}
		if !got(1, b.Len()) {
			return nil
		}
	}
}
