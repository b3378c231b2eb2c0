package reqws

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matryer/is"

	"github.com/reqws/reqws/internal/pipe"
)

// hungUp is a connection whose peer has said something and closed it, so that
// writing fails.
type hungUp struct {
	net.Conn
	said io.Reader
	end  error
}

func (h hungUp) Write([]byte) (int, error) {
	return 0, &net.OpError{Op: "write", Err: syscall.EPIPE}
}

func (h hungUp) Read(p []byte) (int, error) {
	n, err := h.said.Read(p)
	if err != nil {
		err = h.end
	}
	return n, err
}

// A server may answer and close before it has read the request. What it said counts.
func TestAnswerBeforeTheRequest(t *testing.T) {
	for _, c := range []struct {
		name, said string
		end        error
		want       string
	}{
		{"an answer", "HTTP/1.1 400 Bad Request\r\nContent-Length: 9\r\n\r\nnot today", io.EOF, ""},
		{"an alert", "", &net.OpError{Op: "remote error", Err: errors.New("tls: certificate required")}, "reqws: TLS: ws://host/: remote error: tls: certificate required"},
		{"nothing", "", io.EOF, "reqws: handshake: ws://host/: write: broken pipe"},
		{"half an answer", "HTTP/1.1 400", io.EOF, "reqws: handshake: ws://host/: write: broken pipe"},
	} {
		t.Run(c.name, func(t *testing.T) {
			is := is.New(t)
			resp, err := New(
				URL("ws://host/"), Protocols(HTTP1), Retry(Never), HTTPErrors(ReturnErrors),
				DialContext(func(context.Context, string, string) (net.Conn, error) {
					client, _ := pipe.New()
					return hungUp{client, strings.NewReader(c.said), c.end}, nil
				}),
			).Do(t.Context())
			if c.want != "" {
				is.True(err != nil)
				is.Equal(err.Error(), c.want)
				return
			}
			is.NoErr(err)
			is.Equal(resp.StatusCode, 400)
			is.Equal(string(resp.Body), "not today")
		})
	}
}

// early is a connection on which the peer's reaction to a close frame is there
// before the Write of that frame returns.
type early struct {
	net.Conn
	reaction string // then it hangs up
	in       chan string
	rest     string
	open     bool
}

func (e *early) Write(p []byte) (int, error) {
	if !e.open {
		e.open = true
		_, key, _ := strings.Cut(string(p), "Sec-WebSocket-Key: ")
		e.in <- "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + acceptKey(key[:24]) + "\r\n\r\n"
		return len(p), nil
	}
	if e.reaction != "" {
		e.in <- e.reaction
	}
	close(e.in)
	time.Sleep(time.Second)
	return len(p), nil
}

func (e *early) Read(p []byte) (int, error) {
	if e.rest == "" {
		var ok bool
		if e.rest, ok = <-e.in; !ok {
			return 0, io.EOF
		}
	}
	n := copy(p, e.rest)
	e.rest = e.rest[n:]
	return n, nil
}

func (e *early) Close() error                     { return nil }
func (e *early) SetReadDeadline(time.Time) error  { return nil }
func (e *early) SetWriteDeadline(time.Time) error { return nil }

// Close means the same however soon the peer reacts to it.
func TestCloseIsAnsweredAtOnce(t *testing.T) {
	for reaction, want := range map[string]string{
		"\x88\x02\x03\xe8": "",
		"\x81\x01a":        "reqws: close: ws://host/: the peer did not answer the close frame: the connection ended without a close frame: unexpected EOF",
		"":                 "reqws: close: ws://host/: the peer did not answer the close frame: the connection ended without a close frame: unexpected EOF",
	} {
		synctest.Test(t, func(t *testing.T) {
			is := is.New(t)
			resp, err := New(URL("ws://host/"), DialContext(func(context.Context, string, string) (net.Conn, error) {
				return &early{reaction: reaction, in: make(chan string, 2)}, nil
			})).Do(t.Context())
			is.NoErr(err)
			err = resp.Close(1000, "")
			if want == "" {
				is.NoErr(err)
			} else {
				is.True(err != nil)
				is.Equal(err.Error(), want)
			}
			is.NoErr(resp.Wait())
		})
	}
}
