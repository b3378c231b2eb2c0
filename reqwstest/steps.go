package reqwstest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"
)

// Send sends frames in one write.
func Send(frames ...Frame) Step {
	return step(func(c *Conn) error { return c.WriteFrame(frames...) }, "Send(%s)", list(frames))
}

// SendText sends a text message in one frame.
func SendText[P ~string | ~[]byte](p P) Step { return send(Text(p)) }

// SendBinary sends a binary message in one frame.
func SendBinary[P ~string | ~[]byte](p P) Step { return send(Binary(p)) }

// SendPing sends a ping.
func SendPing[P ~string | ~[]byte](p P) Step { return send(Ping(p)) }

// SendPong sends a pong.
func SendPong[P ~string | ~[]byte](p P) Step { return send(Pong(p)) }

// SendClose sends a close frame, as Close makes it, and closes nothing.
func SendClose(code int, reason string) Step { return send(Close(code, reason)) }

func send(f Frame) Step {
	return step(func(c *Conn) error { return c.WriteFrame(f) }, "%s", call("Send", f))
}

// ExpectText expects a text message next, in one frame or in fragments, with
// exactly this text. A control frame in between is not what was expected.
func ExpectText[P ~string | ~[]byte](p P) Step { return expect(message{OpText, []byte(p)}) }

// ExpectBinary expects a binary message next, as ExpectText does.
func ExpectBinary[P ~string | ~[]byte](p P) Step { return expect(message{OpBinary, []byte(p)}) }

// ExpectPing expects a ping next, with exactly this application data.
func ExpectPing[P ~string | ~[]byte](p P) Step { return expect(message{OpPing, []byte(p)}) }

// ExpectPong expects a pong next, with exactly this application data.
func ExpectPong[P ~string | ~[]byte](p P) Step { return expect(message{OpPong, []byte(p)}) }

// ExpectClose expects a close frame next. Code 0 is one with an empty body.
func ExpectClose(code int, reason string) Step {
	return expect(message{OpClose, Close(code, reason).Payload})
}

func expect(want message) Step {
	return step(func(c *Conn) error {
		got, err := c.readMessage()
		if err != nil {
			return wanted(want, err)
		}
		if got.op != want.op || !bytes.Equal(got.payload, want.payload) {
			return fmt.Errorf("want %v, got %v%s", want, got, difference(got.payload, want.payload))
		}
		return nil
	}, "%s", call("Expect", Frame{Op: want.op, Payload: want.payload}))
}

// wanted says in words what came in place of something.
func wanted(want any, err error) error {
	switch {
	case errors.Is(err, io.EOF):
		return fmt.Errorf("want %v, but the client closed the connection", want)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("want %v, but the client closed the connection within a frame", want)
	}
	return fmt.Errorf("want %v: %w", want, err)
}

// ExpectCloseCode expects a close frame next, with this code and any reason.
func ExpectCloseCode(code int) Step {
	return step(func(c *Conn) error {
		want := fmt.Sprintf("close %d with any reason", code)
		got, err := c.readMessage()
		if err != nil {
			return wanted(want, err)
		}
		if got.op != OpClose || !bytes.HasPrefix(got.payload, Close(code, "").Payload) {
			return fmt.Errorf("want %s, got %v", want, got)
		}
		return nil
	}, "ExpectCloseCode(%d)", code)
}

// ExpectFrames expects exactly these frames next, in this order: FIN, reserved
// bits, opcode and unmasked payload as they are on the wire.
func ExpectFrames(frames ...Frame) Step {
	return step(func(c *Conn) error {
		for i, want := range frames {
			got, err := c.ReadFrame()
			if err != nil {
				return wanted(fmt.Sprintf("frame %d: %v", i+1, want), err)
			}
			same := got.Fin == want.Fin && got.RSV == want.RSV && got.Op == want.Op && bytes.Equal(got.Payload, want.Payload)
			if !same {
				return fmt.Errorf("want frame %d: %v, got %v%s", i+1, want, got, difference(got.Payload, want.Payload))
			}
		}
		return nil
	}, "ExpectFrames(%s)", list(frames))
}

// AnswerPing expects a ping next, whatever it holds, and answers it.
func AnswerPing() Step {
	return step(func(c *Conn) error {
		got, err := c.readMessage()
		if err != nil {
			return wanted(OpPing, err)
		}
		if got.op != OpPing {
			return fmt.Errorf("want ping, got %v", got)
		}
		return c.WriteFrame(Pong(got.payload))
	}, "AnswerPing")
}

// ExpectNothing expects that for so long no byte comes and the client does not
// close. The time is virtual in a synctest bubble; use it only there, with a
// server in memory, since it makes other tests slow and proves nothing in them.
func ExpectNothing(d time.Duration) Step {
	return step(func(c *Conn) error {
		c.nc.SetReadDeadline(time.Now().Add(d))
		defer c.nc.SetReadDeadline(time.Time{})
		_, err := c.r.Peek(1)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil
		case err != nil:
			return wanted("nothing", err)
		}
		start, _ := c.r.Peek(c.r.Buffered())
		came := fmt.Sprintf("bytes %s", quote(start))
		if got, err := c.readMessage(); err == nil {
			came = got.String()
		}
		return fmt.Errorf("want nothing, got %s", came)
	}, "ExpectNothing(%v)", d)
}

// ExpectEOF expects that the client closes in good order, without sending more.
func ExpectEOF() Step {
	return step(func(c *Conn) error {
		got, err := c.readMessage()
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return fmt.Errorf("want EOF: %w", err)
		}
		return fmt.Errorf("want EOF, got %v", got)
	}, "ExpectEOF")
}

// ExpectGone expects that the client closes, in whatever way: with a FIN, with an
// RST (as TCP makes of a close when bytes were left unread), within a frame.
func ExpectGone() Step {
	return step(func(c *Conn) error {
		got, err := c.readMessage()
		var v *violation
		if errors.As(err, &v) {
			return fmt.Errorf("want the end: %w", err)
		}
		if err != nil {
			return nil
		}
		return fmt.Errorf("want the end, got %v", got)
	}, "ExpectGone")
}

// EchoUntilClose sends every message back frame by frame, answers pings, and ends
// after it has answered the client's close frame with the same body, or when the
// client closes the connection.
func EchoUntilClose() Step {
	return step(func(c *Conn) error {
		for {
			f, err := c.ReadFrame()
			if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
				return nil
			}
			if err != nil {
				return err
			}
			switch f.Op {
			case OpPong:
				continue
			case OpPing:
				f.Op = OpPong
			}
			if err := c.WriteFrame(f); err != nil || f.Op == OpClose {
				return err
			}
		}
	}, "EchoUntilClose")
}

// Drop closes the connection without a close frame, and without close_notify. On
// TCP, if the client's bytes were left unread, the system makes a reset of it;
// to be sure of an EOF let the script end instead.
func Drop() Step { return step((*Conn).Close, "Drop") }

// Reset closes the connection with an RST.
func Reset() Step { return step((*Conn).Reset, "Reset") }

var errStalled = errors.New("stalled")

// Stall reads nothing and sends nothing until the test ends. The script counts as
// played to its end; later steps are never reached.
func Stall() Step {
	return step(func(c *Conn) error {
		c.finish(nil)
		<-c.srv.ctx.Done()
		return errStalled
	}, "Stall")
}

// Sleep does nothing for a time, which is virtual in a synctest bubble; use it only
// there.
func Sleep(d time.Duration) Step {
	return step(func(c *Conn) error {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			return nil
		case <-c.srv.ctx.Done():
			return c.srv.ctx.Err()
		}
	}, "Sleep(%v)", d)
}

// Await waits until the channel is closed or something comes over it: the test lets
// the script go on. In a synctest bubble the channel must be made there.
func Await[T any](ch <-chan T) Step {
	return step(func(c *Conn) error {
		select {
		case <-ch:
			return nil
		case <-c.srv.ctx.Done():
			return c.srv.ctx.Err()
		}
	}, "Await")
}

// Do runs any code. An error fails the script. What f waits for should end with
// Conn.Context.
func Do(f func(*Conn) error) Step { return step(f, "Do") }

// Named is Do with a name for failure reports.
func Named(name string, f func(*Conn) error) Step { return step(f, "%s", name) }

// call writes a step as it stands in the test: SendClose(1000, "bye").
func call(verb string, f Frame) string {
	if f.Op == OpClose {
		if len(f.Payload) < 2 {
			return verb + `Close(0, "")`
		}
		return fmt.Sprintf("%sClose(%d, %s)", verb, binary.BigEndian.Uint16(f.Payload), quote(f.Payload[2:]))
	}
	name := f.Op.String()
	return fmt.Sprintf("%s%s%s(%s)", verb, strings.ToUpper(name[:1]), name[1:], quote(f.Payload))
}

// list shows frames in a step's name.
func list(frames []Frame) string {
	const most = 4
	s := ""
	for i, f := range frames {
		if i == most {
			return s + fmt.Sprintf(", ... (%d frames)", len(frames))
		}
		if i > 0 {
			s += ", "
		}
		s += f.String()
	}
	return s
}
