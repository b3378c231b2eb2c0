//go:build unix

package main

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/reqws/reqws/fleet"
)

const (
	workerURL  = "SOAK_WORKER_NATS"
	workerName = "SOAK_WORKER_NAME"
	lease      = time.Second
)

// work is a worker process. That others are stopped, and do not take its streams in time, is no error here.
func work(url string) error {
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError + 1})))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	nc, err := fleet.Connect(url, nats.ReconnectWait(50*time.Millisecond))
	if err != nil {
		return err
	}
	defer nc.Close()
	f, err := fleet.Open(context.Background(), nc, fleet.Config{Lease: lease})
	if err != nil {
		return err
	}
	err = f.Run(ctx, fleet.WorkerConfig{Name: os.Getenv(workerName), Capacity: 50, MaxPending: 200}, 10*time.Second)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// process is a worker process and what is being done to it.
type process struct {
	cmd     *exec.Cmd
	name    string
	stopped bool // by SIGSTOP
}

func start(url, name string) (*process, error) {
	p := &process{cmd: exec.Command(os.Args[0]), name: name}
	p.cmd.Env = append(os.Environ(), workerURL+"="+url, workerName+"="+name)
	p.cmd.Stderr = os.Stderr
	return p, p.cmd.Start()
}

func (p *process) signal(s os.Signal) error { return p.cmd.Process.Signal(s) }

// end waits for the process to end after a signal.
func (p *process) end(s os.Signal) error {
	if p.stopped {
		_ = p.signal(syscall.SIGCONT)
	}
	if err := p.signal(s); err != nil {
		return err
	}
	err := p.cmd.Wait()
	if s == syscall.SIGKILL {
		return nil
	}
	return err
}
