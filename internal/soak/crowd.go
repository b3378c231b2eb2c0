package main

import (
	"sync/atomic"
	"time"
)

// crowd has the servers of streams wait for each other, so that all of them are open at once. One that is nil has
// nobody to wait for.
type crowd struct {
	missing atomic.Int64
	here    chan struct{} // closed when all are
}

func newCrowd(n int) *crowd {
	c := &crowd{here: make(chan struct{})}
	c.missing.Store(int64(n))
	return c
}

// arrive is called once by each: when it is open, or has failed to.
func (c *crowd) arrive() {
	if c != nil && c.missing.Add(-1) == 0 {
		close(c.here)
	}
}

// wait waits for all, but not for long: one may have to wait for another's end.
func (c *crowd) wait() {
	if c == nil {
		return
	}
	timer := time.NewTimer(3 * time.Second)
	defer timer.Stop()
	select {
	case <-c.here:
	case <-timer.C:
	}
}
