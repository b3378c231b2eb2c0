package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/matryer/is"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/reqwstest"
)

// TestMain is the program itself in a child process of the tests.
func TestMain(m *testing.M) {
	if os.Getenv("CHAT_CHILD") != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child starts the program with the arguments.
func child(t *testing.T, args ...string) (cmd *exec.Cmd, in io.WriteCloser, out *bufio.Reader) {
	t.Helper()
	is := is.New(t)
	exe, err := os.Executable()
	is.NoErr(err)
	cmd = exec.CommandContext(t.Context(), exe, args...)
	cmd.Env = append(os.Environ(), "CHAT_CHILD=1")
	cmd.Stderr = new(bytes.Buffer)
	in, err = cmd.StdinPipe()
	is.NoErr(err)
	stdout, err := cmd.StdoutPipe()
	is.NoErr(err)
	is.NoErr(cmd.Start())
	return cmd, in, bufio.NewReader(stdout)
}

// says reads a line of the program's.
func says(t *testing.T, out *bufio.Reader, want string) {
	t.Helper()
	line, err := out.ReadString('\n')
	is := is.New(t)
	is.NoErr(err)
	is.Equal(line, want+"\n")
}

func TestCtrlC(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no program can send another one Ctrl-C there")
	}
	is := is.New(t)
	srv := reqwstest.New(t, reqwstest.Script(reqwstest.Accept(), reqwstest.SendText("welcome"), reqwstest.ExpectText("hi"), reqwstest.SendText("hi yourself"),
		reqwstest.ExpectClose(1001, "interrupted"), reqwstest.SendClose(1001, "")))
	cmd, in, out := child(t, srv.URL)
	says(t, out, "welcome")
	_, err := io.WriteString(in, "hi\n")
	is.NoErr(err)
	says(t, out, "hi yourself")
	is.NoErr(cmd.Process.Signal(os.Interrupt))
	rest, err := io.ReadAll(out)
	is.NoErr(err)
	is.Equal(string(rest), "")
	is.NoErr(cmd.Wait()) // exit code 0
}

// The second Ctrl-C does not wait for a server that says no goodbye.
func TestCtrlCTwice(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no program can send another one Ctrl-C there")
	}
	is := is.New(t)
	closing := make(chan struct{})
	srv := reqwstest.New(t, reqwstest.Script(reqwstest.Accept(), reqwstest.SendText("welcome"),
		reqwstest.ExpectClose(1001, "interrupted"), reqwstest.Do(func(*reqwstest.Conn) error { close(closing); return nil }), reqwstest.ExpectGone()))
	cmd, _, out := child(t, srv.URL)
	says(t, out, "welcome")
	is.NoErr(cmd.Process.Signal(os.Interrupt))
	<-closing
	_ = cmd.Process.Signal(os.Interrupt) // or it has waited for long enough by itself
	is.True(cmd.Wait() != nil)
}

func TestParrot(t *testing.T) {
	is := is.New(t)
	cmd, in, out := child(t)
	says(t, out, "Hello! Type something, and Ctrl-D to leave.")
	_, err := io.WriteString(in, "hi\n")
	is.NoErr(err)
	says(t, out, "parrot: hi")
	is.NoErr(in.Close()) // Ctrl-D
	is.NoErr(cmd.Wait())
}

func TestCannotConnect(t *testing.T) {
	is := is.New(t)
	srv := reqwstest.New(t, reqwstest.Script(reqwstest.Refuse(403, nil, "")))
	cmd, _, out := child(t, srv.URL)
	_, err := out.ReadString('\n')
	is.Equal(err, io.EOF)
	var exit *exec.ExitError
	is.True(errors.As(cmd.Wait(), &exit))
	is.Equal(exit.ExitCode(), 1)
	is.True(strings.HasPrefix(cmd.Stderr.(*bytes.Buffer).String(), "chat: reqws: handshake: "))
}

// locked is an output for the handler and the test.
type locked struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func TestChat(t *testing.T) {
	bye := []reqwstest.Step{reqwstest.SendClose(1000, "bye"), reqwstest.ExpectClose(1000, "")}
	for _, c := range []struct {
		name   string
		typed  string // and then no more comes
		script []reqwstest.Step
		out    string
		err    string
	}{
		{"lines, and the end of them", "one\n\nthree",
			[]reqwstest.Step{reqwstest.ExpectText("one"), reqwstest.ExpectText(""), reqwstest.ExpectText("three"),
				reqwstest.ExpectClose(1000, ""), reqwstest.SendClose(1000, "")}, "", ""},
		{"no lines", "", []reqwstest.Step{reqwstest.ExpectClose(1000, ""), reqwstest.SendClose(1000, "")}, "", ""},
		{"what is no UTF-8", "a\xffb\n",
			[]reqwstest.Step{reqwstest.ExpectText("a\uFFFDb"), reqwstest.ExpectClose(1000, ""), reqwstest.SendClose(1000, "")}, "", ""},
		{"the server closes", "-", append([]reqwstest.Step{reqwstest.SendText("hi"), reqwstest.SendBinary("x"), reqwstest.SendPing("p"), reqwstest.ExpectPong("p")}, bye...),
			"hi\nthe server says goodbye: close 1000 \"bye\"\n", ""},
		{"what would paint the terminal", "-", append([]reqwstest.Step{reqwstest.SendText("\x1b[31mré\td\u009b\r\n")}, bye...),
			"[31mré\td\nthe server says goodbye: close 1000 \"bye\"\n", ""},
		{"the connection is lost", "-", []reqwstest.Step{reqwstest.SendText("hi"), reqwstest.Drop()}, "hi\n", "unexpected EOF"},
		{"the server goes away", "-", []reqwstest.Step{reqwstest.SendClose(1001, "restart"), reqwstest.ExpectClose(1001, "")},
			"the server says goodbye: close 1001 \"restart\"\n", "StatusGoingAway"},
		{"the server says no goodbye", "", []reqwstest.Step{reqwstest.ExpectClose(1000, ""), reqwstest.ExpectGone()}, "", "did not answer the close frame"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				is := is.New(t)
				srv := reqwstest.NewMemory(t, reqwstest.Script(append([]reqwstest.Step{reqwstest.Accept()}, c.script...)...))
				var in io.Reader = strings.NewReader(c.typed)
				if c.typed == "-" { // somebody who types nothing
					r, w := io.Pipe()
					defer w.Close()
					in = r
				}
				var out locked
				err := chat(t.Context(), in, &out, reqws.URL(srv.URL), reqws.DialContext(srv.DialContext))
				if c.err == "" {
					is.NoErr(err)
				} else {
					is.True(err != nil)
					is.True(strings.Contains(err.Error(), c.err))
				}
				is.Equal(out.buf.String(), c.out)
			})
		})
	}
}

// Ctrl-C while it connects gives that up.
func TestInterruptedWhileConnecting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		ctx, cancel := context.WithCancel(t.Context())
		srv := reqwstest.NewMemory(t, reqwstest.Script(
			reqwstest.Do(func(c *reqwstest.Conn) error { _, err := c.ReadRequest(); cancel(); return err }), reqwstest.ExpectGone()))
		err := chat(ctx, strings.NewReader(""), io.Discard, reqws.URL(srv.URL), reqws.DialContext(srv.DialContext))
		is.True(errors.Is(err, context.Canceled))
	})
}
