package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/coder/websocket"

	"github.com/reqws/reqws"
)

// The exit codes, by kind of failure.
const (
	exitOK          = 0
	exitOther       = 1
	exitUsage       = 2
	exitLookup      = 3
	exitConnect     = 4
	exitTLS         = 5
	exitProxy       = 6
	exitRefused     = 7
	exitLost        = 8
	exitProtocol    = 9
	exitCredentials = 10
	exitInterrupted = 130
)

// phase says what was going on when an error came up.
type phase struct {
	error
	opened bool // the connection was
}

func (p phase) Unwrap() error { return p.error }

// silentError is one that the user has been told of.
type silentError struct{ code int }

func (e silentError) Error() string { return "" }

// credentialError is one of finding credentials.
type credentialError struct{ error }

func (e credentialError) Unwrap() error { return e.error }

// exitCode is the code of an error.
func exitCode(err error) int {
	var (
		silent     silentError
		usage      usageError
		credential credentialError
		http       *reqws.HTTPError
		proxy      *reqws.ProxyError
		protocol   *reqws.ProtocolError
		closed     websocket.CloseError
		p          phase
		dns        *net.DNSError
	)
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &silent):
		return silent.code
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &credential):
		return exitCredentials
	case errors.As(err, &http):
		return exitRefused
	case errors.As(err, &proxy), !errors.As(err, &p) && strings.Contains(err.Error(), "proxy"):
		return exitProxy
	case errors.As(err, &protocol):
		return exitProtocol
	case errors.As(err, &closed):
		return exitLost
	case errors.As(err, &p) && p.opened:
		return exitLost
	case strings.Contains(err.Error(), "option "), strings.HasPrefix(err.Error(), "unknown "), strings.HasPrefix(err.Error(), "accepts "):
		return exitUsage
	case strings.Contains(err.Error(), "netrc"):
		return exitCredentials
	case strings.Contains(err.Error(), "proxy"):
		return exitProxy
	case errors.As(err, &dns):
		return exitLookup
	case isTLS(err):
		return exitTLS
	case isConnect(err):
		return exitConnect
	}
	return exitOther
}

func isTLS(err error) bool {
	var (
		verify *tls.CertificateVerificationError
		record tls.RecordHeaderError
		alert  tls.AlertError
		host   x509.HostnameError
		author x509.UnknownAuthorityError
		bad    x509.CertificateInvalidError
	)
	return errors.As(err, &verify) || errors.As(err, &record) || errors.As(err, &alert) || errors.As(err, &host) ||
		errors.As(err, &author) || errors.As(err, &bad) || strings.Contains(err.Error(), "tls: ")
}

func isConnect(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNREFUSED)
}
