package reqws

import (
	"fmt"

	"github.com/coder/websocket"

	"github.com/reqws/reqws/internal/conn"
)

// checkFrames says what is wrong with frames that are to be sent.
func checkFrames(frames []Frame) error {
	bad := conn.Check(wireFrames(frames))
	if bad == nil {
		return nil
	}
	reason := fmt.Sprintf("outgoing frame %d (%v): %s", bad.Index+1, frames[bad.Index].Kind, bad.Reason)
	return &ProtocolError{Code: websocket.StatusCode(bad.Code), Reason: reason}
}

// endInClose reports whether nothing may follow frames that have been checked.
func endInClose(frames []Frame) bool { return conn.EndInClose(wireFrames(frames)) }
