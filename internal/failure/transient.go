package failure

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"syscall"
)

// IsTransient reports whether err may pass: a timeout, or a connection that was
// refused, or lost before there was an answer.
func IsTransient(err error) bool {
	var (
		dns       *net.DNSError
		cert      *tls.CertificateVerificationError
		record    tls.RecordHeaderError
		alert     tls.AlertError
		authority x509.UnknownAuthorityError
		hostname  x509.HostnameError
		invalid   x509.CertificateInvalidError
	)
	if errors.As(err, &dns) || errors.As(err, &cert) || errors.As(err, &record) || errors.As(err, &alert) ||
		errors.As(err, &authority) || errors.As(err, &hostname) || errors.As(err, &invalid) {
		return false
	}
	// Such as a stream that an HTTP/2 server never looked at.
	var retryable interface{ Retryable() bool }
	if errors.As(err, &retryable) {
		return retryable.Retryable()
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return true
	}
	for _, lost := range lostConnection {
		if errors.Is(err, lost) {
			return true
		}
	}
	return false
}

// IsTransientStatus reports whether a server that answers with a status may answer otherwise soon.
func IsTransientStatus(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// lostConnection is what a connection that was refused, reset or closed fails
// with. The numbers are those of Windows, whose system calls do not return the
// names of package syscall; no other system has them.
var lostConnection = []error{
	syscall.ECONNREFUSED, syscall.Errno(10061),
	syscall.ECONNRESET, syscall.Errno(10054),
	syscall.ECONNABORTED, syscall.Errno(10053),
	syscall.EPIPE, syscall.Errno(109),
	io.EOF, io.ErrUnexpectedEOF,
}
