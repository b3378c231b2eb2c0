package main

import (
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/coder/websocket"
)

// brake is what the user stops the program with: Ctrl-C, as a signal or a key, and the signals
// that end programs. The first time it gives connecting up, or closes in good order; the second
// time it ends at once.
type brake struct {
	giveUp func()                    // while connecting
	asked  chan websocket.StatusCode // to close in good order
	now    chan struct{}             // closed: at once

	mu    sync.Mutex
	state brakeState

	signals chan os.Signal
	done    chan struct{}
}

type brakeState int

const (
	connecting brakeState = iota
	running
	closing
	stopped
)

func newBrake(giveUp func()) *brake {
	b := &brake{
		giveUp:  giveUp,
		asked:   make(chan websocket.StatusCode, 1),
		now:     make(chan struct{}),
		signals: make(chan os.Signal, 4),
		done:    make(chan struct{}),
	}
	// With SIGPIPE among them a write to a closed pipe is an error, and no end without a word.
	signal.Notify(b.signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	go func() {
		for {
			select {
			case s := <-b.signals:
				if s == os.Interrupt {
					b.pull(websocket.StatusNormalClosure)
				} else if s != syscall.SIGPIPE {
					b.pull(websocket.StatusGoingAway)
				}
			case <-b.done:
				return
			}
		}
	}()
	return b
}

// release lets the signals go.
func (b *brake) release() {
	signal.Stop(b.signals)
	close(b.done)
}

func (b *brake) pull(code websocket.StatusCode) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch b.state {
	case connecting:
		b.giveUp()
	case running:
		b.state = closing
		b.asked <- code
	case closing:
		b.state = stopped
		close(b.now)
	}
}

// open says that the connection is open.
func (b *brake) open() { b.enter(running) }

// closing says that it is being closed, be it without the brake.
func (b *brake) closing() { b.enter(closing) }

func (b *brake) enter(s brakeState) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.state = max(b.state, s)
}

// pulled reports whether it was to end at once.
func (b *brake) pulled() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state == stopped
}
