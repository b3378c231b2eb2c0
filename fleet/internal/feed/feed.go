// Package feed is a WebSocket server whose every message can be accounted for: it numbers what it sends, notes how each
// connection ended, and keeps what it received. Tests, the example and the soak hold a fleet to that.
package feed

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

// Server sends the messages ID:0, ID:1 and so on to whoever connects to the path /ID: one sequence for each ID,
// over all its connections. It is an http.Handler.
type Server struct {
	every  time.Duration
	refuse atomic.Int64

	mu    sync.Mutex
	ids   map[string]*stream
	conns []*Conn
	hook  func(*http.Request)
}

// stream is what is known of one ID.
type stream struct {
	next       int // number of the next message
	open, most int // connections now, and most at once
	got        []string
}

// Conn is one connection.
type Conn struct {
	ID             string
	First, Last    int // the messages sent over it: from First up to, and without, Last
	Clean          bool
	Opened, Closed time.Time // Closed is zero while it is open
}

// New returns a server that sends a message to each connection every so often, or none at all with 0.
func New(every time.Duration) *Server {
	return &Server{every: every, ids: map[string]*stream{}}
}

// Refuse has the server answer handshakes with a status; 0 is as usual.
func (s *Server) Refuse(status int) { s.refuse.Store(int64(status)) }

// OnRequest has f see each request.
func (s *Server) OnRequest(f func(*http.Request)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hook = f
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	hook := s.hook
	s.mu.Unlock()
	if hook != nil {
		hook(r)
	}
	if status := s.refuse.Load(); status != 0 {
		w.WriteHeader(int(status))
		return
	}
	ws, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer func() { _ = ws.CloseNow() }()
	c := s.opened(strings.TrimPrefix(r.URL.Path, "/"))
	gone := make(chan struct{})
	written := make(chan struct{})
	go func() {
		defer close(written)
		s.write(ws, c, gone)
	}()
	err = s.read(ws, c)
	close(gone)
	<-written
	s.closed(c, websocket.CloseStatus(err) == websocket.StatusNormalClosure)
}

func (s *Server) opened(id string) *Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ids[id] == nil {
		s.ids[id] = &stream{}
	}
	st := s.ids[id]
	st.open++
	st.most = max(st.most, st.open)
	c := &Conn{ID: id, First: st.next, Last: st.next, Opened: time.Now()}
	s.conns = append(s.conns, c)
	return c
}

func (s *Server) closed(c *Conn, clean bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ids[c.ID].open--
	c.Clean, c.Closed = clean, time.Now()
}

// read keeps what comes, until the connection ends.
func (s *Server) read(ws *websocket.Conn, c *Conn) error {
	for {
		_, data, err := ws.Read(context.Background())
		if err != nil {
			return err
		}
		s.mu.Lock()
		s.ids[c.ID].got = append(s.ids[c.ID].got, string(data))
		s.mu.Unlock()
	}
}

// write sends messages until the connection is gone, which a client's close frame is: it has been answered by then.
func (s *Server) write(ws *websocket.Conn, c *Conn, gone <-chan struct{}) {
	if s.every == 0 {
		return
	}
	tick := time.NewTicker(s.every)
	defer tick.Stop()
	for {
		select {
		case <-gone:
			return
		case <-tick.C:
			if !s.send(ws, c) {
				return
			}
		}
	}
}

// send sends the next message. One that could not be written has not been sent, and its number is nobody's.
func (s *Server) send(ws *websocket.Conn, c *Conn) bool {
	s.mu.Lock()
	st := s.ids[c.ID]
	n := st.next
	if c.Last != c.First && n != c.Last {
		s.mu.Unlock()
		return false // another connection goes on with the sequence
	}
	if c.Last == c.First {
		c.First = n
	}
	st.next, c.Last = n+1, n+1
	s.mu.Unlock()
	if ws.Write(context.Background(), websocket.MessageText, []byte(Message(c.ID, n))) == nil {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c.Last--
	return false
}

// Message is the text of a message.
func Message(id string, n int) string { return id + ":" + strconv.Itoa(n) }

// Number is the number of a message.
func Number(text string) (int, error) {
	_, digits, found := strings.Cut(text, ":")
	if !found {
		return 0, fmt.Errorf("%q is no message of the feed", text)
	}
	return strconv.Atoi(digits)
}

// Received returns what came over an ID's connections, in order.
func (s *Server) Received(id string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ids[id] == nil {
		return nil
	}
	return append([]string(nil), s.ids[id].got...)
}

// Open returns how many connections are open, and the most that any one ID has had at once.
func (s *Server) Open() (open, most int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range s.ids {
		open += st.open
		most = max(most, st.most)
	}
	return open, most
}

// Conns returns all connections there were, in the order in which they were opened.
func (s *Server) Conns() []Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Conn, len(s.conns))
	for i, c := range s.conns {
		all[i] = *c
	}
	return all
}
