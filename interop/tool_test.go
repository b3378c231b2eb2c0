package interop

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/matryer/is"
)

// buildTool builds the command-line tool, and returns what runs it: with arguments and stdin, to
// stdout, stderr and the exit code.
func buildTool(t *testing.T) func(t *testing.T, stdin string, args ...string) (string, string, int) {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "reqws")
	build := exec.Command("go", "build", "-o", binary, ".")
	build.Dir = "../cmd/reqws"
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return func(t *testing.T, stdin string, args ...string) (string, string, int) {
		t.Helper()
		cmd := exec.CommandContext(within(t, 60e9), binary, args...)
		cmd.Env = []string{"HOME=" + os.DevNull}
		var out, errs bytes.Buffer
		cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
		_ = cmd.Run() // the exit code says it
		return out.String(), errs.String(), cmd.ProcessState.ExitCode()
	}
}

// The command-line tool against real programs.
func TestTool(t *testing.T) {
	run := buildTool(t)

	t.Run("node's ws", func(t *testing.T) {
		is := is.New(t)
		n := startNode(t)
		lines := "one\n" + text(100_000) + "\n\nzwei: ü\n"
		for _, flag := range []string{"--compress", "--http1"} {
			out, errs, code := run(t, lines, flag, "-v", "-n", "4", "ws://"+n.addr+"/echo?compress=true&id=tool"+flag)
			is.Equal(out, lines)
			is.Equal(code, 0)
			is.Equal(strings.Contains(errs, "permessage-deflate"), flag == "--compress")
			is.True(strings.Contains(errs, "closed with 1000"))
		}
		out, _, code := run(t, "", "--json", "-c", "--no-stdin", "ws://"+n.addr+"/feed?n=10&id=tool-feed")
		is.Equal(code, 0)
		is.Equal(strings.Count(out, "\n"), 10)
		_, errs, code := run(t, "", "ws://"+n.addr+"/nowhere?id=tool-nowhere")
		is.True(code != 0)
		is.True(strings.HasPrefix(errs, "reqws: "))
	})

	t.Run("nginx with TLS and a client's certificate", func(t *testing.T) {
		is := is.New(t)
		ca := newAuthority(t, "Test CA")
		b := newBackend(t, plain)
		nginx := startNginx(t, ca, b, "ssl", "ssl_verify_client on;\nssl_client_certificate "+ca.file()+";")
		cert, key := ca.files("client-7")
		url := "wss://ws.example.com:" + nginx.port() + "/path"
		there := []string{"--resolve", "ws.example.com:" + nginx.port() + ":127.0.0.1", "-s", "echo", url}
		out, _, code := run(t, "hello\n", append([]string{"-1", "--cacert", ca.file(), "--cert", cert, "--key", key}, there...)...)
		is.Equal(out, "hello\n")
		is.Equal(code, 0)
		is.Equal(b.last().Header.Get("X-Client"), "CN=client-7")
		_, errs, code := run(t, "", append([]string{"--cacert", ca.file()}, there...)...) // no certificate
		is.Equal(code, 7)
		is.True(strings.Contains(errs, "400"))
		_, _, code = run(t, "", there...) // an authority that nobody trusts
		is.Equal(code, 5)
		_, errs, code = run(t, "", append([]string{"--http2", "-k", "--cert", cert, "--key", key}, there...)...)
		is.True(code != 0) // nginx has no extended CONNECT
		is.True(strings.HasPrefix(errs, "reqws: "))
	})

	t.Run("tinyproxy with a password", func(t *testing.T) {
		is := is.New(t)
		b := newBackend(t, plain)
		proxy := startTinyproxy(t, b.port(), "BasicAuth someone p.a-s_s0")
		out, errs, code := run(t, "hello\n", "-1", "-v", "--proxy", "http://someone:p.a-s_s0@"+proxy.addr, b.wsURL())
		is.Equal(out, "hello\n")
		is.Equal(code, 0)
		is.True(!strings.Contains(errs, "p.a-s_s0"))
		_, _, code = run(t, "", "--proxy", "http://"+proxy.addr, b.wsURL()) // no password
		is.Equal(code, 6)
	})
}
