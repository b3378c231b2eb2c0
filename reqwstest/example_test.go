package reqwstest_test

import (
	"context"
	"fmt"

	"github.com/coder/websocket"

	"github.com/reqws/reqws/reqwstest"
)

// greet is the client under test: it greets whoever it is told of.
func greet(ctx context.Context, url string) error {
	conn, _, err := websocket.Dial(ctx, url, nil)
	if err != nil {
		return err
	}
	defer conn.CloseNow()
	_, name, err := conn.Read(ctx)
	if err != nil {
		return err
	}
	return conn.Write(ctx, websocket.MessageText, []byte("Hi, "+string(name)))
}

// testGreet would be func TestGreet(t *testing.T) in a test.
func testGreet(t reqwstest.TB) {
	srv := reqwstest.New(t, reqwstest.Script(
		reqwstest.Accept(),
		reqwstest.SendText("world"),
		reqwstest.ExpectText("Hello, world"),
	))
	if err := greet(context.Background(), srv.URL); err != nil {
		t.Errorf("%v", err)
	}
}

func Example() {
	t := &printer{}
	testGreet(t)
	t.end()
	// Output:
	// reqwstest: connection 1, step 3 ExpectText("Hello, world") (example_test.go:31): want text "Hello, world", got text "Hi, world"
}

// printer stands in for *testing.T, which an example does not have.
type printer struct{ cleanups []func() }

func (p *printer) Helper()                   {}
func (p *printer) Cleanup(f func())          { p.cleanups = append(p.cleanups, f) }
func (p *printer) Errorf(f string, a ...any) { fmt.Printf(f+"\n", a...) }
func (p *printer) Fatalf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }
func (p *printer) Failed() bool              { return false }

func (p *printer) end() {
	for len(p.cleanups) > 0 {
		last := len(p.cleanups) - 1
		p.cleanups[last]()
		p.cleanups = p.cleanups[:last]
	}
}
