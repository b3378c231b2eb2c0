package conn

import (
	"fmt"
	"unicode/utf8"

	"github.com/reqws/reqws/internal/wire"
)

// BadFrame is a frame that may not be sent.
type BadFrame struct {
	Index  int
	Code   uint16 // the close code that it calls for
	Reason string
}

// Check says what is wrong with frames that are to be sent (RFC 6455, sections
// 5.5, 5.6 and 7.4), nil if nothing is.
func Check(frames []wire.Frame) *BadFrame {
	for i := range frames {
		f := &frames[i]
		if f.More {
			return bad(i, wire.CodeProtocolError, "a piece of a message cannot be sent by itself: SendReader sends one in fragments")
		}
		switch f.Op {
		case wire.OpText:
			if !wire.ShortASCII(f.Data) && !wire.ValidUTF8(f.Data) {
				return bad(i, wire.CodeInvalidData, "the text is not valid UTF-8")
			}
		case wire.OpBinary:
		case wire.OpPing, wire.OpPong:
			if len(f.Data) > 125 {
				return bad(i, wire.CodeProtocolError, fmt.Sprintf("the payload has %d bytes, more than the 125 of a control frame", len(f.Data)))
			}
		case wire.OpClose:
			switch {
			case f.Code == 0 && len(f.Data) == 0 && i == len(frames)-1: // one without a code
			case f.Code < 0 || f.Code > 4999 || !wire.ValidCloseCode(uint16(f.Code)):
				return bad(i, wire.CodeProtocolError, fmt.Sprintf("the close code %d may not be sent", f.Code))
			case len(f.Data) > 123:
				return bad(i, wire.CodeProtocolError, fmt.Sprintf("the close reason has %d bytes, more than 123", len(f.Data)))
			case !utf8.Valid(f.Data):
				return bad(i, wire.CodeInvalidData, "the close reason is not valid UTF-8")
			case i < len(frames)-1:
				return bad(i+1, wire.CodeProtocolError, "nothing may follow a close frame")
			}
		default:
			return bad(i, wire.CodeProtocolError, "a frame of this kind cannot be sent")
		}
	}
	return nil
}

func bad(i int, code uint16, reason string) *BadFrame { return &BadFrame{i, code, reason} }

// EndInClose reports whether nothing may follow frames that have been checked.
func EndInClose(frames []wire.Frame) bool {
	return len(frames) > 0 && frames[len(frames)-1].Op == wire.OpClose
}
