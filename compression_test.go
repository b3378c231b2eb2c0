package reqws_test

import (
	"bytes"
	"compress/flate"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/matryer/is"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/reqwstest"
)

const (
	takeover   = websocket.CompressionContextTakeover
	noTakeover = websocket.CompressionNoContextTakeover
	deflate    = "permessage-deflate"
)

// accepting is the first step of a server that accepts compression as extensions
// say.
func accepting(extensions string) reqwstest.Step {
	return reqwstest.Accept(reqwstest.WithExtensions(extensions))
}

// prose returns n bytes of text that compresses well, and differs with seed.
func prose(seed, n int) string {
	words := strings.Fields("the price of an order book moves when somebody buys or sells at the best bid and ask")
	rnd := rand.New(rand.NewPCG(1, uint64(seed)))
	var b strings.Builder
	for b.Len() < n {
		fmt.Fprintf(&b, "%s %d ", words[rnd.IntN(len(words))], rnd.IntN(100))
	}
	return b.String()[:n]
}

// noise returns n bytes that do not compress.
func noise(seed byte, n int) []byte {
	p := make([]byte, n)
	rand.NewChaCha8([32]byte{seed}).Read(p)
	return p
}

func TestCompressionOffer(t *testing.T) {
	for _, c := range []struct {
		mode websocket.CompressionMode
		want []string
	}{
		{websocket.CompressionDisabled, nil},
		{takeover, []string{"permessage-deflate; client_max_window_bits"}},
		{noTakeover, []string{"permessage-deflate; client_max_window_bits; client_no_context_takeover; server_no_context_takeover"}},
	} {
		t.Run(fmt.Sprint(c.mode), func(t *testing.T) {
			is := is.New(t)
			srv := reqwstest.NewMemory(t, reqwstest.Script(reqwstest.Accept(), reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, "")))
			is.NoErr(to(srv, reqws.Compression(c.mode), reqws.Into(func(reqws.Event, *reqws.Response) reqws.Directive { return reqws.Cont() })).Run(t.Context()))
			is.Equal(srv.Requests()[0].Header["Sec-Websocket-Extensions"], c.want)
		})
	}
}

// Each answer that a server may give to the offer is honoured.
func TestCompressionAccepted(t *testing.T) {
	for _, extensions := range []string{
		"permessage-deflate",
		"permessage-deflate; client_no_context_takeover",
		"permessage-deflate; server_no_context_takeover",
		"permessage-deflate; server_no_context_takeover; client_no_context_takeover",
		`permessage-deflate;client_max_window_bits="10" ; server_max_window_bits=9`,
		"permessage-deflate; client_max_window_bits=8; server_max_window_bits=8; client_no_context_takeover",
	} {
		for _, mode := range []websocket.CompressionMode{takeover, noTakeover} {
			t.Run(fmt.Sprint(extensions, " ", mode), func(t *testing.T) {
				tidy(t)
				is := is.New(t)
				messages := []reqwstest.Frame{
					reqwstest.Text(prose(1, 200)), reqwstest.Binary(prose(2, 600)), reqwstest.Text(prose(1, 200)),
				}
				packed := []reqwstest.Frame{reqwstest.Deflate(messages[0]), reqwstest.Deflate(messages[1]), reqwstest.Deflate(messages[2])}
				srv := reqwstest.NewMemory(t, reqwstest.Script(
					accepting(extensions),
					reqwstest.Send(packed...),
					reqwstest.Send(reqwstest.Text("not compressed")),
					reqwstest.ExpectText(prose(1, 200)), reqwstest.ExpectBinary(prose(2, 600)), reqwstest.ExpectText(prose(1, 200)),
					reqwstest.ExpectText("not compressed"),
					reqwstest.ExpectClose(1000, ""),
					reqwstest.SendClose(1000, ""),
				))
				n := 0
				err := to(srv, reqws.Compression(mode), reqws.Into(reqws.Each(func(f reqws.Frame) reqws.Directive {
					if n++; n == 4 {
						return reqws.Halt(f)
					}
					return reqws.Cont(f)
				}))).Run(t.Context())
				is.NoErr(err)
				is.Equal(n, 4)
			})
		}
	}
}

// A server that refuses gets plain frames.
func TestCompressionRefused(t *testing.T) {
	tidy(t)
	is := is.New(t)
	long := prose(1, 2000)
	srv := reqwstest.NewMemory(t, reqwstest.Script(
		reqwstest.Accept(),
		reqwstest.SendText(long),
		reqwstest.ExpectFrames(reqwstest.Text(long), reqwstest.Close(1000, "")),
		reqwstest.SendClose(1000, ""),
	))
	is.NoErr(to(srv, reqws.Compression(takeover), reqws.Into(reqws.Each(func(f reqws.Frame) reqws.Directive {
		return reqws.Halt(f)
	}))).Run(t.Context()))
}

// An answer that does not answer the offer is an error of Do.
func TestCompressionBadAnswer(t *testing.T) {
	for _, c := range []struct {
		extensions, err string
		mode            websocket.CompressionMode
	}{
		{"permessage-deflate", `the server accepted an extension that was not offered: "permessage-deflate"`, websocket.CompressionDisabled},
		{"x-webkit-deflate-frame", "an extension that was not offered: x-webkit-deflate-frame", takeover},
		{"permessage-deflate, permessage-deflate", "accepted permessage-deflate twice", takeover},
		{"permessage-deflate; unknown", "unknown parameter unknown", takeover},
		{"permessage-deflate; server_max_window_bits=16", `server_max_window_bits that is not 8 to 15: "16"`, takeover},
		{"permessage-deflate; client_max_window_bits=7", `client_max_window_bits that is not 8 to 15: "7"`, noTakeover},
		{"permessage-deflate; client_max_window_bits", `client_max_window_bits that is not 8 to 15: ""`, takeover},
		{"permessage-deflate; server_no_context_takeover; server_no_context_takeover", "server_no_context_takeover twice", takeover},
		{"permessage-deflate; client_no_context_takeover=1", `a value for client_no_context_takeover: "1"`, takeover},
		{"permessage-deflate;", "malformed Sec-WebSocket-Extensions", takeover},
	} {
		t.Run(c.extensions, func(t *testing.T) {
			tidy(t)
			is := is.New(t)
			srv := reqwstest.NewMemory(t, reqwstest.Script(accepting(c.extensions), reqwstest.ExpectGone()))
			resp, err := to(srv, reqws.Compression(c.mode)).Do(t.Context())
			is.True(err != nil)
			is.Equal(resp, nil)
			is.True(strings.HasPrefix(err.Error(), "reqws: handshake: "+srv.URL))
			is.True(strings.Contains(err.Error(), c.err))
		})
	}
}

// inflater undoes what the client did, with a window of its own.
type inflater struct {
	window int // 0: no takeover
	seen   []byte
}

func (z *inflater) inflate(p []byte) ([]byte, error) {
	if z.window == 0 {
		z.seen = nil
	}
	whole := io.MultiReader(bytes.NewReader(p), strings.NewReader("\x00\x00\xff\xff\x01\x00\x00\xff\xff"))
	out, err := io.ReadAll(flate.NewReaderDict(whole, z.seen[max(0, len(z.seen)-z.window):]))
	z.seen = append(z.seen, out...)
	return out, err
}

// What the client compresses stays inside the window it was given, with every
// size of it, and repeats itself only where it may.
func TestCompressionOut(t *testing.T) {
	var messages []reqws.Frame
	for i := range 40 {
		messages = append(messages, reqws.Text(prose(i, 600+37*i)), reqws.Binary(prose(i, 5000)))
	}
	messages = append(messages, reqws.Binary(noise(1, 3000)), reqws.Text(prose(0, 70<<10)))
	for bits := 8; bits <= 15; bits++ {
		for _, keep := range []bool{true, false} {
			t.Run(fmt.Sprintf("%d bits, takeover %v", bits, keep), func(t *testing.T) {
				is := is.New(t)
				z := &inflater{window: 1 << bits}
				extensions := fmt.Sprintf("%s; client_max_window_bits=%d", deflate, bits)
				if !keep {
					extensions, z.window = extensions+"; client_no_context_takeover", 0
				}
				srv := reqwstest.NewMemory(t, reqwstest.Script(accepting(extensions), reqwstest.Do(func(c *reqwstest.Conn) error {
					for _, m := range messages {
						f, err := c.ReadFrame()
						if err != nil {
							return err
						}
						if f.RSV != reqwstest.RSV1 || !f.Fin {
							return fmt.Errorf("not a compressed message in one frame: %v", f)
						}
						got, err := z.inflate(f.Payload)
						if err != nil || !bytes.Equal(got, m.Data) {
							return fmt.Errorf("message of %d bytes: %w", len(m.Data), err)
						}
					}
					return nil
				}), reqwstest.ExpectClose(1000, ""), reqwstest.SendClose(1000, "")))
				resp, err := to(srv, reqws.Compression(takeover)).Do(t.Context())
				is.NoErr(err)
				for i := 0; i < len(messages); {
					n := min(1+i%5, len(messages)-i) // alone and several in a write
					is.NoErr(resp.Send(t.Context(), messages[i:i+n]...))
					i += n
				}
				is.NoErr(resp.Close(1000, ""))
			})
		}
	}
}

// With context takeover a message that was sent before costs next to nothing.
func TestCompressionRepeats(t *testing.T) {
	for extensions, repeats := range map[string]bool{deflate: true, deflate + "; client_no_context_takeover": false} {
		t.Run(extensions, func(t *testing.T) {
			is := is.New(t)
			var sizes []int
			srv := reqwstest.NewMemory(t, reqwstest.Script(accepting(extensions), reqwstest.Do(func(c *reqwstest.Conn) error {
				for range 5 {
					f, err := c.ReadFrame()
					if err != nil {
						return err
					}
					sizes = append(sizes, len(f.Payload))
				}
				return nil
			}), reqwstest.ExpectClose(1000, ""), reqwstest.SendClose(1000, "")))
			resp, err := to(srv, reqws.Compression(takeover)).Do(t.Context())
			is.NoErr(err)
			for range 5 {
				is.NoErr(resp.Send(t.Context(), reqws.Text(prose(1, 1000))))
			}
			is.NoErr(resp.Close(1000, ""))
			is.True(sizes[0] < 700)
			for _, n := range sizes[1:] {
				is.Equal(n < 50, repeats)
				is.Equal(n == sizes[0], !repeats)
			}
		})
	}
}

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
					first := reqwstest.Fragments(pieces, reqwstest.Deflate(reqwstest.Binary(window)))
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
			for i, f := range reqwstest.DeflateStream(plain...) {
				want = append(want, plain[i].String())
				if i%3 == 0 && len(f.Payload) > 4 {
					parts := reqwstest.Fragments(len(f.Payload)/3+1, f)
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

// Small messages and control frames go as they are.
func TestCompressionThreshold(t *testing.T) {
	for _, c := range []struct {
		extensions string
		from       int
	}{{deflate, 128}, {deflate + "; client_no_context_takeover", 512}} {
		t.Run(c.extensions, func(t *testing.T) {
			tidy(t)
			is := is.New(t)
			below, at := prose(1, c.from-1), prose(2, c.from)
			var frames []reqwstest.Frame
			srv := reqwstest.NewMemory(t, reqwstest.Script(accepting(c.extensions), reqwstest.Do(func(conn *reqwstest.Conn) error {
				for range 8 {
					f, err := conn.ReadFrame()
					if err != nil {
						return err
					}
					frames = append(frames, f)
				}
				return nil
			}), reqwstest.SendClose(1000, "")))
			resp, err := to(srv, reqws.Compression(takeover)).Do(t.Context())
			is.NoErr(err)
			is.NoErr(resp.Send(t.Context(), reqws.Text(""), reqws.Text(below), reqws.Text(at), reqws.Binary(below), reqws.Binary(at),
				reqws.Ping(prose(3, 125)), reqws.Pong(prose(3, 125))))
			is.NoErr(resp.Close(1000, prose(4, 123)))
			for i, compressed := range []bool{false, false, true, false, true, false, false, false} {
				is.Equal(frames[i].RSV == reqwstest.RSV1, compressed)
			}
			is.Equal(string(frames[1].Payload), below)
			is.True(len(frames[2].Payload) < c.from)
		})
	}
}

// What the standard does not allow ends the stream with the code it calls for.
func TestCompressionViolations(t *testing.T) {
	packed := reqwstest.Deflate(reqwstest.Text(prose(1, 1000)))
	with := func(f reqwstest.Frame, change func(*reqwstest.Frame)) reqwstest.Frame {
		f.Payload = bytes.Clone(f.Payload)
		change(&f)
		return f
	}
	marked := func(f *reqwstest.Frame) { f.RSV |= reqwstest.RSV1 }
	parts := reqwstest.Fragments(100, packed)
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
		{"not UTF-8 inside", deflate, []reqwstest.Frame{reqwstest.Deflate(reqwstest.Text("good \xff bad"))}, 1007, "not UTF-8"},
		{"not UTF-8, early in what does not end", deflate, []reqwstest.Frame{with(reqwstest.Deflate(reqwstest.Text("\xff"+prose(1, 50_000))), func(f *reqwstest.Frame) {
			f.Fin = false
		})}, 1007, "not UTF-8"},
		{"UTF-8 that is cut off", deflate, []reqwstest.Frame{reqwstest.Deflate(reqwstest.Text("gr\xc3"))}, 1007, "not UTF-8"},
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
	bomb := reqwstest.Deflate(reqwstest.Binary(make([]byte, unhurried(256<<20))))
	exact := reqwstest.Deflate(reqwstest.Binary(make([]byte, limit)))
	over := reqwstest.Deflate(reqwstest.Binary(make([]byte, limit+1)))
	for _, c := range []struct {
		name   string
		frames []reqwstest.Frame
		good   int
	}{
		{"whole", []reqwstest.Frame{bomb}, 0},
		{"in fragments", reqwstest.Fragments(5_000, bomb), 0},
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
			bomb := reqwstest.Encode(reqwstest.Deflate(reqwstest.Binary(make([]byte, size))))
			srv := reqwstest.NewMemory(t, reqwstest.Script(
				accepting(deflate+"; server_no_context_takeover"),
				reqwstest.Send(reqwstest.Binary(make([]byte, limit))),
				reqwstest.SendRaw(bytes.Repeat(bomb, count)),
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

// Messages of 10 MB both ways, text and binary, with and without takeover.
func TestCompressionLarge(t *testing.T) {
	text := strings.Repeat(prose(1, 100<<10), unhurried(40))
	random := noise(3, unhurried(4<<20))
	for _, extensions := range []string{deflate, deflate + "; client_no_context_takeover; server_no_context_takeover"} {
		t.Run(extensions, func(t *testing.T) {
			tidy(t)
			is := is.New(t)
			srv := reqwstest.New(t, reqwstest.Script(
				accepting(extensions),
				reqwstest.Send(reqwstest.Fragments(1<<20, reqwstest.Deflate(reqwstest.Text(text)))...),
				reqwstest.ExpectText(text),
				reqwstest.Send(reqwstest.Deflate(reqwstest.Binary(random))),
				reqwstest.ExpectBinary(random),
				reqwstest.ExpectClose(1000, ""),
				reqwstest.SendClose(1000, ""),
			))
			n := 0
			is.NoErr(to(srv, reqws.Compression(takeover), reqws.Into(reqws.Each(func(f reqws.Frame) reqws.Directive {
				if n++; n == 2 {
					return reqws.Halt(f)
				}
				return reqws.Cont(f)
			}))).Run(t.Context()))
			is.Equal(n, 2)
		})
	}
}

// Sends that are given up, in the queue or already compressed but not begun, leave
// the window of the others as the server has it.
func TestCompressionCancelledSends(t *testing.T) {
	for seed := range 40 {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				is := is.New(t)
				rnd := rand.New(rand.NewPCG(7, uint64(seed)))
				var got []string
				srv := reqwstest.NewMemory(t, reqwstest.BufferSize(1+rnd.IntN(600)), reqwstest.Script(
					accepting(deflate),
					reqwstest.Do(func(c *reqwstest.Conn) error {
						for {
							time.Sleep(time.Millisecond)
							op, p, err := c.ReadMessage()
							switch {
							case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
								return nil // a Send that was cut off ended the stream
							case err != nil:
								return err
							case op == reqwstest.OpClose:
								return c.WriteFrame(reqwstest.Close(1000, ""))
							}
							got = append(got, string(p))
						}
					}),
				))
				resp, err := to(srv, reqws.Compression(takeover)).Do(t.Context())
				is.NoErr(err)
				sent := make(map[string]error)
				var mu sync.Mutex
				var wg sync.WaitGroup
				for sender := range 6 {
					rnd := rand.New(rand.NewPCG(uint64(sender), uint64(seed)))
					wg.Go(func() {
						for i := range 12 {
							ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
							if rnd.IntN(3) == 0 {
								cancel()
								ctx, cancel = context.WithTimeout(t.Context(), time.Duration(rnd.IntN(8000))*time.Microsecond)
							}
							text := fmt.Sprint(sender, " ", i, " ", prose(rnd.IntN(4), 100+rnd.IntN(3000)))
							err := resp.Send(ctx, reqws.Text(text))
							cancel()
							mu.Lock()
							sent[text] = err
							mu.Unlock()
						}
					})
				}
				wg.Wait()
				resp.Close(1000, "") // it may be broken
				is.NoErr(srv.Wait(t.Context()))
				arrived := make(map[string]bool)
				for _, text := range got {
					err, known := sent[text]
					is.True(known)          // whole and unharmed
					is.True(!arrived[text]) // once
					is.True(err == nil)     // nothing that was given up
					arrived[text] = true
				}
				for text, err := range sent {
					is.True(arrived[text] || err != nil) // what was sent has arrived
				}
			})
		})
	}
}
