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

// session is one stream, as the client sees it.
type session struct {
	plan
	number int // in the URL

	mu      sync.Mutex
	rand    *rand.Rand
	resp    *reqws.Response // the first
	opens   int
	dials   int // that reached nobody since the last open
	refused int // all of them
	got     []message
	damage  error     // what is wrong with what came
	sends   [][]fate  // by sender and number
	left    bool      // the client is ending the stream
	cut     bool      // a Send that was given up has broken a connection
	closing []error   // what Close returned
	err     error     // what the stream ended with
	peer    [2]string // the code and the reason that it says of the peer
}

func newSession(p plan, number int) *session {
	return &session{
		plan: p, number: number, rand: rand.New(rand.NewPCG(p.seed, 1<<20)), sends: make([][]fate, mostSenders),
	}
}

// nobody is where no server listens.
const nobody = "127.0.0.1:1"

// base is where the next attempt goes.
func (s *session) base(server string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dials < s.link(s.opens).refused {
		s.dials++
		s.refused++
		scheme, _, _ := strings.Cut(server, "://")
		return scheme + "://" + nobody
	}
	return server
}

// run has the stream live from its handshake to its end.
func (s *session) run(req *reqws.Request, server string, open gauge) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var others sync.WaitGroup // goroutines that use the stream
	onOpen := reqws.OnOpen(func(resp *reqws.Response) reqws.Directive {
		s.mu.Lock()
		n := s.opens
		s.opens, s.dials = n+1, 0
		leaves := s.leave != stays && s.leaveAt == 0 && s.leaveOn == n
		s.mu.Unlock()
		if n == 0 {
			s.resp = resp
			open.up()
			for sender := range s.senders {
				others.Go(func() { s.send(resp, sender) })
			}
		}
		if leaves {
			nap := time.Duration(s.seed%4) * time.Millisecond // in which it may come to rest
			others.Go(func() {
				time.Sleep(nap)
				s.leaveFrom(resp, cancel)
			})
		}
		return reqws.Cont(s.reply(greets))
	})
	handler := func(in reqws.Event, resp *reqws.Response) reqws.Directive {
		switch leave := s.take(in.Frames); {
		case leave && s.leave == halts:
			return reqws.Halt()
		case leave:
			others.Go(func() { s.leaveFrom(resp, cancel) })
		case in.Err == nil && s.answers():
			return reqws.Cont(s.reply(replies))
		}
		return reqws.Cont()
	}
	opts := append(s.options(), onOpen, reqws.BaseURLFunc(func() string { return s.base(server) }), reqws.URL(fmt.Sprint("/", s.number)))
	err := s.read(ctx, req.With(opts...), handler)
	others.Wait()
	s.err = err
	if s.resp != nil {
		open.down()
		if code, reason, ok := s.resp.PeerClose(); ok {
			s.peer = [2]string{fmt.Sprint(int(code)), reason}
		}
	}
}

// take notes a batch, and reports whether the client is to leave now.
func (s *session) take(frames []reqws.Frame) (leave bool) {
	s.mu.Lock()
	for _, f := range frames {
		switch f.Kind {
		case reqws.KindText, reqws.KindBinary:
			m, err := parse(f.Text(), "s", s.number)
			if err != nil && s.damage == nil {
				s.damage = err
			}
			s.got = append(s.got, m)
			leave = leave || s.leave != stays && !s.left &&
				(m.source > s.leaveOn || m.source == s.leaveOn && m.number+1 >= s.leaveAt)
		case reqws.KindPong:
			s.damage = fmt.Errorf("a pong nobody asked for, or a heartbeat's: %q", f.Data)
		}
	}
	s.left = s.left || leave
	var nap time.Duration
	if s.slow > 0 && s.rand.IntN(4) == 0 {
		nap = s.slow
	}
	s.mu.Unlock()
	time.Sleep(nap)
	return leave
}

// read reads the stream in its way, to its end.
func (s *session) read(ctx context.Context, req *reqws.Request, handler reqws.Handler) error {
	switch s.way {
	case runs:
		return req.Run(ctx, reqws.Into(handler))
	case mailbox:
		return s.readMailbox(ctx, req, handler)
	case does:
		req = req.With(reqws.Into(handler))
	}
	resp, err := req.Do(ctx)
	if err != nil {
		return err
	}
	switch s.way {
	case receives:
		s.receive(resp, handler)
	case ranges:
		for s.readFrames(resp, handler) {
		}
	}
	return resp.Wait()
}

func (s *session) readMailbox(ctx context.Context, req *reqws.Request, handler reqws.Handler) error {
	box := make(chan reqws.Message, 2)
	if _, err := req.Do(ctx, reqws.IntoMailbox(box)); err != nil {
		return err
	}
	for m := range box {
		if m.Err == io.EOF {
			return nil
		}
		if m.Err != nil {
			return m.Err
		}
		s.feed(handler, m.Frames, m.Response)
	}
	return nil
}

// receive gives some of its calls little time.
func (s *session) receive(resp *reqws.Response, handler reqws.Handler) {
	for {
		ctx, cancel := context.Background(), func() {}
		if s.oneIn(3) {
			ctx, cancel = context.WithTimeout(ctx, 2*time.Millisecond)
		}
		frames, err := resp.Receive(ctx)
		late := ctx.Err() != nil && errors.Is(err, context.DeadlineExceeded)
		cancel()
		if err != nil && !late {
			return
		}
		s.feed(handler, frames, resp)
	}
}

// readFrames reports false at the end; it leaves some of its loops early.
func (s *session) readFrames(resp *reqws.Response, handler reqws.Handler) bool {
	for f, err := range resp.Frames(context.Background()) {
		if err != nil {
			return false
		}
		s.feed(handler, []reqws.Frame{f}, resp)
		if s.oneIn(10) {
			return true
		}
	}
	return false
}

// feed has the handler see what was pulled. What it says is done from here.
func (s *session) feed(handler reqws.Handler, frames []reqws.Frame, resp *reqws.Response) {
	if handler(reqws.Event{Frames: frames}, resp).Halts() {
		s.close(resp)
	}
}

func (s *session) oneIn(n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rand.IntN(n) == 0
}

// leaveFrom ends the stream from another goroutine.
func (s *session) leaveFrom(resp *reqws.Response, cancel func()) {
	s.mu.Lock()
	s.left = true
	s.mu.Unlock()
	switch s.leave {
	case closesIt, halts:
		s.close(resp)
	case sendsClose:
		_ = resp.Send(context.Background(), reqws.Close(websocket.StatusCode(s.closeBy), ""))
	case closesNow:
		_ = resp.CloseNow()
	case cancels:
		cancel()
	case crowds:
		var crowd sync.WaitGroup
		crowd.Go(func() { _ = resp.CloseNow() })
		crowd.Go(cancel)
		crowd.Go(func() { s.close(resp) })
		crowd.Go(func() { s.close(resp) })
		crowd.Wait()
	}
}

func (s *session) close(resp *reqws.Response) {
	err := resp.Close(websocket.StatusCode(s.closeBy), "")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closing = append(s.closing, err)
}
