package otelreqws

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/coder/websocket"
	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/reqws/reqws"
)

// methodOf is the method of a request, as far as the conventions know it.
func methodOf(req *http.Request) attribute.KeyValue {
	switch req.Method {
	case "":
		return semconv.HTTPRequestMethodGet
	case http.MethodConnect, http.MethodDelete, http.MethodGet, http.MethodHead, http.MethodOptions,
		http.MethodPatch, http.MethodPost, http.MethodPut, http.MethodTrace, "QUERY":
		return semconv.HTTPRequestMethodKey.String(req.Method)
	}
	return semconv.HTTPRequestMethodOther
}

// hidden stands for what may be a secret.
const hidden = "REDACTED"

// shown writes u without userinfo, query and fragment. A path with an @ may be the end of a password
// that had a slash in it.
func shown(u *url.URL) string {
	if mayBePassword(u) {
		return u.Scheme + "://" + hidden + "/" + hidden
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String()
}

func mayBePassword(u *url.URL) bool {
	return strings.Contains(u.Path, "@") || strings.Trim(u.Path, "/") == "" && strings.Contains(u.RawQuery, "@")
}

// serverOf is the host and the port of u.
func serverOf(u *url.URL) []attribute.KeyValue {
	if u == nil || u.Hostname() == "" || mayBePassword(u) {
		return nil
	}
	attrs := []attribute.KeyValue{semconv.ServerAddress(u.Hostname())}
	port, err := strconv.Atoi(u.Port())
	switch {
	case err == nil:
	case u.Scheme == "ws" || u.Scheme == "http":
		port = 80
	case u.Scheme == "wss" || u.Scheme == "https":
		port = 443
	default:
		return attrs
	}
	return append(attrs, semconv.ServerPort(port))
}

// versionOf is the version in the name of a protocol: 1.1, or 2.
func versionOf(proto string) string {
	version, ok := strings.CutPrefix(proto, "HTTP/")
	if !ok {
		return ""
	}
	return strings.TrimSuffix(version, ".0")
}

// errorStatus is the error type of a status.
func errorStatus(status int) attribute.KeyValue {
	return semconv.ErrorTypeKey.String(strconv.Itoa(status))
}

// errorType sorts errors into few kinds, since each is a time series of its own.
func errorType(err error) attribute.KeyValue {
	var (
		refused  *reqws.HTTPError
		proxy    *reqws.ProxyError
		protocol *reqws.ProtocolError
		closed   websocket.CloseError
		lookup   *net.DNSError
		cert     *tls.CertificateVerificationError
		timeout  net.Error
	)
	kind := semconv.ErrorTypeOther.Value.AsString()
	switch {
	case errors.As(err, &refused):
		return errorStatus(refused.StatusCode)
	case errors.As(err, &closed):
		kind = "close_" + strconv.Itoa(int(closed.Code))
	case errors.As(err, &protocol):
		kind = "protocol_error"
	case errors.As(err, &proxy):
		kind = "proxy"
	case errors.As(err, &lookup):
		kind = "lookup"
	case errors.As(err, &cert):
		kind = "certificate"
	case errors.Is(err, reqws.ErrPeerUnresponsive):
		kind = "peer_unresponsive"
	case errors.Is(err, context.Canceled):
		kind = "canceled"
	case errors.Is(err, reqws.ErrClosed):
		kind = "closed"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		kind = "timeout"
	case errors.Is(err, syscall.ECONNREFUSED):
		kind = "connection_refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		kind = "connection_reset"
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		kind = "connection_lost"
	}
	return semconv.ErrorTypeKey.String(kind)
}
