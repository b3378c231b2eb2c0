package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
)

// gateway stands in for wss://ID.execute-api.REGION.amazonaws.com/prod and for the backend that
// is integrated with it. Like the real one it lets in who signed with a key it knows, sends a
// message to the route that its action names, and ends connections whose time is up.
type gateway struct {
	url    string
	region string
	keys   map[string]string // secrets by access key ID
	http   *http.Server

	mu      sync.Mutex
	jobs    []string // the ID of a job is its place, from 1
	results []string // of the first jobs
}

// jobsPerConnection stands in for the two hours after which a connection is ended.
const jobsPerConnection = 3

// startGateway starts one that knows these keys.
func startGateway(region string, keys map[string]string) (*gateway, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	g := &gateway{
		url:    "ws://" + ln.Addr().String() + "/prod",
		region: region,
		keys:   keys,
		jobs:   []string{"bread", "butter", "cheese", "apples", "tea"},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /prod", g.connect)
	g.http = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = g.http.Serve(ln) }() // ends with stop
	return g, nil
}

func (g *gateway) stop() { _ = g.http.Close() }

// connect is what the gateway does at $connect, and then with the connection.
func (g *gateway) connect(w http.ResponseWriter, r *http.Request) {
	if err := g.authorize(r, time.Now()); err != nil {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusForbidden)
		_ = json.NewEncoder(w).Encode(map[string]string{"message": err.Error()})
		return
	}
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // Accept has answered
	}
	defer conn.CloseNow()
	if g.serve(r.Context(), conn) {
		_ = conn.Close(websocket.StatusGoingAway, "Going away")
	}
}

// serve answers messages until the connection's time is up; it reports false if the bot left
// before.
func (g *gateway) serve(ctx context.Context, conn *websocket.Conn) bool {
	for results := 0; ; {
		var in request
		if wsjson.Read(ctx, conn, &in) != nil {
			return false
		}
		out := g.route(in)
		if in.Action == "done" {
			results++
		}
		if results == jobsPerConnection {
			return true
		}
		if wsjson.Write(ctx, conn, out) != nil {
			return false
		}
	}
}

// route is the gateway's route selection, and the backend behind it.
func (g *gateway) route(in request) message {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch in.Action {
	case "ping":
		return message{Type: "pong"}
	case "done":
		if id := len(g.results) + 1; in.ID == id && id <= len(g.jobs) { // once is enough
			g.results = append(g.results, in.Result)
		}
	case "next":
	default: // neither is there a $default route
		return message{Message: fmt.Sprintf("no route for the action %q", in.Action)}
	}
	if next := len(g.results); next < len(g.jobs) {
		return message{Type: "job", ID: next + 1, Text: g.jobs[next]}
	}
	return message{Type: "empty"}
}
