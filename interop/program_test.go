package interop

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// program is a real program that a test has started, and that ends with the test.
type program struct {
	addr string // 127.0.0.1:port
	out  output

	cmd    *exec.Cmd
	exited chan struct{}
}

func (p *program) port() string {
	_, port, _ := net.SplitHostPort(p.addr)
	return port
}

// output keeps what a program has printed.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// find returns the path of a program, or fails the test with the Debian package
// that has it.
func find(t *testing.T, name, debian string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		path, err = exec.LookPath(filepath.Join("/usr/sbin", name))
	}
	if err != nil {
		t.Fatalf("%s is not installed: it is in the Debian package %s; prepare.sh installs it", name, debian)
	}
	return path
}

// start runs a program that listens on a port of its arguments, and waits until it
// does. Between the choice of a port and its use another process may take it, so a
// program that ends at once gets further ones.
func start(t *testing.T, path string, args func(port string) []string) *program {
	t.Helper()
	for range 3 {
		port := freePort(t)
		if p := launch(t, path, port, args(port)); p != nil {
			return p
		}
	}
	t.Fatalf("%s does not listen", path)
	return nil
}

// launch runs a program that listens on a port, and waits until it does. It returns nil if the program
// does not.
func launch(t *testing.T, path, port string, args []string) *program {
	t.Helper()
	p := &program{addr: net.JoinHostPort("127.0.0.1", port), exited: make(chan struct{})}
	p.cmd = exec.Command(path, args...)
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.exited)
	}()
	if p.listens() {
		t.Cleanup(func() { p.stop(t) })
		return p
	}
	p.stop(t)
	t.Logf("%s does not listen: %v\n%s", path, p.cmd.ProcessState, &p.out)
	return nil
}

func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return strconv.Itoa(ln.Addr().(*net.TCPAddr).Port)
}

// listens asks the port until it accepts a connection, for ten seconds at most.
func (p *program) listens() bool {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(10 * time.Second)
	for {
		if conn, err := net.Dial("tcp", p.addr); err == nil {
			conn.Close()
			return true
		}
		select {
		case <-tick.C:
		case <-p.exited:
			return false
		case <-deadline:
			return false
		}
	}
}

// stop ends the program: by its own means, or if it takes too long by force.
func (p *program) stop(t *testing.T) {
	if t.Failed() {
		t.Logf("%s printed:\n%s", filepath.Base(p.cmd.Path), &p.out)
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-time.After(5 * time.Second):
		t.Errorf("%s did not end when it was told to", p.cmd.Path)
		_ = p.cmd.Process.Kill()
		<-p.exited
	}
}

// file writes a configuration into the test's own directory and returns its path.
func file(t *testing.T, name, format string, args ...any) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, fmt.Appendf(nil, format, args...), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
