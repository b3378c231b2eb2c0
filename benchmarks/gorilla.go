package main

import (
	"bytes"
	"sync"

	"github.com/gorilla/websocket"
)

var (
	gorillaClient = &library{label: "gorilla", is: peer, dial: func(t target) (socket, error) {
		return dialGorilla(t, websocket.Dialer{})
	}}
	gorillaFast = &library{label: "gorilla, tuned", is: tuned, dial: func(t target) (socket, error) {
		s, err := dialGorilla(t, websocket.Dialer{ReadBufferSize: 64 << 10})
		return fastGorillaSocket{s}, err
	}}
	gorillaLean = &library{label: "gorilla, lean", is: tuned, dial: func(t target) (socket, error) {
		return dialGorilla(t, websocket.Dialer{ReadBufferSize: 1 << 10, WriteBufferPool: &gorillaWriteBuffers})
	}}
	gorillaWriteBuffers sync.Pool
)

func dialGorilla(t target, d websocket.Dialer) (*gorillaSocket, error) {
	d.TLSClientConfig = t.tls
	d.EnableCompression = t.deflate
	c, _, err := d.Dial(t.url, nil)
	return &gorillaSocket{Conn: c}, err
}

// gorillaSocket has the lock that gorilla asks for: one writer at a time.
type gorillaSocket struct {
	*websocket.Conn
	mu sync.Mutex
}

func (c *gorillaSocket) loop(reply bool, got received) error {
	for {
		kind, p, err := c.ReadMessage()
		if err != nil {
			return err
		}
		if reply {
			if err := c.WriteMessage(kind, p); err != nil {
				return err
			}
		}
		if !got(1, len(p)) {
			return nil
		}
	}
}

func (c *gorillaSocket) send(text []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.WriteMessage(websocket.TextMessage, text)
}

func (c *gorillaSocket) close() { c.Conn.Close() }

// fastGorillaSocket reads each message into the same buffer, and much at once.
type fastGorillaSocket struct{ *gorillaSocket }

func (c fastGorillaSocket) loop(reply bool, got received) error {
	var b bytes.Buffer
	for {
		kind, r, err := c.NextReader()
		if err != nil {
			return err
		}
		b.Reset()
		if _, err := b.ReadFrom(r); err != nil {
			return err
		}
		if reply {
			if err := c.WriteMessage(kind, b.Bytes()); err != nil {
				return err
			}
		}
		if !got(1, b.Len()) {
			return nil
		}
	}
}
