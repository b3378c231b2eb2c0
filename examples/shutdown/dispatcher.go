package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
)

// dispatcher gives jobs to a worker for as long as that stays.
type dispatcher struct {
	url  string
	end  chan error // why the worker is gone
	jobs map[int]string
}

// startDispatcher starts one that has a new job each pace.
func startDispatcher(pace time.Duration) *dispatcher {
	d := &dispatcher{end: make(chan error, 1), jobs: map[int]string{}}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer conn.CloseNow()
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		go give(ctx, conn, pace)
		d.end <- d.collect(ctx, conn)
	}))
	d.url = strings.Replace(srv.URL, "http", "ws", 1)
	return d
}

// give gives out jobs.
func give(ctx context.Context, conn *websocket.Conn, pace time.Duration) {
	for n := 1; wsjson.Write(ctx, conn, job{Number: n}) == nil; n++ {
		time.Sleep(pace)
	}
}

// collect reads what the worker answers, up to its end.
func (d *dispatcher) collect(ctx context.Context, conn *websocket.Conn) error {
	for {
		var j job
		if err := wsjson.Read(ctx, conn, &j); err != nil {
			return err
		}
		d.jobs[j.Number] = fmt.Sprint(j.Result)
		if j.Refused {
			d.jobs[j.Number] = "refused"
		}
	}
}

// report waits for the worker's end, and says what it has done.
func (d *dispatcher) report() string {
	end := <-d.end
	var closed websocket.CloseError
	if errors.As(end, &closed) {
		end = closed
	}
	return fmt.Sprintf("the dispatcher has got %v\nand then: %v", d.jobs, end)
}
