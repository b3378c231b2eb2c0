package reqws_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/reqws/reqws"
)

func ExampleRedirect() {
	srv := newExampleServer()
	defer srv.Close()

	srv.Refuse("307 /there")
	open(reqws.New(reqws.URL(srv.WS + "/here")))
	srv.Refuse("307 /there")
	open(reqws.New(reqws.URL(srv.WS+"/here"), reqws.Redirect(false)))
	// Output:
	// GET /here
	// GET /there
	// GET /here
	// status 307
}

func ExampleRedirectTrusted() {
	other := newExampleServer("Authorization")
	defer other.Close()
	srv := newExampleServer("Authorization")
	defer srv.Close()

	r := reqws.New(reqws.URL(srv.WS+"/here"), reqws.Auth(reqws.Bearer("t0ken")))
	for _, trusted := range []bool{false, true} {
		srv.Refuse("307 " + other.URL + "/there")
		open(r, reqws.RedirectTrusted(trusted))
	}
	// Output:
	// GET /here
	//   Authorization: Bearer t0ken
	// GET /there
	// GET /here
	//   Authorization: Bearer t0ken
	// GET /there
	//   Authorization: Bearer t0ken
}

func ExampleMaxRedirects() {
	srv := newExampleServer()
	defer srv.Close()
	srv.Refuse("302 /a", "302 /b", "302 /c")

	_, err := reqws.New(reqws.URL(srv.WS), reqws.MaxRedirects(2)).Do(context.Background())
	fmt.Println(errors.Is(err, reqws.ErrTooManyRedirects))
	// Output:
	// GET /
	// GET /a
	// GET /b
	// true
}

func ExampleRedirectLogLevel() {
	srv := newExampleServer()
	defer srv.Close()
	srv.Refuse("302 /a")

	open(reqws.New(reqws.URL(srv.WS), reqws.RedirectLogLevel(slog.LevelInfo), reqws.Logger(logger())))
	// Output:
	// GET /
	// level=INFO msg="reqws: redirect" status=302
	// GET /a
}

// A step that sets a secret by itself asks where it goes.
func ExampleForeign() {
	other := newExampleServer("X-Tenant-Secret")
	defer other.Close()
	srv := newExampleServer("X-Tenant-Secret")
	defer srv.Close()
	srv.Refuse("307 " + other.URL + "/there")

	tenant := func(next http.RoundTripper) http.RoundTripper {
		return reqws.RoundTripFunc(func(req *http.Request) (*http.Response, error) {
			if !reqws.Foreign(req.Context()) {
				req = req.Clone(req.Context())
				req.Header.Set("X-Tenant-Secret", "42")
			}
			return next.RoundTrip(req)
		})
	}
	open(reqws.New(reqws.URL(srv.WS+"/here"), reqws.Use(tenant)))
	// Output:
	// GET /here
	//   X-Tenant-Secret: 42
	// GET /there
}
