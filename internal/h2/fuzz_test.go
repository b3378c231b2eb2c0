package h2

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matryer/is"
	"golang.org/x/net/http2"
)

// FuzzConn feeds a client whatever a server might send after its first SETTINGS, in any pieces. The client must
// end, with all its goroutines, keep its buffers within their windows, and send nothing but valid
// frames in a valid order.
func FuzzConn(f *testing.F) {
	seed := func(write func(fr *http2.Framer)) {
		var b bytes.Buffer
		fr := http2.NewFramer(&b, nil)
		fr.AllowIllegalWrites = true
		write(fr)
		f.Add(b.Bytes(), []byte{})
		f.Add(b.Bytes(), []byte{0, 8, 3})
	}
	headers := func(fr *http2.Framer, id uint32, block string, end bool) {
		fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: []byte(block), EndHeaders: true, EndStream: end})
	}
	seed(func(fr *http2.Framer) {
		headers(fr, 1, "\x88", false)
		fr.WriteData(1, false, bytes.Repeat([]byte("x"), 1000))
		fr.WriteDataPadded(1, true, []byte("y"), make([]byte, 9))
		headers(fr, 3, "\x48\x03403\x5c\x012", false)
		fr.WriteData(3, true, []byte("no"))
	})
	seed(func(fr *http2.Framer) {
		headers(fr, 1, "\x48\x03103", false)
		headers(fr, 1, "\x88\x40\x01a\x01b", false)
		headers(fr, 1, "\xbe", true)
		fr.WriteRSTStream(1, http2.ErrCodeNo)
		fr.WriteGoAway(1, http2.ErrCodeEnhanceYourCalm, []byte("debug"))
	})
	seed(func(fr *http2.Framer) {
		fr.WriteSettings(
			http2.Setting{ID: http2.SettingInitialWindowSize, Val: 10},
			http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1 << 20},
			http2.Setting{ID: http2.SettingHeaderTableSize, Val: 0},
			http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 1},
		)
		fr.WriteWindowUpdate(0, 1<<20)
		fr.WriteWindowUpdate(1, 1<<20)
		fr.WritePing(false, [8]byte{1})
		fr.WritePing(true, [8]byte{1})
		fr.WriteRawFrame(0x20, 0, 1, []byte("unknown"))
		fr.WritePriority(3, http2.PriorityParam{StreamDep: 1})
	})
	seed(func(fr *http2.Framer) {
		fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte("\x40\x01a"), PadLength: 3})
		fr.WriteContinuation(1, false, nil)
		fr.WriteContinuation(1, true, []byte("\x01b"))
		fr.WritePushPromise(http2.PushPromiseParam{StreamID: 1, PromiseID: 2, BlockFragment: []byte("\x88"), EndHeaders: true})
	})
	f.Fuzz(func(t *testing.T, input, cuts []byte) {
		synctest.Test(t, func(t *testing.T) { fuzzConn(t, input, cuts) })
	})
}

func fuzzConn(t *testing.T, input, cuts []byte) {
	is := is.New(t)
	client, server := net.Pipe()
	cfg := Config{}
	cfg.Settings.MaxReceiveBufferPerStream = 2000
	c := NewConn(client, cfg)
	go checkFrames(is, server)
	for i := range 2 {
		go fuzzStream(is, c, i == 0)
	}
	fr := http2.NewFramer(server, nil)
	fr.WriteSettings(http2.Setting{ID: http2.SettingEnableConnectProtocol, Val: 1})
	synctest.Wait()
	for i := 0; i < len(cuts) && len(input) > 0; i++ {
		n := min(1+int(cuts[i]), len(input))
		server.Write(input[:n])
		synctest.Wait() // the client has seen this piece alone
		input = input[n:]
	}
	server.Write(input)
	synctest.Wait()
	c.mu.Lock()
	for _, s := range c.streams {
		is.True(s.recvWindow >= 0)
		is.True(s.recvWindow+s.owed <= 2000)
		is.True(s.sendWindow <= maxWindow)
	}
	is.True(c.sendWindow >= 0)
	is.Equal(len(c.streams), c.inUse)
	c.mu.Unlock()
	server.Close()
	<-c.Done()
	synctest.Wait()
	is.Equal(c.inUse, 0)
}

// fuzzStream opens a stream and writes to it; it reads too, or leaves the stream to fill up.
func fuzzStream(is *is.I, c *Conn, reads bool) {
	resp, s, err := c.Connect(context.Background(), request("https://example.com/"))
	if err != nil {
		return
	}
	is.True(resp.StatusCode >= 200)
	if s == nil {
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		return
	}
	s.SetWriteDeadline(time.Now().Add(time.Hour))
	go s.Write(make([]byte, 10_000))
	if reads {
		n, err := io.Copy(io.Discard, s)
		is.True(n >= 0)
		is.True(!errors.Is(err, io.ErrNoProgress))
	}
	<-c.Done()
	s.Close()
}

// checkFrames reads what the client sends with a Framer that knows the rules.
func checkFrames(is *is.I, server net.Conn) {
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(server, preface); err != nil {
		return
	}
	fr := http2.NewFramer(nil, server)
	ended := map[uint32]bool{}
	for {
		f, err := fr.ReadFrame()
		if err != nil {
			is.True(errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe) || errors.Is(err, io.ErrUnexpectedEOF))
			return
		}
		if d, ok := f.(*http2.DataFrame); ok {
			is.True(!ended[d.StreamID])
			ended[d.StreamID] = d.StreamEnded()
		}
	}
}
