package pipe

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matryer/is"
	"golang.org/x/net/nettest"
)

func TestPipeIsAConn(t *testing.T) {
	nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
		c, s := New()
		return c, s, func() { c.Close(); s.Close() }, nil
	})
}

func TestPipeWriteWaitsOnlyForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		c, s := Sized(4)
		n, err := c.Write([]byte("abcd")) // nobody reads
		is.NoErr(err)
		is.Equal(n, 4)

		wrote := false
		go func() {
			c.Write([]byte("efghij"))
			wrote = true
		}()
		synctest.Wait()
		is.True(!wrote) // no room
		got := make([]byte, 3)
		n, _ = s.Read(got)
		is.Equal(string(got[:n]), "abc")
		synctest.Wait()
		is.True(!wrote) // room for three of six

		c.SetWriteDeadline(time.Time{})
		rest := make([]byte, 7)
		_, err = io.ReadFull(s, rest)
		is.NoErr(err)
		is.Equal(string(rest), "defghij")
		synctest.Wait()
		is.True(wrote)
		is.Equal(s.PeerWrites(), []int{4, 6}) // calls, not pieces
	})
}

func TestPipeDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		c, s := Sized(2)
		start := time.Now()

		c.SetReadDeadline(start.Add(time.Second))
		_, err := c.Read(make([]byte, 1))
		is.True(errors.Is(err, os.ErrDeadlineExceeded))
		is.Equal(time.Since(start), time.Second) // to the nanosecond

		c.SetWriteDeadline(start.Add(3 * time.Second))
		n, err := c.Write([]byte("abc"))
		is.True(errors.Is(err, os.ErrDeadlineExceeded))
		is.Equal(n, 2) // what there was room for has been sent
		is.Equal(time.Since(start), 3*time.Second)

		s.Write([]byte("x"))
		_, err = c.Read(make([]byte, 1))
		is.True(errors.Is(err, os.ErrDeadlineExceeded)) // still passed
		c.SetReadDeadline(time.Time{})
		_, err = c.Read(make([]byte, 1))
		is.NoErr(err) // nothing was lost

		go func() {
			time.Sleep(time.Minute)
			c.SetDeadline(time.Now()) // wakes who waits already
		}()
		_, err = c.Read(make([]byte, 1))
		is.True(errors.Is(err, os.ErrDeadlineExceeded))
		is.Equal(time.Since(start), time.Minute+3*time.Second)

		c.SetReadDeadline(time.Now().Add(time.Second))
		c.SetReadDeadline(time.Now().Add(time.Hour)) // replaces the one before
		_, err = c.Read(make([]byte, 1))
		is.True(errors.Is(err, os.ErrDeadlineExceeded))
		is.Equal(time.Since(start), time.Hour+time.Minute+3*time.Second)
	})
}

func TestPipeEndings(t *testing.T) {
	type conn interface {
		net.Conn
		CloseWrite() error
		Reset() error
	}
	var closed = net.ErrClosed
	for _, tt := range []struct {
		name                string
		end                 func(conn) error
		left                string // what the peer still reads
		peerRead, peerWrite error
		ownRead, ownWrite   error
		ownReadsMore        bool
	}{
		{"close", conn.Close, "left", io.EOF, syscall.EPIPE, closed, closed, false},
		{"half-close", conn.CloseWrite, "left", io.EOF, nil, nil, closed, true},
		{"reset", conn.Reset, "left", syscall.ECONNRESET, syscall.ECONNRESET, closed, closed, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				is := is.New(t)
				c, s := New()
				defer c.Close()
				defer s.Close()
				var end, peer conn = c, s
				end.Write([]byte("left"))
				peer.Write([]byte("more"))
				is.NoErr(tt.end(end))

				left, err := io.ReadAll(peer)
				is.Equal(string(left), tt.left)
				if tt.peerRead == io.EOF {
					is.NoErr(err)
				} else {
					is.True(errors.Is(err, tt.peerRead))
				}
				_, err = peer.Write([]byte("x"))
				is.True(errors.Is(err, tt.peerWrite))
				_, err = end.Write([]byte("x"))
				is.True(errors.Is(err, tt.ownWrite))
				n, err := end.Read(make([]byte, 4))
				is.True(errors.Is(err, tt.ownRead))
				is.Equal(n == 4, tt.ownReadsMore)
			})
		})
		t.Run(tt.name+" wakes those who wait", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				is := is.New(t)
				c, s := Sized(1)
				defer s.Close()
				var read, write error
				go func() { _, read = s.Read(make([]byte, 1)) }()
				go func() { _, write = s.Write([]byte("too long")) }()
				synctest.Wait()
				tt.end(c)
				if tt.peerWrite == nil {
					c.Close() // else it would wait on
				}
				synctest.Wait()
				is.True(errors.Is(read, tt.peerRead))
				is.True(write != nil)
			})
		})
	}
}

func TestPipeErrorsReadAsThoseOfNet(t *testing.T) {
	is := is.New(t)
	c, s := New()
	s.Reset()
	_, err := c.Read(make([]byte, 1))
	is.Equal(err.Error(), "read memory memory:client->memory:server: read: connection reset by peer")
	c.Close()
	_, err = c.Write([]byte("x"))
	is.True(strings.HasSuffix(err.Error(), net.ErrClosed.Error()))
}
