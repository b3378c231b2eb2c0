package reqws

import (
	"cmp"
	"log/slog"
)

// logConfig says where a Request logs to.
type logConfig struct {
	to  *slog.Logger // nil: slog.Default() at the time of use
	off bool
}

// logger returns where to, or nil where nothing is to be logged.
func (l *logConfig) logger() *slog.Logger {
	if l.off {
		return nil
	}
	return cmp.Or(l.to, slog.Default())
}

// Logger sets where retries, redirects, attempts to reconnect and, with [LogFrames], frames are
// logged; the default is slog.Default(), nil silences. No line holds a credential, but for what a
// frame holds.
func Logger(l *slog.Logger) Option {
	return option("Logger", func(c *config) { c.logs.to, c.logs.off = l, l == nil })
}
