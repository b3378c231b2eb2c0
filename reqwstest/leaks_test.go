package reqwstest_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/matryer/is"

	. "github.com/reqws/reqws/reqwstest"
)

func TestNoLeaksFindsGoroutines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // where waiting for them takes no time
		is := is.New(t)
		stop := make(chan struct{})
		early := make(chan struct{})
		go func() { <-early }()

		r := &recorder{}
		NoLeaks(r)
		go func() { <-stop }()
		r.end()
		is.Equal(len(r.failures), 1)
		is.True(strings.HasPrefix(r.failures[0], "reqwstest: 1 goroutines are left:"))
		is.True(strings.Contains(r.failures[0], "TestNoLeaksFindsGoroutines"))

		r = &recorder{}
		NoLeaks(r)
		close(early) // ends one of before
		go func() { <-stop }()
		close(stop)
		r.end()
		is.Equal(r.failures, nil) // they end in time
	})
}

func TestNoLeaksLooksAtPackagesGiven(t *testing.T) {
	is := is.New(t)
	var left []string
	for stack := range map[string]bool{"goroutine 1\nnet/http.f()": true, "goroutine 2\n" + Module + ".f()": true, "goroutine 3\nfoo.f()": true} {
		if Mentions(stack, []string{Module, "net/http"}) {
			left = append(left, stack)
		}
	}
	is.Equal(len(left), 2)
}
