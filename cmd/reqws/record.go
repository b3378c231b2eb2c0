package main

import (
	"os"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/cmd/reqws/recording"
)

const (
	incoming = recording.In
	outgoing = recording.Out
)

// recorder writes what is said into a file. Without one it does nothing.
type recorder struct {
	mu         sync.Mutex
	file       *os.File
	to         *recording.Writer
	since      time.Time
	peerClosed bool // the close frame of the server is written
	err        error
}

func newRecorder(path string) (*recorder, error) {
	if path == "" {
		return &recorder{}, nil
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600) // messages may be secrets
	if err != nil {
		return nil, &otherError{prefixed("--record: ", fileError(err))}
	}
	return &recorder{file: file, to: recording.NewWriter(file)}, nil
}

// opened begins a connection.
func (r *recorder) opened(o reqws.OpenedInfo) {
	if r.file == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.since, r.peerClosed = time.Now(), false
	r.note(r.to.Open(recording.Open{URL: o.URL, Subprotocol: o.Subprotocol, Time: r.since}))
}

// frame writes a message or control frame.
func (r *recorder) frame(direction recording.Direction, f reqws.Frame) {
	if r.file == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.write(direction, f)
}

func (r *recorder) write(direction recording.Direction, f reqws.Frame) {
	if f.Kind == reqws.KindClose && direction == incoming {
		r.peerClosed = true
	}
	r.note(r.to.Frame(time.Since(r.since), direction, f))
}

// closed writes the close frames that nobody was shown: this side's, and the server's answer to it.
func (r *recorder) closed(c reqws.ClosedInfo) {
	if r.file == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.Code != 0 {
		r.write(outgoing, reqws.Close(sent(c.Code), ""))
	}
	if c.PeerCode != 0 && !r.peerClosed {
		r.write(incoming, reqws.Close(sent(c.PeerCode), c.PeerReason))
	}
}

// sent is a code as it was sent: none for 1005.
func sent(code websocket.StatusCode) websocket.StatusCode {
	return pick(code == websocket.StatusNoStatusRcvd, 0, code)
}

func (r *recorder) note(err error) {
	if r.err == nil {
		r.err = err
	}
}

// close reports what could not be written.
func (r *recorder) close() error {
	if r.file == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.note(r.file.Close())
	if r.err != nil {
		return &otherError{prefixed("--record: ", fileError(r.err))}
	}
	return nil
}
