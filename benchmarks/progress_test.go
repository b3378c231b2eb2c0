package main

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matryer/is"
)

func TestProgress(t *testing.T) {
	for _, test := range []struct {
		terminal bool
		want     string
	}{
		{true, "\r\x1b[K[1s] step 1\r\x1b[K[2s] step 2\r\x1b[K"},
		{false, "[1s] step 1\n"},
	} {
		synctest.Test(t, func(t *testing.T) {
			is := is.New(t)
			var out strings.Builder
			p := &progress{out: &out, terminal: test.terminal, begun: time.Now()}
			for i := range 2 {
				time.Sleep(time.Second)
				p.say("step %d", i+1)
				p.say("at once")
			}
			p.clear()
			is.Equal(out.String(), test.want)
		})
	}
}

func TestNoProgressIsSilent(t *testing.T) {
	var p *progress
	p.say("nothing")
	p.clear()
}
