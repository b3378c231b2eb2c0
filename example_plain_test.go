package reqws_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/reqws/reqws"
)

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

// The answer to a plain http URL comes in chunks, through the same steps.
func ExampleRequest_Run_plainHTTP() {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "event: hello\n")
	}))
	defer srv.Close()

	err := reqws.New(reqws.URL(srv.URL)).Run(context.Background(),
		reqws.Into(reqws.Each(func(f reqws.Frame) reqws.Directive {
			fmt.Print(f.Kind, ": ", f.Text())
			return reqws.Cont()
		})))
	fmt.Println(err)
	// Output:
	// chunk: event: hello
	// <nil>
}

// A handshake that was refused is an answer of Do. Run makes it an error.
func ExampleHTTPError() {
	srv := httptest.NewServer(http.NotFoundHandler())
	defer srv.Close()
	req := reqws.New(reqws.URL(wsURL(srv)), show)

	err := req.Run(context.Background())
	var refused *reqws.HTTPError
	if errors.As(err, &refused) {
		fmt.Println(refused.StatusCode, refused.URL == wsURL(srv)+"/")
		fmt.Printf("%s", refused.Body)
	}
	fmt.Println(strings.Replace(err.Error(), wsURL(srv), "ws://host", 1))
	// Output:
	// 404 true
	// 404 page not found
	// reqws: handshake: ws://host/: refused with status 404 Not Found: 404 page not found
}
