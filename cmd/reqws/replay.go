package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/coder/websocket"

	"github.com/reqws/reqws/cmd/reqws/recording"
)

// replay is the server of a recording, until a signal. It prints its URL first.
func replay(f *flags, std stdio) error {
	file, err := os.Open(f.replay)
	if err != nil {
		return usagef("--replay: %w", err)
	}
	rec, err := recording.Read(file)
	_ = file.Close()
	if err != nil {
		return usagef("--replay %s: %w", f.replay, err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintf(std.out, "ws://%s/\n", l.Addr())
	srv := &http.Server{
		Handler:           &player{rec, f.replayFast, newScreen(f, std)},
		ReadHeaderTimeout: 10 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	go func() {
		<-ctx.Done()
		_ = srv.Close()
	}()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// player sends each client what the server of a recording sent on its first connection, at the times at which that did.
type player struct {
	rec    *recording.Recording
	fast   bool
	screen *screen
}

func (p *player) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	entries := p.rec.Entries
	o := &websocket.AcceptOptions{InsecureSkipVerify: true}
	if len(entries) > 0 && entries[0].Kind == recording.Open && entries[0].Subprotocol != "" {
		o.Subprotocols = []string{entries[0].Subprotocol}
	}
	c, err := websocket.Accept(w, r, o)
	if err != nil {
		return
	}
	defer func() { _ = c.CloseNow() }()
	if p.screen.f.verbose {
		p.screen.say(grey, "* a client has connected")
	}
	ctx, gone := context.WithCancel(r.Context())
	go func() { // what it sends does not count, but that it goes
		defer gone()
		for {
			if _, _, err := c.Read(ctx); err != nil {
				return
			}
		}
	}()
	_ = p.play(ctx, c, entries)
}

func (p *player) play(ctx context.Context, c *websocket.Conn, entries []recording.Entry) error {
	began, first := time.Now(), time.Duration(0)
	for i, e := range entries {
		switch {
		case e.Kind == recording.Open && i > 0:
			return c.Close(websocket.StatusNormalClosure, "the recording goes on with another connection")
		case e.Kind == recording.Open:
			first = e.At
			continue
		case e.Direction != recording.In:
			continue
		}
		if err := p.waitFor(ctx, began.Add(e.At-first)); err != nil {
			return err
		}
		if err := p.frame(ctx, c, e); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return ctx.Err()
}

func (p *player) frame(ctx context.Context, c *websocket.Conn, e recording.Entry) error {
	switch e.Kind {
	case recording.Text:
		return c.Write(ctx, websocket.MessageText, e.Data)
	case recording.Binary:
		return c.Write(ctx, websocket.MessageBinary, e.Data)
	case recording.Close:
		code := websocket.StatusCode(e.Code)
		if code == 0 {
			code = websocket.StatusNoStatusRcvd
		}
		return errors.Join(c.Close(code, string(e.Data)), context.Canceled)
	}
	return nil
}

func (p *player) waitFor(ctx context.Context, at time.Time) error {
	if p.fast {
		return ctx.Err()
	}
	select {
	case <-time.After(time.Until(at)):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
