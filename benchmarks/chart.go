package main

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// The chart shows each workload over ws and over wss: how many times as good as the best
// peer reqws is, and the limit. Each step of its scale is twice the last, as ratios want
// it. It brings its own background, light or dark as the reader prefers.
const (
	chartWidth  = 960
	chartLabels = 276 // the workloads' names stand in the first so many
	chartPanel  = 330 // one transport
	chartValue  = 44  // of it, the room for a figure behind the longest bar
	chartTop    = 128
	chartBar    = 9
	chartPitch  = 12 // from bar to bar
	chartGap    = 14 // between groups
	chartLeast  = 0.25
)

const chartStyle = `<style>
text { font: 13px system-ui, "Segoe UI", Roboto, Helvetica, Arial, sans-serif; fill: #24292f }
.title { font-size: 18px; font-weight: 600 }
.small, .value { font-size: 11px }
.small { fill: #57606a }
.value { paint-order: stroke; stroke: #ffffff; stroke-width: 3px }
.page { fill: #ffffff }
.reqws { fill: #0a6fc2 } .peer { fill: #8c959f } .limit { fill: #b7791f }
.line { stroke: #d0d7de } .one { stroke: #57606a }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .small { fill: #9da7b3 }
.value { stroke: #0d1117 }
.page { fill: #0d1117 }
.reqws { fill: #4aa8ff } .peer { fill: #7d8590 } .limit { fill: #e0b04c }
.line { stroke: #30363d } .one { stroke: #9da7b3 }
}
</style>
<rect class="page" width="100%" height="100%" rx="6"/>
`

// bar is one figure, as many times as good as the best peer's.
type bar struct {
	class string
	times float64
	label string
}

// group is the bars of one workload over one transport.
type group []bar

// chartRow is a workload.
type chartRow struct {
	name   string
	groups map[transport]group
}

// chart draws the results.
func chart(r *results) string {
	rows := chartRows(r)
	bottom := chartTop
	for _, row := range rows {
		bottom += row.height() + chartGap
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%[1]d" height="%[2]d" role="img" aria-label="reqws beside the best peer and the limit">`+"\n", chartWidth, bottom+26)
	b.WriteString(chartStyle)
	write(&b, 16, 30, "title", "reqws as a client, beside the best other Go library")
	write(&b, 16, 52, "small", "Times as fast as the best peer; where a row says CPU or memory, as many times less of it. Longer is better; each line is twice the last.")
	legend(&b, 16, 74)
	most := longest(rows)
	for i, via := range []transport{overWS, overWSS} {
		axis(&b, panel(i), bottom-chartGap+4, via, most)
	}
	y := chartTop
	for _, row := range rows {
		write(&b, 16, y+row.height()/2+4, "", row.name)
		for i, via := range []transport{overWS, overWSS} {
			row.groups[via].draw(&b, panel(i), y, most)
		}
		y += row.height() + chartGap
	}
	write(&b, 16, bottom+10, "small", fmt.Sprintf("%s, %s. Ratios within one run.", r.Machine.short(), r.Date.Format("2006-01-02")))
	b.WriteString("</svg>\n")
	return b.String()
}

// panel is where a transport's bars begin.
func panel(i int) int { return chartLabels + i*(chartPanel+12) }

// axis draws the lines of the scale, and what each stands for.
func axis(b *strings.Builder, x, bottom int, via transport, most float64) {
	write(b, x, chartTop-30, "", "over "+string(via))
	for v := chartLeast * 2; v <= most; v *= 2 {
		class, at := "line", float64(x)+length(v, most)
		if v == 1 {
			class = "one"
		}
		fmt.Fprintf(b, `<line class="%s" x1="%.1f" y1="%d" x2="%.1f" y2="%d"/>`+"\n", class, at, chartTop-6, at, bottom)
		fmt.Fprintf(b, `<text class="small" text-anchor="middle" x="%.1f" y="%d">%g</text>`+"\n", at, chartTop-11, v)
	}
}

func (m machine) short() string {
	return strings.Join([]string{m.Go, m.System, fmt.Sprint(m.Count, " CPUs"), m.CPU}, ", ")
}

func write(b *strings.Builder, x, y int, class, text string) {
	attribute := ""
	if class != "" {
		attribute = fmt.Sprintf(" class=%q", class)
	}
	fmt.Fprintf(b, `<text x="%d" y="%d"%s>%s</text>`+"\n", x, y, attribute, html.EscapeString(text))
}

func legend(b *strings.Builder, x, y int) {
	for _, l := range []struct {
		class, text string
		width       int
	}{
		{"reqws", "reqws, a function for each frame (Each)", 262},
		{"peer", "best peer, as its documentation shows it", 266},
		{"limit", "limit: read, walk headers, write; checks nothing", 0},
	} {
		fmt.Fprintf(b, `<rect class="%s" x="%d" y="%d" width="10" height="10"/>`+"\n", l.class, x, y-9)
		write(b, x+16, y, "small", l.text)
		x += l.width
	}
}

// chartRows are the workloads in the order of the tables; one over both transports is one row.
func chartRows(r *results) (rows []chartRow) {
	add := func(name string, via transport, g group) {
		for _, row := range rows {
			if row.name == name {
				row.groups[via] = g
				return
			}
		}
		rows = append(rows, chartRow{name, map[transport]group{via: g}})
	}
	for _, t := range r.Tables {
		if strings.Contains(t.Workload, "binary") {
			continue // as text, but without the check of UTF-8
		}
		add(t.label(), t.Via, t.bars())
	}
	for _, m := range r.Memory {
		add(m.label(), m.Via, m.bars())
	}
	return rows
}

// label is the workload's name, short enough for the chart.
func (t table) label() string {
	s := strings.NewReplacer("a message now and then on each of ", "now and then, ", " connections", "", "one after another", "one by one",
		"permessage-deflate", "deflate", "replies to bursts of ", "replies, bursts of ", ", text", "", " goroutines sending", " senders").Replace(t.Workload)
	if t.ByCPU {
		s += ": CPU"
	}
	return s
}

func (m memoryTable) label() string {
	return strings.NewReplacer("idle connections, ", "idle, ", " in one process", "", "a message of ", "", " on each", "").Replace(m.Workload) + ": memory"
}

func (t table) bars() (g group) {
	r := t.rank()
	value := func(f figure) float64 {
		if t.ByCPU {
			return f.CPU
		}
		return f.NS
	}
	for _, b := range []struct {
		part  part
		class string
	}{{own, "reqws"}, {peer, "peer"}, {floor, "limit"}} {
		if f, ok := r[b.part]; ok && r[peer] != (figure{}) && value(f) > 0 {
			g = append(g, bar{b.class, value(r[peer]) / value(f), t.bestName(b.part)})
		}
	}
	return g
}

// bestName is who the best of the peers is; the other parts have but one row.
func (t table) bestName(p part) string {
	best := t.rank()[p]
	for _, r := range t.Rows {
		if p == peer && r.Part == p && (t.ByCPU && r.CPU == best.CPU || !t.ByCPU && r.NS == best.NS) {
			return r.Client
		}
	}
	return ""
}

func (m memoryTable) bars() group {
	best := m.of(peer).RSS
	if m.of(own).RSS <= 0 || best <= 0 {
		return nil
	}
	g := group{{"reqws", best / m.of(own).RSS, ""}, {"peer", 1, ""}}
	for _, r := range m.Rows {
		if r.Part == peer && r.RSS == best {
			g[1].label = r.Client
		}
	}
	return g
}

func (row chartRow) height() int {
	n := 1
	for _, g := range row.groups {
		n = max(n, len(g))
	}
	return n*chartPitch - (chartPitch - chartBar)
}

// longest is the end of the scale: a power of two that no bar exceeds.
func longest(rows []chartRow) float64 {
	most := 2.0
	for _, row := range rows {
		for _, g := range row.groups {
			for _, b := range g {
				for most < b.times {
					most *= 2
				}
			}
		}
	}
	return most
}

// length is that of a bar.
func length(times, most float64) float64 {
	return max(1, math.Log2(times/chartLeast)/math.Log2(most/chartLeast)*(chartPanel-chartValue))
}

func (g group) draw(b *strings.Builder, x, y int, most float64) {
	for _, bar := range g {
		width := length(bar.times, most)
		fmt.Fprintf(b, `<rect class="%s" x="%d" y="%d" width="%.1f" height="%d"/>`+"\n", bar.class, x, y, width, chartBar)
		text := fmt.Sprintf("%.2f", bar.times)
		if bar.label != "" {
			text = bar.label
		}
		fmt.Fprintf(b, `<text class="value" x="%.1f" y="%d">%s</text>`+"\n", float64(x)+width+4, y+chartBar-1, html.EscapeString(text))
		y += chartPitch
	}
}
