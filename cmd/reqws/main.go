// Reqws is to WebSockets what curl is to HTTP: it connects, prints what comes and sends what is typed, with every
// option of github.com/reqws/reqws as a flag. See reqws --help.
package main

import (
	"os"

	"golang.org/x/term"
)

func main() { os.Exit(run(os.Args[1:], standard())) }

// standard is what the system has given to the program.
func standard() stdio {
	return stdio{
		in: os.Stdin, out: os.Stdout, err: os.Stderr,
		typed: term.IsTerminal(int(os.Stdin.Fd())),
		shown: term.IsTerminal(int(os.Stdout.Fd())),
	}
}

// stdio is what the program reads and writes.
type stdio struct {
	in, out, err *os.File
	typed        bool // in is a terminal
	shown        bool // out is one
}
