package main

import (
	"crypto/subtle"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/coder/websocket"
	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
)

// broker is an MQTT broker on loopback. Who brings its token is let in; it asks for nothing more
// in MQTT itself.
type broker struct {
	url   string
	token string
	mqtt  *mqtt.Server
	http  *http.Server
}

func startBroker(token string) (*broker, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	b := &broker{
		url:   "ws://" + ln.Addr().String() + "/mqtt",
		token: token,
		mqtt:  mqtt.New(&mqtt.Options{Logger: slog.New(slog.DiscardHandler)}),
	}
	if err := b.mqtt.AddHook(new(auth.AllowHook), nil); err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	if err := b.mqtt.Serve(); err != nil { // it does not block
		return nil, errors.Join(err, ln.Close())
	}
	b.http = &http.Server{Handler: http.HandlerFunc(b.open), ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = b.http.Serve(ln) }() // ends with stop
	return b, nil
}

func (b *broker) stop() {
	_ = b.http.Close()
	b.drop()
	_ = b.mqtt.Close()
}

// drop ends the connections of all clients.
func (b *broker) drop() {
	for _, c := range b.mqtt.Clients.GetAll() {
		c.Stop(errors.New("dropped"))
	}
}

// open answers a handshake and hands the connection to the broker, until that has done with it.
func (b *broker) open(w http.ResponseWriter, r *http.Request) {
	if subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte("Bearer "+b.token)) != 1 {
		http.Error(w, "the token is not valid", http.StatusUnauthorized)
		return
	}
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"mqtt"}})
	if err != nil {
		return // Accept has answered
	}
	defer conn.CloseNow()
	_ = b.mqtt.EstablishConnection("ws", websocket.NetConn(r.Context(), conn, websocket.MessageBinary))
}
