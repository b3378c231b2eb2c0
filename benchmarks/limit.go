package main

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
)

// limitClient is no WebSocket library but what none can beat: it reads what the
// socket has, walks the frame headers, and answers with frames masked beforehand.
// It looks at no payload.
var limitClient = &library{label: "limit", is: floor, dial: dialLimit}

// rawClient is an echo over TCP or TLS: it knows the size of a message and answers
// with as many bytes as a masked reply has.
var rawClient = &library{label: "raw echo", is: floor, dial: func(t target) (socket, error) {
	s, err := dialLimit(t)
	if err != nil {
		return nil, err
	}
	return rawEcho{s.(*limit)}, nil
}}

type limit struct {
	net.Conn
	size    int
	replies []byte // masked replies, one after another
	reply   int    // bytes of one of them
}

const prepared = 8192 // replies

func dialLimit(t target) (socket, error) {
	c, err := dialBare(t)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(t.url)
	if err != nil {
		return nil, err
	}
	size, _ := strconv.Atoi(u.Query().Get("size"))
	one := appendFrame(nil, opText, payload(size), true)
	l := &limit{Conn: c, size: size, reply: len(one)}
	for range max(1, min(prepared, 1<<20/len(one))) {
		l.replies = append(l.replies, one...)
	}
	return l, nil
}

// dialBare opens a WebSocket and returns the connection, of which nothing behind the server's answer was
// read.
func dialBare(t target) (net.Conn, error) {
	u, err := url.Parse(t.url)
	if err != nil {
		return nil, err
	}
	var c net.Conn
	if t.tls != nil {
		c, err = tls.Dial("tcp", u.Host, t.tls)
	} else {
		c, err = net.Dial("tcp", u.Host)
	}
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n", u.RequestURI(), u.Host)
	// The server's frames may follow its answer, so nothing past it may be read.
	resp, err := http.ReadResponse(bufio.NewReaderSize(byByte{c}, 16), nil)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return nil, fmt.Errorf("limit: %s", resp.Status)
	}
	return c, nil
}

// byByte reads one byte at a time.
type byByte struct{ io.Reader }

func (r byByte) Read(p []byte) (int, error) { return r.Reader.Read(p[:1]) }

func (l *limit) loop(reply bool, got received) error {
	buf := make([]byte, 256<<10)
	var held, skip, long int // bytes kept from the last read; payload bytes to come; of how many
	for {
		n, err := l.Read(buf[held:])
		if err != nil {
			return err
		}
		p := buf[:held+n]
		messages, bytes := 0, 0
		for len(p) > 0 {
			if skip > 0 {
				k := min(skip, len(p))
				p, skip = p[k:], skip-k
				if skip == 0 {
					messages, bytes = messages+1, bytes+long
				}
				continue
			}
			header, size, ok := walk(p)
			if !ok {
				break
			}
			p = p[header:]
			if size > len(p) {
				skip, long = size, size
				continue
			}
			p, messages, bytes = p[size:], messages+1, bytes+size
		}
		held = copy(buf, p)
		if reply {
			if err := l.answer(messages); err != nil {
				return err
			}
		}
		if !got(messages, bytes) {
			return nil
		}
	}
}

// walk returns the sizes of an unmasked frame's header and payload; ok is false
// when the header is not whole.
func walk(p []byte) (header, size int, ok bool) {
	if len(p) < 2 {
		return 0, 0, false
	}
	switch l := p[1] & 0x7f; {
	case l < 126:
		return 2, int(l), true
	case l == 126 && len(p) >= 4:
		return 4, int(binary.BigEndian.Uint16(p[2:])), true
	case l == 127 && len(p) >= 10:
		return 10, int(binary.BigEndian.Uint64(p[2:])), true
	}
	return 0, 0, false
}

func (l *limit) answer(messages int) error {
	for messages > 0 {
		n := min(messages, len(l.replies)/l.reply)
		if _, err := l.Write(l.replies[:n*l.reply]); err != nil {
			return err
		}
		messages -= n
	}
	return nil
}

func (l *limit) send([]byte) error { return l.answer(1) }
func (l *limit) close()            { l.Close() }

type rawEcho struct{ *limit }

func (r rawEcho) loop(_ bool, got received) error {
	in := make([]byte, len(appendFrame(nil, opText, payload(r.size), false)))
	for {
		if _, err := io.ReadFull(r, in); err != nil {
			return err
		}
		if _, err := r.Write(r.replies[:r.reply]); err != nil {
			return err
		}
		if !got(1, r.size) {
			return nil
		}
	}
}
