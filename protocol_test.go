package reqws_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/matryer/is"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/internal/wiretest"
	"github.com/reqws/reqws/reqwstest"
)

// violation is something that a server must not send.
type violation struct {
	name   string
	bytes  []byte
	code   int
	reason string // a part of it
	opts   []reqws.Option
}

func violations() []violation {
	enc := func(frames ...reqwstest.Frame) []byte { return reqwstest.Encode(frames...) }
	raw := func(b ...byte) []byte { return b }
	long := bytes.Repeat([]byte("x"), 126)
	part := reqwstest.Frame{Op: reqwstest.OpText, Payload: []byte("part")} // no FIN
	small := []reqws.Option{reqws.MaxMessageSize(10)}
	return []violation{
		{"RSV1 without an extension", enc(reqwstest.Frame{Fin: true, RSV: reqwstest.RSV1, Op: reqwstest.OpText, Payload: []byte("x")}), 1002, "reserved bits", nil},
		{"RSV2", enc(reqwstest.Frame{Fin: true, RSV: reqwstest.RSV2, Op: reqwstest.OpBinary}), 1002, "reserved bits", nil},
		{"RSV3 on a ping", enc(reqwstest.Frame{Fin: true, RSV: reqwstest.RSV3, Op: reqwstest.OpPing}), 1002, "reserved bits", nil},
		{"opcode 3", enc(reqwstest.Frame{Fin: true, Op: 3}), 1002, "opcode 0x3", nil},
		{"opcode 7", enc(reqwstest.Frame{Fin: true, Op: 7}), 1002, "opcode 0x7", nil},
		{"opcode 11", enc(reqwstest.Frame{Fin: true, Op: 11}), 1002, "opcode 0xb", nil},
		{"opcode 15", enc(reqwstest.Frame{Fin: true, Op: 15}), 1002, "opcode 0xf", nil},
		{"masked", enc(reqwstest.Frame{Fin: true, Op: reqwstest.OpText, Payload: []byte("x"), Masked: true, Key: [4]byte{1, 2, 3, 4}}), 1002, "masked", nil},
		{"ping of 126 bytes", enc(reqwstest.Ping(long)), 1002, "125", nil},
		{"close of 126 bytes", enc(reqwstest.Frame{Fin: true, Op: reqwstest.OpClose, Payload: long}), 1002, "125", nil},
		{"fragmented ping", enc(reqwstest.Frame{Op: reqwstest.OpPing, Payload: []byte("x")}), 1002, "fragmented", nil},
		{"fragmented close", enc(reqwstest.Frame{Op: reqwstest.OpClose}), 1002, "fragmented", nil},
		{"stray continuation", enc(reqwstest.Frame{Fin: true, Op: reqwstest.OpContinuation, Payload: []byte("x")}), 1002, "continuation", nil},
		{"new message inside a message", enc(part, reqwstest.Text("new")), 1002, "fragmented message", nil},
		{"length not in its shortest form, 16 bits", raw(0x82, 126, 0, 1, 'x'), 1002, "shortest", nil},
		{"length not in its shortest form, 64 bits", raw(0x82, 127, 0, 0, 0, 0, 0, 0, 0, 1, 'x'), 1002, "shortest", nil},
		{"length with the top bit", raw(0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0), 1002, "top bit", nil},
		{"text that is not UTF-8", enc(reqwstest.Text("a\xffb")), 1007, "UTF-8", nil},
		{"text that ends inside a code point", enc(reqwstest.Text("gr\xc3")), 1007, "code point", nil},
		{"text with a surrogate", enc(reqwstest.Text("\xed\xa0\x80")), 1007, "UTF-8", nil},
		{"text that is overlong", enc(reqwstest.Text("\xc0\xaf")), 1007, "UTF-8", nil},
		{"fragments that are not UTF-8 together", enc(wiretest.Fragments(2, reqwstest.Text("\xc3\xc3"))...), 1007, "UTF-8", nil},
		{"the first fragment is not UTF-8, the rest never comes", enc(reqwstest.Frame{Op: reqwstest.OpText, Payload: []byte("\xff")}), 1007, "UTF-8", nil},
		{"half a frame is not UTF-8, the rest never comes", enc(reqwstest.Text("a\xffbcdef"))[:5], 1007, "UTF-8", nil},
		{"close with one byte", enc(reqwstest.Frame{Fin: true, Op: reqwstest.OpClose, Payload: []byte{3}}), 1002, "one byte", nil},
		{"close code 999", enc(reqwstest.Close(999, "")), 1002, "code 999", nil},
		{"close code 1004", enc(reqwstest.Close(1004, "")), 1002, "code 1004", nil},
		{"close code 1005", enc(reqwstest.Close(1005, "")), 1002, "code 1005", nil},
		{"close code 1006", enc(reqwstest.Close(1006, "")), 1002, "code 1006", nil},
		{"close code 1015", enc(reqwstest.Close(1015, "")), 1002, "code 1015", nil},
		{"close code 2999", enc(reqwstest.Close(2999, "")), 1002, "code 2999", nil},
		{"close code 5000", enc(reqwstest.Close(5000, "")), 1002, "code 5000", nil},
		{"close reason that is not UTF-8", enc(reqwstest.Close(1000, "\xff")), 1007, "UTF-8", nil},
		{"message above the limit", enc(reqwstest.Text("eleven char")), 1009, "10 bytes", small},
		{"message above the default limit, by its header", raw(0x82, 127, 0, 0, 0, 0, 1, 0, 0, 1), 1009, "16777216 bytes", nil},
		{"enormous message, by its header", raw(0x82, 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), 1009, "bytes", nil},
		{"fragments above the limit", enc(wiretest.Fragments(3, reqwstest.Binary("0123456789a"))...), 1009, "10 bytes", small},
	}
}

// What a server must not send ends the stream with the right close code, and an
// error that says what was wrong, once; what came before it is delivered.
func TestProtocolErrors(t *testing.T) {
	for _, tc := range violations() {
		for _, together := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/together=%v", tc.name, together), func(t *testing.T) {
				tidy(t)
				is := is.New(t)
				before := reqwstest.Encode(reqwstest.Text("before"), reqwstest.Ping("p"))
				sends := []reqwstest.Step{wiretest.SendRaw(before), reqwstest.ExpectPong("p"), wiretest.SendRaw(tc.bytes)}
				if together {
					sends = []reqwstest.Step{wiretest.SendRaw(append(before, tc.bytes...)), reqwstest.ExpectPong("p")}
				}
				steps := append([]reqwstest.Step{reqwstest.Accept()}, sends...)
				steps = append(steps, reqwstest.ExpectCloseCode(tc.code), reqwstest.ExpectGone())
				srv := reqwstest.New(t, reqwstest.Script(steps...))

				w := &witness{}
				err := to(srv, tc.opts...).Run(t.Context(), w.into())
				is.Equal(w.frames(), []string{`text "before"`, `ping "p"`})
				var pe *reqws.ProtocolError
				is.True(errors.As(err, &pe))
				is.Equal(int(pe.Code), tc.code)
				if !strings.Contains(pe.Reason, tc.reason) || !strings.Contains(err.Error(), tc.reason) {
					t.Errorf("%q does not say %q", err, tc.reason)
				}
				is.True(strings.Contains(err.Error(), srv.URL)) // for which URL
				is.Equal(errors.Is(err, reqws.ErrMessageTooBig), tc.code == 1009)
				is.Equal(len(w.errs), 1)
				is.Equal(w.errs[0], err)
				is.True(websocket.CloseStatus(err) == -1) // it is not the peer's close
				is.NoErr(srv.Wait(t.Context()))
				frames := srv.Conns()[0].Frames()
				last := frames[len(frames)-1]
				is.True(strings.Contains(string(last.Payload), tc.reason)) // the peer learns it too
			})
		}
	}
}

// Without a handler, too, what came before a violation can be received.
func TestProtocolErrorWhilePulling(t *testing.T) {
	tidy(t)
	is := is.New(t)
	srv := reqwstest.New(t, reqwstest.Script(
		reqwstest.Accept(),
		wiretest.SendRaw(append(reqwstest.Encode(reqwstest.Text("before")), 0x83, 0)),
		reqwstest.ExpectCloseCode(1002),
	))
	resp, err := to(srv).Do(t.Context())
	is.NoErr(err)
	frames, err := resp.Receive(t.Context())
	is.NoErr(err)
	is.Equal(listed(frames), []string{`text "before"`})
	_, err = resp.Receive(t.Context())
	var pe *reqws.ProtocolError
	is.True(errors.As(err, &pe))
	is.Equal(resp.Wait(), err)
}

func TestMaxMessageSize(t *testing.T) {
	body := strings.Repeat("x", 1000)
	for _, tc := range []struct {
		limit int64
		ok    bool
	}{{1000, true}, {999, false}, {-1, true}, {0, false}} {
		t.Run(fmt.Sprint(tc.limit), func(t *testing.T) {
			tidy(t)
			is := is.New(t)
			end := []reqwstest.Step{reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, "")}
			if !tc.ok {
				end = []reqwstest.Step{reqwstest.ExpectCloseCode(1009)}
			}
			srv := reqwstest.New(t, reqwstest.Script(append([]reqwstest.Step{
				reqwstest.Accept(),
				reqwstest.SendText(body),
			}, end...)...))
			err := to(srv, reqws.MaxMessageSize(tc.limit)).Run(t.Context(), reqws.Into(reqws.Each(func(f reqws.Frame) reqws.Directive {
				is.True(f.Kind == reqws.KindClose || len(f.Data) == 1000)
				return reqws.Cont()
			})))
			is.Equal(err == nil, tc.ok)
			is.Equal(errors.Is(err, reqws.ErrMessageTooBig), !tc.ok)
		})
	}
}

// -1 lifts the limit above the default, too.
func TestMaxMessageSizeLifted(t *testing.T) {
	tidy(t)
	is := is.New(t)
	srv := reqwstest.New(t, reqwstest.Script(
		reqwstest.Accept(),
		reqwstest.SendBinary(make([]byte, 17<<20)),
		reqwstest.SendClose(1000, ""),
		reqwstest.ExpectClose(1000, ""),
	))
	size := 0
	is.NoErr(to(srv, reqws.MaxMessageSize(-1)).Run(t.Context(), reqws.Into(reqws.Each(func(f reqws.Frame) reqws.Directive {
		size += len(f.Data)
		return reqws.Cont()
	}))))
	is.Equal(size, 17<<20)
}
