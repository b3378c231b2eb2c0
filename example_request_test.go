package reqws_test

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/reqws/reqws"
)

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
