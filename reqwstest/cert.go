package reqwstest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"sync"
	"time"
)

// memoryHost is the host in the URL of a server in memory.
const memoryHost = "reqwstest.test"

// authority issues the certificates of all servers in this process.
type authority struct {
	pool           *x509.CertPool
	server, client tls.Certificate
}

var theAuthority = sync.OnceValue(newAuthority)

// serverTLS is a server's configuration until TLS changes it.
func serverTLS() *tls.Config {
	a := theAuthority()
	return &tls.Config{Certificates: []tls.Certificate{a.server}, ClientCAs: a.pool, NextProtos: []string{"http/1.1"}}
}

// newAuthority panics where the system has no randomness or elliptic curves:
// no test could go on.
func newAuthority() *authority {
	ca, caKey := issue(&x509.Certificate{
		Subject:  pkix.Name{CommonName: "reqwstest authority"},
		IsCA:     true,
		KeyUsage: x509.KeyUsageCertSign, BasicConstraintsValid: true,
	}, nil, nil)
	server, serverKey := issue(&x509.Certificate{
		Subject:     pkix.Name{CommonName: memoryHost},
		DNSNames:    []string{memoryHost, "*." + memoryHost, "localhost", "example.com", "*.example.com"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		KeyUsage:    x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, ca, caKey)
	client, clientKey := issue(&x509.Certificate{
		Subject:  pkix.Name{CommonName: "reqwstest client"},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, ca, caKey)

	a := &authority{
		pool:   x509.NewCertPool(),
		server: tls.Certificate{Certificate: [][]byte{server.Raw}, PrivateKey: serverKey, Leaf: server},
		client: tls.Certificate{Certificate: [][]byte{client.Raw}, PrivateKey: clientKey, Leaf: client},
	}
	a.pool.AddCert(ca)
	return a
}

// issue signs a certificate, by itself if there is no parent. It holds from long
// before 2000, where the clock of a synctest bubble starts.
func issue(template, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(fmt.Sprintf("reqwstest: %v", err))
	}
	if parent == nil {
		parent, parentKey = template, key
	}
	template.SerialNumber, _ = rand.Int(rand.Reader, big.NewInt(1<<62))
	template.NotBefore = time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC)
	template.NotAfter = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey)
	if err != nil {
		panic(fmt.Sprintf("reqwstest: %v", err))
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		panic(fmt.Sprintf("reqwstest: %v", err))
	}
	return cert, key
}
