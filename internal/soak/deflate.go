package main

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/klauspost/compress/flate"

	"github.com/reqws/reqws/reqwstest"
)

// Permessage-deflate as the server has it (RFC 7692): simple, and with none of the library's code.

// accept returns the answer to an offer, and notes what was agreed.
func (l *link) accept(h http.Header) string {
	if !strings.Contains(h.Get("Sec-WebSocket-Extensions"), "permessage-deflate") {
		return ""
	}
	l.deflates = true
	if strings.Contains(h.Get("Sec-WebSocket-Extensions"), "no_context_takeover") {
		return "permessage-deflate; client_no_context_takeover; server_no_context_takeover"
	}
	l.takesOver = true
	return "permessage-deflate"
}

// window is the end of what went one way, as far back as DEFLATE can refer.
type window []byte

func (w *window) add(p []byte) {
	*w = append(*w, p...)
	if n := len(*w) - 32<<10; n > 0 {
		*w = append((*w)[:0], (*w)[n:]...)
	}
}

// tail is what a sender leaves out at a message's end, and a last block, so that it has one.
const tail = "\x00\x00\xff\xff\x01\x00\x00\xff\xff"

var (
	deflaters = sync.Pool{New: func() any { w, _ := flate.NewWriter(io.Discard, 1); return w }}
	inflaters = sync.Pool{New: func() any { return flate.NewReader(bytes.NewReader(nil)) }}
)

// deflate compresses a message, which is to be sent next.
func (l *link) deflate(f reqwstest.Frame) reqwstest.Frame {
	if !l.deflates {
		return f
	}
	var out bytes.Buffer
	w := deflaters.Get().(*flate.Writer)
	w.ResetDict(&out, l.said)
	_, _ = w.Write(f.Payload) // into memory, which does not fail
	_ = w.Flush()
	deflaters.Put(w)
	if l.takesOver {
		l.said.add(f.Payload)
	}
	f.RSV |= reqwstest.RSV1
	f.Payload = bytes.TrimSuffix(out.Bytes(), []byte(tail[:4]))
	return f
}

// inflate returns what a message of the client's says.
func (l *link) inflate(f reqwstest.Frame) ([]byte, error) {
	if f.RSV&reqwstest.RSV1 == 0 {
		return f.Payload, nil
	}
	r := inflaters.Get().(io.ReadCloser)
	defer inflaters.Put(r)
	in := io.MultiReader(bytes.NewReader(f.Payload), strings.NewReader(tail))
	_ = r.(flate.Resetter).Reset(in, l.heardBefore)
	p, err := io.ReadAll(r)
	if l.takesOver {
		l.heardBefore.add(p)
	}
	return p, err
}
