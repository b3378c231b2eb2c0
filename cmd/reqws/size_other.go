//go:build !unix

package main

import "golang.org/x/term"

// watchSize tells the line editor how wide the terminal is: here once, since no signal tells of
// a change.
func watchSize(t *term.Terminal) func() {
	setSize(t)
	return func() {}
}
