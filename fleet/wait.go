package fleet

import (
	"context"
	"sync"
	"time"
)

// await waits until done is true, or ctx ends. c's lock is held; whoever changes what done looks at, broadcasts.
func await(ctx context.Context, c *sync.Cond, done func() bool) {
	stop := context.AfterFunc(ctx, func() {
		c.L.Lock()
		defer c.L.Unlock()
		c.Broadcast()
	})
	defer stop()
	for !done() && ctx.Err() == nil {
		c.Wait()
	}
}

// sleep waits for d, or until ctx ends and returns why.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return context.Cause(ctx)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
