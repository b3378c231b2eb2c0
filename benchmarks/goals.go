package main

import "fmt"

// goal is what reqws has to reach in a workload: its row made with Each, against the
// best row of the libraries as documented.
type goal struct {
	Against against `json:"against"`
	Factor  float64 `json:"factor"`
}

type against string

const (
	bestPeer    against = "best peer"             // at least factor times as fast as the best peer
	theLimit    against = "limit"                 // at most factor times the limit's time
	allocations against = "allocations"           // at most factor allocations
	bestPeerCPU against = "best peer's CPU"       // at most factor times the least processor time of any peer
	wireOut     against = "best peer's bytes"     // at most factor times what the best peer sends
	nbioRSS     against = "nbio's resident bytes" // at most factor times nbio's
)

// noise is what the runtime and the first growth of a buffer may add to a count of
// allocations per message.
const noise = 0.01

func inboundGoals(via transport, size int) []goal {
	type row struct{ peer, limit float64 }
	goals := map[transport]map[int]row{
		overWS:  {16: {8, 2}, 1 << 10: {1, 1.25}, 64 << 10: {1, 0}, 1 << 20: {1, 0}},
		overWSS: {16: {4, 1.5}, 1 << 10: {1, 1.1}, 64 << 10: {1, 0}, 1 << 20: {1, 0}},
	}
	r := goals[via][size]
	g := []goal{{bestPeer, r.peer}, {theLimit, r.limit}, {allocations, 0}}
	if r.limit == 0 {
		return []goal{g[0], g[2]}
	}
	return g
}

func replyGoals(via transport, burst int) []goal {
	g := []goal{{bestPeer, map[int]float64{1: 1, 16: 3, 256: 15}[burst]}}
	if via == overWS {
		g = append(g, goal{theLimit, map[int]float64{1: 1 / 0.95, 16: 1.3, 256: 2}[burst]})
	}
	return append(g, goal{allocations, 0})
}

// deflateGoals are for ws alone: what TLS adds is the same for all.
func deflateGoals(via transport, more ...goal) []goal {
	if via == overWSS {
		return nil
	}
	return append([]goal{{bestPeer, 1}}, more...)
}

// ranking is the best row of each part.
type ranking map[part]figure

// rank finds the fastest of each part, or the one that takes the least processor time;
// the least processor time and the fewest bytes of any stand in CPU and WireOut.
func (t table) rank() ranking {
	r := ranking{}
	for _, row := range t.Rows {
		f, best := row.figure, r[row.Part]
		if best == (figure{}) {
			r[row.Part] = f
			continue
		}
		cpu := min(f.CPU, best.CPU)
		if t.ByCPU && f.CPU < best.CPU || !t.ByCPU && f.NS < best.NS {
			best = f
		}
		best.CPU = cpu
		r[row.Part] = best
	}
	return r
}

// judge is the figure that the goal is about, and whether it is reached.
func (g goal) judge(r ranking) (value float64, passed bool) {
	switch g.Against {
	case bestPeer:
		value = r[peer].NS / r[own].NS
		return value, value >= g.Factor
	case theLimit:
		value = r[own].NS / r[floor].NS
	case bestPeerCPU:
		value = r[own].CPU / r[peer].CPU
	case wireOut:
		value = r[own].WireOut / r[peer].WireOut
	default:
		value = r[own].Allocs
		return value, value <= g.Factor+noise
	}
	return value, value <= g.Factor
}

var sentences = map[against]string{
	bestPeer:    "%.2f x as fast as the best peer (goal %.3g x): %s",
	theLimit:    "%.2f x the limit's time (goal at most %.3g x): %s",
	allocations: "%.3f allocations (goal %.3g): %s",
	bestPeerCPU: "%.2f of the best peer's CPU (goal at most %.3g): %s",
	wireOut:     "%.2f of the best peer's bytes on the wire (goal at most %.3g): %s",
	nbioRSS:     "%.2f of nbio's resident bytes (goal at most %.3g): %s",
}

func (g goal) verdict(r ranking) string {
	value, passed := g.judge(r)
	s := fmt.Sprintf(sentences[g.Against], value, g.Factor, word(passed))
	if g.Against == allocations && r[floor].Allocs > noise {
		// crypto/tls allocates when it reads from the socket, whoever calls it.
		s += fmt.Sprintf(", the limit makes %.3f", r[floor].Allocs)
	}
	return s
}

func word(passed bool) string {
	if passed {
		return "PASS"
	}
	return "below"
}
