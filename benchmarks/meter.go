package main

import (
	"fmt"
	"runtime"
	"syscall"
	"time"
)

// meter takes the time of a stream of messages, and counts what is allocated
// meanwhile. It lets a quarter of the time pass first, so that full socket
// buffers and cold code are no part of the result.
type meter struct {
	slice time.Duration // measure at least this long
	least int           // and at least so many messages
	step  int           // messages between two looks at the clock
	size  int           // payload bytes of one message

	messages, bytes int // so far
	look            int // the count at which to look at the clock
	born, start     time.Time
	first           int // messages before start
	from            usage

	figure
}

// figure is a meter's result.
type figure struct {
	NS     float64 // per message
	CPU    float64 // nanoseconds per message, of all threads of this process
	Allocs float64 // per message
}

func newMeter(slice time.Duration, least, step, size int) *meter {
	return &meter{slice: slice, least: least, step: step, size: size, look: step, born: time.Now()}
}

// got is the received function of a client under measurement.
func (m *meter) got(messages, bytes int) bool {
	m.messages += messages
	m.bytes += bytes
	return m.messages < m.look || m.more()
}

func (m *meter) more() bool {
	m.look = m.messages + m.step
	now := time.Now()
	if m.start.IsZero() {
		if now.Sub(m.born) >= m.slice/4 {
			m.first, m.from = m.messages, used()
			m.start = m.from.at
		}
		return true
	}
	n, elapsed := m.messages-m.first, now.Sub(m.start)
	if elapsed < m.slice || n < m.least {
		return true
	}
	end := used()
	end.at = now
	m.figure = m.from.until(end, n)
	m.look = int(^uint(0) >> 1)
	return false
}

// check reports whether the client delivered whole messages and had enough.
func (m *meter) check() error {
	if m.bytes != m.messages*m.size {
		return fmt.Errorf("%d bytes in %d messages of %d bytes", m.bytes, m.messages, m.size)
	}
	if m.NS == 0 {
		return fmt.Errorf("the connection ended early, after %d messages", m.messages)
	}
	return nil
}

// usage is what this process has used so far.
type usage struct {
	at      time.Time
	cpu     time.Duration
	mallocs uint64
}

func used() usage {
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	var r syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return usage{time.Now(), time.Duration(r.Utime.Nano() + r.Stime.Nano()), s.Mallocs}
}

// until is what n messages cost between two points.
func (u usage) until(now usage, n int) figure {
	return figure{
		NS:     float64(now.at.Sub(u.at)) / float64(n),
		CPU:    float64(now.cpu-u.cpu) / float64(n),
		Allocs: float64(now.mallocs-u.mallocs) / float64(n),
	}
}
