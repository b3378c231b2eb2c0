//go:build !linux

package reqws

// Elsewhere each stream waits in its own goroutine.

type place struct{ read bool }

type lot struct{}

var theLot lot

func (lot) wake(*stream)  {}
func (lot) leave(*stream) {}

func (s *stream) parkAtOnce() bool                  { return false }
func (s *stream) started()                          {}
func (s *stream) quiet(error) (parked, readOn bool) { return false, false }
