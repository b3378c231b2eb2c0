// Jsonrpc makes JSON-RPC 2.0 calls over a WebSocket, from many goroutines at once. The answers come
// in whatever order the server has them; client.go brings each to the call that waits for it, and is
// there to be copied.
//
//	go run ./examples/jsonrpc
//
// The server is its own, on loopback.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/reqws/reqws"
)

func main() {
	srv := httptest.NewServer(server{})
	defer srv.Close()
	if err := run(context.Background(), os.Stdout, reqws.URL(strings.Replace(srv.URL, "http", "ws", 1))); err != nil {
		log.Fatal(err)
	}
}

// run makes calls of all kinds to the server that opts lead to.
func run(ctx context.Context, out io.Writer, opts ...reqws.Option) error {
	said := make(chan string, 8) // as many as this server says at most
	c, err := Dial(ctx, func(method string, params json.RawMessage) { said <- method + " " + string(params) }, opts...)
	if err != nil {
		return err
	}
	if err := addAll(ctx, c, out); err != nil {
		return err
	}

	// An error of the server's has a code, and the connection goes on.
	var refused *Error
	if err := c.Call(ctx, "divide", []int{1, 0}, nil); !errors.As(err, &refused) {
		return fmt.Errorf("divided by zero: %v", err)
	}
	fmt.Fprintln(out, "divide:", refused)

	// So it does where a caller has waited long enough. The server says in a notification that it
	// sleeps.
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	fmt.Fprintln(out, "sleep:", c.Call(short, "sleep", "a while", nil))
	fmt.Fprintln(out, "notified:", <-said)

	// We may notify, too.
	if err := c.Notify(ctx, "shout", "hello"); err != nil {
		return err
	}
	fmt.Fprintln(out, "notified:", <-said)

	// A call that waits when the connection ends fails with it.
	waits := make(chan error, 1)
	go func() { waits <- c.Call(ctx, "sleep", "for ever", nil) }()
	fmt.Fprintln(out, "notified:", <-said)
	if err := c.Close(); err != nil {
		return err
	}
	fmt.Fprintln(out, "closed while a call waits:", <-waits)
	return nil
}

// addAll calls add from many goroutines, and checks each answer.
func addAll(ctx context.Context, c *Client, out io.Writer) error {
	const calls = 100
	errs := make([]error, calls)
	var wg sync.WaitGroup
	for i := range calls {
		wg.Go(func() {
			var sum int
			if errs[i] = c.Call(ctx, "add", []int{i, 1000}, &sum); errs[i] == nil && sum != i+1000 {
				errs[i] = fmt.Errorf("%d + 1000 = %d", i, sum)
			}
		})
	}
	wg.Wait()
	fmt.Fprintf(out, "add: %d calls at once\n", calls)
	return errors.Join(errs...)
}
