package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/reqws/reqws"
)

// fate is what became of a message of the client's, as far as the client was told.
type fate int

const (
	open    fate = iota // it failed, and may have been begun
	sent                // Send returned nil
	givenUp             // its ctx ended, and nothing of it was written
)

// Who sends, beside the senders: OnOpen, and the handler, whose replies are written unless the
// stream breaks.
const (
	greets = 3 + iota
	replies
	mostSenders
)

// next makes the next message of a sender.
func (s *session) next(sender int, r *rand.Rand, size int) (reqws.Frame, int) {
	s.mu.Lock()
	n := len(s.sends[sender])
	s.sends[sender] = append(s.sends[sender], open)
	s.mu.Unlock()
	return reqws.Text(message{s.number, sender, n}.text("c", r, size)), n
}

func (s *session) became(sender int, numbers []int, f fate) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range numbers {
		s.sends[sender][n] = f
	}
}

// reply makes a message that OnOpen or the handler answers with.
func (s *session) reply(sender int) reqws.Frame {
	f, n := s.next(sender, s.rand, 50) // only one goroutine is inside
	if !s.isLeaving() {
		s.became(sender, []int{n}, sent)
	}
	return f
}

func (s *session) isLeaving() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.left
}

// answers reports whether the handler is to answer a batch, where that is one.
func (s *session) answers() bool {
	return (s.way == runs || s.way == does) && !s.deaf() && s.oneIn(3)
}

// send is one sender: it sends one by one, or in volleys whose order is known.
func (s *session) send(resp *reqws.Response, sender int) {
	r := rand.New(rand.NewPCG(s.seed, uint64(sender)+10))
	for range s.sendings {
		if s.volleys && r.IntN(3) == 0 {
			s.volley(resp, sender, r)
		} else {
			s.sendOne(resp, sender, r, nil)
		}
		select {
		case <-resp.Done():
			return
		default:
		}
		if r.IntN(3) == 0 {
			time.Sleep(time.Duration(r.IntN(3000)) * time.Microsecond)
		}
	}
}

// volley has several Sends under way, each begun when the one before it has returned or waits in
// line: so they have an order, and are to keep it.
func (s *session) volley(resp *reqws.Response, sender int, r *rand.Rand) {
	var sends sync.WaitGroup
	for range 2 + r.IntN(3) {
		own := rand.New(rand.NewPCG(r.Uint64(), 0))
		queued := make(chan struct{})
		once := sync.OnceFunc(func() { close(queued) })
		sends.Go(func() {
			defer once()
			s.sendOne(resp, sender, own, once)
		})
		<-queued
	}
	sends.Wait()
}

// sendOne makes one call of Send, with a message or a few. Some are given up. waits is called, if
// it is not nil, when the call is in line and waits there.
func (s *session) sendOne(resp *reqws.Response, sender int, r *rand.Rand, waits func()) {
	var (
		frames  []reqws.Frame
		numbers []int
	)
	sizes := []int{size(r)}
	switch r.IntN(10) {
	case 0:
		sizes = append(sizes, size(r), size(r))
	case 1:
		sizes = []int{r.IntN(300), r.IntN(mostBytes)} // of which the first may arrive without the other
	}
	for _, bytes := range sizes {
		f, n := s.next(sender, r, bytes)
		frames, numbers = append(frames, f), append(numbers, n)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if r.IntN(6) == 0 {
		timer := time.AfterFunc(time.Duration(r.IntN(300))*time.Microsecond, cancel)
		defer timer.Stop()
	}
	switch err := resp.Send(&telling{ctx, waits}, frames...); {
	case err == nil:
		s.became(sender, numbers, sent)
	case strings.Contains(err.Error(), "cut off"): // which breaks the connection
		s.mu.Lock()
		s.cut = true
		s.mu.Unlock()
	case errors.Is(err, context.Canceled) && !s.isLeaving(): // else it may be the stream's ctx
		s.became(sender, numbers, givenUp)
	}
}

// telling is a ctx that tells when it is waited for: Send does that once it is in line.
type telling struct {
	context.Context
	waits func()
}

func (t *telling) Done() <-chan struct{} {
	if t.waits != nil {
		t.waits()
	}
	return t.Context.Done()
}
