package reqws_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/coder/websocket"
	"github.com/matryer/is"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/reqwstest"
)

// The files conformance_*_test.go hold the client to the standards line by line: RFC 6455 sections 4 to 8, RFC
// 7692 and RFC 8441. Each demand is a row that names its section. What a standard asks of servers and
// intermediaries alone has none.

// clause is one demand on an open connection. The server's steps say what comes and what must be seen on
// the wire; a server of reqwstest checks besides that each frame is a legal one.
type clause struct {
	section    string
	asks       string // in a few words of our own
	offers     bool   // compression
	extensions string // what the server accepts of it
	server     []reqwstest.Step
	client     func(is *is.I, resp *reqws.Response) // what it is asked to do, if anything
	gets       []reqws.Frame                        // what its handler is given
	fails      websocket.StatusCode                 // of the ProtocolError that the stream ends with; 0 for a good end
}

// check plays the clause in memory. What is to be understood comes in one piece, and byte by byte. Behind the
// clause's own steps the server expects the close frame that tells of a failure, or closes in good order.
func (c clause) check(t *testing.T) {
	end := []reqwstest.Step{reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, ""), reqwstest.ExpectEOF()}
	if c.fails != 0 {
		end = []reqwstest.Step{reqwstest.ExpectCloseCode(int(c.fails)), reqwstest.ExpectGone()}
	} else {
		c.gets = append(c.gets[:len(c.gets):len(c.gets)], reqws.Close(1000, ""))
	}
	accept, mode := reqwstest.Accept(), websocket.CompressionDisabled
	if c.offers {
		mode = takeover
	}
	if c.extensions != "" {
		accept = accepting(c.extensions)
	}
	steps := append(append([]reqwstest.Step{accept}, c.server...), end...)
	pieces := []int{64 << 10}
	if c.client == nil && c.fails == 0 {
		pieces = append(pieces, 1)
	}
	for _, piece := range pieces {
		t.Run(fmt.Sprintf("%s %s/%d", c.section, c.asks, piece), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				is := is.New(t)
				srv := reqwstest.NewMemory(t, reqwstest.BufferSize(piece), reqwstest.Script(steps...))
				var got []string
				resp, err := to(srv, reqws.Compression(mode)).Do(t.Context(), reqws.Into(reqws.Each(func(f reqws.Frame) reqws.Directive {
					got = append(got, whole(f))
					return reqws.Cont()
				})))
				is.NoErr(err)
				if c.client != nil {
					c.client(is, resp)
				}
				err = resp.Wait()
				var want []string
				for _, f := range c.gets {
					want = append(want, whole(f))
				}
				is.Equal(got, want)
				if c.fails == 0 {
					is.NoErr(err)
					return
				}
				var pe *reqws.ProtocolError
				is.True(errors.As(err, &pe))
				is.Equal(pe.Code, c.fails)
			})
		})
	}
}

// whole shows all of a frame.
func whole(f reqws.Frame) string { return fmt.Sprintf("%v %d %q", f.Kind, f.Code, f.Data) }

// raw expects frames as they are on the wire, masks and forms of lengths included, and has check look at them.
func raw(n int, check func(frames []reqwstest.Frame) error) reqwstest.Step {
	return reqwstest.Named("raw frames", func(c *reqwstest.Conn) error {
		frames := make([]reqwstest.Frame, n)
		for i := range frames {
			var err error
			if frames[i], err = reqwstest.Decode(c); err != nil {
				return err
			}
		}
		return check(frames)
	})
}

// sends is a client that sends frames.
func sends(frames ...reqws.Frame) func(*is.I, *reqws.Response) {
	return func(is *is.I, resp *reqws.Response) { is.NoErr(resp.Send(context.Background(), frames...)) }
}
