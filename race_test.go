//go:build race

package reqws_test

const raceEnabled = true // it makes allocations of its own
