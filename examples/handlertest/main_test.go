package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/reqws/reqws/reqwstest"
)

func TestRun(t *testing.T) {
	is := is.New(t)
	reqwstest.NoLeaks(t)
	var out bytes.Buffer
	is.NoErr(run(t.Context(), &out))
	// How many messages come together depends on the network, so count.
	is.Equal(strings.Count(out.String(), "<- "), 7)
	is.Equal(strings.Count(out.String(), `-> text "ACME is above 100"`), 2)
	is.Equal(strings.Count(out.String(), `-> text "good night"`), 1)
}
