package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
)

// serveHTTP is net/http's own server: it accepts WebSockets by Upgrade and by
// extended CONNECT (RFC 8441), and then does nothing with them.
func serveHTTP(l net.Listener) error {
	var p http.Protocols
	p.SetHTTP1(true)
	p.SetUnencryptedHTTP2(true)
	s := &http.Server{
		Protocols: &p,
		HTTP2:     &http.HTTP2Config{MaxConcurrentStreams: 10_000},
		Handler:   http.HandlerFunc(holdOpen),
	}
	return s.Serve(l)
}

func holdOpen(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor == 2 {
		w.WriteHeader(http.StatusOK)
		http.NewResponseController(w).Flush()
		io.Copy(io.Discard, r.Body)
		return
	}
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer c.Close()
	resetOnClose(c)
	if upgrade(c, r, false) == nil {
		io.Copy(io.Discard, c)
	}
}

// http2Table compares connections of HTTP/1.1 with streams of one HTTP/2 connection:
// what they hold and how fast they open. Only reqws can do the latter.
func http2Table(s *remote, p plan, only *regexp.Regexp, out io.Writer) error {
	name := fmt.Sprintf("%d HTTP/1.1 connections beside %[1]d streams of one HTTP/2 connection", p.streams)
	if !only.MatchString(name) {
		return nil
	}
	fmt.Fprintf(out, "\n### %s\n\n", name)
	fmt.Fprintln(out, "| client | heap and stack, B/connection | RSS, B/connection | handshakes/s | CPU ns/handshake |")
	fmt.Fprintln(out, "| --- | ---: | ---: | ---: | ---: |")
	for _, c := range []client{reqwsHTTP1, reqwsHTTP2} {
		r, err := measureIdle(idleOrder{Client: c.name(), URL: "ws://" + s.HTTP2 + "/", N: p.streams})
		if err != nil {
			return fmt.Errorf("%s: %s: %w", name, c.name(), err)
		}
		fmt.Fprintf(out, "| %s | %.0f | %.0f | %.0f | %.0f |\n", c.name(), r.Idle.Heap, r.Idle.RSS, 1e9/r.Opened.NS, r.Opened.CPU)
	}
	return nil
}
