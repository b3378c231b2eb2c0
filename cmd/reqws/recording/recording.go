// Package recording reads and writes what reqws --record has recorded, and makes scripts of
// reqwstest of it, so that a test plays the server that was recorded.
//
// A recording is text: JSON, a line for each connection that was opened and for each frame.
//
//	{"open":1,"url":"wss://example.com/feed","subprotocol":"v1","time":"2026-01-02T15:04:05Z"}
//	{"t":0.0131,"dir":"out","kind":"text","text":"subscribe"}
//	{"t":0.0482,"dir":"in","kind":"binary","base64":"AAEC"}
//	{"t":2.5,"dir":"in","kind":"close","code":1000,"text":"bye"}
//
// The number behind open is the version of the format, t the seconds since the connection
// opened. URLs have no userinfo and no query, and no other part of a handshake is kept; what
// messages hold is kept as it is. Pings and pongs that the server sent are among the frames, those
// that reqws sent by itself are not.
package recording

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"

	"github.com/reqws/reqws"
)

// Direction says who sent a frame.
type Direction string

// In is what the server sent, Out what the client sent.
const (
	In  Direction = "in"
	Out Direction = "out"
)

// Open is the beginning of a connection.
type Open struct {
	URL         string // without userinfo and query
	Subprotocol string // that the server chose, if any
	Time        time.Time
}

// Frame is one frame of a connection.
type Frame struct {
	reqws.Frame
	At  time.Duration // since the connection opened
	Dir Direction
}

// Connection is what was said over one connection.
type Connection struct {
	Open   Open
	Frames []Frame
}

// version is that of the format.
const version = 1

// line is a line of a recording. Of its fields those count that its kind has.
type line struct {
	Open        int        `json:"open,omitempty"`
	URL         string     `json:"url,omitempty"`
	Subprotocol string     `json:"subprotocol,omitempty"`
	Time        *time.Time `json:"time,omitempty"`

	T      *float64  `json:"t,omitempty"`
	Dir    Direction `json:"dir,omitempty"`
	Kind   string    `json:"kind,omitempty"`
	Code   int       `json:"code,omitempty"`
	Text   *string   `json:"text,omitempty"`
	Base64 *[]byte   `json:"base64,omitempty"`
}

// Writer writes a recording.
type Writer struct{ to io.Writer }

// NewWriter returns a Writer that writes to w, each line with a Write of its own.
func NewWriter(w io.Writer) *Writer { return &Writer{w} }

// Open begins a connection: what follows is of it.
func (w *Writer) Open(o Open) error {
	return w.write(line{Open: version, URL: o.URL, Subprotocol: o.Subprotocol, Time: &o.Time})
}

// Frame writes a frame that was sent or received at a time since the connection opened.
func (w *Writer) Frame(at time.Duration, dir Direction, f reqws.Frame) error {
	seconds := at.Round(time.Microsecond).Seconds()
	l := line{T: &seconds, Dir: dir, Kind: f.Kind.String(), Code: int(f.Code)}
	if f.Kind == reqws.KindBinary || !utf8.Valid(f.Data) {
		l.Base64 = &f.Data
	} else {
		text := string(f.Data)
		l.Text = &text
	}
	return w.write(l)
}

func (w *Writer) write(l line) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(l); err != nil {
		return err
	}
	_, err := w.to.Write(b.Bytes())
	return err
}

// Read reads a recording to its end. An error names the line.
func Read(r io.Reader) ([]Connection, error) {
	var all []Connection
	lines := bufio.NewReader(r)
	for n := 1; ; n++ {
		text, err := lines.ReadBytes('\n')
		if err != nil && err != io.EOF {
			return nil, err
		}
		if len(bytes.TrimSpace(text)) > 0 {
			if all, err = add(all, text); err != nil {
				return nil, fmt.Errorf("line %d of the recording: %w", n, err)
			}
		} else if err == io.EOF {
			break
		}
	}
	if len(all) == 0 {
		return nil, errors.New("the recording is empty")
	}
	return all, nil
}

func add(all []Connection, text []byte) ([]Connection, error) {
	var l line
	if err := json.Unmarshal(text, &l); err != nil {
		return nil, err
	}
	if l.Open > version {
		return nil, fmt.Errorf("it has version %d of the format, and %d is known", l.Open, version)
	}
	if l.Open > 0 {
		o := Open{URL: l.URL, Subprotocol: l.Subprotocol}
		if l.Time != nil {
			o.Time = *l.Time
		}
		return append(all, Connection{Open: o}), nil
	}
	if len(all) == 0 {
		return nil, errors.New("a frame before the line that opens a connection")
	}
	f, err := l.frame()
	last := &all[len(all)-1]
	last.Frames = append(last.Frames, f)
	return all, err
}

// kinds are those that are recorded, by their names.
var kinds = func() map[string]reqws.Kind {
	all := map[string]reqws.Kind{}
	for _, k := range []reqws.Kind{reqws.KindText, reqws.KindBinary, reqws.KindPing, reqws.KindPong, reqws.KindClose} {
		all[k.String()] = k
	}
	return all
}()

func (l line) frame() (Frame, error) {
	kind, ok := kinds[l.Kind]
	switch {
	case !ok:
		return Frame{}, fmt.Errorf("there is no kind of frame %q", l.Kind)
	case l.Dir != In && l.Dir != Out:
		return Frame{}, fmt.Errorf("dir is %q, and not in or out", l.Dir)
	case l.T == nil || *l.T < 0:
		return Frame{}, errors.New("t is missing, or negative")
	}
	f := Frame{At: time.Duration(*l.T * float64(time.Second)), Dir: l.Dir}
	f.Kind, f.Code = kind, websocket.StatusCode(l.Code)
	switch {
	case l.Text != nil:
		f.Data = []byte(*l.Text)
	case l.Base64 != nil:
		f.Data = *l.Base64
	}
	return f, nil
}
