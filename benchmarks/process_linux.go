package main

import (
	"time"

	"golang.org/x/sys/unix"
)

// processClock is the clock of another process's processor time, to the nanosecond.
// 0 is no clock, and stands still.
type processClock int32

// clockOf is what clock_getcpuclockid(3) computes.
func clockOf(pid int) processClock {
	const scheduled = 2 // time on a processor, as the scheduler counts it
	return processClock(^pid<<3 | scheduled)
}

func (c processClock) read() time.Duration {
	var t unix.Timespec
	if c == 0 || unix.ClockGettime(int32(c), &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}
