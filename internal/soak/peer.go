package main

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// peer is the server's end of one connection.
type peer interface {
	io.Writer
	leave() // says that nothing more comes
	// reset breaks the connection off. It reports whether all that was written before has reached
	// the client's system, which must hand it over then.
	reset(patient bool) (arrived bool)
}

// socket is a peer over HTTP/1.1.
type socket struct {
	net.Conn // TLS, or as raw
	raw      *net.TCPConn
}

func (s *socket) leave() {
	if t, ok := s.Conn.(*tls.Conn); ok {
		_ = t.CloseWrite()
	}
	_ = s.raw.CloseWrite()
}

func (s *socket) reset(patient bool) (arrived bool) {
	for range 20 {
		if arrived = acknowledged(s.raw); arrived || !patient {
			break
		}
		time.Sleep(time.Millisecond)
	}
	_ = s.raw.SetLinger(0)
	_ = s.raw.Close()
	return arrived
}

// stream is a peer over HTTP/2, which its handler's end ends.
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

// reset sends an RST_STREAM. A recipient may drop what came before that.
func (s *stream) reset(bool) (arrived bool) {
	s.finish(true)
	return false
}

func (s *stream) finish(hard bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.over {
		s.over, s.hard = true, hard
		close(s.end)
	}
}
