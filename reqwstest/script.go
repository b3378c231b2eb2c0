package reqwstest

import (
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
)

// ConnScript is what happens on one connection. Script and DialError make one.
type ConnScript struct {
	steps   []Step
	at      string // where in the test it was written
	dialErr error
	repeat  bool
	times   int
}

// Script is what happens on the next connection: its steps, one after the other.
// After the last step the server closes its side in good order: it sends a FIN,
// and takes (and still checks) what the client sends until that closes too.
func Script(steps ...Step) *ConnScript {
	return &ConnScript{steps: steps, at: caller(), times: 1}
}

// DialError makes Server.DialContext fail with err in place of the next connection,
// for example with syscall.ECONNREFUSED, which comes wrapped as a dialer does it.
func DialError(err error) *ConnScript {
	return &ConnScript{dialErr: err, at: caller(), times: 1}
}

// Times returns the script for the next n connections.
func (s *ConnScript) Times(n int) *ConnScript {
	c := *s
	c.times = n
	return &c
}

// Repeat returns the script for any number of further connections, none included.
// It must be the last.
func (s *ConnScript) Repeat() *ConnScript {
	c := *s
	c.repeat, c.times = true, 1
	return &c
}

func (s *ConnScript) apply(srv *Server) {
	for range s.times {
		srv.scripts = append(srv.scripts, s)
	}
}

// Step is one thing that a script does or expects.
type Step struct {
	name string
	at   string
	run  func(*Conn) error
}

// String names the step, as failure reports do.
func (s Step) String() string { return s.name }

// step makes a Step. It must be called by the exported constructor itself.
func step(run func(*Conn) error, format string, args ...any) Step {
	return Step{name: fmt.Sprintf(format, args...), at: caller(), run: run}
}

// caller is where the test called the exported function that (itself or through
// step) called this.
func caller() string {
	pcs := make([]uintptr, 8)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	for {
		f, more := frames.Next()
		if !ownFile(f.File) || !more {
			return fmt.Sprintf("%s:%d", filepath.Base(f.File), f.Line)
		}
	}
}

// ownDir is where this package's files are; tests of other packages are elsewhere.
var ownDir = func() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(file)
}()

// ownFile tells the files of this package, and of wiretest, which makes steps as this does.
func ownFile(file string) bool {
	dir := filepath.Dir(file)
	own := dir == ownDir || dir == filepath.Join(filepath.Dir(ownDir), "internal", "wiretest")
	return own && !strings.HasSuffix(file, "_test.go")
}
