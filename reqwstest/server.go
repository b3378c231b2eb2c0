package reqwstest

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/reqws/reqws/internal/pipe"
)

// grace is how long the end of a test waits for scripts that are being played.
// Only a test that fails waits so long.
const grace = 3 * time.Second

// TB is what is used of testing.TB, which implements it, as *testing.T does.
type TB interface {
	Helper()
	Cleanup(func())
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Failed() bool
}

// Server plays scripts to the clients that connect to it. Its methods may be
// called from any goroutine.
type Server struct {
	// URL is where clients connect: ws://127.0.0.1:port, or wss:// with TLS, or
	// ws://reqwstest.test for a server in memory. It has no path.
	URL string

	tb       TB
	inMemory bool
	tls      bool
	config   *tls.Config // the server's
	buffer   int
	scripts  []*ConnScript

	listener net.Listener
	work     sync.WaitGroup
	ctx      context.Context // ends with the test
	end      context.CancelFunc
	done     chan struct{} // closed once all but repeated scripts are played, or one failed
	change   chan struct{} // tells the one that closes the server of a script's end
	closing  sync.Once

	mu       sync.Mutex
	conns    []*Conn
	requests []*Request
	keys     map[string]int // handshake keys seen, by the connection that brought them
	failure  error          // the first one
	closed   bool
}

// Option is what New is given: scripts, and settings of the server.
type Option interface{ apply(*Server) }

type setting func(*Server)

func (f setting) apply(s *Server) { f(s) }

// TLS makes a wss:// server. Server.TLSConfig is the client's side. change, if given,
// alters the server's own, which knows http/1.1 alone in ALPN and asks for no client
// certificate; if it is to, it trusts that of Server.TLSConfig.
func TLS(change ...func(*tls.Config)) Option {
	return setting(func(s *Server) {
		s.tls = true
		for _, f := range change {
			f(s.config)
		}
	})
}

// BufferSize sets how many bytes fit between the two ends in each direction
// (64 KiB in memory without it). On TCP it is what the system is asked for on the
// server's side, and no exact figure.
func BufferSize(n int) Option { return setting(func(s *Server) { s.buffer = n }) }

// New starts a server on loopback. It is closed when the test ends. The test
// fails if an expectation of a script failed, if a script was not played to its
// end, or if more connections came than there are scripts.
//
// Call NoLeaks before New: cleanups run last in, first out.
func New(tb TB, options ...Option) *Server {
	tb.Helper()
	s := &Server{
		tb: tb, config: serverTLS(), buffer: pipe.Size, keys: map[string]int{},
		done: make(chan struct{}), change: make(chan struct{}, 1),
	}
	s.ctx, s.end = context.WithCancel(context.Background())
	for _, o := range options {
		o.apply(s)
	}
	for i, script := range s.scripts {
		if script.repeat && i != len(s.scripts)-1 {
			tb.Fatalf("reqwstest: script %d of %d repeats, so the later ones can never be played", i+1, len(s.scripts))
		}
	}
	s.listen()
	s.settle()
	tb.Cleanup(s.Close)
	return s
}

// NewTLS is New with TLS.
func NewTLS(tb TB, options ...Option) *Server {
	tb.Helper()
	return New(tb, append([]Option{TLS()}, options...)...)
}

// NewMemory starts a server in memory: it is reached by Server.DialContext only, and
// works in testing/synctest bubbles.
func NewMemory(tb TB, options ...Option) *Server {
	tb.Helper()
	return New(tb, append([]Option{memory()}, options...)...)
}

func memory() Option { return setting(func(s *Server) { s.inMemory = true }) }

func (s *Server) listen() {
	scheme, host := "ws://", memoryHost
	if s.tls {
		scheme = "wss://"
	}
	if !s.inMemory {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			s.tb.Fatalf("reqwstest: %v", err)
		}
		s.listener, host = ln, ln.Addr().String()
	}
	s.URL = scheme + host
	if !s.inMemory {
		s.work.Go(s.accept)
	}
}

func (s *Server) accept() {
	for {
		nc, err := s.listener.Accept()
		if err != nil {
			return // closed
		}
		if s.buffer != pipe.Size {
			nc.(*net.TCPConn).SetReadBuffer(s.buffer)
			nc.(*net.TCPConn).SetWriteBuffer(s.buffer)
		}
		if err := s.start(nc); err != nil {
			nc.Close()
		}
	}
}

// next returns the script of the next connection, nil if there is none. The
// caller holds mu.
func (s *Server) next() *ConnScript {
	i := len(s.conns)
	if i >= len(s.scripts) && len(s.scripts) > 0 && s.scripts[len(s.scripts)-1].repeat {
		i = len(s.scripts) - 1
	}
	if i >= len(s.scripts) {
		return nil
	}
	return s.scripts[i]
}

// start begins to play the next script to a connection.
func (s *Server) start(raw net.Conn) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	script := s.next()
	switch {
	case s.closed:
		return syscall.ECONNREFUSED
	case script == nil:
		s.failLocked("connection %d is one too many: there are %d scripts", len(s.conns)+1, len(s.scripts))
		return syscall.ECONNREFUSED
	case script.dialErr != nil:
		s.failLocked("connection %d came over TCP, but its script (%s) needs Server.DialContext", len(s.conns)+1, script.at)
		return syscall.ECONNREFUSED
	}
	c := &Conn{srv: s, n: len(s.conns) + 1, script: script, raw: raw, nc: raw, r: bufio.NewReader(raw)}
	s.conns = append(s.conns, c)
	s.work.Go(c.serve)
	return nil
}

// refusal returns the error of the next connection, if its script is a DialError.
func (s *Server) refusal() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	script := s.next()
	if s.closed || script == nil || script.dialErr == nil {
		return nil
	}
	s.conns = append(s.conns, &Conn{srv: s, n: len(s.conns) + 1, script: script, state: played})
	s.settleLocked()
	return script.dialErr
}

// DialContext connects to this server, whatever the network and address say. It
// has the shape that http.Transport and dialers want. For a server in memory it is
// the only way in.
func (s *Server) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, dialError(err)
	}
	if err := s.refusal(); err != nil {
		return nil, dialError(err)
	}
	if !s.inMemory {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", s.Addr())
	}
	client, server := pipe.Sized(s.buffer)
	if err := s.start(server); err != nil {
		return nil, dialError(err)
	}
	return client, nil
}

// dialError dresses an error as a net.Dialer does.
func dialError(err error) error {
	if errno, ok := err.(syscall.Errno); ok {
		err = os.NewSyscallError("connect", errno)
	}
	return &net.OpError{Op: "dial", Net: "memory", Addr: pipe.Addr("server"), Err: err}
}

// HTTPURL is URL with http for ws and https for wss.
func (s *Server) HTTPURL() string { return "http" + strings.TrimPrefix(s.URL, "ws") }

// Addr is the host and port of URL.
func (s *Server) Addr() string { return s.URL[strings.Index(s.URL, "//")+2:] }

// TLSConfig returns a new configuration for clients of this server: it trusts the
// server's certificate (which is good for reqwstest.test, example.com, their
// subdomains, localhost and the loopback addresses) and has a client certificate
// if the server wants one.
func (s *Server) TLSConfig() *tls.Config {
	c := &tls.Config{RootCAs: theAuthority().pool.Clone()}
	if s.config.ClientAuth != tls.NoClientCert {
		c.Certificates = []tls.Certificate{theAuthority().client}
	}
	return c
}

// Requests returns the requests received so far, in order of arrival over all
// connections.
func (s *Server) Requests() []*Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*Request(nil), s.requests...)
}

// Conns returns the connections so far, in the order of their scripts. Those that
// DialError refused are among them.
func (s *Server) Conns() []*Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*Conn(nil), s.conns...)
}

// Done is closed when every script has been played to its end, or something has
// failed. Scripts with Repeat are not waited for.
func (s *Server) Done() <-chan struct{} { return s.done }

// Wait waits for Done. It returns the first failure (which the test has been told
// already), or ctx's error with the list of what is still to be played.
func (s *Server) Wait(ctx context.Context) error {
	select {
	case <-s.done:
	case <-ctx.Done():
		return fmt.Errorf("reqwstest: %w while waiting for the scripts: %s", context.Cause(ctx), strings.Join(s.unplayed(), "; "))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failure
}

// Close ends the server: it waits a little for scripts that are being played,
// closes all connections, waits for its goroutines, and reports to the test what
// was not played. The end of the test does this; a test calls it only to
// see what clients do when the server is gone.
func (s *Server) Close() {
	s.closing.Do(func() {
		s.tb.Helper()
		s.waitIdle()
		left := s.unplayed()
		s.mu.Lock()
		s.closed = true
		failed := s.failure != nil
		conns := s.conns
		s.mu.Unlock()

		s.end()
		if s.listener != nil {
			s.listener.Close()
		}
		for _, c := range conns {
			c.kill()
		}
		s.work.Wait()
		if !failed {
			for _, what := range left {
				s.fail("%s", what)
			}
		}
	})
}

// waitIdle waits until all scripts are played, or one has failed, but not forever.
func (s *Server) waitIdle() {
	timer := time.NewTimer(grace)
	defer timer.Stop()
	for len(s.unplayed()) > 0 && !s.tb.Failed() {
		select {
		case <-s.change:
		case <-timer.C:
			return
		}
	}
}

// unplayed lists the scripts that did not come to their end.
func (s *Server) unplayed() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var left []string
	for _, c := range s.conns {
		if c.state == playing {
			left = append(left, fmt.Sprintf("%s was not finished", c.where()))
		}
	}
	for i := len(s.conns); i < len(s.scripts); i++ {
		if script := s.scripts[i]; !script.repeat {
			left = append(left, fmt.Sprintf("connection %d (%s) never came", i+1, script.at))
		}
	}
	return left
}

// settle looks whether all is done, after a script has come to its end.
func (s *Server) settle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settleLocked()
}

func (s *Server) settleLocked() {
	select {
	case s.change <- struct{}{}:
	default:
	}
	for i, script := range s.scripts {
		if script.repeat {
			continue
		}
		if i >= len(s.conns) || s.conns[i].state == playing {
			return
		}
	}
	s.closeDone()
}

// closeDone closes done once. The caller holds mu.
func (s *Server) closeDone() {
	select {
	case <-s.done:
	default:
		close(s.done)
	}
}

// fail reports a failure to the test.
func (s *Server) fail(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failLocked(format, args...)
}

func (s *Server) failLocked(format string, args ...any) {
	err := fmt.Errorf("reqwstest: "+format, args...)
	if s.failure == nil {
		s.failure = err
	}
	s.closeDone()
	s.tb.Errorf("%v", err)
}
