package main

import (
	"math/rand/v2"
	"slices"
	"time"
)

// plan is what one stream goes through. All of it is drawn from the seed and the stream's number,
// so that a finding can be played again.
type plan struct {
	id   int
	seed uint64 // of what is drawn on the way

	over     protocol
	deflate  deflate
	way      way
	back     bool          // it reconnects
	beats    bool          // it has a heartbeat that bores nobody
	ahead    int           // bytes that are read ahead of its handler or mailbox; 0: none
	slow     time.Duration // how long the client takes over a batch now and then
	links    []linkPlan
	leave    leaving // how the client ends it
	leaveOn  int     // the connection on which it does,
	leaveAt  int     // after so many messages of that
	hears    bool    // having sent a close frame, it wants what is still to come
	closeBy  int     // the code that it closes with
	senders  int     // goroutines that send
	volleys  bool    // each of them with several Sends at once
	sendings int     // at most so many per sender
}

// linkPlan is what one connection goes through.
type linkPlan struct {
	refused  int           // dials that reach nobody before it
	busy     int           // answers of 503 before it
	pieces   int           // bytes of the 101 in one write; 0: all at once
	messages int           // of the server's
	pause    time.Duration // somewhere between them
	deaf     bool          // the server stops reading until it has said all
	narrow   bool          // the server's receive buffer is small
	fault    fault
	code     int // of the server's close frame; 0: none
}

// protocol is what a stream is opened in.
type protocol int

const (
	ws protocol = iota
	wss
	http2
	mostProtocols
)

var protocolNames = [mostProtocols]string{"ws", "wss", "HTTP/2"}

// deflate is how a stream is compressed.
type deflate int

const (
	plain deflate = iota
	takeover
	noTakeover
)

// way is how a client reads.
type way int

const (
	runs way = iota
	does
	receives
	ranges
	mailbox
	mostWays
)

var wayNames = [mostWays]string{"Run", "Do", "Receive", "Frames", "mailbox"}

// fault is how the server ends a connection.
type fault int

const (
	closes  fault = iota // with a close frame, and reads on to the client's end
	leaves               // with a FIN and no close frame, and reads on
	cutsOff              // with a FIN in the middle of a frame
	resets               // with an RST, or RST_STREAM
	silent               // not at all: it does not even answer pings
	waits                // not at all: the client does
	mostFaults
)

var faultNames = [mostFaults]string{"close frames", "half-closes", "ends inside a frame", "resets", "silence", "none, the client leaves"}

// leaving is how a client ends its stream, if the server does not.
type leaving int

const (
	stays      leaving = iota
	halts              // from inside, where there is an inside
	sendsClose         // with a Send
	closesIt
	closesNow
	cancels
	crowds // several of these at once
	mostLeavings
)

var leavingNames = [mostLeavings]string{"", "Halt", "Send of a close frame", "Close", "CloseNow", "ctx", "Close, CloseNow and ctx at once"}

var (
	serverCodes = []int{0, 0, 1000, 1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 4999}
	goesOn      = []int{0, 1001, 1011, 1012, 1013, 1014, 3000, 4999} // behind these a stream reconnects
	final       = []int{1000, 1000, 1002, 1003, 1007, 1008, 1009, 1010}
	clientCodes = []int{0, 1000, 1000, 1001, 1008, 3000, 4999}
)

func draw(seed uint64, id int) plan {
	r := rand.New(rand.NewPCG(seed, uint64(id)))
	one := func(in int) bool { return r.IntN(in) == 0 }
	if isBrief(id) {
		return drawBrief(r, id)
	}
	p := plan{
		id: id, seed: r.Uint64(), over: protocol(r.IntN(int(mostProtocols))), way: way(r.IntN(int(mostWays))),
		back: one(4) && canComeBack, beats: one(6), closeBy: pick(r, clientCodes),
		senders: 1 + r.IntN(3), volleys: one(3), sendings: r.IntN(15),
	}
	if one(3) {
		p.deflate = takeover + deflate(r.IntN(2))
	}
	if one(5) {
		p.slow = time.Duration(1+r.IntN(3000)) * time.Microsecond
	}
	many := 1
	if p.back {
		many, p.sendings = 2+r.IntN(4), 10+r.IntN(20)
	}
	for n := range many {
		p.links = append(p.links, drawLink(r, p.back, n == many-1))
	}
	if last := &p.links[many-1]; last.fault == waits {
		p.leave, p.leaveOn = leaving(1+r.IntN(int(mostLeavings)-1)), many-1
		p.leaveAt = 1 + r.IntN(last.messages)
	} else if one(3) && last.fault != silent { // which lets a Close wait for all of its timeout
		p.leave, p.leaveOn = leaving(1+r.IntN(int(mostLeavings)-1)), r.IntN(many)
		if one(4) {
			p.leaveAt = 0 // as soon as it is open
		} else {
			p.leaveAt = r.IntN(p.links[p.leaveOn].messages + 1)
		}
	}
	if p.leave == halts && p.deaf() {
		p.leave = closesIt
	}
	if one(4) {
		p.ahead = 1 + r.IntN(5000)
	}
	p.hears = p.leave == sendsClose && one(2)
	return p
}

// isBrief reports whether a stream is one of those that come in crowds of thousands, so that
// descriptors are used again while others with the same number are being let go of.
func isBrief(id int) bool { return id%5000 >= 1000 }

// drawBrief draws a stream over ws that comes to rest without a goroutine: then its client leaves it at
// once, or it hears a little and is closed by its server.
func drawBrief(r *rand.Rand, id int) plan {
	p := plan{id: id, seed: r.Uint64(), over: ws, way: does, closeBy: 1000, senders: 1}
	if r.IntN(2) == 0 {
		p.links = []linkPlan{{messages: 3, pause: time.Second, fault: waits}}
		p.leave = pick(r, []leaving{closesNow, cancels})
	} else {
		p.links = []linkPlan{{messages: 3, pause: time.Duration(r.IntN(20)) * time.Millisecond, fault: closes, code: 1000}}
	}
	return p
}

// deaf reports whether a server stops reading in this plan. What is sent from inside a handler may
// wait for it, as long as it waits for the handler: who answers such a server must not also wait to read.
func (p plan) deaf() bool {
	return slices.ContainsFunc(p.links, func(l linkPlan) bool { return l.deaf })
}

// drawLink draws a connection of a stream, which may reconnect, and whose last it may be.
func drawLink(r *rand.Rand, back, last bool) linkPlan {
	one := func(in int) bool { return r.IntN(in) == 0 }
	l := linkPlan{messages: 1 + r.IntN(60), deaf: one(8), narrow: one(6)}
	if back {
		l.messages = 1 + r.IntN(20)
		l.deaf = one(3) // so that Sends are under way when it ends
		l.narrow = l.deaf || l.narrow
	}
	if one(6) {
		l.refused = 1 + r.IntN(2)
	}
	if one(6) {
		l.busy = 1 + r.IntN(2)
	}
	if one(6) {
		l.pieces = 1 + r.IntN(40)
	}
	if one(4) {
		l.pause = time.Duration(r.IntN(1500)) * time.Millisecond
	}
	switch {
	case !back:
		l.fault, l.code = pick(r, []fault{closes, closes, closes, leaves, cutsOff, resets, waits, waits}), pick(r, serverCodes)
		if canBeat && one(50) {
			l.fault = silent
		}
	case last:
		l.fault, l.code = pick(r, []fault{closes, waits}), pick(r, final)
	default:
		l.fault, l.code = pick(r, []fault{closes, closes, leaves, cutsOff, resets, resets}), pick(r, goesOn)
	}
	return l
}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

// hasty reports whether the client gives up a silent server soon, and may so wrong one that is
// slow, as all are on a busy machine.
func (p plan) hasty() bool { return p.links[0].fault == silent }

// link is the plan of the n-th connection. One more than planned goes as the last.
func (p plan) link(n int) linkPlan { return p.links[min(n, len(p.links)-1)] }
