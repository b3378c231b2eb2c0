package reqws_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/cenkalti/backoff/v4"
	"github.com/coder/websocket"

	"github.com/reqws/reqws"
)

// exampleServer accepts WebSockets and answers plain requests with "ok". It
// prints what it is asked for, with the headers named. Refuse makes it answer with
// other statuses first, such as "302 /there".
type exampleServer struct {
	*httptest.Server
	WS      string // its URL, as ws
	headers []string

	mu     sync.Mutex
	refuse []string
}

func newExampleServer(headers ...string) *exampleServer {
	s := &exampleServer{headers: headers}
	s.Server = httptest.NewServer(s)
	s.WS = "ws" + strings.TrimPrefix(s.URL, "http")
	return s
}

func (s *exampleServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	fmt.Println(r.Method, r.RequestURI)
	for _, name := range s.headers {
		if value := r.Header.Get(name); value != "" {
			fmt.Printf("  %s: %s\n", name, value)
		}
	}
	if status, location := s.refusal(); status != 0 {
		if location != "" {
			w.Header().Set("Location", location)
		}
		w.WriteHeader(status)
		return
	}
	if r.Header.Get("Upgrade") == "" {
		fmt.Fprint(w, "ok")
		return
	}
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"v1"}, InsecureSkipVerify: true})
	if err != nil {
		return
	}
	defer conn.CloseNow()
	conn.Read(r.Context())
}

// Refuse sets the answers to the next requests.
func (s *exampleServer) Refuse(answers ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = answers
}

func (s *exampleServer) refusal() (status int, location string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.refuse) > 0 {
		fmt.Sscan(s.refuse[0], &status, &location)
		s.refuse = s.refuse[1:]
	}
	return status, location
}

// open executes r and says what came of it.
func open(r *reqws.Request, opts ...reqws.Option) {
	resp, err := r.Do(context.Background(), opts...)
	var refused *reqws.HTTPError
	if errors.As(err, &refused) {
		fmt.Println("status", refused.StatusCode)
		return
	}
	if err != nil {
		fmt.Println("failed:", errors.Unwrap(err))
		return
	}
	defer resp.CloseNow()
	if resp.StatusCode != http.StatusSwitchingProtocols {
		fmt.Println("status", resp.StatusCode)
	}
}

// logger writes lines without the time, and without the URL, whose port differs.
func logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			switch a.Key {
			case slog.TimeKey, "url", "from", "to":
				return slog.Attr{}
			}
			return a
		},
	}))
}

// Request

func ExampleURL() {
	srv := newExampleServer()
	defer srv.Close()

	open(reqws.New(reqws.URL(srv.WS + "/rooms/go")))
	// Output: GET /rooms/go
}

func ExampleBaseURL() {
	srv := newExampleServer()
	defer srv.Close()

	api := reqws.New(reqws.BaseURL(srv.WS + "/v1/"))
	open(api, reqws.URL("/rooms"))
	open(api, reqws.URL("users"))
	// Output:
	// GET /v1/rooms
	// GET /v1/users
}

func ExampleBaseURLFunc() {
	srv := newExampleServer()
	defer srv.Close()

	version := 0
	api := reqws.New(
		reqws.BaseURLFunc(func() string {
			version++
			return fmt.Sprintf("%s/v%d", srv.WS, version)
		}),
		reqws.URL("rooms"),
	)
	open(api)
	open(api)
	// Output:
	// GET /v1/rooms
	// GET /v2/rooms
}

func ExampleHeader() {
	srv := newExampleServer("X-User-Id", "If-Modified-Since")
	defer srv.Close()

	open(reqws.New(
		reqws.URL(srv.WS),
		reqws.Header("x_user_id", 7),
		reqws.Header("if_modified_since", time.Date(2024, 5, 1, 10, 0, 0, 0, time.UTC)),
	))
	// Output:
	// GET /
	//   X-User-Id: 7
	//   If-Modified-Since: Wed, 01 May 2024 10:00:00 GMT
}

func ExampleHeaders() {
	srv := newExampleServer("Origin", "Cookie")
	defer srv.Close()

	open(reqws.New(reqws.URL(srv.WS), reqws.Headers(http.Header{
		"Origin": {"https://example.com"},
		"Cookie": {"a=1; b=2"},
	})))
	// Output:
	// GET /
	//   Origin: https://example.com
	//   Cookie: a=1; b=2
}

func ExampleParams() {
	srv := newExampleServer()
	defer srv.Close()

	open(reqws.New(reqws.URL(srv.WS+"/?v=2"), reqws.Params(map[string]any{
		"topics": []string{"trades", "books"},
		"depth":  10,
		"since":  nil,
	})))
	// Output: GET /?v=2&depth=10&topics=trades&topics=books
}

// Options of a base Request stay, but for those that are given anew or taken back.
func ExampleParams_givenTwice() {
	srv := newExampleServer()
	defer srv.Close()

	api := reqws.New(reqws.URL(srv.WS), reqws.Params(map[string]any{"key": "k3y", "depth": 10, "v": 1}))
	open(api, reqws.Params(map[string]any{"topic": "trades", "depth": 5, "v": nil}))
	// Output: GET /?depth=5&key=k3y&topic=trades
}

// Pointers, times, JSON and floats are written as people write them.
func ExampleParam_values() {
	srv := newExampleServer()
	defer srv.Close()

	since := time.Date(2024, 5, 1, 10, 0, 0, 0, time.UTC)
	open(reqws.New(
		reqws.URL(srv.WS),
		reqws.Param("since", &since),
		reqws.Param("below", 1.7e12),
		reqws.Param("only", json.RawMessage("[1]")),
	))
	// Output: GET /?since=2024-05-01T10%3A00%3A00Z&below=1700000000000&only=%5B1%5D
}

func ExampleParam() {
	srv := newExampleServer()
	defer srv.Close()

	r := reqws.New(reqws.URL(srv.WS), reqws.Param("topic", "trades"))
	open(r, reqws.Param("topic", "books & more"))
	// Output: GET /?topic=trades&topic=books+%26+more
}

func ExamplePathParams() {
	srv := newExampleServer()
	defer srv.Close()

	r := reqws.New(reqws.URL(srv.WS + "/rooms/:room/seats/:seat"))
	open(r, reqws.PathParams(map[string]any{"room": "go/lang", "seat": 7}))
	open(r, reqws.PathParams(map[string]any{"room": ".."}))
	open(r, reqws.PathParams(map[string]any{"room": "go", "seet": 7}))
	// Output:
	// GET /rooms/go%2Flang/seats/7
	// failed: option PathParams: the values of :room make the path segment ".."
	// failed: option PathParams: the path does not use seet, and has no value for :seat
}

func ExamplePathParamsStyle() {
	srv := newExampleServer()
	defer srv.Close()

	open(reqws.New(
		reqws.URL(srv.WS+"/rooms/{room}/12:30"),
		reqws.PathParamsStyle(reqws.Curly),
		reqws.PathParams(map[string]any{"room": "go"}),
	))
	// Output: GET /rooms/go/12:30
}

func ExampleMethod() {
	srv := newExampleServer()
	defer srv.Close()

	resp, err := reqws.New(reqws.URL(srv.URL+"/rooms/go"), reqws.Method("DELETE")).Do(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(resp.StatusCode, string(resp.Body))
	// Output:
	// DELETE /rooms/go
	// 200 ok
}

func ExampleBody() {
	srv := newExampleServer("Content-Type", "Content-Length")
	defer srv.Close()
	srv.Refuse("303 /done") // which is asked for with a GET, and without the body

	open(reqws.New(
		reqws.URL(srv.URL+"/notes"),
		reqws.Method("POST"),
		reqws.Body("text/plain; charset=utf-8", []byte("remember the milk")),
	))
	// Output:
	// POST /notes
	//   Content-Type: text/plain; charset=utf-8
	//   Content-Length: 17
	// GET /done
	// status 200
}

func ExampleJSONBody() {
	srv := newExampleServer("Content-Type", "Content-Length")
	defer srv.Close()

	// Many a WebSocket needs a ticket first. The options that both have in common
	// are those of one Request.
	api := reqws.New(reqws.BaseURL(srv.URL), reqws.Header("X-Tenant", "acme"))
	resp, err := api.Do(context.Background(),
		reqws.URL("tickets"),
		reqws.Method("POST"),
		reqws.JSONBody(map[string]any{"room": "go"}),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	ticket := string(resp.Body)
	open(api, reqws.URL(srv.WS+"/rooms/go"), reqws.Param("ticket", ticket))
	// Output:
	// POST /tickets
	//   Content-Type: application/json
	//   Content-Length: 13
	// GET /rooms/go?ticket=ok
}

func ExampleCookieJar() {
	srv := newExampleServer("Cookie")
	defer srv.Close()
	login := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "session", Value: "7"})
	}))
	defer login.Close()

	// One jar for an http.Client, which may log in, and for the WebSocket.
	jar, err := cookiejar.New(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	client := &http.Client{Jar: jar}
	resp, err := client.Get(login.URL) // cookies know hosts, not ports
	if err != nil {
		fmt.Println(err)
		return
	}
	resp.Body.Close()
	open(reqws.New(reqws.URL(srv.WS+"/rooms/go"), reqws.CookieJar(jar)))
	// Output:
	// GET /rooms/go
	//   Cookie: session=7
}

func ExampleSubprotocols() {
	srv := newExampleServer("Sec-WebSocket-Protocol")
	defer srv.Close()

	resp, err := reqws.New(reqws.URL(srv.WS), reqws.Subprotocols("v2", "v1")).Do(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.CloseNow()
	fmt.Println("chosen:", resp.Subprotocol)
	// Output:
	// GET /
	//   Sec-WebSocket-Protocol: v2,v1
	// chosen: v1
}

func ExampleSecretSubprotocol() {
	srv := newExampleServer("Sec-WebSocket-Protocol")
	defer srv.Close()

	resp, err := reqws.New(
		reqws.URL(srv.WS),
		reqws.Subprotocols("v1"),
		reqws.SecretSubprotocol("base64url.bearer.authorization.k8s.io.dDBrZW4"),
	).Do(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.CloseNow()
	fmt.Println("chosen:", resp.Subprotocol)
	fmt.Println("shown:", resp.Request.Header.Get("Sec-WebSocket-Protocol"))
	// Output:
	// GET /
	//   Sec-WebSocket-Protocol: v1,base64url.bearer.authorization.k8s.io.dDBrZW4
	// chosen: v1
	// shown: v1, REDACTED
}

// Auth

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

// AWS

func ExampleAWSSigV4() {
	srv := newExampleServer("X-Amz-Date", "X-Amz-Security-Token")
	defer srv.Close()

	open(reqws.New(
		reqws.URL(srv.WS+"/production"),
		reqws.AWSSigV4(reqws.SigV4{
			AccessKeyID:     "AKIDEXAMPLE",
			SecretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
			SessionToken:    "session",
			Service:         "execute-api",
			Region:          "eu-central-1",
			Time:            func() time.Time { return time.Date(2024, 5, 1, 10, 11, 12, 0, time.UTC) },
		}),
	))
	// Output:
	// GET /production
	//   X-Amz-Date: 20240501T101112Z
	//   X-Amz-Security-Token: session
}

// A presigned URL, as AWS IoT Core asks for it, with credentials from a
// provider: that of the SDK's configuration, say.
func ExampleAWSSigV4_presign() {
	srv := newExampleServer()
	defer srv.Close()
	provider := aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", SessionToken: "session"}, nil
	})

	resp, err := reqws.New(
		reqws.URL(srv.URL+"/mqtt"),
		reqws.AWSSigV4(reqws.SigV4{
			Credentials:       provider,
			Service:           "iotdevicegateway",
			Presign:           time.Hour,
			TokenAfterSigning: true,
		}),
		reqws.Transport(reqws.RoundTripFunc(func(req *http.Request) (*http.Response, error) {
			q := req.URL.Query()
			fmt.Println("valid for", q.Get("X-Amz-Expires"), "s; signed:", q.Get("X-Amz-SignedHeaders"))
			fmt.Println("token at the end:", strings.HasSuffix(req.URL.RawQuery, "&X-Amz-Security-Token=session"))
			return &http.Response{StatusCode: http.StatusNoContent, Body: http.NoBody, Request: req}, nil
		})),
	).Do(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(resp.StatusCode, resp.Request.URL.Query().Get("X-Amz-Signature"))
	// Output:
	// valid for 3600 s; signed: host
	// token at the end: true
	// 204 REDACTED
}

// Redirect

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

// Errors

func ExampleHTTPErrors() {
	srv := newExampleServer()
	defer srv.Close()
	srv.Refuse("401", "401")
	r := reqws.New(reqws.URL(srv.WS))

	_, err := r.Do(context.Background())
	var refused *reqws.HTTPError
	if errors.As(err, &refused) {
		fmt.Println("refused with", refused.StatusCode)
	}

	resp, err := r.Do(context.Background(), reqws.HTTPErrors(reqws.ReturnErrors))
	fmt.Println(resp.StatusCode, err)
	fmt.Println(errors.As(resp.Wait(), &refused))
	// Output:
	// GET /
	// refused with 401
	// GET /
	// 401 <nil>
	// true
}

// Retry

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

// Steps

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

// A plugin is a function that returns Options.
func ExampleOptions() {
	srv := newExampleServer("Authorization", "X-Tenant")
	defer srv.Close()

	tenant := func(name, token string) reqws.Option {
		return reqws.Options(
			reqws.BaseURL(srv.WS+"/"+name),
			reqws.Header("X-Tenant", name),
			reqws.Auth(reqws.Bearer(token)),
		)
	}
	open(reqws.New(tenant("acme", "t0ken"), reqws.URL("rooms")))
	// Output:
	// GET /acme/rooms
	//   Authorization: Bearer t0ken
	//   X-Tenant: acme
}
