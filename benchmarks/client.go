package main

import (
	"crypto/tls"
	"net/http"
)

// target says where to connect and how.
type target struct {
	url     string
	deflate bool         // offer permessage-deflate without context takeover
	tls     *tls.Config  // for wss URLs
	http    *http.Client // the same, for a library that dials with net/http
}

// received is told of each message, or of a batch by those who see batches. It
// returns false when there were enough.
type received func(messages, bytes int) (more bool)

// client is one contender.
type client interface {
	name() string
	part() part

	// run connects and reads whole messages until got has enough. With reply set it
	// answers each message with a message of the same type and bytes.
	run(t target, reply bool, got received) error

	// opener returns a function that connects, as often as it is called, and leaves
	// in the background what the library needs to notice messages.
	opener(t target, got received) func() (conn, error)
}

// part is what a client stands for in a table.
type part string

const (
	own     part = "reqws"        // as its README shows it: this row is judged
	another part = "reqws, other" // another form of it, beside
	peer    part = "peer"         // another library, used as its documentation shows
	tuned   part = "peer, tuned"  // the same, fitted by hand to the workload
	floor   part = "limit"        // the least that can be done
)

// conn is an open connection.
type conn interface {
	send(text []byte) error // one text message, from any goroutine
	close()                 // at once, without a closing handshake
}

// socket is a connection of a library whose dialing and reading are two calls.
type socket interface {
	conn
	loop(reply bool, got received) error
}

// library is a client made of its dial function.
type library struct {
	label string
	is    part
	dial  func(target) (socket, error)
}

func (l *library) name() string { return l.label }
func (l *library) part() part   { return l.is }

func (l *library) run(t target, reply bool, got received) error {
	s, err := l.dial(t)
	if err != nil {
		return err
	}
	defer s.close()
	return s.loop(reply, got)
}

func (l *library) opener(t target, got received) func() (conn, error) {
	return func() (conn, error) {
		s, err := l.dial(t)
		if err != nil {
			return nil, err
		}
		go s.loop(false, got)
		return s, nil
	}
}

var (
	peers     = []client{coderClient, gobwasClient, gorillaClient, gwsClient, nbioClient}
	fastPeers = []client{coderFast, gobwasFast, gorillaFast, gwsFast, nbioFast}
	leanPeers = []client{gobwasLean, gorillaLean, gwsLean, nbioFast} // coder has nothing to set
)
