package h2

import (
	"sync"
	"time"
)

// deadline is one direction's deadline. Its waiters sleep on a condition variable, whose lock
// guards the deadline too. The timer is made on first use and reused from then on.
type deadline struct {
	timer  *time.Timer
	at     time.Time // zero: none is pending
	passed bool
}

// set replaces the deadline by t, zero for none. The lock of cond is held.
func (d *deadline) set(cond *sync.Cond, t time.Time) {
	d.stop()
	d.passed = false
	if t.IsZero() {
		return
	}
	wait := time.Until(t)
	if wait <= 0 {
		d.passed = true
		cond.Broadcast()
		return
	}
	d.at = time.Now().Add(wait) // with a monotonic reading, whatever t had
	if d.timer == nil {
		d.timer = time.AfterFunc(wait, func() { d.expire(cond) })
	} else {
		d.timer.Reset(wait)
	}
}

// stop forgets a pending deadline. The lock of cond is held.
func (d *deadline) stop() {
	d.at = time.Time{}
	if d.timer != nil {
		d.timer.Stop()
	}
}

// expire is the timer's work. A timer that was reset while its function waited for the lock
// finds the later deadline and leaves it alone.
func (d *deadline) expire(cond *sync.Cond) {
	cond.L.Lock()
	defer cond.L.Unlock()
	if d.at.IsZero() || time.Now().Before(d.at) {
		return
	}
	d.at = time.Time{}
	d.passed = true
	cond.Broadcast()
}
