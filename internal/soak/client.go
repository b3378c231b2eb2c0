package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/reqws/reqws"
)

// way is how a client reads.
type way int

const (
	runs way = iota
	does
	pulls
	ranges
	mailbox
	mostWays
)

// leaving is how a client ends its stream, if the server does not.
type leaving int

const (
	stays leaving = iota
	halts
	closesIt
	closesNow
	cancels
	mostLeavings
)

// session is one stream, and what came of it.
type session struct {
	plan
	way   way
	leave leaving
	after int // messages, before the client leaves

	mu   sync.Mutex
	got  []string
	sent []string // those whose Send returned nil
	void []string // those whose Send was given up, and the stream not broken
	err  error    // what the stream ended with
	left bool     // the client ended it, or broke it

	unclean bool // Close was not answered
}

func newSession(r *rand.Rand, id int) *session {
	s := &session{plan: draw(r, id), way: way(r.IntN(int(mostWays))), after: r.IntN(40)}
	if s.fault == waits {
		s.leave, s.after = leaving(1+r.IntN(int(mostLeavings)-1)), min(s.after, s.messages)
	} else if r.IntN(3) == 0 {
		s.leave = leaving(1 + r.IntN(int(mostLeavings)-1))
	}
	return s
}

// take notes a batch, and reports whether the client is to leave now.
func (s *session) take(frames []reqws.Frame) (leave bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range frames {
		if f.Kind == reqws.KindText {
			s.got = append(s.got, f.Text())
		}
	}
	leave = s.leave != stays && len(s.got) >= s.after && !s.left
	s.left = s.left || leave
	return leave
}

// run has the stream live from its handshake to its end.
func (s *session) run(req *reqws.Request) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var senders sync.WaitGroup
	open := reqws.OnOpen(func(resp *reqws.Response) reqws.Directive {
		for n := range 3 {
			senders.Go(func() { s.send(resp, n) })
		}
		if s.leave != stays && s.after == 0 {
			senders.Go(func() {
				if s.take(nil) {
					s.leaveFrom(resp, cancel)
				}
			})
		}
		return reqws.Cont()
	})
	handler := func(in reqws.Event, resp *reqws.Response) reqws.Directive {
		if !s.take(in.Frames) {
			return reqws.Cont()
		}
		if s.leave == halts {
			return reqws.Halt()
		}
		senders.Go(func() { s.leaveFrom(resp, cancel) })
		return reqws.Cont()
	}
	err := s.read(ctx, req.With(open), handler)
	senders.Wait()
	s.mu.Lock()
	s.err = err
	s.mu.Unlock()
}

func (s *session) read(ctx context.Context, req *reqws.Request, handler reqws.Handler) error {
	feed := func(frames []reqws.Frame, resp *reqws.Response) {
		if handler(reqws.Event{Frames: frames}, resp).Halts() {
			s.closeStream(resp)
		}
	}
	switch s.way {
	case runs:
		return req.Run(ctx, reqws.Into(handler))
	case mailbox:
		box := make(chan reqws.Message, 2)
		if _, err := req.Do(ctx, reqws.IntoMailbox(box)); err != nil {
			return err
		}
		for m := range box {
			if m.Err != nil {
				return ended(m.Err)
			}
			feed(m.Frames, m.Response)
		}
	}
	var opts []reqws.Option
	if s.way == does {
		opts = append(opts, reqws.Into(handler))
	}
	resp, err := req.Do(ctx, opts...)
	if err != nil {
		return err
	}
	for s.way == pulls {
		frames, err := resp.Receive(context.Background())
		if err != nil {
			break
		}
		feed(frames, resp)
	}
	if s.way == ranges {
		for f, err := range resp.Frames(context.Background()) {
			if err != nil {
				break
			}
			feed([]reqws.Frame{f}, resp)
		}
	}
	return resp.Wait()
}

func ended(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}

// closeStream notes whether the server completed the closing handshake: Wait does not say that.
func (s *session) closeStream(resp *reqws.Response) {
	err := resp.Close(1000, "")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unclean = s.unclean || err != nil
}

// leaveFrom ends the stream from another goroutine.
func (s *session) leaveFrom(resp *reqws.Response, cancel func()) {
	switch s.leave {
	case closesIt, halts:
		s.closeStream(resp)
	case closesNow:
		_ = resp.CloseNow()
	case cancels:
		cancel()
	}
}

// send sends messages until one fails for good; some are given up on the way.
func (s *session) send(resp *reqws.Response, sender int) {
	r := rand.New(rand.NewPCG(s.seed, uint64(sender)+10))
	for n := range r.IntN(15) {
		size := r.IntN(200)
		if r.IntN(30) == 0 {
			size = r.IntN(300_000)
		}
		text := fmt.Sprintf("c %d %d %d %s", s.id, sender, n, strings.Repeat("y", size))
		ctx, cancel := context.WithCancel(context.Background())
		givenUp := r.IntN(6) == 0
		if givenUp {
			time.AfterFunc(time.Duration(r.IntN(300))*time.Microsecond, cancel)
		}
		err := resp.Send(ctx, reqws.Text(text))
		cancel()
		s.mu.Lock()
		if err == nil {
			s.sent = append(s.sent, text)
		} else if strings.Contains(err.Error(), "cut off") { // which breaks the stream
			s.left = true
		} else if givenUp && errors.Is(err, context.Canceled) {
			s.void = append(s.void, text)
			err = nil
		}
		s.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// check says what is wrong with a session that has ended.
func (s *session) check(r *record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	for n, text := range s.got {
		if !strings.HasPrefix(text, fmt.Sprintf("s %d %d ", s.id, n)) {
			return fmt.Errorf("message %d is %.40q", n, text)
		}
	}
	if len(s.got) > s.messages {
		return fmt.Errorf("%d messages came of %d", len(s.got), s.messages)
	}
	if !s.left && s.fault != resets && len(s.got) < r.wrote {
		return fmt.Errorf("%d messages came of %d that were written whole (%v)", len(s.got), r.wrote, s.err)
	}
	heard := make(map[string]int)
	last := map[int]int{0: -1, 1: -1, 2: -1}
	for _, text := range r.heard {
		heard[text]++
		var id, sender, n int
		if _, err := fmt.Sscanf(text, "c %d %d %d ", &id, &sender, &n); err != nil || id != s.id {
			return fmt.Errorf("the server heard %.40q", text)
		}
		if n <= last[sender] {
			return fmt.Errorf("sender %d's message %d arrived behind its %d", sender, n, last[sender])
		}
		last[sender] = n
	}
	for _, text := range s.void {
		if heard[text] > 0 {
			return fmt.Errorf("%.40q was given up, and sent", text)
		}
	}
	if s.err == nil && !s.unclean {
		for _, text := range s.sent {
			if heard[text] != 1 {
				return fmt.Errorf("%.40q arrived %d times after a clean end", text, heard[text])
			}
		}
	}
	return s.checkEnd()
}

// checkEnd compares what the stream ended with to what happened to it.
func (s *session) checkEnd() error {
	var closed websocket.CloseError
	switch {
	case s.left:
		return nil // either side may have been first
	case s.fault == closes && (s.code == 0 || s.code == 1000):
		if s.err != nil {
			return fmt.Errorf("a clean close ended in %v", s.err)
		}
	case s.fault == closes:
		if !errors.As(s.err, &closed) || int(closed.Code) != s.code {
			return fmt.Errorf("close %d ended in %v", s.code, s.err)
		}
	case s.err == nil:
		return errors.New("a break ended in nil")
	}
	return nil
}
