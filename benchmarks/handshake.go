package main

// handshakes opens connections, one after another, and drops each at once.
func handshakes(label string, where func(address) target) workload {
	return workload{
		name:    "handshakes, one after another, " + label,
		unit:    "handshake",
		clients: append([]client{reqwsClient}, peers...),
		measure: func(s *remote, p plan, c client) (figure, error) {
			m := newMeter(p.slice, p.least, 1, 0)
			for open := c.opener(where(s.address), func(int, int) bool { return true }); ; {
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
