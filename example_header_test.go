package reqws_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"time"

	"github.com/reqws/reqws"
)

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
