package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/reqws/reqws"
)

// request is what the bot says. The gateway sends it to the route that action names, if the
// API's route selection expression is $request.body.action, as it usually is.
type request struct {
	Action string `json:"action"`
	ID     int    `json:"id,omitempty"`
	Result string `json:"result,omitempty"`
}

// message is what the integrations behind the routes say.
type message struct {
	Type string `json:"type"` // job, empty or pong
	ID   int    `json:"id"`
	Text string `json:"text"`
	// Message is set in place of the others where the gateway itself speaks: no route took
	// the request, or its integration failed.
	Message string `json:"message"`
}

// bot asks for jobs and does them, until there are no more.
type bot struct {
	mu   sync.Mutex // of out: jobs are done in goroutines of their own
	out  io.Writer
	jobs sync.WaitGroup
}

func newBot(out io.Writer) *bot { return &bot{out: out} }

// work connects to url and works until no job is left, ctx ends, or something fails for good.
func (b *bot) work(ctx context.Context, url string, signature reqws.SigV4, opts ...reqws.Option) error {
	defer b.jobs.Wait()
	signature.Service = "execute-api" // the name that API Gateway's endpoints sign for
	return reqws.New(
		reqws.URL(url),
		reqws.AWSSigV4(signature),

		// API Gateway ends every connection after two hours, and one that has been idle for ten
		// minutes. Its quotas cannot be raised, so a bot that is to live longer comes back. Each
		// attempt is signed anew: a signature is good for a few minutes only.
		reqws.Reconnect(-1),
		reqws.OnOpen(b.opened),

		// A message of the application's own keeps an idle connection. Pings are no help: users
		// of API Gateway report that it counts messages alone. The route has to answer for the
		// peer to count as alive; if yours does not, make the timeout 0.
		reqws.HeartbeatFrame(func() reqws.Frame { return reqws.Text(`{"action":"ping"}`) }),
		reqws.Heartbeat(5*time.Minute, 30*time.Second),

		// EachJSON takes pings and close frames off the handler's hands.
		reqws.Into(reqws.EachJSON(func(m message, resp *reqws.Response) reqws.Directive {
			return b.handle(ctx, m, resp)
		})),
	).With(opts...).Run(ctx)
}

// opened says hello on each connection. A job that was under way when the last one ended is
// still the bot's; the backend hands out a job until it has heard of its result.
func (b *bot) opened(resp *reqws.Response) reqws.Directive {
	b.say("connected: %s", resp.Proto)
	return reply(request{Action: "next"})
}

func (b *bot) handle(ctx context.Context, m message, resp *reqws.Response) reqws.Directive {
	switch {
	case m.Message != "":
		return reqws.Fail(fmt.Errorf("the gateway says: %s", m.Message))
	case m.Type == "job":
		// Nothing is read while a handler runs, so what takes long has a goroutine of its own.
		b.jobs.Go(func() { b.do(ctx, m, resp) })
	case m.Type == "empty":
		b.say("no jobs left")
		return reqws.Halt()
	}
	return reqws.Cont()
}

// do does a job and sends its result. If the connection has ended meanwhile, the result waits
// for the next one: every Response of the bot's is of the same stream.
func (b *bot) do(ctx context.Context, job message, resp *reqws.Response) {
	result := strings.ToUpper(job.Text)
	b.say("job %d: %s -> %s", job.ID, job.Text, result)
	if err := resp.SendJSON(ctx, request{Action: "done", ID: job.ID, Result: result}); err != nil {
		b.say("job %d: its result is not sent: %v", job.ID, err)
	}
}

// reply goes on and says v.
func reply(v any) reqws.Directive {
	f, err := reqws.JSON(v)
	if err != nil {
		return reqws.Fail(err)
	}
	return reqws.Cont(f)
}

func (b *bot) say(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	fmt.Fprintf(b.out, format+"\n", args...)
}
