package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/reqws/reqws/reqwstest"
)

// asProgram has the test's own program be reqws: it runs as a process, as users run it.
const asProgram = "REQWS_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(run(os.Args[1:], standard()))
	}
	os.Exit(m.Run())
}

// program returns the command, in an environment without the machine's proxies, credentials and terminal.
func program(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = []string{
		asProgram + "=1", "HOME=" + t.TempDir(), "TERM=xterm", "PATH=" + os.Getenv("PATH"),
		"AWS_EC2_METADATA_DISABLED=true",
	}
	return cmd
}

// result is what a run of the program has come to.
type result struct {
	out, err string
	code     int
}

// runs runs the program with an input, and waits for its end.
func runs(t *testing.T, input string, args ...string) result {
	t.Helper()
	return finish(t, program(t, args...), input)
}

func finish(t *testing.T, cmd *exec.Cmd, input string) result {
	t.Helper()
	var out, err bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &err
	is := is.New(t)
	failed := cmd.Run()
	if _, exited := failed.(*exec.ExitError); !exited { //nolint:errorlint // what exec returns
		is.NoErr(failed)
	}
	return result{out.String(), err.String(), cmd.ProcessState.ExitCode()}
}

// file makes a file.
func file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	is.New(t).NoErr(os.WriteFile(path, []byte(content), 0o600))
	return path
}

// echo is a script that answers whatever comes.
func echo() *reqwstest.ConnScript {
	return reqwstest.Script(reqwstest.Accept(), reqwstest.EchoUntilClose()).Repeat()
}

// awaits reads until text has come, or too much time has gone.
func awaits(t *testing.T, r io.Reader, text string) string {
	t.Helper()
	var got strings.Builder
	found := make(chan bool, 1)
	go func() {
		p := make([]byte, 4096)
		for {
			n, err := r.Read(p)
			got.Write(p[:n])
			if strings.Contains(got.String(), text) {
				found <- true
				return
			}
			if err != nil {
				found <- false
				return
			}
		}
	}()
	select {
	case ok := <-found:
		if !ok {
			t.Fatalf("%q has not come: %q", text, got.String())
		}
	case <-time.After(30 * time.Second):
		t.Fatalf("%q does not come", text)
	}
	return got.String()
}
