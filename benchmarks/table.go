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

// ranking is the fastest row of each part, with the least CPU of any.
type ranking map[part]figure

func rank(rows []row) ranking {
	r := ranking{}
	for _, row := range rows {
		p, f := row.client.part(), row.figure
		if best, ok := r[p]; ok {
			f.CPU = min(f.CPU, best.CPU)
			if best.NS < f.NS {
				f.NS, f.Allocs = best.NS, best.Allocs
			}
		}
		r[p] = f
	}
	return r
}

// judge is the figure that the goal is about, and whether it is reached.
func (g goal) judge(r ranking) (value float64, passed bool) {
	switch g.against {
	case bestPeer:
		value = r[peer].NS / r[own].NS
		return value, value >= g.factor
	case theLimit:
		value = r[own].NS / r[floor].NS
		return value, value <= g.factor
	default:
		value = r[own].Allocs
		return value, value <= g.factor+noise
	}
}

var sentences = map[against]string{
	bestPeer:    "%.2f x the best peer (goal %.3g x): %s",
	theLimit:    "%.2f x the limit's time (goal at most %.3g x): %s",
	allocations: "%.3f allocations (goal %.3g): %s",
}

func (g goal) verdict(r ranking) string {
	value, passed := g.judge(r)
	return fmt.Sprintf(sentences[g.against], value, g.factor, word(passed))
}

func word(passed bool) string {
	if passed {
		return "PASS"
	}
	return "below"
}

// write prints the rows, fastest first, and how reqws stands against its goals. It
// returns the same as a line of the summary.
func (w workload) write(out io.Writer, rows []row) string {
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
	return w.summary(r)
}

const summaryHead = `
### Summary

| workload | reqws | limit | best peer | best tuned peer | times as fast as the best peer | of the limit's time | allocs | of the best peer's CPU |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
`

// summary is the workload in one line: nanoseconds, then the goals.
func (w workload) summary(r ranking) string {
	cells := []string{w.name}
	for _, p := range []part{own, floor, peer, tuned} {
		cell := "-"
		if f, ok := r[p]; ok {
			cell = digits(f.NS) + " ns"
		}
		cells = append(cells, cell)
	}
	for _, kind := range []against{bestPeer, theLimit, allocations} {
		value, _ := goal{against: kind}.judge(r)
		cell := fmt.Sprintf("%.2f", value)
		if kind == theLimit && r[floor].NS == 0 {
			cell = "-"
		}
		for _, g := range w.goals {
			if g.against == kind {
				_, passed := g.judge(r)
				cell += fmt.Sprintf(" (goal %.3g) %s", g.factor, word(passed))
			}
		}
		cells = append(cells, cell)
	}
	cells = append(cells, ratio(r[own].CPU, r[peer].CPU))
	return "| " + strings.Join(cells, " | ") + " |\n"
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

const memoryHead = `
| memory, bytes per connection | reqws | best peer | leanest peer | of the best peer |
| --- | ---: | ---: | ---: | ---: |
`

// writeMemory prints the rows, leanest first, and returns the lines of the summary.
func writeMemory(out io.Writer, name string, rows []memoryRow) string {
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
	fmt.Fprintf(out, "\nreqws: %.2f of the best peer's heap and stack, %.2f of its RSS (goal at most %.2g): %s; %.2f and %.2f of the leanest\n",
		mine.Heap, mine.RSS, half, word(max(mine.Heap, mine.RSS) <= half), best[own].Heap/best[tuned].Heap, best[own].RSS/best[tuned].RSS)
	line := func(what string, of func(footprint) float64) string {
		return fmt.Sprintf("| %s, %s | %.0f | %.0f | %.0f | %.2f (goal %.2g) %s |\n", name, what,
			of(best[own]), of(best[peer]), of(best[tuned]), of(mine), half, word(of(mine) <= half))
	}
	return line("heap and stack", func(f footprint) float64 { return f.Heap }) +
		line("RSS", func(f footprint) float64 { return f.RSS })
}
