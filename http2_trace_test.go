package reqws

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matryer/is"

	"github.com/reqws/reqws/internal/pipe"
)

// Streams over HTTP/2 are told of like others. The second one has only its handshake: the
// connection was there.
func TestTraceOverHTTP2(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		server := &closer2{reply: "\x88\x02\x03\xe8", prompt: true}
		dials := 0
		var opened []OpenedInfo
		var closed []ClosedInfo
		var attempts []AttemptInfo
		r := New(URL("ws://host/"), Protocols(HTTP2), DialContext(func(context.Context, string, string) (net.Conn, error) {
			dials++
			time.Sleep(time.Second)
			client, end := pipe.New()
			go func() {
				defer end.Close()
				server.serve(end)
			}()
			return client, nil
		}), Trace(&ClientTrace{
			Attempt: func(i AttemptInfo) { attempts = append(attempts, i) },
			Opened:  func(i OpenedInfo) { opened = append(opened, i) },
			Closed:  func(i ClosedInfo) { closed = append(closed, i) },
		}))
		var streams []*Response
		for range 2 {
			resp, err := r.Do(t.Context())
			is.NoErr(err)
			streams = append(streams, resp)
		}
		for _, resp := range streams {
			is.NoErr(resp.Close(1000, ""))
			is.NoErr(resp.Wait())
		}
		is.Equal(dials, 1)
		is.Equal(len(attempts), 2)
		for i, phases := range []Phases{{Dial: time.Second}, {Reused: true}} {
			is.Equal(attempts[i].Phases, phases)
			is.Equal(attempts[i].StatusCode, 200)
			is.Equal(opened[i].Phases, phases)
			is.Equal(opened[i].Proto, "HTTP/2.0")
			is.Equal(opened[i].Connection, 1) // of its stream
			is.Equal(opened[i].Response, streams[i])
			is.Equal(closed[i].Response, streams[i])
			is.True(closed[i].Clean)
			is.Equal(closed[i].Code, closed[i].PeerCode)
		}
	})
}
