package main

import (
	"errors"

	"github.com/lxzan/gws"
)

var (
	gwsClient = &library{label: "gws", is: peer, dial: func(t target) (socket, error) {
		return dialGWS(t, 0)
	}}
	// gws has no more to tune than how much it reads at once.
	gwsFast = &library{label: "gws, tuned", is: tuned, dial: func(t target) (socket, error) {
		return dialGWS(t, 64<<10)
	}}
	gwsLean = &library{label: "gws, lean", is: tuned, dial: func(t target) (socket, error) {
		return dialGWS(t, 1<<10)
	}}
)

type gwsSocket struct {
	gws.BuiltinEventHandler
	conn  *gws.Conn
	reply bool
	got   received
	done  bool
	err   error
}

// dialGWS takes the size of the read buffer; 0 means the library's own.
func dialGWS(t target, readBuffer int) (socket, error) {
	s := &gwsSocket{}
	o := &gws.ClientOption{Addr: t.url, TlsConfig: t.tls, ReadBufferSize: readBuffer}
	o.PermessageDeflate.Enabled = t.deflate
	var err error
	s.conn, _, err = gws.NewClient(s, o)
	return s, err
}

func (s *gwsSocket) OnMessage(c *gws.Conn, m *gws.Message) {
	defer m.Close()
	if s.done {
		return
	}
	if s.reply {
		if s.err = c.WriteMessage(m.Opcode, m.Bytes()); s.err != nil {
			return
		}
	}
	if !s.got(1, m.Data.Len()) {
		s.done = true
		s.close()
	}
}

func (s *gwsSocket) OnClose(_ *gws.Conn, err error) { s.err = errors.Join(s.err, err) }

func (s *gwsSocket) loop(reply bool, got received) error {
	s.reply, s.got = reply, got
	s.conn.ReadLoop()
	if s.done {
		return nil
	}
	return s.err
}

func (s *gwsSocket) send(text []byte) error { return s.conn.WriteMessage(gws.OpcodeText, text) }

func (s *gwsSocket) close() { s.conn.NetConn().Close() }
