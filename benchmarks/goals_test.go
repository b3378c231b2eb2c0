package main

import (
	"testing"

	"github.com/matryer/is"
)

// measured is a table of a few rows.
func measured(goals ...goal) table {
	return table{Workload: "work", Via: overWS, Unit: "message", Goals: goals, Rows: []row{
		{"reqws", own, figure{NS: 10, CPU: 20, Allocs: 0.001, WireOut: 90, Server: 9.5}},
		{"reqws, whole batches", another, figure{NS: 1, CPU: 1}},
		{"slow", peer, figure{NS: 90, CPU: 10, WireOut: 50, Server: 9}},
		{"fast", peer, figure{NS: 80, CPU: 40, WireOut: 100}},
		{"fast, tuned", tuned, figure{NS: 40}},
		{"limit", floor, figure{NS: 5}},
	}}
}

func TestVerdicts(t *testing.T) {
	for _, test := range []struct {
		goal goal
		want string
	}{
		{goal{bestPeer, 8}, "8.00 x as fast as the best peer (goal 8 x): PASS"},
		{goal{bestPeer, 9}, "8.00 x as fast as the best peer (goal 9 x): below"},
		{goal{theLimit, 2}, "2.00 x the limit's time (goal at most 2 x): PASS"},
		{goal{theLimit, 1.9}, "2.00 x the limit's time (goal at most 1.9 x): below"},
		{goal{allocations, 0}, "0.001 allocations (goal 0): PASS"},
		{goal{bestPeerCPU, 2}, "2.00 of the best peer's CPU (goal at most 2): PASS"},
		{goal{bestPeerCPU, 1}, "2.00 of the best peer's CPU (goal at most 1): below"},
		{goal{wireOut, 1}, "0.90 of the best peer's bytes on the wire (goal at most 1): PASS"},
	} {
		is := is.New(t)
		is.Equal(test.goal.verdict(measured(test.goal).rank()), test.want)
	}
}

func TestAllocationsBelow(t *testing.T) {
	is := is.New(t)
	r := measured().rank()
	r[own] = figure{NS: 10, Allocs: 1}
	is.Equal(goal{allocations, 0}.verdict(r), "1.000 allocations (goal 0): below")
	r[floor] = figure{NS: 1, Allocs: 0.5}
	is.Equal(goal{allocations, 0}.verdict(r), "1.000 allocations (goal 0): below, the limit makes 0.500")
}

func TestTheBestByCPU(t *testing.T) {
	is := is.New(t)
	m := measured()
	m.ByCPU = true
	is.Equal(m.rank()[peer].NS, 90.0)
	is.Equal(m.rank()[peer].CPU, 10.0)
}

func TestMemoryIsJudgedAgainstNbio(t *testing.T) {
	m := memoryTable{Rows: []memoryRow{
		{"reqws", own, footprint{Heap: 700, RSS: 900}},
		{"nbio", peer, footprint{Heap: 1000, RSS: 1000}},
		{"leaner", peer, footprint{Heap: 100, RSS: 100}},
		{"nbio, tuned", tuned, footprint{Heap: 100, RSS: 100}},
	}}
	for _, test := range []struct {
		via    transport
		passed bool
	}{{overWS, true}, {overWSS, false}} {
		is := is.New(t)
		value, passed := m.judge(idleGoals(test.via)[0])
		is.Equal(value, 0.9)
		is.Equal(passed, test.passed)
	}
}

// The goals are those of the design.
func TestGoals(t *testing.T) {
	zero := goal{allocations, 0}
	want := map[string][]goal{
		"inbound, text, 16 B, over ws":                   {{bestPeer, 8}, {theLimit, 2}, zero},
		"inbound, text, 16 B, over wss":                  {{bestPeer, 4}, {theLimit, 1.5}, zero},
		"inbound, text, 1 KiB, over ws":                  {{bestPeer, 1}, {theLimit, 1.25}, zero},
		"inbound, text, 1 KiB, over wss":                 {{bestPeer, 1}, {theLimit, 1.1}, zero},
		"inbound, text, 64 KiB, over wss":                {{bestPeer, 1}, zero},
		"inbound, text, 1 MiB, over ws":                  {{bestPeer, 1}, zero},
		"replies to bursts of 16, text, 16 B, over ws":   {{bestPeer, 3}, {theLimit, 1.3}, zero},
		"replies to bursts of 16, text, 16 B, over wss":  {{bestPeer, 3}, zero},
		"replies to bursts of 256, text, 16 B, over ws":  {{bestPeer, 15}, {theLimit, 2}, zero},
		"replies to bursts of 256, text, 16 B, over wss": {{bestPeer, 15}, zero},
		"one message, one reply, text, 16 B, over ws":    {{bestPeer, 1}, {theLimit, 1 / 0.95}, zero},
		"one message, one reply, text, 16 B, over wss":   {{bestPeer, 1}, zero},
		"100 goroutines sending, text, 64 B, over wss":   {{bestPeer, 3}},
		"permessage-deflate in, JSON, 1024 B, over ws":   {{bestPeer, 1}, zero},
		"permessage-deflate out, JSON, 1024 B, over ws":  {{bestPeer, 1}, {wireOut, 1}, zero},
		"permessage-deflate out, JSON, 1024 B, over wss": nil,
		"handshakes, one after another, over ws":         {{bestPeerCPU, 1}},
		"handshakes, one after another, over wss":        {{bestPeerCPU, 1}},
	}
	found := 0
	for _, w := range workloads() {
		if goals, ok := want[w.title()]; ok {
			is := is.New(t)
			is.Equal(w.goals, goals)
			found++
		}
	}
	is.New(t).Equal(found, len(want))
}
