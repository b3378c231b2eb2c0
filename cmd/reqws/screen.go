package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
	"unicode"

	"golang.org/x/term"

	"github.com/reqws/reqws"
)

// screen is the one who writes to stdout and stderr, so that no two lines mix. While the user is typing on
// the terminal it writes above the line that is typed.
type screen struct {
	std     stdio
	f       *flags
	colours bool

	mu       sync.Mutex
	terminal *term.Terminal // while the user types
	broken   error          // stdout takes nothing any more
}

func newScreen(f *flags, std stdio) *screen {
	return &screen{std: std, f: f, colours: std.shown && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

// The colours: what came, what was sent, what is said about it, trouble.
const (
	green = "\x1b[32m"
	cyan  = "\x1b[36m"
	grey  = "\x1b[90m"
	red   = "\x1b[31m"
	plain = "\x1b[0m"
)

func (s *screen) paint(colour, text string) string {
	if !s.colours {
		return text
	}
	return colour + text + plain
}

// message prints a message that came. Its error is that stdout takes nothing any more.
func (s *screen) message(f reqws.Frame, at time.Time) error {
	var b bytes.Buffer
	if s.f.timestamps {
		b.WriteString(s.paint(grey, at.Format("2006-01-02T15:04:05.000Z07:00")) + " ")
	}
	if s.std.shown {
		b.WriteString(s.paint(green, "<") + " ")
	}
	b.WriteString(s.text(f))
	if f.Kind != reqws.KindBinary || s.std.shown || s.f.hex {
		b.WriteByte('\n')
	}
	return s.out(b.Bytes())
}

// text is how a message is printed. A terminal gets none of the peer's control characters: they could
// do with it what they like.
func (s *screen) text(f reqws.Frame) string {
	switch {
	case f.Kind == reqws.KindBinary && (s.f.hex || s.std.shown):
		return hex.EncodeToString(f.Data)
	case f.Kind == reqws.KindBinary:
		return string(f.Data)
	}
	data := f.Data
	if s.f.json || s.f.compact {
		data = s.formatted(data)
	}
	if s.std.shown {
		return harmless(string(data))
	}
	return string(data)
}

// formatted is JSON as the flags ask for it; what is none stays as it is.
func (s *screen) formatted(data []byte) []byte {
	var b bytes.Buffer
	var err error
	if s.f.compact {
		err = json.Compact(&b, data)
	} else {
		err = json.Indent(&b, data, "", "  ")
	}
	if err != nil {
		return data
	}
	return b.Bytes()
}

// harmless shows control characters as escapes, but for line breaks and tabs.
func harmless(text string) string {
	var b strings.Builder
	for _, r := range text {
		if r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)) {
			fmt.Fprintf(&b, `\u%04x`, r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// out writes to stdout.
func (s *screen) out(p []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		return s.broken
	}
	var w io.Writer = s.std.out
	if s.terminal != nil {
		w = s.terminal
	}
	_, s.broken = w.Write(p)
	return s.broken
}

// say writes a line to stderr.
func (s *screen) say(colour, format string, args ...any) {
	line := s.paint(colour, harmless(fmt.Sprintf(format, args...))) + "\n"
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.terminal != nil {
		_, _ = io.WriteString(s.terminal, line)
		return
	}
	_, _ = io.WriteString(s.std.err, line)
}

// types has the screen share the terminal with who types there; nil ends that.
func (s *screen) types(t *term.Terminal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.terminal = t
}
