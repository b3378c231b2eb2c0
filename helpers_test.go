package reqws_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/internal/wiretest"
	"github.com/reqws/reqws/reqwstest"
)

// to returns a Request to a scripted server.
func to(srv *reqwstest.Server, opts ...reqws.Option) *reqws.Request {
	base := []reqws.Option{
		reqws.URL(srv.URL),
		reqws.DialContext(srv.DialContext),
		reqws.Retry(reqws.Never),
		reqws.Logger(nil),
	}
	if strings.HasPrefix(srv.URL, "wss") {
		base = append(base, reqws.TLSConfig(srv.TLSConfig()))
	}
	return reqws.New(base...).With(opts...)
}

// servers are the ways to a server of this package's tests.
var servers = map[string]func(reqwstest.TB, ...reqwstest.Option) *reqwstest.Server{
	"ws": reqwstest.New, "wss": reqwstest.NewTLS, "memory": reqwstest.NewMemory,
}

// tidy fails the test if it leaves goroutines or sockets behind. It comes first.
func tidy(t *testing.T) {
	t.Helper()
	reqwstest.NoLeaks(t)
	wiretest.NoFDLeaks(t)
}

// witness is a handler that notes what it gets, and answers what it is told to.
type witness struct {
	mu      sync.Mutex
	batches [][]string
	errs    []error
	answer  func(in reqws.Event, resp *reqws.Response) reqws.Directive
}

func (w *witness) handle(in reqws.Event, resp *reqws.Response) reqws.Directive {
	w.mu.Lock()
	if in.Err != nil {
		w.errs = append(w.errs, in.Err)
	}
	if len(in.Frames) > 0 {
		w.batches = append(w.batches, listed(in.Frames))
	}
	w.mu.Unlock()
	if w.answer == nil {
		return reqws.Cont()
	}
	return w.answer(in, resp)
}

func (w *witness) into() reqws.Option { return reqws.Into(w.handle) }

// frames are all that came, whatever the batches were.
func (w *witness) frames() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []string
	for _, b := range w.batches {
		all = append(all, b...)
	}
	return all
}

func listed(frames []reqws.Frame) []string {
	var out []string
	for _, f := range frames {
		out = append(out, f.String())
	}
	return out
}

// shown is how the frames that a server received look.
func shown(c *reqwstest.Conn) []string {
	var out []string
	for _, f := range c.Frames() {
		out = append(out, f.String())
	}
	return out
}

// expected is how 16 texts come back with the pongs that nobody asked the
// handler for.
func expected(n int) []reqwstest.Frame {
	var out []reqwstest.Frame
	for i := range n {
		out = append(out, reqwstest.Pong(fmt.Sprint(i)))
	}
	for i := range n {
		out = append(out, reqwstest.Text(fmt.Sprint(i)))
	}
	return out
}

// echo answers messages with themselves.
func echo(f reqws.Frame) reqws.Directive {
	switch f.Kind {
	case reqws.KindText, reqws.KindBinary:
		return reqws.Cont(f)
	}
	return reqws.Cont()
}
