package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
)

// row is one client's line.
type row struct {
	client client
	figure
}

// goal is what reqws has to reach in a workload.
type goal struct {
	against against
	factor  float64
}

type against int

const (
	bestPeer    against = iota // at least factor times as fast as the best peer
	theLimit                   // at most factor times the limit's time
	allocations                // at most factor allocations
)

// noise is what the runtime and the first growth of a buffer may add to a count of
// allocations per message.
const noise = 0.01

// ranking is the fastest row of each part.
type ranking map[part]figure

func rank(rows []row) ranking {
	r := ranking{}
	for _, row := range rows {
		if best, ok := r[row.client.part()]; !ok || row.NS < best.NS {
			r[row.client.part()] = row.figure
		}
	}
	return r
}

func (g goal) verdict(r ranking) string {
	var text string
	var passed bool
	switch g.against {
	case bestPeer:
		ratio := r[peer].NS / r[own].NS
		text, passed = fmt.Sprintf("%.2f x the best peer (goal %.3g x)", ratio, g.factor), ratio >= g.factor
	case theLimit:
		ratio := r[own].NS / r[floor].NS
		text, passed = fmt.Sprintf("%.2f x the limit's time (goal at most %.3g x)", ratio, g.factor), ratio <= g.factor
	case allocations:
		text, passed = fmt.Sprintf("%.3f allocations (goal %.3g)", r[own].Allocs, g.factor), r[own].Allocs <= g.factor+noise
	}
	if passed {
		return text + ": PASS"
	}
	return text + ": below"
}

// write prints the rows, fastest first, and how reqws stands against its goals.
func (w workload) write(out io.Writer, rows []row) {
	slices.SortStableFunc(rows, func(a, b row) int { return cmp.Compare(a.NS, b.NS) })
	r := rank(rows)
	fmt.Fprintf(out, "\n### %s\n\n", w.name)
	fmt.Fprintf(out, "| client | ns/%[1]s | / best peer | / limit | CPU ns/%[1]s | allocs/%[1]s |\n", w.unit)
	fmt.Fprintln(out, "| --- | ---: | ---: | ---: | ---: | ---: |")
	for _, row := range rows {
		fmt.Fprintf(out, "| %s | %s | %s | %s | %s | %.2f |\n", row.client.name(), digits(row.NS),
			ratio(row.NS, r[peer].NS), ratio(row.NS, r[floor].NS), digits(row.CPU), row.Allocs)
	}
	var verdicts []string
	if len(w.goals) == 0 {
		verdicts = append(verdicts, fmt.Sprintf("%.2f x the best peer", r[peer].NS/r[own].NS))
	}
	for _, g := range w.goals {
		verdicts = append(verdicts, g.verdict(r))
	}
	if best, ok := r[tuned]; ok {
		verdicts = append(verdicts, fmt.Sprintf("%.2f x the best tuned peer", best.NS/r[own].NS))
	}
	fmt.Fprintf(out, "\nreqws: %s\n", strings.Join(verdicts, "; "))
}

// ratio prints a/b, or a dash where there is nothing to compare with.
func ratio(a, b float64) string {
	if b == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", a/b)
}

// digits prints three significant digits, or all before the point.
func digits(v float64) string {
	if v < 100 {
		return fmt.Sprintf("%.3g", v)
	}
	return fmt.Sprintf("%.0f", v)
}

// memoryRow is one client's line in a table of bytes per connection.
type memoryRow struct {
	client client
	footprint
}

// half is the goal: at most half of what the leanest peer holds.
const half = 0.5

func writeMemory(out io.Writer, name string, rows []memoryRow) {
	slices.SortStableFunc(rows, func(a, b memoryRow) int { return cmp.Compare(a.Heap, b.Heap) })
	best := map[part]footprint{}
	for _, row := range rows {
		p := row.client.part()
		b, ok := best[p]
		if !ok {
			b = row.footprint
		}
		best[p] = footprint{min(b.Heap, row.Heap), min(b.RSS, row.RSS)}
	}
	fmt.Fprintf(out, "\n### %s\n\n", name)
	fmt.Fprintln(out, "| client | heap and stack, B/connection | / best peer | RSS, B/connection | / best peer |")
	fmt.Fprintln(out, "| --- | ---: | ---: | ---: | ---: |")
	for _, row := range rows {
		fmt.Fprintf(out, "| %s | %.0f | %.2f | %.0f | %.2f |\n", row.client.name(),
			row.Heap, row.Heap/best[peer].Heap, row.RSS, row.RSS/best[peer].RSS)
	}
	mine := footprint{best[own].Heap / best[peer].Heap, best[own].RSS / best[peer].RSS}
	verdict := "below"
	if max(mine.Heap, mine.RSS) <= half {
		verdict = "PASS"
	}
	fmt.Fprintf(out, "\nreqws: %.2f of the best peer's heap and stack, %.2f of its RSS (goal at most %.2g): %s; %.2f and %.2f of the leanest\n",
		mine.Heap, mine.RSS, half, verdict, best[own].Heap/best[tuned].Heap, best[own].RSS/best[tuned].RSS)
}
