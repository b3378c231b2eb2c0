package h2

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matryer/is"
	"golang.org/x/net/http2"
)

func TestOnIdle(t *testing.T) {
	var idle []*Conn
	cfg := Config{OnIdle: func(c *Conn) { idle = append(idle, c) }}
	bubble(t, cfg, nil, func(is *is.I, c *Conn, p *peer) {
		p.pump()
		a, b := p.open(c), p.open(c)
		is.True(!c.CloseIfIdle())
		is.NoErr(a.Close())
		is.Equal(len(idle), 0)
		is.NoErr(b.Close())
		is.Equal(idle, []*Conn{c})
		is.NoErr(b.Close())
		is.Equal(len(idle), 1)
		d := p.openAfter(c, http2.FrameData, http2.FrameRSTStream, http2.FrameData, http2.FrameRSTStream)
		is.NoErr(p.fr.WriteRSTStream(d.id, http2.ErrCodeCancel))
		synctest.Wait()
		is.Equal(len(idle), 2)
		p.open(c)
		p.nc.Close()
		synctest.Wait()
		is.Equal(len(idle), 3)
		is.True(c.CloseIfIdle()) // it is over
	})
}

// openAfter is open after frames of the given types.
func (p *peer) openAfter(c *Conn, types ...http2.FrameType) *Stream {
	for _, t := range types {
		p.want(t)
	}
	return p.open(c)
}

func TestPing(t *testing.T) {
	bubble(t, Config{}, nil, func(is *is.I, c *Conn, p *peer) {
		p.pump()
		p.alive()
		is.NoErr(p.fr.WritePing(true, [8]byte{}))
		p.alive()
	})
}

func TestKeepalive(t *testing.T) {
	cfg := Config{Settings: http.HTTP2Config{SendPingTimeout: 10 * time.Second, PingTimeout: 3 * time.Second}}
	ping := func(is *is.I, p *peer) frame {
		f := p.want(http2.FramePing)
		is.True(!f.Flags.Has(http2.FlagPingAck))
		return f
	}
	t.Run("answered", func(t *testing.T) {
		bubble(t, cfg, nil, func(is *is.I, c *Conn, p *peer) {
			p.pump()
			for range 5 {
				start := time.Now()
				f := ping(is, p)
				is.Equal(time.Since(start), 10*time.Second)
				is.NoErr(p.fr.WritePing(true, [8]byte(f.payload)))
			}
		})
	})
	t.Run("not answered", func(t *testing.T) {
		bubble(t, cfg, nil, func(is *is.I, c *Conn, p *peer) {
			p.pump()
			s := p.open(c)
			start := time.Now()
			ping(is, p)
			_, err := s.Read(make([]byte, 1))
			is.True(errors.Is(err, ErrPingTimeout))
			is.Equal(time.Since(start), 13*time.Second)
			<-c.Done()
			is.True(errors.Is(c.Err(), ErrPingTimeout))
		})
	})
	t.Run("data instead of an answer", func(t *testing.T) {
		bubble(t, cfg, nil, func(is *is.I, c *Conn, p *peer) {
			p.pump()
			s := p.open(c)
			ping(is, p)
			time.Sleep(2 * time.Second)
			start := time.Now()
			p.data(s.id, false, "x")
			is.Equal(readString(is, s, 1), "x")
			ping(is, p)
			is.Equal(time.Since(start), 10*time.Second)
			time.Sleep(2999 * time.Millisecond)
			is.NoErr(c.Err())
			time.Sleep(2 * time.Millisecond)
			is.True(errors.Is(c.Err(), ErrPingTimeout))
		})
	})
	t.Run("traffic", func(t *testing.T) {
		bubble(t, cfg, nil, func(is *is.I, c *Conn, p *peer) {
			p.pump()
			for range 20 {
				time.Sleep(9 * time.Second)
				is.NoErr(p.fr.WritePing(true, [8]byte{}))
			}
			p.wantIdle()
		})
	})
	t.Run("off", func(t *testing.T) {
		bubble(t, Config{}, nil, func(is *is.I, c *Conn, p *peer) {
			p.pump()
			time.Sleep(24 * time.Hour)
			p.wantIdle()
		})
	})
}

func TestWriteByteTimeout(t *testing.T) {
	cfg := Config{Settings: http.HTTP2Config{WriteByteTimeout: 7 * time.Second}}
	bubble(t, cfg, nil, func(is *is.I, c *Conn, p *peer) {
		result := connect(context.Background(), c)
		id, _ := p.wantRequest()
		p.headers(id, false, ":status", "200")
		s := (<-result).s
		_, err := s.Write([]byte("0123456789"))
		is.NoErr(err)
		one := make([]byte, 1)
		for range 10 { // a byte now and then is progress
			time.Sleep(3 * time.Second)
			_, err := p.nc.Read(one)
			is.NoErr(err)
		}
		is.NoErr(c.Err())
		time.Sleep(14 * time.Second)
		is.True(errors.Is(c.Err(), os.ErrDeadlineExceeded))
		_, err = s.Read(one)
		is.True(errors.Is(err, os.ErrDeadlineExceeded))
	})
}

func TestGoAway(t *testing.T) {
	bubble(t, Config{}, nil, func(is *is.I, c *Conn, p *peer) {
		p.pump()
		a := p.open(c)
		b := connect(context.Background(), c)
		id, _ := p.wantRequest()
		is.NoErr(p.fr.WriteGoAway(1, http2.ErrCodeEnhanceYourCalm, []byte("slow\xffdown")))
		o := <-b
		want := GoAwayError{1, http2.ErrCodeEnhanceYourCalm, "slow\uFFFDdown"}
		var away GoAwayError
		is.True(errors.As(o.err, &away))
		is.Equal(away, want)
		is.True(errors.Is(o.err, ErrNotProcessed))
		p.headers(id, false, ":status", "200") // of no interest any more
		is.True(!c.Available())

		o = <-connect(context.Background(), c)
		is.True(errors.Is(o.err, ErrNotProcessed))
		is.True(errors.As(o.err, &away))

		p.data(a.id, false, "goes on")
		is.Equal(readString(is, a, 7), "goes on")
		_, err := a.Write([]byte("indeed"))
		is.NoErr(err)
		is.Equal(string(p.want(http2.FrameData).payload), "indeed")

		p.nc.Close()
		_, err = a.Read(make([]byte, 1))
		is.True(errors.Is(err, io.ErrUnexpectedEOF))
		is.True(!errors.Is(err, ErrNotProcessed))
		isText(is, err, "after GOAWAY with ENHANCE_YOUR_CALM")
	})
}

// A graceful shutdown announces itself with the largest stream identifier first.
func TestGoAwayTwice(t *testing.T) {
	bubble(t, Config{}, nil, func(is *is.I, c *Conn, p *peer) {
		p.pump()
		a, b := p.open(c), p.open(c)
		is.NoErr(p.fr.WriteGoAway(1<<31-1, http2.ErrCodeNo, nil))
		p.alive()
		is.True(!c.Available())
		p.data(b.id, false, "x")
		is.Equal(readString(is, b, 1), "x")
		is.NoErr(p.fr.WriteGoAway(a.id, http2.ErrCodeNo, nil))
		_, err := b.Read(make([]byte, 1))
		is.True(errors.Is(err, ErrNotProcessed))
		_, err = b.Write([]byte("x"))
		is.True(errors.Is(err, ErrNotProcessed))
		p.data(a.id, false, "y")
		is.Equal(readString(is, a, 1), "y")
	})
}

func TestConnectionLost(t *testing.T) {
	bubble(t, Config{}, nil, func(is *is.I, c *Conn, p *peer) {
		p.pump()
		a := p.open(c)
		waiting := connect(context.Background(), c)
		id, _ := p.wantRequest()
		is.Equal(id, uint32(3))
		p.data(a.id, false, "last words")
		p.nc.Close()
		err := (<-waiting).err
		is.True(errors.Is(err, io.ErrUnexpectedEOF))
		is.True(!errors.Is(err, ErrNotProcessed)) // it may have been
		_, err = a.Write([]byte("x"))
		is.True(errors.Is(err, io.ErrUnexpectedEOF))
		is.Equal(readString(is, a, 10), "last words")
		_, err = a.Read(make([]byte, 1))
		is.True(errors.Is(err, io.ErrUnexpectedEOF))
		<-c.Done()
		is.NoErr(a.Close())
	})
}

// What had arrived of a frame when the connection was lost is not lost.
func TestConnectionLostInFrame(t *testing.T) {
	for name, part := range map[string]string{
		"header":  "\x00\x00\x0a\x00",
		"DATA":    "\x00\x00\x0a\x00\x00\x00\x00\x00\x01",
		"padding": "\x00\x00\x0a\x00\x08\x00\x00\x00\x01",
		"HEADERS": "\x00\x00\x0a\x01\x05\x00\x00\x00\x01\x88",
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, Config{}, nil, func(is *is.I, c *Conn, p *peer) {
				p.pump()
				s := p.open(c)
				_, err := p.nc.Write([]byte(part))
				is.NoErr(err)
				if name == "DATA" {
					_, err = p.nc.Write([]byte("half"))
					is.NoErr(err)
				}
				p.nc.Close()
				b, err := io.ReadAll(s)
				is.True(errors.Is(err, io.ErrUnexpectedEOF))
				is.Equal(string(b), map[string]string{"DATA": "half"}[name])
			})
		})
	}
}

// A connection may end between the moment a place is reserved and that of its use.
func TestPlaceLost(t *testing.T) {
	bubble(t, Config{}, nil, func(is *is.I, c *Conn, p *peer) {
		p.pump()
		p.alive()
		try := func() error {
			_, _, err := c.connect(context.Background(), request("https://example.com/"))
			return err
		}
		is.NoErr(c.reserve())
		is.NoErr(c.reserve())
		is.NoErr(p.fr.WriteGoAway(0, http2.ErrCodeNo, nil))
		synctest.Wait()
		is.Equal(try(), GoAwayError{})
		is.NoErr(c.Close())
		err := try()
		is.True(errors.Is(err, ErrNotProcessed))
		is.True(errors.Is(err, net.ErrClosed))
		is.Equal(c.inUse, 0)
	})
}

// The I/O error itself reaches the streams.
func TestConnectionReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		client, server := net.Pipe()
		c := NewConn(&failingConn{Conn: client, err: syscall.ECONNRESET}, Config{})
		_, _, err := c.Connect(context.Background(), request("https://example.com/"))
		is.True(errors.Is(err, syscall.ECONNRESET))
		<-c.Done()
		server.Close()
	})
}

type failingConn struct {
	net.Conn
	err error
}

func (f *failingConn) Read([]byte) (int, error) { return 0, f.err }

func TestCloseConn(t *testing.T) {
	bubble(t, Config{}, nil, func(is *is.I, c *Conn, p *peer) {
		p.pump()
		a := p.open(c)
		waiting := connect(context.Background(), c)
		p.wantRequest()
		_, err := a.Write([]byte("before"))
		is.NoErr(err)
		is.NoErr(c.Close())
		is.NoErr(c.Close())
		is.Equal(string(p.want(http2.FrameData).payload), "before")
		is.Equal(p.want(http2.FrameGoAway).code(), http2.ErrCodeNo)
		p.wantEnd()
		is.Equal((<-waiting).err, net.ErrClosed)
		_, err = a.Read(make([]byte, 1))
		is.Equal(err, net.ErrClosed)
		_, err = a.Write([]byte("x"))
		is.Equal(err, net.ErrClosed)
		<-c.Done()
	})
}

// A peer that reads nothing does not hold a closing connection up for long.
func TestCloseConnStuckPeer(t *testing.T) {
	bubble(t, Config{}, nil, func(is *is.I, c *Conn, p *peer) {
		s := p.open(c)
		_, err := s.Write([]byte("nobody reads this"))
		is.NoErr(err)
		start := time.Now()
		is.NoErr(c.Close())
		is.Equal(time.Since(start), time.Duration(0))
		<-c.Done()
		is.Equal(time.Since(start), time.Second)
	})
}
