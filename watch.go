package reqws

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/reqws/reqws/internal/conn"
	"github.com/reqws/reqws/internal/dial"
	"github.com/reqws/reqws/internal/failure"
	"github.com/reqws/reqws/internal/wire"
)

// watch tells the hooks of a ClientTrace, and the log of frames, what becomes of one link. It is nil
// where nobody wants to know.
type watch struct {
	config *watchConfig
	logs   *logConfig
	ctx    context.Context
	resp   *Response
	url    string

	open   *OpenedInfo // until that is told
	number int         // of the link
	opened time.Time   // zero: nobody was told
	code   atomic.Int32
}

// newWatch makes the watch over the link behind a.
func (e *execution) newWatch(s *stream, a *answer) *watch {
	c := &e.config.watch
	h := c.hooks
	if h.Opened == nil && h.BatchIn == nil && h.BatchOut == nil && h.Heartbeat == nil && h.Closed == nil && (!c.log.on || e.config.logs.off) {
		return nil
	}
	w := &watch{config: c, logs: &e.config.logs, ctx: s.life, resp: a.resp, url: failure.SafeURL(a.url), number: 1}
	if last := s.at.Load(); last != nil {
		w.number = last.watch.number + 1
	}
	w.open = &OpenedInfo{
		Response:    a.resp,
		URL:         w.url,
		Connection:  w.number,
		Proto:       a.resp.Proto,
		Subprotocol: a.protocols.shown(a.resp.Subprotocol),
		Compression: strings.Join(a.open.extensions, ", "),
		Phases:      a.open.phases,
	}
	return w
}

// begins tells that the link is open.
func (w *watch) begins() {
	if w == nil {
		return
	}
	w.opened = time.Now()
	if f := w.config.hooks.Opened; f != nil {
		f(*w.open)
	}
	w.open = nil
}

// ends tells that the link has ended with err, once and if it has begun.
func (w *watch) ends(l *link, err error, reconnects bool) {
	if w == nil || w.opened.IsZero() {
		return
	}
	info := ClosedInfo{
		Response:   w.resp,
		Err:        err,
		Code:       websocket.StatusCode(w.code.Load()),
		Lived:      time.Since(w.opened),
		Reconnects: reconnects,
	}
	if peer := l.peerClose(); peer != nil {
		info.PeerCode, info.PeerReason = peer.Code, peer.Reason
	}
	info.Clean = info.Code != 0 && info.PeerCode != 0 && !l.readOnly.Load() // else ours may not have left
	w.opened = time.Time{}
	if f := w.config.hooks.Closed; f != nil {
		f(info)
	}
}

// in tells of frames that have come.
func (w *watch) in(frames []Frame) {
	if w == nil || len(frames) == 0 {
		return
	}
	if log := w.logsTo(); log != nil {
		for i := range wireFrames(frames) {
			w.logFrame(log, "in", &wireFrames(frames)[i])
		}
	}
	if f := w.config.hooks.BatchIn; f != nil {
		bytes := 0
		for i := range wireFrames(frames) {
			bytes += conn.PayloadSize(&wireFrames(frames)[i])
		}
		f(BatchInfo{w.resp, len(frames), bytes})
	}
}

// beat tells of a heartbeat.
func (w *watch) beat(took time.Duration) {
	if w == nil {
		return
	}
	if f := w.config.hooks.Heartbeat; f != nil {
		f(HeartbeatInfo{w.resp, took})
	}
}

// watcher returns what the link's writer is to tell.
func (w *watch) watcher() conn.Watcher {
	if w == nil {
		return nil
	}
	return w
}

// Out implements conn.Watcher.
func (w *watch) Out(f *wire.Frame) {
	if f.Op == wire.OpClose {
		code := int32(f.Code)
		if code == 0 {
			code = int32(websocket.StatusNoStatusRcvd)
		}
		w.code.Store(code)
	}
	if log := w.logsTo(); log != nil {
		w.logFrame(log, "out", f)
	}
}

// OutBatch implements conn.Watcher.
func (w *watch) OutBatch(frames, bytes int) {
	if f := w.config.hooks.BatchOut; f != nil {
		f(BatchInfo{w.resp, frames, bytes})
	}
}

// Attempts

// watched performs one exchange, and tells what came of it.
func (o *opener) watched(req *http.Request) (*http.Response, error) {
	var watch dial.Stopwatch
	start := time.Now()
	resp, err := o.roundTrip(req.WithContext(dial.WithStopwatch(req.Context(), &watch)))
	info := AttemptInfo{
		URL:       failure.SafeURL(req.URL),
		Method:    req.Method,
		Attempt:   Attempt(req.Context()),
		Redirects: hopOf(req.Context()).n,
		Err:       err,
		Took:      time.Since(start),
		Phases:    Phases(watch.Stop()),
	}
	if o.connect.transport != nil {
		info.Phases = Phases{Handshake: info.Took}
	}
	if err == nil {
		info.StatusCode = resp.StatusCode
		if open, ok := resp.Body.(*openBody); ok {
			open.h.phases = info.Phases
		}
	}
	if f := o.trace.Attempt; f != nil {
		f(info)
	}
	return resp, err
}

// The steps

// retries tells that the attempt a is followed by another.
func (t *ClientTrace) retries(a *attempt, resp *http.Response, err error, delay time.Duration) {
	if t.Retry == nil {
		return
	}
	info := RetryInfo{URL: failure.SafeURL(a.req.URL), Attempt: a.n, Delay: delay}
	if err != nil {
		info.Err = fail("request", a.req.URL, err)
	} else {
		info.StatusCode = resp.StatusCode
	}
	t.Retry(info)
}

// redirects tells that resp leads from one hop to another.
func (t *ClientTrace) redirects(from, to *hop, resp *http.Response) {
	if t.Redirect != nil {
		t.Redirect(RedirectInfo{resp.StatusCode, failure.SafeURL(from.url), failure.SafeURL(to.url), to.n})
	}
}

// reconnects tells that the n-th attempt to reconnect is due after a delay.
func (t *ClientTrace) reconnects(s *stream, why error, delay time.Duration, n int) {
	if t.Reconnecting != nil {
		t.Reconnecting(ReconnectingInfo{s.link().resp, why, delay, n})
	}
}
