// Package recording reads and writes what reqws --record keeps: all messages of a session with a WebSocket server, in
// lines of JSON with their times; and it plays the server's side of one as a script of package reqwstest, so that a session
// with a real server becomes a test without it.
package recording

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"time"
	"unicode/utf8"
)

// The kinds of entries. Those of frames are as reqws.Kind prints them.
const (
	Open   = "open" // a connection was opened
	Text   = "text"
	Binary = "binary"
	Ping   = "ping"
	Pong   = "pong"
	Close  = "close"
)

// Directions, from the client's side.
const (
	In  = "in"
	Out = "out"
)

// Recording is a session.
type Recording struct {
	URL     string // without userinfo and query
	Began   time.Time
	Entries []Entry
}

// Entry is one thing that happened.
type Entry struct {
	At          time.Duration // since the recording began
	Kind        string
	Direction   string // In or Out, of a frame
	Subprotocol string // of Open
	Code        int    // of Close; 0 is one without a code
	Data        []byte // of a frame; the reason of Close
}

// head is the first line.
type head struct {
	Version int       `json:"reqws_recording"`
	URL     string    `json:"url"`
	Began   time.Time `json:"began"`
}

// line is each other one.
type line struct {
	T           float64 `json:"t"` // seconds
	Direction   string  `json:"dir,omitempty"`
	Kind        string  `json:"kind"`
	Subprotocol string  `json:"subprotocol,omitempty"`
	Code        int     `json:"code,omitempty"`
	Data        *string `json:"data,omitempty"`
	Base64      []byte  `json:"base64,omitempty"` // in place of data, where that is not UTF-8
}

const version = 1

// Writer writes a recording.
type Writer struct{ e *json.Encoder }

// NewWriter writes the head of a recording. Of the URL it keeps what is no credential: neither userinfo nor query.
func NewWriter(w io.Writer, rawURL string, began time.Time) (*Writer, error) {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	shown := ""
	if u, err := url.Parse(rawURL); err == nil {
		u.User, u.RawQuery = nil, ""
		shown = u.String()
	}
	return &Writer{e}, e.Encode(head{version, shown, began.UTC()})
}

// Write writes an entry.
func (w *Writer) Write(e Entry) error {
	l := line{T: e.At.Seconds(), Direction: e.Direction, Kind: e.Kind, Subprotocol: e.Subprotocol, Code: e.Code}
	switch {
	case e.Kind == Open:
	case utf8.Valid(e.Data):
		data := string(e.Data)
		l.Data = &data
	default:
		l.Base64 = e.Data
	}
	return w.e.Encode(l)
}

// mostLine is the longest line: a message of 64 MiB in base64, and what stands around it.
const mostLine = 100 << 20

// Read reads a recording. Its error names the line.
func Read(r io.Reader) (*Recording, error) {
	s := bufio.NewScanner(r)
	s.Buffer(nil, mostLine)
	var rec Recording
	for n := 1; s.Scan(); n++ {
		if n == 1 {
			var h head
			if err := json.Unmarshal(s.Bytes(), &h); err != nil || h.Version != version {
				return nil, errors.New("recording: it does not begin as one of version 1 does")
			}
			rec.URL, rec.Began = h.URL, h.Began
			continue
		}
		e, err := parse(s.Bytes())
		if err != nil {
			return nil, fmt.Errorf("recording: line %d: %w", n, err)
		}
		rec.Entries = append(rec.Entries, e)
	}
	if err := s.Err(); err != nil {
		return nil, fmt.Errorf("recording: %w", err)
	}
	if rec.Began.IsZero() {
		return nil, errors.New("recording: it is empty")
	}
	return &rec, nil
}

func parse(data []byte) (Entry, error) {
	var l line
	if err := json.Unmarshal(data, &l); err != nil {
		return Entry{}, err
	}
	e := Entry{
		At: time.Duration(l.T * float64(time.Second)), Direction: l.Direction, Kind: l.Kind,
		Subprotocol: l.Subprotocol, Code: l.Code, Data: l.Base64,
	}
	if l.Data != nil {
		e.Data = []byte(*l.Data)
	}
	switch l.Kind {
	case Open:
		return e, nil
	case Text, Binary, Ping, Pong, Close:
	default:
		return e, fmt.Errorf("the kind %q is not known", l.Kind)
	}
	if e.Direction != In && e.Direction != Out {
		return e, fmt.Errorf("the direction %q is neither in nor out", l.Direction)
	}
	if e.At < 0 || l.Code < 0 {
		return e, errors.New("a number is negative")
	}
	return e, nil
}
