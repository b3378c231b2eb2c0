package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"

	"github.com/coder/websocket"
)

// room is a chat room on loopback: it sends each message to all members, the one who sent it too.
type room struct {
	url string
	srv *httptest.Server

	mu      sync.Mutex
	members map[*websocket.Conn]bool
}

// openRoom opens one that speaks a subprotocol.
func openRoom(subprotocol string) *room {
	r := &room{members: map[*websocket.Conn]bool{}}
	r.srv = httptest.NewServer(r.serve(subprotocol))
	r.url = strings.Replace(r.srv.URL, "http", "ws", 1)
	return r
}

func (r *room) serve(subprotocol string) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		conn, err := r.enter(w, req, subprotocol)
		if err != nil {
			return
		}
		defer r.exit(conn)
		for {
			_, data, err := conn.Read(context.Background()) // ends with the connection
			if err != nil {
				return
			}
			r.tell(data)
		}
	}
}

// enter lets a new member in. Whoever has been answered hears all that is said from then on.
func (r *room) enter(w http.ResponseWriter, req *http.Request, subprotocol string) (*websocket.Conn, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	conn, err := websocket.Accept(w, req, &websocket.AcceptOptions{Subprotocols: []string{subprotocol}})
	if err == nil {
		r.members[conn] = true
	}
	return conn, err
}

func (r *room) exit(conn *websocket.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.members, conn)
	_ = conn.CloseNow()
}

func (r *room) tell(data []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for m := range r.members {
		_ = m.Write(context.Background(), websocket.MessageText, data)
	}
}

// close sends everybody home.
func (r *room) close() {
	r.mu.Lock()
	var all []*websocket.Conn
	for m := range r.members {
		all = append(all, m)
	}
	r.mu.Unlock()
	for _, m := range all {
		_ = m.Close(websocket.StatusNormalClosure, "closing time")
	}
}

// shut closes the door as well.
func (r *room) shut() {
	r.close()
	r.srv.Close()
}
