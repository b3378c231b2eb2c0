package wiretest

import (
	"crypto/rand"
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/reqws/reqws/reqwstest"
)

func TestFragments(t *testing.T) {
	is := is.New(t)
	is.Equal(Fragments(2, reqwstest.Text("abcde")), []reqwstest.Frame{
		{Op: reqwstest.OpText, Payload: []byte("ab")},
		{Op: reqwstest.OpContinuation, Payload: []byte("cd")},
		{Fin: true, Op: reqwstest.OpContinuation, Payload: []byte("e")},
	})
	is.Equal(Fragments(5, reqwstest.Text("abcde")), []reqwstest.Frame{reqwstest.Text("abcde")})
	is.Equal(Fragments(1, reqwstest.Text("")), []reqwstest.Frame{reqwstest.Text("")})
	compressed := Fragments(3, Deflate(reqwstest.Text("abcdef")))
	is.Equal(compressed[0].RSV, reqwstest.RSV1)
	is.Equal(compressed[1].RSV, byte(0)) // only the first says so
}

// A server that inflates reads what was compressed, with and without context takeover.
func TestDeflate(t *testing.T) {
	is := is.New(t)
	texts := []string{"Hello, hello, hello", "", "Hello, hello, hello", strings.Repeat("0123456789", 10000)}
	var all, fresh []reqwstest.Frame
	var expected []reqwstest.Step
	for _, text := range texts {
		f := Deflate(reqwstest.Text(text))
		is.Equal(f.RSV, reqwstest.RSV1)
		all, fresh = append(all, reqwstest.Text(text)), append(fresh, f)
		expected = append(expected, reqwstest.ExpectText(text))
	}
	stream := DeflateStream(all...)
	is.True(len(stream[2].Payload) < len(fresh[2].Payload)) // it refers to the first
	for params, frames := range map[string][]reqwstest.Frame{"": stream, "; client_no_context_takeover": fresh} {
		steps := append([]reqwstest.Step{reqwstest.Accept(reqwstest.WithHeader("Sec-WebSocket-Extensions", "permessage-deflate"+params))}, expected...)
		srv := reqwstest.NewMemory(t, reqwstest.Script(steps...))
		c, err := srv.DialContext(t.Context(), "tcp", srv.Addr())
		is.NoErr(err)
		defer c.Close()
		_, err = c.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"))
		is.NoErr(err)
		for _, f := range frames {
			f.Masked = true
			rand.Read(f.Key[:])
			_, err = c.Write(reqwstest.Encode(f))
			is.NoErr(err)
		}
		is.NoErr(srv.Wait(t.Context()))
	}
}
