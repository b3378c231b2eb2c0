package reqwstest

import (
	"runtime"
	"strings"
	"time"
)

// module is the code whose goroutines NoLeaks looks for.
const module = "github.com/reqws/reqws"

// NoLeaks fails the test if at its end goroutines of reqws are left that were not
// there when NoLeaks was called; they get a moment to end. Goroutines of other
// packages count if their import path is given too. Call it before anything that
// has a cleanup of its own, such as New, and not in tests with t.Parallel, where
// other tests' goroutines would count.
func NoLeaks(tb TB, packages ...string) {
	tb.Helper()
	before := goroutines()
	paths := append([]string{module}, packages...)
	tb.Cleanup(func() {
		tb.Helper()
		var left []string
		ended := eventually(func() bool {
			left = nil
			for id, stack := range goroutines() {
				if _, old := before[id]; !old && mentions(stack, paths) {
					left = append(left, stack)
				}
			}
			return len(left) == 0
		})
		if !ended {
			tb.Errorf("reqwstest: %d goroutines are left:\n\n%s", len(left), strings.Join(left, "\n\n"))
		}
	})
}

// goroutines returns the stacks of all goroutines by id, without the caller's and
// those that run tests.
func goroutines() map[string]string {
	buf := make([]byte, 64<<10)
	n := runtime.Stack(buf, true)
	for n == len(buf) {
		buf = make([]byte, 2*len(buf))
		n = runtime.Stack(buf, true)
	}
	all := map[string]string{}
	for i, stack := range strings.Split(string(buf[:n]), "\n\n") {
		own := i == 0 // the caller comes first
		if id := strings.Fields(stack); !own && len(id) > 1 && !strings.Contains(stack, "testing.tRunner(") {
			all[id[1]] = stack
		}
	}
	return all
}

func mentions(stack string, paths []string) bool {
	for _, p := range paths {
		if strings.Contains(stack, p) {
			return true
		}
	}
	return false
}

// eventually waits a moment for something to become true.
func eventually(ok func() bool) bool {
	for range 200 {
		if ok() {
			return true
		}
		runtime.Gosched()
		time.Sleep(10 * time.Millisecond)
	}
	return ok()
}
