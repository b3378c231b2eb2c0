//go:build !race

package reqws_test

const raceEnabled = false
