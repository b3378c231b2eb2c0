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
	slice  time.Duration // measure at least this long
	least  int           // and at least so many messages
	step   int           // messages between two looks at the clock
	size   int           // payload bytes of one message
	server processClock

	messages, bytes int // so far
	look            int // the count at which to look at the clock
	born, start     time.Time
	first           int // messages before start
	from            usage

	figure
}

// figure is a meter's result, all of it per message.
type figure struct {
	NS      float64 `json:"ns"`
	CPU     float64 `json:"cpu_ns"`        // of all threads of the client's process
	Server  float64 `json:"server_cpu_ns"` // of the server's; 0 where it is not known
	Allocs  float64 `json:"allocs"`
	WireOut float64 `json:"wire_bytes_out,omitempty"` // sent on the connection, where compression is compared
}

// busy is which part of the time the server's process was on a processor. A server
// that serves one connection with one goroutine can do no more than 1.
func (f figure) busy() float64 { return f.Server / f.NS }

// serverBound is the busy from which on it is the server that is measured.
const serverBound = 0.9

func newMeter(s *remote, p plan, step, size int) *meter {
	return &meter{slice: p.Slice, least: p.Least, step: step, size: size, server: s.clock(), look: step, born: time.Now()}
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
			m.first, m.from = m.messages, used(m.server)
			m.start = m.from.at
		}
		return true
	}
	n, elapsed := m.messages-m.first, now.Sub(m.start)
	if elapsed < m.slice || n < m.least {
		return true
	}
	end := used(m.server)
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

// usage is what this process and the server's have used so far.
type usage struct {
	at      time.Time
	cpu     time.Duration
	server  time.Duration
	mallocs uint64
}

func used(server processClock) usage {
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	var r syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return usage{time.Now(), time.Duration(r.Utime.Nano() + r.Stime.Nano()), server.read(), s.Mallocs}
}

// until is what n messages cost between two points.
func (u usage) until(now usage, n int) figure {
	return figure{
		NS:     float64(now.at.Sub(u.at)) / float64(n),
		CPU:    float64(now.cpu-u.cpu) / float64(n),
		Server: float64(now.server-u.server) / float64(n),
		Allocs: float64(now.mallocs-u.mallocs) / float64(n),
	}
}
