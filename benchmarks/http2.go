package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
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

// http2Row is what connections of HTTP/1.1 or streams of one HTTP/2 connection hold,
// and how fast they open.
type http2Row struct {
	Client string    `json:"client"`
	Conns  int       `json:"connections"`
	Idle   footprint `json:"idle"`
	Opened figure    `json:"opened"`
}

// http2 compares the two. Only reqws can do the latter.
func (b *bench) http2() error {
	if !b.only.MatchString(http2Title(b.plan.Streams)) {
		return nil
	}
	for _, c := range []client{reqwsHTTP1, reqwsHTTP2} {
		b.progress.say("%s: %s", http2Title(b.plan.Streams), c.name())
		server := *b.server
		server.Plain = server.HTTP2
		r, err := gather(crowdOrder{Client: c.name(), Via: overWS, Path: "/", Server: server, N: b.plan.Streams, Abreast: 1})
		if err != nil {
			return fmt.Errorf("%s: %s: %w", http2Title(b.plan.Streams), c.name(), err)
		}
		b.results.HTTP2 = append(b.results.HTTP2, http2Row{c.name(), b.plan.Streams, r.Idle, r.Opened})
	}
	b.progress.clear()
	writeHTTP2(b.out, b.results.HTTP2)
	return nil
}

func http2Title(n int) string {
	return fmt.Sprintf("%d HTTP/1.1 connections beside %[1]d streams of one HTTP/2 connection", n)
}

func writeHTTP2(out io.Writer, rows []http2Row) {
	if len(rows) == 0 {
		return
	}
	fmt.Fprintf(out, "\n### %s\n\n", http2Title(rows[0].Conns))
	fmt.Fprintln(out, "| client | heap and stack, B/connection | RSS, B/connection | handshakes/s | CPU ns/handshake |")
	fmt.Fprintln(out, "| --- | ---: | ---: | ---: | ---: |")
	for _, r := range rows {
		fmt.Fprintf(out, "| %s | %.0f | %.0f | %.0f | %.0f |\n", r.Client, r.Idle.Heap, r.Idle.RSS, 1e9/r.Opened.NS, r.Opened.CPU)
	}
}
