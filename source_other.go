//go:build !unix

package reqws

import (
	"net"

	"github.com/reqws/reqws/internal/wire"
)

// rawSource exists only where sockets can be read without the net package.
type rawSource struct{}

func rawSourceOf(net.Conn) *rawSource { return nil }

func (*rawSource) read(*wire.Reader) (int, error) { panic("unreachable") }

func (*rawSource) tryWrite([]byte) (int, error) { panic("unreachable") }

func (*rawSource) writeSome([]byte) (int, error) { panic("unreachable") }

func (*rawSource) dropUnread() {}
