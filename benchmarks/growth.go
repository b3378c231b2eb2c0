package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/reqws/reqws"
)

// Growth is what changes from one connection to many: each step has a server and a
// client process of its own. When all is open and measured, the server goes away and
// comes back.

// growthRow is one client at one step.
type growthRow struct {
	Via       transport `json:"transport"`
	Client    string    `json:"client"`
	Conns     int       `json:"connections"`
	Opened    float64   `json:"opened_s"`   // until all were open
	RSS       float64   `json:"rss"`        // bytes per connection, what all share included
	Sparse    figure    `json:"sparse"`     // what a small message takes
	Reopened  float64   `json:"reopened_s"` // until all had reconnected; 0 for those that cannot
	Abandoned string    `json:"abandoned,omitempty"`
}

const (
	perHost     = 20_000                // connections to one address, which has 28,000 ports
	growthRate  = 40 * time.Microsecond // between two messages, at least
	growthEvery = 20 * time.Millisecond // between two messages on one connection, at least
	growthTime  = 3 * time.Second       // of messages
	patience    = 2 * time.Minute       // until all have reconnected
)

// growers are those whose growth is measured.
func growers() []client {
	return []client{reqwsGrowing, nbioClient, gobwasClient, gorillaClient}
}

// grow measures the steps that this machine has room for.
func (b *bench) grow() error {
	if !b.growth {
		return nil
	}
	raiseFileLimit()
	for _, via := range []transport{overWS, overWSS} {
		if !b.only.MatchString(title("growth", via)) {
			continue
		}
		for _, n := range b.plan.Steps {
			if why := tooMany(n, via); why != "" {
				b.leaveOut("growth over %s, %d connections: %s", via, n, why)
				continue
			}
			for _, c := range growers() {
				b.progress.say("growth, over %s: %d connections: %s", via, n, c.name())
				r, err := grown(c, via, n)
				if err != nil {
					return fmt.Errorf("growth, over %s: %d connections: %s: %w", via, n, c.name(), err)
				}
				b.results.Growth = append(b.results.Growth, r)
			}
		}
	}
	b.progress.clear()
	writeGrowth(b.out, b.results.Growth)
	return nil
}

// leaveOut notes what is not measured.
func (b *bench) leaveOut(format string, args ...any) {
	b.results.Notes = append(b.results.Notes, fmt.Sprintf(format, args...))
}

// tooMany says why a step cannot be measured here, or nothing.
func tooMany(n int, via transport) string {
	const others = 200 // descriptors
	if most := fileLimit(); uint64(n+others) > most {
		return fmt.Sprintf("a process may have no more than %d files open here", most)
	}
	need := uint64(n) * 30_000 // both sides, with what the kernel holds
	if via == overWSS {
		need = uint64(n) * 120_000
	}
	if free := freeMemory(); free > 0 && need > free {
		return fmt.Sprintf("they may take %d MB of memory, and %d MB are free", need>>20, free>>20)
	}
	return ""
}

// growthOrder is what the client's process is told.
type growthOrder struct {
	Client string
	Via    transport
	Server remote
	Hosts  []string
	N      int
}

// grown measures one step of one client.
func grown(c client, via transport, n int) (r growthRow, err error) {
	again := serverOrder{}
	for i := range 1 + n/perHost {
		again.Hosts = append(again.Hosts, fmt.Sprintf("127.0.0.%d", 1+i))
	}
	if again.Cert, again.Key, err = certificate(); err != nil {
		return r, err
	}
	server, err := startServer(again)
	if err != nil {
		return r, err
	}
	defer func() { server.stop() }()
	cmd, in, out, err := spawn("grown")
	if err != nil {
		return r, err
	}
	defer cmd.Wait()
	defer in.Close()
	tell, hear := json.NewEncoder(in), json.NewDecoder(out)
	o := growthOrder{Client: c.name(), Via: via, Server: *server, Hosts: again.Hosts, N: n}
	if err := errors.Join(tell.Encode(o), hear.Decode(&r)); err != nil {
		return r, err
	}
	if _, ok := c.(reopener); !ok {
		return r, nil
	}
	server.stop()
	again.Plain, again.TLS = port(server.Plain), port(server.TLS)
	next, err := startServer(again)
	if err != nil {
		return r, err
	}
	server = next
	back := time.Now()
	var reopened string
	if err := hear.Decode(&reopened); err != nil {
		return r, err
	}
	r.Reopened, r.Abandoned = time.Since(back).Seconds(), reopened
	return r, nil
}

// reopener connects again whenever a connection is lost.
type reopener interface {
	client
	keeper(t target, got received, opened func()) func() (conn, error)
}

// grownProcess is main in the client's process.
func grownProcess() error {
	raiseFileLimit()
	var o growthOrder
	if err := json.NewDecoder(os.Stdin).Decode(&o); err != nil {
		return err
	}
	i := slices.IndexFunc(growers(), func(c client) bool { return c.name() == o.Client })
	if i < 0 {
		return fmt.Errorf("no client %q", o.Client)
	}
	return o.carryOut(growers()[i], json.NewEncoder(os.Stdout))
}

func (o growthOrder) carryOut(c client, tell *json.Encoder) error {
	before := resident()
	var messages, opened atomic.Int64
	got := func(n, _ int) bool {
		messages.Add(int64(n))
		return true
	}
	start := time.Now()
	r, again := c.(reopener)
	for i, host := range o.Hosts {
		t := o.Server.targetAt(host, o.Via, "/idle")
		connect := c.opener(t, got)
		if again {
			connect = r.keeper(t, got, func() { opened.Add(1) })
		}
		share := (o.N + i) / len(o.Hosts)
		if err := open(connect, share, min(4, share)); err != nil {
			return err
		}
	}
	row := growthRow{Via: o.Via, Client: o.Client, Conns: o.N, Opened: time.Since(start).Seconds()}
	row.RSS = resident().since(before, o.N).RSS
	every := max(growthEvery, time.Duration(o.N)*growthRate)
	var err error
	s := crowdOrder{Server: o.Server, Trickle: int(growthTime / every)}
	if row.Sparse, err = s.trickle(&messages, o.N, every); err != nil {
		return err
	}
	if err := tell.Encode(row); err != nil || !again {
		return err
	}
	for deadline := time.Now().Add(patience); opened.Load() < int64(2*o.N); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			return tell.Encode(fmt.Sprintf("%d of %d are not back after %v", int64(2*o.N)-opened.Load(), o.N, patience))
		}
	}
	return tell.Encode("")
}

// reqwsGrowing has the option that makes reqws reconnect.
var reqwsGrowing = growing{reqwsLibrary{"reqws", own, each, reqws.Options(reqws.Reconnect(-1), reqws.Logger(nil))}}

type growing struct{ reqwsLibrary }

func (g growing) keeper(t target, got received, opened func()) func() (conn, error) {
	g.options = reqws.Options(g.options, reqws.OnOpen(func(*reqws.Response) reqws.Directive {
		opened()
		return reqws.Cont()
	}))
	return g.opener(t, got)
}

// keeper dials again after a random time of up to one second, two, four: reqws's
// own default.
func (l *library) keeper(t target, got received, opened func()) func() (conn, error) {
	return func() (conn, error) {
		s, err := l.dial(t)
		if err != nil {
			return nil, err
		}
		opened()
		go func() {
			for {
				s.loop(false, got)
				s.close()
				for pause := time.Second; ; pause = min(2*pause, 30*time.Second) {
					time.Sleep(rand.N(pause))
					if s, err = l.dial(t); err == nil {
						break
					}
				}
				opened()
			}
		}()
		return s, nil
	}
}

func writeGrowth(out io.Writer, rows []growthRow) {
	if len(rows) == 0 {
		return
	}
	fmt.Fprint(out, "\n### growth\n\n")
	fmt.Fprintln(out, "| over | connections | client | RSS, B/connection | CPU ns/message | server busy | all open after, s | all back after, s |")
	fmt.Fprintln(out, "| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: |")
	for _, r := range rows {
		back := "-"
		switch {
		case r.Abandoned != "":
			back = r.Abandoned
		case r.Reopened > 0:
			back = fmt.Sprintf("%.2f", r.Reopened)
		}
		fmt.Fprintf(out, "| %s | %d | %s | %.0f | %s | %s | %.2f | %s |\n", r.Via, r.Conns, r.Client, r.RSS,
			digits(r.Sparse.CPU), r.Sparse.business(), r.Opened, back)
	}
}
