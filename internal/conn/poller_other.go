//go:build !linux

package conn

import "syscall"

// Elsewhere each connection waits in its own goroutine.

type waiterState struct{}

// Ended reports false.
func (*Waiter) Ended() bool { return false }

// Park reports false: there is no poller.
func Park(syscall.RawConn, *Waiter) (parked, ready bool) { return false, false }

// Disarm does nothing.
func Disarm(*Waiter) {}

// Interrupt does nothing.
func Interrupt(*Waiter) {}

// Leave does nothing.
func Leave(*Waiter) {}

// Parked is 0.
func Parked() int { return 0 }
