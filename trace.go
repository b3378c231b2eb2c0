package reqws

import (
	"slices"
	"time"

	"github.com/coder/websocket"
)

// ClientTrace is a set of hooks for those who watch what a [Request] does, in the manner of
// net/http/httptrace. All of them may be nil, and cost nothing then; each gets one struct, which may
// be given more fields in time.
//
// A hook is called by the goroutine in which the thing happens, and holds that up until it returns:
// it must not block, nor send, close or wait on the stream that it is told of. One ClientTrace may
// serve many streams at once, and is then called by many goroutines. A hook that panics does so in
// the goroutine that calls it, which for the stream's own is a panic of its handler.
//
// Attempt, Retry and Redirect are called for plain http and https requests as well, and for
// [Request.Dial]; the others belong to the WebSockets of [Request.Do] and [Request.Run], from Opened
// to Closed. No field holds a credential.
type ClientTrace struct {
	// Attempt is called when an attempt has ended: one exchange of a request for the head of an
	// answer, or for none. Retries and the hops of redirects are attempts of their own. The
	// goroutine is that of the steps: the one of Do, Run or Dial, or the stream's where it reconnects.
	Attempt func(AttemptInfo)
	// Retry is called before the wait for another try (see [Retry]), by the goroutine of the steps.
	Retry func(RetryInfo)
	// Redirect is called before a redirect is followed, by the goroutine of the steps.
	Redirect func(RedirectInfo)
	// Opened is called when a WebSocket is open, before [OnOpen]: for the first connection by the
	// goroutine of Do or Run, with [Reconnect] for each later one by the stream's.
	Opened func(OpenedInfo)
	// BatchIn is called when frames have come, before they are handed on, by the goroutine that reads:
	// the stream's, or with [ReadAhead] one of its own. Pongs that answer a [Heartbeat] are counted, and what comes while the stream is
	// being closed.
	BatchIn func(BatchInfo)
	// BatchOut is called when frames are handed to the connection, before they are written, by
	// whoever writes: the goroutine of a Send, for itself and for others that wait, the stream's, or
	// one of the library's own, which sends the heartbeats of all streams or takes over where a peer
	// is slow. All that is sent is counted, close frames and automatic pongs included, and each frame
	// once, when its first bytes are handed over: a Send whose ctx ends in that moment may still take
	// one back. A connection has one BatchOut at a time, which may meet a BatchIn.
	BatchOut func(BatchInfo)
	// Heartbeat is called when a [Heartbeat] is answered, by the goroutine that reads.
	Heartbeat func(HeartbeatInfo)
	// Reconnecting is called before the wait for each attempt of [Reconnect], by the stream's
	// goroutine.
	Reconnecting func(ReconnectingInfo)
	// Closed is called once for each connection that Opened was called for, when it has been let go
	// of: so the two make a gauge of open connections. It is called by the stream's goroutine, or
	// by Do's where the stream ended in [OnOpen], before Wait returns and before the attempts of
	// [Reconnect].
	Closed func(ClosedInfo)
}

// AttemptInfo is an attempt that has ended, well or not.
type AttemptInfo struct {
	URL        string // with its scheme as the user wrote it; without userinfo and query
	Method     string
	Attempt    int   // as the function [Attempt] counts: 0 at the first try for a connection
	Redirects  int   // that led here
	StatusCode int   // of the answer: 101 where a WebSocket opened, over HTTP/2 200; 0: there was none
	Err        error // why there was none
	Took       time.Duration
	Phases     Phases
}

// Phases is how long the parts of an attempt took; what was not needed took 0. With two
// [Protocols] a part may have come twice, and counts twice. A [Transport] of the user's is all
// Handshake.
type Phases struct {
	Lookup    time.Duration // of the name, as far as the dialer is one of package net
	Dial      time.Duration
	Proxy     time.Duration // the choice of it, and all of the way through it
	TLS       time.Duration // with the server
	Handshake time.Duration // from the request to the head of the answer
	// Reused says that the stream runs on an HTTP/2 connection that another one has opened: then a
	// wait for that is part of Handshake.
	Reused bool
}

// RetryInfo is a try that failed, and is followed by another.
type RetryInfo struct {
	URL        string // without userinfo and query
	Attempt    int    // of the one that failed, as the function [Attempt] counts
	StatusCode int    // its answer's; 0: there was none
	Err        error  // why there was none
	Delay      time.Duration
}

// RedirectInfo is a redirect that is followed.
type RedirectInfo struct {
	StatusCode int
	From, To   string // URLs, without userinfo and query
	Redirects  int    // this one included
}

// OpenedInfo is a WebSocket that opened.
type OpenedInfo struct {
	Response    *Response // of its handshake: the hooks below have the same one for this connection
	URL         string    // without userinfo and query
	Connection  int       // 1 is the first of its stream, 2 the first that [Reconnect] made
	Proto       string    // "HTTP/1.1" or "HTTP/2.0"
	Subprotocol string    // as the server chose it, unless it may be a credential
	Compression string    // permessage-deflate and its parameters (RFC 7692), or ""
	Phases      Phases    // of the attempt that opened it
}

// BatchInfo is a batch of frames, in or out.
type BatchInfo struct {
	Response *Response // of the connection's handshake
	Frames   int       // a message that came in fragments is one
	Bytes    int       // of their payloads, without compression
}

// HeartbeatInfo is a heartbeat that was answered.
type HeartbeatInfo struct {
	Response  *Response
	RoundTrip time.Duration
}

// ReconnectingInfo is an attempt to reconnect that is about to be waited for.
type ReconnectingInfo struct {
	Response *Response // of the connection that was lost
	Err      error     // what it was lost to, or why the attempt before has failed
	Delay    time.Duration
	N        int // of the attempt: from 1 on, until a connection has lasted for [MinUptime]
}

// ClosedInfo is a connection that has ended.
type ClosedInfo struct {
	Response *Response
	Err      error // why; nil where Wait will return nil
	Clean    bool  // both sides have sent a close frame (RFC 6455, section 7.1.4)
	// Code is that of this side's close frame, and PeerCode that of the peer's: 1005 where the frame
	// had none, 0 where none was sent.
	Code, PeerCode websocket.StatusCode
	PeerReason     string
	Lived          time.Duration // since Opened
	Reconnects     bool          // the stream goes on, and looks for another connection
}

// watchConfig is what the options of the group watch come to.
type watchConfig struct {
	trace *ClientTrace   // of Trace
	added []*ClientTrace // of AddTrace
	hooks *ClientTrace   // all of these in one; never nil
	log   frameLog
}

// Trace sets the hooks that watch what is done. A later Trace takes the place of an earlier one, nil
// is none, and what [AddTrace] has added stays. t is copied.
func Trace(t *ClientTrace) Option {
	return option("Trace", func(c *config) {
		c.watch.trace = copyOf(t)
		c.watch.combine()
	})
}

// AddTrace adds hooks to those of [Trace] and of earlier AddTrace options: each thing is told to all
// of them, in that order. It is for plugins, which are not to take the place of what the user
// watches, nor to be replaced by that. nil adds nothing. t is copied.
func AddTrace(t *ClientTrace) Option {
	return option("AddTrace", func(c *config) {
		if t != nil {
			c.watch.added = append(slices.Clip(c.watch.added), copyOf(t))
			c.watch.combine()
		}
	}).adding()
}

func copyOf(t *ClientTrace) *ClientTrace {
	if t == nil {
		return nil
	}
	u := *t
	return &u
}

// combine makes one trace of all.
func (c *watchConfig) combine() {
	all := &ClientTrace{}
	for _, t := range append([]*ClientTrace{c.trace}, c.added...) {
		if t != nil {
			all = all.and(t)
		}
	}
	c.hooks = all
}

// and returns a trace that calls the hooks of t, and then those of u.
func (t *ClientTrace) and(u *ClientTrace) *ClientTrace {
	return &ClientTrace{
		Attempt:      both(t.Attempt, u.Attempt),
		Retry:        both(t.Retry, u.Retry),
		Redirect:     both(t.Redirect, u.Redirect),
		Opened:       both(t.Opened, u.Opened),
		BatchIn:      both(t.BatchIn, u.BatchIn),
		BatchOut:     both(t.BatchOut, u.BatchOut),
		Heartbeat:    both(t.Heartbeat, u.Heartbeat),
		Reconnecting: both(t.Reconnecting, u.Reconnecting),
		Closed:       both(t.Closed, u.Closed),
	}
}

func both[I any](f, g func(I)) func(I) {
	switch {
	case f == nil:
		return g
	case g == nil:
		return f
	}
	return func(info I) {
		f(info)
		g(info)
	}
}
