package netconn

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matryer/is"

	"github.com/reqws/reqws/internal/pipe"
)

// noDeadlines is a body as net/http's Transport makes it.
type noDeadlines struct{ io.ReadWriteCloser }

func body(t *testing.T) (*Body, net.Conn) {
	client, server := pipe.Sized(100)
	conn := NewBody(noDeadlines{client})
	t.Cleanup(func() {
		_ = conn.Close()
		_ = server.Close()
		synctest.Wait()
	})
	return conn, server
}

// A read that meets its deadline loses nothing: what comes later is for the next
// one.
func TestBodyConnReadDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		conn, server := body(t)
		p := make([]byte, 4)
		is.NoErr(conn.SetReadDeadline(time.Now().Add(time.Second)))
		start := time.Now()
		for range 3 { // passed is passed
			_, err := conn.Read(p)
			is.True(errors.Is(err, os.ErrDeadlineExceeded))
			is.Equal(time.Since(start), time.Second)
		}
		_, err := server.Write([]byte("hello"))
		is.NoErr(err)
		is.NoErr(conn.SetReadDeadline(time.Time{}))
		n, err := conn.Read(p)
		is.NoErr(err)
		is.Equal(string(p[:n]), "hell")
		n, err = conn.Read(p)
		is.NoErr(err)
		is.Equal(string(p[:n]), "o")
		is.NoErr(server.Close())
		for range 2 {
			_, err = conn.Read(p)
			is.Equal(err, io.EOF)
		}
	})
}

// A deadline that is moved while somebody waits holds at once.
func TestBodyConnDeadlineIsMoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		conn, _ := body(t)
		start := time.Now()
		is.NoErr(conn.SetDeadline(start.Add(time.Hour)))
		done := make(chan error)
		go func() {
			_, err := conn.Read(make([]byte, 1))
			done <- err
		}()
		go func() {
			_, err := conn.Write(make([]byte, 200))
			done <- err
		}()
		time.Sleep(time.Second)
		is.NoErr(conn.SetDeadline(start.Add(2 * time.Second)))
		for range 2 {
			is.True(errors.Is(<-done, os.ErrDeadlineExceeded))
		}
		is.Equal(time.Since(start), 2*time.Second)
		// Nothing can follow a write that may be half done.
		is.NoErr(conn.SetDeadline(time.Time{}))
		_, err := conn.Write([]byte("x"))
		is.True(errors.Is(err, os.ErrDeadlineExceeded))
	})
}

// Close wakes a reader, and is one Close of the body.
func TestBodyConnClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		conn, server := body(t)
		done := make(chan error)
		go func() {
			_, err := conn.Read(make([]byte, 1))
			done <- err
		}()
		synctest.Wait()
		is.NoErr(conn.Close())
		is.True(<-done != nil)
		is.True(errors.Is(conn.Close(), net.ErrClosed))
		_, err := server.Read(make([]byte, 1))
		is.Equal(err, io.EOF)
		is.Equal(conn.LocalAddr().Network(), "http")
		is.True(conn.RemoteAddr().String() != "")
	})
}
