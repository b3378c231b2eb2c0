package reqws

import (
	"fmt"
	"runtime"
	"strings"
	"unsafe"
)

// call runs the handler.
func (s *stream) call(in Event) Directive {
	s.calling.Store(true)
	d := s.runHandler(in, s.mark())
	s.calling.Store(false)
	return d
}

func (s *stream) callOnOpen(onOpen func(*Response) Directive) Directive {
	s.calling.Store(true)
	d := s.runOnOpen(onOpen, s.mark())
	s.calling.Store(false)
	return d
}

// stackMark says on the stack whose handler is running. It is an array, since those are passed
// in memory, where a trace of the stack shows them as they are.
type stackMark [2]uintptr

func (s *stream) mark() stackMark { return stackMark{uintptr(unsafe.Pointer(s)), 0x72657177} } // "reqw"

//go:noinline
func (s *stream) runHandler(in Event, _ stackMark) Directive { return s.handler(in, s.link().resp) }

//go:noinline
func (s *stream) runOnOpen(onOpen func(*Response) Directive, _ stackMark) Directive {
	return onOpen(s.link().resp)
}

// insideHandler reports whether the caller was called by the handler of this stream that is
// running: then it stands on the loop's own stack, and must not wait for the loop. It reads
// that off a trace of its goroutine's stack, which takes some microseconds, but only who
// closes or waits while a handler runs comes here.
func (s *stream) insideHandler() bool {
	if !s.calling.Load() {
		return false
	}
	buf := make([]byte, 16<<10)
	n := runtime.Stack(buf, false)
	for n == len(buf) && n < 1<<20 {
		buf = make([]byte, 4*n)
		n = runtime.Stack(buf, false)
	}
	m := s.mark()
	return strings.Contains(string(buf[:n]), fmt.Sprintf("{%#x, %#x}", m[0], m[1]))
}
