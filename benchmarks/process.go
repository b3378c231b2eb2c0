package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"time"
)

// roleVariable makes this program the server, or a process full of connections.
const roleVariable = "REQWS_BENCHMARK_ROLE"

// play is main in a process that startServer or idle began. What it has to know
// comes on standard input, and it ends when that ends.
func play(role string) error {
	switch role {
	case "server":
		return serveUntilEOF()
	case "idle":
		return idleProcess()
	}
	return fmt.Errorf("unknown role %q", role)
}

// spawn starts this program in a role.
func spawn(role string) (*exec.Cmd, io.WriteCloser, *bufio.Reader, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, nil, err
	}
	cmd := exec.Command(self)
	// Go's server offers extended CONNECT (RFC 8441) only so.
	cmd.Env = append(os.Environ(), roleVariable+"="+role, "GODEBUG=http2xconnect=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, nil, err
	}
	return cmd, in, bufio.NewReader(out), cmd.Start()
}

// address is where the server listens, as it says on its standard output.
type address struct {
	Plain string // host:port
	TLS   string
	HTTP2 string // HTTP/1.1 and, with prior knowledge, HTTP/2
	Cert  []byte // PEM
}

func (a address) target(path string) target {
	return target{url: "ws://" + a.Plain + path}
}

func (a address) secure(path string) target {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(a.Cert)
	c := &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"}
	return target{url: "wss://" + a.TLS + path, tls: c, http: &http.Client{Transport: &http.Transport{TLSClientConfig: c}}}
}

// remote is the server's process.
type remote struct {
	address
	cmd *exec.Cmd
	in  io.Closer
}

func startServer() (*remote, error) {
	cmd, in, out, err := spawn("server")
	if err != nil {
		return nil, err
	}
	r := &remote{cmd: cmd, in: in}
	if err := json.NewDecoder(out).Decode(&r.address); err != nil {
		return nil, fmt.Errorf("the server said nothing: %w", err)
	}
	return r, nil
}

func (r *remote) stop() {
	r.in.Close()
	r.cmd.Wait()
}

func serveUntilEOF() error {
	cert, pemBytes, err := certificate()
	if err != nil {
		return err
	}
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	secure, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}})
	if err != nil {
		return err
	}
	both, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s := &server{idle: map[net.Conn]struct{}{}}
	go s.serve(plain)
	go s.serve(secure)
	go serveHTTP(both)
	a := address{Plain: plain.Addr().String(), TLS: secure.Addr().String(), HTTP2: both.Addr().String(), Cert: pemBytes}
	if err := json.NewEncoder(os.Stdout).Encode(a); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

func certificate() (tls.Certificate, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:         true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	cert := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	return cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}
