package main

import (
	"errors"
	"sync"

	"github.com/lesismal/llib/std/crypto/tls"
	"github.com/lesismal/nbio/logging"
	"github.com/lesismal/nbio/nbhttp"
	"github.com/lesismal/nbio/nbhttp/websocket"
)

var (
	// nbioClient is configured as the library's own client examples are: one engine with
	// every default for all connections (one poller of level-triggered epoll, reads of 64
	// KiB, handlers in a pool of goroutines, UTF-8 checked, a timer for each connection that
	// its messages set anew), and Options, which they call an Upgrader, for each connection.
	nbioClient = &nbioLibrary{label: "nbio", is: peer, engine: sync.OnceValues(func() (*nbhttp.Engine, error) {
		return startNbio(nbhttp.Config{})
	})}

	// nbioFast also gives each message's buffer back to the pool once it is handled, runs
	// the handlers in the poller's goroutine, has no timer, and shares the Options, which
	// makes its connections leaner.
	nbioFast = &nbioLibrary{label: "nbio, tuned", is: tuned, engine: sync.OnceValues(func() (*nbhttp.Engine, error) {
		here := func(f func()) { f() }
		return startNbio(nbhttp.Config{ReleaseWebsocketPayload: true, ServerExecutor: here, ClientExecutor: here})
	})}
)

type nbioLibrary struct {
	label  string
	is     part
	engine func() (*nbhttp.Engine, error)
}

func (l *nbioLibrary) name() string { return l.label }
func (l *nbioLibrary) part() part   { return l.is }

func startNbio(c nbhttp.Config) (*nbhttp.Engine, error) {
	logging.SetLevel(logging.LevelNone)
	e := nbhttp.NewEngine(c)
	return e, e.Start()
}

// run waits while the engine's goroutines do what the others do on the caller's.
func (l *nbioLibrary) run(t target, reply bool, got received) error {
	ended := make(chan error, 1)
	end := func(err error) {
		select {
		case ended <- err:
		default:
		}
	}
	enough := false // the engine handles one message of a connection at a time
	o := l.options(t)
	o.OnMessage(func(c *websocket.Conn, kind websocket.MessageType, data []byte) {
		if enough {
			return
		}
		if reply {
			if err := c.WriteMessage(kind, data); err != nil {
				end(err)
				return
			}
		}
		if !got(1, len(data)) {
			enough = true
			end(nil)
		}
	})
	o.OnClose(func(_ *websocket.Conn, err error) { end(errors.Join(errors.New("closed"), err)) })
	c, err := l.dial(t, o)
	if err != nil {
		return err
	}
	defer c.close()
	return <-ended
}

func (l *nbioLibrary) opener(t target, got received) func() (conn, error) {
	options := func() *websocket.Options {
		o := l.options(t)
		o.OnMessage(func(_ *websocket.Conn, _ websocket.MessageType, data []byte) { got(1, len(data)) })
		return o
	}
	shared := options()
	return func() (conn, error) {
		o := shared
		if l.is == peer {
			o = options()
		}
		c, err := l.dial(t, o)
		if err != nil {
			return nil, err
		}
		return c, nil
	}
}

func (l *nbioLibrary) options(t target) *websocket.Options {
	o := websocket.NewOptions()
	o.EnableCompression(t.deflate)
	if l.is == tuned {
		o.ReleasePayload = true
		o.KeepaliveTime = 0
	}
	return o
}

// dial gives nbio the certificates in the form of the crypto/tls that it brings along. Its
// newest version is used, since those before know no ML-KEM and so shake hands for less.
func (l *nbioLibrary) dial(t target, o *websocket.Options) (nbioConn, error) {
	e, err := l.engine()
	if err != nil {
		return nbioConn{}, err
	}
	d := websocket.Dialer{Engine: e, Options: o}
	if t.tls != nil {
		d.TLSClientConfig = &tls.Config{RootCAs: t.tls.RootCAs, ServerName: t.tls.ServerName}
	}
	c, _, err := d.Dial(t.url, nil)
	if err != nil && t.tls != nil { // one handshake of some ten thousand fails when several run at once
		c, _, err = d.Dial(t.url, nil)
	}
	return nbioConn{c}, err
}

type nbioConn struct{ *websocket.Conn }

func (c nbioConn) send(text []byte) error { return c.WriteMessage(websocket.TextMessage, text) }
func (c nbioConn) close()                 { c.Close() }
