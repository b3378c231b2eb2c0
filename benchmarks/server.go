package main

import (
	"bufio"
	"bytes"
	"compress/flate"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// The server speaks frames, not WebSocket: what it sends was made beforehand and
// what it reads it only counts, so that the time measured is the client's. The
// path of the request chooses what it does:
//
//	/stream?size=&op=      sends messages as fast as the socket takes them
//	/burst?size=&op=&n=    sends n messages, waits for n replies, and so on
//	/count?size=&n=        reads n messages, then sends one, and so on
//	/idle                  does nothing
//
// and these three are plain HTTP:
//
//	/push?size=                 sends one message to each idle connection
//	/trickle?size=&every=&n=    sends n messages to each, one every so many milliseconds
//	/received                   says how many bytes /count has read so far
//
// With deflate=1 messages are compressed JSON documents.
type server struct {
	mu   sync.Mutex
	idle map[net.Conn]struct{}

	received atomic.Int64 // bytes that /count has read
}

func (s *server) serve(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go s.handle(c)
	}
}

func (s *server) handle(c net.Conn) {
	defer c.Close()
	resetOnClose(c)
	br := bufio.NewReaderSize(c, 4<<10)
	req, err := http.ReadRequest(br)
	if err != nil {
		return
	}
	q := req.URL.Query()
	if say, ok := s.plain(req.URL.Path, q); ok {
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(say), say)
		return
	}
	if err := upgrade(c, req, q.Has("deflate")); err != nil {
		return
	}
	f := &frames{Conn: c, r: io.MultiReader(bytes.NewReader(buffered(br)), c)}
	switch req.URL.Path {
	case "/stream":
		stream(f, supply(q, streamBytes))
	case "/burst":
		burst(f, supply(q, 0), q)
	case "/count":
		f.read = &s.received
		count(f, q)
	case "/idle":
		s.wait(f)
	}
}

// plain answers what is no WebSocket, with a number.
func (s *server) plain(path string, q url.Values) (say string, ok bool) {
	frame := appendFrame(nil, opText, payload(number(q, "size")), false)
	switch path {
	case "/push":
		return strconv.Itoa(s.push(frame)), true
	case "/trickle":
		return strconv.Itoa(s.trickle(frame, time.Duration(number(q, "every"))*time.Millisecond, number(q, "n"))), true
	case "/received":
		return strconv.FormatInt(s.received.Load(), 10), true
	}
	return "", false
}

// resetOnClose spares the machine thousands of sockets in TIME_WAIT.
func resetOnClose(c net.Conn) {
	if t, ok := c.(interface{ NetConn() net.Conn }); ok {
		c = t.NetConn()
	}
	c.(*net.TCPConn).SetLinger(0)
}

func buffered(br *bufio.Reader) []byte {
	b, _ := br.Peek(br.Buffered())
	return bytes.Clone(b)
}

func number(q url.Values, name string) int {
	n, _ := strconv.Atoi(q.Get(name))
	return n
}

// upgrade answers the opening handshake.
func upgrade(c net.Conn, req *http.Request, deflate bool) error {
	sum := sha1.Sum([]byte(req.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	extension := ""
	if deflate {
		if !strings.Contains(req.Header.Get("Sec-WebSocket-Extensions"), "permessage-deflate") {
			fmt.Fprint(c, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
			return errors.New("no permessage-deflate offered")
		}
		extension = "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n"
	}
	_, err := fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n%sSec-WebSocket-Accept: %s\r\n\r\n",
		extension, base64.StdEncoding.EncodeToString(sum[:]))
	return err
}

const streamBytes = 1 << 20

// supply is a run of whole messages: n of them, or as many as make least bytes.
func supply(q url.Values, least int) []byte {
	op := byte(number(q, "op"))
	messages := [][]byte{payload(number(q, "size"))}
	if q.Has("deflate") {
		op |= rsv1Bit
		messages = documents()
		for i, m := range messages {
			messages[i] = deflated(m)
		}
	}
	var b []byte
	for i := 0; i < number(q, "n") || len(b) < least; i++ {
		b = appendFrame(b, op, messages[i%len(messages)], false)
	}
	return b
}

// stream writes until the client closes: with a close frame, which is answered,
// or without one.
func stream(f *frames, messages []byte) {
	var closing atomic.Bool
	go func() {
		for {
			op, _, err := f.next()
			if op == opClose {
				closing.Store(true)
				return
			}
			if err != nil {
				f.Close()
				return
			}
		}
	}()
	for !closing.Load() {
		if _, err := f.Write(messages); err != nil {
			return
		}
	}
	f.bye()
}

// burst checks the replies to the first burst byte by byte and counts all others.
func burst(f *frames, messages []byte, q url.Values) {
	n, op, want := number(q, "n"), byte(number(q, "op")), payload(number(q, "size"))
	for round := 0; ; round++ {
		if _, err := f.Write(messages); err != nil {
			return
		}
		for range n {
			got, data, err := f.next()
			switch {
			case err != nil:
				return
			case got == opClose:
				f.bye()
				return
			case got != op || len(data) != len(want) || round == 0 && !bytes.Equal(f.unmask(data), want):
				f.refuse(fmt.Sprintf("reply with opcode %d and %d bytes", got, len(data)))
				return
			}
		}
	}
}

// count acknowledges each n messages with one of its own.
func count(f *frames, q url.Values) {
	done := appendFrame(nil, opText, []byte("done"), false)
	checked := false
	for {
		for range number(q, "n") {
			op, data, err := f.next()
			if err != nil {
				return
			}
			if op == opClose {
				f.bye()
				return
			}
			if !checked {
				checked = true
				if err := f.checkSent(data, q); err != nil {
					f.refuse(err.Error())
					return
				}
			}
		}
		if _, err := f.Write(done); err != nil {
			return
		}
	}
}

// checkSent compares the first message that a client sent with what it had to send.
func (f *frames) checkSent(data []byte, q url.Values) error {
	got, want := f.unmask(data), payload(number(q, "size"))
	if q.Has("deflate") {
		if f.first&rsv1Bit == 0 {
			return errors.New("message is not compressed")
		}
		tail := strings.NewReader("\x00\x00\xff\xff\x01\x00\x00\xff\xff")
		var err error
		if got, err = io.ReadAll(flate.NewReader(io.MultiReader(bytes.NewReader(got), tail))); err != nil {
			return err
		}
		want = documents()[0]
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("message of %d bytes, not the one expected", len(got))
	}
	return nil
}

// wait keeps the connection until the client ends it.
func (s *server) wait(f *frames) {
	s.mu.Lock()
	s.idle[f.Conn] = struct{}{}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.idle, f.Conn)
		s.mu.Unlock()
	}()
	f.small = true
	for {
		op, data, err := f.next()
		switch {
		case err != nil:
			return
		case op == opClose:
			f.bye()
			return
		case op == opPing:
			f.Write(appendFrame(nil, opPong, f.unmask(data), false))
		}
	}
}

// push sends a message to all idle connections and returns their number.
func (s *server) push(frame []byte) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.idle {
		go c.Write(frame)
	}
	return len(s.idle)
}

// trickle sends n messages to each idle connection, spread evenly over time, and
// returns how many it sent.
func (s *server) trickle(frame []byte, every time.Duration, n int) int {
	s.mu.Lock()
	conns := slices.Collect(maps.Keys(s.idle))
	s.mu.Unlock()
	total := n * len(conns)
	for sent, begun := 0, time.Now(); sent < total; time.Sleep(time.Millisecond) {
		due := int(float64(time.Since(begun)) / float64(every) * float64(len(conns)))
		for ; sent < min(due, total); sent++ {
			conns[sent%len(conns)].Write(frame)
		}
	}
	return total
}

// frames reads a client's frames.
type frames struct {
	net.Conn
	r     io.Reader
	small bool          // wait with a small buffer
	read  *atomic.Int64 // counts the bytes, if not nil
	buf   []byte
	from  int // buf[from:to] is read but not looked at
	to    int
	first byte    // the first byte of the last frame
	key   [4]byte // its mask
}

// next returns a frame's opcode and its payload, still masked.
func (f *frames) next() (op byte, data []byte, err error) {
	for {
		p := f.buf[f.from:f.to]
		header, size, ok := walk(p)
		whole := header + 4 + size
		if ok && len(p) >= whole {
			f.first, f.key = p[0], [4]byte(p[header:])
			if p[1]&maskBit == 0 {
				return 0, nil, errors.New("frame without mask")
			}
			f.from += whole
			return f.first & 0x0f, p[header+4 : whole], nil
		}
		if err := f.fill(whole); err != nil {
			return 0, nil, err
		}
	}
}

// fill reads more into a buffer that can hold whole bytes.
func (f *frames) fill(whole int) error {
	size := 256 << 10
	if f.small {
		size = 512
	}
	if f.buf == nil || len(f.buf) < whole {
		f.buf = append(make([]byte, 0, max(size, whole)), f.buf...)[:max(size, whole)]
	}
	f.to = copy(f.buf, f.buf[f.from:f.to])
	f.from = 0
	n, err := f.r.Read(f.buf[f.to:])
	f.to += n
	if f.read != nil {
		f.read.Add(int64(n))
	}
	if n > 0 {
		return nil
	}
	return err
}

func (f *frames) unmask(data []byte) []byte {
	plain := make([]byte, len(data))
	for i, c := range data {
		plain[i] = c ^ f.key[i%4]
	}
	return plain
}

// bye answers a close frame and waits until the client has read it.
func (f *frames) bye() {
	f.Write(appendFrame(nil, opClose, binary.BigEndian.AppendUint16(nil, 1000), false))
	if t, ok := f.Conn.(interface{ CloseWrite() error }); ok {
		t.CloseWrite()
	}
	io.Copy(io.Discard, f.Conn)
}

// refuse says why a client did not do what it is measured for; the connection
// ends and the run fails.
func (f *frames) refuse(why string) {
	fmt.Fprintln(os.Stderr, "server:", why)
}
