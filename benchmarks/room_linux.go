package main

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// plenty is as many descriptors as any step of the growth comparison takes.
const plenty = 60_000

// raiseFileLimit asks for many descriptors, and takes what it gets: of its own accord
// Go goes no further than the hard limit.
func raiseFileLimit() {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) != nil || l.Cur >= plenty {
		return
	}
	if unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: plenty, Max: max(plenty, l.Max)}) != nil {
		unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: min(plenty, l.Max), Max: l.Max})
	}
}

// fileLimit is how many descriptors this process may have.
func fileLimit() uint64 {
	var l unix.Rlimit
	unix.Getrlimit(unix.RLIMIT_NOFILE, &l)
	return l.Cur
}

// freeMemory is how many bytes the kernel thinks it can still give, or 0.
func freeMemory() uint64 {
	b, _ := os.ReadFile("/proc/meminfo")
	for line := range strings.Lines(string(b)) {
		var kilobytes uint64
		if n, _ := fmt.Sscanf(line, "MemAvailable: %d kB", &kilobytes); n == 1 {
			return kilobytes << 10
		}
	}
	return 0
}
