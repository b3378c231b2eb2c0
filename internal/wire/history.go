package wire

const maxWindow = 32 << 10 // how far back DEFLATE can refer, RFC 1951

// history is the end of what went through one direction of a connection.
type history []byte

// add appends p and drops what is more than window bytes back. That is done only once in many
// messages: until then a quarter more is kept.
func (h *history) add(p []byte, window int) {
	most := window + window/4
	switch need := len(*h) + len(p); {
	case len(p) >= window:
		*h, p = (*h)[:0], p[len(p)-window:]
	case need > most:
		*h = (*h)[:copy(*h, (*h)[need-window:])]
	}
	if need := len(*h) + len(p); need > cap(*h) {
		grown := make([]byte, 0, min(max(need, 2*cap(*h), 256), most))
		*h = append(grown, *h...)
	}
	*h = append(*h, p...)
}
