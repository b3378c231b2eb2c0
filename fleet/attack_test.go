package fleet_test

import (
	"context"
	"net"
	"net/http"
	"testing"

	"github.com/matryer/is"

	"github.com/reqws/reqws/fleet"
	"github.com/reqws/reqws/reqwstest"
)

// Whatever the first attempt meets, another one follows: a stream is not given up for what its server did once.
func TestFirstAttempts(t *testing.T) {
	for _, c := range []struct {
		name string
		step reqwstest.Step
	}{
		{"503", reqwstest.Refuse(503, nil, "")},
		{"a wrong accept", reqwstest.Accept(reqwstest.WithHeader("Sec-WebSocket-Accept", "x"))},
		{"no upgrade", reqwstest.Accept(reqwstest.Without("Upgrade"))},
		{"an unasked subprotocol", reqwstest.Accept(reqwstest.WithSubprotocol("other"))},
		{"an unasked extension", reqwstest.Accept(reqwstest.WithHeader("Sec-WebSocket-Extensions", "permessage-deflate"))},
		{"a redirect to nowhere", reqwstest.Refuse(302, http.Header{"Location": {"ws://127.0.0.1:1/"}}, "")},
		{"a redirect to another scheme", reqwstest.Refuse(302, http.Header{"Location": {"ftp://127.0.0.1/"}}, "")},
		{"nonsense", reqwstest.Do(func(c *reqwstest.Conn) error {
			if _, err := c.ReadRequest(); err != nil {
				return err
			}
			_, err := c.Write([]byte("SSH-2.0-OpenSSH\r\n\r\n"))
			return err
		})},
		{"a reset", reqwstest.Do(func(c *reqwstest.Conn) error { return c.Reset() })},
	} {
		t.Run(c.name, func(t *testing.T) {
			is := is.New(t)
			w := newWorld(t, 0)
			srv := reqwstest.New(t, reqwstest.Script(c.step),
				reqwstest.Script(reqwstest.Accept(), reqwstest.SendText("here"), reqwstest.EchoUntilClose()))
			w.join(w.url, "w1")
			is.NoErr(w.f.Put(t.Context(), fleet.Spec{ID: "a", URL: srv.URL}))
			w.eventually("it is up", func() bool { s := w.stream("a"); return s.State == fleet.Up && s.Error != "" })
			w.eventually("it hears", func() bool { return len(w.published()) == 1 })
			is.NoErr(w.f.Remove(t.Context(), "a"))
			<-srv.Done()
		})
	}
}

// A secret that cannot be had for a while, for the messages on open, too, stops nothing for good.
func TestSecretThatComesLater(t *testing.T) {
	is := is.New(t)
	w := newWorld(t, 0)
	asked := make(chan string, 100)
	w.join(w.url, "w1", func(c *fleet.WorkerConfig) {
		c.Secret = func(_ context.Context, name string) (string, error) {
			select {
			case asked <- name:
			default:
			}
			if len(asked) < 2 {
				return "", &net.OpError{Op: "vault"}
			}
			return "s", nil
		}
	})
	is.NoErr(w.f.Put(t.Context(), fleet.Spec{ID: "a", URL: w.ws + "a", OnOpen: []string{"${secret:x}"}}))
	w.eventually("it has said hello", func() bool { got := w.feed.Received("a"); return len(got) == 1 && got[0] == "s" })
	w.eventually("it is up", func() bool { return w.stream("a").State == fleet.Up })
}
