package main

import "fmt"

// deflaters are the clients that can compress with their own means alone.
func deflaters() []client {
	return []client{reqwsClient, reqwsBatches, coderClient, gorillaClient, gwsClient, nbioClient, coderFast, gorillaFast, gwsFast, nbioFast}
}

// inflating is a stream of compressed JSON documents.
func inflating(via transport) workload {
	return workload{
		name:    fmt.Sprintf("permessage-deflate in, JSON, %d B", jsonSize),
		bench:   "DeflateIn",
		via:     via,
		unit:    "message",
		clients: deflaters(),
		goals:   deflateGoals(via, goal{allocations, 0}),
		measure: func(s *remote, p plan, c client) (figure, error) {
			t := s.target(via, fmt.Sprintf("/stream?op=%d&deflate=1", opText))
			t.deflate = true
			return flow(c, t, false, newMeter(s, p, 64, jsonSize))
		},
	}
}

// deflating is one goroutine that sends JSON documents.
func deflating(via transport) workload {
	docs := documents()
	return workload{
		name:    fmt.Sprintf("permessage-deflate out, JSON, %d B", jsonSize),
		bench:   "DeflateOut",
		via:     via,
		unit:    "message",
		clients: []client{reqwsClient, coderClient, gorillaClient, gwsClient, nbioClient}, // tuning is about reading
		goals:   deflateGoals(via, goal{wireOut, 1}, goal{allocations, 0}),
		measure: func(s *remote, p plan, c client) (figure, error) {
			n := max(1, p.Sends/10)
			t := s.target(via, fmt.Sprintf("/count?deflate=1&n=%d", n))
			t.deflate = true
			before, err := s.received()
			if err != nil {
				return figure{}, err
			}
			f, err := sending(c, s, t, 1, n, func(i int) []byte { return docs[i%len(docs)] })
			if err != nil {
				return f, err
			}
			after, err := s.received()
			f.WireOut = float64(after-before) / float64(2*n) // those that warmed up too
			return f, err
		},
	}
}
