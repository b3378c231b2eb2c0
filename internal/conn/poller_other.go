//go:build !linux

package conn

import "syscall"

// Elsewhere each connection waits in its own goroutine.

type waiterState struct{}

// Park reports false: there is no poller.
func Park(syscall.RawConn, *Waiter) bool { return false }

// Interrupt does nothing.
func Interrupt(*Waiter) {}

// Leave does nothing.
func Leave(*Waiter) {}

// Parked is 0.
func Parked() int { return 0 }
