package dial

import (
	"errors"
	"net"

	"github.com/reqws/reqws/internal/h2"
	"github.com/reqws/reqws/internal/netconn"
)

// What became of a connection, in whichever protocol it was opened.

// PeerLeft reports whether a write failed with err since nobody is there to read: the peer is
// gone, or over HTTP/2 has reset the stream, or gone away.
func PeerLeft(err error) bool {
	var reset h2.StreamError
	var away h2.GoAwayError
	return netconn.IsLoss(err) || errors.As(err, &away) || errors.As(err, &reset) && reset.Reason == ""
}

// PeerIsSilent reports whether err says that the peer did not answer a ping of HTTP/2.
func PeerIsSilent(err error) bool { return errors.Is(err, h2.ErrPingTimeout) }

// CloseOvertakes reports whether closing conn may overtake what was written last: a stream of
// HTTP/2 is reset then.
func CloseOvertakes(conn net.Conn) bool {
	_, ok := conn.(*h2.Stream)
	return ok
}
