package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/reqws/reqws"
)

// Client makes JSON-RPC 2.0 calls over one WebSocket. It is safe for concurrent use: any number of
// calls may wait at once, and their answers come in any order.
type Client struct {
	resp   *reqws.Response
	notify func(method string, params json.RawMessage)

	mu      sync.Mutex
	last    int64                  // the id of the last call
	pending map[int64]chan message // where its answer goes, by id
}

// Dial connects. notify is called with each notification of the server's, in order, by the
// stream's goroutine: it must not wait for a Call, whose answer that goroutine is to bring. It may be nil.
func Dial(ctx context.Context, notify func(method string, params json.RawMessage), opts ...reqws.Option) (*Client, error) {
	c := &Client{notify: notify, pending: map[int64]chan message{}}
	resp, err := reqws.New(opts...).Do(ctx, reqws.Into(reqws.EachJSON(c.receive)))
	if err != nil {
		return nil, err
	}
	c.resp = resp
	return c, nil
}

// Close ends the connection in good order. Calls that still wait fail.
func (c *Client) Close() error { return c.resp.Close(1000, "") }

// Wait waits for the end of the connection, and says what that was.
func (c *Client) Wait() error { return c.resp.Wait() }

// Call calls a method, waits for the answer, and decodes the result into what result points to, or
// drops it where that is nil. An answer of the server's that is an error is an *Error. ctx ends this call alone.
func (c *Client) Call(ctx context.Context, method string, params, result any) error {
	id, answer := c.expect()
	defer c.forget(id)
	if err := c.resp.SendJSON(ctx, request{Version: "2.0", ID: id, Method: method, Params: params}); err != nil {
		return err
	}
	select {
	case m := <-answer:
		return m.into(result)
	case <-ctx.Done():
		return ctx.Err()
	case <-c.resp.Done():
	}
	select {
	case m := <-answer: // it came last of all
		return m.into(result)
	default:
	}
	if err := c.resp.Wait(); err != nil {
		return err
	}
	return reqws.ErrClosed
}

// Notify calls a method without asking for an answer.
func (c *Client) Notify(ctx context.Context, method string, params any) error {
	return c.resp.SendJSON(ctx, request{Version: "2.0", Method: method, Params: params})
}

// expect gives out the next id, and where the answer to it will be.
func (c *Client) expect() (int64, <-chan message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last++
	answer := make(chan message, 1) // whoever waited may be gone: the stream waits for nobody
	c.pending[c.last] = answer
	return c.last, answer
}

// forget drops what expect made.
func (c *Client) forget(id int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.pending, id)
}

// receive is the handler. It may run before Dial has set c.resp, and does not use it.
func (c *Client) receive(m message, _ *reqws.Response) reqws.Directive {
	switch {
	case m.Method != "" && m.ID == nil:
		if c.notify != nil {
			c.notify(m.Method, m.Params)
		}
	case m.Method != "":
		return reply(refusal{"2.0", m.ID, Error{Code: -32601, Message: "method not found"}})
	case bytes.Equal(m.ID, []byte("null")) && m.Err != nil:
		// The server could not read what we sent. Nobody knows which call that was.
		return reqws.Fail(m.Err)
	default:
		c.answer(m)
	}
	return reqws.Cont()
}

// answer hands an answer to the call that waits for it, if one still does.
func (c *Client) answer(m message) {
	id, err := strconv.ParseInt(string(m.ID), 10, 64)
	if err != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if answer, ok := c.pending[id]; ok {
		delete(c.pending, id) // a second answer goes nowhere
		answer <- m
	}
}

func reply(v any) reqws.Directive {
	f, err := reqws.JSON(v)
	if err != nil {
		return reqws.Fail(err)
	}
	return reqws.Cont(f)
}

// request is what we send; ids count from 1, and a notification has none.
type request struct {
	Version string `json:"jsonrpc"`
	ID      int64  `json:"id,omitempty"`
	Method  string `json:"method"`
	Params  any    `json:"params,omitempty"`
}

// refusal is how we answer a server that calls us.
type refusal struct {
	Version string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Err     Error           `json:"error"`
}

// message is what comes: an answer, a notification, or a call.
type message struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
	Result json.RawMessage `json:"result"`
	Err    *Error          `json:"error"`
}

func (m message) into(result any) error {
	switch {
	case m.Err != nil:
		return m.Err
	case m.Result == nil:
		return errors.New("the answer has neither a result nor an error")
	case result == nil:
		return nil
	}
	return json.Unmarshal(m.Result, result)
}

// Error is an error that the server answered with.
type Error struct {
	Code    int             `json:"code"`
	Message string          `json:"message"`
	Data    json.RawMessage `json:"data,omitempty"`
}

func (e *Error) Error() string { return fmt.Sprintf("%s (code %d)", e.Message, e.Code) }
