package reqws

import (
	"context"
	"fmt"
	"net/http"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/matryer/is"

	"github.com/reqws/reqws/reqwstest"
)

// Steps and RetryFunc know from the context which try it is, hops of redirects
// and an execution inside a step included.
func TestAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		var seen []string
		note := func(who string, ctx context.Context) { seen = append(seen, fmt.Sprint(who, Attempt(ctx))) }
		watch := func(who string) Step {
			return func(next http.RoundTripper) http.RoundTripper {
				return RoundTripFunc(func(req *http.Request) (*http.Response, error) {
					note(who, req.Context())
					return next.RoundTrip(req)
				})
			}
		}
		inner := New(URL("http://example.com/"), Transport(&scripted{outcomes: []outcome{{status: 500}}}), Logger(nil), Use(watch("inner")))
		srv := reqwstest.NewMemory(t,
			reqwstest.DialError(syscall.ECONNREFUSED),
			reqwstest.Script(reqwstest.Redirect(302, "/b")),
			reqwstest.Script(reqwstest.Refuse(503, nil, "")),
			reqwstest.Script(reqwstest.Accept()))
		resp, err := New(URL("ws://example.com/a"), DialContext(srv.DialContext), Logger(nil),
			Auth(AuthFunc(func(ctx context.Context) (Step, error) {
				note("auth", ctx)
				if Attempt(ctx) == 2 {
					if _, err := inner.Do(ctx); err != nil {
						return nil, err
					}
				}
				return nil, nil
			})),
			Use(watch("use")),
			RetryFunc(func(req *http.Request, _ *http.Response, _ error) RetryDecision {
				note("func", req.Context())
				return Again
			})).Do(t.Context())
		is.NoErr(err)
		resp.CloseNow()
		is.Equal(seen, []string{
			"auth0", "use0", "func0",
			"auth1", "use1", "auth1", "use1", "func1",
			"auth2", "inner0", "inner1", "use2",
		})
	})
	is := is.New(t)
	is.Equal(Attempt(t.Context()), 0)

	// Also where it fails before there is a request to send.
	n := 0
	failed(t, URL(""), RetryFunc(func(req *http.Request, _ *http.Response, _ error) RetryDecision {
		is.Equal(Attempt(req.Context()), n)
		n++
		return AgainAfter(0)
	}), Logger(nil))
	is.Equal(n, 3)
}
