package reqws_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cenkalti/backoff/v4"
	"github.com/matryer/is"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/internal/wiretest"
	"github.com/reqws/reqws/reqwstest"
)

// fragment is a part of a text: the first has the opcode.
func fragment(first bool, fin bool, payload string) reqwstest.Step {
	f := reqwstest.Frame{Fin: fin, Op: reqwstest.OpContinuation, Payload: []byte(payload)}
	if first {
		f.Op = reqwstest.OpText
	}
	return reqwstest.Send(f)
}

// inStep has what was sent so far arrive before what follows.
func inStep(n int) reqwstest.Step {
	return reqwstest.Named("inStep", func(c *reqwstest.Conn) error {
		return c.Play(reqwstest.SendPing(fmt.Sprint(n)), reqwstest.ExpectPong(fmt.Sprint(n)))
	})
}

// waysToRead collect the frames of a stream, in each way that there is.
var waysToRead = map[string]func(*testing.T, *reqws.Request) ([]string, error){
	"Run": func(t *testing.T, req *reqws.Request) ([]string, error) {
		w := &witness{}
		err := req.Run(t.Context(), w.into())
		return w.frames(), err
	},
	"Do": func(t *testing.T, req *reqws.Request) ([]string, error) {
		w := &witness{}
		resp, err := req.Do(t.Context(), w.into())
		if err != nil {
			return nil, err
		}
		err = resp.Wait()
		return w.frames(), err
	},
	"Each": func(t *testing.T, req *reqws.Request) (got []string, err error) {
		err = req.Run(t.Context(), reqws.Into(reqws.Each(func(f reqws.Frame) reqws.Directive {
			got = append(got, f.String())
			return reqws.Cont()
		})))
		return got, err
	},
	"EachWith": func(t *testing.T, req *reqws.Request) (got []string, err error) {
		err = req.Run(t.Context(), reqws.Into(reqws.EachWith(func(f reqws.Frame, _ *reqws.Response) reqws.Directive {
			got = append(got, f.String())
			return reqws.Cont()
		})))
		return got, err
	},
	"IntoMailbox": func(t *testing.T, req *reqws.Request) ([]string, error) {
		ch := make(chan reqws.Message, 1000) // they are kept until the end, and are copies
		resp, err := req.Do(t.Context(), reqws.IntoMailbox(ch))
		if err != nil {
			return nil, err
		}
		err = resp.Wait()
		var frames []reqws.Frame
		for m := range ch {
			if m.Err != nil {
				return listed(frames), err
			}
			frames = append(frames, m.Frames...)
		}
		return nil, err
	},
	"Receive": func(t *testing.T, req *reqws.Request) ([]string, error) {
		resp, err := req.Do(t.Context())
		if err != nil {
			return nil, err
		}
		var frames []reqws.Frame
		for {
			some, err := resp.Receive(t.Context())
			if err != nil {
				return listed(frames), resp.Wait()
			}
			frames = append(frames, some...)
		}
	},
	"Frames": func(t *testing.T, req *reqws.Request) ([]string, error) {
		resp, err := req.Do(t.Context())
		if err != nil {
			return nil, err
		}
		var frames []reqws.Frame
		for f, err := range resp.Frames(t.Context()) {
			if err == nil {
				frames = append(frames, f)
			}
		}
		return listed(frames), resp.Wait()
	},
}

// Pieces come as they arrive, in every way to read: in order, with pings between them, which are answered.
func TestPiecesInEveryWay(t *testing.T) {
	for name, server := range servers {
		for way, read := range waysToRead {
			for _, compressed := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/compressed=%v", name, way, compressed), func(t *testing.T) {
					tidy(t)
					is := is.New(t)
					accept, rsv := reqwstest.Accept(), byte(0)
					parts := []string{"a\xe2\x82", "", "\xacz", ""}
					if compressed {
						accept, rsv = accepting(deflate), reqwstest.RSV1
						parts = []string{"\x00\x03\x00\xfc\xffa\xe2\x82", "", "\x00\x02\x00\xfd\xff\xacz", "\x00"}
					}
					first := reqwstest.Frame{Op: reqwstest.OpText, RSV: rsv, Payload: []byte(parts[0])}
					srv := server(t, reqwstest.Script(
						accept,
						reqwstest.Send(first),
						inStep(1),
						fragment(false, false, parts[1]),
						inStep(2),
						fragment(false, false, parts[2]),
						inStep(3),
						fragment(false, true, parts[3]),
						reqwstest.SendText("whole"),
						reqwstest.SendClose(1000, ""),
						reqwstest.ExpectClose(1000, ""),
					))
					got, err := read(t, to(srv, reqws.Pieces(true), reqws.Compression(takeover)))
					is.NoErr(err)
					is.Equal(got, []string{
						`text piece "a\xe2\x82"`, `ping "1"`, `ping "2"`, `text piece "\xacz"`, `ping "3"`, `text`, `text "whole"`, `close 1000`,
					})
				})
			}
		}
	}
}

// Without Pieces, and with Pieces(false), messages are whole.
func TestNoPieces(t *testing.T) {
	for _, opts := range [][]reqws.Option{nil, {reqws.Pieces(true), reqws.Pieces(false)}} {
		is := is.New(t)
		srv := reqwstest.New(t, reqwstest.Script(
			reqwstest.Accept(), fragment(true, false, "a"), inStep(1), fragment(false, true, "b"),
			reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, ""),
		))
		w := &witness{}
		is.NoErr(to(srv, opts...).Run(t.Context(), w.into()))
		is.Equal(w.frames(), []string{`ping "1"`, `text "ab"`, `close 1000`})
	}
}

// What breaks the protocol does so in pieces, too; the pieces before have been seen.
func TestPiecesThatBreakTheProtocol(t *testing.T) {
	long := strings.Repeat("x", 60)
	for _, tc := range []struct {
		name string
		last reqwstest.Step
		code int
		says string
		is   error
	}{
		{"too large", fragment(false, true, long+long), 1009, "limit of 100 bytes", reqws.ErrMessageTooBig},
		{"not UTF-8", fragment(false, true, "(\xff"), 1007, "UTF-8", nil},
		{"ends inside a code point", fragment(false, true, "\xe2\x82"), 1007, "code point", nil},
		{"another message", reqwstest.SendText("x"), 1002, "inside a fragmented message", nil},
	} {
		for way, read := range waysToRead {
			t.Run(tc.name+"/"+way, func(t *testing.T) {
				tidy(t)
				is := is.New(t)
				srv := reqwstest.New(t, reqwstest.Script(
					reqwstest.Accept(),
					fragment(true, false, long[:20]), inStep(1), tc.last,
					reqwstest.ExpectCloseCode(tc.code), reqwstest.ExpectGone(),
				))
				got, err := read(t, to(srv, reqws.Pieces(true), reqws.MaxMessageSize(100)))
				is.Equal(got[:2], []string{fmt.Sprintf("text piece %q", long[:20]), `ping "1"`})
				var pe *reqws.ProtocolError
				is.True(errors.As(err, &pe))
				is.Equal(int(pe.Code), tc.code)
				is.True(strings.Contains(err.Error(), tc.says))
				is.True(tc.is == nil || errors.Is(err, tc.is))
			})
		}
	}
}

// EachJSON puts pieces together, each function for itself.
func TestEachJSONOfPieces(t *testing.T) {
	is := is.New(t)
	srv := reqwstest.New(t, reqwstest.Script(
		reqwstest.Accept(),
		fragment(true, false, `[1,`), inStep(1), fragment(false, false, ` 2,`), inStep(2), fragment(false, true, `3]`),
		reqwstest.SendText(`[4]`),
		fragment(true, false, `[5`), inStep(3), fragment(false, true, `]`),
		fragment(true, false, `[6`), inStep(4), fragment(false, true, ``),
		reqwstest.ExpectCloseCode(1007), reqwstest.SendClose(1007, ""),
	))
	var got [2][][]int
	collect := func(i int) reqws.Handler {
		return reqws.EachJSON(func(v []int, _ *reqws.Response) reqws.Directive {
			got[i] = append(got[i], v)
			return reqws.Cont()
		})
	}
	one, other := collect(0), collect(1)
	err := to(srv, reqws.Pieces(true)).Run(t.Context(), reqws.Into(func(in reqws.Event, resp *reqws.Response) reqws.Directive {
		if d := one(in, resp); d.Halts() {
			return d
		}
		return other(in, resp)
	}))
	is.True(err != nil)
	is.True(strings.Contains(err.Error(), "EachJSON"))
	want := [][]int{{1, 2, 3}, {4}, {5}}
	is.Equal(got[0], want)
	is.Equal(got[1], want)

	// Without a server there is nobody who could keep them.
	d := one(reqws.Event{Frames: []reqws.Frame{{Kind: reqws.KindText, More: true, Data: []byte("[1")}}}, nil)
	is.True(d.Err() != nil)
	is.True(strings.Contains(d.Err().Error(), "Pieces"))
}

// A piece is no message to be sent, or to be decoded; it shows what it is.
func TestAPieceIsNoMessage(t *testing.T) {
	tidy(t)
	is := is.New(t)
	piece := reqws.Frame{Kind: reqws.KindText, More: true, Data: []byte("1")}
	is.Equal(piece.String(), `text piece "1"`)
	is.Equal(reqws.Frame{Kind: reqws.KindBinary, More: true}.String(), "binary piece")
	is.Equal(piece.Text(), "1")
	is.Equal(piece.Clone(), piece)
	err := piece.JSON(new(int))
	is.True(err != nil && strings.Contains(err.Error(), "Pieces"))

	srv := reqwstest.New(t, reqwstest.Script(
		reqwstest.Accept(),
		reqwstest.ExpectText("good"),
		fragment(true, false, "echo me"),
		reqwstest.ExpectCloseCode(1011), reqwstest.ExpectGone(),
	))
	resp, err := to(srv, reqws.Pieces(true)).Do(t.Context(), reqws.Into(reqws.Each(echo)))
	is.NoErr(err)
	for _, frames := range [][]reqws.Frame{{piece}, {reqws.Text("not sent"), piece}, {{Kind: reqws.KindPing, More: true}}} {
		err := resp.Send(t.Context(), frames...)
		is.True(errors.As(err, new(*reqws.ProtocolError)))
		is.True(strings.Contains(err.Error(), "SendReader"))
	}
	is.NoErr(resp.Send(t.Context(), reqws.Text("good")))
	err = resp.Wait()
	is.True(err != nil && strings.Contains(err.Error(), "SendReader"))
}

// A connection that is lost inside a message leaves it without an end; the next begins anew.
func TestPiecesOverAReconnect(t *testing.T) {
	tidy(t)
	is := is.New(t)
	srv := reqwstest.New(t,
		reqwstest.Script(reqwstest.Accept(), fragment(true, false, `"lost`), inStep(1), reqwstest.Drop()),
		reqwstest.Script(reqwstest.Accept(), fragment(true, false, `"ke`), inStep(2), fragment(false, true, `pt"`), reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, "")),
	)
	w := &witness{}
	var got []string
	each := reqws.EachJSON(func(s string, _ *reqws.Response) reqws.Directive {
		got = append(got, s)
		return reqws.Cont()
	})
	w.answer = each
	err := to(srv, reqws.Pieces(true), reqws.Reconnect(1), reqws.ReconnectBackOff(func() backoff.BackOff { return &backoff.ZeroBackOff{} })).Run(t.Context(), w.into())
	is.NoErr(err)
	is.Equal(w.frames(), []string{`text piece "\"lost"`, `ping "1"`, `text piece "\"ke"`, `ping "2"`, `text "pt\""`, `close 1000`})
	is.Equal(len(w.errs), 1)
	is.Equal(got, []string{"kept"})
}

// A plain answer's body is no message.
func TestPiecesOfAPlainAnswer(t *testing.T) {
	is := is.New(t)
	srv := reqwstest.New(t, reqwstest.Script(wiretest.RawResponse("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc")))
	w := &witness{}
	err := to(srv, reqws.Pieces(true), reqws.URL("http"+strings.TrimPrefix(srv.URL, "ws"))).Run(t.Context(), w.into())
	is.NoErr(err)
	is.Equal(w.frames(), []string{`chunk "abc"`})
}

// Pieces allocate nothing in steady state, however they are sent.
func TestNothingIsAllocatedPerPiece(t *testing.T) {
	message := reqwstest.Binary(bytes.Repeat([]byte("0123456789abcdef"), 64<<10))
	for name, in := range map[string][]reqwstest.Frame{
		"one frame": {message},
		"fragments": wiretest.Fragments(10_000, message),
	} {
		t.Run(name, func(t *testing.T) {
			done := make(chan int, 1)
			size := 0
			peer, _ := rawPeer(t, reqws.Pieces(true), reqws.Into(reqws.Each(func(f reqws.Frame) reqws.Directive {
				if size += len(f.Data); !f.More {
					done <- size
					size = 0
				}
				return reqws.Cont()
			})))
			raw := reqwstest.Encode(in...)
			allocates(t, func() {
				if _, err := peer.Write(raw); err != nil {
					t.Error(err)
				}
				if n := <-done; n != len(message.Payload) {
					t.Errorf("%d bytes", n)
				}
			})
		})
	}
}

// The same with compression, whatever of the message before may be referred to.
func TestNothingIsAllocatedPerCompressedPiece(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	is := is.New(t)
	size := 1 << 20
	c := newCanned(deflate)
	packed := wiretest.Deflate(reqwstest.Text(prose(1, size)))
	got, done := 0, make(chan int)
	resp, err := reqws.New(reqws.URL("ws://host"), reqws.Compression(takeover), reqws.DialContext(dialling(c)), reqws.Pieces(true),
		reqws.Into(reqws.Each(func(f reqws.Frame) reqws.Directive {
			if got += len(f.Data); f.Kind == reqws.KindText && !f.More {
				done <- got
				got = 0
			}
			return reqws.Cont()
		}))).Do(t.Context())
	is.NoErr(err)
	raw := slices.Clone(reqwstest.Encode(packed))
	allocates(t, func() {
		c.in <- raw
		if n := <-done; n != size {
			t.Errorf("%d bytes", n)
		}
	})
	is.NoErr(resp.CloseNow())
	close(c.in)
	<-resp.Done()
}
