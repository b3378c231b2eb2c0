//go:build !linux

package main

import "time"

// processClock would tell the processor time of another process: on Linux it does.
type processClock int32

func clockOf(int) processClock { return 0 }

func (processClock) read() time.Duration { return 0 }
