package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"

	"github.com/coder/websocket"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/internal/failure"
)

// The exit codes: what kind of failure it was.
const (
	exitClean       = 0
	exitOther       = 1
	exitUsage       = 2
	exitLookup      = 3
	exitConnect     = 4
	exitTLS         = 5
	exitProxy       = 6
	exitRefused     = 7
	exitBroken      = 8
	exitProtocol    = 9
	exitCredentials = 10
	exitInterrupted = 130
)

var exitCodes = []struct {
	code int
	text string
}{
	{exitClean, "all went well: closed in good order by either side, or a plain answer below 400"},
	{exitOther, "another failure, such as a file that cannot be written or a line that cannot be sent"},
	{exitUsage, "a flag or the URL is wrong; nothing was sent"},
	{exitLookup, "the name of the server was not found"},
	{exitConnect, "no connection: refused, unreachable, or too slow (--connect-timeout)"},
	{exitTLS, "TLS failed, such as a certificate that is not trusted"},
	{exitProxy, "the proxy was not reached, or refused"},
	{exitRefused, "the server refused: another status than 101, too many redirects, or 400 and above for http"},
	{exitBroken, "the connection broke, or the server closed it with another code than 1000"},
	{exitProtocol, "the server broke the protocol, or sent more than --max-message-size"},
	{exitCredentials, "no credentials: netrc, the AWS chain, a file or variable of a secret"},
	{exitInterrupted, "interrupted: while connecting, or a second time while closing"},
}

// usageError is what is wrong with the command line.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usagef(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// credentialsError is why there are no credentials.
type credentialsError struct{ err error }

func (e *credentialsError) Error() string { return e.err.Error() }
func (e *credentialsError) Unwrap() error { return e.err }

// errInterrupted says that the user did not want to wait.
var errInterrupted = errors.New("interrupted")

// exitCode tells the kind of a failure. What tells more is asked first: a lookup of the proxy's
// name is the proxy's failure.
func exitCode(err error) int {
	var phase *failure.Error
	in := func(name string) bool { return errors.As(err, &phase) && phase.Phase == name }
	switch {
	case err == nil:
		return exitClean
	case as[*usageError](err):
		return exitUsage
	case errors.Is(err, errInterrupted):
		return exitInterrupted
	case as[*credentialsError](err):
		return exitCredentials
	case as[*reqws.ProxyError](err), in(failure.Proxy):
		return exitProxy
	case as[*reqws.HTTPError](err), as[*statusError](err), errors.Is(err, reqws.ErrTooManyRedirects):
		return exitRefused
	case as[*reqws.ProtocolError](err):
		return exitProtocol
	case as[websocket.CloseError](err):
		return exitBroken
	case as[*net.DNSError](err), in(failure.Lookup):
		return exitLookup
	case in(failure.TLS), as[*tls.CertificateVerificationError](err):
		return exitTLS
	case in(failure.Dial), phase != nil && errors.Is(err, context.DeadlineExceeded):
		return exitConnect
	case as[*otherError](err):
		return exitOther
	}
	return exitBroken
}

func as[T error](err error) bool {
	var e T
	return errors.As(err, &e)
}

// otherError is a failure that is neither of the command line nor of the connection.
type otherError struct{ err error }

func (e *otherError) Error() string { return e.err.Error() }
func (e *otherError) Unwrap() error { return e.err }

// message is what is printed of an error: printable, and with the name of the program in front.
func message(err error) string {
	text := err.Error()
	if errors.Is(err, errInterrupted) {
		text = errInterrupted.Error()
	}
	text = strings.TrimPrefix(text, "reqws: ")
	if _, behind, ok := strings.Cut(text, "(no URL): "); ok {
		text = behind
	}
	return "reqws: " + printable(text)
}

// fileError is what is printed of a file that cannot be used: which one, and why.
func fileError(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return fmt.Errorf("%s: %w", path.Path, path.Err)
	}
	return err
}

// statusError is a plain answer that is an error; its body was printed.
type statusError struct{ code int }

func (e *statusError) Error() string {
	return fmt.Sprintf("HTTP %d %s", e.code, http.StatusText(e.code))
}
