package reqws_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/internal/wiretest"
	"github.com/reqws/reqws/reqwstest"
)

// RFC 7692, sections 5 and 7.1: what is offered, and which answers are none to that.
func TestConformanceDeflateNegotiation(t *testing.T) {
	offer := func(want string) func(*is.I, []*reqwstest.Request) {
		return func(is *is.I, got []*reqwstest.Request) {
			is.Equal(got[0].Header.Values("Sec-WebSocket-Extensions"), []string{want})
		}
	}
	gives := func(params string) []reqwstest.Option {
		return []reqwstest.Option{opens(reqwstest.WithHeader("Sec-WebSocket-Extensions", "permessage-deflate"+params))}
	}
	keeps, forgets := []reqws.Option{reqws.Compression(takeover)}, []reqws.Option{reqws.Compression(noTakeover)}
	for _, o := range []opening{
		{section: "7.1.1", asks: "the offer names no window takeover", opts: forgets, server: gives("; client_no_context_takeover; server_no_context_takeover"), sees: func(is *is.I, got []*reqwstest.Request) {
			params := strings.Split(got[0].Header.Get("Sec-WebSocket-Extensions"), "; ")
			is.Equal(params[0], "permessage-deflate")
			seen := map[string]bool{} // section 7.1: each parameter is there once, and is defined
			for _, p := range params[1:] {
				is.True(!seen[p])
				seen[p] = true
			}
			delete(seen, "client_max_window_bits")
			is.Equal(seen, map[string]bool{"client_no_context_takeover": true, "server_no_context_takeover": true})
		}},
		{section: "5.1", asks: "an answer may be without parameters", opts: keeps, server: gives("")},
		{section: "5.1", asks: "the name is a whole one", opts: keeps, server: gives("x"), fails: "xtension"},
		{section: "5.1", asks: "one of the kind is used, not two", opts: keeps, server: gives(", permessage-deflate"), fails: "twice"},
		{section: "7.1", asks: "a parameter that is not defined", opts: keeps, server: gives("; foo"), fails: "parameter"},
		{section: "7.1", asks: "a parameter twice", opts: keeps, server: gives("; server_no_context_takeover; server_no_context_takeover"), fails: "twice"},
		{section: "7.1", asks: "a parameter twice, with values", opts: keeps, server: gives("; server_max_window_bits=9; server_max_window_bits=9"), fails: "twice"},
		{section: "7.1.1.1", asks: "server_no_context_takeover may come unasked", opts: keeps, server: gives("; server_no_context_takeover")},
		{section: "7.1.1.1", asks: "server_no_context_takeover has no value", opts: keeps, server: gives("; server_no_context_takeover=1"), fails: "value"},
		{section: "7.1.1.2", asks: "client_no_context_takeover may come unasked", opts: keeps, server: gives("; client_no_context_takeover")},
		{section: "7.1.1.2", asks: "client_no_context_takeover may be left out", opts: forgets, server: gives("")},
		{section: "7.1.1.2", asks: "client_no_context_takeover has no value", opts: keeps, server: gives("; client_no_context_takeover=true"), fails: "value"},
		{section: "7.1.2.1", asks: "server_max_window_bits has a value", opts: keeps, server: gives("; server_max_window_bits"), fails: "8 to 15"},
		{section: "7.1.2.1", asks: "server_max_window_bits is 8 or more", opts: keeps, server: gives("; server_max_window_bits=7"), fails: "8 to 15"},
		{section: "7.1.2.1", asks: "server_max_window_bits is 15 or less", opts: keeps, server: gives("; server_max_window_bits=16"), fails: "8 to 15"},
		{section: "7.1.2.1", asks: "server_max_window_bits has no leading zero", opts: keeps, server: gives("; server_max_window_bits=09"), fails: "8 to 15"},
		{section: "7.1.2.1", asks: "server_max_window_bits is decimal", opts: keeps, server: gives("; server_max_window_bits=+9"), fails: "8 to 15"},
		{section: "7.1.2.1", asks: "server_max_window_bits may come unasked", opts: keeps, server: gives("; server_max_window_bits=8")},
		{section: "7.1.2.2", asks: "client_max_window_bits has a value in an answer", opts: forgets, server: gives("; client_max_window_bits"), fails: "8 to 15"},
		{section: "7.1.2.2", asks: "client_max_window_bits is 8 or more", opts: forgets, server: gives("; client_max_window_bits=7"), fails: "8 to 15"},
		{section: "7.1.2.2", asks: "client_max_window_bits is 15 or less", opts: forgets, server: gives("; client_max_window_bits=16"), fails: "8 to 15"},
		{section: "7.1.2.2", asks: "client_max_window_bits has no leading zero", opts: forgets, server: gives("; client_max_window_bits=010"), fails: "8 to 15"},
	} {
		o.check(t)
	}
	for name, way := range map[string]string{"Do": "permessage-deflate; client_max_window_bits", "Run": "permessage-deflate; client_max_window_bits", "Dial": "permessage-deflate"} {
		t.Run("7.1.2.2 client_max_window_bits answers an offer of it alone/"+name, func(t *testing.T) {
			tidy(t)
			is := is.New(t)
			srv := reqwstest.NewMemory(t, gives("; client_max_window_bits=12")...)
			err := ways[name](t.Context(), to(srv, keeps...))
			is.Equal(err == nil, strings.HasSuffix(way, "client_max_window_bits"))
			offer(way)(is, srv.Requests())
		})
	}
}

// RFC 7692, sections 6 and 7.2.2, with the examples of section 7.2.3: what a server may send is understood.
func TestConformanceDeflateReceiving(t *testing.T) {
	raw := wiretest.SendRaw[string]
	text, binary, ping := reqws.Text[string], reqws.Binary[string], reqws.Ping[string]
	gets := func(f ...reqws.Frame) []reqws.Frame { return f }
	steps := func(s ...reqwstest.Step) []reqwstest.Step { return s }
	const (
		hello = "\xf2\x48\xcd\xc9\xc9\x07\x00"
		again = "\xf2\x00\x11\x00\x00" // refers to the hello before
	)
	window := string(noise(7, 1<<8))
	for _, c := range []clause{
		{section: "6", asks: "RSV1 on a ping", server: steps(raw("\xc9\x00")), fails: 1002},
		{section: "6", asks: "RSV1 on a pong", server: steps(raw("\xca\x00")), fails: 1002},
		{section: "6", asks: "RSV1 on a close frame", server: steps(raw("\xc8\x00")), fails: 1002},
		{section: "6", asks: "RSV1 on a fragment that is not the first", server: steps(raw("\x41\x03\xf2\x48\xcd\xc0\x04\xc9\xc9\x07\x00")), fails: 1002},
		{section: "6", asks: "RSV1 on a fragment of what is not compressed", server: steps(raw("\x01\x01a\xc0\x00")), fails: 1002},
		{section: "6", asks: "the other reserved bits mean nothing still", server: steps(raw("\xe1\x07" + hello)), fails: 1002},
		{section: "6", asks: "and those of a control frame neither", server: steps(raw("\x99\x00")), fails: 1002},
		{section: "6.2", asks: "a message without the bit is as it is", server: steps(raw("\x81\x07"+"a\x00\x00bcde"), raw("\x82\x07"+hello)), gets: gets(text("a\x00\x00bcde"), binary(hello))},
		{section: "6.2", asks: "each message says for itself whether it is compressed", server: steps(raw("\x81\x01a\xc1\x07" + hello + "\x82\x01b\xc2\x05" + again)),
			gets: gets(text("a"), text("Hello"), binary("b"), binary("Hello"))},
		{section: "6.2", asks: "fragments are joined and then inflated, with control frames between", server: steps(raw("\x41\x03\xf2\x48\xcd\x89\x01p"), reqwstest.ExpectPong("p"), raw("\x00\x00\x80\x04\xc9\xc9\x07\x00")),
			gets: gets(ping("p"), text("Hello"))},
		{section: "7.2.3.1", asks: "one compressed block", server: steps(raw("\xc1\x07" + hello)), gets: gets(text("Hello"))},
		{section: "7.2.3.1", asks: "in two fragments", server: steps(raw("\x41\x03\xf2\x48\xcd\x80\x04\xc9\xc9\x07\x00")), gets: gets(text("Hello"))},
		{section: "7.2.3.2", asks: "the window of the message before", server: steps(raw("\xc1\x07" + hello + "\xc1\x05" + again)), gets: gets(text("Hello"), text("Hello"))},
		{section: "7.2.3.3", asks: "a block without compression", server: steps(raw("\xc1\x0b\x00\x05\x00\xfa\xffHello\x00")), gets: gets(text("Hello"))},
		{section: "7.2.3.4", asks: "a final block", server: steps(raw("\xc1\x08\xf3\x48\xcd\xc9\xc9\x07\x00\x00")), gets: gets(text("Hello"))},
		{section: "7.2.3.4", asks: "and what comes behind it", server: steps(raw("\xc1\x08\xf3\x48\xcd\xc9\xc9\x07\x00\x00\xc1\x07" + hello)), gets: gets(text("Hello"), text("Hello"))},
		{section: "7.2.3.5", asks: "two blocks", server: steps(raw("\xc1\x0d\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00")), gets: gets(text("Hello"))},
		{section: "7.2.3.6", asks: "an empty message", server: steps(raw("\xc1\x01\x00")), gets: gets(text(""))},
		{section: "7.2.3.6", asks: "an empty message that ends in an empty fragment", server: steps(raw("\x41\x01\x00\x80\x00")), gets: gets(text(""))},
		{section: "7.1.1.1", asks: "without takeover a message refers to itself alone", extensions: "; server_no_context_takeover", server: steps(raw("\xc1\x07" + hello + "\xc1\x05" + again)),
			gets: gets(text("Hello")), fails: 1007},
		{section: "7.1.1.2", asks: "what the client may not do the server may", extensions: "; client_no_context_takeover", server: steps(raw("\xc1\x07" + hello + "\xc1\x05" + again)),
			gets: gets(text("Hello"), text("Hello"))},
		{section: "7.1.2.1", asks: "the server's window is kept whole", extensions: "; server_max_window_bits=8",
			server: steps(reqwstest.Send(wiretest.Deflate(reqwstest.Binary(window)), reqwstest.Frame{Fin: true, RSV: reqwstest.RSV1, Op: reqwstest.OpBinary, Payload: farMatch(len(window))})),
			gets:   gets(binary(window), binary(window[:3]))},
		{section: "7.2.2", asks: "what cannot be inflated, by its kind of block", server: steps(raw("\xc1\x01\x06")), fails: 1007},
		{section: "7.2.2", asks: "what cannot be inflated, by its length", server: steps(raw("\xc2\x06\x00\x01\x00\x00\x00a")), fails: 1007},
		{section: "7.2.2", asks: "what is cut off", server: steps(raw("\xc2\x03\xf2\x48\xcd")), fails: 1007},
		{section: "7.2.2", asks: "a text is UTF-8 when it is inflated", server: steps(reqwstest.Send(wiretest.Deflate(reqwstest.Text("gr\xc3")))), fails: 1007},
	} {
		c.offers, c.extensions = true, "permessage-deflate"+c.extensions
		c.check(t)
	}
}

// RFC 7692, sections 6.1 and 7.2.1: what the client sends is compressed as was agreed.
func TestConformanceDeflateSending(t *testing.T) {
	messages := []reqws.Frame{reqws.Text(prose(1, 2000)), reqws.Binary(prose(1, 2000)), reqws.Text(prose(2, 100_000)), reqws.Binary(noise(1, 1000)), reqws.Text("small"), reqws.Text("")}
	frames := append(messages[:len(messages):len(messages)], reqws.Ping(prose(3, 125)), reqws.Pong(prose(3, 125)))
	each := func(n int, check func(i int, f reqwstest.Frame) error) []reqwstest.Step {
		return []reqwstest.Step{raw(n, func(frames []reqwstest.Frame) error {
			for i, f := range frames {
				if err := check(i, f); err != nil {
					return fmt.Errorf("frame %d, %v: %w", i, f, err)
				}
			}
			return nil
		})}
	}
	inflates := func(window int) []reqwstest.Step {
		z := &inflater{window: window}
		return each(len(messages), func(i int, f reqwstest.Frame) error {
			got, err := f.Payload, error(nil)
			if f.RSV == reqwstest.RSV1 {
				got, err = z.inflate(f.Payload)
			}
			if err == nil && !bytes.Equal(got, messages[i].Data) {
				err = fmt.Errorf("inflates to %.80q", got)
			}
			return err
		})
	}
	for _, c := range []clause{
		{section: "5", asks: "what was not accepted is not used", offers: true, client: sends(frames...),
			server: each(len(frames), func(i int, f reqwstest.Frame) error {
				return when(f.RSV != 0 || !bytes.Equal(f.Payload, frames[i].Data), "compressed")
			})},
		{section: "6.1", asks: "the bit is on messages that are compressed, on no others", extensions: "permessage-deflate", client: sends(frames...),
			server: each(len(frames), func(i int, f reqwstest.Frame) error {
				same := bytes.Equal(f.Payload, frames[i].Data)
				return when(f.RSV&^reqwstest.RSV1 != 0 || (f.RSV == 0) != same, "marked wrongly")
			})},
		{section: "6.1", asks: "large messages are compressed", extensions: "permessage-deflate", client: sends(messages[:3]...),
			server: each(3, func(i int, f reqwstest.Frame) error {
				return when(f.RSV != reqwstest.RSV1 || len(f.Payload) > len(messages[i].Data)/2, "not compressed")
			})},
		{section: "6.1", asks: "control frames are not compressed", extensions: "permessage-deflate", client: sends(frames[len(messages):]...),
			server: each(2, func(i int, f reqwstest.Frame) error { return when(f.RSV != 0, "marked") })},
		{section: "6.1", asks: "the opcode stays that of the message", extensions: "permessage-deflate", client: sends(messages...),
			server: each(len(messages), func(i int, f reqwstest.Frame) error {
				return when((f.Op == reqwstest.OpText) != (messages[i].Kind == reqws.KindText), "of another kind")
			})},
		{section: "7.2.1", asks: "the tail of the last block is left off", extensions: "permessage-deflate", client: sends(messages...),
			server: each(len(messages), func(i int, f reqwstest.Frame) error {
				return when(bytes.HasSuffix(f.Payload, []byte("\x00\x00\xff\xff")), "with its tail")
			})},
		{section: "7.2.1", asks: "what is sent inflates, with takeover", extensions: "permessage-deflate", client: sends(messages...), server: inflates(1 << 15)},
		{section: "7.1.1.2", asks: "without takeover each message inflates alone", extensions: "permessage-deflate; client_no_context_takeover", client: sends(messages...), server: inflates(0)},
	} {
		c.offers = true
		c.check(t)
	}
	for bits := 8; bits <= 15; bits++ {
		extensions := fmt.Sprintf("permessage-deflate; client_max_window_bits=%d", bits)
		once := noise(byte(bits), 1<<bits+1)
		clause{section: "7.1.2.2", asks: fmt.Sprintf("a window of %d bits is enough", bits), offers: true, extensions: extensions,
			client: sends(messages...), server: inflates(1 << bits)}.check(t)
		clause{section: "7.1.2.2", asks: fmt.Sprintf("nothing refers back further than %d bits, and so cannot profit from that", bits), offers: true, extensions: extensions,
			client: sends(reqws.Binary(once), reqws.Binary(once), reqws.Binary(append(once, once...))),
			server: each(3, func(i int, f reqwstest.Frame) error {
				return when(len(f.Payload) < (1+i/2)*len(once), "shorter than it can be")
			})}.check(t)
	}
}

// when is an error that says what is wrong, if it is.
func when(wrong bool, what string) error {
	if !wrong {
		return nil
	}
	return fmt.Errorf("it is %s", what)
}
