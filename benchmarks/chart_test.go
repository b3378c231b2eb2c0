package main

import (
	"encoding/xml"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/matryer/is"
)

// sample has a row of each kind, and what XML has to escape.
func sample() *results {
	over := func(via transport) table {
		t := measured(goal{bestPeer, 8})
		t.Workload, t.Via = "inbound, text, 16 B", via
		return t
	}
	now := measured(goal{bestPeerCPU, 1})
	now.Workload, now.ByCPU = "a message now and then on each of 5000 connections", true
	odd := measured()
	odd.Workload = "<&>"
	return &results{
		Date:     time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Machine:  machine{CPU: "a <fast> one", Count: 2, System: "linux/amd64", Go: "go1.26"},
		Versions: []version{{"github.com/lxzan/gws", "v1.8.9"}},
		Plan:     fullPlan,
		Tables:   []table{over(overWS), over(overWSS), now, odd},
		Memory: []memoryTable{{Workload: "idle connections, 5000 in one process", Via: overWS, Goals: idleGoals(overWS), Rows: []memoryRow{
			{"reqws", own, footprint{Heap: 500, RSS: 1000}}, {"nbio", peer, footprint{Heap: 500, RSS: 1500}},
		}}},
	}
}

// texts are those of an SVG, which has to be XML; classes counts its rectangles.
func texts(t *testing.T, svg string) (all []string, classes map[string]int) {
	is := is.New(t)
	d := xml.NewDecoder(strings.NewReader(svg))
	classes = map[string]int{}
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return all, classes
		}
		is.NoErr(err)
		start, ok := token.(xml.StartElement)
		switch {
		case !ok:
		case start.Name.Local == "text":
			var s string
			is.NoErr(d.DecodeElement(&s, &start))
			all = append(all, s)
		case start.Name.Local == "rect":
			for _, a := range start.Attr {
				if a.Name.Local == "class" {
					classes[a.Value]++
				}
			}
		}
	}
}

func TestChartHasEveryRow(t *testing.T) {
	is := is.New(t)
	all, classes := texts(t, chart(sample()))
	has := strings.Join(all, "\n") + "\n"
	for _, want := range []string{"inbound, 16 B", "now and then, 5000: CPU", "idle, 5000: memory", "<&>",
		"over ws", "over wss", "a <fast> one", "8.00", "16.00", "fast", "1.50", "nbio"} {
		is.True(strings.Contains(has, want+"\n") || strings.Contains(has, want+",")) // want
	}
	is.Equal(strings.Count(has, "inbound, 16 B\n"), 1)
	// A legend, four tables and one of memory.
	is.Equal(classes["reqws"], 1+4+1)
	is.Equal(classes["peer"], 1+4+1)
	is.Equal(classes["limit"], 1+3) // whose CPU is not known in one
}

func TestChartOfNothing(t *testing.T) {
	all, _ := texts(t, chart(&results{}))
	is.New(t).True(len(all) > 0)
}

func TestBarsFitTheirPanel(t *testing.T) {
	is := is.New(t)
	rows := chartRows(sample())
	most := longest(rows)
	is.Equal(most, 16.0)
	is.Equal(length(most, most), float64(chartPanel-chartValue))
	is.Equal(length(chartLeast/2, most), 1.0) // shorter than the scale begins, but there
}

func TestResultsComeBackFromJSON(t *testing.T) {
	is := is.New(t)
	path := filepath.Join(t.TempDir(), "results.json")
	r := sample()
	is.NoErr(r.save(path))
	back, err := load(path)
	is.NoErr(err)
	is.Equal(back, r)
	var before, after strings.Builder
	r.write(&before)
	back.write(&after)
	is.Equal(before.String(), after.String())
	is.True(strings.Contains(before.String(), "| reqws | 10 | 0.12 | 2.00 |"))
	is.True(strings.Contains(before.String(), "95 %, the server limits"))
}
