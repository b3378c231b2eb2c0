package main

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/reqws/reqws"
)

// job is what comes, and with a result or a refusal what goes.
type job struct {
	Number  int  `json:"job"`
	Result  int  `json:"result,omitempty"`
	Refused bool `json:"refused,omitempty"`
}

// worker does jobs, each in a goroutine of its own: a handler that works reads nothing meanwhile,
// and would not see the end of the connection either.
type worker struct {
	out io.Writer
	do  func(ctx context.Context, number int) int

	mu       sync.Mutex
	leaving  bool // no new jobs
	underWay int
	idle     chan struct{} // closed when it is leaving and all is done
}

func newWorker(out io.Writer, do func(ctx context.Context, number int) int) *worker {
	return &worker{out: out, do: do, idle: make(chan struct{})}
}

// take is the handler.
func (w *worker) take(ctx context.Context, j job, resp *reqws.Response) reqws.Directive {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.leaving { // then the dispatcher knows at once that somebody else has to do it
		f, err := reqws.JSON(job{Number: j.Number, Refused: true})
		if err != nil {
			return reqws.Fail(err)
		}
		return reqws.Cont(f)
	}
	w.underWay++
	go w.work(ctx, j, resp)
	return reqws.Cont()
}

// work does one job, which is done when its result has been sent, and not before. One whose result
// cannot be sent is never done: then the connection is at its end, and so is the waiting.
func (w *worker) work(ctx context.Context, j job, resp *reqws.Response) {
	result := w.do(ctx, j.Number)
	if err := resp.SendJSON(ctx, job{Number: j.Number, Result: result}); err != nil {
		fmt.Fprintf(w.out, "job %d is lost: %v\n", j.Number, err)
		return
	}
	w.done()
}

// stop takes no more jobs. It returns how many are under way.
func (w *worker) stop() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.leaving = true
	if w.underWay == 0 {
		close(w.idle)
	}
	return w.underWay
}

func (w *worker) done() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.underWay--
	if w.leaving && w.underWay == 0 {
		close(w.idle)
	}
}

// square is a job that takes a while.
func square(ctx context.Context, n int) int {
	select {
	case <-time.After(400 * time.Millisecond):
	case <-ctx.Done():
	}
	return n * n
}
