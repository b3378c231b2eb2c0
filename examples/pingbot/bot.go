package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/reqws/reqws"
)

// errInterrupted is what a talk ends with that was interrupted before it began.
var errInterrupted = errors.New("interrupted while connecting")

// bot talks with one server, and counts what it answered.
type bot struct {
	*printer
	call
	tls             atomic.Uint32 // the version, once that is known
	connected       time.Time
	pings, messages atomic.Int64
}

func newBot(out *printer, c call) *bot { return &bot{printer: out, call: c} }

// talk runs the bot until the server closes the connection or ctx ends.
func (b *bot) talk(ctx context.Context, opts []reqws.Option) error {
	b.say(plain, "connecting to %s", shown(b.url))
	resp, err := b.connect(ctx, opts)
	if err != nil {
		return err
	}
	select {
	case <-resp.Done():
	case <-ctx.Done():
		b.say(plain, "closing")
		err = resp.Close(1000, "bye")
	}
	if why := resp.Wait(); why != nil {
		err = why
	}
	b.summary()
	return err
}

// connect opens the connection. The end of ctx stops a bot that still connects; it
// does not break an open connection, which is to end with a closing handshake.
func (b *bot) connect(ctx context.Context, opts []reqws.Option) (*reqws.Response, error) {
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, end)
	open := false
	resp, err := b.request(opts).Do(b.watchTLS(life), reqws.OnOpen(func(resp *reqws.Response) reqws.Directive {
		if open = stop(); open {
			b.opened(resp)
		}
		return reqws.Cont()
	}))
	if !open && !stop() {
		return nil, errInterrupted
	}
	return resp, err
}

func (b *bot) request(opts []reqws.Option) *reqws.Request {
	return reqws.New(
		reqws.URL(b.url.String()),
		reqws.Subprotocols(b.subprotocols...),
		reqws.HTTPErrors(reqws.RaiseErrors),
		reqws.Logger(slog.New(logLines{b.printer})),
		reqws.Into(reqws.Each(b.answer)),
	).With(opts...)
}

// watchTLS has the version of TLS noted.
func (b *bot) watchTLS(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		TLSHandshakeDone: func(s tls.ConnectionState, _ error) { b.tls.Store(uint32(s.Version)) },
	})
}

// opened is called before the first frame comes.
func (b *bot) opened(resp *reqws.Response) {
	b.connected = time.Now()
	b.say(plain, "connected: %s", describe(resp, uint16(b.tls.Load())))
}

// describe says what a connection is made of.
func describe(resp *reqws.Response, tlsVersion uint16) string {
	parts := []string{strings.TrimSuffix(resp.Proto, ".0")} // HTTP/2 is what people call it
	if resp.Request.URL.Scheme == "wss" {
		parts = append(parts, tls.VersionName(tlsVersion))
	}
	if resp.Subprotocol != "" {
		parts = append(parts, "subprotocol "+resp.Subprotocol)
	}
	return strings.Join(parts, ", ")
}

// shown is a URL without what may be secret in it.
func shown(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String()
}

const youSaid = "you said: "

// answer is the handler: one frame in, a directive and perhaps a frame out.
func (b *bot) answer(f reqws.Frame) reqws.Directive {
	if f.Kind == reqws.KindText && isOwn(f.Text()) {
		b.say(cyan, "← %v (my own words: no answer)", f)
		return reqws.Cont()
	}
	b.say(cyan, "← %v", f)
	switch f.Kind {
	case reqws.KindPing:
		b.pings.Add(1)
		return b.reply(reqws.Pong(f.Data))
	case reqws.KindText:
		b.messages.Add(1)
		return b.reply(reqws.Text(youSaid + f.Text()))
	}
	return reqws.Cont()
}

// isOwn reports whether a message holds words of the bot's, or of one like it: an
// echo server, or another bot in the same room, would otherwise never let it rest.
// Case apart, since some echoes shout.
func isOwn(text string) bool {
	return strings.Contains(strings.ToLower(text), youSaid)
}

func (b *bot) reply(f reqws.Frame) reqws.Directive {
	b.say(green, "→ %v", f)
	return reqws.Cont(f)
}

func (b *bot) summary() {
	b.print("\nanswered %s and %s in %.1f s\n",
		count(b.pings.Load(), "ping"), count(b.messages.Load(), "message"), time.Since(b.connected).Seconds())
}

// count writes a number of things.
func count(n int64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
