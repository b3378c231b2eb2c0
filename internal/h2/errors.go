package h2

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"golang.org/x/net/http2"
)

var (
	// ErrNoExtendedConnect is returned when the peer's SETTINGS do not allow the :protocol
	// pseudo-header (RFC 8441, section 3).
	ErrNoExtendedConnect = errors.New("http2: the server does not offer extended CONNECT")

	// ErrStreamLimit is returned when the connection already carries as many streams as the peer
	// allows (SETTINGS_MAX_CONCURRENT_STREAMS). Nothing was sent.
	ErrStreamLimit = errors.New("http2: the server's limit of concurrent streams is reached")

	// ErrNotProcessed marks (by errors.Is) the failures after which a request is known not to have
	// been acted on, so that it may be sent again whatever its method (RFC 9113, section 8.7).
	ErrNotProcessed = errors.New("http2: the request was not processed")

	// ErrNotHTTP2 marks (by errors.Is) a connection whose peer began with something other than
	// a SETTINGS frame, such as an HTTP/1.1 response.
	ErrNotHTTP2 = errors.New("http2: the server does not speak HTTP/2")

	// ErrHTTP11Required marks (by errors.Is) the failures with which the server asks for HTTP/1.1
	// (HTTP_1_1_REQUIRED: RFC 9113, section 7).
	ErrHTTP11Required = errors.New("http2: the server requires HTTP/1.1")

	// ErrPingTimeout ends a connection whose peer was silent and did not answer a PING.
	ErrPingTimeout = errors.New("no answer to a keepalive ping")
)

// StreamError ends one stream. An empty Reason means that the peer sent RST_STREAM with Code;
// otherwise this side reset the stream and Reason says what the peer did wrong.
type StreamError struct {
	Code   http2.ErrCode
	Reason string
}

func (e StreamError) Error() string {
	if e.Reason == "" {
		return fmt.Sprintf("http2: stream reset by the server: %v", e.Code)
	}
	return fmt.Sprintf("http2: stream reset: %v: %s", e.Code, e.Reason)
}

// Is reports a stream refused by the peer as ErrNotProcessed, and one for which it wants
// HTTP/1.1 as ErrHTTP11Required.
func (e StreamError) Is(target error) bool {
	return e.Reason == "" && (target == ErrNotProcessed && e.Code == http2.ErrCodeRefusedStream ||
		target == ErrHTTP11Required && e.Code == http2.ErrCodeHTTP11Required)
}

// ConnError ends a connection whose peer broke the protocol: Code is what the GOAWAY sent to it
// says, Reason what was wrong.
type ConnError struct {
	Code   http2.ErrCode
	Reason string
}

func (e ConnError) Error() string {
	return fmt.Sprintf("http2: connection error: %v: %s", e.Code, e.Reason)
}

// GoAwayError ends the streams that a GOAWAY of the peer says it will not process, and is the
// answer to a Connect after that GOAWAY. It is ErrNotProcessed to errors.Is; one that asks for
// HTTP/1.1 is ErrHTTP11Required in place of that, since HTTP/2 will not do another time either.
type GoAwayError struct {
	LastStreamID uint32
	Code         http2.ErrCode
	Debug        string // the peer's debug data, at most 1 KiB of it
}

func (e GoAwayError) Error() string {
	return "http2: the server is going away: " + e.reason()
}

// reason shows debug data that is a few plain words: other may hold what the request said.
func (e GoAwayError) reason() string {
	if len(e.Debug) > 40 || !plainWords.MatchString(e.Debug) {
		return e.Code.String()
	}
	return fmt.Sprintf("%v: %q", e.Code, e.Debug)
}

var plainWords = regexp.MustCompile(`^[A-Za-z]+([ _-][A-Za-z]+){0,4}$`)

// Is implements what is said at the type.
func (e GoAwayError) Is(target error) bool {
	if e.Code == http2.ErrCodeHTTP11Required {
		return target == ErrHTTP11Required
	}
	return target == ErrNotProcessed
}

// streamFault is what the frame handlers return when the peer broke the rules on one stream.
type streamFault struct {
	id uint32
	StreamError
}

func connError(code http2.ErrCode, format string, args ...any) error {
	return ConnError{code, fmt.Sprintf(format, args...)}
}

func streamError(id uint32, code http2.ErrCode, format string, args ...any) error {
	return streamFault{id, StreamError{code, fmt.Sprintf(format, args...)}}
}

// errorToken is how CountError names an error: lower-case letters, digits, underscores.
func errorToken(prefix string, code http2.ErrCode) string {
	if code > http2.ErrCodeHTTP11Required {
		return prefix + "unknown"
	}
	return prefix + strings.ToLower(code.String())
}
