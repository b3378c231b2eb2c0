package main

import (
	"bufio"
	"os"
	"sync"
	"time"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/cmd/reqws/recording"
)

// recorder writes a recording. A nil one writes none.
type recorder struct {
	mu    sync.Mutex
	file  *os.File
	w     *bufio.Writer
	out   *recording.Writer
	began time.Time
}

func newRecorder(path, url string) (*recorder, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	w := bufio.NewWriter(file)
	r := &recorder{file: file, w: w, began: time.Now()}
	r.out, err = recording.NewWriter(w, url, r.began)
	return r, err
}

// opened records that a connection is open.
func (r *recorder) opened(info reqws.OpenedInfo) {
	if r == nil {
		return
	}
	r.write(recording.Entry{Kind: recording.Open, Subprotocol: info.Subprotocol, At: time.Since(r.began)})
}

// frame records a frame.
func (r *recorder) frame(direction string, f reqws.Frame, at time.Time) {
	if r == nil {
		return
	}
	r.write(recording.Entry{
		Direction: direction, Kind: f.Kind.String(), Data: f.Data, Code: int(f.Code), At: at.Sub(r.began),
	})
}

func (r *recorder) write(e recording.Entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	_ = r.out.Write(e)
	_ = r.w.Flush() // what there is, is there, whatever ends the program
}

func (r *recorder) close() { _ = r.file.Close() }
