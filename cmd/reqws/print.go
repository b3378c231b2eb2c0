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
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/reqws/reqws"
)

// printer owns stdout and stderr: all that is printed goes through it, a whole line or batch of
// lines in each write, so that they never mix.
type printer struct {
	outMu sync.Mutex
	out   io.Writer
	outOn bool // out is a terminal: nothing of the peer's may control it

	errMu sync.Mutex
	errs  io.Writer
	errOn bool

	color  bool
	errCol bool
	prompt atomic.Pointer[term.Terminal] // while lines are edited: what is printed goes above the line

	json, compact, hex, timestamps bool

	rest []byte       // the beginning of a character, at the end of a chunk
	body bytes.Buffer // of a plain answer that is to be printed as JSON
}

func newPrinter(s *settings, out *os.File) *printer {
	plain := os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb"
	p := &printer{
		out: out, outOn: isTerminal(out),
		errs: os.Stderr, errOn: isTerminal(os.Stderr),
		json: s.json || s.compact, compact: s.compact, hex: s.hex, timestamps: s.timestamps,
	}
	p.color, p.errCol = p.outOn && !plain, p.errOn && !plain
	return p
}

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// The colours, on a terminal only.
const (
	dim   = "\x1b[2m"
	red   = "\x1b[31m"
	green = "\x1b[32m"
	cyan  = "\x1b[36m"
	plain = "\x1b[0m"
)

func colored(on bool, color, text string) string {
	if !on || text == "" {
		return text
	}
	return color + text + plain
}

// write writes to stdout. Its error says that nobody reads any more.
func (p *printer) write(text []byte) error {
	p.outMu.Lock()
	defer p.outMu.Unlock()
	if t := p.prompt.Load(); t != nil && p.outOn {
		_, err := t.Write(text)
		return err
	}
	_, err := p.out.Write(text)
	return err
}

// say prints a line on stderr.
func (p *printer) say(line string) { p.sayAll(line + "\n") }

func (p *printer) sayAll(lines string) {
	p.errMu.Lock()
	defer p.errMu.Unlock()
	if t := p.prompt.Load(); t != nil && p.errOn {
		_, _ = io.WriteString(t, lines)
		return
	}
	_, _ = io.WriteString(p.errs, lines)
}

// note prints what is about the connection, not of it.
func (p *printer) note(format string, args ...any) {
	p.say(colored(p.errCol, dim, "* "+printable(fmt.Sprintf(format, args...))))
}

// fail prints an error.
func (p *printer) fail(err error) { p.say(colored(p.errCol, red, message(err))) }

// frame appends a message as it is printed.
func (p *printer) frame(b *bytes.Buffer, f reqws.Frame, now time.Time) {
	if f.Kind == reqws.KindChunk {
		p.chunk(b, f.Data)
		return
	}
	if p.timestamps {
		b.WriteString(colored(p.color, dim, now.Format("2006-01-02T15:04:05.000Z07:00")))
		b.WriteByte(' ')
	}
	if p.outOn {
		b.WriteString(colored(p.color, green, "< "))
	}
	if f.Kind == reqws.KindBinary {
		p.binary(b, f.Data)
		return
	}
	p.text(b, f.Data)
}

func (p *printer) text(b *bytes.Buffer, data []byte) {
	data = p.pretty(data)
	if !p.outOn {
		b.Write(data)
	} else {
		b.WriteString(colored(p.color, cyan, escaped(data)))
	}
	b.WriteByte('\n')
}

// pretty is JSON as it was asked for. What is none stays as it is.
func (p *printer) pretty(data []byte) []byte {
	if !p.json {
		return data
	}
	var b bytes.Buffer
	var err error
	if p.compact {
		err = json.Compact(&b, data)
	} else {
		err = json.Indent(&b, bytes.TrimSpace(data), "", "  ")
	}
	if err != nil {
		return data
	}
	return b.Bytes()
}

func (p *printer) binary(b *bytes.Buffer, data []byte) {
	switch {
	case p.hex:
		b.WriteString(hex.EncodeToString(data))
		b.WriteByte('\n')
	case p.outOn:
		fmt.Fprintf(b, "%d bytes\n%s", len(data), hex.Dump(data))
	default:
		b.Write(data)
		b.WriteByte('\n')
	}
}

// chunk is a piece of a plain answer's body.
func (p *printer) chunk(b *bytes.Buffer, data []byte) {
	switch {
	case p.json:
		p.body.Write(data)
	case p.outOn:
		data = append(p.rest, data...)
		whole := len(data) - partRune(data)
		b.WriteString(escaped(data[:whole]))
		p.rest = bytes.Clone(data[whole:])
	default:
		b.Write(data)
	}
}

// finish prints what a plain answer left to be printed.
func (p *printer) finish() error {
	var b bytes.Buffer
	if p.body.Len() > 0 {
		p.text(&b, bytes.TrimRight(p.body.Bytes(), "\n"))
	}
	b.WriteString(escaped(p.rest))
	if b.Len() == 0 {
		return nil
	}
	return p.write(b.Bytes())
}

// partRune is how many bytes at the end of data begin a character that goes on.
func partRune(data []byte) int {
	for i := 1; i < utf8.UTFMax && i <= len(data); i++ {
		if last := data[len(data)-i:]; utf8.RuneStart(last[0]) {
			if !utf8.FullRune(last) {
				return i
			}
			break
		}
	}
	return 0
}

// escaped writes text without what could control a terminal: what cannot be printed is written
// as in Go, but for line feeds and tabs. The joiner that emoji are made with stays.
func escaped(data []byte) string {
	var b strings.Builder
	for len(data) > 0 {
		r, n := utf8.DecodeRune(data)
		if r == utf8.RuneError && n == 1 {
			fmt.Fprintf(&b, `\x%02x`, data[0])
		} else {
			b.WriteString(shown(r))
		}
		data = data[n:]
	}
	return b.String()
}

func shown(r rune) string {
	switch {
	case unicode.IsPrint(r), r == '\n', r == '\t', r == '\u200d':
		return string(r)
	case r == '\r':
		return `\r`
	case r < 0x80:
		return fmt.Sprintf(`\x%02x`, r)
	case r < 0x10000:
		return fmt.Sprintf(`\u%04x`, r)
	}
	return fmt.Sprintf(`\U%08x`, r)
}

// printable is escaped for one line.
func printable(s string) string {
	return strings.ReplaceAll(escaped([]byte(s)), "\n", `\n`)
}
