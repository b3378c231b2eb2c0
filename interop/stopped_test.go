package interop

import (
	"context"
	"errors"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/matryer/is"

	"github.com/reqws/reqws"
)

// suspend stops the process of p, which keeps its connections, until the end of the test.
func (p *program) suspend(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.cmd.Process.Signal(syscall.SIGCONT) })
}

// echoes has one message sent back.
func echoes(t *testing.T, resp *reqws.Response, message string) {
	t.Helper()
	is := is.New(t)
	is.NoErr(resp.Send(within(t, 30*time.Second), reqws.Text(message)))
	frames, err := resp.Receive(within(t, 30*time.Second))
	is.NoErr(err)
	is.Equal(frames[0].Text(), message)
}

const heartbeat, patience = 200 * time.Millisecond, 300 * time.Millisecond

// A server whose process stands still keeps its connections, and takes what is sent: only the heartbeat
// tells. Over HTTP/2 the proxy in front of it is alive, and answers for the connection.
func TestStoppedServers(t *testing.T) {
	ca := newAuthority(t, "Test CA")
	cert, key := ca.files("ws.example.com")
	for name, serve := range map[string]func(t *testing.T) (*program, reqws.Option){
		"ws": func(t *testing.T) (*program, reqws.Option) {
			p := startPython(t, "websockets", "quiet")
			return p, reqws.URL("ws://" + p.addr + "/echo")
		},
		"wss": func(t *testing.T) (*program, reqws.Option) {
			p := startPython(t, "websockets", "quiet", cert, key)
			return p, through(p, ca)
		},
		"HTTP/2": func(t *testing.T) (*program, reqws.Option) {
			p := startPython(t, "websockets", "quiet")
			front := startNghttpx(t, ca, p.port())
			return p, reqws.Options(through(front, ca), reqws.Protocols(reqws.HTTP2))
		},
	} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			p, options := serve(t)
			resp := open(t, options, reqws.Heartbeat(heartbeat, patience))
			is.Equal(resp.Proto == "HTTP/2.0", name == "HTTP/2")
			echoes(t, resp, "before")
			p.suspend(t)
			select {
			case <-resp.Done():
			case <-time.After(30 * time.Second):
				t.Fatal("the heartbeat did not tell")
			}
			is.True(errors.Is(resp.Wait(), reqws.ErrPeerUnresponsive))
		})
	}
}

// With Reconnect a server that stands still is left for the one that takes its place.
func TestReconnectLeavesAStoppedServer(t *testing.T) {
	is := is.New(t)
	p := startPython(t, "websockets", "quiet")
	var opened atomic.Int32
	broken := make(chan error, 1000)
	resp := open(t, reqws.URL("ws://"+p.addr+"/echo"), reqws.Heartbeat(heartbeat, patience),
		reqws.Logger(nil), reqws.Reconnect(-1), reqws.ConnectTimeout(time.Second), // a stopped server accepts, and never answers
		reqws.ReconnectBackOff(func() backoff.BackOff { return backoff.NewConstantBackOff(50 * time.Millisecond) }),
		reqws.ReconnectFunc(func(err error) reqws.RetryDecision {
			broken <- err
			return reqws.Again
		}),
		reqws.OnOpen(func(*reqws.Response) reqws.Directive {
			opened.Add(1)
			return reqws.Cont()
		}))
	echoes(t, resp, "before")
	p.suspend(t)
	is.True(errors.Is(<-broken, reqws.ErrPeerUnresponsive))
	is.True(errors.Is(<-broken, context.DeadlineExceeded)) // it was tried again
	is.Equal(opened.Load(), int32(1))

	is.NoErr(p.cmd.Process.Kill())
	<-p.exited
	startPythonAt(t, p.port())
	echoes(t, resp, "after")
	is.Equal(opened.Load(), int32(2))
	is.NoErr(resp.Close(1000, ""))
	is.NoErr(resp.Wait())
}
