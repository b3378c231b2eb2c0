package main

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/reqws/reqws"
)

// lines yields what is to be sent, line by line, until the input ends, with io.EOF.
type lines interface {
	next() (string, error)
	close()
}

// input returns the lines of stdin: with a line editor if both ends are a terminal.
func (s *screen) input() (lines, error) {
	if !s.std.typed || !s.std.shown {
		return &piped{bufio.NewReaderSize(s.std.in, 64<<10)}, nil
	}
	fd := int(s.std.in.Fd())
	before, err := term.MakeRaw(fd)
	if err != nil {
		return nil, err
	}
	t := term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{s.std.in, s.std.out}, s.paint(cyan, ">")+" ")
	if width, height, err := term.GetSize(fd); err == nil && width > 0 {
		_ = t.SetSize(width, height)
	}
	s.types(t)
	return &typed{s, t, fd, before}, nil
}

// piped is input without a line editor. A line is as long as it is.
type piped struct{ r *bufio.Reader }

func (p *piped) next() (string, error) {
	line, err := p.r.ReadString('\n')
	if line == "" && err != nil {
		return "", err
	}
	return strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r"), nil
}

func (p *piped) close() {}

// typed is input on a terminal. Ctrl-C ends it as Ctrl-D does.
type typed struct {
	s      *screen
	t      *term.Terminal
	fd     int
	before *term.State
}

func (t *typed) next() (string, error) {
	line, err := t.t.ReadLine()
	if errors.Is(err, term.ErrPasteIndicator) {
		err = nil
	}
	return line, err
}

func (t *typed) close() {
	t.s.types(nil)
	_ = term.Restore(t.fd, t.before)
	fmt.Fprint(t.s.std.out, "\r\x1b[K") // the prompt
}

// frame is a line as it is sent.
func (f *flags) frame(line string) (reqws.Frame, error) {
	switch {
	case f.binary && f.hex:
		data, err := hex.DecodeString(strings.Join(strings.Fields(line), ""))
		if err != nil {
			return reqws.Frame{}, fmt.Errorf("%q is not hex", line)
		}
		return reqws.Binary(data), nil
	case f.binary:
		return reqws.Binary(line), nil
	case !utf8.ValidString(line):
		return reqws.Frame{}, errors.New("a line that is not UTF-8 is no text: send it with --binary")
	}
	return reqws.Text(line), nil
}
