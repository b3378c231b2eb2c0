package main

import (
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/coder/websocket"

	"github.com/reqws/reqws"
)

const canComeBack, canBeat = true, true

// options are those that the plan asks for.
func (p plan) options() []reqws.Option {
	var opts []reqws.Option
	switch p.deflate {
	case takeover:
		opts = append(opts, reqws.Compression(websocket.CompressionContextTakeover))
	case noTakeover:
		opts = append(opts, reqws.Compression(websocket.CompressionNoContextTakeover))
	}
	switch {
	case p.hasty():
		opts = append(opts, reqws.Heartbeat(200*time.Millisecond, time.Second))
	case p.beats:
		opts = append(opts, reqws.Heartbeat(5*time.Millisecond, time.Minute))
	}
	if p.hears {
		opts = append(opts, reqws.HearOut(true))
	}
	if p.ahead > 0 {
		opts = append(opts, reqws.ReadAhead(p.ahead))
	}
	if p.back {
		atOnce := func() backoff.BackOff { return &backoff.ZeroBackOff{} }
		opts = append(opts, reqws.Reconnect(-1), reqws.ReconnectBackOff(atOnce))
	}
	return opts
}
