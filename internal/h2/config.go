package h2

import (
	"math"
	"net/http"
	"time"
)

const (
	defaultStreamWindow = 1 << 20
	defaultConnWindow   = 16 << 20
	defaultFrameSize    = 64 << 10
	defaultTableSize    = 4 << 10
	defaultPingTimeout  = 15 * time.Second

	initialWindow = 1<<16 - 1 // of connection and streams, before any SETTINGS (RFC 9113, 6.9.2)
	minFrameSize  = 1 << 14   // every endpoint takes frames of this size (RFC 9113, 4.2)
	maxWindow     = math.MaxInt32
	maxStreamID   = math.MaxInt32

	// maxHeaderList bounds a response's header list, as RFC 9113 counts it in 10.5.1.
	maxHeaderList = 1 << 20

	// flushTimeout bounds how long a closing connection waits for the peer to take its last frames.
	flushTimeout = time.Second
)

// Config adjusts a connection. The zero value is ready for use.
type Config struct {
	// Settings in the terms of net/http. Those that apply to a client are honoured:
	//
	//   - MaxReceiveBufferPerStream: bytes buffered per stream that its reader has not taken yet;
	//     1 MiB by default.
	//   - MaxReceiveBufferPerConnection: bytes that may be on their way to this side, all streams
	//     together; 16 MiB by default, at least 64 KiB. What has arrived counts against its stream
	//     alone, so memory is bounded by the number of streams times the stream's buffer.
	//   - MaxReadFrameSize: 64 KiB by default, 16 KiB to 16 MiB.
	//   - MaxDecoderHeaderTableSize, MaxEncoderHeaderTableSize: 4 KiB by default.
	//   - SendPingTimeout: silence after which the peer is sent a PING; never by default.
	//   - PingTimeout: further silence after which the connection fails; 15 seconds by default.
	//   - WriteByteTimeout: the connection fails when its socket takes no byte for so long.
	//   - CountError.
	Settings http.HTTP2Config

	// OnIdle, if not nil, is called when the last stream has ended and no Connect is under way.
	// It runs on the goroutine that ended the stream, with no lock held, and must not block.
	// A Connect may have begun since: CloseIfIdle decides.
	OnIdle func(*Conn)
}

// withDefaults returns the settings with every unset or invalid one replaced by its default.
func withDefaults(s http.HTTP2Config) http.HTTP2Config {
	between := func(v *int, low, high, otherwise int) {
		if *v < low || *v > high {
			*v = otherwise
		}
	}
	between(&s.MaxReceiveBufferPerStream, 1, maxWindow, defaultStreamWindow)
	between(&s.MaxReceiveBufferPerConnection, initialWindow, maxWindow, defaultConnWindow)
	between(&s.MaxReadFrameSize, minFrameSize, 1<<24-1, defaultFrameSize)
	between(&s.MaxDecoderHeaderTableSize, 1, 4<<20, defaultTableSize)
	between(&s.MaxEncoderHeaderTableSize, 1, 4<<20, defaultTableSize)
	if s.PingTimeout <= 0 {
		s.PingTimeout = defaultPingTimeout
	}
	if s.CountError == nil {
		s.CountError = func(string) {}
	}
	return s
}
