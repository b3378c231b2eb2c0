package h2

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matryer/is"
	"golang.org/x/net/http2"
)

func TestStreamIsNetConn(t *testing.T) {
	bubble(t, Config{}, nil, func(is *is.I, c *Conn, p *peer) {
		p.pump()
		var s net.Conn = p.open(c)
		is.Equal(s.LocalAddr().Network(), "pipe")
		is.Equal(s.RemoteAddr().Network(), "pipe")
		n, err := s.Read(nil)
		is.NoErr(err)
		is.Equal(n, 0)
		n, err = s.Write(nil)
		is.NoErr(err)
		is.Equal(n, 0)
		p.wantIdle()
	})
}

func TestRead(t *testing.T) {
	bubble(t, Config{}, nil, func(is *is.I, c *Conn, p *peer) {
		p.pump()
		s := p.open(c)
		p.data(s.id, false, "ab")
		p.data(s.id, false, "")
		is.NoErr(p.fr.WriteDataPadded(s.id, false, []byte("cd"), make([]byte, 200)))
		p.data(s.id, false, "ef")
		p.alive() // all of it has arrived
		b := make([]byte, 3)
		n, err := s.Read(b)
		is.NoErr(err)
		is.Equal(string(b[:n]), "abc")
		b = make([]byte, 100)
		n, err = s.Read(b)
		is.NoErr(err)
		is.Equal(string(b[:n]), "def")
		p.data(s.id, true, "gh")
		is.Equal(readString(is, s, 2), "gh")
		_, err = s.Read(b)
		is.Equal(err, io.EOF)
		is.Equal(s.WaitReadable(), io.EOF)
	})
}

// Messages larger than any buffer, in frames of every size, come out as they went in.
func TestReadLarge(t *testing.T) {
	bubble(t, Config{}, nil, func(is *is.I, c *Conn, p *peer) {
		p.pump()
		s := p.open(c)
		var want strings.Builder
		for i := range 300 {
			part := strings.Repeat(string(rune('a'+i%26)), i*10)
			want.WriteString(part)
			p.data(s.id, i == 299, part)
		}
		got, err := io.ReadAll(s)
		is.NoErr(err)
		is.True(string(got) == want.String())
	})
}

func TestWaitReadable(t *testing.T) {
	bubble(t, Config{}, nil, func(is *is.I, c *Conn, p *peer) {
		p.pump()
		s := p.open(c)
		result := make(chan error)
		wait := func() { go func() { result <- s.WaitReadable() }(); synctest.Wait() }
		wait()
		is.Equal(len(result), 0)
		p.data(s.id, false, "x")
		is.NoErr(<-result)
		wait()
		is.NoErr(<-result) // until it is read
		is.Equal(readString(is, s, 1), "x")
		is.True(s.data.empty())
		is.NoErr(s.SetReadDeadline(time.Now().Add(time.Second)))
		wait()
		is.Equal(<-result, os.ErrDeadlineExceeded)
		is.NoErr(s.SetReadDeadline(time.Time{}))
		wait()
		is.NoErr(p.fr.WriteRSTStream(s.id, http2.ErrCodeInternal))
		isReset(is, <-result, http2.ErrCodeInternal, true)
		is.NoErr(s.Close())
		is.Equal(s.WaitReadable(), net.ErrClosed)
	})
}

func TestReadDeadline(t *testing.T) {
	bubble(t, Config{}, nil, func(is *is.I, c *Conn, p *peer) {
		p.pump()
		s := p.open(c)
		b := make([]byte, 1)
		for range 2 { // the second time with the same timer
			start := time.Now()
			is.NoErr(s.SetReadDeadline(start.Add(time.Minute)))
			_, err := s.Read(b)
			is.Equal(err, os.ErrDeadlineExceeded)
			is.Equal(time.Since(start), time.Minute)
		}
		p.data(s.id, false, "ab")
		_, err := s.Read(b)
		is.Equal(err, os.ErrDeadlineExceeded) // it stays, as for any net.Conn
		is.NoErr(s.SetReadDeadline(time.Now().Add(time.Minute)))
		is.Equal(readString(is, s, 1), "a")
		is.NoErr(s.SetReadDeadline(time.Now().Add(-time.Second)))
		_, err = s.Read(b)
		is.Equal(err, os.ErrDeadlineExceeded)
		is.NoErr(s.SetReadDeadline(time.Time{}))
		is.Equal(readString(is, s, 1), "b")

		// One that is set, moved, or taken away while Read waits.
		result := make(chan error)
		read := func() {
			go func() { _, err := s.Read(b); result <- err }()
			synctest.Wait()
		}
		read()
		is.NoErr(s.SetReadDeadline(time.Now()))
		is.Equal(<-result, os.ErrDeadlineExceeded)
		is.NoErr(s.SetReadDeadline(time.Now().Add(time.Second)))
		read()
		start := time.Now()
		is.NoErr(s.SetReadDeadline(start.Add(time.Hour)))
		is.Equal(<-result, os.ErrDeadlineExceeded)
		is.Equal(time.Since(start), time.Hour)
		is.NoErr(s.SetReadDeadline(time.Now().Add(time.Second)))
		read()
		is.NoErr(s.SetReadDeadline(time.Time{}))
		time.Sleep(time.Hour)
		p.data(s.id, false, "c")
		is.NoErr(<-result)
		p.alive() // the connection never noticed
	})
}

// A timer that was set again in the moment it fired does not end the later deadline.
func TestDeadlineReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		cond := sync.NewCond(new(sync.Mutex))
		var d deadline
		cond.L.Lock()
		d.set(cond, time.Now().Add(time.Second))
		cond.L.Unlock()
		d.expire(cond)
		passed := func() bool {
			cond.L.Lock()
			defer cond.L.Unlock()
			return d.passed
		}
		is.True(!passed())
		time.Sleep(time.Second)
		synctest.Wait()
		is.True(passed())
	})
}

func TestWriteDeadline(t *testing.T) {
	settings := []http2.Setting{{ID: http2.SettingInitialWindowSize, Val: 3}}
	bubble(t, Config{}, settings, func(is *is.I, c *Conn, p *peer) {
		p.pump()
		s := p.open(c)
		start := time.Now()
		is.NoErr(s.SetDeadline(start.Add(time.Second)))
		n, err := s.Write([]byte("12345"))
		is.Equal(n, 3)
		is.Equal(err, os.ErrDeadlineExceeded)
		is.Equal(time.Since(start), time.Second)
		n, err = s.Write([]byte("4"))
		is.Equal(n, 0)
		is.Equal(err, os.ErrDeadlineExceeded)
		is.Equal(s.CloseWrite(), os.ErrDeadlineExceeded)
		is.NoErr(s.SetDeadline(time.Time{}))
		is.NoErr(p.fr.WriteWindowUpdate(s.id, 2))
		n, err = s.Write([]byte("45"))
		is.Equal(n, 2)
		is.NoErr(err)
		is.Equal(string(p.want(http2.FrameData).payload), "123")
		is.Equal(string(p.want(http2.FrameData).payload), "45")
		p.alive()
	})
}

// Every way in which the two sides of a stream can end, and what Close then sends.
func TestClose(t *testing.T) {
	write := func(is *is.I, s *Stream, text string) {
		_, err := s.Write([]byte(text))
		is.NoErr(err)
	}
	for name, tt := range map[string]struct {
		before func(is *is.I, p *peer, s *Stream)
		want   string // frames of the client, with E for END_STREAM
	}{
		"open":           {func(is *is.I, p *peer, s *Stream) {}, "DATA E, RST_STREAM CANCEL"},
		"after a write":  {func(is *is.I, p *peer, s *Stream) { write(is, s, "x") }, "DATA x, DATA E, RST_STREAM CANCEL"},
		"peer has ended": {func(is *is.I, p *peer, s *Stream) { p.data(s.id, true, "") }, "DATA E"},
		"peer has ended, data unread": {func(is *is.I, p *peer, s *Stream) {
			p.data(s.id, true, "unread")
		}, "DATA E"},
		"this side has ended": {func(is *is.I, p *peer, s *Stream) {
			is.NoErr(s.CloseWrite())
		}, "DATA E, RST_STREAM CANCEL"},
		"both have ended, this side first": {func(is *is.I, p *peer, s *Stream) {
			is.NoErr(s.CloseWrite())
			p.data(s.id, true, "bye")
		}, "DATA E"},
		"both have ended, the peer first": {func(is *is.I, p *peer, s *Stream) {
			p.data(s.id, true, "bye")
			synctest.Wait()
			write(is, s, "bye")
			is.NoErr(s.CloseWrite())
		}, "DATA bye, DATA E"},
		"peer has ended by trailers": {func(is *is.I, p *peer, s *Stream) { p.headers(s.id, true, "x-t", "1") }, "DATA E"},
		"peer has reset": {func(is *is.I, p *peer, s *Stream) {
			is.NoErr(p.fr.WriteRSTStream(s.id, http2.ErrCodeCancel))
		}, ""},
		"message cut": {func(is *is.I, p *peer, s *Stream) {
			is.NoErr(p.fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 2}))
			synctest.Wait()
			is.NoErr(s.SetWriteDeadline(time.Now().Add(time.Second)))
			_, err := s.Write([]byte("1234"))
			is.Equal(err, os.ErrDeadlineExceeded)
		}, "SETTINGS A, DATA 12, RST_STREAM CANCEL"},
		"message cut, peer has ended": {func(is *is.I, p *peer, s *Stream) {
			is.NoErr(p.fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 2}))
			p.data(s.id, true, "")
			synctest.Wait()
			is.NoErr(s.SetWriteDeadline(time.Now().Add(time.Second)))
			_, err := s.Write([]byte("1234"))
			is.Equal(err, os.ErrDeadlineExceeded)
		}, "SETTINGS A, DATA 12, RST_STREAM CANCEL"},
	} {
		t.Run(name, func(t *testing.T) {
			idle := 0
			bubble(t, Config{OnIdle: func(*Conn) { idle++ }}, nil, func(is *is.I, c *Conn, p *peer) {
				p.pump()
				s := p.open(c)
				tt.before(is, p, s)
				synctest.Wait()
				is.NoErr(s.Close())
				is.NoErr(s.Close())
				synctest.Wait()
				var got []string
				for len(p.frames) > 0 {
					f := p.next()
					text := f.Type.String() + " "
					switch {
					case f.Type == http2.FrameRSTStream:
						text += f.code().String()
					case f.Type == http2.FrameSettings:
						text += "A"
					case f.Flags.Has(http2.FlagDataEndStream):
						text += string(f.payload) + "E"
					default:
						text += string(f.payload)
					}
					got = append(got, text)
				}
				is.Equal(strings.Join(got, ", "), tt.want)
				is.Equal(idle, 1)
				is.Equal(len(c.streams), 0)
				is.True(s.data.empty())
				_, err := s.Read(make([]byte, 1))
				is.Equal(err, net.ErrClosed)
				_, err = s.Write([]byte("x"))
				is.Equal(err, net.ErrClosed)
				is.Equal(s.CloseWrite(), net.ErrClosed)
				is.Equal(s.SetDeadline(time.Time{}), net.ErrClosed)
				is.Equal(s.SetWriteDeadline(time.Time{}), net.ErrClosed)
				p.alive()
			})
		})
	}
}

func TestCloseWrite(t *testing.T) {
	bubble(t, Config{}, nil, func(is *is.I, c *Conn, p *peer) {
		p.pump()
		s := p.open(c)
		is.NoErr(s.CloseWrite())
		is.True(p.want(http2.FrameData).Flags.Has(http2.FlagDataEndStream))
		_, err := s.Write([]byte("x"))
		is.Equal(err, net.ErrClosed)
		p.data(s.id, false, "reading goes on")
		is.Equal(readString(is, s, 15), "reading goes on")
		p.data(s.id, true, "")
		_, err = s.Read(make([]byte, 1))
		is.Equal(err, io.EOF)
		is.NoErr(s.SetDeadline(time.Now().Add(time.Hour)))
		synctest.Wait()
		is.Equal(len(c.streams), 0)
	})
}

// Close interrupts calls that wait.
func TestCloseInterrupts(t *testing.T) {
	settings := []http2.Setting{{ID: http2.SettingInitialWindowSize, Val: 1}}
	bubble(t, Config{}, settings, func(is *is.I, c *Conn, p *peer) {
		p.pump()
		s := p.open(c)
		results := make(chan error)
		go func() { _, err := s.Read(make([]byte, 1)); results <- err }()
		go func() { results <- s.WaitReadable() }()
		go func() { _, err := s.Write([]byte("12")); results <- err }()
		synctest.Wait()
		go func() { _, err := s.Write([]byte("34")); results <- err }()
		go func() { results <- s.CloseWrite() }()
		synctest.Wait()
		is.NoErr(s.Close())
		for range 5 {
			is.Equal(<-results, net.ErrClosed)
		}
		p.want(http2.FrameData)
		is.Equal(p.want(http2.FrameRSTStream).code(), http2.ErrCodeCancel)
	})
}

func TestReset(t *testing.T) {
	bubble(t, Config{}, nil, func(is *is.I, c *Conn, p *peer) {
		p.pump()
		s, other := p.open(c), p.open(c)
		p.data(s.id, false, "last words")
		is.NoErr(p.fr.WriteRSTStream(s.id, http2.ErrCodeHTTP11Required))
		synctest.Wait()
		_, err := s.Write([]byte("x"))
		isReset(is, err, http2.ErrCodeHTTP11Required, true)
		is.Equal(readString(is, s, 10), "last words")
		_, err = s.Read(make([]byte, 1))
		isReset(is, err, http2.ErrCodeHTTP11Required, true)
		is.True(!errors.Is(err, ErrNotProcessed))
		p.data(other.id, false, "x")
		is.Equal(readString(is, other, 1), "x")

		r := connect(context.Background(), c)
		id, _ := p.wantRequest()
		is.NoErr(p.fr.WriteRSTStream(id, http2.ErrCodeRefusedStream))
		err = (<-r).err
		isReset(is, err, http2.ErrCodeRefusedStream, true)
		is.True(errors.Is(err, ErrNotProcessed))
	})
}

// A reset with NO_ERROR after the peer's END_STREAM says that it wants no more.
func TestResetAfterEnd(t *testing.T) {
	bubble(t, Config{}, nil, func(is *is.I, c *Conn, p *peer) {
		p.pump()
		s := p.open(c)
		p.data(s.id, true, "all of it")
		is.NoErr(p.fr.WriteRSTStream(s.id, http2.ErrCodeNo))
		p.alive()
		b, err := io.ReadAll(s)
		is.NoErr(err)
		is.Equal(string(b), "all of it")
		_, err = s.Write([]byte("x"))
		isReset(is, err, http2.ErrCodeNo, true)
	})
}

// Writes that come together do not mix, and those that meet leave in one write to the socket.
func TestConcurrentWrites(t *testing.T) {
	bubble(t, Config{}, nil, func(is *is.I, c *Conn, p *peer) {
		var streams []*Stream
		for range 4 {
			streams = append(streams, p.open(c))
		}
		// The writer is held up by the first frame, which the peer has not read whole.
		_, err := streams[0].Write([]byte("first"))
		is.NoErr(err)
		synctest.Wait()
		for _, s := range streams {
			for range 10 {
				go s.Write([]byte("0123456789"))
			}
		}
		synctest.Wait()
		b := make([]byte, 64<<10)
		n, err := p.nc.Read(b)
		is.NoErr(err)
		is.Equal(n, 9+5)
		n, err = p.nc.Read(b) // the pipe gives what one Write holds
		is.NoErr(err)
		is.Equal(n, 40*(9+10))
	})
}

// Two large Writes to one stream leave one after the other.
func TestConcurrentWritesToOneStream(t *testing.T) {
	settings := []http2.Setting{{ID: http2.SettingInitialWindowSize, Val: 100}}
	bubble(t, Config{}, settings, func(is *is.I, c *Conn, p *peer) {
		p.pump()
		s := p.open(c)
		for _, text := range []string{"a", "b", "c"} {
			go func() {
				n, err := s.Write([]byte(strings.Repeat(text, 1000)))
				is.NoErr(err)
				is.Equal(n, 1000)
			}()
		}
		var got strings.Builder
		for got.Len() < 3000 {
			f := p.want(http2.FrameData)
			got.Write(f.payload)
			is.NoErr(p.fr.WriteWindowUpdate(s.id, f.Length))
		}
		runs := got.String()
		for range 3 {
			run := strings.Repeat(runs[:1], 1000)
			is.True(strings.HasPrefix(runs, run))
			runs = runs[1000:]
		}
	})
}
