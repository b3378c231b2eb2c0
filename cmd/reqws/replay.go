package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/reqws/reqws/cmd/reqws/recording"
	"github.com/reqws/reqws/reqwstest"
)

// replay is a server on loopback that says what was recorded. It prints its URL, and serves
// until it is interrupted: the first connection gets what the first one was sent, and so on, and
// those behind the last of the recording what that was sent.
func replay(ctx context.Context, s *settings) error {
	file, err := os.Open(s.replay)
	if err != nil {
		return &otherError{prefixed("--replay: ", fileError(err))}
	}
	defer file.Close()
	connections, err := recording.Read(file)
	if err != nil {
		return &otherError{prefixed("--replay: ", err)}
	}
	ln, err := net.Listen("tcp", pick(s.listen != "", s.listen, "127.0.0.1:0"))
	if err != nil {
		return &otherError{prefixed("--listen: ", err)}
	}
	p := newPrinter(s, os.Stdout)
	if err := p.write([]byte("ws://" + ln.Addr().String() + "\n")); err != nil {
		return quiet(writeError(err))
	}
	ctx, end := context.WithCancel(ctx)
	defer end()
	brake := newBrake(func() { end(); ln.Close() })
	defer brake.release()
	player{p, connections, s.replayFast, s.silent}.serve(ctx, ln)
	return nil
}

// player plays a recording to those who connect.
type player struct {
	print       *printer
	connections []recording.Connection
	fast        bool
	silent      bool
}

func (p player) serve(ctx context.Context, ln net.Listener) {
	var all sync.WaitGroup
	defer all.Wait()
	for n := 0; ; n++ {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		c := p.connections[min(n, len(p.connections)-1)]
		all.Go(func() {
			stop := context.AfterFunc(ctx, func() { conn.Close() })
			defer stop()
			defer conn.Close()
			if err := p.play(ctx, conn, c); err != nil && !p.silent && ctx.Err() == nil {
				p.print.note("connection %d: %v", n+1, err)
			}
		})
	}
}

// play is one connection: what the client says is read beside, and does not matter but for its
// close frame.
func (p player) play(ctx context.Context, conn net.Conn, c recording.Connection) error {
	r := bufio.NewReader(conn)
	if err := accept(conn, r, c.Open.Subprotocol); err != nil {
		return err
	}
	w := &frameWriter{conn: conn}
	left := make(chan struct{})
	go func() {
		defer close(left)
		w.listen(r)
	}()
	start := time.Now()
	for _, f := range c.Frames {
		if f.Dir != recording.In {
			continue
		}
		if !p.fast && !sleep(ctx, left, time.Until(start.Add(f.At))) {
			return nil
		}
		if err := w.write(f.Wire()); err != nil {
			return nil // the client has left
		}
	}
	if w.closed() { // the client answers, and hangs up
		select {
		case <-left:
		case <-ctx.Done():
		}
	}
	return nil
}

// sleep waits, and reports false where somebody left meanwhile.
func sleep(ctx context.Context, left <-chan struct{}, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
	case <-left:
	}
	return false
}

// accept answers the opening handshake.
func accept(conn net.Conn, r *bufio.Reader, subprotocol string) error {
	req, err := http.ReadRequest(r)
	if err != nil {
		return errors.New("what came is no HTTP request")
	}
	key := req.Header.Get("Sec-WebSocket-Key")
	if key == "" {
		_, _ = io.WriteString(conn, "HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
		return errors.New("what came is no WebSocket handshake")
	}
	answer := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Accept: " + reqwstest.AcceptKey(key) + "\r\n"
	if subprotocol != "" {
		answer += "Sec-WebSocket-Protocol: " + subprotocol + "\r\n"
	}
	_, err = fmt.Fprint(conn, answer+"\r\n")
	return err
}

// frameWriter is the sending half of a connection: nothing follows a close frame.
type frameWriter struct {
	mu   sync.Mutex
	conn net.Conn
	last bool
}

var errClosed = errors.New("a close frame was sent")

func (w *frameWriter) write(f reqwstest.Frame) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.last {
		return errClosed
	}
	w.last = f.Op == reqwstest.OpClose
	_, err := w.conn.Write(reqwstest.Encode(f))
	return err
}

func (w *frameWriter) closed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last
}

// listen answers pings and the close frame of the client.
func (w *frameWriter) listen(r io.Reader) {
	for {
		f, err := reqwstest.Decode(r)
		if err != nil {
			return
		}
		switch f.Op {
		case reqwstest.OpPing:
			_ = w.write(reqwstest.Pong(f.Payload))
		case reqwstest.OpClose:
			answer := reqwstest.Close(0, "")
			answer.Payload = f.Payload
			_ = w.write(answer)
			return
		}
	}
}
