package reqws

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/matryer/is"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/reqws/reqws/internal/conn"
	"github.com/reqws/reqws/internal/pipe"
)

// closer2 is an HTTP/2 server of one stream, which notes what the client does to
// end it, and ends its own half a second after the client's, or never.
type closer2 struct {
	settings []http2.Setting                                      // besides extended CONNECT, or in place of it
	answer   []string                                             // names and values of the answer's fields; :status 200 without
	greeting string                                               // sent behind the answer
	reply    string                                               // sent after the client's close frame
	stays    bool                                                 // never ends its half
	prompt   bool                                                 // ends it at once
	leaves   func(fr *http2.Framer, conn net.Conn, stream uint32) // behind the greeting

	mu    sync.Mutex
	seen  []string
	asked []hpack.HeaderField // the last request's
	data  []byte              // what came over the stream
}

func (c *closer2) note(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = append(c.seen, fmt.Sprintf(format, args...))
}

func (c *closer2) events() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seen
}

func (c *closer2) serve(conn net.Conn) {
	io.ReadFull(conn, make([]byte, len(http2.ClientPreface)))
	fr := http2.NewFramer(conn, conn)
	fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	fr.WriteSettings(append([]http2.Setting{{ID: http2.SettingEnableConnectProtocol, Val: 1}}, c.settings...)...)
	for {
		f, err := fr.ReadFrame()
		if err != nil {
			return
		}
		switch f := f.(type) {
		case *http2.MetaHeadersFrame:
			c.answers(fr, f)
			if c.greeting != "" {
				fr.WriteData(f.StreamID, false, []byte(c.greeting))
			}
			if c.leaves != nil {
				c.leaves(fr, conn, f.StreamID)
			}
		case *http2.DataFrame:
			c.mu.Lock()
			c.data = append(c.data, f.Data()...)
			c.mu.Unlock()
			if p := f.Data(); len(p) >= 8 && p[0] == 0x88 {
				key := p[2:6]
				code := []byte{p[6] ^ key[0], p[7] ^ key[1]}
				c.note("close frame %d", binary.BigEndian.Uint16(code))
				fr.WriteData(f.StreamID, false, []byte(c.reply))
			}
			if f.StreamEnded() {
				c.note("END_STREAM")
				if !c.stays {
					if !c.prompt {
						time.Sleep(time.Second)
					}
					fr.WriteData(f.StreamID, true, nil)
				}
			}
		case *http2.RSTStreamFrame:
			c.note("RST_STREAM %v", f.ErrCode)
		case *http2.GoAwayFrame:
			if f.ErrCode != http2.ErrCodeNo {
				c.note("GOAWAY %v", f.ErrCode)
			}
		}
	}
}

func (c *closer2) answers(fr *http2.Framer, f *http2.MetaHeadersFrame) {
	c.mu.Lock()
	c.asked = f.Fields
	c.mu.Unlock()
	fields := c.answer
	if fields == nil {
		fields = []string{":status", "200"}
	}
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for i := 0; i < len(fields); i += 2 {
		enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	fr.WriteHeaders(http2.HeadersFrameParam{StreamID: f.StreamID, BlockFragment: block.Bytes(), EndHeaders: true})
}

// What follows our close frame over HTTP/2 is END_STREAM, and RST_STREAM only if
// the peer does not end its half in time: a proxy may let a reset overtake the close
// frame.
func TestCloseOverHTTP2(t *testing.T) {
	const (
		closed1000 = "\x88\x02\x03\xe8"
		closed4001 = "\x88\x02\x0f\xa1"
		masked     = "\x81\x81abcd\x00"
	)
	closes := func(resp *Response) error { return resp.Close(4000, "bye") }
	waits := func(resp *Response) error { return resp.Wait() }
	for _, c := range []struct {
		name   string
		server *closer2
		opts   []Option
		ctx    time.Duration
		ends   func(*Response) error
		want   []string
		took   time.Duration
		check  func(error) bool
	}{
		{
			name: "the server first", server: &closer2{greeting: closed1000}, ends: waits,
			want: []string{"close frame 1000", "END_STREAM"}, took: time.Second,
			check: func(err error) bool { return err == nil },
		},
		{
			name: "the server first, with a code", server: &closer2{greeting: closed4001}, ends: waits,
			want: []string{"close frame 4001", "END_STREAM"}, took: time.Second,
			check: func(err error) bool { return websocket.CloseStatus(err) == 4001 },
		},
		{
			name: "the client first", server: &closer2{reply: closed4001}, ends: closes,
			want: []string{"close frame 4000", "END_STREAM"}, took: time.Second,
			check: func(err error) bool { return err == nil },
		},
		{
			name: "a handler that halts", server: &closer2{greeting: "\x81\x01a", reply: closed1000}, ends: waits,
			opts: []Option{Into(Each(func(Frame) Directive { return Halt() }))},
			want: []string{"close frame 1000", "END_STREAM"}, took: time.Second,
			check: func(err error) bool { return err == nil },
		},
		{
			name: "a violation", server: &closer2{greeting: masked}, ends: waits,
			want: []string{"close frame 1002", "END_STREAM"}, took: time.Second,
			check: func(err error) bool { return errors.As(err, new(*ProtocolError)) },
		},
		{
			name: "a server that stays", server: &closer2{greeting: closed1000, stays: true}, ends: waits,
			want: []string{"close frame 1000", "END_STREAM", "RST_STREAM CANCEL"}, took: 5 * time.Second,
			check: func(err error) bool { return err == nil },
		},
		{
			name: "a server that answers and stays", server: &closer2{reply: closed4001, stays: true}, ends: closes,
			want: []string{"close frame 4000", "END_STREAM", "RST_STREAM CANCEL"}, took: 5 * time.Second,
			check: func(err error) bool { return err == nil },
		},
		{
			name: "a server that does not answer", server: &closer2{stays: true}, ends: closes,
			want: []string{"close frame 4000", "END_STREAM", "RST_STREAM CANCEL"}, took: 5 * time.Second,
			check: func(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) },
		},
		{
			name: "nobody waits", server: &closer2{greeting: closed1000, stays: true}, ends: waits,
			opts:  []Option{CloseTimeout(0)},
			want:  []string{"close frame 1000", "END_STREAM", "RST_STREAM CANCEL"},
			check: func(err error) bool { return err == nil },
		},
		{
			name: "ctx ends", server: &closer2{prompt: true}, ends: waits, ctx: 2 * time.Second,
			want: []string{"close frame 1001", "END_STREAM"}, took: 2 * time.Second,
			check: func(err error) bool { return errors.Is(err, context.DeadlineExceeded) },
		},
		{
			name: "ctx ends, and the server answers", server: &closer2{prompt: true, reply: closed4001}, ends: waits, ctx: 2 * time.Second,
			want: []string{"close frame 1001", "END_STREAM"}, took: 2 * time.Second,
			check: func(err error) bool { return errors.Is(err, context.DeadlineExceeded) },
		},
		{
			name: "ctx ends, and the server stays", server: &closer2{stays: true}, ends: waits, ctx: 2 * time.Second,
			want: []string{"close frame 1001", "END_STREAM", "RST_STREAM CANCEL"}, took: 2*time.Second + conn.FarewellTime,
			check: func(err error) bool { return errors.Is(err, context.DeadlineExceeded) },
		},
		{
			name: "ctx ends meanwhile", server: &closer2{greeting: closed1000, stays: true}, ends: waits, ctx: 2 * time.Second,
			want: []string{"close frame 1000", "END_STREAM", "RST_STREAM CANCEL"}, took: 2 * time.Second,
			check: func(err error) bool { return err == nil }, // the closing handshake was complete
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				is := is.New(t)
				ctx, cancel := context.WithTimeout(t.Context(), cmp.Or(c.ctx, time.Hour))
				defer cancel()
				start := time.Now()
				resp, err := New(URL("ws://host"), DialContext(dialTo(c.server.serve)), Protocols(HTTP2)).Do(ctx, c.opts...)
				is.NoErr(err)
				err = c.ends(resp)
				t.Log(err)
				is.True(c.check(err))
				is.Equal(time.Since(start), c.took)
				synctest.Wait()
				is.Equal(c.server.events(), c.want)
			})
		})
	}
}

// What the server said before it went counts, also where the answer to its close
// frame finds nobody any more.
func TestLastWordsOverHTTP2(t *testing.T) {
	for name, leaves := range map[string]func(*http2.Framer, net.Conn, uint32){
		"reset": func(fr *http2.Framer, _ net.Conn, id uint32) { fr.WriteRSTStream(id, http2.ErrCodeNo) },
		"end and reset": func(fr *http2.Framer, _ net.Conn, id uint32) {
			fr.WriteData(id, true, nil)
			fr.WriteRSTStream(id, http2.ErrCodeCancel)
		},
		"connection closed": func(_ *http2.Framer, conn net.Conn, _ uint32) { conn.Close() },
		"GOAWAY": func(fr *http2.Framer, conn net.Conn, id uint32) {
			fr.WriteGoAway(id, http2.ErrCodeNo, nil)
			conn.Close()
		},
	} {
		for _, tc := range []struct {
			code    websocket.StatusCode
			replies bool // which then cannot be written
		}{
			{websocket.StatusNormalClosure, false},
			{websocket.StatusNormalClosure, true},
			{websocket.StatusGoingAway, false},
			{websocket.StatusGoingAway, true},
		} {
			t.Run(fmt.Sprint(name, "/", tc.code, "/replies=", tc.replies), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					is := is.New(t)
					greeting := "\x81\x01a\x89\x00\x88\x02" + string(binary.BigEndian.AppendUint16(nil, uint16(tc.code)))
					server := &closer2{greeting: greeting, leaves: leaves}
					var got []string
					err := New(URL("ws://host"), DialContext(dialTo(server.serve)), Protocols(HTTP2)).Run(t.Context(),
						OnOpen(func(*Response) Directive {
							time.Sleep(time.Second) // the server is gone before it is listened to
							return Cont()
						}),
						Into(func(in Event, _ *Response) Directive {
							for _, f := range in.Frames {
								got = append(got, f.Kind.String())
							}
							if tc.replies {
								return Cont(Text("b"))
							}
							return Cont()
						}))
					is.Equal(got, []string{"text", "ping", "close"})
					switch {
					case tc.code != websocket.StatusNormalClosure:
						is.Equal(websocket.CloseStatus(err), tc.code)
					case tc.replies:
						is.True(err != nil)
					default:
						is.NoErr(err)
					}
				})
			})
		}
	}
}

// dialTo returns a function that dials a connection in memory, whose other end serve has.
func dialTo(serve func(net.Conn)) func(context.Context, string, string) (net.Conn, error) {
	return func(context.Context, string, string) (net.Conn, error) {
		client, server := pipe.New()
		go func() {
			defer server.Close()
			serve(server)
		}()
		return client, nil
	}
}
