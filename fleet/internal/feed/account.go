package feed

import (
	"fmt"
	"slices"
	"time"
)

// Account is what became of the messages that a server has sent.
type Account struct {
	Sent      int
	Published int // of them, each counted once
	Gap       int // not published, at the end of a connection that broke: nobody had taken them from the socket
	Lost      int // not published, and there is no excuse
	Doubled   int // published more than once
	Strangers int // published, and never sent

	Downtime []time.Duration // between two connections of one ID, sorted
	First    string          // the first that was lost or doubled, for a look
}

// Account compares what was sent with what was published: the texts of the messages, in the order in which they
// are in the stream. All connections must have ended, or all of their messages have been published.
func (s *Server) Account(published []string) Account {
	times := map[string]int{}
	for _, text := range published {
		times[text]++
	}
	var a Account
	last := map[string]Conn{}
	for _, c := range s.Conns() {
		a.conn(c, times)
		if before, ok := last[c.ID]; ok && !before.Closed.IsZero() {
			a.Downtime = append(a.Downtime, c.Opened.Sub(before.Closed))
		}
		last[c.ID] = c
	}
	slices.Sort(a.Downtime)
	a.Published = len(times)
	for text, n := range times {
		if n > 1 {
			a.Doubled += n - 1
			a.note("published %d times: %s", n, text)
		}
	}
	a.Strangers = len(times) + a.Gap + a.Lost - a.Sent
	return a
}

// conn accounts for the messages of one connection.
func (a *Account) conn(c Conn, times map[string]int) {
	a.Sent += c.Last - c.First
	missing := 0 // at the end so far
	for n := c.First; n < c.Last; n++ {
		if times[Message(c.ID, n)] > 0 {
			if missing > 0 {
				a.Lost += missing // what came later was published
				a.note("lost: %s", Message(c.ID, n-1))
			}
			missing = 0
			continue
		}
		missing++
	}
	if missing == 0 {
		return
	}
	if c.Clean || c.Closed.IsZero() {
		a.Lost += missing
		a.note("lost at the end of a connection that was closed in good order: %s", Message(c.ID, c.Last-1))
		return
	}
	a.Gap += missing
}

func (a *Account) note(format string, args ...any) {
	if a.First == "" {
		a.First = fmt.Sprintf(format, args...)
	}
}

// Median and worst of a sorted list, 0 of none.
func Median(d []time.Duration) time.Duration {
	if len(d) == 0 {
		return 0
	}
	return d[len(d)/2]
}

// Worst is the last of a sorted list.
func Worst(d []time.Duration) time.Duration {
	if len(d) == 0 {
		return 0
	}
	return d[len(d)-1]
}
