package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/reqws/reqws"
)

// What -v shows: the handshake, the frames, and the time that each phase took.

// trace counts, and with -v shows.
func (s *session) trace() *reqws.ClientTrace {
	return &reqws.ClientTrace{
		Opened: func(info reqws.OpenedInfo) {
			s.mu.Lock()
			s.counts.opens++
			if s.counts.opens == 1 {
				s.opened = time.Now()
			}
			s.mu.Unlock()
			s.recorder.opened(info)
			if s.f.verbose {
				s.handshake(info.Response)
				s.phases(info)
			}
		},
		Reconnecting: func(info reqws.ReconnectingInfo) {
			s.screen.say(red, "* lost: %v; attempt %d in %v", info.Err, info.N, info.Delay.Round(time.Millisecond))
		},
	}
}

// handshake shows a request as it was sent, and its answer.
func (s *session) handshake(resp *reqws.Response) {
	if !s.f.verbose || resp == nil {
		return
	}
	if req := resp.Request; req != nil {
		s.screen.say(cyan, "> %s %s HTTP/%d.%d", req.Method, req.URL.RequestURI(), req.ProtoMajor, req.ProtoMinor)
		host := req.Host
		if host == "" {
			host = req.URL.Host
		}
		s.screen.say(cyan, "> Host: %s", host)
		s.header(cyan, ">", req.Header)
	}
	s.answer(resp.Proto, resp.StatusCode, resp.Header)
}

func (s *session) answer(proto string, status int, h http.Header) {
	s.screen.say(green, "< %s %d %s", proto, status, http.StatusText(status))
	s.header(green, "<", h)
}

// header shows a header without what may be a secret of the server's.
func (s *session) header(colour, sign string, h http.Header) {
	names := make([]string, 0, len(h))
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, value := range h[name] {
			if strings.EqualFold(name, "Set-Cookie") {
				cookie, _, _ := strings.Cut(value, "=")
				value = cookie + "=…"
			}
			s.screen.say(colour, "%s %s: %s", sign, name, value)
		}
	}
	s.screen.say(colour, "%s", sign)
}

// phases shows what was agreed, and what took how long.
func (s *session) phases(info reqws.OpenedInfo) {
	agreed := info.Proto
	if info.Subprotocol != "" {
		agreed += ", subprotocol " + info.Subprotocol
	}
	if info.Compression != "" {
		agreed += ", " + info.Compression
	}
	s.screen.say(grey, "* open: %s", agreed)
	p := info.Phases
	for _, x := range []struct {
		name string
		took time.Duration
	}{{"lookup", p.Lookup}, {"dial", p.Dial}, {"proxy", p.Proxy}, {"TLS", p.TLS}, {"handshake", p.Handshake}} {
		if took := x.took.Round(10 * time.Microsecond); took > 0 {
			s.screen.say(grey, "*   %-9s %v", x.name, took)
		}
	}
}

// explain shows the answer of a server that refused.
func (s *session) explain(err error) {
	var refused *reqws.HTTPError
	if s.f.verbose && errors.As(err, &refused) {
		s.answer("HTTP", refused.StatusCode, refused.Header)
	}
}

// logger shows what the library tells: retries always, frames with -v.
func (s *session) logger() *slog.Logger { return slog.New(logLines{s}) }

// logLines is a slog.Handler that writes lines as the others.
type logLines struct{ s *session }

func (l logLines) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn || l.s.f.verbose
}

func (l logLines) Handle(_ context.Context, r slog.Record) error {
	attrs := map[string]string{}
	order := []string{}
	r.Attrs(func(a slog.Attr) bool {
		attrs[a.Key] = a.Value.String()
		order = append(order, a.Key)
		return true
	})
	if r.Message == "reqws: frame" {
		l.frame(attrs)
		return nil
	}
	if strings.HasPrefix(r.Message, "reqws: will reconnect") {
		return nil // the trace says so
	}
	line := strings.TrimPrefix(r.Message, "reqws: ")
	for _, key := range order {
		line += " " + key + "=" + attrs[key]
	}
	l.s.screen.say(grey, "* %s", line)
	return nil
}

func (l logLines) frame(attrs map[string]string) {
	sign, colour := "<<", green
	if attrs["direction"] == "out" {
		sign, colour = ">>", cyan
	}
	line := sign + " " + attrs["kind"] + " " + attrs["length"]
	if attrs["code"] != "" {
		line += " code " + attrs["code"]
	}
	if attrs["data"] != "" {
		line += " " + attrs["data"]
	}
	l.s.screen.say(colour, "%s", line)
}

func (l logLines) WithAttrs([]slog.Attr) slog.Handler { return l }
func (l logLines) WithGroup(string) slog.Handler      { return l }
