package main

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/reqws/reqws/fleet"
)

const (
	roleName = "FIGURES_ROLE"
	roleNATS = "FIGURES_NATS"
)

// roles are what the processes do.
var roles = map[string]func(url string) error{
	"plain":   plain,
	"worker":  func(url string) error { return worker(url, "w1") },
	"worker2": func(url string) error { return worker(url, "w2") },
}

func worker(url, name string) error {
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})))
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
	return f.Run(ctx, fleet.WorkerConfig{Name: name, Capacity: 10_000}, 10*time.Second)
}

// plain publishes as fast as nats.go can, with as many under way as a worker has.
func plain(url string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	nc, err := nats.Connect(url)
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(4096))
	if err != nil {
		return err
	}
	data := []byte(strings.Repeat("x", size))
	for ctx.Err() == nil {
		if _, err := js.PublishMsgAsync(&nats.Msg{Subject: "fleet.in.plain", Data: data}, jetstream.WithStallWait(time.Minute)); err != nil {
			return err
		}
	}
	return nil
}

// process is one of the others.
type process struct{ cmd *exec.Cmd }

func (w *world) process(role string) *process {
	p := &process{exec.Command(os.Args[0])}
	p.cmd.Env = append(os.Environ(), roleName+"="+role, roleNATS+"="+w.nats.ClientURL())
	p.cmd.Stderr = os.Stderr
	check(p.cmd.Start())
	return p
}

func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return p.cmd.Wait()
}

func (p *process) kill() error {
	err := p.cmd.Process.Kill()
	_ = p.cmd.Wait()
	return err
}

// resident is the process's resident memory in bytes (Linux).
func (p *process) resident() int {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(p.cmd.Process.Pid) + "/statm")
	check(err)
	pages, err := strconv.Atoi(strings.Fields(string(data))[1])
	check(err)
	return pages * os.Getpagesize()
}
