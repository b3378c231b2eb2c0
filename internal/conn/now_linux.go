//go:build linux && (amd64 || arm64 || riscv64 || loong64) && !race && !msan && !asan

package conn

import (
	"syscall"
	"unsafe"
)

// A read or a write that cannot wait takes some microseconds. To tell the scheduler of it, as
// package syscall does, costs a part of that, and more where it wakes a thread of the runtime's to watch
// over the call: a reply to each message took a fifth more CPU. So the scheduler is told only of large ones, which
// would keep the garbage collector waiting. MSG_DONTWAIT also holds where somebody has made the socket a
// blocking one.

// mostUntold is how many bytes go without: to copy them takes about ten microseconds.
const mostUntold = 64 << 10

// readNow reads what the socket has, EAGAIN where that is nothing.
func readNow(fd int, p []byte) (int, error) { return now(syscall.SYS_RECVFROM, fd, p) }

// writeNow writes what the socket takes, EAGAIN where that is nothing.
func writeNow(fd int, p []byte) (int, error) { return now(syscall.SYS_SENDTO, fd, p) }

func now(call uintptr, fd int, p []byte) (int, error) {
	const flags = syscall.MSG_DONTWAIT | syscall.MSG_NOSIGNAL
	at := unsafe.Pointer(unsafe.SliceData(p))
	var n uintptr
	var errno syscall.Errno
	if len(p) <= mostUntold {
		n, _, errno = syscall.RawSyscall6(call, uintptr(fd), uintptr(at), uintptr(len(p)), flags, 0, 0)
	} else {
		n, _, errno = syscall.Syscall6(call, uintptr(fd), uintptr(at), uintptr(len(p)), flags, 0, 0)
	}
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
