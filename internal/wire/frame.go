// Package wire is the frame codec of a WebSocket client (RFC 6455, RFC 7692): bytes in, frames out,
// and back. It does no I/O and starts no goroutine. A value of it serves one goroutine at a time.
package wire

import "fmt"

// Opcode is a frame's type, RFC 6455 section 5.2.
type Opcode uint8

const (
	OpContinuation Opcode = 0x0
	OpText         Opcode = 0x1
	OpBinary       Opcode = 0x2
	OpClose        Opcode = 0x8
	OpPing         Opcode = 0x9
	OpPong         Opcode = 0xa
)

func (op Opcode) control() bool { return op&0x8 != 0 }

func (op Opcode) reserved() bool { return op&0x7 > 2 }

func (op Opcode) String() string {
	switch op {
	case OpContinuation:
		return "continuation"
	case OpText:
		return "text"
	case OpBinary:
		return "binary"
	case OpClose:
		return "close"
	case OpPing:
		return "ping"
	case OpPong:
		return "pong"
	}
	return fmt.Sprintf("opcode 0x%x", uint8(op))
}

// Close codes that this package itself gives or looks for, RFC 6455 section 7.4.1.
const (
	CodeProtocolError = 1002
	CodeInvalidData   = 1007
	CodeTooBig        = 1009
)

// Frame is a whole text or binary message, its fragments joined, or a piece of one, or one control frame.
type Frame struct {
	Op   Opcode
	More bool   // of a message: it goes on with the next frame that is none of control
	Data []byte // nil if empty; of an OpClose the reason
	Code int    // of an OpClose; 0 if it has none
}

// Error is a breach of the protocol by the peer.
type Error struct {
	Code   uint16 // what the connection is to be closed with: 1002, 1007 or 1009
	Reason string // names what was wrong; fits a close frame
}

func (e *Error) Error() string { return e.Reason }

func violation(format string, args ...any) *Error {
	return &Error{Code: CodeProtocolError, Reason: fmt.Sprintf(format, args...)}
}

func badText() *Error { return badData("text is not UTF-8") }

func badData(reason string) *Error { return &Error{Code: CodeInvalidData, Reason: reason} }

func tooBig(limit int) *Error {
	return &Error{Code: CodeTooBig, Reason: fmt.Sprintf("message above the limit of %d bytes", limit)}
}

// ValidCloseCode reports whether a close frame may carry code: RFC 6455 section 7.4 and the
// registry it founded.
func ValidCloseCode(code uint16) bool {
	switch {
	case code >= 1000 && code <= 1003, code >= 1007 && code <= 1014, code >= 3000 && code <= 4999:
		return true
	}
	return false
}
