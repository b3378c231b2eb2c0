package h2

import (
	"sync/atomic"
	"time"
)

// keepalive sends a PING when nothing has arrived for SendPingTimeout, and fails the connection
// when nothing has arrived for PingTimeout after it. One timer serves the whole connection: it
// looks at the time of the last arrival when it fires, and is not touched when something arrives.
type keepalive struct {
	c       *Conn
	timer   *time.Timer // nil when switched off
	arrival atomic.Int64
	began   time.Time
	pinged  bool  // once at least; the timer's function alone uses it
	before  int64 // the last arrival before the last PING; likewise
}

// start begins the watch, if it is wanted. c.mu is held.
func (k *keepalive) start(c *Conn) {
	if c.set.SendPingTimeout <= 0 {
		return
	}
	k.c = c
	k.began = time.Now()
	k.timer = time.AfterFunc(c.set.SendPingTimeout, k.check)
}

// stop ends the watch. c.mu is held.
func (k *keepalive) stop() {
	if k.timer != nil {
		k.timer.Stop()
	}
}

// arrived notes that the peer is alive. The reader calls it.
func (k *keepalive) arrived() {
	if !k.began.IsZero() {
		k.arrival.Store(int64(time.Since(k.began)))
	}
}

// check is the timer's function.
func (k *keepalive) check() {
	set := &k.c.set
	arrival := k.arrival.Load()
	silence := time.Since(k.began) - time.Duration(arrival)
	switch {
	case silence < set.SendPingTimeout:
		k.again(set.SendPingTimeout - silence)
	case !k.pinged || arrival != k.before:
		k.pinged, k.before = true, arrival
		k.c.mu.Lock()
		k.c.fr.WritePing(false, [8]byte{'r', 'e', 'q', 'w', 's'})
		k.c.mu.Unlock()
		k.again(set.PingTimeout)
	default:
		k.c.lost(ErrPingTimeout)
	}
}

// again sets the timer, unless the connection is over.
func (k *keepalive) again(d time.Duration) {
	k.c.mu.Lock()
	defer k.c.mu.Unlock()
	if k.c.err == nil {
		k.timer.Reset(d)
	}
}
