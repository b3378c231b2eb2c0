package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/reqws/reqws/reqwstest"
)

// fault is how the server ends a connection.
type fault int

const (
	closes  fault = iota // with a close frame, and reads on to the client's end
	leaves               // with a FIN and no close frame
	cutsOff              // with a FIN in the middle of a frame
	resets               // with an RST
	waits                // not at all: the client does
	mostFaults
)

// protocol is what a connection is opened in.
type protocol int

const (
	ws protocol = iota
	wss
	http2
	mostProtocols
)

// plan is what happens on one connection, drawn from the seed.
type plan struct {
	id       int
	over     protocol
	refusals int // answers with 503 before the 101
	pieces   int // bytes of the answer in one write; 0: all at once
	messages int
	fault    fault
	code     int // of the close frame; 0: none
	seed     uint64
}

func draw(r *rand.Rand, id int) plan {
	p := plan{
		id: id, over: protocol(r.IntN(int(mostProtocols))), messages: r.IntN(60),
		fault: fault(r.IntN(int(mostFaults))), code: []int{0, 1000, 1000, 1001, 1011, 3000}[r.IntN(6)], seed: r.Uint64(),
	}
	if r.IntN(6) == 0 {
		p.refusals = 1 + r.IntN(2)
	}
	if r.IntN(6) == 0 {
		p.pieces = 1 + r.IntN(40)
	}
	return p
}

// record is what the server knows of one connection.
type record struct {
	mu    sync.Mutex
	conns int      // so far; what follows is of the last
	wrote int      // messages, whole
	heard []string // what the client sent
	work  sync.WaitGroup
}

// peer is the server's end of one connection.
type peer interface {
	io.Writer
	leave() // says that nothing more comes
	reset()
}

// socket is a peer over HTTP/1.1.
type socket struct {
	net.Conn // TLS, or as raw
	raw      *net.TCPConn
}

func (s socket) leave() {
	if t, ok := s.Conn.(*tls.Conn); ok {
		_ = t.CloseWrite()
	}
	_ = s.raw.CloseWrite()
}

func (s socket) reset() {
	_ = s.raw.SetLinger(0)
	_ = s.raw.Close()
}

// server plays plans.
type server struct {
	mu      sync.Mutex
	plans   map[int]plan
	records map[int]*record
	tls     *tls.Config
}

func (s *server) expect(p plan) *record {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := new(record)
	s.plans[p.id], s.records[p.id] = p, r
	return r
}

func (s *server) forget(id int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.plans, id)
	delete(s.records, id)
}

func (s *server) listen(secure bool) (net.Listener, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(c.(*net.TCPConn), secure)
		}
	}()
	return l, nil
}

func (s *server) serve(raw *net.TCPConn, secure bool) {
	defer raw.Close()
	c := socket{raw, raw}
	if secure {
		c.Conn = tls.Server(raw, s.tls)
	}
	in := bufio.NewReader(c)
	req, err := http.ReadRequest(in)
	if err != nil {
		return
	}
	p, r := s.planOf(req)
	if r == nil {
		return
	}
	defer r.work.Done()
	if r.again() <= p.refusals {
		_, _ = io.WriteString(c, "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbusy")
		return
	}
	answer := []byte("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
		reqwstest.AcceptKey(req.Header.Get("Sec-WebSocket-Key")) + "\r\n\r\n")
	if writeIn(c, answer, p.pieces) == nil {
		<-r.play(in, c, p)
	}
}

// planOf returns what is to happen to a request, whose record counts it as work.
func (s *server) planOf(req *http.Request) (plan, *record) {
	id, _ := strconv.Atoi(strings.TrimPrefix(req.URL.Path, "/"))
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.records[id]
	if r != nil {
		r.work.Add(1)
	}
	return s.plans[id], r
}

// play has both sides talk. What it returns is closed when the client has ended.
func (r *record) play(in *bufio.Reader, c peer, p plan) <-chan struct{} {
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		r.listen(in, c, p)
	}()
	r.talk(c, p)
	return heard
}

// again begins anew with another connection, and counts it. A reset may take the 101 with it, and
// then the client tries again.
func (r *record) again() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conns++
	r.wrote, r.heard = 0, nil
	return r.conns
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

// talk writes the plan's messages, and ends as it says.
func (r *record) talk(c peer, p plan) {
	draw := rand.New(rand.NewPCG(p.seed, 1))
	for n := 0; n < p.messages; {
		var batch []reqwstest.Frame
		whole := 0
		for range 1 + draw.IntN(8) {
			if n == p.messages {
				break
			}
			size := draw.IntN(300)
			if draw.IntN(40) == 0 {
				size = draw.IntN(200_000)
			}
			batch = append(batch, fragments(draw, fmt.Sprintf("s %d %d %s", p.id, n, strings.Repeat("x", size)))...)
			if draw.IntN(6) == 0 {
				batch = append(batch, reqwstest.Ping("are you there"))
			}
			n++
			whole++
		}
		drip := 0
		if draw.IntN(8) == 0 {
			drip = 1 + draw.IntN(2000)
		}
		if writeIn(c, reqwstest.Encode(batch...), drip) != nil {
			return
		}
		r.mu.Lock()
		r.wrote += whole
		r.mu.Unlock()
		if draw.IntN(5) == 0 {
			time.Sleep(time.Duration(draw.IntN(4)) * time.Millisecond)
		}
	}
	switch p.fault {
	case closes:
		_, _ = c.Write(reqwstest.Encode(reqwstest.Close(p.code, "")))
	case leaves:
		c.leave()
	case cutsOff:
		b := reqwstest.Encode(reqwstest.Text("s is never whole"))
		_, _ = c.Write(b[:len(b)/2])
		c.leave()
	case resets:
		c.reset()
	}
}

// fragments is a text message in one frame, or in several.
func fragments(draw *rand.Rand, s string) []reqwstest.Frame {
	if draw.IntN(5) > 0 || len(s) < 10 {
		return []reqwstest.Frame{reqwstest.Text(s)}
	}
	cut := 1 + draw.IntN(len(s)-1)
	first, second := reqwstest.Text(s[:cut]), reqwstest.Text(s[cut:])
	first.Fin, second.Op = false, reqwstest.OpContinuation
	return []reqwstest.Frame{first, reqwstest.Ping("within"), second}
}

// listen reads what the client sends, to its end, and answers a close frame.
func (r *record) listen(in *bufio.Reader, c peer, p plan) {
	for {
		f, err := reqwstest.Decode(in)
		if err != nil || !f.Masked {
			return
		}
		switch f.Op {
		case reqwstest.OpText, reqwstest.OpBinary:
			r.mu.Lock()
			r.heard = append(r.heard, string(f.Payload))
			r.mu.Unlock()
		case reqwstest.OpClose:
			if p.fault == waits {
				_, _ = c.Write(reqwstest.Encode(reqwstest.Frame{Fin: true, Op: reqwstest.OpClose, Payload: f.Payload}))
			}
			c.leave()
		}
	}
}
