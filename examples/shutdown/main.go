// Shutdown is a worker that leaves in good order. On SIGTERM, as a container gets it from whoever
// runs it, it takes no new jobs, finishes those that it has, sends their results, closes the
// connection with code 1001, and waits for the server's answer to that. All of it may take so long
// and no longer; a second SIGTERM makes it leave at once.
//
//	go run ./examples/shutdown ws://dispatcher.internal/jobs
//	go run ./examples/shutdown
//
// Without a URL it works for a dispatcher of its own, on loopback, and after a second behaves as if
// SIGTERM had come. It exits with 0 after a goodbye that was answered, and with 1 otherwise.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/reqws/reqws"
)

func main() {
	sigs := make(chan os.Signal, 2)
	signal.Notify(sigs, syscall.SIGTERM, os.Interrupt)
	url := ""
	if len(os.Args) > 1 {
		url = os.Args[1]
	} else {
		d := startDispatcher(100 * time.Millisecond)
		defer func() { fmt.Println(d.report()) }()
		url = d.url
		time.AfterFunc(time.Second, func() { sigs <- syscall.SIGTERM })
	}
	soft, hard := contexts(sigs)
	if err := run(soft, hard, newWorker(os.Stdout, square), reqws.URL(url)); err != nil {
		fmt.Fprintln(os.Stderr, "shutdown:", err)
		os.Exit(1)
	}
}

// contexts returns two: the first signal ends one, the second signal the other.
func contexts(sigs <-chan os.Signal) (soft, hard context.Context) {
	soft, endSoft := context.WithCancel(context.Background())
	hard, endHard := context.WithCancel(context.Background())
	go func() {
		<-sigs
		endSoft()
		<-sigs
		endHard()
	}()
	return soft, hard
}

const (
	grace   = 20 * time.Second // for the jobs that are under way, and
	goodbye = 5 * time.Second  // for the closing handshake: Kubernetes kills after 30s in all
)

var errHurried = errors.New("left without a goodbye")

// run works until soft ends, and leaves then; at once when hard ends.
func run(soft, hard context.Context, w *worker, opts ...reqws.Option) error {
	// The ctx of Do is the life of the connection: where it ends there is no closing handshake. That
	// is right for hard. soft ends the attempt to connect, but no connection.
	life, end := context.WithCancel(hard)
	defer end()
	stop := context.AfterFunc(soft, end)
	resp, err := reqws.New(
		reqws.CloseTimeout(goodbye),
		reqws.Into(reqws.EachJSON(func(j job, resp *reqws.Response) reqws.Directive { return w.take(life, j, resp) })),
	).Do(life, opts...)
	stop()
	if err != nil {
		return err
	}
	select {
	case <-soft.Done():
		if err = leave(w, resp); hard.Err() != nil {
			return errHurried
		}
		return err
	case <-resp.Done():
		return resp.Wait()
	}
}

// leave finishes what is under way, and then closes the connection.
func leave(w *worker, resp *reqws.Response) error {
	fmt.Fprintf(w.out, "leaving, with %d jobs under way\n", w.stop())
	late := time.NewTimer(grace)
	defer late.Stop()
	select {
	case <-w.idle:
	case <-resp.Done():
		return resp.Wait()
	case <-late.C:
		_ = resp.CloseNow()
		return fmt.Errorf("%w: jobs took longer than %v", errHurried, grace)
	}
	// The results have been sent, and nothing overtakes anything: they arrive before the close frame.
	return resp.Close(1001, "shutting down")
}
