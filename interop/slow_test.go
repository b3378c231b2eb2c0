package interop

import (
	"context"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/reqws/reqws"
)

// workTime is how long a slow handler takes for a message: servers that ping twice a second and give up
// after about as long have long done so.
const workTime = 2 * time.Second

// answer is what the work of a frame comes to.
func answer(f reqws.Frame) (reqws.Frame, bool) {
	var n int
	if _, err := fmt.Sscanf(f.Text(), "work %d", &n); err != nil {
		return reqws.Frame{}, false
	}
	time.Sleep(workTime)
	return reqws.Text(fmt.Sprint("done ", n)), true
}

// outcomeOfWork is what became of a stream that had work to do.
type outcomeOfWork struct {
	done  int
	close string // the server's close frame
	err   error
}

// see does the work of a frame, or notes the end.
func (o *outcomeOfWork) see(ctx context.Context, f reqws.Frame, resp *reqws.Response) {
	if f.Kind == reqws.KindClose {
		o.close = f.String()
	}
	if reply, ok := answer(f); ok && resp.Send(ctx, reply) == nil {
		o.done++
	}
}

// workers are the ways to do the work.
var workers = map[string]func(context.Context, *reqws.Request) outcomeOfWork{
	"handler": func(ctx context.Context, req *reqws.Request) (o outcomeOfWork) {
		o.err = req.Run(ctx, reqws.Into(reqws.EachWith(func(f reqws.Frame, resp *reqws.Response) reqws.Directive {
			o.see(ctx, f, resp)
			return reqws.Cont()
		})))
		return o
	},
	"mailbox": func(ctx context.Context, req *reqws.Request) (o outcomeOfWork) {
		box := make(chan reqws.Message)
		if _, o.err = req.Do(ctx, reqws.IntoMailbox(box)); o.err != nil {
			return o
		}
		for m := range box {
			for _, f := range m.Frames {
				o.see(ctx, f, m.Response)
			}
			if m.Err == io.EOF {
				break
			}
			if o.err = m.Err; o.err != nil {
				break
			}
		}
		return o
	},
}

// Servers that ping give up a client whose handler is slow, each in its own way, and do not with
// ReadAhead.
func TestSlowHandlers(t *testing.T) {
	servers := map[string]func(*testing.T) reqws.Option{
		"ws": func(t *testing.T) reqws.Option {
			url, _ := startNode(t).at(t, "/slow", nil)
			return url
		},
	}
	for library := range pythonLibraries {
		servers[library] = func(t *testing.T) reqws.Option {
			return reqws.URL("ws://" + startPython(t, library, "ping").addr + "/slow")
		}
	}
	const allDone = `close 1000 "all done"`
	for name, server := range servers {
		for by, work := range workers {
			for _, ahead := range []int{0, 1 << 20} {
				t.Run(fmt.Sprintf("%s/%s/%d", name, by, ahead), func(t *testing.T) {
					t.Parallel() // they mostly wait
					is := is.New(t)
					o := work(within(t, time.Minute), reqws.New(server(t), reqws.ReadAhead(ahead)))
					if ahead == 0 {
						t.Logf("given up: %q, %v", o.close, o.err)
						is.True(o.close != allDone)
						return
					}
					is.NoErr(o.err)
					is.Equal(o.close, allDone)
					is.Equal(o.done, 2)
				})
			}
		}
	}
}
