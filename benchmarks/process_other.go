//go:build !linux

package main

import "time"

// processClock would tell the processor time of another process: on Linux it does.
type processClock int32

func clockOf(int) processClock { return 0 }

func (processClock) read() time.Duration { return 0 }

func raiseFileLimit() {}

// fileLimit and freeMemory are not asked for elsewhere than on Linux.
func fileLimit() uint64  { return 10_000 }
func freeMemory() uint64 { return 0 }
