package wiretest

import (
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/reqws/reqws/reqwstest"
)

// NoFDLeaks fails the test if at its end sockets or pipes are open that were not when it was called;
// they get a moment to close. It looks in /proc/self/fd, and does nothing where there is none. As with
// reqwstest.NoLeaks, call it first, and not in parallel tests.
func NoFDLeaks(tb reqwstest.TB) {
	tb.Helper()
	before := descriptors()
	tb.Cleanup(func() {
		tb.Helper()
		left := opened(before)
		for waited := 0; len(left) > 0 && waited < 200; waited++ {
			time.Sleep(10 * time.Millisecond)
			left = opened(before)
		}
		if len(left) > 0 {
			tb.Errorf("wiretest: %d descriptors are left: %s", len(left), strings.Join(left, ", "))
		}
	})
}

func opened(before map[string]string) []string {
	var left []string
	for target, fd := range descriptors() {
		if _, old := before[target]; !old {
			left = append(left, "fd "+fd+" "+target)
		}
	}
	return left
}

// descriptors returns the open sockets and pipes.
func descriptors() map[string]string {
	const dir = "/proc/self/fd"
	open := map[string]string{}
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		target, _ := os.Readlink(filepath.Join(dir, e.Name()))
		if strings.HasPrefix(target, "socket:") || strings.HasPrefix(target, "pipe:") {
			open[target] = e.Name()
		}
	}
	return open
}
