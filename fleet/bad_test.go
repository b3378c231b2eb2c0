package fleet_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/matryer/is"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/fleet"
)

// raw writes an entry as somebody does who knows the bucket and not this package.
func (w *world) raw(id, data string) {
	w.t.Helper()
	is := is.New(w.t)
	js := w.jetStream()
	kv, err := js.KeyValue(w.t.Context(), "fleet_specs")
	is.NoErr(err)
	_, err = kv.PutString(w.t.Context(), id, data)
	is.NoErr(err)
}

// A spec that does not parse is marked with what is wrong, disturbs no other, and works once it is mended; a good
// one that turns bad is closed.
func TestBadSpecs(t *testing.T) {
	is := is.New(t)
	w := newWorld(t, 5*time.Millisecond)
	w.join(w.url, "w1")
	w.join(w.url, "w2")
	w.raw("bad.json", `{"url":`)
	w.raw("bad.url", `{"url":"http://example.com"}`)
	w.raw("bad.header", `{"url":"`+w.ws+`x","headers":{"a b":"c"}}`) // only reqws sees that
	w.put(4)
	for id, says := range map[string]string{"bad.json": "does not parse", "bad.url": "scheme", "bad.header": "Header"} {
		w.eventually(id+" is marked", func() bool {
			s := w.stream(id)
			return s.State == fleet.Bad && strings.Contains(s.Error, says)
		})
	}
	w.eventually("the others are up", func() bool { s := w.status(); return s.Count(fleet.Up) == 4 })
	w.raw("bad.json", `{"url":"`+w.ws+`bad.json"}`)
	w.eventually("it is up when mended", func() bool { return w.stream("bad.json").State == fleet.Up })
	w.raw("s.0", `nonsense`)
	w.eventually("a good one that turns bad is closed", func() bool {
		open, _ := w.feed.Open()
		return w.stream("s.0").State == fleet.Bad && open == 4
	})
	is.NoErr(w.f.Remove(t.Context(), "bad.url"))
	is.NoErr(w.f.Remove(t.Context(), "bad.header"))
	w.eventually("removed ones are gone", func() bool { return len(w.status().Streams) == 5 })
	is.Equal(w.accounted().Gap, 0)
}

func TestPutRefuses(t *testing.T) {
	is := is.New(t)
	w := newWorld(t, 0)
	for _, s := range []fleet.Spec{
		{ID: "a"}, {URL: "ws://h"}, {ID: "a b", URL: "ws://h"}, {ID: "a", URL: "ws://h", Params: map[string]any{"x": []int{1}}},
	} {
		is.True(w.f.Put(t.Context(), s) != nil)
	}
	is.True(w.f.Remove(t.Context(), "*") != nil)
	is.True(w.f.Send(t.Context(), ">", reqws.Text("x")) != nil)
	is.True(w.f.Send(t.Context(), "a", reqws.Ping("x")) != nil)
	is.True(w.f.Send(t.Context(), "a", reqws.Text("\xff")) != nil)
	is.True(w.f.SetLimit(t.Context(), "h", fleet.Rate{N: 1}) != nil)
	_, err := w.f.Spec(t.Context(), "none")
	is.True(errors.Is(err, jetstream.ErrKeyNotFound))
	for _, cfg := range []fleet.Config{{Name: "a b"}, {Lease: time.Millisecond}, {InMaxAge: -1}, {Lease: time.Hour}} {
		_, err := fleet.Open(t.Context(), w.dialNATS(w.url), cfg)
		is.True(err != nil) // the last one: the fleet has another lease already
	}
	for _, cfg := range []fleet.WorkerConfig{{Name: "a b"}, {Capacity: -1}} {
		_, err := w.f.Join(t.Context(), cfg)
		is.True(err != nil)
	}
}

// Secrets reach the server, are asked for afresh, and are shown nowhere.
func TestSecrets(t *testing.T) {
	is := is.New(t)
	w := newWorld(t, 0)
	var mu sync.Mutex
	var last *http.Request
	w.feed.OnRequest(func(r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		last = r
	})
	w.feed.Refuse(503)
	asked := 0
	w.join(w.url, "w1", func(c *fleet.WorkerConfig) {
		c.Secret = func(_ context.Context, name string) (string, error) {
			mu.Lock()
			defer mu.Unlock()
			if name == "missing" {
				return "", errors.New("no such secret")
			}
			if name == "key" {
				asked++
			}
			return "hush-" + name, nil
		}
	})
	is.NoErr(w.f.Put(t.Context(), fleet.Spec{
		ID: "a", URL: w.ws + ":room", PathParams: map[string]any{"room": "${secret:room}"},
		Params:  map[string]any{"plain": 1, "k": "${secret:key}"},
		Headers: map[string]any{"Authorization": "Bearer ${secret:token}", "X-Plain": "y"},
		OnOpen:  []string{`{"login":"${secret:login}"}`},
	}))
	is.NoErr(w.f.Put(t.Context(), fleet.Spec{ID: "b", URL: w.ws + "b", OnOpen: []string{"${secret:missing}"}}))
	w.eventually("it is refused, and says so", func() bool { return strings.Contains(w.stream("a").Error, "503") })
	w.feed.Refuse(0)
	w.eventually("it is up", func() bool { return w.stream("a").State == fleet.Up })
	w.eventually("it has said hello", func() bool { return len(w.feed.Received("hush-room")) == 1 })
	is.Equal(w.feed.Received("hush-room"), []string{`{"login":"hush-login"}`})
	w.eventually("the other one says what is missing", func() bool { return strings.Contains(w.stream("b").Error, "no such secret") })
	mu.Lock()
	defer mu.Unlock()
	is.True(asked >= 2) // once for each attempt
	is.True(last != nil)
	for _, s := range w.status().Streams {
		is.True(!strings.Contains(s.Error, "hush"))
	}
}

// What cannot be sent is done with, and the stream's status says why; what can be, is sent all the same.
func TestBadMessagesOut(t *testing.T) {
	is := is.New(t)
	w := newWorld(t, 0)
	js := w.jetStream()
	w.put(1)
	for _, m := range []*nats.Msg{
		{Data: []byte("one")},
		{Data: []byte{0xff}},
		{Data: []byte("x"), Header: nats.Header{fleet.HeaderKind: {"ping"}}},
		{Data: []byte{0xfe}, Header: nats.Header{fleet.HeaderKind: {"binary"}}},
		{Data: []byte("two"), Header: nats.Header{fleet.HeaderKind: {"text"}}},
	} {
		m.Subject = "fleet.out.s.0"
		_, err := js.PublishMsg(t.Context(), m)
		is.NoErr(err)
	}
	w.join(w.url, "w1")
	w.eventually("the good ones are sent", func() bool { return len(w.feed.Received("s.0")) == 3 })
	is.Equal(w.feed.Received("s.0"), []string{"one", "\xfe", "two"})
	w.eventually("the status says why", func() bool { return w.stream("s.0").Error != "" })
	w.eventually("the queue is empty", func() bool {
		s, err := js.Stream(t.Context(), "fleet_out")
		is.NoErr(err)
		return s.CachedInfo().State.Msgs == 0
	})
}

// A spec that changes has its stream opened anew, with the link counted on, and one that is put again as it was is
// left alone.
func TestChange(t *testing.T) {
	is := is.New(t)
	w := newWorld(t, 2*time.Millisecond)
	w.changes = true
	w.join(w.url, "w1")
	w.put(3)
	w.allUp(3)
	w.put(3)
	is.NoErr(w.f.Put(t.Context(), fleet.Spec{ID: "s.1", URL: w.ws + "s.1", OnOpen: []string{"changed"}}))
	w.eventually("it is opened anew", func() bool { s := w.stream("s.1"); return s.Link == 2 && s.State == fleet.Up })
	is.Equal(w.feed.Received("s.1"), []string{"changed"})
	is.Equal(len(w.feed.Conns()), 4)
	is.Equal(w.accounted().Gap, 0)
}

// The openings of all workers together keep to the limit of the host, also when streams move.
func TestOpeningLimit(t *testing.T) {
	is := is.New(t)
	w := newWorld(t, 0)
	const n, per = 5, 400 * time.Millisecond
	is.NoErr(w.f.SetLimit(t.Context(), "127.0.0.1", fleet.Rate{N: n, Per: per}))
	var mu sync.Mutex
	var opens []time.Time
	w.feed.OnRequest(func(*http.Request) {
		mu.Lock()
		defer mu.Unlock()
		opens = append(opens, time.Now())
	})
	first := w.join(w.url, "w1")
	w.join(w.url, "w2")
	w.put(12)
	w.allUp(12)
	is.NoErr(first.Drain(t.Context()))
	w.allUp(12)
	mu.Lock()
	times := opens
	mu.Unlock()
	is.True(len(times) > 12)
	// A handshake arrives a little after it was allowed: by how much is the machine's to say, not this test's. What
	// it holds to is the count over many spans.
	spans := times[len(times)-1].Sub(times[0])/per + 1
	is.True(len(times) <= n*(int(spans)+2))
	is.NoErr(w.f.SetLimit(t.Context(), "127.0.0.1", fleet.Rate{}))
	w.put(40)
	w.allUp(40)
}
