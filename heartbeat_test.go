package reqws_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matryer/is"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/reqwstest"
)

// seen is a server that notes when pings and messages come, as "20s ping", and plays answer to each.
type seen struct {
	start  time.Time
	log    []string
	answer func(c *reqwstest.Conn, f reqwstest.Frame) error
}

func (s *seen) steps() []reqwstest.Step {
	return []reqwstest.Step{reqwstest.Accept(), reqwstest.Do(func(c *reqwstest.Conn) error {
		s.start = time.Now()
		for {
			f, err := c.ReadFrame()
			if err != nil {
				return nil // the client is gone
			}
			what := f.Op.String()
			if f.Op == reqwstest.OpText {
				what = string(f.Payload)
			}
			s.log = append(s.log, fmt.Sprint(time.Since(s.start), " ", what))
			if f.Op == reqwstest.OpClose {
				return c.WriteFrame(f)
			}
			if s.answer != nil {
				if err := s.answer(c, f); err != nil {
					return err
				}
			}
		}
	})}
}

func pongs(c *reqwstest.Conn, f reqwstest.Frame) error {
	if f.Op != reqwstest.OpPing {
		return nil
	}
	return c.WriteFrame(reqwstest.Pong(f.Payload))
}

// Pings go out after silence alone, and what comes after one proves life.
func TestHeartbeat(t *testing.T) {
	text := func(c *reqwstest.Conn, _ reqwstest.Frame) error { return c.WriteFrame(reqwstest.Text("here")) }
	own := reqws.HeartbeatFrame(func() reqws.Frame { return reqws.Text("alive?") })
	for _, tt := range []struct {
		name   string
		opts   []reqws.Option
		answer func(*reqwstest.Conn, reqwstest.Frame) error
		within time.Duration
		server []string
		client []string
		dead   time.Duration // when the peer is given up; 0: not at all
	}{
		{"pongs", nil, pongs, 61 * time.Second, []string{"20s ping", "40s ping", "1m0s ping", "1m1s close"}, nil, 0},
		{"silence", nil, nil, time.Hour, []string{"20s ping"}, nil, 40 * time.Second},
		{"a message in place of the pong", nil, text, 41 * time.Second, []string{"20s ping", "40s ping", "41s close"}, []string{`text "here"`, `text "here"`}, 0},
		{"a pong that nobody asked for", nil, func(c *reqwstest.Conn, _ reqwstest.Frame) error { return c.WriteFrame(reqwstest.Pong("")) },
			21 * time.Second, []string{"20s ping", "21s close"}, []string{"pong"}, 0},
		{"other times", []reqws.Option{reqws.Heartbeat(3*time.Second, 5*time.Second)}, nil, time.Hour, []string{"3s ping"}, nil, 8 * time.Second},
		{"a timeout longer than the interval", []reqws.Option{reqws.Heartbeat(5*time.Second, 12*time.Second)}, nil, time.Hour, []string{"5s ping"}, nil, 17 * time.Second},
		{"the same, with pongs", []reqws.Option{reqws.Heartbeat(5*time.Second, 12*time.Second)}, pongs, 11 * time.Second, []string{"5s ping", "10s ping", "11s close"}, nil, 0},
		{"off", []reqws.Option{reqws.Heartbeat(0, time.Second)}, nil, time.Hour, []string{"1h0m0s close"}, nil, 0},
		{"nobody is judged", []reqws.Option{reqws.Heartbeat(20*time.Minute, 0)}, nil, time.Hour - time.Second, []string{"20m0s ping", "40m0s ping", "59m59s close"}, nil, 0},
		{"a frame of the user's", []reqws.Option{own}, text, 41 * time.Second, []string{"20s alive?", "40s alive?", "41s close"}, []string{`text "here"`, `text "here"`}, 0},
		{"a frame of the user's, and silence", []reqws.Option{own}, nil, time.Hour, []string{"20s alive?"}, nil, 40 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tidy(t)
				is := is.New(t)
				s := &seen{answer: tt.answer}
				srv := reqwstest.NewMemory(t, reqwstest.Script(s.steps()...))
				w := &witness{}
				start := time.Now()
				resp, err := to(srv, tt.opts...).Do(t.Context(), w.into())
				is.NoErr(err)
				select {
				case <-resp.Done():
				case <-time.After(tt.within):
					is.NoErr(resp.Close(1000, ""))
				}
				err = resp.Wait()
				if tt.dead > 0 {
					is.Equal(time.Since(start), tt.dead)
					is.True(errors.Is(err, reqws.ErrPeerUnresponsive))
					is.True(len(w.errs) == 1 && errors.Is(w.errs[0], reqws.ErrPeerUnresponsive))
				} else {
					is.NoErr(err)
				}
				synctest.Wait()
				is.Equal(w.frames(), tt.client)
				is.Equal(s.log, tt.server)
			})
		})
	}
}

// Whatever comes puts the next ping off.
func TestHeartbeatOnlyInSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		var steps []reqwstest.Step
		for range 20 { // none of the gaps is long enough
			steps = append(steps, reqwstest.ExpectNothing(19*time.Second), reqwstest.SendText("tick"))
		}
		steps = append(steps, reqwstest.ExpectNothing(20*time.Second-time.Nanosecond), reqwstest.AnswerPing(), reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, ""))
		srv := reqwstest.NewMemory(t, reqwstest.Script(append([]reqwstest.Step{reqwstest.Accept()}, steps...)...))
		w := &witness{}
		is.NoErr(to(srv).Run(t.Context(), w.into()))
		is.Equal(len(w.frames()), 21)
	})
}

// Latency is how long the answer took, and pongs that come late are hidden too.
func TestLatency(t *testing.T) {
	for name, opts := range map[string][]reqws.Option{
		"pings":                   nil,
		"a message of the user's": {reqws.HeartbeatFrame(func() reqws.Frame { return reqws.Text("?") })},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				is := is.New(t)
				delays := []time.Duration{300 * time.Millisecond, 2 * time.Second}
				s := &seen{answer: func(c *reqwstest.Conn, f reqwstest.Frame) error {
					if len(delays) == 0 || f.Op == reqwstest.OpPong {
						return nil
					}
					time.Sleep(delays[0])
					delays = delays[1:]
					if f.Op == reqwstest.OpPing {
						return c.WriteFrame(reqwstest.Pong(f.Payload))
					}
					return c.WriteFrame(reqwstest.Ping("!"))
				}}
				srv := reqwstest.NewMemory(t, reqwstest.Script(s.steps()...))
				resp, err := to(srv, opts...).Do(t.Context(), reqws.Into(reqws.Each(func(f reqws.Frame) reqws.Directive { return reqws.Cont() })))
				is.NoErr(err)
				is.Equal(resp.Latency(), time.Duration(0))
				time.Sleep(21 * time.Second)
				is.Equal(resp.Latency(), 300*time.Millisecond)
				time.Sleep(22 * time.Second)
				is.Equal(resp.Latency(), 2*time.Second)
				is.NoErr(resp.CloseNow())
				is.Equal((*reqws.Response)(nil).Latency(), time.Duration(0))
			})
		})
	}
}

// A pong that answers an older heartbeat is no frame for the handler, and one that answers a ping of
// the user's is.
func TestOwnPongsAreHidden(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		var first []byte
		srv := reqwstest.NewMemory(t, reqwstest.Script(
			reqwstest.Accept(),
			reqwstest.Do(func(c *reqwstest.Conn) error {
				f, err := c.ReadFrame()
				first = f.Payload
				return errors.Join(err, c.WriteFrame(reqwstest.Text("alive")))
			}),
			reqwstest.Do(func(c *reqwstest.Conn) error {
				f, err := c.ReadFrame()
				return errors.Join(err, c.WriteFrame(reqwstest.Pong(first), reqwstest.Pong(f.Payload), reqwstest.Pong("ffffffff"), reqwstest.Pong("mine")))
			}),
			reqwstest.SendClose(1000, ""),
			reqwstest.ExpectClose(1000, ""),
		))
		w := &witness{}
		is.NoErr(to(srv).Run(t.Context(), w.into()))
		is.Equal(w.frames(), []string{`text "alive"`, `pong "ffffffff"`, `pong "mine"`, "close 1000"})
		is.True(strings.Trim(string(first), "0123456789abcdef") == "" && len(first) == 8) // text, for servers that log it
	})
}

// While nobody listens, nobody is mistaken for dead: a handler that is slow, a mailbox or a backlog
// that is full.
func TestHeartbeatSparesSlowReaders(t *testing.T) {
	full := strings.Repeat("x", 300<<10) // more than is kept for Receive
	box := make(chan reqws.Message)
	for name, tt := range map[string]struct {
		opts []reqws.Option
		read func(*reqws.Response) error
	}{
		"handler": {[]reqws.Option{reqws.Into(reqws.Each(func(f reqws.Frame) reqws.Directive {
			if f.Kind == reqws.KindText {
				time.Sleep(time.Hour)
			}
			return reqws.Cont()
		}))}, (*reqws.Response).Wait},
		"mailbox": {[]reqws.Option{reqws.IntoMailbox(box)}, func(*reqws.Response) error {
			time.Sleep(time.Hour)
			for m := range box {
				if m.Err != nil {
					return m.Err
				}
			}
			return nil
		}},
		"backlog": {nil, func(resp *reqws.Response) error {
			time.Sleep(time.Hour)
			for {
				if _, err := resp.Receive(context.Background()); err != nil {
					return err
				}
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				is := is.New(t)
				if name == "mailbox" {
					box = make(chan reqws.Message)
					tt.opts = []reqws.Option{reqws.IntoMailbox(box)}
				}
				srv := reqwstest.NewMemory(t, reqwstest.BufferSize(1<<20), reqwstest.Script(
					reqwstest.Accept(),
					reqwstest.Send(reqwstest.Text(full)),
					reqwstest.Sleep(time.Second),
					reqwstest.Send(reqwstest.Text(full)),
					reqwstest.Sleep(time.Second),
					reqwstest.Send(reqwstest.Text(full)),
					reqwstest.Stall(), // and is dead from now on
				))
				start := time.Now()
				resp, err := to(srv).Do(t.Context(), tt.opts...)
				is.NoErr(err)
				err = tt.read(resp)
				is.True(errors.Is(err, reqws.ErrPeerUnresponsive))
				took := time.Since(start)
				is.True(took > time.Hour && took < 4*time.Hour)
			})
		})
	}
}

// A peer that still takes what was to be sent before the ping lives.
func TestHeartbeatSparesSlowWriters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		const size = 100_000
		srv := reqwstest.NewMemory(t, reqwstest.BufferSize(1000), reqwstest.Script(
			reqwstest.Accept(),
			reqwstest.Do(func(c *reqwstest.Conn) error {
				for left := size; left > 0; left -= 1000 {
					time.Sleep(10 * time.Second)
					if _, err := io.ReadFull(c, make([]byte, 1000)); err != nil {
						return err
					}
				}
				return nil
			}),
			reqwstest.Stall(),
		))
		resp, err := to(srv).Do(t.Context())
		is.NoErr(err)
		start := time.Now()
		is.NoErr(resp.Send(t.Context(), reqws.Binary(make([]byte, size-14))))
		is.True(time.Since(start) > 15*time.Minute)
		is.True(errors.Is(resp.Wait(), reqws.ErrPeerUnresponsive))
		is.True(time.Since(start) < 18*time.Minute)
	})
}

// A peer that takes nothing is given up by the heartbeat, too, where a write has no timeout.
func TestHeartbeatOfABlockedWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		srv := reqwstest.NewMemory(t, reqwstest.BufferSize(1000), reqwstest.Script(reqwstest.Accept(), reqwstest.Stall()))
		resp, err := to(srv, reqws.WriteTimeout(0)).Do(t.Context())
		is.NoErr(err)
		start := time.Now()
		err = resp.Send(t.Context(), reqws.Binary(make([]byte, 5000)))
		is.True(errors.Is(err, reqws.ErrPeerUnresponsive))
		is.Equal(time.Since(start), 40*time.Second)
	})
}

// A heartbeat that may not be sent ends the stream, and the error names the option.
func TestBadHeartbeatFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		srv := reqwstest.NewMemory(t, reqwstest.Script(reqwstest.Accept(), reqwstest.ExpectGone()))
		err := to(srv, reqws.HeartbeatFrame(func() reqws.Frame { return reqws.Frame{} })).Run(t.Context(), (&witness{}).into())
		is.True(err != nil)
		is.True(strings.Contains(err.Error(), "HeartbeatFrame"))
	})
}

// A heartbeat may be the last frame.
func TestHeartbeatThatCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		srv := reqwstest.NewMemory(t, reqwstest.Script(reqwstest.Accept(), reqwstest.ExpectClose(1001, ""), reqwstest.SendClose(1001, "")))
		is.NoErr(to(srv, reqws.HeartbeatFrame(func() reqws.Frame { return reqws.Close(1001, "") })).Run(t.Context(), (&witness{}).into()))
	})
}

// What two bubbles share, a Request, does not tie their clocks together.
func TestHeartbeatsOfTwoBubbles(t *testing.T) {
	shared := reqws.New(reqws.Retry(reqws.Never))
	for _, answers := range []int{3, 5} {
		synctest.Test(t, func(t *testing.T) {
			is := is.New(t)
			steps := []reqwstest.Step{reqwstest.Accept()}
			for range answers {
				steps = append(steps, reqwstest.AnswerPing())
			}
			srv := reqwstest.NewMemory(t, reqwstest.Script(append(steps, reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, ""))...))
			start := time.Now()
			is.NoErr(shared.Run(t.Context(), reqws.URL(srv.URL), reqws.DialContext(srv.DialContext), (&witness{}).into()))
			is.Equal(time.Since(start), time.Duration(answers)*20*time.Second)
		})
	}
}

// A stream that waits without a goroutine has a heartbeat all the same.
func TestHeartbeatOfParkedStreams(t *testing.T) {
	for name, serve := range servers {
		if name == "memory" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			tidy(t)
			is := is.New(t)
			const n = 50
			srv := serve(t, reqwstest.Script(
				reqwstest.Accept(),
				reqwstest.AnswerPing(), reqwstest.AnswerPing(), reqwstest.AnswerPing(),
				reqwstest.SendClose(1000, ""),
				reqwstest.ExpectClose(1000, ""),
			).Times(n))
			r := to(srv, reqws.Heartbeat(5*time.Millisecond, time.Hour))
			var all []*reqws.Response
			for range n {
				resp, err := r.Do(t.Context(), (&witness{}).into())
				is.NoErr(err)
				all = append(all, resp)
			}
			for _, resp := range all {
				is.NoErr(resp.Wait())
				is.True(resp.Latency() > 0)
			}
		})
	}
}
