package dial

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptrace"
	"strings"

	"github.com/reqws/reqws/internal/failure"
	"github.com/reqws/reqws/internal/host"
	"github.com/reqws/reqws/internal/netconn"
)

// The names of the protocols in ALPN (RFC 7301, RFC 9113 section 3.1).
const (
	alpnHTTP1 = "http/1.1"
	alpnHTTP2 = "h2"
)

var onlyHTTP1 = []string{alpnHTTP1}

// alpn names protocols for TLS, in their order.
func alpn(protocols []Protocol) []string {
	var names []string
	for _, p := range protocols {
		names = append(names, map[Protocol]string{HTTP1: alpnHTTP1, HTTP2: alpnHTTP2}[p])
	}
	return names
}

// tlsConfig returns the configuration for a connection to the server name: the
// user's, cloned, with what this connection needs.
func (t *Transport) tlsConfig(name string, alpn []string) *tls.Config {
	var config *tls.Config
	if t.TLS == nil {
		config = &tls.Config{}
	} else {
		config = t.TLS.Clone()
	}
	if config.ServerName == "" {
		config.ServerName = name
	}
	config.NextProtos = alpn
	return config
}

// serverTLS returns the configuration for TLS with the request's server. What proves
// who the user is, client certificates and the sessions that were made with them,
// is for the origin it was given for.
func (t *roundTrip) serverTLS(alpn []string) *tls.Config {
	config := t.tlsConfig(t.serverName(), alpn)
	if t.server().Foreign {
		config.Certificates, config.GetClientCertificate, config.ClientSessionCache = nil, nil, nil
	}
	return config
}

// serverName is what the server's certificate has to be for, unless the user's
// configuration names something else.
func (t *roundTrip) serverName() string {
	if name := t.server().Name; name != "" {
		return name
	}
	name, err := host.ASCII(t.req.URL.Hostname())
	if err != nil {
		return t.req.URL.Hostname()
	}
	name, _, _ = strings.Cut(name, "%") // the zone of an IPv6 address says something to this machine alone
	return name
}

// secure does the TLS handshake over conn, which is closed after an error.
func (t *roundTrip) secure(ctx context.Context, conn net.Conn, config *tls.Config) (net.Conn, error) {
	t.enter(failure.TLS)
	secured := tls.Client(&netconn.TLSLink{Conn: conn, Renegotiates: config.Renegotiation != tls.RenegotiateNever}, config)
	trace := httptrace.ContextClientTrace(ctx)
	if trace != nil && trace.TLSHandshakeStart != nil {
		trace.TLSHandshakeStart()
	}
	err := closeAtEnd(ctx, conn, func() error { return secured.HandshakeContext(ctx) })
	if trace != nil && trace.TLSHandshakeDone != nil {
		trace.TLSHandshakeDone(secured.ConnectionState(), err)
	}
	if err != nil {
		return nil, t.fail(ctx, explainTLS(err, config))
	}
	return secured, nil
}

// explainTLS says what is behind the failure where package tls only says what it
// looked like.
func explainTLS(err error, config *tls.Config) error {
	var header tls.RecordHeaderError
	if errors.As(err, &header) && string(header.RecordHeader[:]) == "HTTP/" {
		return fmt.Errorf("the peer speaks HTTP without TLS: %w", err)
	}
	if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("the peer hung up during the TLS handshake: %w", err)
	}
	if refusesALPN(err) {
		return fmt.Errorf("the peer has none of the protocols offered (%s): %w", strings.Join(config.NextProtos, ", "), err)
	}
	return err
}

// tlsAlert returns the alert with which the peer ended TLS (RFC 8446, section 6), or
// nil. Package tls keeps its type to itself where it came over TCP, but not its
// text.
func tlsAlert(err error) error {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "remote error" {
		return op.Err
	}
	return nil
}

// refusesALPN says whether the server has none of the protocols offered.
func refusesALPN(err error) bool {
	const noApplicationProtocol tls.AlertError = 120 // RFC 7301, section 3.2
	got := tlsAlert(err)
	return got != nil && got.Error() == noApplicationProtocol.Error()
}
