package main

import (
	"bytes"
	"context"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
)

// server serves add, divide, sleep and shout, each call in a goroutine of its own, so that the
// answers overtake each other.
type server struct{}

func (server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer conn.CloseNow()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	for {
		var m message
		if err := wsjson.Read(ctx, conn, &m); err != nil {
			return
		}
		go serve(ctx, conn, m)
	}
}

// serve answers one call.
func serve(ctx context.Context, conn *websocket.Conn, m message) {
	var numbers [2]int
	_ = json.Unmarshal(m.Params, &numbers) // zeros will do
	switch m.Method {
	case "add":
		time.Sleep(rand.N(20 * time.Millisecond))
		answer(ctx, conn, m.ID, numbers[0]+numbers[1])
	case "divide":
		if numbers[1] == 0 {
			_ = wsjson.Write(ctx, conn, refusal{"2.0", m.ID, Error{Code: 1, Message: "division by zero"}})
			return
		}
		answer(ctx, conn, m.ID, numbers[0]/numbers[1])
	case "sleep": // and never wakes up
		_ = wsjson.Write(ctx, conn, request{Version: "2.0", Method: "sleeping", Params: m.Params})
	case "shout": // a notification, which has no answer but one
		_ = wsjson.Write(ctx, conn, request{Version: "2.0", Method: "echo", Params: json.RawMessage(bytes.ToUpper(m.Params))})
	default:
		_ = wsjson.Write(ctx, conn, refusal{"2.0", m.ID, Error{Code: -32601, Message: "method not found"}})
	}
}

func answer(ctx context.Context, conn *websocket.Conn, id json.RawMessage, result any) {
	_ = wsjson.Write(ctx, conn, map[string]any{"jsonrpc": "2.0", "id": id, "result": result})
}
