package main

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/reqws/reqws"
)

// input is where lines come from: a terminal with its line being edited, or anything else.
type input struct {
	lines chan string   // closed at the end
	ctrlC chan struct{} // of an edited line, where it is no signal
	err   error         // why a file or pipe ended early; to be read when lines is closed

	restore func()
}

// promptText is in front of the line that is typed.
const promptText = "> "

// startInput begins to read lines. A terminal is only edited where what comes is printed on it,
// too.
func startInput(p *printer) (*input, error) {
	in := &input{lines: make(chan string, 64), ctrlC: make(chan struct{}), restore: func() {}}
	if !isTerminal(os.Stdin) || !p.outOn {
		go in.readLines(os.Stdin)
		return in, nil
	}
	old, err := term.MakeRaw(int(os.Stdin.Fd()))
	if err != nil {
		return nil, err
	}
	keys := &keyboard{screen: os.Stdout}
	t := term.NewTerminal(keys, promptText)
	unwatch := watchSize(t)
	p.prompt.Store(t)
	in.restore = func() { // called under no other lock, by one goroutine after the other
		if p.prompt.Swap(nil) != nil {
			unwatch()
			_, _ = os.Stdout.WriteString("\r\x1b[K") // the prompt
			_ = term.Restore(int(os.Stdin.Fd()), old)
		}
	}
	go in.edit(t, keys)
	return in, nil
}

// readLines reads a file or pipe.
func (in *input) readLines(from io.Reader) {
	defer close(in.lines)
	r := bufio.NewReader(from)
	for {
		line, err := r.ReadString('\n')
		if line != "" {
			in.lines <- strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
		}
		if err != nil {
			if err != io.EOF {
				in.err = err
			}
			return
		}
	}
}

// edit reads what is typed. Ctrl-C is no signal while a line is edited, but a key.
func (in *input) edit(t *term.Terminal, keys *keyboard) {
	for {
		line, err := t.ReadLine()
		if err == nil {
			in.lines <- line
			continue
		}
		in.restore()
		if keys.ctrlC {
			close(in.ctrlC)
			return
		}
		close(in.lines)
		return
	}
}

// keyboard is a terminal to read from and write to, which notes Ctrl-C.
type keyboard struct {
	screen *os.File
	ctrlC  bool
}

func (k *keyboard) Read(b []byte) (int, error) {
	n, err := os.Stdin.Read(b)
	k.ctrlC = k.ctrlC || bytes.IndexByte(b[:n], 3) >= 0
	return n, err
}

func (k *keyboard) Write(b []byte) (int, error) { return k.screen.Write(b) }

// nothingToRead tells a stdin of which nothing can come: none at all, or /dev/null.
func nothingToRead() bool {
	stdin, err := os.Stdin.Stat()
	if err != nil {
		return true
	}
	null, err := os.Stat(os.DevNull)
	return err == nil && os.SameFile(stdin, null)
}

// frame makes a message of a line.
func (s *settings) frame(line string) (reqws.Frame, error) {
	switch {
	case !s.binary && !utf8.ValidString(line):
		return reqws.Frame{}, errors.New("the line is not UTF-8: --binary sends any bytes")
	case !s.binary:
		return reqws.Text(line), nil
	case !s.hex:
		return reqws.Binary(line), nil
	}
	data, err := hex.DecodeString(strings.Join(strings.Fields(line), ""))
	if err != nil {
		return reqws.Frame{}, errors.New("the line is not hexadecimal")
	}
	return reqws.Binary(data), nil
}
