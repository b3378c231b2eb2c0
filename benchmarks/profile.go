package main

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"runtime/pprof"
	"strings"
)

// profiles are where the profiles of one measurement go, or of all: then they are
// directories. Empty means none.
type profiles struct {
	CPU, Memory string
}

func (p profiles) wanted() bool { return p.CPU != "" || p.Memory != "" }

var unfit = regexp.MustCompile(`[^A-Za-z0-9]+`)

// of is the files for one workload.
func (p profiles) of(workload string, via transport) profiles {
	name := strings.Trim(unfit.ReplaceAllString(workload, "-"), "-") + "-" + string(via)
	in := func(dir, kind string) string {
		if dir == "" {
			return ""
		}
		return filepath.Join(dir, name+"."+kind+".pprof")
	}
	return profiles{in(p.CPU, "cpu"), in(p.Memory, "memory")}
}

// during runs f and writes what it spent, and what this process has allocated so far.
func (p profiles) during(f func() error) error {
	if p.CPU != "" {
		out, err := create(p.CPU)
		if err != nil {
			return err
		}
		defer out.Close()
		if err := pprof.StartCPUProfile(out); err != nil {
			return err
		}
	}
	err := f()
	pprof.StopCPUProfile()
	if p.Memory != "" {
		out, failed := create(p.Memory)
		if failed != nil {
			return errors.Join(err, failed)
		}
		defer out.Close()
		err = errors.Join(err, pprof.Lookup("allocs").WriteTo(out, 0))
	}
	return err
}

func create(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	return os.Create(path)
}
