package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"
	"github.com/spf13/pflag"

	"github.com/reqws/reqws"
)

// session is one run of the command: a stream, what is printed of it and sent over it.
type session struct {
	set   *settings
	print *printer
	rec   *recorder
	stats stats

	toCome  int          // messages until the end; 0 is no end
	heard   atomic.Int64 // when the last message came, in nanoseconds
	reached atomic.Bool  // the steps were passed: what failed is not the URL

	shown sync.Once // the head of a plain answer, before its body

	mu     sync.Mutex
	ownErr error // why this side ended it, where that is a failure
}

// execute does what the command line says.
func execute(ctx context.Context, s *settings, flags *pflag.FlagSet) error {
	s.given = func(name string) bool { return flags.Changed(name) }
	if s.replay != "" {
		return replay(ctx, s)
	}
	for _, name := range []string{"replay-fast", "listen"} {
		if s.given(name) {
			return usagef("--%s: it goes with --replay", name)
		}
	}
	if err := s.checkURL(); err != nil {
		return err
	}
	if s.one {
		s.count = 1
	}
	if s.given("count") && s.count < 1 {
		return usagef("--count: it takes a number above 0")
	}
	for _, text := range s.onOpen {
		if !utf8.ValidString(text) {
			return usagef("--on-open: the text is not UTF-8")
		}
	}
	opts, err := s.options(s.table())
	if err != nil {
		return err
	}
	return s.session(ctx, opts)
}

// session opens the files, and runs a session with them.
func (s *settings) session(ctx context.Context, opts reqws.Option) (err error) {
	out := os.Stdout
	if s.output != "" {
		if out, err = os.Create(s.output); err != nil {
			return &otherError{prefixed("--output: ", fileError(err))}
		}
		defer out.Close()
	}
	rec, err := newRecorder(s.record)
	if err != nil {
		return err
	}
	it := &session{set: s, print: newPrinter(s, out), rec: rec, toCome: s.count}
	err = it.run(ctx, opts)
	if closing := rec.close(); err == nil && closing != nil {
		err = closing
	}
	return err
}

// run connects, and ends when the stream does.
func (s *session) run(ctx context.Context, opts reqws.Option) error {
	life, end := context.WithCancelCause(ctx)
	defer end(nil)
	brake := newBrake(func() { end(errInterrupted) })
	defer brake.release()
	resp, err := reqws.New(reqws.URL(s.set.url), opts).Do(life, s.own(brake))
	if err != nil {
		return s.failed(life, err)
	}
	if s.set.plain() {
		return s.plainAnswer(resp, brake)
	}
	if !s.stats.wasOpened() {
		s.showHandshake(resp)
		return resp.Wait()
	}
	err = s.talk(resp, brake)
	s.summary()
	return err
}

// own is what the session itself asks of the library.
func (s *session) own(brake *brake) reqws.Option {
	return reqws.Options(
		reqws.HTTPErrors(reqws.ReturnErrors),
		reqws.Into(s.handle),
		reqws.OnOpen(func(*reqws.Response) reqws.Directive { return s.opened(brake) }),
		reqws.Use(s.pass),
		s.watch(),
	)
}

// failed says what an error of connecting is: the steps before the connection know no kinds.
func (s *session) failed(life context.Context, err error) error {
	switch {
	case errors.Is(context.Cause(life), errInterrupted):
		return errInterrupted
	case s.set.creds.failed != nil:
		return &credentialsError{err}
	case !s.reached.Load():
		return usagef("%s", message(err)[len("reqws: "):])
	}
	return err
}

// opened sends what is to be sent first, on each connection. From here on the brake closes in good order: messages may be printed
// before Do has returned.
func (s *session) opened(brake *brake) reqws.Directive {
	brake.open()
	frames := make([]reqws.Frame, 0, len(s.set.onOpen))
	for _, text := range s.set.onOpen {
		f := reqws.Text(text)
		s.rec.frame(outgoing, f)
		frames = append(frames, f)
	}
	return reqws.Cont(frames...)
}

// handle prints what came, in one write.
func (s *session) handle(in reqws.Event, resp *reqws.Response) reqws.Directive {
	if in.Err != nil {
		return reqws.Cont()
	}
	if s.set.plain() {
		s.shown.Do(func() { s.showHandshake(resp) })
	}
	now := time.Now()
	var b bytes.Buffer
	enough := false
	for _, f := range in.Frames {
		s.rec.frame(incoming, f)
		if f.Kind != reqws.KindText && f.Kind != reqws.KindBinary && f.Kind != reqws.KindChunk {
			continue
		}
		s.print.frame(&b, f, now)
		if f.Kind == reqws.KindChunk {
			continue
		}
		if s.toCome--; s.toCome == 0 {
			enough = true
			break
		}
	}
	if b.Len() > 0 {
		s.heard.Store(now.UnixNano())
		if err := s.print.write(b.Bytes()); err != nil {
			s.fail(writeError(err))
			return reqws.Halt()
		}
	}
	if enough {
		return reqws.Halt()
	}
	return reqws.Cont()
}

// fail notes why this side ends the stream; the first reason stands.
func (s *session) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ownErr == nil {
		s.ownErr = err
	}
}

func (s *session) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ownErr
}

// talk sends what is typed until one side has enough.
func (s *session) talk(resp *reqws.Response, brake *brake) error {
	ended := make(chan struct{}) // this side's input, or its patience
	restore, err := s.startSending(resp, brake, ended)
	if err != nil {
		_ = resp.CloseNow()
		return &otherError{err}
	}
	defer restore()
	select {
	case <-resp.Done():
	case <-ended:
		brake.closing()
		s.bye(resp, brake, websocket.StatusNormalClosure)
	case code := <-brake.asked:
		s.bye(resp, brake, code)
		select {
		case <-resp.Done():
		case <-brake.now:
		case <-time.After(printPatience):
			return nil // nobody reads what is being printed, and the user wants to leave
		}
	}
	select {
	case <-resp.Done(): // what is being printed was printed
	case <-brake.now:
	}
	if brake.pulled() {
		return errInterrupted
	}
	err = resp.Wait()
	if own := s.failure(); own != nil {
		return quiet(own)
	}
	return err
}

// bye closes in good order, as long as nobody asks to end at once. It does not wait for the handler,
// which may be printing.
func (s *session) bye(resp *reqws.Response, brake *brake, code websocket.StatusCode) {
	closed := make(chan error, 1)
	go func() { closed <- resp.Close(code, "") }()
	select {
	case err := <-closed:
		if err != nil && !s.set.silent {
			s.print.note("%v", err)
		}
	case <-resp.Done():
	case <-brake.now:
	}
	_ = resp.CloseNow()
}

// printPatience is how long Ctrl-C waits for what is being printed, once the connection is closed.
const printPatience = time.Second

// plainAnswer prints the body of a plain answer.
func (s *session) plainAnswer(resp *reqws.Response, brake *brake) error {
	brake.open()
	s.shown.Do(func() { s.showHandshake(resp) })
	select {
	case <-resp.Done():
	case <-brake.asked:
		_ = resp.CloseNow()
		return errInterrupted
	}
	err := resp.Wait()
	if own := s.failure(); own != nil {
		return quiet(own)
	}
	if failed := s.print.finish(); failed != nil {
		return quiet(writeError(failed))
	}
	if err == nil && resp.StatusCode >= 400 {
		err = &statusError{resp.StatusCode}
	}
	return err
}

// pass notes that a request was made: what fails from here on is not its URL.
func (s *session) pass(next http.RoundTripper) http.RoundTripper {
	return reqws.RoundTripFunc(func(req *http.Request) (*http.Response, error) {
		s.reached.Store(true)
		return next.RoundTrip(req)
	})
}

// errNobodyReads is the end of an output that was closed, as head closes its input: a usual end.
var errNobodyReads = errors.New("nobody reads the output")

func writeError(err error) error {
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, io.ErrClosedPipe) {
		return errNobodyReads
	}
	return &otherError{fileError(err)}
}

// quiet leaves out what is no failure.
func quiet(err error) error {
	if errors.Is(err, errNobodyReads) {
		return nil
	}
	return err
}
