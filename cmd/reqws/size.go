package main

import (
	"os"

	"golang.org/x/term"
)

func setSize(t *term.Terminal) {
	width, height, err := term.GetSize(int(os.Stdout.Fd()))
	if err == nil && width > 0 {
		_ = t.SetSize(width, height) // it only fails where the screen cannot be written to
	}
}
