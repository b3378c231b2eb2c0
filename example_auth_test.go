package reqws_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/reqws/reqws"
)

func ExampleAuth() {
	srv := newExampleServer("Authorization")
	defer srv.Close()

	// Any wrapper of an http.RoundTripper can be the one that knows the credentials.
	signed := func(next http.RoundTripper) http.RoundTripper {
		return reqws.RoundTripFunc(func(req *http.Request) (*http.Response, error) {
			req = req.Clone(req.Context())
			req.Header.Set("Authorization", "Room "+req.URL.Path)
			return next.RoundTrip(req)
		})
	}
	open(reqws.New(reqws.URL(srv.WS+"/go"), reqws.Auth(signed)))
	// Output:
	// GET /go
	//   Authorization: Room /go
}

func ExampleBasic() {
	srv := newExampleServer("Authorization")
	defer srv.Close()

	open(reqws.New(reqws.URL(srv.WS), reqws.Auth(reqws.Basic("Aladdin", "open sesame"))))
	// Output:
	// GET /
	//   Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==
}

func ExampleBearer() {
	srv := newExampleServer("Authorization")
	defer srv.Close()

	open(reqws.New(reqws.URL(srv.WS), reqws.Auth(reqws.Bearer("t0ken"))))
	// Output:
	// GET /
	//   Authorization: Bearer t0ken
}

func ExampleAuthHeader() {
	srv := newExampleServer("Authorization")
	defer srv.Close()

	open(reqws.New(reqws.URL(srv.WS), reqws.Auth(reqws.AuthHeader("Bot t0ken"))))
	// Output:
	// GET /
	//   Authorization: Bot t0ken
}

func ExampleAuthFunc() {
	srv := newExampleServer("Authorization")
	defer srv.Close()
	srv.Refuse("503")

	n := 0
	fetch := func(context.Context) (reqws.Step, error) { // asked on each attempt
		n++
		return reqws.Bearer(fmt.Sprint("token-", n)), nil
	}
	open(reqws.New(
		reqws.URL(srv.WS),
		reqws.Auth(reqws.AuthFunc(fetch)),
		reqws.RetryDelay(func(int) time.Duration { return time.Millisecond }),
		reqws.Logger(nil),
	))
	// Output:
	// GET /
	//   Authorization: Bearer token-1
	// GET /
	//   Authorization: Bearer token-2
}

func exampleNetrc() (path string, remove func()) {
	dir, err := os.MkdirTemp("", "netrc")
	if err != nil {
		panic(err)
	}
	path = filepath.Join(dir, "netrc")
	text := "machine 127.0.0.1 login Aladdin password \"open sesame\"\n" +
		"machine 127.0.0.1 login bob port 443 password b0b\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		panic(err)
	}
	return path, func() { os.RemoveAll(dir) }
}

func ExampleNetrc() {
	srv := newExampleServer("Authorization")
	defer srv.Close()
	path, remove := exampleNetrc()
	defer remove()
	defer os.Setenv("NETRC", os.Getenv("NETRC"))
	os.Setenv("NETRC", path)

	open(reqws.New(reqws.URL(srv.WS), reqws.Auth(reqws.Netrc())))
	// Output:
	// GET /
	//   Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==
}

func ExampleNetrcFile() {
	srv := newExampleServer("Authorization")
	defer srv.Close()
	path, remove := exampleNetrc() // machine 127.0.0.1 login Aladdin password "open sesame"
	defer remove()

	open(reqws.New(reqws.URL(srv.WS), reqws.Auth(reqws.NetrcFile(path))))
	// Output:
	// GET /
	//   Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==
}

// The user in the URL chooses among several logins of a machine.
func ExampleNetrcFile_user() {
	srv := newExampleServer("Authorization")
	defer srv.Close()
	path, remove := exampleNetrc() // has another line: machine 127.0.0.1 login bob port 443 password b0b
	defer remove()

	r := reqws.New(reqws.Auth(reqws.NetrcFile(path)))
	open(r, reqws.URL(strings.Replace(srv.WS, "//", "//bob@", 1)))
	open(r, reqws.URL(strings.Replace(srv.WS, "//", "//carol@", 1))) // is not in there
	// Output:
	// GET /
	//   Authorization: Basic Ym9iOmIwYg==
	// GET /
}
