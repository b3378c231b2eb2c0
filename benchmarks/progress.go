package main

import (
	"fmt"
	"io"
	"os"
	"time"
)

// progress says what is being measured: on a terminal in one line that it writes
// again and again, elsewhere in a line now and then. nil says nothing.
type progress struct {
	out      io.Writer
	terminal bool
	begun    time.Time
	last     time.Time
}

func newProgress(f *os.File) *progress {
	info, err := f.Stat()
	return &progress{out: f, terminal: err == nil && info.Mode()&os.ModeCharDevice != 0, begun: time.Now()}
}

// Often enough to follow, too seldom to be measured.
const (
	onTerminal = 200 * time.Millisecond
	inLog      = 15 * time.Second
)

func (p *progress) say(format string, args ...any) {
	if p == nil {
		return
	}
	now := time.Now()
	pause := inLog
	if p.terminal {
		pause = onTerminal
	}
	if now.Sub(p.last) < pause {
		return
	}
	p.last = now
	line := fmt.Sprintf("[%s] ", now.Sub(p.begun).Round(time.Second)) + fmt.Sprintf(format, args...)
	if p.terminal {
		fmt.Fprintf(p.out, "\r\x1b[K%s", line)
		return
	}
	fmt.Fprintln(p.out, line)
}

// clear makes room for a table on the same terminal.
func (p *progress) clear() {
	if p != nil && p.terminal {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}
