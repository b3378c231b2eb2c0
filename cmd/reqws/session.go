package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/coder/websocket"

	"github.com/reqws/reqws"
)

// start does what the command line asks for.
func start(f *flags, std stdio) error {
	if err := f.check(); err != nil {
		return err
	}
	if f.replay != "" {
		return replay(f, std)
	}
	options, err := f.request(std)
	if err != nil {
		return err
	}
	s := &session{f: f, screen: newScreen(f, std), began: time.Now(), heard: make(chan struct{}, 1)}
	if f.record != "" {
		if s.recorder, err = newRecorder(f.record, f.url); err != nil {
			return usage(err)
		}
		defer s.recorder.close()
	}
	if !f.isWebSocket() {
		return s.plain(options)
	}
	return s.run(options)
}

// session is one run of the program against a WebSocket.
type session struct {
	f        *flags
	screen   *screen
	recorder *recorder // nil: none
	began    time.Time

	heard chan struct{} // has an element when something has come

	mu      sync.Mutex // guards what follows
	resp    *reqws.Response
	opened  time.Time
	counts  counts
	enough  bool // as many messages as were asked for
	outGone bool // stdout takes nothing any more
}

// counts is what the summary counts.
type counts struct {
	in, out           int // messages
	bytesIn, bytesOut int
	opens             int
}

// run connects, and returns when it is over.
func (s *session) run(options []reqws.Option) error {
	ctx, end := context.WithCancelCause(context.Background())
	defer end(nil)
	stopSignals := s.signals(end)
	defer stopSignals()
	options = append(options,
		reqws.Into(s.handle), reqws.OnOpen(s.onOpen), reqws.Trace(s.trace()), reqws.Logger(s.logger()))
	if s.f.verbose {
		options = append(options, reqws.LogFrames(slog.LevelDebug), reqws.RedirectLogLevel(slog.LevelInfo))
	}
	resp, err := reqws.New(options...).Do(ctx)
	if err != nil {
		s.explain(err)
		if s.interrupted(ctx) {
			return silentError{exitInterrupted}
		}
		return err
	}
	s.set(resp)
	if !s.f.noStdin {
		in, err := s.screen.input()
		if err != nil {
			return err
		}
		defer in.close()
		go s.send(ctx, in)
	}
	err = resp.Wait()
	return s.ended(ctx, err)
}

// set keeps the handle of the stream.
func (s *session) set(resp *reqws.Response) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.resp = resp
}

func (s *session) response() *reqws.Response {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.resp
}

var errInterrupted = errors.New("interrupted")

// signals has the first signal close the connection in good order, and the second one at once. A stdout that is
// closed is no reason to die: the server is told goodbye first.
func (s *session) signals(end context.CancelCauseFunc) (stop func()) {
	ch := make(chan os.Signal, 2)
	signal.Notify(ch, os.Interrupt, syscall.SIGTERM)
	pipes := make(chan os.Signal, 1)
	signal.Notify(pipes, syscall.SIGPIPE)
	done := make(chan struct{})
	go func() {
		for first := true; ; first = false {
			select {
			case <-done:
				return
			case <-ch:
			}
			if resp := s.response(); first && resp != nil {
				go func() { _ = resp.Close(websocket.StatusNormalClosure, "") }()
			} else {
				end(errInterrupted)
			}
		}
	}()
	return func() { signal.Stop(ch); signal.Stop(pipes); close(done) }
}

func (s *session) interrupted(ctx context.Context) bool {
	return errors.Is(context.Cause(ctx), errInterrupted)
}

// onOpen sends what is to be sent on each open.
func (s *session) onOpen(*reqws.Response) reqws.Directive {
	frames := make([]reqws.Frame, len(s.f.onOpen))
	for i, text := range s.f.onOpen {
		frames[i] = reqws.Text(text)
		s.sent(frames[i])
	}
	return reqws.Cont(frames...)
}

// handle prints what comes, and ends when that is enough.
func (s *session) handle(in reqws.Event, _ *reqws.Response) reqws.Directive {
	now := time.Now()
	for _, f := range in.Frames {
		s.recorder.frame("in", f, now)
		if f.Kind != reqws.KindText && f.Kind != reqws.KindBinary {
			continue
		}
		err := s.screen.message(f, now)
		select {
		case s.heard <- struct{}{}:
		default:
		}
		s.mu.Lock()
		s.counts.in++
		s.counts.bytesIn += len(f.Data)
		s.enough = s.f.count > 0 && s.counts.in >= s.f.count
		s.outGone = err != nil
		over := s.enough || s.outGone
		s.mu.Unlock()
		if over {
			return reqws.Halt()
		}
	}
	return reqws.Cont()
}

// sent counts and records a message that is sent.
func (s *session) sent(f reqws.Frame) {
	s.recorder.frame("out", f, time.Now())
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts.out++
	s.counts.bytesOut += len(f.Data)
}

// send sends the lines of the input, and closes the connection after the last.
func (s *session) send(ctx context.Context, in lines) {
	resp := s.response()
	for {
		line, err := in.next()
		if err != nil {
			s.inputEnded(resp)
			return
		}
		f, err := s.f.frame(line)
		if err != nil {
			s.screen.say(red, "reqws: %v", err)
			continue
		}
		s.sent(f)
		if err := resp.Send(ctx, f); err != nil {
			return // Wait says why
		}
	}
}

// inputEnded closes the connection: at once where somebody has typed Ctrl-D, else when the answers have come.
func (s *session) inputEnded(resp *reqws.Response) {
	if !s.screen.std.typed && !s.await(resp) {
		return
	}
	_ = resp.Close(websocket.StatusNormalClosure, "")
}

// await waits until nothing has come for a while. It reports false where the connection is to be left as it is.
func (s *session) await(resp *reqws.Response) bool {
	if s.f.wait < 0 || s.f.count > 0 {
		return false
	}
	for {
		select {
		case <-s.heard:
		case <-time.After(s.f.wait):
			return true
		case <-resp.Done():
			return false
		}
	}
}

// ended sums up, and says what the end is worth.
func (s *session) ended(ctx context.Context, err error) error {
	s.screen.types(nil)
	s.mu.Lock()
	fine := s.enough || s.outGone
	s.mu.Unlock()
	s.summary(err)
	switch {
	case s.interrupted(ctx):
		return silentError{exitInterrupted}
	case err == nil || fine:
		return nil
	}
	return phase{err, true}
}

// summary prints what there was, where somebody is looking.
func (s *session) summary(err error) {
	if s.f.silent || !s.screen.std.typed && !s.f.verbose {
		return
	}
	s.mu.Lock()
	c, opened := s.counts, s.opened
	s.mu.Unlock()
	text := fmt.Sprintf("%d in (%d bytes), %d out (%d bytes), %v", c.in, c.bytesIn, c.out, c.bytesOut, time.Since(opened).Round(time.Millisecond))
	if c.opens > 1 {
		text += fmt.Sprintf(", %d connections", c.opens)
	}
	if code, reason, ok := s.resp.PeerClose(); ok {
		text += fmt.Sprintf("; closed with %d %s", code, reason)
	} else if err == nil {
		text += "; closed"
	}
	fmt.Fprint(s.screen.std.err, "\r")
	s.screen.say(grey, "%s", text)
}

// plain is the run of an http or https URL: it prints the body.
func (s *session) plain(options []reqws.Option) error {
	ctx, end := context.WithCancelCause(context.Background())
	defer end(nil)
	defer s.signals(end)()
	options = append(options, reqws.Trace(s.trace()), reqws.Logger(s.logger()))
	resp, err := reqws.New(options...).Do(ctx)
	if err != nil {
		s.explain(err)
		return err
	}
	s.handshake(resp)
	body := resp.Body
	if s.f.json || s.f.compact {
		body = s.screen.formatted(body)
	}
	text := string(body)
	if s.screen.std.shown {
		text = harmless(text)
	}
	if _, err := io.WriteString(s.screen.std.out, text); err != nil {
		return err
	}
	if s.screen.std.shown && len(text) > 0 && text[len(text)-1] != '\n' {
		fmt.Fprintln(s.screen.std.out)
	}
	if resp.StatusCode >= 400 {
		return &reqws.HTTPError{StatusCode: resp.StatusCode, Header: resp.Header, URL: s.f.url}
	}
	return nil
}
