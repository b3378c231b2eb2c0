package reqws_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/reqws/reqws"
)

func ExampleRetry() {
	srv := newExampleServer()
	defer srv.Close()
	quick := reqws.Options(reqws.RetryDelay(func(int) time.Duration { return time.Millisecond }), reqws.Logger(nil))

	for _, mode := range []reqws.RetryMode{reqws.SafeTransient, reqws.Transient, reqws.Never} {
		srv.Refuse("503")
		open(reqws.New(reqws.URL(srv.URL), reqws.Method("POST"), quick, reqws.Retry(mode)))
		srv.Refuse()
	}
	// Output:
	// POST /
	// status 503
	// POST /
	// POST /
	// status 200
	// POST /
	// status 503
}

func ExampleRetryFunc() {
	srv := newExampleServer()
	defer srv.Close()
	srv.Refuse("404", "403")

	open(reqws.New(reqws.URL(srv.WS), reqws.Logger(nil),
		reqws.RetryFunc(func(_ *http.Request, resp *http.Response, err error) reqws.RetryDecision {
			if err == nil && resp.StatusCode == http.StatusNotFound { // not there yet
				return reqws.AgainAfter(time.Millisecond)
			}
			return reqws.GiveUp
		})))
	// Output:
	// GET /
	// GET /
	// status 403
}

func ExampleRetryDelay() {
	srv := newExampleServer()
	defer srv.Close()
	srv.Refuse("500", "500")

	open(reqws.New(reqws.URL(srv.WS), reqws.Logger(logger()),
		reqws.RetryDelay(func(n int) time.Duration { return time.Duration(n+1) * time.Millisecond })))
	// Output:
	// GET /
	// level=WARN msg="reqws: will try again" status=500 delay=1ms attempts_left=3
	// GET /
	// level=WARN msg="reqws: will try again" status=500 delay=2ms attempts_left=2
	// GET /
}

func ExampleRetryBackOff() {
	srv := newExampleServer()
	defer srv.Close()
	srv.Refuse("500", "500")

	open(reqws.New(reqws.URL(srv.WS), reqws.Logger(logger()),
		reqws.RetryBackOff(func() backoff.BackOff {
			return backoff.WithMaxRetries(backoff.NewConstantBackOff(5*time.Millisecond), 1)
		})))
	// Output:
	// GET /
	// level=WARN msg="reqws: will try again" status=500 delay=5ms attempts_left=3
	// GET /
	// status 500
}

func ExampleMaxRetries() {
	srv := newExampleServer()
	defer srv.Close()
	srv.Refuse("500", "500", "500")

	open(reqws.New(reqws.URL(srv.WS), reqws.MaxRetries(1), reqws.Logger(nil),
		reqws.RetryDelay(func(int) time.Duration { return time.Millisecond })))
	// Output:
	// GET /
	// GET /
	// status 500
}

// Without a bound it is the context that ends the retries.
func ExampleMaxRetries_noBound() {
	srv := newExampleServer()
	defer srv.Close()
	srv.Refuse("503", "503", "503", "503", "503")

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	resp, err := reqws.New(reqws.URL(srv.WS), reqws.MaxRetries(-1), reqws.Logger(nil),
		reqws.RetryDelay(func(int) time.Duration { return time.Millisecond })).Do(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.CloseNow()
	fmt.Println("status", resp.StatusCode)
	// Output:
	// GET /
	// GET /
	// GET /
	// GET /
	// GET /
	// GET /
	// status 101
}

func ExampleAttempt() {
	srv := newExampleServer("X-Attempt")
	defer srv.Close()
	srv.Refuse("503", "404")

	number := func(next http.RoundTripper) http.RoundTripper {
		return reqws.RoundTripFunc(func(req *http.Request) (*http.Response, error) {
			req = req.Clone(req.Context())
			req.Header.Set("X-Attempt", fmt.Sprint(reqws.Attempt(req.Context())))
			return next.RoundTrip(req)
		})
	}
	open(reqws.New(reqws.URL(srv.WS), reqws.Use(number), reqws.Logger(nil),
		reqws.RetryFunc(func(req *http.Request, _ *http.Response, _ error) reqws.RetryDecision {
			if reqws.Attempt(req.Context()) < 2 { // whatever it was
				return reqws.AgainAfter(time.Millisecond)
			}
			return reqws.GiveUp
		})))
	// Output:
	// GET /
	//   X-Attempt: 0
	// GET /
	//   X-Attempt: 1
	// GET /
	//   X-Attempt: 2
}

func ExampleRetryLogLevel() {
	srv := newExampleServer()
	defer srv.Close()
	srv.Refuse("500")

	open(reqws.New(reqws.URL(srv.WS), reqws.RetryLogLevel(slog.LevelInfo), reqws.Logger(logger()),
		reqws.RetryDelay(func(int) time.Duration { return time.Millisecond })))
	// Output:
	// GET /
	// level=INFO msg="reqws: will try again" status=500 delay=1ms attempts_left=3
	// GET /
}

func ExampleLogger() {
	srv := newExampleServer()
	defer srv.Close()

	r := reqws.New(reqws.URL(srv.WS), reqws.RetryDelay(func(int) time.Duration { return time.Millisecond }))
	srv.Refuse("500")
	open(r, reqws.Logger(logger().With("bot", 7)))
	srv.Refuse("500")
	open(r, reqws.Logger(nil)) // silent
	// Output:
	// GET /
	// level=WARN msg="reqws: will try again" bot=7 status=500 delay=1ms attempts_left=3
	// GET /
	// GET /
	// GET /
}
