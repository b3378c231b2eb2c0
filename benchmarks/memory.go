package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
)

// footprint is what each of n connections holds, in bytes.
type footprint struct {
	Heap float64 `json:"heap"` // runtime.MemStats: HeapInuse + StackInuse
	RSS  float64 `json:"rss"`  // resident memory, as the kernel counts it
}

// resident is what this process holds once garbage, pools and free pages are gone.
// Three collections empty every sync.Pool and let stacks shrink.
func resident() footprint {
	for range 3 {
		runtime.GC()
	}
	debug.FreeOSMemory()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return footprint{Heap: float64(s.HeapInuse + s.StackInuse), RSS: rss()}
}

// rss reads the resident pages from /proc; elsewhere than on Linux it is 0.
func rss() float64 {
	b, _ := os.ReadFile("/proc/self/statm")
	fields := strings.Fields(string(b))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.Atoi(fields[1])
	return float64(pages * os.Getpagesize())
}

func (f footprint) since(before footprint, n int) footprint {
	return footprint{(f.Heap - before.Heap) / float64(n), (f.RSS - before.RSS) / float64(n)}
}

// memoryTable is what connections hold, by client.
type memoryTable struct {
	Workload string      `json:"workload"`
	Via      transport   `json:"transport"`
	Goals    []goal      `json:"goals"`
	Rows     []memoryRow `json:"rows"`
}

type memoryRow struct {
	Client string `json:"client"`
	Part   part   `json:"part"`
	footprint
}

// idleGoals are about nbio, the leanest peer.
func idleGoals(via transport) []goal {
	return []goal{{nbioRSS, map[transport]float64{overWS: 1, overWSS: 0.75}[via]}}
}

// least is the least of each figure among the rows that are meant.
func (t memoryTable) least(meant func(memoryRow) bool) (f footprint) {
	for _, r := range t.Rows {
		switch {
		case !meant(r):
		case f == footprint{}:
			f = r.footprint
		default:
			f = footprint{min(f.Heap, r.Heap), min(f.RSS, r.RSS)}
		}
	}
	return f
}

func (t memoryTable) of(p part) footprint {
	return t.least(func(r memoryRow) bool { return r.Part == p })
}

func (t memoryTable) nbio() footprint {
	return t.least(func(r memoryRow) bool { return r.Client == nbioClient.label })
}

// judge is reqws's resident bytes by nbio's.
func (t memoryTable) judge(g goal) (value float64, passed bool) {
	value = t.of(own).RSS / t.nbio().RSS
	return value, value <= g.Factor
}

// write prints the rows, leanest first.
func (t memoryTable) write(out io.Writer) {
	rows := slices.Clone(t.Rows)
	slices.SortStableFunc(rows, func(a, b memoryRow) int { return cmp.Compare(a.RSS, b.RSS) })
	best, nbio := t.of(peer), t.nbio()
	fmt.Fprintf(out, "\n### %s\n\n", title(t.Workload, t.Via))
	fmt.Fprintln(out, "| client | RSS, B/connection | / nbio | / best peer | heap and stack, B/connection | / best peer |")
	fmt.Fprintln(out, "| --- | ---: | ---: | ---: | ---: | ---: |")
	for _, r := range rows {
		fmt.Fprintf(out, "| %s | %.0f | %s | %s | %.0f | %s |\n", r.Client, r.RSS, ratio(r.RSS, nbio.RSS), ratio(r.RSS, best.RSS),
			r.Heap, ratio(r.Heap, best.Heap))
	}
	var verdicts []string
	for _, g := range t.Goals {
		value, passed := t.judge(g)
		verdicts = append(verdicts, fmt.Sprintf(sentences[g.Against], value, g.Factor, word(passed)))
	}
	fmt.Fprintf(out, "\nreqws: %s\n", strings.Join(verdicts, "; "))
}

const memoryHead = `
| resident bytes per connection | reqws | nbio | best peer | best tuned peer | of nbio's |
| --- | ---: | ---: | ---: | ---: | ---: |
`

// summary is the table in one line.
func (t memoryTable) summary() string {
	cell := ratio(t.of(own).RSS, t.nbio().RSS)
	for _, g := range t.Goals {
		_, passed := t.judge(g)
		cell += fmt.Sprintf(" (goal %.3g) %s", g.Factor, word(passed))
	}
	return fmt.Sprintf("| %s | %.0f | %.0f | %.0f | %.0f | %s |\n", title(t.Workload, t.Via),
		t.of(own).RSS, t.nbio().RSS, t.of(peer).RSS, t.of(tuned).RSS, cell)
}
