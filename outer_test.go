package reqws

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/reqws/reqws/reqwstest"
)

// answers is a step that answers in place of the server.
func answers(status int) Step {
	return func(http.RoundTripper) http.RoundTripper {
		return RoundTripFunc(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: status, Proto: "HTTP/1.1"}, nil
		})
	}
}

// Outer steps are around the retries and redirects of an execution, in the order
// in which they are given; those of Use are run by each of these.
func TestUseOuter(t *testing.T) {
	is := is.New(t)
	var log []string
	mark := func(name string) Step {
		return func(next http.RoundTripper) http.RoundTripper {
			return RoundTripFunc(func(req *http.Request) (*http.Response, error) {
				log = append(log, name+" "+req.URL.String())
				resp, err := next.RoundTrip(req)
				if err == nil {
					log = append(log, name+" "+http.StatusText(resp.StatusCode)+" "+resp.Request.URL.String())
				}
				return resp, err
			})
		}
	}
	srv := reqwstest.NewMemory(t,
		reqwstest.Script(reqwstest.Refuse(503, nil, "")),
		reqwstest.Script(reqwstest.Redirect(302, "/b")),
		reqwstest.Script(reqwstest.Accept(), reqwstest.SendText("hi"), reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, "")))
	var frames []string
	err := New(URL("ws://example.com/a"), UseOuter(mark("first"), mark("second")), Use(mark("inner")), DialContext(srv.DialContext), Logger(nil),
		RetryDelay(func(int) time.Duration { return 0 }),
	).With(UseOuter(mark("third"))).Run(t.Context(), Into(Each(func(f Frame) Directive {
		frames = append(frames, f.Text())
		return Cont()
	})))
	is.NoErr(err)
	is.Equal(frames, []string{"hi", ""})
	is.Equal(log, []string{
		"first ", "second ", "third ",
		"inner ws://example.com/a", "inner Service Unavailable ws://example.com/a",
		"inner ws://example.com/a", "inner Found ws://example.com/a",
		"inner ws://example.com/b", "inner Switching Protocols ws://example.com/b",
		"third Switching Protocols ws://example.com/b", "second Switching Protocols ws://example.com/b", "first Switching Protocols ws://example.com/b",
	})
}

// An outer step may answer by itself, as a cache or a circuit breaker does: its
// answer counts as the server's.
func TestOuterStepThatAnswers(t *testing.T) {
	broken := errors.New("the circuit is open")
	tests := []struct {
		name, url string
		step      Step
		status    int
		err       string
	}{
		{"refusal", "ws://example.com/x", answers(401), 401, "reqws: handshake: ws://example.com/x: refused with status 401"},
		{"a refusal of a kind", "ws://example.com/x", answers(200), 200, "reqws: handshake: ws://example.com/x: refused with status 200"},
		{"no connection", "ws://example.com/x", answers(101), 0, "reqws: handshake: ws://example.com/x: a step answered with status 101, but opened no connection"},
		{"plain", "http://example.com/x", answers(200), 200, ""},
		{"error", "ws://example.com/x", func(http.RoundTripper) http.RoundTripper {
			return RoundTripFunc(func(*http.Request) (*http.Response, error) { return nil, broken })
		}, 0, "reqws: request: ws://example.com/x: the circuit is open"},
		{"nothing", "ws://example.com/x", func(http.RoundTripper) http.RoundTripper {
			return RoundTripFunc(func(*http.Request) (*http.Response, error) { return nil, nil })
		}, 0, "reqws: request: ws://example.com/x: a step or Transport returned neither an answer nor an error"},
		{"no step", "ws://example.com/x", func(http.RoundTripper) http.RoundTripper { return nil }, 0, "a step returned nil in place of an http.RoundTripper"},
		{"no URL", "", answers(200), 0, "reqws: url: (no URL): option URL: it is missing"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			is := is.New(t)
			resp, err := New(URL(tt.url), HTTPErrors(RaiseErrors), UseOuter(tt.step)).Do(t.Context())
			if tt.err != "" {
				is.True(err != nil)
				is.True(strings.Contains(err.Error(), tt.err))
				is.Equal(errors.Is(err, broken), tt.name == "error")
				var refused *HTTPError
				is.Equal(errors.As(err, &refused) && refused.StatusCode == tt.status, tt.status != 0)
				return
			}
			is.NoErr(err)
			is.Equal(resp.StatusCode, tt.status)
		})
	}
}

// The Host that an outer step gives is for the first origin alone.
func TestHostOfAnOuterStep(t *testing.T) {
	for _, trusted := range []bool{false, true} {
		is := is.New(t)
		srv := reqwstest.NewMemory(t,
			reqwstest.Script(reqwstest.Redirect(307, "/b")),
			reqwstest.Script(reqwstest.Redirect(307, "http://other.example/")),
			reqwstest.Script(reqwstest.Redirect(307, "http://example.com/c")),
			reqwstest.Script(reqwstest.Refuse(403, nil, "")))
		_, err := New(URL("ws://example.com/a"), RedirectTrusted(trusted), DialContext(srv.DialContext), UseOuter(func(next http.RoundTripper) http.RoundTripper {
			return RoundTripFunc(func(req *http.Request) (*http.Response, error) {
				req = req.Clone(req.Context())
				req.Host = "inner.example"
				return next.RoundTrip(req)
			})
		})).Do(t.Context())
		is.True(err != nil)
		var hosts []string
		for _, r := range srv.Requests() {
			hosts = append(hosts, r.Host)
		}
		is.Equal(hosts, []string{"inner.example", "inner.example", "other.example", "inner.example"})
	}
}

// The body that an outer step gives is sent again as that of Body is, and where that
// cannot be, nothing is sent in its place.
func TestBodyOfAnOuterStep(t *testing.T) {
	for name, tt := range map[string]struct {
		again func() (io.ReadCloser, error)
		size  int64
		want  []string
		err   string
	}{
		"with GetBody":             {func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("whole")), nil }, 5, []string{"whole", "whole", "whole"}, ""},
		"with GetBody, of no size": {func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("whole")), nil }, -1, []string{"whole", "whole", "whole"}, ""},
		"without GetBody":          {nil, 5, []string{"whole"}, "there is no GetBody"},
		"without one, of no size":  {nil, -1, []string{"whole"}, "there is no GetBody"},
		"with GetBody that fails":  {func() (io.ReadCloser, error) { return nil, errors.New("gone") }, 5, []string{"whole"}, "gone"},
	} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			scripts := []reqwstest.Option{
				reqwstest.Script(reqwstest.Respond(503, nil, "")),
				reqwstest.Script(reqwstest.Redirect(307, "/b")),
				reqwstest.Script(reqwstest.Respond(200, nil, "")),
			}
			srv := reqwstest.NewMemory(t, scripts[:len(tt.want)]...)
			_, err := New(URL("http://example.com/a"), Method("POST"), Retry(Transient), RetryDelay(func(int) time.Duration { return 0 }), Logger(nil),
				DialContext(srv.DialContext), UseOuter(func(next http.RoundTripper) http.RoundTripper {
					return RoundTripFunc(func(req *http.Request) (*http.Response, error) {
						req = req.Clone(req.Context())
						req.Body, req.GetBody, req.ContentLength = io.NopCloser(strings.NewReader("whole")), tt.again, tt.size
						return next.RoundTrip(req)
					})
				})).Do(t.Context())
			if tt.err == "" {
				is.NoErr(err)
			} else {
				is.True(strings.Contains(err.Error(), tt.err))
			}
			var bodies []string
			for _, r := range srv.Requests() {
				bodies = append(bodies, string(r.Body))
			}
			is.Equal(bodies, tt.want)
		})
	}
}
