package reqws_test

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/matryer/is"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/internal/wiretest"
	"github.com/reqws/reqws/reqwstest"
)

// farMatch is a compressed message of three bytes: those that were sent distance
// bytes earlier (RFC 1951, section 3.2.6).
func farMatch(distance int) []byte {
	var bits, n uint
	put := func(value, width uint) { bits, n = bits|value<<n, n+width }
	code := func(value, width uint) { // Huffman codes begin with their highest bit
		for i := range width {
			put(value>>(width-1-i)&1, 1)
		}
	}
	put(0, 1)  // not the final block
	put(1, 2)  // fixed codes
	code(1, 7) // 257: length 3
	symbol, extra, base := uint(0), uint(0), 1
	for base+1<<extra <= distance {
		base += 1 << extra
		if symbol++; symbol >= 4 && symbol%2 == 0 {
			extra++
		}
	}
	code(symbol, 5)
	put(uint(distance-base), extra)
	code(0, 7) // end of block
	put(0, 3)  // an empty stored block, whose lengths are left off
	out := make([]byte, (n+7)/8)
	for i := range out {
		out[i] = byte(bits >> (8 * i))
	}
	return out
}

// The server may refer as far back as the window that was agreed on, and no message
// further than its own beginning without takeover.
func TestCompressionInWindow(t *testing.T) {
	for bits := 8; bits <= 15; bits++ {
		for _, keep := range []bool{true, false} {
			for _, pieces := range []int{1 << 30, 1000} {
				t.Run(fmt.Sprintf("%d bits, takeover %v, pieces %d", bits, keep, pieces), func(t *testing.T) {
					tidy(t)
					is := is.New(t)
					window := noise(byte(bits), 1<<bits)
					extensions := fmt.Sprintf("%s; server_max_window_bits=%d", deflate, bits)
					end := []reqwstest.Step{reqwstest.ExpectClose(1000, ""), reqwstest.SendClose(1000, "")}
					if !keep {
						extensions += "; server_no_context_takeover"
						end = []reqwstest.Step{reqwstest.ExpectCloseCode(1007), reqwstest.ExpectGone()}
					}
					first := wiretest.Fragments(pieces, wiretest.Deflate(reqwstest.Binary(window)))
					far := reqwstest.Frame{Fin: true, RSV: reqwstest.RSV1, Op: reqwstest.OpBinary, Payload: farMatch(len(window))}
					srv := reqwstest.NewMemory(t, reqwstest.Script(append([]reqwstest.Step{
						accepting(extensions), reqwstest.Send(append(first, far)...),
					}, end...)...))
					var got [][]byte
					err := to(srv, reqws.Compression(takeover), reqws.Into(reqws.Each(func(f reqws.Frame) reqws.Directive {
						if got = append(got, bytes.Clone(f.Data)); len(got) == 2 {
							return reqws.Halt()
						}
						return reqws.Cont()
					}))).Run(t.Context())
					is.True(bytes.Equal(got[0], window))
					if keep {
						is.NoErr(err)
						is.Equal(got[1], window[:3])
						return
					}
					is.Equal(len(got), 1)
					var pe *reqws.ProtocolError
					is.True(errors.As(err, &pe))
					is.Equal(pe.Code, websocket.StatusInvalidFramePayloadData)
				})
			}
		}
	}
}

// A feed in one window, some messages in fragments with pings between them, some
// not compressed, in all sizes of reads.
func TestCompressionIn(t *testing.T) {
	for _, piece := range []int{1, 7, 1000, 1 << 20} {
		t.Run(fmt.Sprint("pieces of ", piece), func(t *testing.T) {
			tidy(t)
			is := is.New(t)
			var plain []reqwstest.Frame
			for i := range 60 {
				plain = append(plain, reqwstest.Text(prose(i%7, i*i)), reqwstest.Binary(prose(i%5, 100)))
			}
			var wire []reqwstest.Frame
			var want []string
			for i, f := range wiretest.DeflateStream(plain...) {
				want = append(want, plain[i].String())
				if i%3 == 0 && len(f.Payload) > 4 {
					parts := wiretest.Fragments(len(f.Payload)/3+1, f)
					wire = append(wire, parts[0], reqwstest.Ping("in the middle"))
					wire = append(wire, parts[1:]...)
				} else {
					wire = append(wire, f)
				}
				if i%4 == 0 {
					wire = append(wire, reqwstest.Text("not compressed"))
					want = append(want, `text "not compressed"`)
				}
			}
			wire = append(wire, reqwstest.Close(1000, ""))
			srv := reqwstest.NewMemory(t, reqwstest.Script(
				accepting(deflate),
				reqwstest.Do(func(c *reqwstest.Conn) error {
					for p := range slices.Chunk(reqwstest.Encode(wire...), piece) {
						if _, err := c.Write(p); err != nil {
							return err
						}
					}
					for {
						switch op, _, err := c.ReadMessage(); {
						case err != nil:
							return err
						case op == reqwstest.OpClose:
							return nil
						}
					}
				}),
			))
			var got []string
			is.NoErr(to(srv, reqws.Compression(takeover), reqws.Into(reqws.Each(func(f reqws.Frame) reqws.Directive {
				if f.Kind == reqws.KindText || f.Kind == reqws.KindBinary {
					op := map[reqws.Kind]reqwstest.Op{reqws.KindText: reqwstest.OpText, reqws.KindBinary: reqwstest.OpBinary}[f.Kind]
					got = append(got, reqwstest.Frame{Fin: true, Op: op, Payload: bytes.Clone(f.Data)}.String())
				}
				return reqws.Cont()
			}))).Run(t.Context()))
			is.Equal(got, want)
		})
	}
}

// What the standard does not allow ends the stream with the code it calls for.
func TestCompressionViolations(t *testing.T) {
	packed := wiretest.Deflate(reqwstest.Text(prose(1, 1000)))
	with := func(f reqwstest.Frame, change func(*reqwstest.Frame)) reqwstest.Frame {
		f.Payload = bytes.Clone(f.Payload)
		change(&f)
		return f
	}
	marked := func(f *reqwstest.Frame) { f.RSV |= reqwstest.RSV1 }
	parts := wiretest.Fragments(100, packed)
	for _, c := range []struct {
		name       string
		extensions string
		frames     []reqwstest.Frame
		code       int
		reason     string
	}{
		{"not agreed on", "", []reqwstest.Frame{packed}, 1002, "reserved bits"},
		{"RSV2", deflate, []reqwstest.Frame{with(packed, func(f *reqwstest.Frame) { f.RSV |= reqwstest.RSV2 })}, 1002, "reserved bits"},
		{"RSV3", deflate, []reqwstest.Frame{with(packed, func(f *reqwstest.Frame) { f.RSV |= reqwstest.RSV3 })}, 1002, "reserved bits"},
		{"RSV1 on a ping", deflate, []reqwstest.Frame{with(reqwstest.Ping("x"), marked)}, 1002, "RSV1 set on a ping"},
		{"RSV1 on a close", deflate, []reqwstest.Frame{with(reqwstest.Close(1000, ""), marked)}, 1002, "RSV1 set on a close"},
		{"RSV1 on a continuation", deflate, []reqwstest.Frame{parts[0], with(parts[1], marked)}, 1002, "RSV1 set on a continuation"},
		{"a reserved block type", deflate, []reqwstest.Frame{with(packed, func(f *reqwstest.Frame) { f.Payload[0] |= 6 })}, 1007, "compressed message"},
		{"cut off", deflate, []reqwstest.Frame{with(packed, func(f *reqwstest.Frame) { f.Payload = f.Payload[:len(f.Payload)/2] })}, 1007, "compressed message"},
		{"refers to nothing", deflate, []reqwstest.Frame{with(packed, func(f *reqwstest.Frame) { f.Payload = farMatch(1) })}, 1007, "compressed message"},
		{"not compressed at all", deflate, []reqwstest.Frame{with(reqwstest.Text("plain text"), marked)}, 1007, "compressed message"},
		{"not UTF-8 inside", deflate, []reqwstest.Frame{wiretest.Deflate(reqwstest.Text("good \xff bad"))}, 1007, "not UTF-8"},
		{"not UTF-8, early in what does not end", deflate, []reqwstest.Frame{with(wiretest.Deflate(reqwstest.Text("\xff"+prose(1, 50_000))), func(f *reqwstest.Frame) {
			f.Fin = false
		})}, 1007, "not UTF-8"},
		{"UTF-8 that is cut off", deflate, []reqwstest.Frame{wiretest.Deflate(reqwstest.Text("gr\xc3"))}, 1007, "not UTF-8"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tidy(t)
			is := is.New(t)
			accept := reqwstest.Accept()
			if c.extensions != "" {
				accept = accepting(c.extensions)
			}
			srv := reqwstest.NewMemory(t, reqwstest.Script(
				accept,
				reqwstest.Send(reqwstest.Text("before")), reqwstest.Send(c.frames...),
				reqwstest.ExpectCloseCode(c.code), reqwstest.ExpectGone(),
			))
			var got []string
			err := to(srv, reqws.Compression(takeover), reqws.Into(reqws.Each(func(f reqws.Frame) reqws.Directive {
				got = append(got, f.Text())
				return reqws.Cont()
			}))).Run(t.Context())
			is.Equal(got, []string{"before"})
			var pe *reqws.ProtocolError
			is.True(errors.As(err, &pe))
			is.Equal(int(pe.Code), c.code)
			is.True(strings.Contains(pe.Reason, c.reason))
		})
	}
}

// unhurried returns n, or a part of it where the race detector slows everything down.
func unhurried(n int) int {
	if raceEnabled {
		return n / 10
	}
	return n
}

// A bomb stops while it inflates: its limit is all the memory it gets.
func TestCompressionBomb(t *testing.T) {
	const limit = 1 << 20
	bomb := wiretest.Deflate(reqwstest.Binary(make([]byte, unhurried(256<<20))))
	exact := wiretest.Deflate(reqwstest.Binary(make([]byte, limit)))
	over := wiretest.Deflate(reqwstest.Binary(make([]byte, limit+1)))
	for _, c := range []struct {
		name   string
		frames []reqwstest.Frame
		good   int
	}{
		{"whole", []reqwstest.Frame{bomb}, 0},
		{"in fragments", wiretest.Fragments(5_000, bomb), 0},
		{"by a byte", []reqwstest.Frame{over}, 0},
		{"after another message", []reqwstest.Frame{exact, over}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			is := is.New(t)
			wire := reqwstest.Encode(c.frames...)
			srv := reqwstest.NewMemory(t, reqwstest.Script(
				accepting(deflate+"; server_no_context_takeover"),
				reqwstest.Do(func(c *reqwstest.Conn) error {
					c.Write(wire) // it need not be taken to the end
					return nil
				}),
				reqwstest.ExpectCloseCode(1009), reqwstest.ExpectGone(),
			))
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			messages := 0
			err := to(srv, reqws.Compression(takeover), reqws.MaxMessageSize(limit), reqws.Into(reqws.Each(func(f reqws.Frame) reqws.Directive {
				messages++
				is.Equal(len(f.Data), limit)
				return reqws.Cont()
			}))).Run(t.Context())
			runtime.ReadMemStats(&after)
			is.True(errors.Is(err, reqws.ErrMessageTooBig))
			is.True(strings.Contains(err.Error(), "MaxMessageSize"))
			is.Equal(messages, c.good)
			is.True(after.TotalAlloc-before.TotalAlloc < 12*limit)
		})
	}
}

// However much a few bytes inflate to, a handler sees no more of it at once than a buffer, or one message; also
// after one that was large as it came.
func TestCompressionBatches(t *testing.T) {
	const limit = 1 << 20
	for _, size := range []int{1000, 50_000, limit} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			tidy(t)
			is := is.New(t)
			count := 12 * limit / (size + 40_000)
			bomb := reqwstest.Encode(wiretest.Deflate(reqwstest.Binary(make([]byte, size))))
			srv := reqwstest.NewMemory(t, reqwstest.Script(
				accepting(deflate+"; server_no_context_takeover"),
				reqwstest.Send(reqwstest.Binary(make([]byte, limit))),
				wiretest.SendRaw(bytes.Repeat(bomb, count)),
				reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, ""),
			))
			messages := 0
			is.NoErr(to(srv, reqws.Compression(takeover), reqws.MaxMessageSize(limit), reqws.Into(func(in reqws.Event, _ *reqws.Response) reqws.Directive {
				held := 0
				for _, f := range in.Frames {
					held += len(f.Data)
				}
				if messages > 0 {
					is.True(held <= max(size, 72<<10))
				}
				for _, f := range in.Frames {
					if f.Kind == reqws.KindBinary {
						messages++
					}
				}
				return reqws.Cont()
			})).Run(t.Context()))
			is.Equal(messages, 1+count)
		})
	}
}

// A deflate bomb stops at MaxMessageSize.
func TestADeflateBomb(t *testing.T) {
	tidy(t)
	is := is.New(t)
	srv := reqwstest.New(t, reqwstest.Script(
		reqwstest.Accept(reqwstest.WithHeader("Sec-WebSocket-Extensions", "permessage-deflate")),
		reqwstest.Send(reqwstest.Text("before"), wiretest.Deflate(reqwstest.Binary(make([]byte, 32<<20)))),
		reqwstest.ExpectCloseCode(1009),
	))
	w := &witness{}
	err := to(srv, reqws.Compression(websocket.CompressionContextTakeover), reqws.MaxMessageSize(1<<20)).Run(t.Context(), w.into())
	is.True(errors.Is(err, reqws.ErrMessageTooBig))
	is.Equal(w.frames(), []string{`text "before"`})
}
