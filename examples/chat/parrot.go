package main

import (
	"context"
	"net/http"
	"net/http/httptest"

	"github.com/coder/websocket"
)

// startParrot starts a server that repeats what it hears.
func startParrot() *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer conn.CloseNow()
		ctx := context.Background() // Read ends with the connection
		said := []byte("Hello! Type something, and Ctrl-D to leave.")
		for err == nil {
			if err = conn.Write(ctx, websocket.MessageText, said); err == nil {
				_, said, err = conn.Read(ctx)
				said = append([]byte("parrot: "), said...)
			}
		}
	}))
}
