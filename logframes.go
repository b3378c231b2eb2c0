package reqws

import (
	"encoding/hex"
	"log/slog"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/reqws/reqws/internal/conn"
	"github.com/reqws/reqws/internal/wire"
)

// frameLog says whether frames are logged.
type frameLog struct {
	on    bool
	level slog.Level
}

// LogFrames has each frame that comes, and each that is handed to the connection, logged at this
// level, to where [Logger] says: its direction, in or out, its kind, the length of its payload, the
// code of a close frame, and the first 128 bytes of the payload, binary ones in hexadecimal. Pings,
// pongs and close frames that the library sends by itself are among them, and so are answers to a
// [Heartbeat]. A message that came in fragments is one frame, unless it comes in [Pieces]: those, and the
// fragments of [Response.SendReader], which are shown compressed where that was agreed, have a line each, with
// more=true on all but the last. Payloads are shown as they are, whatever they hold; a credential of
// the handshake is not.
//
// The lines are written by the goroutines that call the hooks BatchIn and BatchOut of a
// [ClientTrace]; a log handler that blocks holds up the stream. While its level is not
// enabled it costs nothing. The default is to log no frames.
func LogFrames(level slog.Level) Option {
	return option("LogFrames", func(c *config) { c.watch.log = frameLog{true, level} })
}

// loggedBytes is how much of a payload a line shows.
const loggedBytes = 128

// logsTo returns where frames are to be logged to now, or nil.
func (w *watch) logsTo() *slog.Logger {
	if !w.config.log.on {
		return nil
	}
	log := w.logs.logger()
	if log == nil || !log.Enabled(w.ctx, w.config.log.level) {
		return nil
	}
	return log
}

// logFrame writes the line of one frame.
func (w *watch) logFrame(log *slog.Logger, direction string, f *wire.Frame) {
	attrs := make([]slog.Attr, 0, 7)
	attrs = append(attrs,
		slog.String("url", w.url),
		slog.String("direction", direction),
		slog.String("kind", f.Op.String()),
		slog.Int("length", conn.PayloadSize(f)))
	if f.More {
		attrs = append(attrs, slog.Bool("more", true))
	}
	if f.Op == wire.OpClose && f.Code != 0 {
		attrs = append(attrs, slog.Int("code", f.Code))
	}
	if len(f.Data) > 0 {
		attrs = append(attrs, slog.String("data", shownPayload(f)))
	}
	log.LogAttrs(w.ctx, w.config.log.level, "reqws: frame", attrs...)
}

// shownPayload is the beginning of a payload, in printable characters.
func shownPayload(f *wire.Frame) string {
	data, more := f.Data, ""
	if len(data) > loggedBytes {
		data, more = data[:loggedBytes], "…"
	}
	control := f.Op == wire.OpPing || f.Op == wire.OpPong
	if f.Op == wire.OpBinary || control && !utf8.Valid(data) {
		return hex.EncodeToString(data) + more
	}
	if more != "" {
		data = wholeRunes(data)
	}
	return escaped(data) + more
}

// wholeRunes cuts off a character that is not whole.
func wholeRunes(data []byte) []byte {
	for i := 1; i < utf8.UTFMax && i <= len(data); i++ {
		if last := data[len(data)-i:]; utf8.RuneStart(last[0]) {
			if !utf8.FullRune(last) {
				return data[:len(data)-i]
			}
			break
		}
	}
	return data
}

// escaped writes text with what cannot be printed as Go would. Quotes are left to the handler of
// the log.
func escaped(data []byte) string {
	var b strings.Builder
	for len(data) > 0 {
		r, n := utf8.DecodeRune(data)
		if unicode.IsPrint(r) && (r != utf8.RuneError || n > 1) {
			b.Write(data[:n])
		} else {
			quoted := strconv.Quote(string(data[:n]))
			b.WriteString(quoted[1 : len(quoted)-1])
		}
		data = data[n:]
	}
	return b.String()
}
