package reqws

import (
	"fmt"
	"slices"
)

// intoConfig is what the options of the group into come to.
type intoConfig struct {
	handler    Handler        // of these
	mailbox    chan<- Message // one at most
	wraps      []func(Handler) Handler
	onOpen     func(*Response) Directive
	noAutoPong bool
	maxMessage int64
	readAhead  int
	pieces     bool
	hearOut    bool
}

// Into sets the handler that gets the frames. Without it and without
// [IntoMailbox] they are pulled with [Response.Receive] or [Response.Frames].
func Into(h Handler) Option {
	return checked("Into", h, notNilFunc, func(c *config, h Handler) { c.into.handler, c.into.mailbox = h, nil })
}

// OnOpen sets a function that is called once the WebSocket is open, by the
// goroutine that calls Do or Run, before any frame reaches the handler; what it
// answers is sent first. It is not called after a refusal, nor for plain HTTP. With
// [Reconnect] it is called again for each connection, by the stream's goroutine.
func OnOpen(f func(*Response) Directive) Option {
	return checked("OnOpen", f, notNilFunc, func(c *config, f func(*Response) Directive) { c.into.onOpen = f })
}

// Wrap puts functions around the handler, the first one outermost: each is given the handler
// that it wraps, when a stream begins, and returns what is to be called in its place. It sees
// the batches of [Into], and those that go to a mailbox or to [Response.Receive] as well. Wrap
// adds to what earlier Wrap options gave.
func Wrap(wraps ...func(Handler) Handler) Option {
	wraps = slices.Clone(wraps)
	return checked("Wrap", wraps, func(wraps []func(Handler) Handler) error {
		for i, w := range wraps {
			if w == nil {
				return fmt.Errorf("function %d is nil", i+1)
			}
		}
		return nil
	}, func(c *config, wraps []func(Handler) Handler) { c.into.wraps = append(c.into.wraps, wraps...) }).adding()
}

// AutoPong says whether a ping that the handler does not answer with a pong of
// the same payload is answered for it (RFC 6455, section 5.5.3). The default is true. With
// [ReadAhead] each ping is, as it is read.
func AutoPong(on bool) Option {
	return option("AutoPong", func(c *config) { c.into.noAutoPong = !on })
}

// HearOut says whether a stream that is left loses nothing: the peer may still be sending when a close
// frame reaches it, and has the right to (RFC 6455, section 5.5.1). With it, what comes after a close frame that
// [Response.Send] sent is handed over as ever, up to and with the peer's own close frame, within
// [CloseTimeout]; then the stream ends. Replies to that go nowhere. Without it, the default, and always after [Halt] and
// [Response.Close], it is discarded.
func HearOut(on bool) Option {
	return option("HearOut", func(c *config) { c.into.hearOut = on })
}

// MaxMessageSize sets the most bytes that one incoming message may have, after
// decompression; the default is 16 MiB and -1 lifts the limit. A larger one ends
// the stream with close code 1009 and [ErrMessageTooBig]. It also bounds the
// [Response].Body of a plain HTTP answer, and is the read limit of the Conn of
// [Request.Dial].
func MaxMessageSize(n int64) Option {
	return checked("MaxMessageSize", n, func(n int64) error {
		if n < -1 {
			return fmt.Errorf("%d is neither a size nor -1", n)
		}
		return nil
	}, func(c *config, n int64) { c.into.maxMessage = n })
}
