// Package failure makes the errors of the way to a connection: each says in which phase
// something failed and for which URL, and none shows a secret.
package failure

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"time"
)

// The phases of connecting. The steps in front of them have names of their own.
const (
	Lookup    = "lookup"
	Dial      = "dial"
	Proxy     = "proxy"
	TLS       = "TLS"
	Handshake = "handshake"
	Request   = "request" // of a plain HTTP exchange
)

// Error says in which phase something failed and for which URL. All errors
// that leave the package from the way to a connection are wrapped in one.
type Error struct {
	Phase string
	URL   string // as SafeURL writes it
	Err   error
}

func (e *Error) Error() string { return "reqws: " + e.Phase + ": " + e.URL + ": " + e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// Format writes the text with any verb: fmt shows the inside of an error to a verb that
// is not for text.
func (e *Error) Format(f fmt.State, verb rune) { Format(f, verb, e.Error()) }

// In wraps err with its phase, unless a deeper place has done so already.
func In(phase string, u *url.URL, err error) error {
	if err == nil {
		return nil
	}
	err = WithoutURL(err)
	if Has[*Error](err) {
		return err
	}
	return &Error{phase, SafeURL(u), err}
}

// Has reports whether err is a T or wraps one.
func Has[T error](err error) bool {
	if _, ok := err.(T); ok || err == nil || !wraps(err) {
		return ok
	}
	var known T
	return errors.As(err, &known)
}

// wraps reports whether there may be another error in err. Most errors that end a stream are
// plain, and to look into those takes memory.
func wraps(err error) bool {
	switch err.(type) {
	case interface{ Unwrap() error }, interface{ Unwrap() []error }, interface{ As(any) bool }:
		return true
	}
	return false
}

// Ended returns why ctx is over, or nil while it is not. An operation that was
// given the deadline of ctx, and failed with err, may time out an instant before ctx does.
func Ended(ctx context.Context, err error) error {
	var timeout net.Error
	if deadline, ok := ctx.Deadline(); ok && errors.As(err, &timeout) && timeout.Timeout() && !time.Now().Before(deadline) {
		<-ctx.Done()
	}
	if ctx.Err() == nil {
		return nil
	}
	cause := context.Cause(ctx)
	if errors.Is(cause, ctx.Err()) {
		return cause
	}
	return fmt.Errorf("%w: %w", ctx.Err(), cause)
}

// Format writes text for a verb of package fmt: quoted for %q, else as it is.
func Format(f fmt.State, verb rune, text string) {
	if verb == 'q' {
		text = strconv.Quote(text)
	}
	_, _ = io.WriteString(f, text)
}
