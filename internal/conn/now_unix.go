//go:build unix && (!linux || !(amd64 || arm64 || riscv64 || loong64) || race || msan || asan)

package conn

import "syscall"

// readNow reads what the socket has, EAGAIN where that is nothing.
func readNow(fd int, p []byte) (int, error) { return syscall.Read(fd, p) }

// writeNow writes what the socket takes, EAGAIN where that is nothing.
func writeNow(fd int, p []byte) (int, error) { return syscall.Write(fd, p) }
