package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matryer/is"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/reqwstest"
)

// TestMain is the program itself in a child process of the tests.
func TestMain(m *testing.M) {
	if os.Getenv("SHUTDOWN_CHILD") != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// locked is an output for several goroutines.
type locked struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// stage is a worker with a server, and what their script can do with it. Its jobs end when they
// are told to, or with their ctx.
type stage struct {
	begun            chan int
	finish           map[int]chan struct{}
	endSoft, endHard context.CancelFunc
}

func (s *stage) do(ctx context.Context, n int) int {
	s.begun <- n
	select {
	case <-s.finish[n]:
	case <-ctx.Done():
	}
	return 10 * n
}

// begins waits for n jobs to be under way.
func (s *stage) begins(n int) reqwstest.Step {
	return reqwstest.Do(func(*reqwstest.Conn) error {
		for range n {
			<-s.begun
		}
		return nil
	})
}

func (s *stage) finishes(n int) reqwstest.Step {
	return reqwstest.Do(func(*reqwstest.Conn) error { close(s.finish[n]); return nil })
}

// soft and hard are the signals, with time before and after for the worker to get there.
func (s *stage) soft() reqwstest.Step { return s.signal(func() { s.endSoft() }) }
func (s *stage) hard() reqwstest.Step { return s.signal(func() { s.endHard() }) }

func (s *stage) signal(end func()) reqwstest.Step {
	return reqwstest.Do(func(*reqwstest.Conn) error {
		time.Sleep(time.Second)
		end()
		time.Sleep(time.Second)
		return nil
	})
}

func TestRun(t *testing.T) {
	const job1, job2, job3 = `{"job":1}`, `{"job":2}`, `{"job":3}`
	const done1, done2 = `{"job":1,"result":10}`, `{"job":2,"result":20}`
	answered := []reqwstest.Step{reqwstest.ExpectClose(1001, "shutting down"), reqwstest.SendClose(1001, "")}
	for _, c := range []struct {
		name   string
		script func(s *stage) []reqwstest.Step
		err    error
		took   time.Duration
	}{
		{"finishes what it has", func(s *stage) []reqwstest.Step {
			return append([]reqwstest.Step{
				reqwstest.Accept(), reqwstest.SendText(job1), reqwstest.SendText(job2), s.begins(2), s.soft(),
				reqwstest.SendText(job3), reqwstest.ExpectText(`{"job":3,"refused":true}`),
				s.finishes(2), reqwstest.ExpectText(done2),
				reqwstest.Sleep(10 * time.Second),
				s.finishes(1), reqwstest.ExpectText(done1),
			}, answered...)
		}, nil, 12 * time.Second},
		{"has nothing", func(s *stage) []reqwstest.Step {
			return append([]reqwstest.Step{
				reqwstest.Accept(), reqwstest.SendText(job1), s.begins(1), s.finishes(1), reqwstest.ExpectText(done1), s.soft(),
			}, answered...)
		}, nil, 2 * time.Second},
		{"a job takes too long", func(s *stage) []reqwstest.Step {
			return []reqwstest.Step{reqwstest.Accept(), reqwstest.SendText(job1), s.begins(1), s.soft(), reqwstest.ExpectGone()}
		}, errHurried, time.Second + grace},
		{"the server says no goodbye", func(s *stage) []reqwstest.Step {
			return []reqwstest.Step{reqwstest.Accept(), s.soft(), reqwstest.ExpectClose(1001, "shutting down"), reqwstest.ExpectGone()}
		}, os.ErrDeadlineExceeded, time.Second + goodbye},
		{"hurried with jobs under way", func(s *stage) []reqwstest.Step {
			return []reqwstest.Step{reqwstest.Accept(), reqwstest.SendText(job1), s.begins(1), s.soft(), s.hard(), reqwstest.ExpectCloseCode(1001)}
		}, errHurried, 3 * time.Second},
		{"hurried in the goodbye", func(s *stage) []reqwstest.Step {
			return []reqwstest.Step{reqwstest.Accept(), s.soft(), reqwstest.ExpectClose(1001, "shutting down"), s.hard(), reqwstest.ExpectGone()}
		}, errHurried, 3 * time.Second},
		{"the connection is lost meanwhile", func(s *stage) []reqwstest.Step {
			return []reqwstest.Step{reqwstest.Accept(), reqwstest.SendText(job1), s.begins(1), s.soft(), reqwstest.Drop()}
		}, io.ErrUnexpectedEOF, 2 * time.Second},
		{"the server closes", func(s *stage) []reqwstest.Step {
			return []reqwstest.Step{reqwstest.Accept(), reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, "")}
		}, nil, 0},
		{"while it connects", func(s *stage) []reqwstest.Step {
			return []reqwstest.Step{reqwstest.Do(func(c *reqwstest.Conn) error { _, err := c.ReadRequest(); return err }), s.soft(), reqwstest.ExpectGone()}
		}, context.Canceled, time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				is := is.New(t)
				s := &stage{begun: make(chan int, 3), finish: map[int]chan struct{}{1: make(chan struct{}), 2: make(chan struct{})}}
				var soft, hard context.Context
				soft, s.endSoft = context.WithCancel(t.Context())
				hard, s.endHard = context.WithCancel(t.Context())
				srv := reqwstest.NewMemory(t, reqwstest.Script(c.script(s)...))
				start := time.Now()
				err := run(soft, hard, newWorker(new(locked), s.do), reqws.URL(srv.URL), reqws.DialContext(srv.DialContext), reqws.Heartbeat(0, 0))
				is.True(errors.Is(err, c.err))
				is.Equal(time.Since(start), c.took)
			})
		})
	}
}

func TestContexts(t *testing.T) {
	is := is.New(t)
	sigs := make(chan os.Signal)
	soft, hard := contexts(sigs)
	is.NoErr(soft.Err())
	sigs <- os.Interrupt
	<-soft.Done()
	is.NoErr(hard.Err())
	sigs <- os.Interrupt
	<-hard.Done()
}

// The dispatcher of the program's own.
func TestDispatcher(t *testing.T) {
	is := is.New(t)
	d := startDispatcher(time.Microsecond)
	soft, endSoft := context.WithCancel(t.Context())
	w := newWorker(new(locked), func(_ context.Context, n int) int {
		if n == 20 {
			endSoft()
		}
		return n
	})
	is.NoErr(run(soft, t.Context(), w, reqws.URL(d.url)))
	report := d.report()
	is.True(strings.Contains(report, "20:20"))
	is.True(strings.HasSuffix(report, `StatusGoingAway and reason = "shutting down"`))
}

// child starts the program as a worker of srv.
func child(t *testing.T, srv *reqwstest.Server) (cmd *exec.Cmd, errOut *bytes.Buffer) {
	t.Helper()
	is := is.New(t)
	exe, err := os.Executable()
	is.NoErr(err)
	cmd = exec.CommandContext(t.Context(), exe, srv.URL)
	cmd.Env = append(os.Environ(), "SHUTDOWN_CHILD=1")
	errOut = new(bytes.Buffer)
	cmd.Stderr = errOut
	is.NoErr(cmd.Start())
	return cmd, errOut
}

func TestSIGTERM(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there is no SIGTERM there")
	}
	process := make(chan *os.Process, 2)
	sigterm := reqwstest.Named("SIGTERM", func(*reqwstest.Conn) error { return (<-process).Signal(syscall.SIGTERM) })
	// The pong says that the handler has had the job.
	toTheGoodbye := []reqwstest.Step{
		reqwstest.Accept(), reqwstest.SendText(`{"job":7}`), reqwstest.SendPing("?"), reqwstest.ExpectPong("?"),
		sigterm, reqwstest.ExpectText(`{"job":7,"result":49}`), reqwstest.ExpectClose(1001, "shutting down"),
	}
	for _, c := range []struct {
		name   string
		rest   []reqwstest.Step
		code   int
		errOut string
	}{
		{"once", []reqwstest.Step{reqwstest.SendClose(1001, "")}, 0, ""},
		{"twice", []reqwstest.Step{sigterm, reqwstest.ExpectGone()}, 1, "shutdown: left without a goodbye\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			is := is.New(t)
			srv := reqwstest.New(t, reqwstest.Script(append(toTheGoodbye[:len(toTheGoodbye):len(toTheGoodbye)], c.rest...)...))
			cmd, errOut := child(t, srv)
			process <- cmd.Process
			process <- cmd.Process
			_ = cmd.Wait() // the exit code tells
			is.Equal(cmd.ProcessState.ExitCode(), c.code)
			is.Equal(errOut.String(), c.errOut)
			for len(process) > 0 {
				<-process
			}
		})
	}
}
