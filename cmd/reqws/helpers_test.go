package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/reqws/reqws/reqwstest"
)

// binary is the tool, built once: it is tested as users have it, as a process.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "reqws")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binary = filepath.Join(dir, "reqws.exe")
	args := []string{"build", "-o", binary}
	if raceEnabled {
		args = append(args, "-race")
	}
	if out, err := exec.Command("go", append(args, ".")...).CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// result is what a run of the tool came to.
type result struct {
	out, err string
	code     int
}

// environment has nothing of this machine's that the tool looks at.
func environment(more ...string) []string {
	env := []string{
		"HOME=" + os.DevNull, "PATH=" + os.Getenv("PATH"), "TERM=xterm",
		"AWS_ACCESS_KEY_ID=AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY=secretsecret", "AWS_SESSION_TOKEN=sessiontoken",
		"AWS_EC2_METADATA_DISABLED=true",
		"GORACE=atexit_sleep_ms=0", // the detector waits a second otherwise
	}
	if root := os.Getenv("SYSTEMROOT"); root != "" {
		env = append(env, "SYSTEMROOT="+root)
	}
	return append(env, more...)
}

// call is a run of the tool.
type call struct {
	args  []string
	stdin string
	env   []string
}

// tool runs the tool to its end, which a bound of time makes sure of.
func tool(t *testing.T, c call) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, c.args...)
	cmd.Env = environment(c.env...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if c.stdin != "" {
		cmd.Stdin = strings.NewReader(c.stdin)
	}
	err := cmd.Run()
	if ctx.Err() != nil {
		t.Fatalf("reqws %v does not end\n%s\n%s", c.args, out.String(), errs.String())
	}
	if err != nil && cmd.ProcessState.ExitCode() < 0 {
		t.Fatal(err)
	}
	return result{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

// greet is a server that accepts, says hello, and closes.
func greet() *reqwstest.ConnScript {
	return reqwstest.Script(reqwstest.Accept(), reqwstest.SendText("hello"),
		reqwstest.SendClose(1000, "bye"), reqwstest.ExpectClose(1000, ""))
}

// echo is a server that sends everything back.
func echo() *reqwstest.ConnScript {
	return reqwstest.Script(reqwstest.Accept(), reqwstest.EchoUntilClose())
}

// write writes a file into the test's directory, and returns its path.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
