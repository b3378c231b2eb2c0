package reqws

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http/httptrace"
	"net/netip"
	"slices"
	"strings"
)

// The names of the protocols in ALPN (RFC 7301, RFC 9113 section 3.1).
const (
	alpnHTTP1 = "http/1.1"
	alpnHTTP2 = "h2"
)

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
func (t *transport) tlsConfig(name string, alpn []string) *tls.Config {
	var config *tls.Config
	if t.tls == nil {
		config = &tls.Config{}
	} else {
		config = t.tls.Clone()
	}
	if config.ServerName == "" {
		config.ServerName = name
	}
	config.NextProtos = alpn
	return config
}

// serverName is what the server's certificate has to be for, unless the user's
// configuration names something else. Hostname stands for the user's own server:
// where an untrusted redirect leads to another one, the URL's host counts.
func (a *attempt) serverName() string {
	if a.hostname != "" && !foreign(a.req.Context()) {
		return withoutPort(a.hostname)
	}
	host, err := asciiHost(a.req.URL.Hostname())
	if err != nil {
		return a.req.URL.Hostname()
	}
	host, _, _ = strings.Cut(host, "%") // the zone of an IPv6 address says something to this machine alone
	return host
}

// secure does the TLS handshake over conn, which is closed after an error.
func (a *attempt) secure(ctx context.Context, conn net.Conn, config *tls.Config) (net.Conn, error) {
	secured := tls.Client(conn, config)
	trace := httptrace.ContextClientTrace(ctx)
	if trace != nil && trace.TLSHandshakeStart != nil {
		trace.TLSHandshakeStart()
	}
	err := guard(ctx, conn, func() error { return secured.HandshakeContext(ctx) })
	if trace != nil && trace.TLSHandshakeDone != nil {
		trace.TLSHandshakeDone(secured.ConnectionState(), err)
	}
	if err != nil {
		return nil, a.fail(ctx, phaseTLS, explainTLS(err))
	}
	return secured, nil
}

// explainTLS says what is behind the failure where package tls only says what it
// looked like.
func explainTLS(err error) error {
	var header tls.RecordHeaderError
	if errors.As(err, &header) && string(header.RecordHeader[:]) == "HTTP/" {
		return fmt.Errorf("the server speaks HTTP without TLS: %w", err)
	}
	return err
}

// isAlert says whether err is this alert, sent by the peer (RFC 8446, section
// 6.2). Package tls keeps the type of alerts that came over TCP to itself, but
// not their text.
func isAlert(err error, alert tls.AlertError) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error" && op.Err.Error() == alert.Error()
}

// refusesALPN says whether the server has none of the protocols offered.
func refusesALPN(err error) bool {
	const noApplicationProtocol = 120 // RFC 7301, section 3.2
	return isAlert(err, noApplicationProtocol)
}

// byPeer says whether the peer ended TLS with an alert. In TLS 1.3 it refuses the
// client's certificate only after the client is done with the handshake.
func byPeer(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error"
}

// checkHostname says what is wrong with the value of the option Hostname: it is
// a host name or an IP address, and may have a port, for the Host header.
func checkHostname(name string) error {
	host := withoutPort(name)
	if _, err := netip.ParseAddr(host); err == nil {
		return nil
	}
	if host == "" {
		return errors.New("the name is empty")
	}
	labels := strings.Split(strings.TrimSuffix(host, "."), ".")
	if len(host) > 253 || slices.ContainsFunc(labels, badLabel) {
		return fmt.Errorf("%q is no host name", name)
	}
	return nil
}

func badLabel(label string) bool {
	return label == "" || len(label) > 63 || strings.ContainsFunc(label, func(r rune) bool {
		return !(r == '-' || r == '_' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z')
	})
}

func withoutPort(name string) string {
	if host, _, err := net.SplitHostPort(name); err == nil {
		return host
	}
	return strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")
}
