package h2

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/matryer/is"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// peer is the server's side of a connection, driven frame by frame by a test. It is made inside
// a synctest bubble, which also proves that no goroutine outlives the test.
type peer struct {
	number int32 // of its dial, in a farm
	is     *is.I
	nc     net.Conn
	fr     *http2.Framer // for writing, also what is not allowed
	enc    *hpack.Encoder
	block  bytes.Buffer
	dec    *hpack.Decoder
	frames chan frame // filled by pump
}

// frame is one frame of the client.
type frame struct {
	http2.FrameHeader
	payload []byte
}

// code is the error code of a RST_STREAM or GOAWAY frame.
func (f frame) code() http2.ErrCode {
	if f.Type == http2.FrameGoAway {
		return http2.ErrCode(binary.BigEndian.Uint32(f.payload[4:8]))
	}
	return http2.ErrCode(f.uint32())
}

// uint32 is the payload of a RST_STREAM or WINDOW_UPDATE frame.
func (f frame) uint32() uint32 { return binary.BigEndian.Uint32(f.payload) }

// bubble runs f in a synctest bubble with a client and its peer, which have exchanged SETTINGS;
// settings are the peer's besides ENABLE_CONNECT_PROTOCOL.
func bubble(t *testing.T, cfg Config, settings []http2.Setting, f func(is *is.I, c *Conn, p *peer)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		c, p := newPeer(is, cfg)
		defer p.nc.Close() // if f fails
		p.hello(settings...)
		f(is, c, p)
		p.nc.Close()
		<-c.Done()
	})
}

// newPeer starts a client and reads its preface.
func newPeer(is *is.I, cfg Config) (*Conn, *peer) {
	client, server := net.Pipe()
	p := serve(is, server)
	c := NewConn(client, cfg)
	preface := make([]byte, len(http2.ClientPreface))
	_, err := io.ReadFull(server, preface)
	is.NoErr(err)
	is.Equal(string(preface), http2.ClientPreface)
	return c, p
}

// serve makes a peer of the server's end of a connection.
func serve(is *is.I, nc net.Conn) *peer {
	p := &peer{is: is, nc: nc, fr: http2.NewFramer(nc, nil), dec: hpack.NewDecoder(4096, nil)}
	p.fr.AllowIllegalWrites = true
	p.enc = hpack.NewEncoder(&p.block)
	return p
}

// hello exchanges SETTINGS, with extended CONNECT allowed.
func (p *peer) hello(settings ...http2.Setting) {
	p.want(http2.FrameSettings)
	p.settings(append(settings, http2.Setting{ID: http2.SettingEnableConnectProtocol, Val: 1})...)
}

// settings sends SETTINGS and reads their acknowledgement.
func (p *peer) settings(settings ...http2.Setting) {
	p.is.NoErr(p.fr.WriteSettings(settings...))
	f := p.want(http2.FrameSettings)
	p.is.True(f.Flags.Has(http2.FlagSettingsAck))
}

// pump reads frames on a goroutine of its own from here on, so that the client's writes never block.
func (p *peer) pump() {
	frames := make(chan frame, 1<<16)
	go func() {
		defer close(frames)
		for {
			f, err := p.read()
			if err != nil {
				return
			}
			frames <- f
		}
	}()
	p.frames = frames
}

func (p *peer) read() (frame, error) {
	h, err := http2.ReadFrameHeader(p.nc)
	if err != nil {
		return frame{}, err
	}
	f := frame{h, make([]byte, h.Length)}
	_, err = io.ReadFull(p.nc, f.payload)
	return f, err
}

// next is the client's next frame.
func (p *peer) next() frame {
	if p.frames == nil {
		f, err := p.read()
		p.is.NoErr(err)
		return f
	}
	f, ok := <-p.frames
	p.is.True(ok) // the client has closed the connection
	return f
}

// want is the client's next frame, which must be of type t. WINDOW_UPDATEs are passed over if they
// are not wanted.
func (p *peer) want(t http2.FrameType) frame {
	f := p.next()
	for f.Type == http2.FrameWindowUpdate && t != f.Type {
		f = p.next()
	}
	p.is.Equal(f.Type.String(), t.String())
	return f
}

// wantEnd checks that the client closes the connection without another frame.
func (p *peer) wantEnd() {
	if p.frames == nil {
		_, err := p.read()
		p.is.Equal(err, io.EOF)
		return
	}
	f, ok := <-p.frames
	p.is.Equal(f, frame{})
	p.is.True(!ok)
}

// wantIdle checks that the client sends nothing more.
func (p *peer) wantIdle() {
	synctest.Wait()
	p.is.Equal(len(p.frames), 0)
}

// headers sends a header block in one frame.
func (p *peer) headers(id uint32, end bool, fields ...string) {
	p.is.NoErr(p.fr.WriteHeaders(http2.HeadersFrameParam{
		StreamID: id, BlockFragment: p.encode(fields...), EndStream: end, EndHeaders: true,
	}))
}

func (p *peer) encode(fields ...string) []byte {
	p.block.Reset()
	for i := 0; i < len(fields); i += 2 {
		p.is.NoErr(p.enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]}))
	}
	return bytes.Clone(p.block.Bytes())
}

func (p *peer) data(id uint32, end bool, s string) {
	p.is.NoErr(p.fr.WriteData(id, end, []byte(s)))
}

// wantRequest reads the HEADERS of a request and their continuations.
func (p *peer) wantRequest() (uint32, []hpack.HeaderField) {
	f := p.want(http2.FrameHeaders)
	id := f.StreamID
	block := f.payload
	for !f.Flags.Has(http2.FlagHeadersEndHeaders) {
		f = p.next()
		p.is.Equal(f.Type, http2.FrameContinuation)
		p.is.Equal(f.StreamID, id)
		block = append(block, f.payload...)
	}
	fields, err := p.dec.DecodeFull(block)
	p.is.NoErr(err)
	return id, fields
}

// opened is what Connect returned.
type opened struct {
	resp *http.Response
	s    *Stream
	err  error
}

func request(url string) *http.Request {
	req, err := http.NewRequest("GET", url, nil)
	if err != nil {
		panic(err)
	}
	return req
}

// connect calls Connect on a goroutine of its own.
func connect(ctx context.Context, c *Conn) chan opened {
	result := make(chan opened, 1)
	go func() {
		resp, s, err := c.Connect(ctx, request("https://example.com/chat"))
		result <- opened{resp, s, err}
	}()
	return result
}

// open opens a stream.
func (p *peer) open(c *Conn) *Stream {
	result := connect(context.Background(), c)
	id, _ := p.wantRequest()
	p.headers(id, false, ":status", "200")
	r := <-result
	p.is.NoErr(r.err)
	p.is.Equal(r.s.id, id)
	return r.s
}

// alive checks that the connection still works.
func (p *peer) alive() {
	p.is.NoErr(p.fr.WritePing(false, [8]byte{1, 2, 3}))
	f := p.want(http2.FramePing)
	p.is.True(f.Flags.Has(http2.FlagPingAck))
	p.is.Equal(f.payload, []byte{1, 2, 3, 0, 0, 0, 0, 0})
}

func readString(is *is.I, s io.Reader, n int) string {
	b := make([]byte, n)
	_, err := io.ReadFull(s, b)
	is.NoErr(err)
	return string(b)
}

// isReset checks for a stream error with the code, of the peer or of this side.
func isReset(is *is.I, err error, code http2.ErrCode, fromPeer bool) {
	var se StreamError
	is.True(errors.As(err, &se))
	is.Equal(se.Code, code)
	is.Equal(se.Reason == "", fromPeer)
}

func isText(is *is.I, err error, text string) {
	is.True(err != nil)
	if !strings.Contains(err.Error(), text) {
		is.Equal(err.Error(), text)
	}
}
