package main

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/coder/websocket"

	"github.com/reqws/reqws"
)

// startSending sends what is typed, in the background, and closes ended when that was all and
// long enough was waited for answers. It returns what gives the terminal back.
func (s *session) startSending(resp *reqws.Response, brake *brake, ended chan<- struct{}) (func(), error) {
	if s.set.noStdin || nothingToRead() {
		return func() {}, nil
	}
	in, err := startInput(s.print)
	if err != nil {
		return nil, err
	}
	go func() {
		select {
		case <-in.ctrlC:
			brake.pull(websocket.StatusNormalClosure)
		case <-resp.Done():
		}
	}()
	go func() {
		if s.sendAll(resp, in) {
			close(ended)
		}
	}()
	return in.restore, nil
}

// sendAll sends each line, and reports true when this side has nothing to wait for any more.
func (s *session) sendAll(resp *reqws.Response, in *input) bool {
	for line := range in.lines {
		f, err := s.set.frame(line)
		switch {
		case err != nil && isTerminal(os.Stdin):
			s.print.fail(err)
		case err != nil:
			s.fail(&otherError{err})
			return true
		default:
			s.rec.frame(outgoing, f)
			err := resp.Send(context.Background(), f)
			if errors.Is(err, reqws.ErrClosed) || err != nil && !isOpen(resp) {
				return false // it ends, and not for want of input
			}
			if err != nil {
				s.print.fail(err) // the message was lost with its connection
			}
		}
	}
	if in.err != nil {
		s.fail(&otherError{in.err})
		return true
	}
	return s.awaitAnswers(resp)
}

func isOpen(resp *reqws.Response) bool {
	select {
	case <-resp.Done():
		return false
	default:
		return true
	}
}

// patience is how long to wait for answers behind the end of stdin: as --wait says, else as it
// is expected of a terminal, where Ctrl-D is the end, of -n, and of a pipe.
func (s *session) patience() time.Duration {
	switch {
	case s.set.given("wait"):
		return s.set.wait
	case s.set.count > 0:
		return -1
	case isTerminal(os.Stdin):
		return 0
	}
	return time.Second
}

// awaitAnswers waits until no message has come for long enough.
func (s *session) awaitAnswers(resp *reqws.Response) bool {
	patience := s.patience()
	if patience < 0 {
		return false
	}
	ended := time.Now()
	for {
		last := time.Unix(0, max(s.heard.Load(), ended.UnixNano()))
		left := time.Until(last.Add(patience))
		if left <= 0 {
			return true
		}
		select {
		case <-time.After(left):
		case <-resp.Done():
			return false
		}
	}
}
