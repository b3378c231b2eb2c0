package reqws_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/matryer/is"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/internal/wiretest"
	"github.com/reqws/reqws/reqwstest"
)

// violation is something that a server must not send.
type violation struct {
	section string // of RFC 6455
	name    string
	bytes   []byte
	code    int
	reason  string // a part of it
	opts    []reqws.Option
}

// violations are what a client must fail the connection for; TestProtocolErrors sends them.
func violations() []violation {
	enc := func(frames ...reqwstest.Frame) []byte { return reqwstest.Encode(frames...) }
	frame := func(op reqwstest.Op, change ...func(*reqwstest.Frame)) []byte {
		f := reqwstest.Frame{Fin: true, Op: op}
		for _, c := range change {
			c(&f)
		}
		return enc(f)
	}
	rsv := func(bits byte) func(*reqwstest.Frame) { return func(f *reqwstest.Frame) { f.RSV = bits } }
	holds := func(p string) func(*reqwstest.Frame) { return func(f *reqwstest.Frame) { f.Payload = []byte(p) } }
	masked := func(f *reqwstest.Frame) { f.Masked, f.Key = true, [4]byte{1, 2, 3, 4} }
	cut := func(f *reqwstest.Frame) { f.Fin = false }
	raw := func(b ...byte) []byte { return b }
	long := bytes.Repeat([]byte("x"), 126)
	part := frame(reqwstest.OpText, holds("part"), cut)
	small := []reqws.Option{reqws.MaxMessageSize(10)}
	all := []violation{
		{"5.1", "masked text", frame(reqwstest.OpText, holds("x"), masked), 1002, "masked", nil},
		{"5.1", "masked text without a payload", frame(reqwstest.OpText, masked), 1002, "masked", nil},
		{"5.1", "masked ping", frame(reqwstest.OpPing, masked), 1002, "masked", nil},
		{"5.1", "masked close", frame(reqwstest.OpClose, masked), 1002, "masked", nil},
		{"5.2", "RSV1 without an extension", frame(reqwstest.OpText, holds("x"), rsv(reqwstest.RSV1)), 1002, "reserved bits", nil},
		{"5.2", "RSV2", frame(reqwstest.OpBinary, rsv(reqwstest.RSV2)), 1002, "reserved bits", nil},
		{"5.2", "RSV3 on a ping", frame(reqwstest.OpPing, rsv(reqwstest.RSV3)), 1002, "reserved bits", nil},
		{"5.2", "RSV1 on a close frame", frame(reqwstest.OpClose, rsv(reqwstest.RSV1)), 1002, "reserved bits", nil},
		{"5.2", "RSV2 on a continuation", append(part, frame(reqwstest.OpContinuation, rsv(reqwstest.RSV2))...), 1002, "reserved bits", nil},
		{"5.2", "length not in its shortest form, 16 bits", raw(0x82, 126, 0, 125), 1002, "shortest", nil},
		{"5.2", "length not in its shortest form, 64 bits", raw(0x82, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff), 1002, "shortest", nil},
		{"5.2", "length of a ping not in its shortest form", raw(0x89, 126, 0, 1, 'x'), 1002, "", nil},
		{"5.2", "length with the top bit", raw(0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0), 1002, "top bit", nil},
		{"5.4", "fragmented ping", frame(reqwstest.OpPing, holds("x"), cut), 1002, "fragmented", nil},
		{"5.4", "fragmented pong", frame(reqwstest.OpPong, cut), 1002, "fragmented", nil},
		{"5.4", "fragmented close", frame(reqwstest.OpClose, cut), 1002, "fragmented", nil},
		{"5.4", "continuation of nothing", frame(reqwstest.OpContinuation, holds("x")), 1002, "continuation", nil},
		{"5.4", "continuation of nothing, without FIN", frame(reqwstest.OpContinuation, holds("x"), cut), 1002, "continuation", nil},
		{"5.4", "a text inside a message", append(part, enc(reqwstest.Text("new"))...), 1002, "fragmented message", nil},
		{"5.4", "a fragment of another message inside a message", append(part, frame(reqwstest.OpBinary, holds("new"), cut)...), 1002, "fragmented message", nil},
		{"5.5", "ping of 126 bytes", enc(reqwstest.Ping(long)), 1002, "125", nil},
		{"5.5", "pong of 126 bytes", enc(reqwstest.Pong(long)), 1002, "125", nil},
		{"5.5", "close of 126 bytes", frame(reqwstest.OpClose, holds(string(long))), 1002, "125", nil},
		{"5.5", "ping of 65536 bytes, by its header", raw(0x89, 127, 0, 0, 0, 0, 0, 1, 0, 0), 1002, "125", nil},
		{"5.5.1", "close with one byte", frame(reqwstest.OpClose, holds("\x03")), 1002, "one byte", nil},
		{"5.5.1", "close reason that is not UTF-8", enc(reqwstest.Close(1000, "\xff")), 1007, "UTF-8", nil},
		{"5.5.1", "close reason that ends inside a code point", enc(reqwstest.Close(1000, "gr\xc3")), 1007, "UTF-8", nil},
		{"8.1", "text that is not UTF-8", enc(reqwstest.Text("a\xffb")), 1007, "UTF-8", nil},
		{"8.1", "text that ends inside a code point", enc(reqwstest.Text("gr\xc3")), 1007, "code point", nil},
		{"8.1", "text with a surrogate", enc(reqwstest.Text("\xed\xa0\x80")), 1007, "UTF-8", nil},
		{"8.1", "text that is overlong", enc(reqwstest.Text("\xc0\xaf")), 1007, "UTF-8", nil},
		{"8.1", "text that is overlong in four bytes", enc(reqwstest.Text("\xf0\x8f\xbf\xbf")), 1007, "UTF-8", nil},
		{"8.1", "text beyond U+10FFFF", enc(reqwstest.Text("\xf4\x90\x80\x80")), 1007, "UTF-8", nil},
		{"8.1", "text with five bytes for one", enc(reqwstest.Text("\xf8\x88\x80\x80\x80")), 1007, "UTF-8", nil},
		{"8.1", "text that begins inside a code point", enc(reqwstest.Text("\xa4x")), 1007, "UTF-8", nil},
		{"8.1", "fragments that are not UTF-8 together", enc(wiretest.Fragments(2, reqwstest.Text("\xc3\xc3"))...), 1007, "UTF-8", nil},
		{"8.1", "fragments that end inside a code point", append(part, frame(reqwstest.OpContinuation, holds("\xe2\x82"))...), 1007, "code point", nil},
		{"8.1", "the first fragment is not UTF-8, the rest never comes", frame(reqwstest.OpText, holds("\xff"), cut), 1007, "UTF-8", nil},
		{"8.1", "half a frame is not UTF-8, the rest never comes", enc(reqwstest.Text("a\xffbcdef"))[:5], 1007, "UTF-8", nil},
		{"10.4", "message above the limit", enc(reqwstest.Text("eleven char")), 1009, "10 bytes", small},
		{"10.4", "message above the default limit, by its header", raw(0x82, 127, 0, 0, 0, 0, 1, 0, 0, 1), 1009, "16777216 bytes", nil},
		{"10.4", "enormous message, by its header", raw(0x82, 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), 1009, "bytes", nil},
		{"10.4", "fragments above the limit", enc(wiretest.Fragments(3, reqwstest.Binary("0123456789a"))...), 1009, "10 bytes", small},
	}
	for _, op := range []reqwstest.Op{3, 4, 5, 6, 7, 11, 12, 13, 14, 15} {
		all = append(all, violation{"5.2", fmt.Sprintf("opcode %d", op), frame(op), 1002, fmt.Sprintf("opcode %#x", byte(op)), nil})
	}
	for _, code := range []int{1004, 1005, 1006, 1015} {
		all = append(all, violation{"7.4.1", fmt.Sprintf("close code %d", code), enc(reqwstest.Close(code, "")), 1002, fmt.Sprintf("code %d", code), nil})
	}
	for _, code := range []int{1, 999, 1016, 1100, 2000, 2999, 5000, 65535} {
		all = append(all, violation{"7.4.2", fmt.Sprintf("close code %d", code), enc(reqwstest.Close(code, "")), 1002, fmt.Sprintf("code %d", code), nil})
	}
	return all
}

// badFrame is something that a client must not send.
type badFrame struct {
	section string // of RFC 6455
	name    string
	frames  []reqws.Frame
	says    string
}

// badFrames are what the client is asked to send and refuses to: TestSendRefusesBadFrames asks Send,
// others ask the handler's replies.
func badFrames() []badFrame {
	long := strings.Repeat("x", 126)
	one := func(f reqws.Frame) []reqws.Frame { return []reqws.Frame{f} }
	all := []badFrame{
		{"5.2", "no kind", one(reqws.Frame{Data: []byte("x")}), "invalid"},
		{"5.2", "a chunk", one(reqws.Frame{Kind: reqws.KindChunk, Data: []byte("x")}), "chunk"},
		{"5.2", "an unknown kind", one(reqws.Frame{Kind: 77}), "kind(77)"},
		{"5.5", "ping of 126 bytes", one(reqws.Ping(long)), "126 bytes"},
		{"5.5", "pong of 126 bytes", one(reqws.Pong(long)), "126 bytes"},
		{"5.5", "close reason of 124 bytes", one(reqws.Close(1000, long[:124])), "124 bytes"},
		{"5.5.1", "close code 0 with a reason", one(reqws.Close(0, "why")), "close code 0"},
		{"5.5.1", "close reason that is not UTF-8", one(reqws.Close(1000, "\xff")), "UTF-8"},
		{"5.5.1", "text after a close frame", []reqws.Frame{reqws.Close(1000, ""), reqws.Text("x")}, "follow a close frame"},
		{"5.5.1", "a close frame after a close frame", []reqws.Frame{reqws.Close(1000, ""), reqws.Close(1000, "")}, "follow a close frame"},
		{"5.6", "text that is not UTF-8", one(reqws.Text("a\xff")), "UTF-8"},
		{"5.6", "text with a surrogate", one(reqws.Text("\xed\xa0\x80")), "UTF-8"},
		{"5.6", "text that ends inside a code point", one(reqws.Text("gr\xc3")), "UTF-8"},
	}
	for _, code := range []int{1004, 1005, 1006, 1015} {
		all = append(all, badFrame{"7.4.1", fmt.Sprintf("close code %d", code), one(reqws.Close(websocket.StatusCode(code), "")), fmt.Sprintf("close code %d", code)})
	}
	for _, code := range []int{-1, 999, 1016, 2000, 2999, 5000, 1000 + 1<<16} {
		all = append(all, badFrame{"7.4.2", fmt.Sprintf("close code %d", code), one(reqws.Close(websocket.StatusCode(code), "")), fmt.Sprintf("close code %d", code)})
	}
	return all
}

// RFC 6455, sections 5, 6.2 and 8.1: what a server may send is understood.
func TestConformanceReceiving(t *testing.T) {
	raw := wiretest.SendRaw[string]
	text, binary, ping, pong := reqws.Text[string], reqws.Binary[string], reqws.Ping[string], reqws.Pong[string]
	gets := func(f ...reqws.Frame) []reqws.Frame { return f }
	steps := func(s ...reqwstest.Step) []reqwstest.Step { return s }
	sized := func(n int) string { return strings.Repeat("0123456789abcdef", n/16+1)[:n] }
	everything := "\x00 κόσμε \u07ff\u0800\uffff\ufffe\ufeff\U00010000\U0010ffff" // the borders of each length, and noncharacters
	bytes256 := func() (s string) {
		for i := range 256 {
			s += string([]byte{byte(i)})
		}
		return s
	}()
	for _, c := range []clause{
		{section: "5.2", asks: "lengths of 7, 16 and 64 bits in network byte order",
			server: steps(
				raw("\x82\x00"), raw("\x82\x7d"+sized(125)), raw("\x82\x7e\x00\x7e"+sized(126)), raw("\x82\x7e\x01\x02"+sized(258)),
				raw("\x82\x7e\xff\xff"+sized(65535)), raw("\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00"+sized(65536)),
			),
			gets: gets(binary(""), binary(sized(125)), binary(sized(126)), binary(sized(258)), binary(sized(65535)), binary(sized(65536)))},
		{section: "5.4", asks: "a message in one frame", server: steps(raw("\x81\x02hi")), gets: gets(text("hi"))},
		{section: "5.4", asks: "fragments are put together in their order, with the type of the first",
			server: steps(raw("\x02\x01a\x00\x02bc\x00\x00\x80\x01d")), gets: gets(binary("abcd"))},
		{section: "5.4", asks: "fragments may be empty, the first and the last too",
			server: steps(raw("\x01\x00\x00\x00\x80\x00\x01\x00\x00\x01x\x80\x00")), gets: gets(text(""), text("x"))},
		{section: "5.4", asks: "the borders of frames mean nothing: a message may be cut anywhere",
			server: steps(reqwstest.Send(wiretest.Fragments(1, reqwstest.Text(everything))...)), gets: gets(text(everything))},
		{section: "5.4", asks: "control frames inside a fragmented message are handled, before it is whole",
			server: steps(raw("\x01\x01a"), raw("\x89\x01p"), reqwstest.ExpectPong("p"), raw("\x00\x01b\x8a\x01q"), raw("\x80\x01c")),
			gets:   gets(ping("p"), pong("q"), text("abc"))},
		{section: "5.5", asks: "a control frame has up to 125 bytes",
			server: steps(reqwstest.SendPing(sized(125)), reqwstest.ExpectPong(sized(125)), reqwstest.SendPong(sized(125))),
			gets:   gets(ping(sized(125)), pong(sized(125)))},
		{section: "5.5.2", asks: "a ping is answered", server: steps(reqwstest.SendPing(""), reqwstest.ExpectPong("")), gets: gets(ping(""))},
		{section: "5.5.3", asks: "the pong has the ping's bytes, whatever they are",
			server: steps(reqwstest.SendPing("\x00\xff\xc3("), reqwstest.ExpectPong("\x00\xff\xc3(")), gets: gets(ping("\x00\xff\xc3("))},
		{section: "5.5.3", asks: "of many pings the last at least is answered, and none twice",
			server: steps(reqwstest.Send(reqwstest.Ping("1"), reqwstest.Ping("2"), reqwstest.Ping("3")), pongsUpTo("3")),
			gets:   gets(ping("1"), ping("2"), ping("3"))},
		{section: "5.5.3", asks: "an unasked pong needs no answer",
			server: steps(reqwstest.SendPong("x"), reqwstest.ExpectNothing(time.Second)), gets: gets(pong("x"))},
		{section: "5.6", asks: "a frame of text may end inside a code point, if the message does not",
			server: steps(raw("\x01\x02a\xe2\x00\x01\x82\x80\x02\xac!")), gets: gets(text("a€!"))},
		{section: "5.6", asks: "binary is any bytes", server: steps(reqwstest.SendBinary(bytes256)), gets: gets(binary(bytes256))},
		{section: "5.7", asks: "an unmasked text", server: steps(raw("\x81\x05\x48\x65\x6c\x6c\x6f")), gets: gets(text("Hello"))},
		{section: "5.7", asks: "a fragmented text", server: steps(raw("\x01\x03\x48\x65\x6c\x80\x02\x6c\x6f")), gets: gets(text("Hello"))},
		{section: "5.7", asks: "a ping and its answer", server: steps(raw("\x89\x05\x48\x65\x6c\x6c\x6f"), reqwstest.ExpectPong("Hello")), gets: gets(ping("Hello"))},
		{section: "5.7", asks: "256 bytes", server: steps(raw("\x82\x7e\x01\x00" + bytes256)), gets: gets(binary(bytes256))},
		{section: "6.2", asks: "each data frame after the last fragment begins a new message",
			server: steps(raw("\x01\x01a\x80\x01b\x82\x01c\x02\x01d\x80\x01e\x81\x01f")), gets: gets(text("ab"), binary("c"), binary("de"), text("f"))},
		{section: "8.1", asks: "all of UTF-8 is text", server: steps(reqwstest.SendText(everything)), gets: gets(text(everything))},
	} {
		c.check(t)
	}
}

// pongsUpTo expects pongs with the numbers from 1 on, of which some may be left out, but not the last.
func pongsUpTo(last string) reqwstest.Step {
	return reqwstest.Do(func(c *reqwstest.Conn) error {
		before := ""
		for before != last {
			op, p, err := c.ReadMessage()
			if err != nil || op != reqwstest.OpPong || string(p) <= before || string(p) > last {
				return fmt.Errorf("%v %q behind the pong %q: %w", op, p, before, err)
			}
			before = string(p)
		}
		return nil
	})
}

// RFC 6455, sections 5 and 6.1: what the client sends is well-formed.
func TestConformanceSending(t *testing.T) {
	sizes := []int{0, 1, 125, 126, 65535, 65536, 100_000}
	var sized []reqws.Frame
	for _, n := range sizes {
		sized = append(sized, reqws.Binary(bytes.Repeat([]byte{0xa5}, n)))
	}
	kinds := []reqws.Frame{reqws.Text("text"), reqws.Text(""), reqws.Binary("binary"), reqws.Ping("ping"), reqws.Pong("pong"), reqws.Ping("")}
	each := func(n int, ok func(i int, f reqwstest.Frame) bool) []reqwstest.Step {
		return []reqwstest.Step{raw(n, func(frames []reqwstest.Frame) error {
			for i, f := range frames {
				if !ok(i, f) {
					return fmt.Errorf("frame %d is %+v", i, f)
				}
			}
			return nil
		})}
	}
	ops := []reqwstest.Op{reqwstest.OpText, reqwstest.OpText, reqwstest.OpBinary, reqwstest.OpPing, reqwstest.OpPong, reqwstest.OpPing}
	for _, c := range []clause{
		{section: "5.1", asks: "every frame is masked", client: sends(kinds...),
			server: each(len(kinds), func(_ int, f reqwstest.Frame) bool { return f.Masked })},
		{section: "5.2", asks: "reserved bits are 0 without an extension", client: sends(kinds...),
			server: each(len(kinds), func(_ int, f reqwstest.Frame) bool { return f.RSV == 0 })},
		{section: "5.2", asks: "lengths are in their shortest form", client: sends(sized...),
			server: each(len(sized), func(i int, f reqwstest.Frame) bool { return len(f.Payload) == sizes[i] && f.LengthBits == 0 })},
		{section: "5.3", asks: "the payload is masked with the key in the frame, which its length does not count", client: sends(kinds...),
			server: each(len(kinds), func(i int, f reqwstest.Frame) bool { return string(f.Payload) == string(kinds[i].Data) })},
		{section: "5.3", asks: "large payloads too", client: sends(sized...),
			server: each(len(sized), func(i int, f reqwstest.Frame) bool { return bytes.Equal(f.Payload, sized[i].Data) })},
		{section: "5.3", asks: "each frame has a fresh key that the ones before do not tell", client: sends(slices.Repeat([]reqws.Frame{reqws.Text("same")}, 64)...),
			server: []reqwstest.Step{raw(64, unpredictable)}},
		{section: "5.4", asks: "a message that is not cut is one frame with FIN", client: sends(kinds...),
			server: each(len(kinds), func(_ int, f reqwstest.Frame) bool { return f.Fin })},
		{section: "6.1", asks: "the opcode says what the data is", client: sends(kinds...),
			server: each(len(kinds), func(i int, f reqwstest.Frame) bool { return f.Op == ops[i] })},
		{section: "6.1", asks: "frames are sent in order, a message of many writes included", client: sends(append(sized, kinds...)...),
			server: each(len(sized)+len(kinds), func(i int, f reqwstest.Frame) bool {
				return i < len(sized) || string(f.Payload) == string(kinds[i-len(sized)].Data)
			})},
		{section: "5.5.2", asks: "a ping may be sent at any time, and its pong is told", client: sends(reqws.Ping("now")),
			server: []reqwstest.Step{reqwstest.ExpectPing("now"), reqwstest.SendPong("now")}, gets: []reqws.Frame{reqws.Pong("now")}},
		{section: "5.5.3", asks: "a pong may be sent unasked", client: sends(reqws.Pong("alive")),
			server: []reqwstest.Step{reqwstest.ExpectPong("alive")}},
	} {
		c.check(t)
	}
}

// unpredictable wants keys that are all different, in each of their bits too.
func unpredictable(frames []reqwstest.Frame) error {
	seen := map[[4]byte]bool{}
	var ones [32]int
	for _, f := range frames {
		if seen[f.Key] {
			return fmt.Errorf("the key % x comes twice", f.Key)
		}
		seen[f.Key] = true
		for i := range ones {
			ones[i] += int(f.Key[i/8] >> (i % 8) & 1)
		}
	}
	for i, n := range ones {
		if n == 0 || n == len(frames) {
			return fmt.Errorf("bit %d of all keys is the same", i)
		}
	}
	return nil
}

// RFC 6455, section 5.1: frames are masked under TLS, too, and two connections have nothing of their keys in common.
func TestConformanceMaskingUnderTLS(t *testing.T) {
	tidy(t)
	is := is.New(t)
	var all []reqwstest.Frame
	script := reqwstest.Script(reqwstest.Accept(), raw(32, func(frames []reqwstest.Frame) error {
		all = append(all, frames...)
		return nil
	}), reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, ""))
	srv := reqwstest.NewTLS(t, script.Times(2))
	for range 2 {
		resp, err := to(srv).Do(t.Context())
		is.NoErr(err)
		is.NoErr(resp.Send(t.Context(), slices.Repeat([]reqws.Frame{reqws.Text("same")}, 32)...))
		is.NoErr(resp.Wait())
	}
	for _, f := range all {
		is.True(f.Masked)
		is.Equal(string(f.Payload), "same")
	}
	is.NoErr(unpredictable(all))
}

// RFC 6455, section 6.1: data is sent over an open connection only, from the answer to the close frame on.
func TestConformanceSendingWhileOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		srv := reqwstest.NewMemory(t, reqwstest.Script(
			reqwstest.Do(func(c *reqwstest.Conn) error {
				r, err := c.ReadRequest()
				if err != nil {
					return err
				}
				if err := c.Play(reqwstest.ExpectNothing(10 * time.Second)); err != nil { // section 4.1: it waits for the answer
					return err
				}
				_, err = fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
					reqwstest.AcceptKey(r.Header.Get("Sec-WebSocket-Key")))
				return err
			}),
			reqwstest.ExpectText("first"),
			reqwstest.ExpectClose(4000, ""),
			reqwstest.ExpectNothing(time.Second), // section 5.5.1
			reqwstest.SendClose(4000, ""),
			reqwstest.ExpectEOF(),
		))
		resp, err := to(srv).Do(t.Context(), reqws.OnOpen(func(*reqws.Response) reqws.Directive { return reqws.Cont(reqws.Text("first")) }))
		is.NoErr(err)
		is.NoErr(resp.Send(t.Context(), reqws.Close(4000, "")))
		for _, f := range []reqws.Frame{reqws.Text("late"), reqws.Ping("late"), reqws.Pong("late"), reqws.Close(4001, "")} {
			is.True(errors.Is(resp.Send(context.Background(), f), reqws.ErrClosed))
		}
		is.NoErr(resp.Wait())
		is.True(errors.Is(resp.Send(context.Background(), reqws.Text("late")), reqws.ErrClosed))
	})
}
