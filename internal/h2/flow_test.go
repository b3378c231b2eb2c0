package h2

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/matryer/is"
	"golang.org/x/net/http2"
)

func window(n uint32) []http2.Setting {
	return []http2.Setting{{ID: http2.SettingInitialWindowSize, Val: n}}
}

// sent is how many bytes of DATA the client has sent until nothing more comes.
func (p *peer) sent() int {
	n := 0
	synctest.Wait()
	for len(p.frames) > 0 {
		n += int(p.want(http2.FrameData).Length)
		synctest.Wait()
	}
	return n
}

func TestSendStreamWindow(t *testing.T) {
	bubble(t, Config{}, window(10), func(is *is.I, c *Conn, p *peer) {
		p.pump()
		s := p.open(c)
		done := make(chan int)
		go func() {
			n, err := s.Write(make([]byte, 100))
			is.NoErr(err)
			done <- n
		}()
		is.Equal(p.sent(), 10)
		is.NoErr(p.fr.WriteWindowUpdate(s.id, 5))
		is.Equal(p.sent(), 5)
		is.NoErr(p.fr.WriteWindowUpdate(0, 1000))
		is.Equal(p.sent(), 0)

		// The initial window changes for streams that are open (RFC 9113, section 6.9.2): the
		// window becomes -10, and an update brings it to 0, then 1.
		p.settings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
		is.Equal(s.sendWindow, int64(-10))
		is.NoErr(p.fr.WriteWindowUpdate(s.id, 10))
		is.Equal(p.sent(), 0)
		is.NoErr(p.fr.WriteWindowUpdate(s.id, 1))
		is.Equal(p.sent(), 1)
		is.NoErr(p.fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 20}))
		sent := 0
		for sent < 20 {
			f := p.next()
			if f.Type == http2.FrameData {
				sent += int(f.Length)
			}
		}
		is.Equal(sent, 20)
		is.NoErr(p.fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 30}))
		is.Equal(<-done, 100)
	})
}

func TestSendConnectionWindow(t *testing.T) {
	bubble(t, Config{}, window(1<<20), func(is *is.I, c *Conn, p *peer) {
		p.pump()
		a, b := p.open(c), p.open(c)
		for _, s := range []*Stream{a, b} {
			go func() {
				_, err := s.Write(make([]byte, 100_000))
				is.NoErr(err)
			}()
		}
		is.Equal(p.sent(), 65535)
		is.NoErr(p.fr.WriteWindowUpdate(0, 1000))
		is.Equal(p.sent(), 1000)
		is.NoErr(p.fr.WriteWindowUpdate(0, 1<<20))
		is.Equal(p.sent(), 200_000-66535)
	})
}

func TestSendFrameSize(t *testing.T) {
	for _, size := range []uint32{16384, 20_000, 1<<24 - 1} {
		settings := append(window(1<<30), http2.Setting{ID: http2.SettingMaxFrameSize, Val: size})
		bubble(t, Config{}, settings, func(is *is.I, c *Conn, p *peer) {
			p.pump()
			s := p.open(c)
			is.NoErr(p.fr.WriteWindowUpdate(0, 1<<30))
			go s.Write(make([]byte, 1<<20))
			total, largest := 0, uint32(0)
			for total < 1<<20 {
				f := p.want(http2.FrameData)
				total += int(f.Length)
				largest = max(largest, f.Length)
			}
			is.Equal(largest, min(size, maxQueued-frameHeaderLen))
		})
	}
}

// Streams that want to send more than the connection takes have their turns.
func TestSendFair(t *testing.T) {
	bubble(t, Config{}, window(1<<30), func(is *is.I, c *Conn, p *peer) {
		p.pump()
		const n, each = 5, 50 * 16384
		var streams []*Stream
		for range n {
			streams = append(streams, p.open(c))
		}
		for _, s := range streams {
			go s.Write(make([]byte, each))
		}
		is.Equal(p.sent(), 65535)
		for range 20 {
			is.NoErr(p.fr.WriteWindowUpdate(0, n*16384))
			got := map[uint32]int{}
			for total := 0; total < n*16384; {
				f := p.want(http2.FrameData)
				total += int(f.Length)
				got[f.StreamID] += int(f.Length)
			}
			is.Equal(len(got), n) // each of them, and none much more
			for _, sent := range got {
				is.True(sent <= 2*16384)
			}
		}
	})
}

// A writer whose turn it is and who gives up lets the next one go on.
func TestSendTurnAbandoned(t *testing.T) {
	bubble(t, Config{}, window(1<<30), func(is *is.I, c *Conn, p *peer) {
		p.pump()
		a, b := p.open(c), p.open(c)
		_, err := a.Write(make([]byte, 65535)) // all of the connection's window
		is.NoErr(err)
		is.Equal(p.sent(), 65535)
		for _, s := range []*Stream{a, b} {
			go s.Write([]byte{1})
			synctest.Wait()
		}
		is.Equal(c.turns, []*Stream{a, b})
		is.NoErr(a.Close())
		is.True(p.want(http2.FrameData).Flags.Has(http2.FlagDataEndStream))
		p.want(http2.FrameRSTStream)
		is.NoErr(p.fr.WriteWindowUpdate(0, 1))
		f := p.want(http2.FrameData)
		is.Equal(f.StreamID, b.id)
		is.Equal(len(c.turns), 0)
	})
}

// A peer that does not read makes writers wait, at a bound, and not the reader.
func TestSendBackpressure(t *testing.T) {
	bubble(t, Config{}, window(1<<30), func(is *is.I, c *Conn, p *peer) {
		s := p.open(c)
		is.NoErr(p.fr.WriteWindowUpdate(0, 1<<30))
		written := 0
		go func() {
			for {
				n, err := s.Write(make([]byte, 1000))
				if err != nil {
					return
				}
				written += n
			}
		}()
		synctest.Wait()
		is.True(written <= 2*maxQueued)
		is.True(written > maxQueued/2)
		p.data(s.id, false, "still reading")
		is.Equal(readString(is, s, 13), "still reading")
	})
}

// The peer gets the stream's window back as the reader takes the data, not before.
func TestReceiveStreamWindow(t *testing.T) {
	cfg := Config{Settings: http.HTTP2Config{MaxReceiveBufferPerStream: 1000}}
	bubble(t, cfg, nil, func(is *is.I, c *Conn, p *peer) {
		p.pump()
		s := p.open(c)
		p.data(s.id, false, strings.Repeat("x", 1000))
		p.wantIdle()
		readString(is, s, 499)
		p.wantIdle()
		readString(is, s, 1)
		f := p.want(http2.FrameWindowUpdate)
		is.Equal(f.StreamID, s.id)
		is.Equal(f.uint32(), uint32(500))
		p.data(s.id, false, strings.Repeat("y", 500))
		synctest.Wait()
		readString(is, s, 1000)
		is.Equal(p.want(http2.FrameWindowUpdate).uint32(), uint32(1000))

		// Padding counts, and nobody reads it: its length byte and 255 bytes.
		for range 2 {
			is.NoErr(p.fr.WriteDataPadded(s.id, false, nil, make([]byte, 255)))
		}
		is.Equal(p.want(http2.FrameWindowUpdate).uint32(), uint32(512))
		p.data(s.id, false, strings.Repeat("z", 1000))
		readString(is, s, 1000)
		p.want(http2.FrameWindowUpdate)
		p.data(s.id, true, strings.Repeat("z", 1000))
		p.alive()
		readString(is, s, 1000)
		p.wantIdle() // no use after END_STREAM
	})
}

// A slow stream fills its own window and no other: the connection's is given back on arrival.
func TestSlowStreamStallsNoOther(t *testing.T) {
	cfg := Config{Settings: http.HTTP2Config{MaxReceiveBufferPerStream: 100_000, MaxReceiveBufferPerConnection: 100_000}}
	bubble(t, cfg, nil, func(is *is.I, c *Conn, p *peer) {
		p.pump()
		slow, fast := p.open(c), p.open(c)
		credit := 100_000
		send := func(s *Stream, n int) {
			for credit < n {
				f := p.want(http2.FrameWindowUpdate)
				if f.StreamID == 0 {
					credit += int(f.uint32())
				}
			}
			credit -= n
			p.data(s.id, false, strings.Repeat("x", n))
		}
		for range 10 {
			send(slow, 10_000)
		}
		for range 100 {
			send(fast, 10_000)
			readString(is, fast, 10_000)
		}
		readString(is, slow, 100_000)
	})
}

// DATA for a stream that is over is dropped, and the connection's window given back.
func TestReceiveAfterClose(t *testing.T) {
	cfg := Config{Settings: http.HTTP2Config{MaxReceiveBufferPerConnection: 65535}}
	bubble(t, cfg, nil, func(is *is.I, c *Conn, p *peer) {
		p.pump()
		s := p.open(c)
		is.NoErr(s.Close())
		p.want(http2.FrameData)
		p.want(http2.FrameRSTStream)
		for range 10 {
			for range 2 {
				p.data(s.id, false, strings.Repeat("x", 16384))
			}
			f := p.want(http2.FrameWindowUpdate)
			is.Equal(f.StreamID, uint32(0))
			is.Equal(f.uint32(), uint32(32768))
		}
		p.headers(s.id, true, "late", "trailers")
		is.NoErr(p.fr.WriteWindowUpdate(s.id, 1))
		is.NoErr(p.fr.WriteRSTStream(s.id, http2.ErrCodeCancel))
		p.alive()
	})
}

// An idle stream holds none of the buffers, nor does an idle connection hold what it wrote from.
func TestIdleHoldsNoBuffer(t *testing.T) {
	bubble(t, Config{}, nil, func(is *is.I, c *Conn, p *peer) {
		p.pump()
		s := p.open(c)
		p.data(s.id, false, strings.Repeat("x", 60_000))
		p.data(s.id, false, strings.Repeat("x", 60_000))
		p.alive()
		is.True(!s.data.empty())
		readString(is, s, 120_000)
		_, err := s.Write(make([]byte, 60_000))
		is.NoErr(err)
		synctest.Wait()
		is.Equal(s.data, buffer{})
		is.Equal(c.out, nil)
	})
}
