package reqws_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/reqwstest"
)

// wrapper is a step that wraps the answer's body, as those that measure do.
type wrapper struct {
	closed int
	seen   []string // of the requests, and the answers
}

func (w *wrapper) step(next http.RoundTripper) http.RoundTripper {
	return reqws.RoundTripFunc(func(req *http.Request) (*http.Response, error) {
		w.seen = append(w.seen, req.URL.Scheme)
		resp, err := next.RoundTrip(req)
		if err == nil {
			w.seen = append(w.seen, resp.Status)
			resp.Body = &wrapped{resp.Body.(io.ReadWriteCloser), w}
		}
		return resp, err
	})
}

type wrapped struct {
	io.ReadWriteCloser
	w *wrapper
}

func (b *wrapped) Close() error {
	b.w.closed++
	return b.ReadWriteCloser.Close()
}

// A step may wrap the body of the 101, and learns of the connection's end: once.
func TestAStepThatWrapsTheBody(t *testing.T) {
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			tidy(t)
			is := is.New(t)
			srv := reqwstest.New(t, reqwstest.Script(reqwstest.Accept(), reqwstest.SendClose(1000, "")))
			w := &wrapper{}
			is.NoErr(way(t.Context(), to(srv, reqws.Use(w.step))))
			is.Equal(w.seen, []string{"ws", "101 Switching Protocols"})
			is.Equal(w.closed, 1)
		})
	}
}

// A step may answer in the server's place: with a refusal, never with a success.
func TestAStepThatAnswers(t *testing.T) {
	answer := func(status int, body io.ReadCloser) reqws.Option {
		return reqws.Use(func(http.RoundTripper) http.RoundTripper {
			return reqws.RoundTripFunc(func(*http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: status, Header: http.Header{"X-By": {"a step"}}, Body: body}, nil
			})
		})
	}
	req := reqws.New(reqws.URL("ws://example.com/p"))
	returning := reqws.HTTPErrors(reqws.ReturnErrors)
	t.Run("403", func(t *testing.T) {
		is := is.New(t)
		closed := false
		resp, err := req.Do(t.Context(), answer(403, closer{strings.NewReader("not you"), &closed}), returning)
		is.NoErr(err)
		is.Equal(resp.StatusCode, 403)
		is.Equal(string(resp.Body), "not you")
		is.Equal(resp.Request.URL.String(), "ws://example.com/p")
		is.True(closed)
		for _, way := range []string{"Run", "Dial"} {
			err := ways[way](t.Context(), req.With(answer(403, nil))) // a body is not needed
			var he *reqws.HTTPError
			is.True(errors.As(err, &he))
			is.Equal(he.Header.Get("X-By"), "a step")
			is.True(strings.Contains(err.Error(), "ws://example.com/p"))
		}
	})
	for _, status := range []int{101, 200} {
		for name, way := range ways {
			t.Run(fmt.Sprint(status, "/", name), func(t *testing.T) {
				is := is.New(t)
				err := way(t.Context(), req.With(answer(status, nil)))
				is.True(err != nil)
				is.Equal(errors.As(err, new(*reqws.HTTPError)), status == 200) // a refusal, as of a server
				is.True(strings.Contains(err.Error(), fmt.Sprint(status)))
				is.True(strings.Contains(err.Error(), "ws://example.com/p"))
			})
		}
	}
	t.Run("nothing", func(t *testing.T) {
		is := is.New(t)
		for _, way := range ways {
			err := way(t.Context(), req.With(reqws.Use(func(http.RoundTripper) http.RoundTripper {
				return reqws.RoundTripFunc(func(*http.Request) (*http.Response, error) { return nil, nil })
			})))
			is.True(err != nil)
		}
	})
	t.Run("no round tripper", func(t *testing.T) {
		is := is.New(t)
		for _, way := range ways {
			err := way(t.Context(), req.With(reqws.Use(func(http.RoundTripper) http.RoundTripper { return nil })))
			is.True(err != nil)
			is.True(strings.HasPrefix(err.Error(), "reqws: request: ws://example.com/p: a step returned nil"))
		}
	})
	t.Run("plain", func(t *testing.T) {
		is := is.New(t)
		err := req.Run(t.Context(), reqws.URL("http://example.com/p"), answer(404, nil), (&witness{}).into())
		is.True(strings.Contains(err.Error(), "http://example.com/p"))
		resp, err := req.Do(t.Context(), reqws.URL("http://example.com/"), answer(200, io.NopCloser(strings.NewReader("cached"))))
		is.NoErr(err)
		is.Equal(string(resp.Body), "cached")
	})
}

// A step that opens two connections, or opens one and then refuses, leaves none
// behind.
func TestAStepThatAsksTwice(t *testing.T) {
	tidy(t)
	is := is.New(t)
	srv := reqwstest.New(t,
		reqwstest.Script(reqwstest.Accept(), reqwstest.ExpectGone()),
		reqwstest.Script(reqwstest.Accept(), reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, "")),
		reqwstest.Script(reqwstest.Accept(), reqwstest.ExpectGone()),
	)
	twice := func(next http.RoundTripper) http.RoundTripper {
		return reqws.RoundTripFunc(func(req *http.Request) (*http.Response, error) {
			if _, err := next.RoundTrip(req.Clone(req.Context())); err != nil {
				return nil, err
			}
			return next.RoundTrip(req)
		})
	}
	is.NoErr(to(srv, reqws.Use(twice)).Run(t.Context(), (&witness{}).into()))
	refuses := func(next http.RoundTripper) http.RoundTripper {
		return reqws.RoundTripFunc(func(req *http.Request) (*http.Response, error) {
			if _, err := next.RoundTrip(req); err != nil {
				return nil, err
			}
			return &http.Response{StatusCode: 418}, nil
		})
	}
	resp, err := to(srv, reqws.Use(refuses), reqws.HTTPErrors(reqws.ReturnErrors)).Do(t.Context())
	is.NoErr(err)
	is.Equal(resp.StatusCode, 418)
}
