package main

import (
	"bufio"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
)

// stream is a peer over HTTP/2: an extended CONNECT (RFC 8441), which its handler's end ends.
type stream struct {
	http.ResponseWriter
	mu   sync.Mutex
	end  chan struct{} // closed when the handler is to return
	hard bool          // by an abort
	over bool
}

func (s *stream) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return 0, net.ErrClosed
	}
	n, err := s.ResponseWriter.Write(b)
	if err == nil {
		err = http.NewResponseController(s.ResponseWriter).Flush()
	}
	return n, err
}

func (s *stream) leave() { s.finish(false) }
func (s *stream) reset() { s.finish(true) }

func (s *stream) finish(hard bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.over {
		s.over, s.hard = true, hard
		close(s.end)
	}
}

func (s *server) listenHTTP2() (addr string, end func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	srv := &http.Server{Handler: http.HandlerFunc(s.serveHTTP2), TLSConfig: s.tls.Clone()}
	srv.TLSConfig.NextProtos = []string{"h2"}
	go srv.Serve(tls.NewListener(l, srv.TLSConfig))
	return l.Addr().String(), func() { _ = srv.Close() }, nil
}

func (s *server) serveHTTP2(w http.ResponseWriter, req *http.Request) {
	p, r := s.planOf(req)
	if r == nil {
		return
	}
	defer r.work.Done()
	if r.again() <= p.refusals {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	c := &stream{ResponseWriter: w, end: make(chan struct{})}
	if _, err := c.Write(nil); err != nil { // the status
		return
	}
	heard := r.play(bufio.NewReader(req.Body), c, p)
	select {
	case <-heard:
	case <-c.end:
	}
	c.leave()
	if c.hard {
		panic(http.ErrAbortHandler)
	}
}
