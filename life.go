package reqws

import (
	"fmt"
	"time"
)

// lifeConfig is what the options of the group life come to.
type lifeConfig struct {
	writeTimeout time.Duration
	closeTimeout time.Duration
	heartbeat    heartbeat
	reconnect    reconnectConfig
}

// Heartbeat has a ping sent when nothing has come from the peer for interval, and the connection
// given up, with [ErrPeerUnresponsive], when nothing has come for timeout after that. Whatever
// comes proves that the peer is alive; the pongs that answer these pings are not shown to the
// handler. The default is 20s for each. An interval of 0 switches it off; with a timeout of 0 pings
// are sent, and nobody is given up: for servers that answer no pings, where [HeartbeatFrame] has none
// that they answer.
//
// A peer is not taken for dead while nobody listens to it: while a handler runs, or a mailbox
// or a backlog is full; with [ReadAhead] somebody listens until what that allows is full. Nor while a
// ping waits behind frames that the peer takes slowly, or not at all: that has the [WriteTimeout].
func Heartbeat(interval, timeout time.Duration) Option {
	return fallible("Heartbeat", func(c *config) error {
		if interval < 0 || timeout < 0 {
			return fmt.Errorf("%v or %v is negative", interval, timeout)
		}
		c.life.heartbeat.interval, c.life.heartbeat.timeout = interval, timeout
		return nil
	})
}

// HeartbeatFrame sets a function that makes the application's own heartbeat, which is sent in place
// of a ping: some services count only messages. It is called for each heartbeat, in a goroutine of
// its own. A frame that may not be sent ends the stream. What answers it is shown to the handler
// like anything else.
func HeartbeatFrame(f func() Frame) Option {
	return checked("HeartbeatFrame", f, notNilFunc, func(c *config, f func() Frame) { c.life.heartbeat.frame = f })
}

// WriteTimeout bounds how long the peer may take no bytes at all while frames
// wait to be written; then the stream breaks with os.ErrDeadlineExceeded. A peer that
// takes a few now and then is slow, not stuck. The default is 30s; 0 means no limit. Over
// a [Transport] progress is seen in steps of 4 KiB.
func WriteTimeout(d time.Duration) Option {
	return checked("WriteTimeout", d, notNegative, func(c *config, d time.Duration) { c.life.writeTimeout = d })
}

// CloseTimeout bounds how long the end of a stream takes once it began: for what is
// being written, for the peer's close frame, and then for the peer's end of the
// connection (RFC 6455, section 7.1.1). The default is 5s. 0 does not wait: then no answer
// to a close frame is asked for, and what was sent last may be lost. Whatever it is, a
// last close frame that the connection does not take at once is given a tenth of a second.
func CloseTimeout(d time.Duration) Option {
	return checked("CloseTimeout", d, notNegative, func(c *config, d time.Duration) { c.life.closeTimeout = d })
}
