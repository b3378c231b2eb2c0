//go:build !unix

package conn

import (
	"net"
	"syscall"

	"github.com/reqws/reqws/internal/wire"
)

// Raw exists only where sockets can be read without the net package.
type Raw struct {
	RawConn syscall.RawConn
	NoWait  bool
	empty   bool
	tries   bool
	Waiter  *Waiter
}

func rawOf(net.Conn) *Raw { return nil }

func (*Raw) Fill(*wire.Reader) (int, error) { panic("unreachable") }

func (*Raw) Read([]byte) (int, error) { panic("unreachable") }

func (*Raw) emptied() bool { panic("unreachable") }

func (*Raw) TryWrite([]byte) (int, error) { panic("unreachable") }

func (*Raw) WriteSome([]byte) (int, error) { panic("unreachable") }

func (*Raw) DropUnread() {}
