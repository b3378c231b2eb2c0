package main

import (
	"bufio"
	"cmp"
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

// play is main in a process that this program began. What it has to know comes on
// standard input, and it ends when that ends.
func play(role string) error {
	switch role {
	case "server":
		return serveUntilEOF()
	case "worker":
		return workerProcess()
	case "crowd":
		return crowdProcess()
	case "traced":
		return tracedProcess()
	case "grown":
		return grownProcess()
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
	PID   int
}

// serverOrder is what the server is told: nothing, or where to listen once more.
type serverOrder struct {
	Hosts      []string // 127.0.0.1 unless given
	Plain, TLS string   // ports, or empty for any
	Cert, Key  []byte   // PEM, or empty for a new one
}

// remote is the server's process.
type remote struct {
	address
	cmd *exec.Cmd
	in  io.Closer
}

// target is a path of the server's, on the host that it is called by in the certificate.
func (a address) target(via transport, path string) target {
	return a.targetAt("127.0.0.1", via, path)
}

func (a address) targetAt(host string, via transport, path string) target {
	if via == overWS {
		return target{url: "ws://" + net.JoinHostPort(host, port(a.Plain)) + path}
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(a.Cert)
	c := &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"}
	return target{url: "wss://" + net.JoinHostPort(host, port(a.TLS)) + path, tls: c,
		http: &http.Client{Transport: &http.Transport{TLSClientConfig: c}}}
}

func port(hostport string) string {
	_, p, _ := net.SplitHostPort(hostport)
	return p
}

// clock is that of the server's processor time.
func (r *remote) clock() processClock { return clockOf(r.PID) }

func startServer(o serverOrder) (*remote, error) {
	cmd, in, out, err := spawn("server")
	if err != nil {
		return nil, err
	}
	r := &remote{cmd: cmd, in: in}
	if err := json.NewEncoder(in).Encode(o); err != nil {
		return nil, err
	}
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
	raiseFileLimit()
	var o serverOrder
	in := json.NewDecoder(os.Stdin)
	if err := in.Decode(&o); err != nil {
		return err
	}
	if len(o.Hosts) == 0 {
		o.Hosts = []string{"127.0.0.1"}
	}
	if o.Cert == nil {
		var err error
		if o.Cert, o.Key, err = certificate(); err != nil {
			return err
		}
	}
	cert, err := tls.X509KeyPair(o.Cert, o.Key)
	if err != nil {
		return err
	}
	s := &server{idle: map[net.Conn]struct{}{}}
	for i, host := range o.Hosts {
		plain, err := net.Listen("tcp", net.JoinHostPort(host, cmp.Or(o.Plain, "0")))
		if err != nil {
			return err
		}
		secure, err := net.Listen("tcp", net.JoinHostPort(host, cmp.Or(o.TLS, "0")))
		if err != nil {
			return err
		}
		if i == 0 {
			o.Plain, o.TLS = port(plain.Addr().String()), port(secure.Addr().String())
		}
		go s.serve(plain)
		go s.serve(tls.NewListener(secure, &tls.Config{Certificates: []tls.Certificate{cert}}))
	}
	both, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go serveHTTP(both)
	a := address{Plain: net.JoinHostPort(o.Hosts[0], o.Plain), TLS: net.JoinHostPort(o.Hosts[0], o.TLS),
		HTTP2: both.Addr().String(), Cert: o.Cert, PID: os.Getpid()}
	if err := json.NewEncoder(os.Stdout).Encode(a); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// certificate makes a certificate for 127.0.0.1 and its key, both in PEM.
func certificate() (cert, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:         true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		return nil, nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), nil
}
