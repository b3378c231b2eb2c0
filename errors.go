package reqws

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/coder/websocket"

	"github.com/reqws/reqws/internal/failure"
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
	// ErrPeerUnresponsive: nothing came from the peer, nor after a [Heartbeat], or a ping of the
	// HTTP/2 connection was left unanswered (see [HTTP2Settings]).
	ErrPeerUnresponsive = errors.New("the peer does not respond")
	// ErrClosed: the stream has been closed from this side.
	ErrClosed = errors.New("the stream is closed")
)

// HTTPErrorMode says what becomes of an HTTP error status. See [HTTPErrors].
type HTTPErrorMode uint8

const (
	ReturnErrors HTTPErrorMode = iota + 1 // Do returns the Response
	RaiseErrors                           // Do returns an *HTTPError
)

// HTTPErrors says what [Request.Do] makes of a refused handshake, and of a plain
// HTTP answer of 400 and above: a [Response] ([ReturnErrors]) or an [*HTTPError]
// ([RaiseErrors]). The default is RaiseErrors for ws and wss, and ReturnErrors for
// http and https. Send, Receive and Wait of a Response that is a refused handshake
// return the same [*HTTPError]. Run and Dial return it whatever this option says.
func HTTPErrors(m HTTPErrorMode) Option {
	return checked("HTTPErrors", m, func(m HTTPErrorMode) error {
		if m != ReturnErrors && m != RaiseErrors {
			return fmt.Errorf("unknown mode %d", m)
		}
		return nil
	}, func(c *config, m HTTPErrorMode) { c.httpErrors = m })
}

// raises reports whether Do makes an error of an error status.
func (m HTTPErrorMode) raises(webSocket bool) bool {
	return m == RaiseErrors || m == 0 && webSocket
}

// HTTPError is an HTTP answer as an error: a refused handshake, or a plain HTTP
// status of 400 and above. Its text has the first two lines of the body, at most
// 200 bytes and printable; what the request had of credentials is taken out of them.
type HTTPError struct {
	StatusCode int
	Header     http.Header
	Body       []byte // its first 1 MiB, or what had come of it after a second
	URL        string // what answered, without userinfo and query

	phase, says string
}

func (e *HTTPError) Error() string {
	return fmt.Sprintf("reqws: %s: %s: refused with status %s", cmp.Or(e.phase, failure.Request), e.URL, statusAnd(e.StatusCode, e.says))
}

// Format writes the error with any verb as its text: not %#v either shows what of the
// answer may repeat a secret.
func (e HTTPError) Format(f fmt.State, verb rune) { failure.Format(f, verb, e.Error()) }

// ProxyError is the answer of an http or https proxy that opens no way to the
// server. It is no [HTTPError]: that is the answer of the server, which was never
// reached. What is in its text is as there.
type ProxyError struct {
	StatusCode int
	Header     http.Header
	Body       []byte // its first 1 MiB, or what had come of it after a second

	says string
}

func (e *ProxyError) Error() string {
	return "refused to connect: " + statusAnd(e.StatusCode, e.says)
}

// Format writes the error with any verb as its text, as that of an [HTTPError] does.
func (e ProxyError) Format(f fmt.State, verb rune) { failure.Format(f, verb, e.Error()) }

// Retryable tells the retry step which refusals may pass.
func (e *ProxyError) Retryable() bool { return failure.IsTransientStatus(e.StatusCode) }

// statusAnd writes a status, and what its body says.
func statusAnd(code int, says string) string {
	status := strings.TrimSpace(fmt.Sprint(code, " ", http.StatusText(code)))
	if says == "" {
		return status
	}
	return status + ": " + says
}

// ProtocolError is a violation of RFC 6455 or RFC 7692: by the peer, or in a
// frame that was to be sent. Code is the close code it calls for.
type ProtocolError struct {
	Code   websocket.StatusCode
	Reason string
}

func (e *ProtocolError) Error() string {
	option := ""
	if e.Code == websocket.StatusMessageTooBig {
		option = " (MaxMessageSize)" // for the user; the peer gets the Reason alone
	}
	return fmt.Sprintf("protocol error %d: %s%s", int(e.Code), e.Reason, option)
}

// Is makes errors.Is(err, ErrMessageTooBig) hold for code 1009.
func (e *ProtocolError) Is(target error) bool {
	return target == ErrMessageTooBig && e.Code == websocket.StatusMessageTooBig
}

// fail wraps err with its phase, unless a deeper place has done so already.
func fail(phase string, u *url.URL, err error) error {
	if err == nil {
		return nil
	}
	err = failure.WithoutURL(err)
	if failure.Has[*HTTPError](err) { // which says so itself
		return err
	}
	return failure.In(phase, u, err)
}
