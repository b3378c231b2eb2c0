package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// System calls are counted by strace, which is attached to a process of one client when
// that is about to begin, and leaves it when it is done.

// syscallRow is how many a client makes for each message.
type syscallRow struct {
	Workload string             `json:"workload"`
	Via      transport          `json:"transport"`
	Client   string             `json:"client"`
	Calls    map[string]float64 `json:"calls"`
}

// tracedWork is a workload of which system calls are counted. They say nothing about
// time, since each takes many times as long as without strace.
type tracedWork struct {
	name string
	part int                                 // do so many times fewer of them
	path string                              // what to ask the server for
	do   func(o tracedOrder, c client) error // calls o.begin before the first message
}

const (
	tracedSenders = 100
	tracedConns   = 500
)

func tracedWorks() []tracedWork {
	answer := func(o tracedOrder, c client) error {
		var begun bool
		left := o.N
		return c.run(o.Server.target(o.Via, o.Path), true, func(n, _ int) bool {
			if !begun {
				begun = true
				o.begin()
			}
			left -= n
			return left > 0
		})
	}
	return []tracedWork{
		{"one message, one reply", 1, fmt.Sprintf("/burst?op=%d&size=%d&n=1", opText, replySize), answer},
		{"replies to bursts of 16", 1, fmt.Sprintf("/burst?op=%d&size=%d&n=16", opText, replySize), answer},
		{fmt.Sprintf("%d goroutines sending", tracedSenders), 1, "/count?size=64&n=", tracedSending},
		{fmt.Sprintf("a message now and then on each of %d connections", tracedConns), 1, "/idle", tracedSparse},
		{"handshakes", 10, "", tracedHandshakes},
	}
}

// tracedOrder is what the process is told.
type tracedOrder struct {
	Work   string
	Client string
	Via    transport
	Server remote
	Path   string
	N      int // messages

	begin func() // says that all is set up, and waits for strace
}

// tracedSending is many goroutines, each of which sends its share.
func tracedSending(o tracedOrder, c client) error {
	acknowledged := make(chan struct{}, 1)
	o.Path += strconv.Itoa(o.N)
	conn, err := c.opener(o.Server.target(o.Via, o.Path), func(int, int) bool {
		acknowledged <- struct{}{}
		return true
	})()
	if err != nil {
		return err
	}
	o.begin()
	errs := make(chan error, tracedSenders)
	for range tracedSenders {
		go func() {
			var err error
			for range o.N / tracedSenders {
				err = errors.Join(err, conn.send(payload(64)))
			}
			errs <- err
		}()
	}
	for range tracedSenders {
		if err := <-errs; err != nil {
			return err
		}
	}
	select {
	case <-acknowledged:
		return nil
	case <-time.After(time.Minute):
		return errors.New("the server does not acknowledge")
	}
}

// tracedSparse waits for what the parent has the server send.
func tracedSparse(o tracedOrder, c client) error {
	var messages atomic.Int64
	connect := c.opener(o.Server.target(o.Via, o.Path), func(n, _ int) bool {
		messages.Add(int64(n))
		return true
	})
	if err := open(connect, tracedConns, 1); err != nil {
		return err
	}
	o.begin()
	for deadline := time.Now().Add(time.Minute); messages.Load() < int64(o.N); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("%d messages of %d arrived", messages.Load(), o.N)
		}
	}
	return nil
}

// tracedHandshakes opens connections, one after another, and drops each at once.
func tracedHandshakes(o tracedOrder, c client) error {
	connect := c.opener(o.Server.target(o.Via, "/idle"), func(int, int) bool { return true })
	if err := open(connect, 1, 1); err != nil {
		return err
	}
	o.begin()
	for range o.N {
		conn, err := connect()
		if err != nil {
			return err
		}
		conn.close()
	}
	return nil
}

// tracedProcess is main in the client's process.
func tracedProcess() error {
	in := bufio.NewReader(os.Stdin)
	var o tracedOrder
	line, err := in.ReadBytes('\n')
	if err != nil {
		return err
	}
	if err := json.Unmarshal(line, &o); err != nil {
		return err
	}
	o.begin = func() {
		fmt.Println("ready")
		in.ReadString('\n')
	}
	works, clients := tracedWorks(), tracedClients()
	w := slices.IndexFunc(works, func(w tracedWork) bool { return w.name == o.Work })
	c := slices.IndexFunc(clients, func(c client) bool { return c.name() == o.Client })
	if w < 0 || c < 0 {
		return fmt.Errorf("no work %q of client %q", o.Work, o.Client)
	}
	if err := works[w].do(o, clients[c]); err != nil {
		return err
	}
	fmt.Println("done")
	_, err = io.Copy(io.Discard, in) // until the parent has counted
	return err
}

func tracedClients() []client { return append([]client{reqwsClient}, peers...) }

// systemCalls makes the tables.
func (b *bench) systemCalls() error {
	if !b.syscalls {
		return nil
	}
	if _, err := exec.LookPath("strace"); err != nil {
		return errors.New("-syscalls needs strace, which is not installed")
	}
	for _, via := range []transport{overWS, overWSS} {
		for _, w := range tracedWorks() {
			if !b.only.MatchString(syscallTitle(w.name, via)) {
				continue
			}
			for _, c := range tracedClients() {
				b.progress.say("%s: %s", syscallTitle(w.name, via), c.name())
				o := tracedOrder{Work: w.name, Client: c.name(), Via: via, Server: *b.server, Path: w.path, N: b.plan.Calls / w.part}
				calls, err := traced(o)
				if err != nil {
					return fmt.Errorf("%s: %s: %w", syscallTitle(w.name, via), c.name(), err)
				}
				b.results.Syscalls = append(b.results.Syscalls, syscallRow{w.name, via, c.name(), calls})
			}
		}
	}
	b.progress.clear()
	writeSyscalls(b.out, b.results.Syscalls)
	return nil
}

// traced runs one client under strace and returns its calls per message.
func traced(o tracedOrder) (map[string]float64, error) {
	cmd, in, out, err := spawn("traced")
	if err != nil {
		return nil, err
	}
	defer cmd.Wait()
	defer in.Close()
	if err := json.NewEncoder(in).Encode(o); err != nil {
		return nil, err
	}
	if err := hear(out, "ready"); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "syscalls")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "count")
	strace := exec.Command("strace", "-f", "-c", "-o", file, "-p", strconv.Itoa(cmd.Process.Pid))
	says, err := strace.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := strace.Start(); err != nil {
		return nil, err
	}
	if line, err := bufio.NewReader(says).ReadString('\n'); err != nil || !strings.Contains(line, "attached") {
		return nil, errors.Join(fmt.Errorf("strace: %s", strings.TrimSpace(line)), strace.Wait())
	}
	go io.Copy(io.Discard, says)
	fmt.Fprintln(in, "go")
	if o.Path == "/idle" {
		path := fmt.Sprintf("/trickle?size=%d&every=%d&n=%d", trickled, nowAndThen.Milliseconds(), o.N/tracedConns)
		if _, err := o.Server.ask(path); err != nil {
			return nil, err
		}
	}
	err = hear(out, "done")
	strace.Process.Signal(syscall.SIGINT)
	strace.Wait()
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	calls := counted(string(b))
	for kind := range calls {
		calls[kind] /= float64(o.N)
	}
	return calls, nil
}

func hear(r *bufio.Reader, want string) error {
	line, err := r.ReadString('\n')
	if err == nil && strings.TrimSpace(line) != want {
		err = fmt.Errorf("%q instead of %q", line, want)
	}
	return err
}

// kinds are the columns of the table, and the system calls in each. What is in none
// is "other".
var kinds = []struct {
	name  string
	calls []string
}{
	{"read", []string{"read", "readv", "recvfrom", "recvmsg"}},
	{"write", []string{"write", "writev", "sendto", "sendmsg"}},
	{"epoll_wait", []string{"epoll_wait", "epoll_pwait", "epoll_pwait2"}},
	{"epoll_ctl", []string{"epoll_ctl"}},
	{"futex", []string{"futex"}},
	{"sleep", []string{"nanosleep", "clock_nanosleep", "sched_yield"}},
}

const (
	otherCalls = "other"
	allCalls   = "all"
)

// counted adds up the table that strace -c writes, by kind.
func counted(table string) map[string]float64 {
	sum := map[string]float64{}
	for line := range strings.Lines(table) {
		// time, seconds, microseconds each, calls, perhaps errors, name
		f := strings.Fields(line)
		if len(f) < 5 || f[len(f)-1] == "total" {
			continue
		}
		n, err := strconv.ParseFloat(f[3], 64)
		if err != nil {
			continue
		}
		sum[kindOf(f[len(f)-1])] += n
		sum[allCalls] += n
	}
	return sum
}

func kindOf(call string) string {
	for _, k := range kinds {
		if slices.Contains(k.calls, call) {
			return k.name
		}
	}
	return otherCalls
}

func syscallTitle(work string, via transport) string {
	return "system calls per message or handshake: " + title(work, via)
}

func writeSyscalls(out io.Writer, rows []syscallRow) {
	for i, r := range rows {
		if i == 0 || syscallTitle(rows[i-1].Workload, rows[i-1].Via) != syscallTitle(r.Workload, r.Via) {
			fmt.Fprintf(out, "\n### %s\n\n| client |", syscallTitle(r.Workload, r.Via))
			for _, k := range kinds {
				fmt.Fprintf(out, " %s |", k.name)
			}
			fmt.Fprintf(out, " %s | %s |\n| --- |%s\n", otherCalls, allCalls, strings.Repeat(" ---: |", len(kinds)+2))
		}
		fmt.Fprintf(out, "| %s |", r.Client)
		for _, k := range kinds {
			fmt.Fprintf(out, " %.3f |", r.Calls[k.name])
		}
		fmt.Fprintf(out, " %.3f | %.3f |\n", r.Calls[otherCalls], r.Calls[allCalls])
	}
}
