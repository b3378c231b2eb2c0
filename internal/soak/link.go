package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/reqws/reqws/reqwstest"
)

// record is what the server knows of one stream.
type record struct {
	number int
	plan   plan
	with   *crowd         // who is to be open before anything is said
	work   sync.WaitGroup // its connections

	mu    sync.Mutex
	busy  int // answers of 503 since the last connection
	links []*link
}

// next begins the next connection, or returns nil where that is to be refused.
func (r *record) next() *link {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.plan.link(len(r.links))
	if r.busy < p.busy {
		r.busy++
		return nil
	}
	r.busy = 0
	l := &link{r: r, index: len(r.links), plan: p}
	r.links = append(r.links, l)
	return l
}

// link is one connection of a stream, as the server sees it. What the record's mutex does not
// guard is valid when the connection's work is done.
type link struct {
	r     *record
	index int
	plan  linkPlan

	deflates, takesOver bool
	said                window // by the server,
	heardBefore         window // and by the client

	writing sync.Mutex // one frame at a time; guards what follows, up to played
	closed  bool       // a close frame was sent
	gone    bool       // nothing more is to be sent
	wrote   int        // messages, whole
	hungUp  error      // a write failed: the client had left
	played  bool       // the fault was,
	arrived bool       // and before it all that was written had reached the client's system

	heard    []message
	damage   error // what is wrong with what was heard
	first    bool  // the client's close frame was the first
	answered bool  // and the server's answer is out
	code     int   // of the client's close frame: 0 none in it, -1 no frame
}

// play has both sides talk. What it returns is closed when the client has ended.
func (l *link) play(in *bufio.Reader, c peer) <-chan struct{} {
	heard, talked := make(chan struct{}), make(chan struct{})
	l.code = -1
	l.r.work.Add(1) // over HTTP/2 this outlasts the handler
	go func() {
		defer l.r.work.Done()
		defer close(heard)
		l.listen(in, c, talked)
	}()
	l.talk(c)
	close(talked)
	return heard
}

// talk writes the plan's messages, and ends as it says.
func (l *link) talk(c peer) {
	r := rand.New(rand.NewPCG(l.r.plan.seed, uint64(l.index)))
	pauseAt := r.IntN(l.plan.messages)
	l.r.with.wait()
	for n := 0; n < l.plan.messages; {
		var batch []reqwstest.Frame
		before := n
		for range 1 + r.IntN(8) {
			if n < l.plan.messages {
				batch = append(batch, l.compose(r, n)...)
				n++
			}
		}
		if !l.say(c, batch, n-before, r) {
			return
		}
		switch {
		case before <= pauseAt && pauseAt < n && l.plan.pause > 0:
			time.Sleep(l.plan.pause)
		case r.IntN(5) == 0:
			time.Sleep(time.Duration(r.IntN(4)) * time.Millisecond)
		}
	}
	l.end(c, r.IntN(2) == 0)
}

// compose makes the n-th message: in one frame or in two, compressed or not, with pings between.
func (l *link) compose(r *rand.Rand, n int) []reqwstest.Frame {
	text := message{l.r.number, l.index, n}.text("s", r, size(r))
	f := reqwstest.Text(text)
	if r.IntN(4) == 0 {
		f = reqwstest.Binary(text)
	}
	if r.IntN(4) > 0 {
		f = l.deflate(f)
	}
	frames := []reqwstest.Frame{f}
	if r.IntN(5) == 0 {
		cut := r.IntN(len(f.Payload) + 1)
		first, second := f, reqwstest.Frame{Fin: true, Op: reqwstest.OpContinuation, Payload: f.Payload[cut:]}
		first.Fin, first.Payload = false, f.Payload[:cut]
		frames = []reqwstest.Frame{first, reqwstest.Ping("within"), second}
	}
	if r.IntN(6) == 0 {
		frames = append(frames, reqwstest.Ping("are you there"))
	}
	return frames
}

// say writes frames, which hold so many messages: at once, or in drips. It reports whether the
// server is to go on.
func (l *link) say(c peer, frames []reqwstest.Frame, messages int, r *rand.Rand) bool {
	drip := 0
	if r.IntN(8) == 0 {
		drip = 1 + r.IntN(2000)
	}
	l.writing.Lock()
	defer l.writing.Unlock()
	if l.gone || l.closed {
		return false
	}
	if err := writeIn(c, reqwstest.Encode(frames...), drip); err != nil {
		l.gone, l.hungUp = true, err
		return false
	}
	l.wrote += messages
	return true
}

// end is the fault.
func (l *link) end(c peer, patient bool) {
	l.writing.Lock()
	defer l.writing.Unlock()
	if l.gone || l.closed {
		return
	}
	l.played = true
	switch l.plan.fault {
	case closes:
		l.closed = true
		_, l.hungUp = c.Write(reqwstest.Encode(reqwstest.Close(l.plan.code, why)))
	case leaves:
		l.gone = true
		c.leave()
	case cutsOff:
		l.gone = true
		b := reqwstest.Encode(reqwstest.Text("s is never whole"))
		_, l.hungUp = c.Write(b[:len(b)/2])
		c.leave()
	case resets:
		l.gone = true
		l.arrived = c.reset(patient)
	case silent:
		l.gone = true
	}
}

// why is the reason in the server's close frames.
const why = "so it was planned"

// listen reads what the client sends, to its end, and answers pings and a close frame. A server
// that is deaf stops after a few messages until it has talked.
func (l *link) listen(in *bufio.Reader, c peer, talked <-chan struct{}) {
	r := rand.New(rand.NewPCG(l.r.plan.seed, uint64(l.index)+1000))
	for hears := r.IntN(6); ; {
		if l.plan.deaf && len(l.heard) >= hears {
			<-talked
			time.Sleep(time.Millisecond)
			hears = math.MaxInt
		}
		f, err := reqwstest.Decode(in)
		if err != nil {
			return
		}
		if !f.Masked && l.damage == nil {
			l.damage = fmt.Errorf("a frame is not masked: %v", f)
		}
		switch f.Op {
		case reqwstest.OpText, reqwstest.OpBinary:
			l.hear(f)
		case reqwstest.OpPing:
			l.pong(c, f.Payload)
		case reqwstest.OpClose:
			l.answer(c, f.Payload)
		}
		if r.IntN(100) == 0 {
			time.Sleep(time.Duration(r.IntN(10)) * time.Millisecond)
		}
	}
}

// hear notes a message.
func (l *link) hear(f reqwstest.Frame) {
	text, err := l.inflate(f)
	if err != nil {
		err = fmt.Errorf("a compressed message of %d bytes: %w", len(f.Payload), err)
	}
	m, bad := parse(string(text), "c", l.r.number)
	if err == nil {
		err = bad
	}
	if err != nil && l.damage == nil {
		l.damage = err
	}
	if err == nil {
		l.heard = append(l.heard, m)
	}
}

func (l *link) pong(c peer, payload []byte) {
	l.writing.Lock()
	defer l.writing.Unlock()
	if !l.gone && !l.closed {
		_, _ = c.Write(reqwstest.Encode(reqwstest.Pong(payload)))
	}
}

// answer notes the client's close frame, and completes the closing handshake.
func (l *link) answer(c peer, payload []byte) {
	l.writing.Lock()
	defer l.writing.Unlock()
	l.code = 0
	if len(payload) >= 2 {
		l.code = int(binary.BigEndian.Uint16(payload))
	}
	if !l.closed && !l.gone {
		l.first, l.closed = true, true
		_, err := c.Write(reqwstest.Encode(reqwstest.Frame{Fin: true, Op: reqwstest.OpClose, Payload: payload}))
		l.answered = err == nil
	}
	if !l.gone {
		c.leave()
	}
}
