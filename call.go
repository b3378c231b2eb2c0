package reqws

import (
	"runtime"
	"strings"
)

// call runs the handler.
func (s *stream) call(in Event) Directive {
	s.calling.Store(true)
	d := s.handler(in, s.resp)
	s.calling.Store(false)
	return d
}

func (s *stream) callOnOpen(onOpen func(*Response) Directive) Directive {
	s.calling.Store(true)
	d := onOpen(s.resp)
	s.calling.Store(false)
	return d
}

// insideHandler reports whether the caller was called by the handler that is
// running: then it stands on the loop's own stack.
func (s *stream) insideHandler() bool {
	if !s.calling.Load() {
		return false
	}
	pcs := make([]uintptr, 64)
	for skip := 2; ; skip += len(pcs) {
		n := runtime.Callers(skip, pcs)
		frames := runtime.CallersFrames(pcs[:n])
		for {
			f, more := frames.Next()
			if strings.HasSuffix(f.Function, ".(*stream).call") || strings.HasSuffix(f.Function, ".(*stream).callOnOpen") {
				return true
			}
			if !more {
				break
			}
		}
		if n < len(pcs) {
			return false
		}
	}
}
