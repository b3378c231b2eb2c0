package reqws

import "time"

// lifeConfig is what the options of the group life come to.
type lifeConfig struct {
	writeTimeout time.Duration
	closeTimeout time.Duration
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
