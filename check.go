package reqws

import (
	"fmt"
	"unicode/utf8"

	"github.com/coder/websocket"

	"github.com/reqws/reqws/internal/wire"
)

// checkFrames says what is wrong with frames that are to be sent (RFC 6455, sections
// 5.5, 5.6 and 7.4).
func checkFrames(frames []Frame) error {
	for i := range frames {
		f := &frames[i]
		switch f.Kind {
		case KindText:
			if !wire.ShortASCII(f.Data) && !wire.ValidUTF8(f.Data) {
				return badFrame(i, f, websocket.StatusInvalidFramePayloadData, "the text is not valid UTF-8")
			}
		case KindBinary:
		case KindPing, KindPong:
			if len(f.Data) > 125 {
				return badFrame(i, f, websocket.StatusProtocolError, fmt.Sprintf("the payload has %d bytes, more than the 125 of a control frame", len(f.Data)))
			}
		case KindClose:
			switch {
			case f.Code == 0 && len(f.Data) == 0 && i == len(frames)-1: // one without a code
			case f.Code < 0 || f.Code > 4999 || !wire.ValidCloseCode(uint16(f.Code)):
				return badFrame(i, f, websocket.StatusProtocolError, fmt.Sprintf("the close code %d may not be sent", int(f.Code)))
			case len(f.Data) > 123:
				return badFrame(i, f, websocket.StatusProtocolError, fmt.Sprintf("the close reason has %d bytes, more than 123", len(f.Data)))
			case !utf8.Valid(f.Data):
				return badFrame(i, f, websocket.StatusInvalidFramePayloadData, "the close reason is not valid UTF-8")
			case i < len(frames)-1:
				return badFrame(i+1, &frames[i+1], websocket.StatusProtocolError, "nothing may follow a close frame")
			}
		default:
			return badFrame(i, f, websocket.StatusProtocolError, "a frame of this kind cannot be sent")
		}
	}
	return nil
}

func badFrame(i int, f *Frame, code websocket.StatusCode, reason string) error {
	return &ProtocolError{Code: code, Reason: fmt.Sprintf("outgoing frame %d (%v): %s", i+1, f.Kind, reason)}
}

// endInClose reports whether nothing may follow frames that have been checked.
func endInClose(frames []Frame) bool {
	return len(frames) > 0 && frames[len(frames)-1].Kind == KindClose
}
