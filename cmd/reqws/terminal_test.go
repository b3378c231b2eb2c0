//go:build linux || darwin

package main

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/matryer/is"

	"github.com/reqws/reqws/reqwstest"
)

// terminal is the tool on a pseudo-terminal.
type terminal struct {
	t   *testing.T
	pty *os.File
	cmd *exec.Cmd

	mu     sync.Mutex
	screen strings.Builder
	more   chan struct{} // something came
	closed chan struct{} // nothing comes any more
}

func startTerminal(t *testing.T, env []string, args ...string) *terminal {
	t.Helper()
	cmd := exec.Command(binary, args...)
	cmd.Env = environment(env...)
	f, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 80})
	if err != nil {
		t.Fatal(err)
	}
	x := &terminal{t: t, pty: f, cmd: cmd, more: make(chan struct{}, 1), closed: make(chan struct{})}
	go x.read()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the screen: %q", x.text())
		}
		_ = cmd.Process.Kill()
		f.Close()
		<-x.closed
	})
	return x
}

func (x *terminal) read() {
	defer close(x.closed)
	buf := make([]byte, 4096)
	for {
		n, err := x.pty.Read(buf)
		x.mu.Lock()
		x.screen.Write(buf[:n])
		x.mu.Unlock()
		select {
		case x.more <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

func (x *terminal) text() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.screen.String()
}

// sees waits until a text is on the screen.
func (x *terminal) sees(text string) {
	x.t.Helper()
	deadline := time.After(20 * time.Second)
	for !strings.Contains(x.text(), text) {
		select {
		case <-x.more:
		case <-deadline:
			x.t.Fatalf("no %q on the screen", text)
		}
	}
}

func (x *terminal) types(keys string) {
	x.t.Helper()
	if _, err := x.pty.WriteString(keys); err != nil {
		x.t.Fatal(err)
	}
}

// ends waits for the end, and returns the exit code.
func (x *terminal) ends() int {
	x.t.Helper()
	done := make(chan error, 1)
	go func() { done <- x.cmd.Wait() }()
	select {
	case err := <-done:
		<-x.closed
		if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
			x.t.Fatal(err)
		}
		return x.cmd.ProcessState.ExitCode()
	case <-time.After(20 * time.Second):
		x.t.Fatal("it does not end")
		return 0
	}
}

const ctrlC, ctrlD = "\x03", "\x04"

// A line is typed while messages come: they are printed above it, and it is sent whole.
func TestTypingWhileReceiving(t *testing.T) {
	is := is.New(t)
	typed := make(chan struct{})
	srv := reqwstest.New(t, reqwstest.Script(
		reqwstest.Accept(), reqwstest.Await(typed), reqwstest.SendText("between"),
		reqwstest.ExpectText("half and half"), reqwstest.SendText("answer"),
		reqwstest.ExpectClose(1000, ""), reqwstest.SendClose(1000, ""),
	))
	x := startTerminal(t, nil, srv.URL)
	x.sees("> ")
	x.types("half and ")
	x.sees("half and ")
	close(typed)
	x.sees("between")
	x.types("half\r")
	x.sees("answer")
	is.True(strings.Contains(x.text(), cyan+"answer"+plain)) // coloured
	x.types(ctrlD)
	is.Equal(x.ends(), 0)
	is.True(strings.Contains(x.text(), "closed with 1000")) // the summary
}

func TestCtrlC(t *testing.T) {
	is := is.New(t)
	srv := reqwstest.New(t, reqwstest.Script(reqwstest.Accept(), reqwstest.SendText("hello"), reqwstest.ExpectClose(1000, ""), reqwstest.SendClose(1000, "")))
	x := startTerminal(t, nil, srv.URL)
	x.sees("hello")
	x.types("unfinished" + ctrlC)
	is.Equal(x.ends(), 0)
}

// The second Ctrl-C waits for nobody.
func TestCtrlCTwice(t *testing.T) {
	is := is.New(t)
	closing := make(chan struct{})
	srv := reqwstest.New(t, reqwstest.Script(reqwstest.Accept(), reqwstest.SendText("hello"), reqwstest.ExpectClose(1000, ""),
		reqwstest.Do(func(*reqwstest.Conn) error { close(closing); return nil }), reqwstest.ExpectGone()))
	x := startTerminal(t, nil, "--close-timeout", "1h", srv.URL)
	x.sees("hello")
	x.types(ctrlC)
	<-closing
	x.types(ctrlC)
	is.Equal(x.ends(), exitInterrupted)
}

func TestCtrlCWhileConnecting(t *testing.T) {
	is := is.New(t)
	came := make(chan struct{})
	srv := reqwstest.New(t, reqwstest.Script(reqwstest.Do(func(c *reqwstest.Conn) error {
		_, err := c.ReadRequest()
		close(came)
		return err
	}), reqwstest.ExpectGone()))
	x := startTerminal(t, nil, srv.URL)
	<-came
	x.types(ctrlC)
	is.Equal(x.ends(), exitInterrupted)
}

func TestPasswordPrompt(t *testing.T) {
	is := is.New(t)
	srv := reqwstest.New(t, greet())
	x := startTerminal(t, nil, "-u", "sam", srv.URL)
	x.sees("Password for sam: ")
	x.types("hunter2\r")
	is.Equal(x.ends(), 0)
	is.Equal(srv.Requests()[0].Header.Get("Authorization"), basic("sam:hunter2"))
	is.True(!strings.Contains(x.text(), "hunter2"))
}

func TestCtrlCAtThePassword(t *testing.T) {
	is := is.New(t)
	x := startTerminal(t, nil, "-u", "sam", "ws://127.0.0.1:1")
	x.sees("Password for sam: ")
	x.types(ctrlC)
	is.Equal(x.ends(), exitInterrupted)
}

// What the server sends does not control the terminal: not text, not binary, not its reason.
func TestTerminalIsNotControlled(t *testing.T) {
	is := is.New(t)
	evil := "a\x1b]0;evil\x07b\u009bc\u202ed\re\nf"
	srv := reqwstest.New(t, reqwstest.Script(reqwstest.Accept(), reqwstest.SendText(evil), reqwstest.SendBinary(evil),
		reqwstest.SendClose(4000, evil), reqwstest.ExpectClose(4000, "")))
	x := startTerminal(t, []string{"NO_COLOR=1"}, "-v", "--no-stdin", srv.URL)
	is.Equal(x.ends(), exitBroken)
	is.True(strings.Contains(x.text(), `a\x1b]0;evil\x07b\u009bc\u202ed\re`+"\r\nf\r\n"))
	is.True(strings.Contains(x.text(), "00000000  61 1b 5d 30"))
	is.True(!strings.ContainsAny(x.text(), "\x1b\x07\u009b\u202e"))
}

func TestNoColor(t *testing.T) {
	for _, test := range []struct {
		env   []string
		color bool
	}{{nil, true}, {[]string{"NO_COLOR=1"}, false}, {[]string{"TERM=dumb"}, false}} {
		is := is.New(t)
		srv := reqwstest.New(t, greet())
		x := startTerminal(t, test.env, "--no-stdin", srv.URL)
		is.Equal(x.ends(), 0)
		is.Equal(strings.Contains(x.text(), "\x1b["), test.color)
		is.True(strings.Contains(x.text(), "hello"))
	}
}

// A signal closes in good order, as Ctrl-C does.
func TestSignals(t *testing.T) {
	for signal, code := range map[syscall.Signal]int{syscall.SIGINT: 1000, syscall.SIGTERM: 1001, syscall.SIGHUP: 1001} {
		is := is.New(t)
		srv := reqwstest.New(t, reqwstest.Script(reqwstest.Accept(), reqwstest.SendText("hello"), reqwstest.ExpectClose(code, ""), reqwstest.SendClose(code, "")))
		cmd := exec.Command(binary, srv.URL)
		cmd.Env = environment()
		out, err := cmd.StdoutPipe()
		is.NoErr(err)
		is.NoErr(cmd.Start())
		_, err = out.Read(make([]byte, 10))
		is.NoErr(err)
		is.NoErr(cmd.Process.Signal(signal))
		is.NoErr(cmd.Wait())
	}
}

// A second signal ends at once, also while what is to be sent first is not taken.
func TestSignalsAtOpen(t *testing.T) {
	first := []string{"--insecure", "--write-timeout", "0", "--heartbeat", "0", "--on-open", "first"}
	for range 15 {
		first = append(first, "--on-open", strings.Repeat("x", 100_000))
	}
	for _, serve := range []func(reqwstest.TB, ...reqwstest.Option) *reqwstest.Server{reqwstest.New, reqwstest.NewTLS} {
		is := is.New(t)
		begun := make(chan struct{})
		srv := serve(t, reqwstest.Script(reqwstest.Accept(), reqwstest.ExpectText("first"),
			reqwstest.Do(func(*reqwstest.Conn) error { close(begun); return nil }), reqwstest.Stall()), reqwstest.BufferSize(4096))
		cmd := exec.Command(binary, append(first, srv.URL)...)
		cmd.Env = environment()
		is.NoErr(cmd.Start())
		defer func() { _ = cmd.Process.Kill() }()
		<-begun
		is.NoErr(cmd.Process.Signal(syscall.SIGINT))
		is.NoErr(cmd.Process.Signal(syscall.SIGTERM))
		is.True(cmd.Wait() != nil)
		is.Equal(cmd.ProcessState.ExitCode(), exitInterrupted)
	}
}

// A reader that has enough, such as head, ends the tool in good order.
func TestOutputIsClosed(t *testing.T) {
	is := is.New(t)
	hungUp := make(chan struct{})
	srv := reqwstest.New(t, reqwstest.Script(reqwstest.Accept(), reqwstest.SendText("hello"), reqwstest.Await(hungUp), reqwstest.SendText("more"),
		reqwstest.ExpectClose(1000, ""), reqwstest.SendClose(1000, "")))
	cmd := exec.Command(binary, srv.URL)
	cmd.Env = environment()
	out, err := cmd.StdoutPipe()
	is.NoErr(err)
	is.NoErr(cmd.Start())
	_, err = out.Read(make([]byte, 10))
	is.NoErr(err)
	is.NoErr(out.Close())
	close(hungUp)
	is.NoErr(cmd.Wait())
}

// startUnread starts the tool against a server that sends more than a pipe holds, and returns
// when the tool has answered a ping behind that, though nobody reads its output.
func startUnread(t *testing.T, then ...reqwstest.Step) (*exec.Cmd, *os.File) {
	t.Helper()
	answered := make(chan struct{})
	steps := []reqwstest.Step{
		reqwstest.Accept(), reqwstest.SendText(strings.Repeat("x", 1<<20)), reqwstest.SendPing("there?"), reqwstest.ExpectPong("there?"),
		reqwstest.Do(func(*reqwstest.Conn) error { close(answered); return nil }),
	}
	srv := reqwstest.New(t, reqwstest.Script(append(steps, then...)...))
	cmd := exec.Command(binary, "--close-timeout", "10ms", srv.URL)
	cmd.Env = environment()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		r.Close()
	})
	select {
	case <-answered:
	case <-time.After(20 * time.Second):
		t.Fatal("no pong")
	}
	return cmd, r
}

// An output that nobody reads holds the tool up, and costs no connection: pings are answered.
func TestSlowOutput(t *testing.T) {
	is := is.New(t)
	cmd, r := startUnread(t, reqwstest.SendText("end"), reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, ""))
	all, err := io.ReadAll(r)
	is.NoErr(err)
	is.NoErr(cmd.Wait())
	is.Equal(len(all), 1<<20+len("\nend\n"))
	is.True(strings.HasSuffix(string(all), "x\nend\n"))
}

// Ctrl-C ends it also then.
func TestInterruptedWhileNobodyReads(t *testing.T) {
	is := is.New(t)
	cmd, _ := startUnread(t, reqwstest.ExpectClose(1000, ""), reqwstest.ExpectGone())
	is.NoErr(cmd.Process.Signal(syscall.SIGINT))
	is.NoErr(cmd.Wait())
}
