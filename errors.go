package reqws

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
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
	return fmt.Sprintf("reqws: %s: %s: refused with status %s", cmp.Or(e.phase, phaseRequest), e.URL, statusAnd(e.StatusCode, e.says))
}

// Format writes the error with any verb as its text: not %#v either shows what of the
// answer may repeat a secret.
func (e HTTPError) Format(f fmt.State, verb rune) { format(f, verb, e.Error()) }

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
func (e ProxyError) Format(f fmt.State, verb rune) { format(f, verb, e.Error()) }

// Retryable tells the retry step which refusals may pass.
func (e *ProxyError) Retryable() bool { return isTransientStatus(e.StatusCode) }

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

// phaseError says in which phase something failed and for which URL. All errors
// that leave the package from the way to a connection are wrapped in one.
type phaseError struct {
	phase string
	url   string
	err   error
}

func (e *phaseError) Error() string { return "reqws: " + e.phase + ": " + e.url + ": " + e.err.Error() }
func (e *phaseError) Unwrap() error { return e.err }

// Format writes the text with any verb: fmt shows the inside of an error to a verb that
// is not for text.
func (e *phaseError) Format(f fmt.State, verb rune) { format(f, verb, e.Error()) }

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

// unquoted takes out of the text of an error of net/http what it quotes of the
// peer's answer, where it is about that.
func unquoted(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	quotes := []string{"malformed ", "transport connection broken", "server sent GOAWAY", "invalid header field", "pseudo-header"}
	if !slices.ContainsFunc(quotes, func(q string) bool { return strings.Contains(text, q) }) {
		return err
	}
	end := len(text)
	for _, before := range []string{`"`, "header line:", "header initial line:", "encoding:", "; got", ", debug="} {
		if i := strings.Index(text, before); i >= 0 {
			end = min(end, i)
		}
	}
	return &quiet{strings.TrimSuffix(strings.TrimRight(text[:end], " :"), " for"), err}
}

// quiet is an error in other words.
type quiet struct {
	text string
	err  error
}

func (e *quiet) Error() string                 { return e.text }
func (e *quiet) Unwrap() error                 { return e.err }
func (e *quiet) Format(f fmt.State, verb rune) { format(f, verb, e.text) }
