package h2

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
)

// Pool shares connections between streams. Its zero value is ready for use, and its methods are
// safe for concurrent use.
//
// A connection is closed as soon as its last stream has ended: WebSocket connections live long, so
// another one is seldom wanted in the next moment, and a connection that nobody uses would need a
// timer and somebody to close the Pool.
type Pool struct {
	mu     sync.Mutex
	groups map[string]*group
}

// group is the connections of one key.
type group struct {
	conns   []*Conn // that may have room for another stream
	dialing *dialing
}

// dialing is a dial under way, for all who wait for it.
type dialing struct {
	cancel  context.CancelFunc
	waiters []chan dialed // each has room for the one result
}

// dialed is what a waiter gets: a connection with a place reserved, or why there is none. Neither
// means that the connection was full already.
type dialed struct {
	c   *Conn
	err error
}

// Connect is Conn.Connect on a connection of key that has room, or on a new one made by dial, which
// requests that come together share. Requests that must not share a connection, because of their
// origin, proxy, or TLS settings, must have different keys; cfg too must be the same for one key.
//
// The context that dial gets has the values of the first request's ctx, and ends when nobody waits
// for the connection any more.
//
// A request that a connection did not process, because it had been closed or sent GOAWAY, or because
// the peer refused the stream, is tried once more on another connection.
func (p *Pool) Connect(ctx context.Context, key string, req *http.Request, dial func(ctx context.Context) (net.Conn, error), cfg Config) (*http.Response, *Stream, error) {
	var failed *Conn
	for {
		c, err := p.reserve(ctx, key, failed, dial, cfg)
		if err != nil {
			return nil, nil, err
		}
		if c == nil {
			continue
		}
		resp, s, err := c.connect(ctx, req)
		switch {
		case errors.Is(err, ErrStreamLimit) && !c.full():
			continue // others were first
		case errors.Is(err, ErrNotProcessed) && failed == nil && ctx.Err() == nil:
			failed = c
			continue
		}
		return resp, s, err
	}
}

// reserve returns a connection other than failed, with a place reserved. Without a connection
// or an error, one was dialled but has no room.
func (p *Pool) reserve(ctx context.Context, key string, failed *Conn, dial func(context.Context) (net.Conn, error), cfg Config) (*Conn, error) {
	p.mu.Lock()
	g := p.group(key)
	if c := g.reserve(failed); c != nil {
		p.mu.Unlock()
		return c, nil
	}
	d := g.dialing
	if d == nil {
		d = p.startDial(ctx, key, g, dial, cfg)
	}
	result := make(chan dialed, 1)
	d.waiters = append(d.waiters, result)
	p.mu.Unlock()

	select {
	case r := <-result:
		return r.c, r.err
	case <-ctx.Done():
		p.leave(key, d, result)
		return nil, fmt.Errorf("http2: waiting for a connection: %w", ctx.Err())
	}
}

// group returns the group of key. p.mu is held.
func (p *Pool) group(key string) *group {
	g := p.groups[key]
	if g == nil {
		if p.groups == nil {
			p.groups = make(map[string]*group)
		}
		g = new(group)
		p.groups[key] = g
	}
	return g
}

// tidy forgets a group that has become empty. p.mu is held.
func (p *Pool) tidy(key string) {
	if g := p.groups[key]; g != nil && len(g.conns) == 0 && g.dialing == nil {
		delete(p.groups, key)
	}
}

// reserve takes a place on the first connection that has one. p.mu is held.
func (g *group) reserve(failed *Conn) *Conn {
	for _, c := range g.conns {
		if c != failed && c.reserve() == nil {
			return c
		}
	}
	return nil
}

// startDial begins a dial on a goroutine of its own. p.mu is held.
func (p *Pool) startDial(ctx context.Context, key string, g *group, dial func(context.Context) (net.Conn, error), cfg Config) *dialing {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	d := &dialing{cancel: cancel}
	g.dialing = d
	onIdle := cfg.OnIdle
	cfg.OnIdle = func(c *Conn) {
		p.drop(key, c)
		if onIdle != nil {
			onIdle(c)
		}
	}
	go func() {
		defer cancel()
		nc, err := dial(ctx)
		if err != nil {
			p.finish(key, d, dialed{err: err})
			return
		}
		p.finish(key, d, dialed{c: NewConn(nc, cfg)})
	}()
	return d
}

// finish gives the result of a dial to those who wait for it. A connection that nobody has a place
// on is closed.
func (p *Pool) finish(key string, d *dialing, r dialed) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if g := p.groups[key]; g != nil && g.dialing == d {
		g.dialing = nil
		if r.c != nil {
			g.conns = append(g.conns, r.c)
		}
	}
	for _, w := range d.waiters {
		w <- r.share()
	}
	if r.c != nil && r.c.CloseIfIdle() {
		p.forget(key, r.c)
	}
	d.waiters = nil
	p.tidy(key)
}

// share returns the result for one waiter.
func (r dialed) share() dialed {
	if r.c == nil {
		return r
	}
	err := r.c.reserve()
	if err == nil {
		return r
	}
	if err == ErrStreamLimit && !r.c.full() {
		err = nil
	}
	return dialed{err: err}
}

// leave takes a waiter whose ctx has ended out of the line. The last one to leave ends the dial.
func (p *Pool) leave(key string, d *dialing, result chan dialed) {
	p.mu.Lock()
	i := slices.Index(d.waiters, result)
	if i >= 0 {
		d.waiters = slices.Delete(d.waiters, i, i+1)
		if g := p.groups[key]; len(d.waiters) == 0 && g != nil && g.dialing == d {
			g.dialing = nil // a request from now on must not get this dial's cancellation
			d.cancel()
			p.tidy(key)
		}
	}
	p.mu.Unlock()
	if i >= 0 {
		return
	}
	if r := <-result; r.c != nil { // it came in the same moment
		r.c.release()
	}
}

// drop closes c if it is still idle, and forgets it then.
func (p *Pool) drop(key string, c *Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.CloseIfIdle() {
		p.forget(key, c)
	}
}

// forget takes c out of its group. p.mu is held.
func (p *Pool) forget(key string, c *Conn) {
	if g := p.groups[key]; g != nil {
		g.conns = slices.DeleteFunc(g.conns, func(o *Conn) bool { return o == c })
	}
	p.tidy(key)
}
