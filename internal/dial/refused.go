package dial

import (
	"context"
	"io"
	"sync"
	"time"
)

const (
	maxRefusal  = 1 << 20     // how much of a refusal's body is kept,
	refusalWait = time.Second // and how long it is waited for: the status is known
)

// ReadStart reads the body of a refusal, as far as there is one in the time there is,
// and closes it.
func ReadStart(ctx context.Context, body io.ReadCloser) []byte {
	ctx, cancel := context.WithTimeout(ctx, refusalWait)
	defer cancel()
	var start partial
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(&start, io.LimitReader(body, maxRefusal))
	}()
	select {
	case <-done:
		_ = body.Close()
	case <-ctx.Done():
		go body.Close() // which in some waits for the reading to end
	}
	return start.bytes()
}

// partial collects bytes, and may be looked at before all have come.
type partial struct {
	mu  sync.Mutex
	buf []byte
}

func (p *partial) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.buf = append(p.buf, b...)
	return len(b), nil
}

func (p *partial) bytes() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.buf[:len(p.buf):len(p.buf)]
}
