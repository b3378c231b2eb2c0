package reqws

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/coder/websocket"
)

// Errors to test for with errors.Is.
var (
	// ErrTooManyRedirects: more redirects than [MaxRedirects] allows.
	ErrTooManyRedirects = errors.New("too many redirects")
	// ErrUnknownMessage: a [Message] of another stream was given to
	// [Response.ParseMessage].
	ErrUnknownMessage = errors.New("the message is of another stream")
	// ErrMessageTooBig: a message or body larger than [MaxMessageSize].
	ErrMessageTooBig = errors.New("message too big")
	// ErrPeerUnresponsive: the peer left a ping of the HTTP/2 connection unanswered
	// (see [HTTP2Settings]).
	ErrPeerUnresponsive = errors.New("the peer does not respond")
	// ErrClosed: the stream has been closed from this side.
	ErrClosed = errors.New("the stream is closed")
)

// HTTPError is an HTTP answer as an error: a refused handshake, or a plain HTTP
// status of 400 and above.
type HTTPError struct {
	StatusCode int
	Header     http.Header
	Body       []byte // its first 1 MiB

	phase, url string
}

func (e *HTTPError) Error() string {
	return fmt.Sprintf("reqws: %s: %s: refused with status %d %s", cmp.Or(e.phase, phaseRequest), e.url, e.StatusCode, http.StatusText(e.StatusCode))
}

// ProtocolError is a violation of RFC 6455 or RFC 7692: by the peer, or in a
// frame that was to be sent. Code is the close code it calls for.
type ProtocolError struct {
	Code   websocket.StatusCode
	Reason string
}

func (e *ProtocolError) Error() string {
	return fmt.Sprintf("protocol error %d: %s", int(e.Code), e.Reason)
}

// Is makes errors.Is(err, ErrMessageTooBig) hold for code 1009.
func (e *ProtocolError) Is(target error) bool {
	return target == ErrMessageTooBig && e.Code == websocket.StatusMessageTooBig
}

// phaseError says in which phase something failed and for which URL. All errors
// that leave the package from the way to a connection are wrapped in one.
type phaseError struct {
	phase string
	url   string
	err   error
}

func (e *phaseError) Error() string { return "reqws: " + e.phase + ": " + e.url + ": " + e.err.Error() }
func (e *phaseError) Unwrap() error { return e.err }

// fail wraps err with its phase, unless a deeper place has done so already.
func fail(phase string, u *url.URL, err error) error {
	if err == nil {
		return nil
	}
	err = withoutURL(err)
	var pe *phaseError
	var he *HTTPError
	if errors.As(err, &pe) || errors.As(err, &he) {
		return err
	}
	return &phaseError{phase, safeURL(u), err}
}

// withoutURL takes each *url.Error off err, with what is around it: it quotes a
// URL whose query may hold a secret.
func withoutURL(err error) error {
	var ue *url.Error
	for errors.As(err, &ue) && ue.Err != nil {
		err = ue.Err
	}
	return err
}

// safeURL writes u without what may be secret in it: userinfo, query, fragment, and
// port and path where they may be a password.
func safeURL(u *url.URL) string {
	if u == nil || u.Scheme == "" && u.Host == "" && u.Path == "" {
		return "(no URL)"
	}
	if isCutOff(u.Path, u.RawQuery) {
		host := u.Hostname()
		if host != "" && !strings.Contains(host, ".") { // it may be the password's beginning, too
			host = hiddenValue
		}
		return (&url.URL{Scheme: u.Scheme, Host: host, Path: "/" + hiddenValue}).String()
	}
	s := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
	return s.String()
}
