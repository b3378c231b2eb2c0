package reqws

import (
	"errors"
	"strings"
	"testing"

	"github.com/matryer/is"
)

// What a close frame says about an error fits it, and is UTF-8.
func TestCloseReason(t *testing.T) {
	is := is.New(t)
	is.Equal(closeReason(&ProtocolError{1002, "short"}), "short")
	is.Equal(closeReason(errors.New("plain")), "plain")
	is.Equal(closeReason(&ProtocolError{1002, strings.Repeat("x", 123)}), strings.Repeat("x", 123))
	is.Equal(closeReason(&ProtocolError{1002, strings.Repeat("x", 124)}), strings.Repeat("x", 123))
	is.Equal(closeReason(&ProtocolError{1002, strings.Repeat("ü", 62)}), strings.Repeat("ü", 61)) // 122 bytes
}
