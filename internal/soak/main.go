// Command soak runs many short streams against a server that misbehaves, and checks that no
// message is lost, doubled or out of order, that each stream ends with what ended it, and that
// nothing is left of any.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/reqws/reqws"
)

func main() {
	seconds := flag.Int("seconds", 10, "how long to go on beginning streams")
	seed := flag.Uint64("seed", uint64(time.Now().UnixNano()), "what all is drawn from")
	streams := flag.Int("streams", 200, "how many at once")
	flag.Parse()
	if !strings.Contains(os.Getenv("GODEBUG"), "http2xconnect=1") {
		os.Exit(again()) // net/http's server has extended CONNECT only if this is set from the start
	}
	fmt.Printf("seed %d\n", *seed)
	if err := soak(time.Duration(*seconds)*time.Second, *seed, *streams); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// again runs this program with the setting that main looks for.
func again() int {
	cmd := exec.Command(os.Args[0], os.Args[1:]...)
	cmd.Env = append(os.Environ(), "GODEBUG=http2xconnect=1,"+os.Getenv("GODEBUG"))
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// patience is how long one session may take: none has to wait that long for anything.
const patience = 60 * time.Second

func soak(d time.Duration, seed uint64, streams int) error {
	authority := httptest.NewTLSServer(nil) // for its certificate
	authority.Close()
	roots := x509.NewCertPool()
	roots.AddCert(authority.Certificate())
	srv := &server{
		plans: make(map[int]plan), records: make(map[int]*record),
		tls: &tls.Config{Certificates: authority.TLS.Certificates, NextProtos: []string{"http/1.1"}},
	}
	urls := make(map[protocol]string)
	for over, scheme := range map[protocol]string{ws: "ws://", wss: "wss://"} {
		l, err := srv.listen(over == wss)
		if err != nil {
			return err
		}
		defer l.Close()
		urls[over] = scheme + l.Addr().String()
	}
	addr, end2, err := srv.listenHTTP2()
	if err != nil {
		return err
	}
	defer end2()
	urls[http2] = "wss://" + addr
	base := reqws.New(
		reqws.TLSConfig(&tls.Config{RootCAs: roots}), reqws.Logger(nil),
		reqws.RetryDelay(func(int) time.Duration { return 0 }), reqws.CloseTimeout(20*time.Second),
	)
	reqs := map[protocol]*reqws.Request{ws: base, wss: base, http2: base.With(reqws.Protocols(reqws.HTTP2))}
	before := remains()
	var (
		ids, messages atomic.Int64
		workers       sync.WaitGroup
		failed        = make(chan error, streams)
		end           = time.Now().Add(d)
	)
	for w := range streams {
		workers.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(w)))
			for time.Now().Before(end) && len(failed) == 0 {
				s := newSession(r, int(ids.Add(1)))
				record := srv.expect(s.plan)
				if err := attempt(s, record, reqs[s.over].With(reqws.URL(fmt.Sprintf("%s/%d", urls[s.over], s.id)))); err != nil {
					failed <- fmt.Errorf("session %+v, left %v: %w", s.plan, s.leave, err)
					return
				}
				messages.Add(int64(len(s.got) + len(record.heard)))
				srv.forget(s.id)
			}
		})
	}
	workers.Wait()
	select {
	case err := <-failed:
		return err
	default:
	}
	fmt.Printf("%d streams, %d messages: none lost, doubled or out of order\n", ids.Load(), messages.Load())
	return nothingLeft(before)
}

// attempt runs one session and checks it.
func attempt(s *session, r *record, req *reqws.Request) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.run(req)
		r.work.Wait()
	}()
	select {
	case <-done:
		return s.check(r)
	case <-time.After(patience):
		buf := make([]byte, 1<<20)
		return fmt.Errorf("it hangs:\n%s", buf[:runtime.Stack(buf, true)])
	}
}

// left is what streams may leave behind.
type left struct{ goroutines, descriptors int }

func remains() left {
	open, _ := os.ReadDir("/proc/self/fd") // none where there is no /proc
	return left{runtime.NumGoroutine(), len(open)}
}

// nothingLeft waits a moment for what belongs to the streams to end.
func nothingLeft(before left) error {
	now := remains()
	for range 100 {
		if now.goroutines <= before.goroutines && now.descriptors <= before.descriptors {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
		now = remains()
	}
	buf := make([]byte, 1<<20)
	return fmt.Errorf("%+v became %+v:\n%s", before, now, buf[:runtime.Stack(buf, true)])
}
