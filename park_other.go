//go:build !linux

package reqws

import "time"

// Elsewhere each stream waits in its own goroutine.

type waiting struct{ read bool }

type poller struct{}

var thePoller poller

func (poller) wake(*stream)  {}
func (poller) leave(*stream) {}

func (s *stream) parkAtOnce() bool { return false }
func (s *stream) started()         {}
func (s *stream) stayAwake()       {}

func (s *stream) holdAwake() (resume func()) {
	s.setReadDeadline(time.Time{})
	return func() { s.setReadDeadline(time.Time{}) }
}
func (s *stream) quiet(error) (parked, readOn bool) { return false, false }
