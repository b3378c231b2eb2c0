package reqws_test

import (
	"bytes"
	"compress/flate"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/matryer/is"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/internal/wiretest"
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
	return reqwstest.Accept(reqwstest.WithHeader("Sec-WebSocket-Extensions", extensions))
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
				packed := []reqwstest.Frame{wiretest.Deflate(messages[0]), wiretest.Deflate(messages[1]), wiretest.Deflate(messages[2])}
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
				reqwstest.Send(wiretest.Fragments(1<<20, wiretest.Deflate(reqwstest.Text(text)))...),
				reqwstest.ExpectText(text),
				reqwstest.Send(wiretest.Deflate(reqwstest.Binary(random))),
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

// With permessage-deflate both sides may compress, and the frames that a handler
// sees are what was meant.
func TestCompression(t *testing.T) {
	for _, tc := range []struct {
		mode websocket.CompressionMode
		ext  string
	}{
		{websocket.CompressionContextTakeover, "permessage-deflate"},
		{websocket.CompressionNoContextTakeover, "permessage-deflate; client_no_context_takeover; server_no_context_takeover"},
	} {
		t.Run(tc.ext, func(t *testing.T) {
			tidy(t)
			is := is.New(t)
			text := strings.Repeat("the same again and again ", 200)
			srv := reqwstest.New(t, reqwstest.Script(
				reqwstest.Accept(reqwstest.WithHeader("Sec-WebSocket-Extensions", tc.ext)),
				reqwstest.Send(wiretest.Deflate(reqwstest.Text(text)), reqwstest.Text("as it is"), wiretest.Deflate(reqwstest.Binary(""))),
				reqwstest.ExpectText(text),
				reqwstest.ExpectText("as it is"),
				reqwstest.ExpectBinary(""),
				reqwstest.SendClose(1000, ""),
				reqwstest.ExpectClose(1000, ""),
			))
			is.NoErr(to(srv, reqws.Compression(tc.mode)).Run(t.Context(), reqws.Into(reqws.Each(echo))))
			is.NoErr(srv.Wait(t.Context()))
			is.True(len(srv.Conns()[0].Frames()[0].Payload) < len(text)/10)
		})
	}
}
