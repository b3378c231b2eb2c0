package main

import (
	"net"
	"syscall"
	"unsafe"
)

// acknowledged reports whether the other end's system has all that was written.
func acknowledged(c *net.TCPConn) bool {
	rc, err := c.SyscallConn()
	if err != nil {
		return false
	}
	unsent, failed := int32(1), syscall.Errno(0)
	err = rc.Control(func(fd uintptr) {
		_, _, failed = syscall.Syscall(syscall.SYS_IOCTL, fd, syscall.TIOCOUTQ, uintptr(unsafe.Pointer(&unsent)))
	})
	return err == nil && failed == 0 && unsent == 0
}
