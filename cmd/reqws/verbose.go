package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/reqws/reqws"
)

// watch is what the session asks the library to tell it.
func (s *session) watch() reqws.Option {
	trace := &reqws.ClientTrace{
		Opened:       s.traceOpened,
		Closed:       s.traceClosed,
		BatchIn:      func(b reqws.BatchInfo) { s.stats.add(b, 0, 1) },
		BatchOut:     func(b reqws.BatchInfo) { s.stats.add(b, 1, 0) },
		Retry:        s.traceRetry,
		Reconnecting: s.traceReconnecting,
	}
	if !s.set.verbose {
		return reqws.Options(reqws.Trace(trace), reqws.Logger(nil))
	}
	trace.Attempt = s.traceAttempt
	trace.Redirect = func(r reqws.RedirectInfo) { s.print.note("%d: redirected from %s to %s", r.StatusCode, r.From, r.To) }
	trace.Heartbeat = func(h reqws.HeartbeatInfo) { s.print.note("heartbeat answered in %s", short(h.RoundTrip)) }
	return reqws.Options(
		reqws.Trace(trace),
		reqws.Logger(slog.New(frameLog{s.print})),
		reqws.LogFrames(slog.LevelDebug),
	)
}

func (s *session) traceAttempt(a reqws.AttemptInfo) {
	outcome := fmt.Sprintf("status %d", a.StatusCode)
	if a.Err != nil {
		outcome = strings.TrimPrefix(a.Err.Error(), "reqws: ")
	}
	s.print.note("%s: %s after %s (%s)", a.URL, outcome, short(a.Took), phases(a.Phases))
}

// phases is how long the parts of an attempt took, those that there were.
func phases(p reqws.Phases) string {
	var all []string
	for _, part := range []struct {
		name string
		took time.Duration
	}{{"lookup", p.Lookup}, {"dial", p.Dial}, {"proxy", p.Proxy}, {"TLS", p.TLS}, {"handshake", p.Handshake}} {
		if part.took >= 10*time.Microsecond { // less is to see that there is nothing to do
			all = append(all, part.name+" "+short(part.took))
		}
	}
	if p.Reused {
		all = append(all, "on a shared connection")
	}
	if len(all) == 0 {
		return "nothing was sent"
	}
	return strings.Join(all, ", ")
}

// short is a duration with three digits or so.
func short(d time.Duration) string {
	for _, unit := range []time.Duration{time.Second, time.Millisecond, time.Microsecond} {
		if d >= unit {
			return d.Round(unit / 100).String()
		}
	}
	return d.String()
}

func (s *session) traceOpened(o reqws.OpenedInfo) {
	s.stats.opened()
	s.rec.opened(o)
	if !s.set.verbose {
		return
	}
	s.showHandshake(o.Response)
	s.print.note("open: %s", strings.Join(described(o), ", "))
}

func described(o reqws.OpenedInfo) []string {
	all := []string{o.Proto}
	if o.Subprotocol != "" {
		all = append(all, "subprotocol "+o.Subprotocol)
	}
	if o.Compression != "" {
		all = append(all, o.Compression)
	}
	if o.Connection > 1 {
		all = append(all, fmt.Sprintf("connection %d", o.Connection))
	}
	return all
}

func (s *session) traceClosed(c reqws.ClosedInfo) {
	s.rec.closed(c)
	s.stats.closed(c)
}

func (s *session) traceRetry(r reqws.RetryInfo) {
	if !s.set.silent {
		s.print.note("attempt %d: %s; again in %s", r.Attempt+1, why(r.StatusCode, r.Err), short(r.Delay))
	}
}

func (s *session) traceReconnecting(r reqws.ReconnectingInfo) {
	if !s.set.silent {
		s.print.note("%s; connecting again in %s (attempt %d)", why(0, r.Err), short(r.Delay), r.N)
	}
}

func why(status int, err error) string {
	if err != nil {
		return strings.TrimPrefix(err.Error(), "reqws: ")
	}
	if status == 0 {
		return "closed"
	}
	return fmt.Sprintf("status %d", status)
}

// showHandshake prints the request as it was sent, without credentials, and the head of its answer.
func (s *session) showHandshake(resp *reqws.Response) {
	if !s.set.verbose || resp == nil || resp.Request == nil {
		return
	}
	var b strings.Builder
	req := resp.Request
	host := req.Host
	if host == "" {
		host = req.URL.Host
	}
	s.line(&b, ">", req.Method+" "+req.URL.RequestURI()+" "+resp.Proto)
	s.line(&b, ">", "Host: "+host)
	s.headers(&b, ">", req.Header, false)
	s.line(&b, "<", strings.TrimSpace(fmt.Sprintf("%s %d %s", resp.Proto, resp.StatusCode, http.StatusText(resp.StatusCode))))
	s.headers(&b, "<", resp.Header, true)
	s.print.sayAll(b.String())
}

func (s *session) line(b *strings.Builder, mark, text string) {
	b.WriteString(colored(s.print.errCol, dim, mark) + " " + printable(text) + "\n")
}

func (s *session) headers(b *strings.Builder, mark string, h http.Header, answer bool) {
	names := make([]string, 0, len(h))
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, value := range h[name] {
			if answer && mayBeSecret(name) && !slices.Contains(s.set.subprotocols, value) {
				value = hidden
			}
			s.line(b, mark, name+": "+value)
		}
	}
}

const hidden = "REDACTED"

// mayBeSecret tells the headers of an answer that are not shown. It errs on that side.
func mayBeSecret(name string) bool {
	name = strings.ToLower(name)
	if name == "sec-websocket-protocol" || name == "location" {
		return true // the line "open" has a subprotocol that is a plain name, and "redirected" the URL
	}
	for _, part := range []string{"cookie", "token", "secret", "key", "password", "auth", "session", "signature", "credential", "jwt"} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}

// frameLog prints the lines of [reqws.LogFrames], and nothing else that is logged.
type frameLog struct{ print *printer }

func (l frameLog) Enabled(context.Context, slog.Level) bool { return true }
func (l frameLog) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l frameLog) WithGroup(string) slog.Handler            { return l }

func (l frameLog) Handle(_ context.Context, r slog.Record) error {
	if r.Message != "reqws: frame" {
		return nil
	}
	attrs := map[string]slog.Value{}
	r.Attrs(func(a slog.Attr) bool {
		attrs[a.Key] = a.Value
		return true
	})
	mark := pick(attrs["direction"].String() == "out", ">>", "<<")
	text := attrs["kind"].String()
	if code, ok := attrs["code"]; ok {
		text += " " + code.String()
	}
	text += fmt.Sprintf(" (%d bytes)", attrs["length"].Int64())
	if data, ok := attrs["data"]; ok {
		text += " " + data.String()
	}
	l.print.say(colored(l.print.errCol, dim, mark) + " " + printable(text))
	return nil
}

// stats is what the summary tells.
type stats struct {
	mu                  sync.Mutex
	since               time.Time
	framesIn, framesOut int
	bytesIn, bytesOut   int
	last                *reqws.ClosedInfo
}

func (s *stats) opened() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.since.IsZero() {
		s.since = time.Now()
	}
}

func (s *stats) wasOpened() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.since.IsZero()
}

func (s *stats) add(b reqws.BatchInfo, out, in int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.framesIn += in * b.Frames
	s.bytesIn += in * b.Bytes
	s.framesOut += out * b.Frames
	s.bytesOut += out * b.Bytes
}

func (s *stats) closed(c reqws.ClosedInfo) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = &c
}

// summary prints one line about all of it, where somebody reads it: on a terminal, or with -v.
func (s *session) summary() {
	if s.set.silent || !s.print.errOn && !s.set.verbose {
		return
	}
	s.stats.mu.Lock()
	defer s.stats.mu.Unlock()
	t := &s.stats
	s.print.note("%s after %s; frames in: %d (%d bytes), out: %d (%d bytes)",
		ending(t.last), short(time.Since(t.since)), t.framesIn, t.bytesIn, t.framesOut, t.bytesOut)
}

// ending says who closed, and how.
func ending(c *reqws.ClosedInfo) string {
	switch {
	case c == nil:
		return "ended"
	case c.PeerCode == 0:
		return "ended without a close frame of the server's"
	case c.PeerReason != "":
		return fmt.Sprintf("closed with %d %q", c.PeerCode, c.PeerReason)
	}
	return fmt.Sprintf("closed with %d", c.PeerCode)
}
