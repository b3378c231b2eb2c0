//go:build linux || darwin

package main

import (
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/matryer/is"

	"github.com/reqws/reqws/reqwstest"
)

// terminal is a person at a pseudo-terminal in which the program runs.
type terminal struct {
	t    *testing.T
	f    *os.File
	wait func() int

	mu      sync.Mutex
	changed *sync.Cond
	shown   strings.Builder
	ended   bool
}

func atTerminal(t *testing.T, args ...string) *terminal {
	t.Helper()
	cmd := program(t, args...)
	f, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 40, Cols: 120})
	is.New(t).NoErr(err)
	x := &terminal{t: t, f: f}
	x.changed = sync.NewCond(&x.mu)
	x.wait = func() int {
		_ = cmd.Wait()
		return cmd.ProcessState.ExitCode()
	}
	t.Cleanup(func() { _ = f.Close() })
	go x.read()
	return x
}

func (x *terminal) read() {
	p := make([]byte, 4096)
	for {
		n, err := x.f.Read(p)
		x.mu.Lock()
		x.shown.Write(p[:n])
		x.ended = err != nil
		x.changed.Broadcast()
		x.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// sees waits until text is on the screen.
func (x *terminal) sees(text string) {
	x.t.Helper()
	late := time.AfterFunc(30*time.Second, func() {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.ended = true
		x.changed.Broadcast()
	})
	defer late.Stop()
	x.mu.Lock()
	defer x.mu.Unlock()
	for !strings.Contains(x.shown.String(), text) {
		if x.ended {
			x.t.Fatalf("%q is not shown: %q", text, x.shown.String())
		}
		x.changed.Wait()
	}
}

func (x *terminal) screen() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.shown.String()
}

func (x *terminal) types(text string) {
	x.t.Helper()
	_, err := io.WriteString(x.f, text)
	is.New(x.t).NoErr(err)
}

// A person types, also while something comes, and leaves with Ctrl-D or with Ctrl-C.
func TestTerminal(t *testing.T) {
	for name, key := range map[string]string{"Ctrl-D": "\x04", "Ctrl-C": "\x03"} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			half := make(chan struct{})
			srv := reqwstest.New(t, reqwstest.Script(
				reqwstest.Accept(), reqwstest.SendText("welcome"),
				reqwstest.ExpectText("hello"), reqwstest.SendText("you said hello"),
				reqwstest.Await(half), reqwstest.SendText("in between"),
				reqwstest.ExpectText("half a line"),
				reqwstest.ExpectClose(1000, ""), reqwstest.SendClose(1000, "")))
			x := atTerminal(t, srv.URL)
			x.sees("welcome")
			x.types("hello\r")
			x.sees("you said hello")
			x.types("half a ")
			x.sees("half a ")
			close(half)
			x.sees("in between")
			x.types("line\r")
			x.types(key)
			is.Equal(x.wait(), 0)
			x.sees("3 in (")
			x.sees("closed with 1000")
			is.True(strings.Contains(x.screen(), green+"<"+plain)) // in colours
		})
	}
}

// A peer cannot do anything with the terminal.
func TestTerminalIsSafe(t *testing.T) {
	is := is.New(t)
	srv := reqwstest.New(t, reqwstest.Script(reqwstest.Accept(),
		reqwstest.SendText("\x1b]0;owned\x07\u202etxt.exe\u009b31m"), reqwstest.SendBinary("\x1b[2J"),
		reqwstest.SendClose(1000, "\x1b[2J"), reqwstest.ExpectCloseCode(1000)))
	x := atTerminal(t, "--no-stdin", "-v", srv.URL)
	is.Equal(x.wait(), 0)
	x.sees(`\u001b]0;owned\u0007\u202etxt.exe\u009b31m`)
	x.sees("1b5b324a")
	x.sees("closed with 1000 \\u001b[2J")
	is.True(!strings.Contains(x.screen(), "\x1b[2J") && !strings.Contains(x.screen(), "\x07"))
}

// A password is asked for, and not shown.
func TestPassword(t *testing.T) {
	is := is.New(t)
	srv := reqwstest.New(t, reqwstest.Script(reqwstest.Accept(), reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, "")))
	x := atTerminal(t, "-u", "me", "--no-stdin", srv.URL)
	x.sees("Password of me: ")
	x.types("pw\r")
	is.Equal(x.wait(), 0)
	is.Equal(srv.Requests()[0].Header.Get("Authorization"), "Basic bWU6cHc=")
	is.True(!strings.Contains(x.screen(), "pw"))
}

// NO_COLOR is heeded.
func TestNoColour(t *testing.T) {
	is := is.New(t)
	srv := reqwstest.New(t, reqwstest.Script(reqwstest.Accept(), reqwstest.SendText("x"), reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, "")))
	t.Setenv("NO_COLOR", "1")
	cmd := program(t, "--no-stdin", srv.URL)
	cmd.Env = append(cmd.Env, "NO_COLOR=1")
	f, err := pty.Start(cmd)
	is.NoErr(err)
	out, _ := io.ReadAll(f) // ends with an error, as terminals do
	_ = cmd.Wait()
	is.True(strings.Contains(string(out), "< x"))
	is.True(!strings.Contains(string(out), "\x1b[3"))
}
