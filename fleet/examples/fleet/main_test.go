package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/matryer/is"
)

// TestMain lets the test's own program be the workers.
func TestMain(m *testing.M) {
	if url := os.Getenv(workerURL); url != "" {
		lease, err := time.ParseDuration(os.Args[2])
		if err != nil {
			panic(err)
		}
		exit(work(url, os.Getenv(workerName), lease))
	}
	os.Exit(m.Run())
}

// The whole story in small: killed and restarted processes, and every message accounted for.
func TestStory(t *testing.T) {
	is := is.New(t)
	var out bytes.Buffer
	err := run(t.Context(), options{streams: 40, every: 20 * time.Millisecond, lease: time.Second}, &out)
	t.Log(out.String())
	is.NoErr(err)
	is.True(strings.Contains(out.String(), "doubled"))
}
