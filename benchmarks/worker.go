package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
)

// worker is a process of its own for one client, so that what a library leaves on
// the heap meets no other's collector.
type worker struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	enc *json.Encoder
	dec *json.Decoder
}

// order is one measurement.
type order struct {
	Workload string
	Via      transport
	Client   string
	Plan     plan
	Server   remote
	Profiles profiles
}

// answer is its result.
type answer struct {
	Figure figure
	Err    string
}

// workers starts each client's process when it is first asked for something.
type workers map[string]*worker

func (w workers) measure(o order) (figure, error) {
	p := w[o.Client]
	if p == nil {
		var err error
		if p, err = startWorker(); err != nil {
			return figure{}, err
		}
		w[o.Client] = p
	}
	var a answer
	if err := errors.Join(p.enc.Encode(o), p.dec.Decode(&a)); err != nil {
		return figure{}, err
	}
	if a.Err != "" {
		return figure{}, errors.New(a.Err)
	}
	return a.Figure, nil
}

func (w workers) stop() {
	for _, p := range w {
		p.in.Close()
		p.cmd.Wait()
	}
}

func startWorker() (*worker, error) {
	cmd, in, out, err := spawn("worker")
	if err != nil {
		return nil, err
	}
	return &worker{cmd, in, json.NewEncoder(in), json.NewDecoder(out)}, nil
}

// workerProcess is main in such a process.
func workerProcess() error {
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var o order
		if err := in.Decode(&o); err != nil {
			return nil // the parent has no more
		}
		f, err := o.carryOut()
		a := answer{Figure: f}
		if err != nil {
			a.Err = err.Error()
		}
		if err := out.Encode(a); err != nil {
			return err
		}
	}
}

func (o order) carryOut() (f figure, err error) {
	for _, w := range workloads() {
		if w.name != o.Workload || w.via != o.Via {
			continue
		}
		for _, c := range w.clients {
			if c.name() == o.Client {
				runtime.GC()
				err = o.Profiles.during(func() error {
					f, err = w.measure(&o.Server, o.Plan, c)
					return err
				})
				return f, err
			}
		}
	}
	return f, fmt.Errorf("no workload %q over %s with client %q", o.Workload, o.Via, o.Client)
}
