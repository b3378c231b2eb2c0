package reqws_test

import (
	"runtime"
	"testing"

	"github.com/cenkalti/backoff/v4"
	"github.com/matryer/is"

	"github.com/reqws/reqws"
)

// A stream may come back thousands of times: what belonged to its links is gone, but for the last one's.
func TestReconnectsLeaveNothing(t *testing.T) {
	const first, last = 200, 1200
	for _, transport := range []string{"tcp", "memory"} {
		t.Run(transport, func(t *testing.T) {
			tidy(t)
			is := is.New(t)
			g := newGatehouse(t, transport)
			g.last = []byte{0x88, 2, 0x03, 0xF4} // close, 1012
			opens := 0
			var objects, goroutines [2]int
			look := func(i int) {
				for range 2 { // of what has a finalizer
					runtime.GC()
				}
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				objects[i], goroutines[i] = int(m.HeapObjects), runtime.NumGoroutine()
			}
			is.NoErr(g.request(
				reqws.Reconnect(-1), reqws.Logger(nil),
				reqws.ReconnectBackOff(func() backoff.BackOff { return &backoff.ZeroBackOff{} }),
				reqws.OnOpen(func(*reqws.Response) reqws.Directive {
					switch opens++; opens {
					case first:
						look(0)
					case last:
						look(1)
						return reqws.Halt()
					}
					return reqws.Cont()
				})).Run(t.Context(), reqws.Into(reqws.Each(func(reqws.Frame) reqws.Directive { return reqws.Cont() }))))
			is.True(objects[1]-objects[0] < last-first) // less than one for each
			is.True(goroutines[1]-goroutines[0] < 10)   // of the server, perhaps
		})
	}
}
