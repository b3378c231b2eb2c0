//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"
)

// watchSize tells the line editor how wide the terminal is, until the function that it returns
// is called.
func watchSize(t *term.Terminal) func() {
	changed := make(chan os.Signal, 1)
	done := make(chan struct{})
	signal.Notify(changed, syscall.SIGWINCH)
	setSize(t)
	go func() {
		for {
			select {
			case <-changed:
				setSize(t)
			case <-done:
				signal.Stop(changed)
				return
			}
		}
	}()
	return func() { close(done) }
}
