package wiretest

import (
	"bytes"
	"compress/flate"

	"github.com/reqws/reqws/reqwstest"
)

// Fragments cuts a message into frames of at most n bytes of payload: the first
// keeps the opcode and reserved bits, the others are continuations, the last has
// FIN as f has it.
func Fragments(n int, f reqwstest.Frame) []reqwstest.Frame {
	var out []reqwstest.Frame
	rest := f.Payload
	for len(rest) > n {
		out = append(out, reqwstest.Frame{RSV: f.RSV, Op: f.Op, Payload: rest[:n:n]})
		rest, f.RSV, f.Op = rest[n:], 0, reqwstest.OpContinuation
	}
	return append(out, reqwstest.Frame{Fin: f.Fin, RSV: f.RSV, Op: f.Op, Payload: rest})
}

// Deflate returns the frame with its payload compressed and reqwstest.RSV1 set, as
// permessage-deflate wants it (RFC 7692, section 7.2.1). The result refers to
// nothing sent before, so that it is legal with and without context takeover.
func Deflate(f reqwstest.Frame) reqwstest.Frame { return DeflateStream(f)[0] }

// DeflateStream compresses messages with context takeover: each may refer to those
// before it (RFC 7692, section 7.2.3.2), so that they must be sent in this order
// and nothing compressed otherwise before them.
func DeflateStream(frames ...reqwstest.Frame) []reqwstest.Frame {
	var buf bytes.Buffer
	w, _ := flate.NewWriter(&buf, flate.BestCompression) // only a bad level is an error
	out := make([]reqwstest.Frame, len(frames))
	for i, f := range frames {
		buf.Reset()
		w.Write(f.Payload)
		w.Flush()
		f.RSV |= reqwstest.RSV1
		f.Payload = bytes.Clone(bytes.TrimSuffix(buf.Bytes(), []byte("\x00\x00\xff\xff")))
		out[i] = f
	}
	return out
}
