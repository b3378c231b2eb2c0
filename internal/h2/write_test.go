package h2

import (
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matryer/is"
	"golang.org/x/net/http2"
)

// oneWay is a socket whose writes fail once they are told to.
type oneWay struct {
	net.Conn
	broken  atomic.Bool
	readErr error // in place of io.EOF
}

func (o *oneWay) Write(p []byte) (int, error) {
	if o.broken.Load() {
		return 0, &net.OpError{Op: "write", Err: syscall.EPIPE}
	}
	return o.Conn.Write(p)
}

func (o *oneWay) Read(p []byte) (int, error) {
	n, err := o.Conn.Read(p)
	if err == io.EOF && o.readErr != nil {
		err = o.readErr
	}
	return n, err
}

// What the peer sent before it hung up is read, although a write has failed already.
func TestWriteFails(t *testing.T) {
	alert := &net.OpError{Op: "remote error", Err: errors.New("tls: certificate required")}
	for _, c := range []struct {
		name    string
		readErr error
		send    func(*peer)
		want    error // of the stream
		goAway  bool
		stays   bool // the peer does not hang up
	}{
		{name: "nothing", want: syscall.EPIPE},
		{name: "no end", want: syscall.EPIPE, stays: true},
		{name: "an alert", readErr: alert, want: alert},
		{name: "GOAWAY", want: syscall.EPIPE, goAway: true, send: func(p *peer) {
			p.is.NoErr(p.fr.WriteGoAway(1, http2.ErrCodeEnhanceYourCalm, []byte("too many")))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				is := is.New(t)
				client, server := net.Pipe()
				socket := &oneWay{Conn: client, readErr: c.readErr}
				p := serve(is, server)
				conn := NewConn(socket, Config{})
				_, err := io.ReadFull(server, make([]byte, len(http2.ClientPreface)))
				is.NoErr(err)
				p.hello()
				p.pump()
				s := p.open(conn)
				socket.broken.Store(true)
				_, err = s.Write([]byte("fails"))
				is.NoErr(err) // it is taken over first
				synctest.Wait()
				if c.send != nil {
					c.send(p)
				}
				p.data(s.id, false, "last words")
				start := time.Now()
				if !c.stays {
					server.Close()
				}
				is.Equal(readString(is, s, 10), "last words")
				_, err = s.Read(make([]byte, 1))
				is.True(errors.Is(err, c.want))
				is.Equal(strings.Contains(conn.Err().Error(), "after GOAWAY with ENHANCE_YOUR_CALM"), c.goAway)
				<-conn.Done()
				is.Equal(time.Since(start) > 0, c.stays)
				server.Close()
			})
		})
	}
}
