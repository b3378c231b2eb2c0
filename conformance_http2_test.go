package reqws

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/coder/websocket"
	"github.com/matryer/is"
	"golang.org/x/net/http2"

	"github.com/reqws/reqws/internal/wiretest"
	"github.com/reqws/reqws/reqwstest"
)

// tunnelled is one demand of RFC 8441, or of RFC 9113 (HTTP/2) on what RFC 8441 makes use of. What a server may not
// do to a connection has its rows in internal/h2, TestStreamErrors and TestConnErrors.
type tunnelled struct {
	section string
	asks    string
	opts    []Option
	server  *closer2
	client  func(*Response) error      // what it is asked to do; nil: it waits for the end
	gets    []string                   // what its handler is given
	fails   func(error) bool           // how Do or client fails; nil: it does not
	sees    func(is *is.I, c *closer2) // what it has sent
	events  []string                   // and how it ended the stream, nil: not looked at
}

func (c tunnelled) check(t *testing.T) {
	t.Run(c.section+" "+c.asks, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			is := is.New(t)
			if c.server == nil {
				c.server = &closer2{greeting: "\x88\x02\x03\xe8"}
			}
			c.server.prompt = true
			var got []string
			resp, err := New(URL("ws://user:secret@example.com:8080/chat?room=1"), DialContext(dialTo(c.server.serve)), Protocols(HTTP2), Retry(Never)).Do(t.Context(),
				Options(c.opts...), Into(Each(func(f Frame) Directive {
					got = append(got, f.String())
					return Cont()
				})))
			if err == nil && c.client != nil {
				err = c.client(resp)
			} else if err == nil {
				err = resp.Wait()
			}
			if c.fails == nil {
				is.NoErr(err)
			} else if !c.fails(err) {
				t.Errorf("it fails with %v", err)
			}
			synctest.Wait()
			if c.gets != nil {
				is.Equal(got, c.gets)
			}
			if c.events != nil {
				is.Equal(c.server.events(), c.events)
			}
			if c.sees != nil {
				c.server.mu.Lock()
				defer c.server.mu.Unlock()
				c.sees(is, c.server)
			}
		})
	})
}

// field is the one value of a field that was sent, or says that there is not one.
func (c *closer2) field(name string) string {
	var values []string
	for _, f := range c.asked {
		if f.Name == name {
			values = append(values, f.Value)
		}
	}
	if len(values) != 1 {
		return "(" + strings.Join(values, ", ") + ")"
	}
	return values[0]
}

// absent wants that no field of these names was sent.
func absent(names ...string) func(is *is.I, c *closer2) {
	return func(is *is.I, c *closer2) {
		is.True(len(c.asked) > 0)
		for _, name := range names {
			is.Equal(c.field(name), "()")
		}
	}
}

// TestConformanceHTTP2 holds the client to RFC 8441, sections 3 to 5, and to RFC 9113 where they lean on it.
func TestConformanceHTTP2(t *testing.T) {
	sent := func(name, want string) func(*is.I, *closer2) {
		return func(is *is.I, c *closer2) { is.Equal(c.field(name), want) }
	}
	setting := func(v uint32) []http2.Setting {
		return []http2.Setting{{ID: http2.SettingEnableConnectProtocol, Val: v}}
	}
	somehow := func(err error) bool { return err != nil }
	nothing := func(is *is.I, c *closer2) { is.Equal(len(c.asked), 0) }
	answers := func(fields ...string) *closer2 {
		return &closer2{answer: fields, greeting: "\x88\x02\x03\xe8"}
	}
	lost := func(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) && websocket.CloseStatus(err) == -1 }
	crosses := func(err error) bool { return err != nil && strings.Contains(err.Error(), "Sec-WebSocket-Protocol") }
	const protocolError = "GOAWAY PROTOCOL_ERROR"

	for _, c := range []tunnelled{
		{section: "RFC 8441, 3", asks: "nothing is asked of a server that does not offer it", server: &closer2{settings: setting(0)}, fails: somehow, sees: nothing},
		{section: "RFC 8441, 3", asks: "the setting is 0 or 1", server: &closer2{settings: setting(2)}, fails: somehow, sees: nothing, events: []string{protocolError}},
		{section: "RFC 8441, 3", asks: "what was offered is not taken back", fails: somehow, events: []string{protocolError},
			server: &closer2{leaves: func(fr *http2.Framer, _ net.Conn, _ uint32) { fr.WriteSettings(setting(0)...) }}},
		{section: "RFC 8441, 4", asks: ":protocol is there, once", sees: sent(":protocol", "websocket")},
		{section: "RFC 8441, 4", asks: ":scheme is there", sees: sent(":scheme", "http")},
		{section: "RFC 8441, 4", asks: ":path is there, with the query", sees: sent(":path", "/chat?room=1")},
		{section: "RFC 8441, 4", asks: ":authority is the server's", sees: sent(":authority", "example.com:8080")},
		{section: "RFC 8441, 5", asks: "the method is CONNECT", sees: sent(":method", "CONNECT")},
		{section: "RFC 8441, 5", asks: "Connection and Upgrade are not sent, nor is Host", sees: absent("connection", "upgrade", "host")},
		{section: "RFC 8441, 5", asks: "no key is sent", sees: absent("sec-websocket-key")},
		{section: "RFC 8441, 5", asks: "no accept is looked at", server: answers(":status", "200", "sec-websocket-accept", "nonsense"), gets: []string{"close 1000"}},
		{section: "RFC 8441, 5", asks: "the version is 13", sees: sent("sec-websocket-version", "13")},
		{section: "RFC 8441, 5", asks: "Origin is sent as over HTTP/1.1", opts: []Option{Header("Origin", "https://example.com")}, sees: sent("origin", "https://example.com")},
		{section: "RFC 8441, 5", asks: "subprotocols are offered as over HTTP/1.1", opts: []Option{Subprotocols("a", "b")}, sees: sent("sec-websocket-protocol", "a,b")},
		{section: "RFC 8441, 5", asks: "a subprotocol is chosen as over HTTP/1.1", opts: []Option{Subprotocols("a", "b")}, server: answers(":status", "200", "sec-websocket-protocol", "b"),
			client: func(resp *Response) error {
				if resp.Subprotocol != "b" {
					return errors.New("no subprotocol")
				}
				return resp.Wait()
			}},
		{section: "RFC 8441, 5", asks: "a subprotocol that was not offered", server: answers(":status", "200", "sec-websocket-protocol", "c"), fails: crosses},
		{section: "RFC 8441, 5", asks: "extensions are offered as over HTTP/1.1", opts: []Option{Compression(websocket.CompressionContextTakeover)}, sees: sent("sec-websocket-extensions", "permessage-deflate; client_max_window_bits")},
		{section: "RFC 8441, 5", asks: "an extension is accepted as over HTTP/1.1", opts: []Option{Compression(websocket.CompressionContextTakeover)},
			server: &closer2{answer: []string{":status", "200", "sec-websocket-extensions", "permessage-deflate"}, greeting: "\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00\x88\x02\x03\xe8"},
			gets:   []string{`text "Hello"`, "close 1000"}},
		{section: "RFC 8441, 5", asks: "an extension that was not offered", server: answers(":status", "200", "sec-websocket-extensions", "permessage-deflate"), fails: somehow},
		{section: "RFC 8441, 5", asks: "any 2xx opens", server: answers(":status", "204"), gets: []string{"close 1000"}},
		{section: "RFC 8441, 5", asks: "any other status is a refusal", server: &closer2{answer: []string{":status", "403"}},
			fails: func(err error) bool { var he *HTTPError; return errors.As(err, &he) && he.StatusCode == 403 }},
		{section: "RFC 8441, 5", asks: "frames have nothing to do with DATA frames", gets: []string{"ping", `text "hello"`, "close 1000"},
			server: &closer2{leaves: func(fr *http2.Framer, _ net.Conn, id uint32) {
				for _, b := range []byte("\x01\x03hel\x89\x00\x80\x02lo\x88\x02\x03\xe8") {
					fr.WriteData(id, false, []byte{b})
					fr.WriteData(id, false, nil)
				}
			}}},
		{section: "RFC 8441, 5", asks: "frames are masked, as RFC 6455 has them", server: &closer2{greeting: "\x89\x01p\x88\x02\x03\xe8"}, sees: func(is *is.I, c *closer2) {
			r := bytes.NewReader(c.data)
			for _, want := range []reqwstest.Frame{reqwstest.Pong("p"), reqwstest.Close(1000, "")} {
				f, err := reqwstest.Decode(r)
				is.NoErr(err)
				is.True(f.Masked)
				is.Equal(f.String(), want.String())
			}
			is.Equal(r.Len(), 0)
		}},
		{section: "RFC 8441, 5", asks: "END_STREAM is the end of the connection: too early, a loss", fails: lost,
			server: &closer2{leaves: func(fr *http2.Framer, _ net.Conn, id uint32) { fr.WriteData(id, true, []byte("\x81\x01x")) }}, gets: []string{`text "x"`}},
		{section: "RFC 8441, 5", asks: "END_STREAM is how the client closes in good order", events: []string{"close frame 1000", "END_STREAM"}},
		{section: "RFC 8441, 5", asks: "END_STREAM may come with the last frame", gets: []string{"close 1000"},
			server: &closer2{leaves: func(fr *http2.Framer, _ net.Conn, id uint32) { fr.WriteData(id, true, []byte("\x88\x02\x03\xe8")) }}},
		{section: "RFC 8441, 5", asks: "RST_STREAM with CANCEL is a reset of the connection", fails: somehow,
			server: &closer2{leaves: func(fr *http2.Framer, _ net.Conn, id uint32) { fr.WriteRSTStream(id, http2.ErrCodeCancel) }}},
		{section: "RFC 8441, 5", asks: "RST_STREAM with CANCEL is how the client leaves without waiting", server: &closer2{stays: true}, events: []string{"END_STREAM", "RST_STREAM CANCEL"},
			client: func(resp *Response) error { return resp.CloseNow() }},
		{section: "RFC 9113, 5.4.2", asks: "an answer that cannot be used is a stream that is reset", server: &closer2{answer: []string{":status", "200", "sec-websocket-protocol", "c"}, stays: true}, fails: crosses,
			events: []string{"END_STREAM", "RST_STREAM CANCEL"}},
		{section: "RFC 9113, 8.1", asks: "interim answers are none", gets: []string{"close 1000"}, server: &closer2{answer: []string{":status", "103"}, leaves: func(fr *http2.Framer, _ net.Conn, id uint32) {
			fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: []byte{0x88}, EndHeaders: true})
			fr.WriteData(id, false, []byte("\x88\x02\x03\xe8"))
		}}},
		{section: "RFC 9113, 8.2", asks: "names are in lower case", opts: []Option{Header("X-Custom", "1")}, sees: func(is *is.I, c *closer2) {
			for _, f := range c.asked {
				is.Equal(f.Name, strings.ToLower(f.Name))
			}
			is.Equal(c.field("x-custom"), "1")
		}},
		{section: "RFC 9113, 8.2.1", asks: "values have no space around them", opts: []Option{Header("X-Custom", " a b\t")}, sees: sent("x-custom", "a b")},
		{section: "RFC 9113, 8.2.2", asks: "nothing is sent that is meant for one connection of HTTP/1.1", opts: []Option{Header("Keep-Alive", "5"), Header("Proxy-Connection", "keep-alive"), Header("TE", "gzip")},
			sees: absent("connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade", "te")},
		{section: "RFC 9113, 8.3", asks: "pseudo-headers come first, each once", opts: []Option{Header("A", "1")}, sees: func(is *is.I, c *closer2) {
			seen := map[string]bool{}
			regular := false
			for _, f := range c.asked {
				regular = regular || !f.IsPseudo()
				is.True(!f.IsPseudo() || !regular && !seen[f.Name])
				seen[f.Name] = true
			}
			is.True(regular)
		}},
		{section: "RFC 9113, 8.3", asks: "no others are made up", sees: func(is *is.I, c *closer2) {
			pseudo := 0
			for _, f := range c.asked {
				if f.IsPseudo() {
					pseudo++
				}
			}
			is.Equal(pseudo, 5) // the ones above
		}},
		{section: "RFC 9113, 8.3.1", asks: ":authority has no userinfo", sees: func(is *is.I, c *closer2) {
			is.True(!strings.Contains(c.field(":authority"), "@"))
			is.Equal(c.field("authorization"), "Basic dXNlcjpzZWNyZXQ=")
		}},
		{section: "RFC 9113, 8.6", asks: "101 opens nothing", server: &closer2{answer: []string{":status", "101"}}, fails: somehow, events: []string{"RST_STREAM PROTOCOL_ERROR"}},
	} {
		c.check(t)
	}
}

// RFC 8441, section 5: wss is https.
func TestConformanceHTTP2OverTLS(t *testing.T) {
	is := is.New(t)
	c := &closer2{greeting: "\x88\x02\x03\xe8"}
	srv := reqwstest.New(t, wiretest.ALPN("h2"), reqwstest.Script(reqwstest.Do(func(conn *reqwstest.Conn) error {
		if err := conn.TLS().Handshake(); err != nil {
			return err
		}
		c.serve(conn.TLS())
		return nil
	})))
	is.NoErr(New(URL(srv.URL+"/"), TLSConfig(srv.TLSConfig()), Protocols(HTTP2)).Run(t.Context(), Into(Each(func(Frame) Directive { return Cont() }))))
	is.NoErr(srv.Wait(t.Context()))
	is.Equal(c.field(":scheme"), "https")
}
