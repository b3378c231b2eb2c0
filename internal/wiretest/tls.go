package wiretest

import (
	"crypto/tls"
	"errors"

	"github.com/reqws/reqws/reqwstest"
)

// ALPN makes a TLS server that knows these application protocols, in order of preference. ALPN()
// with none leaves the extension out.
func ALPN(protocols ...string) reqwstest.Option {
	return reqwstest.TLS(func(c *tls.Config) { c.NextProtos = protocols })
}

// RequireClientCert makes a TLS server that refuses clients without the certificate of
// Server.TLSConfig.
func RequireClientCert() reqwstest.Option {
	return reqwstest.TLS(func(c *tls.Config) { c.ClientAuth = tls.RequireAndVerifyClientCert })
}

// ExpectTLSError expects that the TLS handshake fails, as when the client does not trust the server.
func ExpectTLSError() reqwstest.Step {
	return reqwstest.Named("ExpectTLSError", func(c *reqwstest.Conn) error {
		if c.TLS() == nil {
			return errors.New("the server is without TLS")
		}
		if err := c.TLS().Handshake(); err == nil {
			return errors.New("want a failed TLS handshake, but it went well")
		}
		return nil
	})
}

// StartTLS makes the rest of the connection TLS, as after the answer to CONNECT.
func StartTLS() reqwstest.Step { return reqwstest.Named("StartTLS", (*reqwstest.Conn).StartTLS) }
