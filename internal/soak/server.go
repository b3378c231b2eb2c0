package main

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/reqws/reqws/reqwstest"
)

// server plays the plans of the streams that it expects.
type server struct {
	tls *tls.Config

	mu      sync.Mutex
	records map[int]*record // by the number in the URL
}

func (s *server) expect(number int, p plan, with *crowd) *record {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &record{number: number, plan: p, with: with}
	s.records[number] = r
	return r
}

func (s *server) forget(number int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.records, number)
}

// recordOf returns the record of the stream that asks, with this connection as work to be awaited.
func (s *server) recordOf(req *http.Request) *record {
	number, _ := strconv.Atoi(strings.TrimPrefix(req.URL.Path, "/"))
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.records[number]
	if r != nil {
		r.work.Add(1)
	}
	return r
}

// urls begins to listen in all protocols, and returns where.
func (s *server) urls() ([mostProtocols]string, error) {
	var urls [mostProtocols]string
	for over, scheme := range []string{ws: "ws://", wss: "wss://", http2: "wss://"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return urls, err
		}
		urls[over] = scheme + l.Addr().String()
		if protocol(over) == http2 {
			config := s.tls.Clone()
			config.NextProtos = []string{"h2"}
			go (&http.Server{Handler: http.HandlerFunc(s.serveHTTP2), TLSConfig: config}).Serve(tls.NewListener(l, config))
			continue
		}
		go s.accept(l, protocol(over) == wss)
	}
	return urls, nil
}

func (s *server) accept(l net.Listener, secure bool) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go s.serve(c.(*net.TCPConn), secure)
	}
}

// serve has one connection in HTTP/1.1.
func (s *server) serve(raw *net.TCPConn, secure bool) {
	defer raw.Close()
	c := &socket{Conn: raw, raw: raw}
	if secure {
		c.Conn = tls.Server(raw, s.tls)
	}
	in := bufio.NewReader(c)
	req, err := http.ReadRequest(in)
	if err != nil {
		return
	}
	r := s.recordOf(req)
	if r == nil {
		return
	}
	defer r.work.Done()
	l := r.next()
	if l == nil {
		_, _ = io.WriteString(c, "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbusy")
		return
	}
	if l.plan.narrow {
		_ = raw.SetReadBuffer(64 << 10) // less than what TCP sends at once on a loopback would crawl
	}
	answer := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
		reqwstest.AcceptKey(req.Header.Get("Sec-WebSocket-Key")) + "\r\n"
	if extension := l.accept(req.Header); extension != "" {
		answer += "Sec-WebSocket-Extensions: " + extension + "\r\n"
	}
	if writeIn(c, []byte(answer+"\r\n"), l.plan.pieces) == nil {
		<-l.play(in, c)
	}
}

// serveHTTP2 has one stream over HTTP/2: an extended CONNECT (RFC 8441).
func (s *server) serveHTTP2(w http.ResponseWriter, req *http.Request) {
	r := s.recordOf(req)
	if r == nil {
		return
	}
	defer r.work.Done()
	l := r.next()
	if l == nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	if extension := l.accept(req.Header); extension != "" {
		w.Header().Set("Sec-WebSocket-Extensions", extension)
	}
	c := &stream{ResponseWriter: w, end: make(chan struct{})}
	if _, err := c.Write(nil); err != nil { // the status
		return
	}
	heard := l.play(bufio.NewReader(req.Body), c)
	select {
	case <-heard:
	case <-c.end:
	}
	c.leave()
	if c.hard {
		panic(http.ErrAbortHandler)
	}
}

// writeIn writes b in pieces of n bytes, or at once.
func writeIn(c io.Writer, b []byte, n int) error {
	for n > 0 && len(b) > n {
		if _, err := c.Write(b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	_, err := c.Write(b)
	return err
}
