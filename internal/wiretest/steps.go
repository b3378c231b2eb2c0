// Package wiretest adds to reqwstest what only a WebSocket library's own tests need: bytes that are
// no frames, frames that few servers send, quirks of TLS, the client's writes and descriptors.
package wiretest

import (
	"bytes"
	"fmt"
	"io"
	"slices"

	"github.com/reqws/reqws/internal/pipe"
	"github.com/reqws/reqws/reqwstest"
)

// SendRaw sends bytes as they are, in one write.
func SendRaw[P ~string | ~[]byte](p P) reqwstest.Step {
	return reqwstest.Named(fmt.Sprintf("SendRaw(%.80q)", string(p)), func(c *reqwstest.Conn) error {
		_, err := c.Write([]byte(p))
		return err
	})
}

// SendSplit sends bytes in pieces of n, each in a write of its own. In memory each
// piece waits until the client has read the one before, so that it must see all of
// them; TCP may join them.
func SendSplit[P ~string | ~[]byte](n int, p P) reqwstest.Step {
	return reqwstest.Named(fmt.Sprintf("SendSplit(%d, %.80q)", n, string(p)), func(c *reqwstest.Conn) error {
		for piece := range slices.Chunk([]byte(p), max(n, 1)) {
			if _, err := c.Write(piece); err != nil {
				return err
			}
			if memory, ok := c.NetConn().(*pipe.Conn); ok {
				memory.Flush()
			}
		}
		return nil
	})
}

// WriteSizes are the sizes of every Write that the client has made so far, the handshake and blocked
// ones included; with TLS, of its records. Only connections in memory can tell: for others it is nil.
func WriteSizes(c *reqwstest.Conn) []int {
	if memory, ok := c.NetConn().(*pipe.Conn); ok {
		return memory.PeerWrites()
	}
	return nil
}

// ExpectRaw expects exactly these bytes next, in any number of pieces: for what is
// not WebSocket, such as SOCKS.
func ExpectRaw[P ~string | ~[]byte](p P) reqwstest.Step {
	return reqwstest.Named(fmt.Sprintf("ExpectRaw(%.80q)", string(p)), func(c *reqwstest.Conn) error {
		got := make([]byte, len(p))
		n, err := io.ReadFull(c, got)
		if err != nil {
			return fmt.Errorf("want %.80q, got %.80q and then: %w", string(p), got[:n], err)
		}
		if !bytes.Equal(got, []byte(p)) {
			return fmt.Errorf("want %.80q, got %.80q", string(p), got)
		}
		return nil
	})
}

// RawResponse reads a request of any kind and answers with exactly these bytes.
func RawResponse[P ~string | ~[]byte](p P) reqwstest.Step {
	return reqwstest.Named(fmt.Sprintf("RawResponse(%.80q)", string(p)), func(c *reqwstest.Conn) error {
		if _, err := c.ReadRequest(); err != nil {
			return err
		}
		_, err := c.Write([]byte(p))
		return err
	})
}

// HalfClose sends a FIN; later steps can still read.
func HalfClose() reqwstest.Step { return reqwstest.Named("HalfClose", (*reqwstest.Conn).CloseWrite) }
