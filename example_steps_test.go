package reqws_test

import (
	"fmt"
	"net/http"
	"time"

	"github.com/reqws/reqws"
)

// Auth

// Redirect

// Retry

func ExampleUse() {
	srv := newExampleServer("X-Request-Id")
	defer srv.Close()

	requestID := func(next http.RoundTripper) http.RoundTripper {
		return reqws.RoundTripFunc(func(req *http.Request) (*http.Response, error) {
			req = req.Clone(req.Context())
			req.Header.Set("X-Request-Id", "42")
			resp, err := next.RoundTrip(req)
			if err == nil {
				fmt.Println("answer:", resp.StatusCode)
			}
			return resp, err
		})
	}
	open(reqws.New(reqws.URL(srv.WS), reqws.Use(requestID)))
	// Output:
	// GET /
	//   X-Request-Id: 42
	// answer: 101
}

// A step finds the template of the path in Pattern: one name for all rooms.
func ExampleUse_pattern() {
	srv := newExampleServer()
	defer srv.Close()

	count := func(next http.RoundTripper) http.RoundTripper {
		return reqws.RoundTripFunc(func(req *http.Request) (*http.Response, error) {
			fmt.Println("counts as", req.Pattern)
			return next.RoundTrip(req)
		})
	}
	open(reqws.New(reqws.URL(srv.WS+"/rooms/:room"), reqws.PathParams(map[string]any{"room": "go"}), reqws.Use(count)))
	// Output:
	// counts as /rooms/:room
	// GET /rooms/go
}

// An outer step sees one exchange, however many attempts and redirects are behind it.
func ExampleUseOuter() {
	srv := newExampleServer()
	defer srv.Close()
	srv.Refuse("503", "302 /there")

	outcome := func(next http.RoundTripper) http.RoundTripper {
		return reqws.RoundTripFunc(func(req *http.Request) (*http.Response, error) {
			resp, err := next.RoundTrip(req)
			if err == nil {
				fmt.Println("in the end:", resp.StatusCode, resp.Request.URL.Path)
			}
			return resp, err
		})
	}
	open(reqws.New(reqws.URL(srv.WS+"/here"), reqws.UseOuter(outcome), reqws.Logger(nil),
		reqws.RetryDelay(func(int) time.Duration { return time.Millisecond })))
	// Output:
	// GET /here
	// GET /here
	// GET /there
	// in the end: 101 /there
}
