package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/coder/websocket"
)

// server is a WebSocket server on loopback that pings and talks for a while and
// then closes the connection.
type server struct {
	url  *url.URL
	http *http.Server
}

// startServer starts one that pauses for so long before each of its rounds.
func startServer(pause time.Duration) (*server, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &server{
		url:  &url.URL{Scheme: "ws", Host: ln.Addr().String(), Path: "/chat"},
		http: &http.Server{Handler: chat(pause), ReadHeaderTimeout: 5 * time.Second},
	}
	go func() { _ = s.http.Serve(ln) }() // ends with stop
	return s, nil
}

func (s *server) stop() { _ = s.http.Close() }

// rounds of a ping and a message, and the pause before each.
const (
	rounds = 5
	pause  = 400 * time.Millisecond
)

var errNoAnswer = errors.New("the bot did not answer as expected")

// chat plays the server's part. It insists on every answer.
func chat(pause time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer conn.CloseNow()
		ctx, cancel := context.WithTimeout(r.Context(), 30*time.Second)
		defer cancel()
		if err := converse(ctx, conn, pause); err != nil {
			_ = conn.Close(websocket.StatusPolicyViolation, err.Error())
			return
		}
		_ = conn.Close(websocket.StatusNormalClosure, "that was nice")
	}
}

func converse(ctx context.Context, conn *websocket.Conn, pause time.Duration) error {
	answers := make(chan string, rounds)
	go func() { // ends with the connection
		defer close(answers)
		for {
			_, data, err := conn.Read(ctx)
			if err != nil {
				return
			}
			select {
			case answers <- string(data):
			case <-ctx.Done():
				return
			}
		}
	}()
	for i := range rounds {
		time.Sleep(pause)
		if err := conn.Ping(ctx); err != nil { // returns with the pong
			return errNoAnswer
		}
		said := fmt.Sprintf("message %d", i+1)
		if err := conn.Write(ctx, websocket.MessageText, []byte(said)); err != nil {
			return errNoAnswer
		}
		if answer := <-answers; answer != youSaid+said {
			return errNoAnswer
		}
	}
	return nil
}
