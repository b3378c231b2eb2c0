package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

func main() {
	seconds := flag.Int("seconds", 10, "how long to go on beginning streams")
	seed := flag.Uint64("seed", uint64(time.Now().UnixNano()), "what all is drawn from")
	streams := flag.Int("streams", 1000, "how many at once")
	only := flag.Int("stream", -1, "run only the stream of this number, over and over")
	flag.Parse()
	if !strings.Contains(os.Getenv("GODEBUG"), "http2xconnect=1") {
		os.Exit(again()) // net/http's server has extended CONNECT only if this is set from the start
	}
	s, err := newSoak(*seed, *only)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if s.run(time.Duration(*seconds)*time.Second, *streams, os.Stdout) > 0 {
		os.Exit(1)
	}
}

// again runs this program with the setting that main looks for.
func again() int {
	cmd := exec.Command(os.Args[0], os.Args[1:]...)
	cmd.Env = append(os.Environ(), "GODEBUG=http2xconnect=1,"+os.Getenv("GODEBUG"))
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
