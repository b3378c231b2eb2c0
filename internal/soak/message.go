package main

import (
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"strconv"
	"strings"
)

// message names one message of either side. Its text says whose it is, and carries a sum, so that
// one that is lost, doubled, out of order or damaged is told from what arrives.
type message struct {
	stream int
	source int // the server's: which connection of the stream; the client's: which of its senders
	number int // from 0, of that source
}

// mostBytes is how long a message may be, about.
const mostBytes = 300_000

// prose is what messages are filled with: different streams say the same, as they do in life, so
// that a compressor which takes one's window for another's finds enough to mistake.
var prose = func() string {
	r := rand.New(rand.NewPCG(1, 2))
	words := make([]string, 400)
	for i := range words {
		words[i] = strconv.FormatUint(r.Uint64()>>(8+r.IntN(40)), 36)
	}
	var b strings.Builder
	for b.Len() < 2*mostBytes {
		b.WriteString(words[r.IntN(len(words))])
		b.WriteByte(' ')
	}
	return b.String()
}()

// size draws how long a message is to be: most are small.
func size(r *rand.Rand) int {
	if r.IntN(40) == 0 {
		return r.IntN(mostBytes)
	}
	return r.IntN(300)
}

// text is the message as side sends it, filled with n bytes.
func (m message) text(side string, r *rand.Rand, n int) string {
	at := r.IntN(len(prose) - n)
	head, filler := m.head(side), prose[at:at+n]
	return head + sum(head, filler) + " " + filler
}

func (m message) head(side string) string {
	return fmt.Sprintf("%s %d %d %d ", side, m.stream, m.source, m.number)
}

func sum(head, filler string) string {
	return fmt.Sprintf("%08x", crc32.Update(crc32.ChecksumIEEE([]byte(head)), crc32.IEEETable, []byte(filler)))
}

// parse reads a message that side has sent in a stream.
func parse(text, side string, stream int) (message, error) {
	fields := strings.SplitN(text, " ", 6)
	if len(fields) < 6 || fields[0] != side {
		return message{}, fmt.Errorf("%.60q is no message", text)
	}
	m := message{stream: stream}
	id, err1 := strconv.Atoi(fields[1])
	source, err2 := strconv.Atoi(fields[2])
	number, err3 := strconv.Atoi(fields[3])
	m.source, m.number = source, number
	switch {
	case err1 != nil || err2 != nil || err3 != nil || sum(m.head(side), fields[5]) != fields[4] && id == stream:
		return message{}, fmt.Errorf("%.60q is damaged (%d bytes)", text, len(text))
	case id != stream:
		return message{}, fmt.Errorf("%.60q is another stream's", text)
	}
	return m, nil
}
