package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

// results are all that a run measured, as -json writes them and -from reads them.
type results struct {
	Date     time.Time     `json:"date"`
	Machine  machine       `json:"machine"`
	Versions []version     `json:"versions"`
	Plan     plan          `json:"plan"`
	Tables   []table       `json:"tables"`
	Memory   []memoryTable `json:"memory,omitempty"`
	HTTP2    []http2Row    `json:"http2,omitempty"`
	Growth   []growthRow   `json:"growth,omitempty"`
	Syscalls []syscallRow  `json:"syscalls,omitempty"`
	Notes    []string      `json:"notes,omitempty"` // what was left out, and why
}

type machine struct {
	CPU    string `json:"cpu"`
	Count  int    `json:"cpus"`
	System string `json:"system"`
	Kernel string `json:"kernel"`
	Go     string `json:"go"`
}

// version is that of a library.
type version struct {
	Module  string `json:"module"`
	Version string `json:"version"`
}

func newResults(p plan) *results {
	return &results{Date: time.Now().UTC().Truncate(time.Second), Machine: thisMachine(), Versions: versions(), Plan: p}
}

func thisMachine() machine {
	m := machine{Count: runtime.NumCPU(), System: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version()}
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = strings.Join(strings.SplitN(string(b), ".", 3)[:2], ".")
	}
	b, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(b)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			m.CPU = strings.TrimSpace(value)
			break
		}
	}
	return m
}

// versions are those of the peers and of what they are built on.
func versions() (v []version) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return nil
	}
	for _, m := range info.Deps {
		for _, name := range []string{"coder/websocket", "gobwas/ws", "gorilla/websocket", "lxzan/gws", "lesismal/", "klauspost/compress"} {
			if strings.Contains(m.Path, name) {
				v = append(v, version{m.Path, m.Version})
			}
		}
	}
	return v
}

func (m machine) String() string {
	s := fmt.Sprintf("%s, %s, %d CPUs", m.Go, m.System, m.Count)
	if m.CPU != "" {
		s += ", " + m.CPU
	}
	if m.Kernel != "" {
		s += ", kernel " + m.Kernel
	}
	return s
}

// heading says where and with what the results came to be.
func (r *results) heading(out io.Writer) {
	fmt.Fprintf(out, "%s, %s\n", r.Machine, r.Date.Format(time.DateOnly))
	for _, v := range r.Versions {
		fmt.Fprintf(out, "%s %s\n", v.Module, v.Version)
	}
}

// write prints everything, as a run does bit by bit.
func (r *results) write(out io.Writer) {
	r.heading(out)
	for _, t := range r.Tables {
		t.write(out)
	}
	for _, m := range r.Memory {
		m.write(out)
	}
	writeHTTP2(out, r.HTTP2)
	writeGrowth(out, r.Growth)
	writeSyscalls(out, r.Syscalls)
	r.conclude(out)
}

// conclude prints the summaries and what was left out.
func (r *results) conclude(out io.Writer) {
	if len(r.Tables) > 0 {
		fmt.Fprint(out, summaryHead)
		for _, t := range r.Tables {
			fmt.Fprint(out, t.summary())
		}
	}
	if len(r.Memory) > 0 {
		fmt.Fprint(out, memoryHead)
		for _, m := range r.Memory {
			fmt.Fprint(out, m.summary())
		}
	}
	if len(r.Notes) > 0 {
		fmt.Fprintf(out, "\nLeft out: %s\n", strings.Join(r.Notes, "; "))
	}
}

// keep writes the files that were asked for.
func (r *results) keep(jsonFile, svgFile string) error {
	if r == nil {
		return nil
	}
	var errs [2]error
	if jsonFile != "" {
		errs[0] = r.save(jsonFile)
	}
	if svgFile != "" {
		errs[1] = os.WriteFile(svgFile, []byte(chart(r)), 0o644)
	}
	return errors.Join(errs[:]...)
}

func (r *results) save(path string) error {
	b, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}

func load(path string) (*results, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r := &results{}
	if err := json.Unmarshal(b, r); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}
