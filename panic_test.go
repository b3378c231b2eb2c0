package reqws_test

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/reqwstest"
)

// A panic in the handler closes the connection and reaches the caller of Run.
func TestAPanicInTheHandler(t *testing.T) {
	for _, where := range []string{"frames", "error", "open"} {
		t.Run(where, func(t *testing.T) {
			tidy(t)
			is := is.New(t)
			steps := []reqwstest.Step{reqwstest.Accept(), reqwstest.SendText("go"), reqwstest.ExpectGone()}
			if where == "error" {
				steps = []reqwstest.Step{reqwstest.Accept(), reqwstest.Drop()}
			}
			srv := reqwstest.New(t, reqwstest.Script(steps...))
			var resp *reqws.Response
			func() {
				defer func() { is.Equal(recover(), "oops") }()
				_ = to(srv,
					reqws.OnOpen(func(r *reqws.Response) reqws.Directive {
						if resp = r; where == "open" {
							panic("oops")
						}
						return reqws.Cont()
					}),
				).Run(t.Context(), reqws.Into(func(reqws.Event, *reqws.Response) reqws.Directive { panic("oops") }))
				t.Error("Run returned")
			}()
			<-resp.Done()
			is.True(resp.Wait() != nil)
			is.True(resp.Send(t.Context(), reqws.Text("x")) != nil)
			is.NoErr(resp.Close(1000, ""))
		})
	}
}

// The same holds where the handler ends its goroutine.
func TestGoexitInTheHandler(t *testing.T) {
	for _, where := range []string{"frames", "open"} {
		t.Run(where, func(t *testing.T) {
			tidy(t)
			is := is.New(t)
			srv := reqwstest.New(t, reqwstest.Script(reqwstest.Accept(), reqwstest.SendText("go"), reqwstest.ExpectGone()))
			opened := make(chan *reqws.Response, 1)
			go func() {
				_ = to(srv,
					reqws.OnOpen(func(r *reqws.Response) reqws.Directive {
						if opened <- r; where == "open" {
							runtime.Goexit()
						}
						return reqws.Cont()
					}),
				).Run(t.Context(), reqws.Into(func(reqws.Event, *reqws.Response) reqws.Directive {
					runtime.Goexit()
					return reqws.Cont()
				}))
				t.Error("Run returned")
			}()
			resp := <-opened
			<-resp.Done()
			is.True(resp.Wait() != nil)
		})
	}
}

// In the background it ends the stream, and that is all.
func TestGoexitInTheBackground(t *testing.T) {
	tidy(t)
	is := is.New(t)
	srv := reqwstest.New(t, reqwstest.Script(reqwstest.Accept(), reqwstest.SendText("go"), reqwstest.ExpectGone()))
	resp, err := to(srv).Do(t.Context(), reqws.Into(func(reqws.Event, *reqws.Response) reqws.Directive {
		runtime.Goexit()
		return reqws.Cont()
	}))
	is.NoErr(err)
	is.True(resp.Wait() != nil)
}

// After Do there is nobody above the handler: its panic ends the program, as any
// panic of a goroutine does. The program is this test's, run again.
func TestAPanicInTheBackground(t *testing.T) {
	const child = "REQWS_TEST_PANIC"
	if url := os.Getenv(child); url != "" {
		resp, err := reqws.New(reqws.URL(url)).Do(t.Context(), reqws.Into(func(reqws.Event, *reqws.Response) reqws.Directive {
			panic("oops in the background")
		}))
		fmt.Println(resp.Wait(), err)
		select {} // the panic is about to end the process
	}
	is := is.New(t)
	srv := reqwstest.New(t, reqwstest.Script(reqwstest.Accept(), reqwstest.SendText("go"), reqwstest.ExpectGone()))
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestAPanicInTheBackground$")
	cmd.Env = append(os.Environ(), child+"="+srv.URL)
	out, err := cmd.CombinedOutput()
	is.True(err != nil)
	is.True(strings.Contains(string(out), "panic: oops in the background"))
	is.True(strings.Contains(string(out), "TestAPanicInTheBackground.func1")) // the stack shows where
}
