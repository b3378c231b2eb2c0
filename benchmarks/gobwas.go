package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

var (
	gobwasClient = &library{label: "gobwas", is: peer, dial: func(t target) (socket, error) {
		return dialGobwas(t)
	}}
	gobwasFast = &library{label: "gobwas, tuned", is: tuned, dial: func(t target) (socket, error) {
		s, err := dialGobwas(t)
		return fastGobwasSocket{s}, err
	}}
	gobwasLean = &library{label: "gobwas, lean", is: tuned, dial: func(t target) (socket, error) {
		s, err := dialGobwas(t)
		return leanGobwasSocket{s}, err
	}}
)

// gobwasSocket reads and writes with wsutil's functions through a buffer each
// way, since without one they take several system calls for each message.
type gobwasSocket struct {
	net.Conn
	source io.Reader // the connection, what came along with the handshake first

	mu  sync.Mutex
	out *wsutil.Writer
}

func dialGobwas(t target) (*gobwasSocket, error) {
	c, early, _, err := ws.Dialer{TLSConfig: t.tls}.Dial(context.Background(), t.url)
	if err != nil {
		return nil, err
	}
	s := &gobwasSocket{Conn: c, source: c}
	if early != nil {
		p, _ := early.Peek(early.Buffered())
		s.source = io.MultiReader(bytes.NewReader(bytes.Clone(p)), c)
		ws.PutReader(early)
	}
	return s, nil
}

func (s *gobwasSocket) loop(reply bool, got received) error {
	rw := &struct {
		*bufio.Reader
		io.Writer
	}{bufio.NewReader(s.source), s.Conn} // what answers control frames
	var out *bufio.Writer
	if reply {
		out = bufio.NewWriter(s.Conn)
	}
	for {
		p, op, err := wsutil.ReadServerData(rw)
		if err != nil {
			return err
		}
		if reply {
			if err := wsutil.WriteClientMessage(out, op, p); err != nil {
				return err
			}
			if err := out.Flush(); err != nil {
				return err
			}
		}
		if !got(1, len(p)) {
			return nil
		}
	}
}

// send builds the frame in a wsutil.Writer, which writes it at once.
func (s *gobwasSocket) send(text []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.out == nil {
		s.out = gobwasWriter(s.Conn)
	}
	return gobwasWrite(s.out, ws.OpText, text)
}

func (s *gobwasSocket) close() { s.Conn.Close() }

func gobwasWriter(w io.Writer) *wsutil.Writer {
	out := wsutil.NewWriter(w, ws.StateClientSide, ws.OpText)
	out.DisableFlush() // no fragments
	return out
}

func gobwasWrite(w *wsutil.Writer, op ws.OpCode, p []byte) error {
	w.ResetOp(op)
	if _, err := w.Write(p); err != nil {
		return err
	}
	return w.Flush()
}

var errFragment = errors.New("gobwas: fragments are no part of the measurement")

// fastGobwasSocket is what someone who knows the package well can build from it:
// one reader and one writer for all messages, one buffer, no check of UTF-8, and
// replies that stay in a buffer while more messages have been read.
type fastGobwasSocket struct{ *gobwasSocket }

func (s fastGobwasSocket) loop(reply bool, got received) error {
	in, out := bufio.NewReaderSize(s.source, 64<<10), bufio.NewWriterSize(s.Conn, 64<<10)
	w := gobwasWriter(out)
	control := wsutil.ControlFrameHandler(s.Conn, ws.StateClientSide)
	r := &wsutil.Reader{Source: in, State: ws.StateClientSide, OnIntermediate: control}
	var buf []byte
	for {
		h, err := r.NextFrame()
		switch {
		case err != nil:
			return err
		case h.OpCode.IsControl():
			if err := control(h, r); err != nil {
				return err
			}
			continue
		case !h.Fin:
			return errFragment
		}
		if int(h.Length) > cap(buf) {
			buf = make([]byte, h.Length)
		}
		p := buf[:h.Length]
		if _, err := io.ReadFull(r, p); err != nil {
			return err
		}
		if reply {
			if err := gobwasWrite(w, h.OpCode, p); err != nil {
				return err
			}
			if in.Buffered() == 0 {
				if err := out.Flush(); err != nil {
					return err
				}
			}
		}
		if !got(1, len(p)) {
			return nil
		}
	}
}

// leanGobwasSocket keeps no buffer while nothing arrives, and pays for it with two
// system calls or more for each message.
type leanGobwasSocket struct{ *gobwasSocket }

func (s leanGobwasSocket) loop(_ bool, got received) error {
	for {
		h, err := ws.ReadHeader(s.source)
		switch {
		case err != nil:
			return err
		case h.OpCode.IsControl():
			c := wsutil.ControlHandler{Src: s.source, Dst: s.Conn, State: ws.StateClientSide}
			if err := c.Handle(h); err != nil {
				return err
			}
			continue
		case !h.Fin:
			return errFragment
		}
		p := make([]byte, h.Length)
		if _, err := io.ReadFull(s.source, p); err != nil {
			return err
		}
		if !got(1, len(p)) {
			return nil
		}
	}
}
