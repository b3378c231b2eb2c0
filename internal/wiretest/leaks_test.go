package wiretest

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/matryer/is"
)

// recorder is a TB that keeps what it is told.
type recorder struct {
	testing.TB
	failures []string
	cleanups []func()
}

func (r *recorder) Helper()          {}
func (r *recorder) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }

func (r *recorder) Errorf(format string, args ...any) {
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

func TestNoFDLeaksFindsSockets(t *testing.T) {
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		t.Skip("no /proc/self/fd")
	}
	synctest.Test(t, func(t *testing.T) { // where waiting for them takes no time
		is := is.New(t)
		r := &recorder{}
		NoFDLeaks(r)
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		is.NoErr(err)
		r.cleanups[0]()
		is.Equal(len(r.failures), 1)
		is.True(strings.Contains(r.failures[0], "1 descriptors are left: fd "))
		is.True(strings.Contains(r.failures[0], " socket:["))
		ln.Close()

		r = &recorder{}
		NoFDLeaks(r)
		ln, err = net.Listen("tcp", "127.0.0.1:0")
		is.NoErr(err)
		ln.Close()
		r.cleanups[0]()
		is.Equal(r.failures, nil)
	})
}
