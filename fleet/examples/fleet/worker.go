package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"github.com/reqws/reqws/fleet"
)

// The worker processes are this program once more, with what they need in the environment.
const (
	workerURL  = "FLEET_WORKER_NATS"
	workerName = "FLEET_WORKER_NAME"
)

// work is a worker's main: all it takes.
func work(url, name string, lease time.Duration) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	nc, err := fleet.Connect(url)
	if err != nil {
		return err
	}
	defer nc.Close()
	f, err := fleet.Open(ctx, nc, fleet.Config{Lease: lease})
	if err != nil {
		return err
	}
	return f.Run(ctx, fleet.WorkerConfig{Name: name, Capacity: 1000}, time.Minute)
}

// process is a worker process.
type process struct {
	cmd  *exec.Cmd
	name string
}

func startWorker(url, name string, lease time.Duration) (*process, error) {
	p := &process{cmd: exec.Command(os.Args[0], "-lease", lease.String()), name: name}
	p.cmd.Env = append(os.Environ(), workerURL+"="+url, workerName+"="+name)
	p.cmd.Stderr = os.Stderr
	return p, p.cmd.Start()
}

// kill ends the process at once, as a machine that is lost does.
func (p *process) kill() error {
	if err := p.cmd.Process.Kill(); err != nil {
		return err
	}
	_ = p.cmd.Wait()
	return nil
}

// stop has the worker give its streams to others, and waits for its end.
func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	if err := p.cmd.Wait(); err != nil {
		return fmt.Errorf("worker %s: %w", p.name, err)
	}
	return nil
}
