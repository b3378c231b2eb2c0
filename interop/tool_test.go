package interop

import (
	"bytes"
	"encoding/pem"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/matryer/is"
)

// tool builds cmd/reqws, and returns how to run it with an input.
func tool(t *testing.T) func(input string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "reqws")
	build := exec.Command("go", "build", "-o", path, ".")
	build.Dir = filepath.Join("..", "cmd", "reqws")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return func(input string, args ...string) (string, string, int) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), path, args...)
		var stdout, stderr bytes.Buffer
		cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &stdout, &stderr
		err := cmd.Run()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()
	}
}

// The tool talks to node's ws, compressed or not, and ends as that does.
func TestToolAndNode(t *testing.T) {
	run, n := tool(t), startNode(t)
	for _, c := range []struct {
		name, path, input string
		args              []string
		out, says         string
		code              int
	}{
		{"echo", "/echo", "hello\nwörld\n", []string{"-n", "2"}, "hello\nwörld\n", "", 0},
		{"compressed", "/echo?compress=true", strings.Repeat("again and ", 500) + "\n", []string{"-1", "--compress"}, strings.Repeat("again and ", 500) + "\n", "", 0},
		{"binary as hex", "/echo", "00ff\n", []string{"-1", "--binary", "--hex"}, "00ff\n", "", 0},
		{"a code", "/close?code=4001&reason=later", "", []string{"--no-stdin"}, "", "later", 8},
		{"1000", "/close?code=1000", "", []string{"--no-stdin"}, "", "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			is := is.New(t)
			out, says, code := run(c.input, append(c.args, "ws://"+n.addr+c.path)...)
			is.Equal(out, c.out)
			is.Equal(code, c.code)
			is.True(strings.Contains(says, c.says))
		})
	}
	t.Run("a feed and pings", func(t *testing.T) {
		is := is.New(t)
		out, _, code := run("", "--no-stdin", "-c", "ws://"+n.addr+"/feed?n=200")
		is.Equal(code, 0)
		is.Equal(strings.Count(out, `"symbol"`), 200)
		out, says, code := run("", "--no-stdin", "-v", "ws://"+n.addr+"/ping?n=10")
		is.Equal(code, 0)
		is.Equal(strings.Count(out, "\n"), 10)
		is.True(strings.Contains(says, "all answered"))
	})
}

// Through nginx with TLS: trusted by --cacert, with the name of --hostname, and its refusals as they are.
func TestToolAndNginx(t *testing.T) {
	is := is.New(t)
	run := tool(t)
	ca := newAuthority(t, "Test CA")
	nginx := startNginx(t, ca, newBackend(t, plain), "ssl", "location /no { return 403 'not you'; }")
	cert := file(t, "ca.pem", "%s", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.cert.Raw}))
	url := "wss://" + nginx.addr
	out, _, code := run("hello\n", "-1", "-s", "echo", "--cacert", cert, "--hostname", "ws.example.com", url+"/x")
	is.Equal(code, 0)
	is.Equal(out, "hello\n")
	_, says, code := run("", "--no-stdin", "--cacert", cert, "--hostname", "ws.example.com", url+"/no")
	is.Equal(code, 7)
	is.True(strings.Contains(says, "not you"))
	_, _, code = run("", "--no-stdin", "--hostname", "ws.example.com", url+"/x")
	is.Equal(code, 5) // nobody has said that the CA is to be trusted
}
