package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matryer/is"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/reqwstest"
)

func TestRun(t *testing.T) {
	is := is.New(t)
	srv := httptest.NewServer(server{})
	defer srv.Close()
	var out strings.Builder
	is.NoErr(run(t.Context(), &out, reqws.URL(strings.Replace(srv.URL, "http", "ws", 1))))
	is.Equal(out.String(), `add: 100 calls at once
divide: division by zero (code 1)
sleep: context deadline exceeded
notified: sleeping "a while"
notified: echo "HELLO"
notified: sleeping "for ever"
closed while a call waits: the stream is closed
`)
}

// dial connects to a server in memory that plays steps.
func dial(t *testing.T, notify func(string, json.RawMessage), steps ...reqwstest.Step) *Client {
	t.Helper()
	srv := reqwstest.NewMemory(t, reqwstest.Script(append([]reqwstest.Step{reqwstest.Accept()}, steps...)...))
	c, err := Dial(t.Context(), notify, reqws.URL(srv.URL), reqws.DialContext(srv.DialContext))
	is.New(t).NoErr(err)
	return c
}

// hello is what a call of the method hello without parameters looks like.
func hello(id int) string { return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"hello"}`, id) }

var closing = []reqwstest.Step{reqwstest.ExpectClose(1000, ""), reqwstest.SendClose(1000, "")}

func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer string
		want   string // of result
		err    string
	}{
		{"a result", `{"jsonrpc":"2.0","id":1,"result":"hi"}`, "hi", ""},
		{"with an error that is null", `{"jsonrpc":"2.0","id":1,"result":"hi","error":null}`, "hi", ""},
		{"a result that is null", `{"jsonrpc":"2.0","id":1,"result":null}`, "", ""},
		{"an error", `{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"no"}}`, "", "no (code -32602)"},
		{"neither", `{"jsonrpc":"2.0","id":1}`, "", "the answer has neither a result nor an error"},
		{"a result of another type", `{"jsonrpc":"2.0","id":1,"result":1}`, "", "json: cannot unmarshal number into Go value of type string"},
	} {
		t.Run(c.name, func(t *testing.T) {
			is := is.New(t)
			reqwstest.NoLeaks(t)
			cl := dial(t, nil, append([]reqwstest.Step{reqwstest.ExpectText(hello(1)), reqwstest.SendText(c.answer)}, closing...)...)
			var got string
			err := cl.Call(t.Context(), "hello", nil, &got)
			if c.err != "" {
				is.True(err != nil)
				is.Equal(err.Error(), c.err)
			} else {
				is.NoErr(err)
			}
			is.Equal(got, c.want)
			is.NoErr(cl.Close())
			is.Equal(len(cl.pending), 0)
		})
	}
}

// What is no answer to a call that waits goes nowhere.
func TestStrangeAnswers(t *testing.T) {
	for _, strange := range []string{
		`{"jsonrpc":"2.0","id":7,"result":"nobody asked"}`,
		`{"jsonrpc":"2.0","id":"1","result":"an id of another type"}`,
		`{"jsonrpc":"2.0","id":null,"result":"no id"}`,
		`{"jsonrpc":"2.0"}`,
	} {
		t.Run(strange, func(t *testing.T) {
			is := is.New(t)
			reqwstest.NoLeaks(t)
			cl := dial(t, nil, append([]reqwstest.Step{
				reqwstest.ExpectText(hello(1)),
				reqwstest.SendText(strange),
				reqwstest.SendText(`{"jsonrpc":"2.0","id":1,"result":"hi"}`),
				reqwstest.SendText(`{"jsonrpc":"2.0","id":1,"result":"twice"}`),
			}, closing...)...)
			var got string
			is.NoErr(cl.Call(t.Context(), "hello", nil, &got))
			is.Equal(got, "hi")
			is.NoErr(cl.Close())
		})
	}
}

// readAll reads calls and returns their ids, as they came.
func readAll(c *reqwstest.Conn, n int) (ids []int64, err error) {
	for range n {
		_, data, err := c.ReadMessage()
		if err != nil {
			return nil, err
		}
		var r request
		if err := json.Unmarshal(data, &r); err != nil {
			return nil, err
		}
		ids = append(ids, r.ID)
	}
	return ids, nil
}

// Answers may come in any order.
func TestLastCallAnsweredFirst(t *testing.T) {
	is := is.New(t)
	reqwstest.NoLeaks(t)
	const calls = 50
	cl := dial(t, nil, append([]reqwstest.Step{reqwstest.Do(func(c *reqwstest.Conn) error {
		var answers []reqwstest.Frame
		for range calls {
			_, data, err := c.ReadMessage()
			if err != nil {
				return err
			}
			var r struct{ ID, Params int }
			if err := json.Unmarshal(data, &r); err != nil {
				return err
			}
			answers = append(answers, reqwstest.Text(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"result":%d}`, r.ID, -r.Params)))
		}
		slices.Reverse(answers)
		return c.WriteFrame(answers...)
	})}, closing...)...)
	var wg sync.WaitGroup
	for i := range calls {
		wg.Go(func() {
			got := 1
			if err := cl.Call(t.Context(), "negative", i, &got); err != nil || got != -i {
				t.Errorf("negative of %d: %d, %v", i, got, err)
			}
		})
	}
	wg.Wait()
	is.NoErr(cl.Close())
}

// A call whose ctx ends leaves the others alone, and so does its late answer.
func TestCallGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		cl := dial(t, nil, append([]reqwstest.Step{
			reqwstest.ExpectText(hello(1)),
			reqwstest.ExpectText(hello(2)),
			reqwstest.SendText(`{"jsonrpc":"2.0","id":1,"result":"late"}`),
			reqwstest.SendText(`{"jsonrpc":"2.0","id":2,"result":"hi"}`),
		}, closing...)...)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		start := time.Now()
		is.True(errors.Is(cl.Call(ctx, "hello", nil, nil), context.DeadlineExceeded))
		is.Equal(time.Since(start), 10*time.Second)
		var got string
		is.NoErr(cl.Call(t.Context(), "hello", nil, &got))
		is.Equal(got, "hi")
		is.NoErr(cl.Close())
	})
}

// All calls that wait fail when the connection ends, and those that come after.
func TestConnectionEnds(t *testing.T) {
	for _, c := range []struct {
		name string
		end  []reqwstest.Step
		want error
	}{
		{"lost", []reqwstest.Step{reqwstest.Drop()}, io.ErrUnexpectedEOF},
		{"closed in good order", []reqwstest.Step{reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, "")}, reqws.ErrClosed},
		{"no JSON", []reqwstest.Step{reqwstest.SendText("{"), reqwstest.ExpectCloseCode(1007), reqwstest.SendClose(1007, "")}, nil},
		{"a call that could not be read", []reqwstest.Step{
			reqwstest.SendText(`{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"what?"}}`),
			reqwstest.ExpectClose(1011, ""), reqwstest.SendClose(1011, ""),
		}, &Error{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			is := is.New(t)
			reqwstest.NoLeaks(t)
			const calls = 20
			cl := dial(t, nil, append([]reqwstest.Step{
				reqwstest.Do(func(c *reqwstest.Conn) error { _, err := readAll(c, calls); return err }),
			}, c.end...)...)
			check := func() {
				switch err := cl.Call(t.Context(), "hello", nil, nil); {
				case err == nil:
					t.Error("a call was answered")
				case c.want == nil:
				case !errors.Is(err, c.want) && !errors.As(err, new(*Error)):
					t.Error(err)
				}
			}
			var wg sync.WaitGroup
			for range calls {
				wg.Go(check)
			}
			wg.Wait()
			is.True(cl.Call(t.Context(), "hello", nil, nil) != nil) // too late
			is.Equal(len(cl.pending), 0)
		})
	}
}

// The last answer counts, though the connection ends right behind it.
func TestAnswerAndEnd(t *testing.T) {
	for range 50 {
		is := is.New(t)
		cl := dial(t, nil, reqwstest.ExpectText(hello(1)),
			reqwstest.Send(reqwstest.Text(`{"jsonrpc":"2.0","id":1,"result":"hi"}`), reqwstest.Close(1000, "")),
			reqwstest.ExpectClose(1000, ""))
		var got string
		is.NoErr(cl.Call(t.Context(), "hello", nil, &got))
		is.Equal(got, "hi")
		is.NoErr(cl.Wait())
	}
}

func TestServerCalls(t *testing.T) {
	is := is.New(t)
	reqwstest.NoLeaks(t)
	var said []string
	cl := dial(t, func(method string, params json.RawMessage) { said = append(said, method+string(params)) },
		reqwstest.SendText(`{"jsonrpc":"2.0","method":"one","params":[1]}`),
		reqwstest.SendText(`{"jsonrpc":"2.0","method":"two"}`),
		reqwstest.SendText(`{"jsonrpc":"2.0","id":"x","method":"three"}`),
		reqwstest.ExpectText(`{"jsonrpc":"2.0","id":"x","error":{"code":-32601,"message":"method not found"}}`),
		reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, ""))
	is.NoErr(cl.Wait())
	is.Equal(said, []string{"one[1]", "two"})
}

// What cannot be sent is an error of its call alone.
func TestBadParams(t *testing.T) {
	is := is.New(t)
	reqwstest.NoLeaks(t)
	cl := dial(t, nil, append([]reqwstest.Step{reqwstest.ExpectText(`{"jsonrpc":"2.0","method":"fine","params":"yes"}`)}, closing...)...)
	is.True(cl.Call(t.Context(), "hello", func() {}, nil) != nil)
	is.True(cl.Notify(t.Context(), "hello", func() {}) != nil)
	is.NoErr(cl.Notify(t.Context(), "fine", "yes"))
	is.NoErr(cl.Close())
	is.Equal(len(cl.pending), 0)
}

// A server that does not answer with a WebSocket is an error of Dial.
func TestRefused(t *testing.T) {
	is := is.New(t)
	srv := reqwstest.NewMemory(t, reqwstest.Script(reqwstest.Refuse(403, nil, "")))
	err := run(t.Context(), os.Stdout, reqws.URL(srv.URL), reqws.DialContext(srv.DialContext))
	var refused *reqws.HTTPError
	is.True(errors.As(err, &refused))
	is.Equal(refused.StatusCode, 403)
}
