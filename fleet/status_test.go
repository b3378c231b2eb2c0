package fleet_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/fleet"
	"github.com/reqws/reqws/reqwstest"
)

// Streams for which no worker has room wait, and are taken when one has.
func TestCapacity(t *testing.T) {
	is := is.New(t)
	w := newWorld(t, 0)
	three := func(c *fleet.WorkerConfig) { c.Capacity = 3 }
	first := w.join(w.url, "w1", three)
	w.put(5)
	w.eventually("three are up, two wait", func() bool { s := w.status(); return s.Count(fleet.Up) == 3 && s.Count(fleet.Waiting) == 2 })
	is.Equal(first.Held(), 3)
	w.join(w.url, "w2", three)
	w.allUp(5)
	for _, n := range w.by() {
		is.True(n <= 3)
	}
	is.NoErr(w.f.Remove(t.Context(), "s.0"))
	w.allUp(4)
}

// What is left of streams that were removed while there was no worker is taken away by the next one.
func TestRemovedWhileNobodyIsThere(t *testing.T) {
	is := is.New(t)
	w := newWorld(t, 0)
	first := w.join(w.url, "w1")
	ids := w.put(4)
	w.allUp(4)
	is.NoErr(first.Close())
	for _, id := range ids[:3] {
		is.NoErr(w.f.Remove(t.Context(), id))
	}
	w.join(w.url, "w2")
	w.allUp(1)
	js := w.jetStream()
	for _, bucket := range []string{"fleet_claims", "fleet_states"} {
		kv, err := js.KeyValue(t.Context(), bucket)
		is.NoErr(err)
		w.eventually(bucket+" has one entry", func() bool {
			keys, err := kv.Keys(t.Context())
			return err == nil && len(keys) == 1
		})
	}
}

// A leave that nobody has room for keeps the streams up until its ctx ends, and says how many it closed then.
func TestDrainWithoutRoom(t *testing.T) {
	is := is.New(t)
	w := newWorld(t, 2*time.Millisecond)
	one := func(c *fleet.WorkerConfig) { c.Capacity = 2 }
	first := w.join(w.url, "w1", one)
	w.put(2)
	w.allUp(2)
	w.join(w.url, "w2", func(c *fleet.WorkerConfig) { c.Capacity = 1 })
	w.eventually("the second is there", func() bool { return len(w.status().Workers) == 2 })
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	err := first.Drain(ctx)
	is.True(err != nil && strings.Contains(err.Error(), "closed before another worker"))
	w.eventually("the second has one", func() bool { return w.by()["w2"] == 1 })
	is.Equal(w.accounted().Gap, 0)
}

// The status says what happened to a stream: refusals, a lost connection, the link it is on.
func TestStatus(t *testing.T) {
	is := is.New(t)
	w := newWorld(t, 2*time.Millisecond)
	w.feed.Refuse(503)
	var opened atomic.Int64
	w.join(w.url, "w1", func(c *fleet.WorkerConfig) {
		c.Options = []reqws.Option{
			reqws.AddTrace(&reqws.ClientTrace{Opened: func(reqws.OpenedInfo) { opened.Add(1) }}),
			reqws.Header("X-All", "yes"),
		}
	})
	w.put(1)
	w.eventually("it says that it is refused", func() bool {
		s := w.stream("s.0")
		return s.State == fleet.Opening && strings.Contains(s.Error, "503") && s.Worker == "w1"
	})
	is.Equal(opened.Load(), int64(0))
	w.feed.Refuse(0)
	w.eventually("it is up, with messages", func() bool { s := w.stream("s.0"); return s.State == fleet.Up && s.Link == 1 })
	is.Equal(opened.Load(), int64(1)) // what the user watches with is called as well
	is.True(strings.Contains(w.stream("s.0").Error, "503"))
	is.Equal(len(w.status().Workers), 1)
	w.eventually("the worker says how many it holds", func() bool { return w.status().Workers[0].Held == 1 })
}

// A breach of the protocol ends a session; the stream is opened again after a while, and another one is not disturbed.
func TestServersThatMisbehave(t *testing.T) {
	is := is.New(t)
	w := newWorld(t, 0)
	bad := reqwstest.New(t,
		reqwstest.Script(reqwstest.Accept(), reqwstest.Send(reqwstest.Frame{Fin: true, Op: 3}), reqwstest.ExpectCloseCode(1002)),
		reqwstest.Script(reqwstest.Accept(), reqwstest.SendText("once more"), reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, "")),
		reqwstest.Script(reqwstest.Accept(), reqwstest.SendText("and again"), reqwstest.Do(func(c *reqwstest.Conn) error { return c.Reset() })),
		reqwstest.Script(reqwstest.Accept(), reqwstest.SendText("last"), reqwstest.EchoUntilClose()))
	w.join(w.url, "w1")
	is.NoErr(w.f.Put(t.Context(), fleet.Spec{ID: "bad", URL: bad.URL}))
	w.put(1)
	w.eventually("it is open for the fourth time", func() bool { return len(w.published()) == 3 })
	is.Equal(w.published(), []string{"once more", "and again", "last"})
	is.NoErr(w.f.Remove(t.Context(), "bad"))
	<-bad.Done()
	is.Equal(len(w.feed.Conns()), 1)
}

// A message that is too large for NATS closes the connection with 1009, and says so.
func TestTooLarge(t *testing.T) {
	w := newWorld(t, 0)
	srv := reqwstest.New(t, reqwstest.Script(reqwstest.Accept(), reqwstest.SendText(strings.Repeat("x", 1<<20)),
		reqwstest.Do(func(c *reqwstest.Conn) error {
			for {
				f, err := c.ReadFrame()
				if err != nil || f.Op == reqwstest.OpClose {
					return err
				}
			}
		})).Repeat())
	w.join(w.url, "w1")
	is.New(t).NoErr(w.f.Put(t.Context(), fleet.Spec{ID: "large", URL: srv.URL}))
	w.eventually("it says so", func() bool { return strings.Contains(w.stream("large").Error, "1009") })
}

// What was being written when the connection broke is not sent again, and counted.
func TestUnsure(t *testing.T) {
	is := is.New(t)
	w := newWorld(t, 0)
	srv := reqwstest.New(t, reqwstest.BufferSize(4096),
		reqwstest.Script(reqwstest.Accept(), reqwstest.Do(func(c *reqwstest.Conn) error {
			p := make([]byte, 1000)
			_, err := c.Read(p) // the beginning of a frame
			err = errors.Join(err, c.Reset())
			for failed := error(nil); failed == nil; {
				_, failed = c.Read(p)
			}
			return err
		})),
		reqwstest.Script(reqwstest.Accept(), reqwstest.ExpectText("after"), reqwstest.EchoUntilClose()))
	w.join(w.url, "w1", func(c *fleet.WorkerConfig) {
		c.Options = []reqws.Option{reqws.DialContext(func(ctx context.Context, network, address string) (net.Conn, error) {
			var d net.Dialer
			conn, err := d.DialContext(ctx, network, address)
			if err == nil {
				err = conn.(*net.TCPConn).SetWriteBuffer(4096) // so that the system does not hold all of it
			}
			return conn, err
		})}
	})
	is.NoErr(w.f.Put(t.Context(), fleet.Spec{ID: "a", URL: srv.URL}))
	w.eventually("it is up", func() bool { return w.stream("a").State == fleet.Up })
	is.NoErr(w.f.Send(t.Context(), "a", reqws.Text(strings.Repeat("x", 900_000))))
	is.NoErr(w.f.Send(t.Context(), "a", reqws.Text("after")))
	w.eventually("it is counted", func() bool { s := w.stream("a"); return s.Unsure == 1 && s.Link == 2 })
	is.NoErr(w.f.Remove(t.Context(), "a"))
	<-srv.Done()
}
