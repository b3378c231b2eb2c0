package recording

import (
	"bytes"
	"fmt"
	"io"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/reqwstest"
)

// Script reads a recording of one connection, and makes the script of it that a server of
// reqwstest plays: it sends what the server sent, and expects what the client sent, each in its
// place; times do not matter. Pings and pongs of the client's are not looked at, and of its close
// frame only that it comes. Where the recording ends without a close frame the server hangs up.
func Script(r io.Reader) (*reqwstest.ConnScript, error) {
	all, err := Scripts(r)
	if err != nil {
		return nil, err
	}
	if len(all) > 1 {
		return nil, fmt.Errorf("there are %d connections in the recording: Scripts makes a script of each", len(all))
	}
	return all[0], nil
}

// Scripts is Script for a recording of several connections, as a client that reconnects makes
// them: a script of each, in order.
func Scripts(r io.Reader) ([]*reqwstest.ConnScript, error) {
	connections, err := Read(r)
	if err != nil {
		return nil, err
	}
	all := make([]*reqwstest.ConnScript, 0, len(connections))
	for _, c := range connections {
		all = append(all, c.script())
	}
	return all, nil
}

func (c Connection) script() *reqwstest.ConnScript {
	accept := reqwstest.Accept()
	if c.Open.Subprotocol != "" {
		accept = reqwstest.Accept(reqwstest.WithSubprotocol(c.Open.Subprotocol))
	}
	steps := []reqwstest.Step{accept}
	for _, f := range c.Frames {
		switch {
		case f.Dir == In:
			steps = append(steps, reqwstest.Send(f.Wire()))
		case f.Kind != reqws.KindPing && f.Kind != reqws.KindPong:
			steps = append(steps, expect(f))
		}
	}
	return reqwstest.Script(steps...)
}

// Wire is the frame as a server of reqwstest sends it.
func (f Frame) Wire() reqwstest.Frame {
	switch f.Kind {
	case reqws.KindClose:
		return reqwstest.Close(int(f.Code), string(f.Data))
	case reqws.KindBinary:
		return reqwstest.Binary(f.Data)
	case reqws.KindPing:
		return reqwstest.Ping(f.Data)
	case reqws.KindPong:
		return reqwstest.Pong(f.Data)
	}
	return reqwstest.Text(f.Data)
}

// expect is the step that awaits a message of the client's, or its close frame.
func expect(f Frame) reqwstest.Step {
	want := reqwstest.Op(f.Kind) // both are the opcode
	return reqwstest.Named("recorded "+f.String(), func(c *reqwstest.Conn) error {
		for {
			op, data, err := c.ReadMessage()
			switch {
			case err != nil:
				return err
			case op == reqwstest.OpPing || op == reqwstest.OpPong:
				if err := answer(c, op, data); err != nil {
					return err
				}
				continue
			case op != want:
				return fmt.Errorf("the client sent %v %q, and not %v", op, data, f.Frame)
			case op != reqwstest.OpClose && !bytes.Equal(data, f.Data):
				return fmt.Errorf("the client sent %q, and not %v", data, f.Frame)
			}
			return nil
		}
	})
}

// answer answers a ping.
func answer(c *reqwstest.Conn, op reqwstest.Op, data []byte) error {
	if op != reqwstest.OpPing {
		return nil
	}
	return c.WriteFrame(reqwstest.Pong(data))
}
