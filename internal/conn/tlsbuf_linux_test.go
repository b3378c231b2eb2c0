package conn

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
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
