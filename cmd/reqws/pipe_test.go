package main

import (
	"io"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/matryer/is"

	"github.com/reqws/reqws/reqwstest"
)

// What comes is printed, what is in the pipe is sent, and the end is a closing handshake.
func TestPipes(t *testing.T) {
	for _, c := range []struct {
		name, input, out string
		args             []string
		steps            []reqwstest.Step
	}{
		{"an echo", "one\ntwo\n", "one\ntwo\n", []string{"--wait", "100ms"}, []reqwstest.Step{reqwstest.EchoUntilClose()}},
		{"a last line without an end", "one", "one\n", []string{"-1"}, []reqwstest.Step{reqwstest.EchoUntilClose()}},
		{"lines of Windows", "one\r\n", "one\n", []string{"-1"}, []reqwstest.Step{reqwstest.EchoUntilClose()}},
		{"an empty line", "\nx\n", "\nx\n", []string{"-n", "2"}, []reqwstest.Step{reqwstest.EchoUntilClose()}},
		{"binary", "one\n", "one", []string{"--binary", "-1"}, []reqwstest.Step{
			reqwstest.ExpectBinary("one"), reqwstest.SendBinary("one"), reqwstest.ExpectClose(1000, ""), reqwstest.SendClose(1000, "")}},
		{"hex", "00 ff 10\n", "00ff10\n", []string{"--binary", "--hex", "-1"}, []reqwstest.Step{
			reqwstest.ExpectBinary("\x00\xff\x10"), reqwstest.SendBinary("\x00\xff\x10"), reqwstest.ExpectClose(1000, ""), reqwstest.SendClose(1000, "")}},
		{"on open", "", "hi\nthere\n", []string{"--on-open", "hi", "--on-open", "there", "-n", "2", "--no-stdin"}, []reqwstest.Step{reqwstest.EchoUntilClose()}},
		{"JSON", "", "{\n  \"a\": [\n    1\n  ]\n}\nno JSON\n", []string{"--json", "--no-stdin"}, []reqwstest.Step{
			reqwstest.SendText(`{"a":[1]}`), reqwstest.SendText("no JSON"), reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, "")}},
		{"compact", "", "{\"a\":[1]}\n", []string{"-c", "--no-stdin"}, []reqwstest.Step{
			reqwstest.SendText("{ \"a\" : [ 1 ] }"), reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, "")}},
		{"control characters pass through a pipe", "", "\x1b[2J\n", []string{"--no-stdin"}, []reqwstest.Step{
			reqwstest.SendText("\x1b[2J"), reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, "")}},
		{"until the server closes", "hello\n", "late\n", []string{"--wait", "-1s"}, []reqwstest.Step{
			reqwstest.ExpectText("hello"), reqwstest.SendText("late"), reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, "")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			is := is.New(t)
			srv := reqwstest.New(t, reqwstest.Script(append([]reqwstest.Step{reqwstest.Accept()}, c.steps...)...))
			r := runs(t, c.input, append(c.args, srv.URL)...)
			is.Equal(r, result{c.out, "", 0})
		})
	}
}

func TestTimestamps(t *testing.T) {
	is := is.New(t)
	srv := reqwstest.New(t, echo())
	r := runs(t, "x\n", "--timestamps", "-1", srv.URL)
	is.Equal(r.code, 0)
	at, text, _ := strings.Cut(r.out, " ")
	is.Equal(text, "x\n")
	is.True(strings.HasPrefix(at, "20") && strings.Contains(at, "T"))
}

// A bad line is told of, and the others are sent all the same.
func TestBadLines(t *testing.T) {
	is := is.New(t)
	srv := reqwstest.New(t, echo())
	r := runs(t, "zz\n0a\n", "--binary", "--hex", "-1", srv.URL)
	is.Equal(r, result{"0a\n", "reqws: \"zz\" is not hex\n", 0})
	r = runs(t, "\xff\nok\n", "-1", srv.URL)
	is.Equal(r.out, "ok\n")
	is.True(strings.Contains(r.err, "--binary"))
}

// Signals: the first one says goodbye. A reader that goes away does, too.
func TestSignals(t *testing.T) {
	for _, signal := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		t.Run(signal.String(), func(t *testing.T) {
			is := is.New(t)
			srv := reqwstest.New(t, reqwstest.Script(reqwstest.Accept(), reqwstest.SendText("up"), reqwstest.ExpectClose(1000, ""), reqwstest.SendClose(1000, "")))
			cmd := program(t, "--no-stdin", srv.URL)
			out, err := cmd.StdoutPipe()
			is.NoErr(err)
			is.NoErr(cmd.Start())
			awaits(t, out, "up\n")
			is.NoErr(cmd.Process.Signal(signal))
			is.NoErr(cmd.Wait())
		})
	}
	t.Run("twice", func(t *testing.T) {
		is := is.New(t)
		closing := make(chan struct{})
		srv := reqwstest.New(t, reqwstest.Script(reqwstest.Accept(), reqwstest.SendText("up"), reqwstest.ExpectClose(1000, ""),
			reqwstest.Do(func(*reqwstest.Conn) error { close(closing); return nil }), reqwstest.ExpectGone()))
		cmd := program(t, "--no-stdin", "--close-timeout", "1h", srv.URL)
		out, err := cmd.StdoutPipe()
		is.NoErr(err)
		is.NoErr(cmd.Start())
		awaits(t, out, "up\n")
		is.NoErr(cmd.Process.Signal(os.Interrupt))
		<-closing
		is.NoErr(cmd.Process.Signal(os.Interrupt))
		_ = cmd.Wait()
		is.Equal(cmd.ProcessState.ExitCode(), exitInterrupted)
	})
	t.Run("stdout is closed", func(t *testing.T) {
		is := is.New(t)
		on := make(chan struct{})
		srv := reqwstest.New(t, reqwstest.Script(reqwstest.Accept(), reqwstest.Await(on), reqwstest.SendText("up"), reqwstest.ExpectClose(1000, ""), reqwstest.SendClose(1000, "")))
		cmd := program(t, "--no-stdin", srv.URL)
		r, w, err := os.Pipe()
		is.NoErr(err)
		cmd.Stdout = w
		is.NoErr(cmd.Start())
		is.NoErr(w.Close())
		is.NoErr(r.Close())
		close(on)
		is.NoErr(cmd.Wait())
	})
}

// What is typed while nothing is read yet is sent in order, a lot of it included.
func TestLargeInput(t *testing.T) {
	is := is.New(t)
	const n = 2000
	line := strings.Repeat("x", 1000)
	srv := reqwstest.New(t, echo())
	r := runs(t, strings.Repeat(line+"\n", n), "-n", "2000", srv.URL)
	is.Equal(r.code, 0)
	is.Equal(len(r.out), n*1001)
	_ = io.Discard
}
