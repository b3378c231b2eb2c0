package conn

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/reqws/reqws/internal/netconn"
	"github.com/reqws/reqws/internal/wire"
	"github.com/reqws/reqws/reqwstest"
)

// Package tls has the two buffers where they are looked for. If this fails with a new version of Go, idle wss
// connections hold some KB more, and tlsbuf.go has to be looked at.
func TestTheBuffersOfTLS(t *testing.T) {
	is := is.New(t)
	b := buffersOf(new(tls.Conn))
	is.True(b.record != nil)
	is.True(b.message != nil)
	is.True(b.input != nil)
}

// tlsOver makes a TLS connection over a socket, and returns its source and its server's end.
func tlsOver(t *testing.T, version uint16) (*tls.Conn, Source, net.Conn) {
	t.Helper()
	_, near, far := sockets(t)
	var theirs *tls.Config
	srv := reqwstest.NewMemory(t, reqwstest.TLS(func(c *tls.Config) { theirs = c }))
	config := srv.TLSConfig()
	config.ServerName, config.MaxVersion = "example.com", version
	served := make(chan net.Conn, 1)
	go func() {
		s := tls.Server(far, theirs)
		_ = s.Handshake()
		served <- s
	}()
	c := tls.Client(&netconn.TLSLink{Conn: near}, config)
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	src, _ := SourceOf(c)
	return c, src, <-served
}

// binaryHeader is that of a server's binary message.
func binaryHeader(size int) []byte {
	switch {
	case size < 126:
		return []byte{0x82, byte(size)}
	case size < 1<<16:
		return []byte{0x82, 126, byte(size >> 8), byte(size)}
	}
	return []byte{0x82, 127, 0, 0, 0, 0, byte(size >> 24), byte(size >> 16), byte(size >> 8), byte(size)}
}

// Where there is nothing to read TLS holds no buffer, and what comes in pieces is whole.
func TestTLSHoldsNoBufferWhileIdle(t *testing.T) {
	for name, version := range map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			c, src, peer := tlsOver(t, version)
			raw := SocketOf(src)
			is.True(raw != nil)
			raw.Waiter = &Waiter{}
			b := buffersOf(c)
			is.Equal(b.message.Cap(), 0)
			for _, size := range []int{1, 1000, 16 << 10, 100 << 10} {
				want := bytes.Repeat([]byte{byte(size)}, size)
				go func() { _, _ = peer.Write(append(binaryHeader(size), want...)) }()
				var in wire.Reader
				in.Init(-1, nil)
				var frames [1]wire.Frame
				for n := 0; n == 0; {
					raw.NoWait = false
					_, err := src.Fill(&in)
					is.NoErr(err)
					n, err = in.Batch(frames[:])
					is.NoErr(err)
				}
				is.True(bytes.Equal(frames[0].Data, want))
				raw.NoWait = true
				_, err := src.Fill(&in)
				for err == nil { // a ticket
					_, err = src.Fill(&in)
				}
				is.Equal(err, ErrNothingYet)
				is.Equal(b.record.Cap(), 0)
				is.Equal(b.message.Cap(), 0)
				is.Equal(b.input.Size(), int64(0)) // nor a part of one that is in the pool
				raw.NoWait = false
				is.NoErr(c.SetReadDeadline(longAgo))
				_, err = src.Fill(&in)
				is.True(errors.Is(err, os.ErrDeadlineExceeded))
				is.Equal(b.record.Cap(), 0)
				is.NoErr(c.SetReadDeadline(time.Time{}))
			}
			raw.NoWait = false
			_ = peer.Close()
			var in wire.Reader
			in.Init(-1, nil)
			_, err := src.Fill(&in)
			is.Equal(err, io.EOF)
		})
	}
}

// waits tells each time that a read of the socket has to wait.
type waits struct {
	syscall.RawConn
	waiting chan<- struct{}
}

func (w waits) Read(f func(fd uintptr) bool) error {
	return w.RawConn.Read(func(fd uintptr) bool {
		done := f(fd)
		if !done {
			w.waiting <- struct{}{}
		}
		return done
	})
}

// Of a stream that it does not keep up with TLS reads several records at once, but it holds no buffer for that
// while it waits.
func TestTLSReadsMoreWhereItLags(t *testing.T) {
	const size, most = 60_000, 1 << 28
	is := is.New(t)
	_, src, peer := tlsOver(t, tls.VersionTLS13)
	s := src.(*tlsSource)
	enough, waiting := make(chan struct{}), make(chan struct{}, 10)
	served := make(chan error)
	go func() {
		for i := 0; ; i++ {
			m := append(binaryHeader(size), bytes.Repeat([]byte{byte(i)}, size)...)
			select {
			case <-enough:
				_, _ = peer.Write([]byte("\x81\x04last"))
				<-waiting
				_, err := peer.Write([]byte("\x81\x03end"))
				served <- err
				return
			default:
				_, _ = peer.Write(m)
			}
		}
	}()
	var in wire.Reader
	in.Init(-1, nil)
	defer in.Release()
	messages, last, end := 0, false, false
	for wide := 0; !end; {
		_, err := src.Fill(&in)
		is.NoErr(err)
		var frames [8]wire.Frame
		n, err := in.Batch(frames[:])
		is.NoErr(err)
		for _, f := range frames[:n] {
			switch {
			case end:
				t.Fatal("more came behind the end")
			case last:
				is.Equal(string(f.Data), "end")
				end = true
			case f.Op == wire.OpText:
				is.Equal(string(f.Data), "last")
				last = true
				s.raw.RawConn = waits{s.raw.RawConn, waiting}
				s.buffers.exchange(&widePool) // it may have waited since
			default:
				is.Equal(len(f.Data), size)
				is.Equal(bytes.Count(f.Data, []byte{byte(messages)}), size)
				messages++
			}
		}
		is.True(messages < most/size) // it reads no more at once
		if s.buffers.wide() {
			if wide++; wide == 1000 {
				close(enough)
			}
		}
	}
	is.True(!s.buffers.wide())
	is.NoErr(<-served)
}
