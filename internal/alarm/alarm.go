// Package alarm calls functions later. All alarms of a process share one timer, which is set for
// the first of them: an alarm costs a few words, where a timer of its own takes as much as a fifth
// of an idle connection.
package alarm

import (
	"container/heap"
	"sync"
	"time"
)

// Alarm rings once after it was set. It must not be copied. In a testing/synctest bubble it has a
// timer of its own, so that no bubble waits for the clock of another.
type Alarm struct {
	// Ring is called by the goroutine of all alarms, one after the other: it must not block. It may
	// set the alarm again.
	Ring func()

	due   time.Duration
	place int         // in the queue, counted from 1; 0 while it is not there
	timer *time.Timer // in a bubble
}

// Set has a ring in d, whenever it was to ring before. Calls of Set and Stop must not meet.
func (a *Alarm) Set(d time.Duration) {
	if !InBubble() {
		theClock.set(a, Now()+d)
		return
	}
	if a.timer == nil {
		a.timer = time.AfterFunc(d, a.Ring)
		return
	}
	a.timer.Reset(d)
}

// Stop keeps a from ringing, unless it does already.
func (a *Alarm) Stop() {
	if a.timer != nil {
		a.timer.Stop()
		return
	}
	theClock.drop(a)
}

// Now is the time that alarms go by. It is positive, also in a bubble, whose time is long before
// that of the process.
func Now() time.Duration { return epoch + time.Since(processStart) }

const epoch = 1 << 61 // 73 years

var processStart = time.Now()

// InBubble reports whether the caller is in a testing/synctest bubble, whose clock begins at
// midnight UTC 2000-01-01: goroutines there must not wait for one outside. Elsewhere a clock that is
// as wrong as that costs a timer or a goroutine for each connection, and nothing else.
func InBubble() bool { return time.Now().Year() < 2010 }

// clock rings the alarms.
type clock struct {
	mu      sync.Mutex
	queue   queue
	timer   *time.Timer   // runs ring; made with the first alarm
	wakes   time.Duration // when it does; 0: not at all
	ringing bool          // ring runs, and sets the timer in the end
}

var theClock clock

// slack is how much earlier than planned an alarm must be for the timer to be set anew: those of
// many streams that were opened together ring together.
const slack = time.Millisecond

func (c *clock) set(a *Alarm, due time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a.due = due
	if a.place > 0 {
		heap.Fix(&c.queue, a.place-1)
	} else {
		heap.Push(&c.queue, a)
	}
	if !c.ringing && (c.wakes == 0 || due < c.wakes-slack) {
		c.wakeAt(due)
	}
}

func (c *clock) drop(a *Alarm) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if a.place > 0 {
		heap.Remove(&c.queue, a.place-1)
	}
}

// wakeAt sets the timer. mu is held.
func (c *clock) wakeAt(due time.Duration) {
	c.wakes = due
	if c.timer == nil {
		c.timer = time.AfterFunc(due-Now(), c.ring)
		return
	}
	c.timer.Reset(due - Now())
}

// ring is the timer's function.
func (c *clock) ring() {
	for a := c.next(); a != nil; a = c.next() {
		a.Ring()
	}
}

// next takes the next alarm that is due out of the queue; where there is none it sets the timer for
// the one to come.
func (c *clock) next() *Alarm {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case len(c.queue) == 0:
		c.wakes, c.ringing = 0, false
		return nil
	case c.queue[0].due > Now():
		c.ringing = false
		c.wakeAt(c.queue[0].due)
		return nil
	}
	c.ringing = true
	return heap.Pop(&c.queue).(*Alarm)
}

// queue is a heap of alarms, the first due on top.
type queue []*Alarm

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].due < q[j].due }

func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].place, q[j].place = i+1, j+1
}

func (q *queue) Push(a any) {
	*q = append(*q, a.(*Alarm))
	(*q)[len(*q)-1].place = len(*q)
}

func (q *queue) Pop() any {
	last := len(*q) - 1
	a := (*q)[last]
	(*q)[last], a.place = nil, 0
	*q = (*q)[:last]
	return a
}
