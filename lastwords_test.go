package reqws

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/matryer/is"

	"github.com/reqws/reqws/reqwstest"
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
				URL("ws://host/"), Protocols(HTTP1), Retry(Never),
				DialContext(func(context.Context, string, string) (net.Conn, error) {
					client, _ := reqwstest.Pipe()
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
