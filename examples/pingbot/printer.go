package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"
)

// printer writes lines, in colours where a person looks at them. It is safe for
// concurrent use: the handler has a goroutine of its own.
type printer struct {
	mu       sync.Mutex
	w        io.Writer
	start    time.Time
	coloured bool
}

func newPrinter(w io.Writer) *printer {
	return &printer{w: w, start: time.Now(), coloured: isTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

// isTerminal reports whether w is one, or another device that people look at.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// colour is the parameter of an ANSI escape sequence.
type colour string

const (
	plain  colour = ""
	dim    colour = "2"
	red    colour = "31"
	green  colour = "32"
	yellow colour = "33"
	cyan   colour = "36"
)

func (p *printer) paint(c colour, s string) string {
	if !p.coloured || c == plain {
		return s
	}
	return "\x1b[" + string(c) + "m" + s + "\x1b[0m"
}

func (p *printer) print(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.w, format, args...)
}

// say prints a line, with the time since the start in front.
func (p *printer) say(c colour, format string, args ...any) {
	passed := fmt.Sprintf("%5.2fs", time.Since(p.start).Seconds())
	p.print("%s  %s\n", p.paint(dim, passed), p.paint(c, fmt.Sprintf(format, args...)))
}

func (p *printer) error(err error) {
	p.print("%s %v\n", p.paint(red, "pingbot:"), err)
}

// logLines is a slog.Handler for what the library logs: that it will try to
// connect again.
type logLines struct{ *printer }

func (logLines) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelInfo }

func (l logLines) Handle(_ context.Context, r slog.Record) error {
	line := []string{r.Message}
	r.Attrs(func(a slog.Attr) bool {
		if a.Key != "url" { // where to has been said
			line = append(line, a.String())
		}
		return true
	})
	l.say(yellow, "%s", strings.Join(line, " "))
	return nil
}

func (l logLines) WithAttrs([]slog.Attr) slog.Handler { return l }
func (l logLines) WithGroup(string) slog.Handler      { return l }
