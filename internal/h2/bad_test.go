package h2

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/matryer/is"
	"golang.org/x/net/http2"
)

// What a peer does wrong on one stream ends that stream, and the connection goes on. Each row names its section of
// RFC 9113, here and below.
func TestStreamErrors(t *testing.T) {
	for name, tt := range map[string]struct {
		bad  func(p *peer, id uint32)
		code http2.ErrCode
		want string
	}{
		"8.1 DATA before the response": {func(p *peer, id uint32) { p.data(id, false, "x") },
			http2.ErrCodeProtocol, "DATA before the response"},
		"8.1 END_STREAM before the response": {func(p *peer, id uint32) { p.data(id, true, "") },
			http2.ErrCodeProtocol, "DATA before the response"},
		"8.3.2 no status": {func(p *peer, id uint32) { p.headers(id, false, "server", "x") },
			http2.ErrCodeProtocol, "without a valid :status"},
		"8.3.2 no fields": {func(p *peer, id uint32) { p.headers(id, false) },
			http2.ErrCodeProtocol, "without a valid :status"},
		"8.3.2 status 20": {func(p *peer, id uint32) { p.headers(id, false, ":status", "20") },
			http2.ErrCodeProtocol, "without a valid :status"},
		"8.3.2 status 099": {func(p *peer, id uint32) { p.headers(id, false, ":status", "099") },
			http2.ErrCodeProtocol, "without a valid :status"},
		"8.3.2 status +20": {func(p *peer, id uint32) { p.headers(id, false, ":status", "+20") },
			http2.ErrCodeProtocol, "without a valid :status"},
		"8.3 status twice": {func(p *peer, id uint32) { p.headers(id, false, ":status", "200", ":status", "200") },
			http2.ErrCodeProtocol, "duplicate"},
		"8.3 request": {func(p *peer, id uint32) { p.headers(id, false, ":method", "GET", ":path", "/") },
			http2.ErrCodeProtocol, "without a valid :status"},
		"8.3 request and response": {func(p *peer, id uint32) { p.headers(id, false, ":status", "200", ":path", "/") },
			http2.ErrCodeProtocol, "pseudo"},
		"8.3 unknown pseudo-header": {func(p *peer, id uint32) { p.headers(id, false, ":status", "200", ":x", "") },
			http2.ErrCodeProtocol, "pseudo"},
		"8.3 pseudo-header after a field": {func(p *peer, id uint32) { p.headers(id, false, "server", "x", ":status", "200") },
			http2.ErrCodeProtocol, "pseudo"},
		"8.2.1 upper-case name": {func(p *peer, id uint32) { p.headers(id, false, ":status", "200", "Server", "x") },
			http2.ErrCodeProtocol, "invalid header field name"},
		"8.2.1 LF in a value": {func(p *peer, id uint32) { p.headers(id, false, ":status", "200", "server", "a\nb") },
			http2.ErrCodeProtocol, "invalid header field value"},
		"8.2.2 connection": {func(p *peer, id uint32) { p.headers(id, false, ":status", "200", "connection", "upgrade") },
			http2.ErrCodeProtocol, `"connection"`},
		"8.2.2 transfer-encoding": {func(p *peer, id uint32) { p.headers(id, false, ":status", "403", "transfer-encoding", "chunked") },
			http2.ErrCodeProtocol, `"transfer-encoding"`},
		"8.6 101": {func(p *peer, id uint32) { p.headers(id, false, ":status", "101") },
			http2.ErrCodeProtocol, "interim response 101"},
		"8.1 interim response ends the stream": {func(p *peer, id uint32) { p.headers(id, true, ":status", "103") },
			http2.ErrCodeProtocol, "interim response 103"},
		"10.5.1 header list too large": {func(p *peer, id uint32) {
			fields := []string{":status", "200"}
			p.enc.SetMaxDynamicTableSize(4096)
			for range 300 { // which the dynamic table makes small on the wire
				fields = append(fields, "x-long", strings.Repeat("a", 3900))
			}
			p.headers(id, false, fields...)
		}, http2.ErrCodeProtocol, "header list larger than"},
		"8.1 second response": {func(p *peer, id uint32) {
			p.headers(id, false, ":status", "200")
			p.headers(id, false, ":status", "200")
		}, http2.ErrCodeProtocol, "second response"},
		"8.3 pseudo-header in trailers": {func(p *peer, id uint32) {
			p.headers(id, false, ":status", "200")
			p.headers(id, true, ":status", "200")
		}, http2.ErrCodeProtocol, "trailers"},
		"5.1 DATA after END_STREAM": {func(p *peer, id uint32) {
			p.headers(id, true, ":status", "200")
			p.data(id, false, "x")
		}, http2.ErrCodeStreamClosed, "DATA after END_STREAM"},
		"5.1 HEADERS after END_STREAM": {func(p *peer, id uint32) {
			p.headers(id, true, ":status", "200")
			p.headers(id, true, "x", "y")
		}, http2.ErrCodeStreamClosed, "HEADERS after END_STREAM"},
		"6.9.1 DATA beyond the window": {func(p *peer, id uint32) {
			p.headers(id, false, ":status", "200")
			p.data(id, false, strings.Repeat("x", 1000))
			p.data(id, false, "y")
		}, http2.ErrCodeFlowControl, "DATA beyond the window"},
		"6.9.1 padding beyond the window": {func(p *peer, id uint32) {
			p.headers(id, false, ":status", "200")
			p.is.NoErr(p.fr.WriteDataPadded(id, false, make([]byte, 900), make([]byte, 100)))
		}, http2.ErrCodeFlowControl, "DATA beyond the window"},
		"6.9 WINDOW_UPDATE of 0": {func(p *peer, id uint32) { p.is.NoErr(p.fr.WriteWindowUpdate(id, 0)) },
			http2.ErrCodeProtocol, "malformed WINDOW_UPDATE"},
		"6.9.1 WINDOW_UPDATE too large": {func(p *peer, id uint32) { p.is.NoErr(p.fr.WriteWindowUpdate(id, 1<<31-1)) },
			http2.ErrCodeFlowControl, "overflow"},
	} {
		t.Run(name, func(t *testing.T) {
			var counted []string
			cfg := Config{Settings: http.HTTP2Config{
				MaxReceiveBufferPerStream: 1000,
				CountError:                func(e string) { counted = append(counted, e) },
			}}
			bubble(t, cfg, nil, func(is *is.I, c *Conn, p *peer) {
				p.pump()
				other := p.open(c)
				r := connect(context.Background(), c)
				id, _ := p.wantRequest()
				tt.bad(p, id)
				synctest.Wait() // it is all there before anything is read
				o := <-r
				if err := o.err; err == nil {
					_, err = io.Copy(io.Discard, o.s)
					if err == nil { // the peer's side had ended well before
						_, err = o.s.Write([]byte("x"))
					}
					isReset(is, err, tt.code, false)
					isText(is, err, tt.want)
				} else {
					isReset(is, err, tt.code, false)
					isText(is, err, tt.want)
				}
				f := p.want(http2.FrameRSTStream)
				is.Equal(f.StreamID, id)
				is.Equal(f.code(), tt.code)
				is.Equal(counted, []string{"stream_" + strings.ToLower(tt.code.String())})
				p.data(other.id, false, "x")
				is.Equal(readString(is, other, 1), "x")
				p.open(c) // and header compression is in step
			})
		})
	}
}

// What a peer does wrong with the connection ends it.
func TestConnErrors(t *testing.T) {
	raw := func(typ http2.FrameType, flags http2.Flags, id uint32, payload string) func(p *peer) {
		return func(p *peer) { p.is.NoErr(p.fr.WriteRawFrame(typ, flags, id, []byte(payload))) }
	}
	setting := func(id http2.SettingID, v uint32) func(p *peer) {
		return func(p *peer) { p.is.NoErr(p.fr.WriteSettings(http2.Setting{ID: id, Val: v})) }
	}
	const (
		protocol = http2.ErrCodeProtocol
		size     = http2.ErrCodeFrameSize
		flow     = http2.ErrCodeFlowControl
	)
	for name, tt := range map[string]struct {
		bad  func(p *peer) // streams 1 and 3 are open, 5 is the next one
		code http2.ErrCode
	}{
		"4.2 frame too large":                {raw(http2.FrameData, 0, 1, strings.Repeat("x", 20_001)), size},
		"6.1 DATA on stream 0":               {raw(http2.FrameData, 0, 0, "x"), protocol},
		"5.1 DATA on an idle stream":         {raw(http2.FrameData, 0, 5, "x"), protocol},
		"5.1 DATA on a server's stream":      {raw(http2.FrameData, 0, 2, "x"), protocol},
		"6.1 DATA without its pad length":    {raw(http2.FrameData, http2.FlagDataPadded, 1, ""), size},
		"6.1 DATA with too much padding":     {raw(http2.FrameData, http2.FlagDataPadded, 1, "\x03ab"), protocol},
		"6.2 HEADERS on stream 0":            {raw(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 0, "\x88"), protocol},
		"5.1 HEADERS on an idle stream":      {raw(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 5, "\x88"), protocol},
		"5.1 HEADERS on a server's stream":   {raw(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 2, "\x88"), protocol},
		"5.1 bad HEADERS on an idle stream":  {raw(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 5, "\x00\x01X\x01a"), protocol},
		"6.2 HEADERS without its pad length": {raw(http2.FrameHeaders, http2.FlagHeadersEndHeaders|http2.FlagHeadersPadded, 1, ""), size},
		"6.2 HEADERS without its priority":   {raw(http2.FrameHeaders, http2.FlagHeadersEndHeaders|http2.FlagHeadersPriority, 1, "1234"), size},
		"6.2 HEADERS with too much padding":  {raw(http2.FrameHeaders, http2.FlagHeadersEndHeaders|http2.FlagHeadersPadded, 1, "\x05\x88"), protocol},
		"4.3 HPACK index":                    {raw(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 1, "\xff\xff\xff"), http2.ErrCodeCompression},
		"4.3 HPACK Huffman":                  {raw(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 1, "\x00\x81\x00\x01a"), http2.ErrCodeCompression},
		"4.3 HPACK cut":                      {raw(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 1, "\x40\x0aabc"), http2.ErrCodeCompression},
		"4.3 HPACK table size":               {raw(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 1, "\x3f\xff\xff\x7f"), http2.ErrCodeCompression},
		"4.3 header block interrupted": {func(p *peer) {
			raw(http2.FrameHeaders, 0, 1, "\x88")(p)
			raw(http2.FramePing, 0, 0, "12345678")(p)
		}, protocol},
		"6.10 CONTINUATION of another stream": {func(p *peer) {
			raw(http2.FrameHeaders, 0, 1, "\x88")(p)
			raw(http2.FrameContinuation, http2.FlagContinuationEndHeaders, 3, "\x88")(p)
		}, protocol},
		"6.10 CONTINUATION alone": {raw(http2.FrameContinuation, http2.FlagContinuationEndHeaders, 1, "\x88"), protocol},
		"6.10 CONTINUATION after an invalid field": {func(p *peer) {
			raw(http2.FrameHeaders, 0, 1, "\x00\x01X\x01a")(p)
			raw(http2.FrameContinuation, http2.FlagContinuationEndHeaders, 1, "\x88")(p)
		}, protocol},
		"10.5.1 CONTINUATION flood, empty": {func(p *peer) {
			raw(http2.FrameHeaders, 0, 1, "\x88")(p)
			for p.fr.WriteContinuation(1, false, nil) == nil {
			}
		}, http2.ErrCodeEnhanceYourCalm},
		"10.5.1 CONTINUATION flood": {func(p *peer) {
			raw(http2.FrameHeaders, 0, 1, "\x88")(p)
			for p.fr.WriteContinuation(1, false, []byte("\x00\x01a\x7f\x00"+strings.Repeat("b", 127))) == nil {
			}
		}, protocol},
		"6.4 RST_STREAM on stream 0":             {raw(http2.FrameRSTStream, 0, 0, "1234"), protocol},
		"6.4 RST_STREAM on an idle stream":       {raw(http2.FrameRSTStream, 0, 7, "1234"), protocol},
		"6.4 RST_STREAM size":                    {raw(http2.FrameRSTStream, 0, 1, "123"), size},
		"8.4 PUSH_PROMISE":                       {raw(http2.FramePushPromise, http2.FlagPushPromiseEndHeaders, 1, "\x00\x00\x00\x02\x88"), protocol},
		"6.6 PUSH_PROMISE, malformed":            {raw(http2.FramePushPromise, http2.FlagPushPromisePadded, 1, ""), protocol},
		"6.3 PRIORITY on stream 0":               {raw(http2.FramePriority, 0, 0, "12345"), protocol},
		"6.3 PRIORITY size":                      {raw(http2.FramePriority, 0, 1, "1234"), size},
		"RFC 9218, 7.1 PRIORITY_UPDATE":          {raw(http2.FramePriorityUpdate, 0, 0, "\x00\x00\x00\x01u=1"), protocol},
		"6.7 PING size":                          {raw(http2.FramePing, 0, 0, "1234567"), size},
		"6.7 PING on a stream":                   {raw(http2.FramePing, 0, 1, "12345678"), protocol},
		"6.5 SETTINGS size":                      {raw(http2.FrameSettings, 0, 0, "12345"), size},
		"6.5 SETTINGS on a stream":               {raw(http2.FrameSettings, 0, 1, ""), protocol},
		"6.5 SETTINGS acknowledgement size":      {raw(http2.FrameSettings, http2.FlagSettingsAck, 0, "123456"), size},
		"6.5.2 SETTINGS push":                    {setting(http2.SettingEnablePush, 1), protocol},
		"6.5.2 SETTINGS push 2":                  {setting(http2.SettingEnablePush, 2), protocol},
		"6.5.2 SETTINGS frame size too small":    {setting(http2.SettingMaxFrameSize, 16383), protocol},
		"6.5.2 SETTINGS frame size too large":    {setting(http2.SettingMaxFrameSize, 1<<24), protocol},
		"6.5.2 SETTINGS window too large":        {setting(http2.SettingInitialWindowSize, 1<<31), flow},
		"RFC 8441, 3 SETTINGS connect 2":         {setting(http2.SettingEnableConnectProtocol, 2), protocol},
		"RFC 8441, 3 SETTINGS connect withdrawn": {setting(http2.SettingEnableConnectProtocol, 0), protocol},
		"6.9 WINDOW_UPDATE size":                 {raw(http2.FrameWindowUpdate, 0, 1, "123"), size},
		"6.9 WINDOW_UPDATE of 0":                 {raw(http2.FrameWindowUpdate, 0, 0, "\x00\x00\x00\x00"), protocol},
		"5.1 WINDOW_UPDATE on an idle stream":    {raw(http2.FrameWindowUpdate, 0, 5, "\x00\x00\x00\x01"), protocol},
		"5.1 WINDOW_UPDATE of 0 on an idle":      {raw(http2.FrameWindowUpdate, 0, 5, "\x00\x00\x00\x00"), protocol},
		"6.9.1 WINDOW_UPDATE too large":          {raw(http2.FrameWindowUpdate, 0, 0, "\x7f\xff\xff\xff"), flow},
		"6.8 GOAWAY size":                        {raw(http2.FrameGoAway, 0, 0, "1234567"), size},
		"6.8 GOAWAY on a stream":                 {raw(http2.FrameGoAway, 0, 1, "12345678"), protocol},
		"6.9.2 SETTINGS make a window overflow": {func(p *peer) {
			p.is.NoErr(p.fr.WriteWindowUpdate(1, 1<<31-1-65535))
			setting(http2.SettingInitialWindowSize, 65536)(p)
		}, flow},
	} {
		t.Run(name, func(t *testing.T) {
			var counted []string
			cfg := Config{Settings: http.HTTP2Config{
				MaxReadFrameSize: 20_000,
				CountError:       func(e string) { counted = append(counted, e) },
			}}
			bubble(t, cfg, nil, func(is *is.I, c *Conn, p *peer) {
				p.pump()
				s := p.open(c)
				p.open(c)
				go tt.bad(&peer{is: is, nc: p.nc, fr: p.fr}) // may block when the client has had enough
				_, err := io.Copy(io.Discard, s)
				var ce ConnError
				is.True(errors.As(err, &ce))
				is.Equal(ce.Code, tt.code)
				is.True(ce.Reason != "")
				f := p.want(http2.FrameGoAway)
				is.Equal(f.code(), tt.code)
				is.Equal(string(f.payload[8:]), ce.Reason)
				p.wantEnd()
				<-c.Done()
				is.Equal(c.Err(), err)
				is.Equal(counted, []string{"conn_" + strings.ToLower(tt.code.String())})
				is.Equal(len(c.streams), 0)
				is.Equal(c.inUse, 0)
			})
		})
	}
}

// The connection's window is given back by halves, so that it takes a large frame to overrun it.
func TestConnWindowOverrun(t *testing.T) {
	cfg := Config{Settings: http.HTTP2Config{MaxReadFrameSize: 1 << 17, MaxReceiveBufferPerConnection: 65535}}
	bubble(t, cfg, nil, func(is *is.I, c *Conn, p *peer) {
		p.pump()
		s := p.open(c)
		p.data(s.id, false, strings.Repeat("x", 30_000))
		go p.fr.WriteData(s.id, false, make([]byte, 35_536)) // which fails when the client closes
		f := p.want(http2.FrameGoAway)
		is.Equal(f.code(), http2.ErrCodeFlowControl)
		n, err := io.Copy(io.Discard, s)
		is.Equal(n, int64(30_000))
		isText(is, err, "DATA beyond the connection's window")
	})
}

// Frames that may come at any time and mean nothing here.
func TestIgnored(t *testing.T) {
	bubble(t, Config{}, nil, func(is *is.I, c *Conn, p *peer) {
		p.pump()
		s := p.open(c)
		is.NoErr(p.fr.WriteRawFrame(0xbe, 0xff, 1, []byte("extension")))
		is.NoErr(p.fr.WriteRawFrame(0x0c, 0, 0, []byte("example.com"))) // ORIGIN
		is.NoErr(p.fr.WriteRawFrame(0xff, 0, 4, nil))
		is.NoErr(p.fr.WritePriority(9, http2.PriorityParam{StreamDep: 1, Weight: 3}))
		is.NoErr(p.fr.WriteSettingsAck())
		p.settings(http2.Setting{ID: 0x99, Val: 1}, http2.Setting{ID: http2.SettingEnablePush, Val: 0})
		p.data(s.id, false, "x")
		is.Equal(readString(is, s, 1), "x")
	})
}

// A peer that asks for answers and reads none is cut off before they pile up.
func TestAnswersBounded(t *testing.T) {
	for name, ask := range map[string]func(p *peer) error{
		"PING":     func(p *peer) error { return p.fr.WritePing(false, [8]byte{}) },
		"SETTINGS": func(p *peer) error { return p.fr.WriteSettings() },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, Config{}, nil, func(is *is.I, c *Conn, p *peer) {
				n := 0
				for ask(p) == nil {
					n++
				}
				is.True(n > 1000)
				is.True(n < 10_000)
				<-c.Done()
				var ce ConnError
				is.True(errors.As(c.Err(), &ce))
				is.Equal(ce.Code, http2.ErrCodeEnhanceYourCalm)
			})
		})
	}
}

// One that reads them may ask as often as it likes.
func TestAnswersUnbounded(t *testing.T) {
	bubble(t, Config{}, nil, func(is *is.I, c *Conn, p *peer) {
		p.pump()
		for range 10_000 {
			p.alive()
		}
	})
}

// A peer that resets each stream at once leaves nothing behind.
func TestResetFlood(t *testing.T) {
	bubble(t, Config{}, nil, func(is *is.I, c *Conn, p *peer) {
		p.pump()
		for i := range 1000 {
			r := connect(context.Background(), c)
			id, _ := p.wantRequest()
			is.NoErr(p.fr.WriteRSTStream(id, http2.ErrCode(i)))
			is.NoErr(p.fr.WriteRSTStream(id, http2.ErrCode(i)))
			isReset(is, (<-r).err, http2.ErrCode(i), true)
		}
		is.Equal(len(c.streams), 0)
		p.wantIdle()
	})
}

func TestErrorTexts(t *testing.T) {
	is := is.New(t)
	for want, err := range map[string]error{
		"http2: stream reset by the server: CANCEL":             StreamError{Code: http2.ErrCodeCancel},
		"http2: stream reset: PROTOCOL_ERROR: why":              StreamError{http2.ErrCodeProtocol, "why"},
		"http2: connection error: FLOW_CONTROL_ERROR: why":      ConnError{http2.ErrCodeFlowControl, "why"},
		"http2: the server is going away: NO_ERROR":             GoAwayError{},
		`http2: the server is going away: NO_ERROR: "restart"`:  GoAwayError{Debug: "restart"},
		`http2: the server is going away: NO_ERROR: "max_age"`:  GoAwayError{Debug: "max_age"},
		"http2: stream reset by the server: unknown error code": StreamError{Code: 99},
	} {
		is.True(strings.HasPrefix(err.Error(), want))
	}
	for _, debug := range []string{"t0ken", "authorization: Bearer secret", "a b c d e f", strings.Repeat("x", 1000), "two\nlines"} {
		is.Equal(GoAwayError{Debug: debug}.Error(), "http2: the server is going away: NO_ERROR")
	}
	is.Equal(errorToken("x_", 99), "x_unknown")
	is.True(!errors.Is(StreamError{http2.ErrCodeRefusedStream, "by this side"}, ErrNotProcessed))
	is.True(errors.Is(fmt.Errorf("x: %w", StreamError{Code: http2.ErrCodeRefusedStream}), ErrNotProcessed))
	for _, err := range []error{StreamError{Code: http2.ErrCodeHTTP11Required}, GoAwayError{Code: http2.ErrCodeHTTP11Required}} {
		is.True(errors.Is(err, ErrHTTP11Required))
		is.True(!errors.Is(err, ErrNotProcessed))
	}
	is.True(!errors.Is(StreamError{http2.ErrCodeHTTP11Required, "by this side"}, ErrHTTP11Required))
	is.True(!errors.Is(GoAwayError{}, ErrHTTP11Required))
}
