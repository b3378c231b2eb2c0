package main

// handshakes opens connections, one after another, and drops each at once. Over wss
// that is TLS 1.3 without resumption.
func handshakes(via transport) workload {
	return workload{
		name:    "handshakes, one after another",
		bench:   "Handshake",
		via:     via,
		unit:    "handshake",
		clients: append([]client{reqwsClient}, peers...),
		byCPU:   true,
		goals:   []goal{{bestPeerCPU, 1}},
		measure: func(s *remote, p plan, c client) (figure, error) {
			m := newMeter(s, p, 1, 0)
			for open := c.opener(s.target(via, "/idle"), func(int, int) bool { return true }); ; {
				conn, err := open()
				if err != nil {
					return figure{}, err
				}
				conn.close()
				if !m.got(1, 0) {
					return m.figure, nil
				}
			}
		},
	}
}
