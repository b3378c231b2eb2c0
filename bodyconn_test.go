package reqws

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/matryer/is"

	"github.com/reqws/reqws/reqwstest"
)

// noDeadlines is a body as net/http's Transport makes it.
type noDeadlines struct{ io.ReadWriteCloser }

func body(t *testing.T) (*bodyConn, net.Conn) {
	client, server := reqwstest.PipeSize(100)
	conn := newBodyConn(noDeadlines{client})
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

// deaf is a body whose writes only end when they may, whatever becomes of it.
type deaf struct {
	io.ReadWriteCloser
	may chan struct{}
}

func (d deaf) Write(p []byte) (int, error) {
	<-d.may
	return len(p), nil
}

// A body whose Close does not end its Write holds up no end of a stream.
func TestABodyThatIsStuckInAWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		client, server := reqwstest.Pipe()
		stuck := deaf{client, make(chan struct{})}
		resp, err := New(URL("ws://reqwstest.test/"), WriteTimeout(0), CloseTimeout(time.Second), Transport(RoundTripFunc(func(req *http.Request) (*http.Response, error) {
			return &http.Response{
				StatusCode: http.StatusSwitchingProtocols, ProtoMajor: 1, Body: stuck,
				Header: http.Header{
					"Connection": {"Upgrade"}, "Upgrade": {"websocket"},
					"Sec-Websocket-Accept": {reqwstest.AcceptKey(req.Header.Get("Sec-WebSocket-Key"))},
				},
			}, nil
		}))).Do(t.Context())
		is.NoErr(err)
		sent := make(chan error, 1)
		go func() { sent <- resp.Send(t.Context(), Text("x")) }()
		synctest.Wait()
		start := time.Now()
		_, err = server.Write(reqwstest.Encode(reqwstest.Close(1009, "")))
		is.NoErr(err)
		is.Equal(int(websocket.CloseStatus(resp.Wait())), 1009)
		is.Equal(int(websocket.CloseStatus(<-sent)), 1009)
		is.Equal(time.Since(start), time.Second)
		close(stuck.may)
		is.NoErr(server.Close())
	})
}

// What a close frame says about an error fits it, and is UTF-8.
func TestCloseReason(t *testing.T) {
	is := is.New(t)
	is.Equal(closeReason(&ProtocolError{1002, "short"}), "short")
	is.Equal(closeReason(errors.New("plain")), "plain")
	is.Equal(closeReason(&ProtocolError{1002, strings.Repeat("x", 123)}), strings.Repeat("x", 123))
	is.Equal(closeReason(&ProtocolError{1002, strings.Repeat("x", 124)}), strings.Repeat("x", 123))
	is.Equal(closeReason(&ProtocolError{1002, strings.Repeat("ü", 62)}), strings.Repeat("ü", 61)) // 122 bytes
}
