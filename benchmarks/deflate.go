package main

import "fmt"

// deflaters are the clients that can compress with their own means alone.
func deflaters() []client {
	return []client{reqwsClient, coderClient, gorillaClient, gwsClient, coderFast, gorillaFast, gwsFast}
}

// inflating is a stream of compressed JSON documents.
func inflating() workload {
	return workload{
		name:    fmt.Sprintf("permessage-deflate in, JSON, %d B", jsonSize),
		unit:    "message",
		clients: deflaters(),
		goals:   []goal{{bestPeer, 1}, {allocations, 0}},
		measure: func(s *remote, p plan, c client) (figure, error) {
			t := s.target(fmt.Sprintf("/stream?op=%d&deflate=1", opText))
			t.deflate = true
			return flow(c, t, false, newMeter(p.slice, p.least, 64, jsonSize))
		},
	}
}

// deflating is one goroutine that sends JSON documents.
func deflating() workload {
	docs := documents()
	return workload{
		name:    fmt.Sprintf("permessage-deflate out, JSON, %d B", jsonSize),
		unit:    "message",
		clients: deflaters()[:4], // tuning is about reading
		goals:   []goal{{bestPeer, 1}, {allocations, 0}},
		measure: func(s *remote, p plan, c client) (figure, error) {
			n := max(1, p.sends/10)
			t := s.target(fmt.Sprintf("/count?deflate=1&n=%d", n))
			t.deflate = true
			return sending(c, t, 1, n, func(i int) []byte { return docs[i%len(docs)] })
		},
	}
}
