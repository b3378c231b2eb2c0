package main

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"github.com/matryer/is"
)

func TestGrowth(t *testing.T) {
	is := is.New(t)
	var out bytes.Buffer
	p := plan{Steps: []int{20, 1_000_000_000}}
	b := &bench{plan: p, only: regexp.MustCompile("^growth, over ws$"), out: &out, growth: true}
	r, err := b.run()
	is.NoErr(err)
	is.Equal(len(r.Growth), len(growers()))
	for i, c := range growers() {
		row := r.Growth[i]
		is.Equal(row.Client, c.name())
		is.True(row.Sparse.CPU > 0)
		_, again := c.(reopener)
		is.Equal(row.Reopened > 0, again)
		is.Equal(row.Abandoned, "")
	}
	is.Equal(len(r.Notes), 1)
	is.True(strings.Contains(out.String(), "Left out: growth over ws, 1000000000 connections: a process may have no more than"))
}
