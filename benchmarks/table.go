package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
)

// table is what one workload came to.
type table struct {
	Workload string    `json:"workload"`
	Via      transport `json:"transport"`
	Unit     string    `json:"unit"`
	ByCPU    bool      `json:"by_cpu,omitempty"`
	Goals    []goal    `json:"goals"`
	Rows     []row     `json:"rows"`
}

// row is one client's line.
type row struct {
	Client string `json:"client"`
	Part   part   `json:"part"`
	figure
}

// write prints the rows, best first, and how reqws stands against its goals.
func (t table) write(out io.Writer) {
	rows := slices.Clone(t.Rows)
	slices.SortStableFunc(rows, func(a, b row) int {
		if t.ByCPU {
			return cmp.Compare(a.CPU, b.CPU)
		}
		return cmp.Compare(a.NS, b.NS)
	})
	r := t.rank()
	fmt.Fprintf(out, "\n### %s\n\n", title(t.Workload, t.Via))
	fmt.Fprintf(out, "| client | ns/%[1]s | / best peer | / limit | CPU ns/%[1]s | / best peer | allocs/%[1]s | server CPU ns/%[1]s | server busy |\n", t.Unit)
	fmt.Fprintln(out, "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
	for _, row := range rows {
		fmt.Fprintf(out, "| %s | %s | %s | %s | %s | %s | %.2f | %s | %s |\n", row.Client, digits(row.NS),
			ratio(row.NS, r[peer].NS), ratio(row.NS, r[floor].NS), digits(row.CPU), ratio(row.CPU, r[peer].CPU),
			row.Allocs, digits(row.Server), row.business())
	}
	fmt.Fprintf(out, "\nreqws: %s\n", strings.Join(t.verdicts(r), "; "))
}

// business says how much of the time the server was at work, and marks where the
// server is what was measured.
func (f figure) business() string {
	switch b := f.busy(); {
	case f.Server == 0:
		return "-"
	case b > serverBound:
		return fmt.Sprintf("%.0f %%, the server limits", 100*b)
	default:
		return fmt.Sprintf("%.0f %%", 100*b)
	}
}

// verdicts are the goals and what is worth knowing beside them.
func (t table) verdicts(r ranking) (v []string) {
	if len(t.Goals) == 0 && r[peer].NS > 0 {
		v = append(v, fmt.Sprintf("%.2f x as fast as the best peer", r[peer].NS/r[own].NS))
	}
	for _, g := range t.Goals {
		v = append(v, g.verdict(r))
	}
	if best, ok := r[tuned]; ok && !t.ByCPU {
		v = append(v, fmt.Sprintf("%.2f x as fast as the best tuned peer", best.NS/r[own].NS))
	}
	if !t.ByCPU && r[peer].CPU > 0 {
		v = append(v, fmt.Sprintf("%.2f of the best peer's CPU", r[own].CPU/r[peer].CPU))
	}
	if r[own].busy() > serverBound {
		v = append(v, "here the server limits: see the CPU")
	}
	return v
}

const summaryHead = `
### Summary

| workload | reqws | limit | best peer | best tuned peer | times as fast as the best peer | of the limit's time | allocs | of the best peer's CPU | server busy |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
`

// summary is the workload in one line: nanoseconds, then the goals.
func (t table) summary() string {
	r := t.rank()
	cells := []string{title(t.Workload, t.Via)}
	for _, p := range []part{own, floor, peer, tuned} {
		cells = append(cells, t.main(r, p))
	}
	for _, kind := range []against{bestPeer, theLimit, allocations, bestPeerCPU} {
		cells = append(cells, t.cell(r, kind))
	}
	cells = append(cells, r[own].business())
	return "| " + strings.Join(cells, " | ") + " |\n"
}

// main is the figure by which a part is compared.
func (t table) main(r ranking, p part) string {
	f, ok := r[p]
	switch {
	case !ok:
		return "-"
	case t.ByCPU:
		return digits(f.CPU) + " ns CPU"
	default:
		return digits(f.NS) + " ns"
	}
}

// cell is one comparison, and whether its goal is reached if it has one.
func (t table) cell(r ranking, kind against) string {
	if kind == bestPeer && t.ByCPU || kind == theLimit && r[floor].NS == 0 || r[peer].NS == 0 && kind != allocations {
		return "-"
	}
	value, _ := goal{Against: kind}.judge(r)
	cell := fmt.Sprintf("%.2f", value)
	for _, g := range t.Goals {
		if g.Against == kind {
			_, passed := g.judge(r)
			cell += fmt.Sprintf(" (goal %.3g) %s", g.Factor, word(passed))
		}
	}
	return cell
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
