package h2

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matryer/is"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

func TestPreface(t *testing.T) {
	for name, tt := range map[string]struct {
		set                  http.HTTP2Config
		stream, frame, table uint32
		update               uint32 // of the connection's window, 0: none
	}{
		"defaults": {http.HTTP2Config{}, 1 << 20, 64 << 10, 4096, 16<<20 - 65535},
		"given": {http.HTTP2Config{
			MaxReceiveBufferPerStream: 1000, MaxReceiveBufferPerConnection: 100_000,
			MaxReadFrameSize: 20_000, MaxDecoderHeaderTableSize: 100,
		}, 1000, 20_000, 100, 100_000 - 65535},
		"least": {http.HTTP2Config{MaxReceiveBufferPerConnection: 65535, MaxReadFrameSize: 16384}, 1 << 20, 16384, 4096, 0},
		"invalid": {http.HTTP2Config{
			MaxReceiveBufferPerStream: -1, MaxReceiveBufferPerConnection: 65534,
			MaxReadFrameSize: 1 << 24, MaxDecoderHeaderTableSize: 5 << 20,
		}, 1 << 20, 64 << 10, 4096, 16<<20 - 65535},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				is := is.New(t)
				c, p := newPeer(is, Config{Settings: tt.set})
				p.pump()
				f := p.want(http2.FrameSettings)
				want := []http2.Setting{
					{ID: http2.SettingEnablePush, Val: 0},
					{ID: http2.SettingInitialWindowSize, Val: tt.stream},
					{ID: http2.SettingMaxFrameSize, Val: tt.frame},
					{ID: http2.SettingHeaderTableSize, Val: tt.table},
					{ID: http2.SettingMaxHeaderListSize, Val: 1 << 20},
				}
				var got []http2.Setting
				for b := f.payload; len(b) > 0; b = b[6:] {
					got = append(got, http2.Setting{
						ID:  http2.SettingID(uint16(b[0])<<8 | uint16(b[1])),
						Val: uint32(b[2])<<24 | uint32(b[3])<<16 | uint32(b[4])<<8 | uint32(b[5]),
					})
				}
				is.Equal(got, want)
				if tt.update != 0 {
					is.Equal(p.want(http2.FrameWindowUpdate).uint32(), tt.update)
				}
				p.wantIdle()
				is.NoErr(c.Close())
				f = p.want(http2.FrameGoAway)
				is.Equal(f.code(), http2.ErrCodeNo)
				p.wantEnd()
				<-c.Done()
				is.Equal(c.Err(), net.ErrClosed)
			})
		})
	}
}

func TestRequest(t *testing.T) {
	bubble(t, Config{}, nil, func(is *is.I, c *Conn, p *peer) {
		p.pump()
		req := request("wss://example.com:8443/a%20b?token=t")
		req.Header = http.Header{
			"Authorization":        {"Bearer x"},
			"Cookie":               {"a=b"},
			"X-Amz-Security-Token": {"s"},
			"Proxy-Authorization":  {"p"},
			"User-Agent":           {"reqws"},
			"X_Raw-name":           {" 1\t", "2"},
			"Connection":           {"keep-alive, X-Hop"},
			"X-Hop":                {"no"},
			"Keep-Alive":           {"no"},
			"Proxy-Connection":     {"no"},
			"Transfer-Encoding":    {"no"},
			"Upgrade":              {"no"},
			"Http2-Settings":       {"no"},
			"Content-Length":       {"0"},
			"Te":                   {"trailers"},
			"Host":                 {"no"},
		}
		go c.Connect(context.Background(), req)
		id, fields := p.wantRequest()
		is.Equal(id, uint32(1))
		is.Equal(fields, []hpack.HeaderField{
			{Name: ":method", Value: "CONNECT"},
			{Name: ":protocol", Value: "websocket"},
			{Name: ":scheme", Value: "https"},
			{Name: ":authority", Value: "example.com:8443"},
			{Name: ":path", Value: "/a%20b?token=t", Sensitive: true},
			{Name: "authorization", Value: "Bearer x", Sensitive: true},
			{Name: "cookie", Value: "a=b", Sensitive: true},
			{Name: "proxy-authorization", Value: "p", Sensitive: true},
			{Name: "user-agent", Value: "reqws"},
			{Name: "x-amz-security-token", Value: "s", Sensitive: true},
			{Name: "x_raw-name", Value: "1"},
			{Name: "x_raw-name", Value: "2"},
		})
		plain := request("http://example.com")
		plain.Host = "bücher.example"
		go c.Connect(context.Background(), plain)
		id, fields = p.wantRequest()
		is.Equal(id, uint32(3))
		is.Equal(fields[2:], []hpack.HeaderField{
			{Name: ":scheme", Value: "http"},
			{Name: ":authority", Value: "xn--bcher-kva.example"},
			{Name: ":path", Value: "/"},
		})
	})
}

// A header block larger than a frame goes on in CONTINUATION frames, of the size the peer takes.
func TestRequestContinued(t *testing.T) {
	for _, size := range []uint32{0, 1 << 14, 50_000} {
		var settings []http2.Setting
		if size != 0 {
			settings = []http2.Setting{{ID: http2.SettingMaxFrameSize, Val: size}}
		}
		bubble(t, Config{}, settings, func(is *is.I, c *Conn, p *peer) {
			p.pump()
			req := request("https://example.com/")
			long := strings.Repeat("^~", 40_000) // which Huffman coding does not shorten
			req.Header.Set("X-Long", long)
			go c.Connect(context.Background(), req)
			f := p.want(http2.FrameHeaders)
			is.Equal(f.Length, max(size, 1<<14))
			is.True(!f.Flags.Has(http2.FlagHeadersEndHeaders))
			block := f.payload
			for !f.Flags.Has(http2.FlagContinuationEndHeaders) {
				f = p.want(http2.FrameContinuation)
				is.True(f.Length > 0)
				is.True(f.Length <= max(size, 1<<14))
				block = append(block, f.payload...)
			}
			fields, err := p.dec.DecodeFull(block)
			is.NoErr(err)
			is.Equal(fields[len(fields)-1].Value, long)
		})
	}
}

func TestRequestRefusedHere(t *testing.T) {
	for name, tt := range map[string]struct {
		url, host string
		header    http.Header
		want      string
	}{
		"scheme":         {url: "ftp://example.com/", want: "unsupported URL scheme"},
		"host":           {url: "https:///x", want: "invalid host"},
		"host injection": {url: "https://a/", host: "a\r\nb: c", want: "invalid host"},
		"path":           {url: "https:opaque", host: "a", want: "invalid request path"},
		"name":           {url: "https://a/", header: http.Header{"X y": {"1"}}, want: `invalid header field name "X y"`},
		"pseudo":         {url: "https://a/", header: http.Header{":path": {"/"}}, want: "invalid header field name"},
		"CR":             {url: "https://a/", header: http.Header{"X": {"secret\rb"}}, want: `invalid value of header field "X"`},
		"LF":             {url: "https://a/", header: http.Header{"X": {"secret\nb"}}, want: `invalid value of header field "X"`},
		"NUL":            {url: "https://a/", header: http.Header{"X": {"secret\x00b"}}, want: `invalid value of header field "X"`},
		"too large":      {url: "https://a/", header: http.Header{"X": {strings.Repeat("x", 1000)}}, want: "the server takes no more than 1000"},
	} {
		t.Run(name, func(t *testing.T) {
			settings := []http2.Setting{{ID: http2.SettingMaxHeaderListSize, Val: 1000}}
			bubble(t, Config{}, settings, func(is *is.I, c *Conn, p *peer) {
				p.pump()
				req := request(tt.url)
				req.Host = tt.host
				req.Header = tt.header
				_, _, err := c.Connect(context.Background(), req)
				isText(is, err, tt.want)
				is.True(!strings.Contains(err.Error(), "secret"))
				p.wantIdle()
				is.Equal(c.inUse, 0)
			})
		})
	}
}

func TestConnectAwaitsSettings(t *testing.T) {
	start := func(t *testing.T, f func(is *is.I, c *Conn, p *peer)) {
		synctest.Test(t, func(t *testing.T) {
			is := is.New(t)
			c, p := newPeer(is, Config{})
			p.pump()
			p.want(http2.FrameSettings)
			f(is, c, p)
			p.nc.Close()
			<-c.Done()
		})
	}
	t.Run("come later", func(t *testing.T) {
		start(t, func(is *is.I, c *Conn, p *peer) {
			is.True(c.Available())
			r := connect(context.Background(), c)
			p.want(http2.FrameWindowUpdate)
			p.wantIdle()
			p.settings(http2.Setting{ID: http2.SettingEnableConnectProtocol, Val: 1})
			id, _ := p.wantRequest()
			p.headers(id, false, ":status", "200")
			is.NoErr((<-r).err)
		})
	})
	t.Run("ctx ends", func(t *testing.T) {
		start(t, func(is *is.I, c *Conn, p *peer) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			r := <-connect(ctx, c)
			is.True(errors.Is(r.err, context.DeadlineExceeded))
			isText(is, r.err, "waiting for the server's settings")
			is.NoErr(c.Err())
			is.True(c.CloseIfIdle())
		})
	})
	t.Run("not allowed", func(t *testing.T) {
		for _, s := range [][]http2.Setting{{}, {{ID: http2.SettingEnableConnectProtocol, Val: 0}}} {
			start(t, func(is *is.I, c *Conn, p *peer) {
				p.settings(s...)
				r := <-connect(context.Background(), c)
				is.Equal(r.err, ErrNoExtendedConnect)
				p.alive()
			})
		}
	})
	t.Run("allowed later", func(t *testing.T) {
		start(t, func(is *is.I, c *Conn, p *peer) {
			p.settings()
			is.Equal((<-connect(context.Background(), c)).err, ErrNoExtendedConnect)
			p.settings(http2.Setting{ID: http2.SettingEnableConnectProtocol, Val: 1})
			p.open(c)
		})
	})
	t.Run("connection lost", func(t *testing.T) {
		start(t, func(is *is.I, c *Conn, p *peer) {
			r := connect(context.Background(), c)
			synctest.Wait()
			p.nc.Close()
			err := (<-r).err
			is.True(errors.Is(err, io.ErrUnexpectedEOF))
			is.True(!errors.Is(err, ErrNotProcessed)) // a fresh connection would fare no better
			is.True(!c.Available())
			<-c.Done()
			r = connect(context.Background(), c)
			is.True(errors.Is((<-r).err, ErrNotProcessed))
		})
	})
	t.Run("HTTP/1.1 answer", func(t *testing.T) {
		for _, answer := range []string{"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", "\x00\x00\x00\x06\x00\x00\x00\x00\x00"} {
			start(t, func(is *is.I, c *Conn, p *peer) {
				go p.nc.Write([]byte(answer))
				r := <-connect(context.Background(), c)
				is.True(errors.Is(r.err, ErrNotHTTP2))
				p.want(http2.FrameGoAway)
				p.wantEnd()
			})
		}
	})
}

func TestResponse(t *testing.T) {
	bubble(t, Config{}, nil, func(is *is.I, c *Conn, p *peer) {
		p.pump()
		r := connect(context.Background(), c)
		id, _ := p.wantRequest()
		p.headers(id, false, ":status", "100")
		p.headers(id, false, ":status", "103", "link", "</style.css>")
		p.headers(id, false, ":status", "200", "sec-websocket-protocol", "chat", "set-cookie", "a=1", "set-cookie", "b=2")
		o := <-r
		is.NoErr(o.err)
		is.Equal(o.resp.StatusCode, 200)
		is.Equal(o.resp.Status, "200 OK")
		is.Equal(o.resp.Proto, "HTTP/2.0")
		is.Equal(o.resp.Body, nil)
		is.Equal(o.resp.Request.URL.Path, "/chat")
		is.Equal(o.resp.Header, http.Header{"Sec-Websocket-Protocol": {"chat"}, "Set-Cookie": {"a=1", "b=2"}})
		p.data(id, false, "hello")
		is.Equal(readString(is, o.s, 5), "hello")
	})
}

// A 2xx that ends the peer's side opens the other one.
func TestResponseEndsStream(t *testing.T) {
	bubble(t, Config{}, nil, func(is *is.I, c *Conn, p *peer) {
		p.pump()
		r := connect(context.Background(), c)
		id, _ := p.wantRequest()
		p.headers(id, true, ":status", "204")
		o := <-r
		is.NoErr(o.err)
		is.Equal(o.resp.StatusCode, 204)
		_, err := o.s.Read(make([]byte, 1))
		is.Equal(err, io.EOF)
		_, err = o.s.Write([]byte("x"))
		is.NoErr(err)
		is.NoErr(o.s.Close())
		is.Equal(string(p.want(http2.FrameData).payload), "x")
		is.True(p.want(http2.FrameData).Flags.Has(http2.FlagDataEndStream))
		p.alive()
	})
}

func TestRefusal(t *testing.T) {
	for name, tt := range map[string]struct {
		answer func(p *peer, id uint32)
		status int
		length int64
		body   string
		err    error
	}{
		"no body": {func(p *peer, id uint32) { p.headers(id, true, ":status", "404") }, 404, 0, "", nil},
		"body": {func(p *peer, id uint32) {
			p.headers(id, false, ":status", "403", "content-length", "3")
			p.data(id, true, "no!")
		}, 403, 3, "no!", nil},
		"trailers": {func(p *peer, id uint32) {
			p.headers(id, false, ":status", "500")
			p.data(id, false, "oh")
			p.headers(id, true, "x-checksum", "1")
		}, 500, -1, "oh", nil},
		"complete, then NO_ERROR": {func(p *peer, id uint32) {
			p.headers(id, false, ":status", "413")
			p.data(id, true, "large")
			p.is.NoErr(p.fr.WriteRSTStream(id, http2.ErrCodeNo))
		}, 413, -1, "large", nil},
		"cut short": {func(p *peer, id uint32) {
			p.headers(id, false, ":status", "403", "content-length", "10")
			p.data(id, true, "no!")
		}, 403, 10, "no!", io.ErrUnexpectedEOF},
		"reset": {func(p *peer, id uint32) {
			p.headers(id, false, ":status", "403", "content-length", "10")
			p.data(id, false, "no!")
			p.is.NoErr(p.fr.WriteRSTStream(id, http2.ErrCodeInternal))
		}, 403, 10, "no!", StreamError{Code: http2.ErrCodeInternal}},
		"redirect": {func(p *peer, id uint32) { p.headers(id, true, ":status", "308", "location", "/x") }, 308, 0, "", nil},
		"304":      {func(p *peer, id uint32) { p.headers(id, true, ":status", "304", "content-length", "9") }, 304, 0, "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			idle := 0
			cfg := Config{OnIdle: func(*Conn) { idle++ }}
			bubble(t, cfg, nil, func(is *is.I, c *Conn, p *peer) {
				p.pump()
				r := connect(context.Background(), c)
				id, _ := p.wantRequest()
				tt.answer(p, id)
				o := <-r
				is.NoErr(o.err)
				is.True(o.s == nil)
				is.Equal(o.resp.StatusCode, tt.status)
				is.Equal(o.resp.ContentLength, tt.length)
				b, err := io.ReadAll(o.resp.Body)
				is.Equal(string(b), tt.body)
				is.True(errors.Is(err, tt.err))
				is.NoErr(o.resp.Body.Close())
				synctest.Wait()
				is.Equal(c.inUse, 0)
				is.Equal(idle, 1)
			})
		})
	}
}

// The caller need not read a refusal's body.
func TestRefusalBodyClosed(t *testing.T) {
	bubble(t, Config{}, nil, func(is *is.I, c *Conn, p *peer) {
		p.pump()
		r := connect(context.Background(), c)
		id, _ := p.wantRequest()
		p.headers(id, false, ":status", "403")
		p.data(id, false, "a long story")
		o := <-r
		is.NoErr(o.err)
		f := p.want(http2.FrameData) // the request is complete
		is.True(f.Flags.Has(http2.FlagDataEndStream))
		is.NoErr(o.resp.Body.Close())
		is.Equal(p.want(http2.FrameRSTStream).code(), http2.ErrCodeCancel)
		_, err := o.resp.Body.Read(make([]byte, 1))
		is.Equal(err, net.ErrClosed)
		p.data(id, false, "and it goes on") // under way when the stream ended
		p.alive()
	})
}

func TestContextEndsWhileWaiting(t *testing.T) {
	bubble(t, Config{}, nil, func(is *is.I, c *Conn, p *peer) {
		p.pump()
		ctx, cancel := context.WithCancel(context.Background())
		r := connect(ctx, c)
		id, _ := p.wantRequest()
		cancel()
		o := <-r
		is.True(errors.Is(o.err, context.Canceled))
		f := p.want(http2.FrameRSTStream)
		is.Equal(f.StreamID, id)
		is.Equal(f.code(), http2.ErrCodeCancel)
		p.headers(id, false, ":status", "200") // it was under way
		p.data(id, true, "late")
		p.open(c)

		o = <-connect(ctx, c) // ended before it began
		is.True(errors.Is(o.err, context.Canceled))
		p.wantIdle()
		is.Equal(c.inUse, 1)
	})
}

func TestContextHasNoEffectLater(t *testing.T) {
	bubble(t, Config{}, nil, func(is *is.I, c *Conn, p *peer) {
		p.pump()
		ctx, cancel := context.WithCancel(context.Background())
		r := connect(ctx, c)
		id, _ := p.wantRequest()
		p.headers(id, false, ":status", "200")
		o := <-r
		is.NoErr(o.err)
		cancel()
		p.wantIdle()
		p.data(id, false, "still")
		is.Equal(readString(is, o.s, 5), "still")
	})
}

func TestMaxConcurrentStreams(t *testing.T) {
	limit := []http2.Setting{{ID: http2.SettingMaxConcurrentStreams, Val: 2}}
	bubble(t, Config{}, limit, func(is *is.I, c *Conn, p *peer) {
		p.pump()
		a := p.open(c)
		is.True(c.Available())
		p.open(c)
		is.True(!c.Available())
		is.Equal((<-connect(context.Background(), c)).err, ErrStreamLimit)
		is.NoErr(a.Close())
		is.True(c.Available())
		p.want(http2.FrameData)
		p.want(http2.FrameRSTStream)
		p.settings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 1})
		is.True(!c.Available())
		p.settings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 3})
		p.open(c)
		p.open(c)
		is.True(!c.Available())
	})
}

// Requests that wait for the peer's SETTINGS do not exceed the limit that these state.
func TestMaxConcurrentStreamsWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		c, p := newPeer(is, Config{})
		p.pump()
		p.want(http2.FrameSettings)
		p.want(http2.FrameWindowUpdate)
		results := make(chan error, 100)
		for range cap(results) {
			go func() {
				_, _, err := c.Connect(context.Background(), request("https://example.com/"))
				results <- err
			}()
		}
		synctest.Wait()
		p.settings(
			http2.Setting{ID: http2.SettingEnableConnectProtocol, Val: 1},
			http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 7},
		)
		synctest.Wait()
		is.Equal(len(p.frames), 7)
		is.Equal(len(results), 93)
		for range 93 {
			is.Equal(<-results, ErrStreamLimit)
		}
		for range 7 {
			id, _ := p.wantRequest()
			p.headers(id, false, ":status", "200")
			is.NoErr(<-results)
		}
		p.nc.Close()
		<-c.Done()
	})
}

// Streams are told apart on the wire by the order in which they begin.
func TestStreamIDs(t *testing.T) {
	bubble(t, Config{}, nil, func(is *is.I, c *Conn, p *peer) {
		p.pump()
		var ids []uint32
		for range 3 {
			ids = append(ids, p.open(c).id)
		}
		is.Equal(ids, []uint32{1, 3, 5})
		c.mu.Lock()
		c.nextID = 1<<31 - 1
		c.mu.Unlock()
		is.Equal(p.open(c).id, uint32(1<<31-1))
		is.True(!c.Available())
		is.True(errors.Is((<-connect(context.Background(), c)).err, ErrStreamLimit))
	})
}

func TestHeaderTableSize(t *testing.T) {
	long := strings.Repeat("v", 300)
	sizes := func(t *testing.T, cfg Config, change func(is *is.I, p *peer)) (sizes []int) {
		bubble(t, cfg, nil, func(is *is.I, c *Conn, p *peer) {
			p.pump()
			change(is, p)
			for range 3 {
				req := request("https://example.com/")
				req.Header.Set("X-Long", long)
				go c.Connect(context.Background(), req)
				f := p.want(http2.FrameHeaders)
				sizes = append(sizes, int(f.Length))
				_, err := p.dec.DecodeFull(f.payload)
				is.NoErr(err)
			}
		})
		return sizes
	}
	none := func(*is.I, *peer) {}
	off := func(is *is.I, p *peer) {
		p.settings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: 0})
	}
	again := sizes(t, Config{}, func(is *is.I, p *peer) {
		off(is, p)
		p.settings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: 1 << 20})
	})
	is := is.New(t)
	is.True(again[2] < 50)
	is.True(slices.IsSortedFunc(again, func(a, b int) int { return b - a }))
	is.True(sizes(t, Config{}, none)[2] < 50)
	is.True(sizes(t, Config{}, off)[2] > 200)
	is.True(sizes(t, Config{Settings: http.HTTP2Config{MaxEncoderHeaderTableSize: 100}}, none)[2] > 200)
}
