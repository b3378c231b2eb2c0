// Package embedded has what a fleet needs beside itself in one process: a NATS server, and a listener for a WebSocket
// server. Tests, the example, the soak and the figures are made with it.
package embedded

import (
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// NATS starts a JetStream server on loopback that keeps its streams in dir; port -1 is any.
func NATS(dir string, port int) (*server.Server, error) {
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: port, JetStream: true, StoreDir: dir, NoSigs: true, NoLog: true})
	if err != nil {
		return nil, err
	}
	s.Start()
	if !s.ReadyForConnections(20 * time.Second) {
		Stop(s)
		return nil, errors.New("the NATS server does not come up")
	}
	return s, nil
}

// Stop stops a server, and returns when it is gone. Twice is no error.
func Stop(s *server.Server) {
	s.Shutdown()
	s.WaitForShutdown()
}

// Listen serves h on loopback, and returns the URL of its root as that of WebSockets.
func Listen(h http.Handler) (url string, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = srv.Serve(l) }()
	return "ws://" + l.Addr().String() + "/", func() { _ = srv.Close() }, nil
}
