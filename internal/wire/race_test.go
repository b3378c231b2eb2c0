//go:build race

package wire

// raceEnabled: sync.Pool drops items at random under the race detector, so allocations are not counted.
const raceEnabled = true
