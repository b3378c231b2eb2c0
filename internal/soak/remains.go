package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"
)

// remains is what there is while no stream is open.
type remains struct {
	goroutines  int
	descriptors int   // 0 where there is no /proc
	heap        int64 // bytes that are in use after a collection
}

func measure() remains {
	for range 3 { // what a pool holds survives two
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	open, _ := os.ReadDir("/proc/self/fd")
	return remains{runtime.NumGoroutine(), len(open), int64(m.HeapAlloc)}
}

// settle waits a moment for what belongs to streams that have ended to end, too, and measures.
func settle(before remains) remains {
	now := measure()
	for range 100 {
		if now.goroutines <= before.goroutines && now.descriptors <= before.descriptors {
			break
		}
		time.Sleep(20 * time.Millisecond)
		now = measure()
	}
	return now
}

// leaked says what so many streams have left behind that were run in between.
func leaked(before, after remains) error {
	var err error
	if after.goroutines > before.goroutines {
		buf := make([]byte, 1<<20)
		err = fmt.Errorf("%d goroutines became %d:\n%s", before.goroutines, after.goroutines, buf[:runtime.Stack(buf, true)])
	}
	if after.descriptors > before.descriptors {
		err = errors.Join(err, fmt.Errorf("%d descriptors became %d", before.descriptors, after.descriptors))
	}
	return err
}

// What the heap may grow by while so many streams come and go. The noise of two measurements in a
// process that has warmed up is some 100 KB: stacks of maps and tables that have once been larger,
// timers, what the runtime keeps for itself. It does not grow with the streams. The least
// that a stream could leave behind by mistake, an entry in a map with what it points to, is some
// hundred bytes; a link, a buffer or a message is more by far. So a leak at each stream shows
// after some ten thousand, and one of a kilobyte after a thousand.
const (
	heapNoise     = 512 << 10
	heapPerStream = 64
)

// grown says that the heap has, by more than so many streams may have it grow.
func grown(before, after remains, streams int) error {
	if by, most := after.heap-before.heap, int64(heapNoise+heapPerStream*streams); by > most {
		return fmt.Errorf("the heap grew by %d KB over %d streams, where %d KB are noise", by>>10, streams, most>>10)
	}
	return nil
}
