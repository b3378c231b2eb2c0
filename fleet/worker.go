package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/reqws/reqws"
)

// WorkerConfig says what a worker takes.
type WorkerConfig struct {
	// Name is what the worker is known by, in the status and in the ranking: one that comes back with its name
	// is given the streams it had. No two that are alive have the same. The default is the host's name.
	Name string

	// Capacity is how many streams it holds at most. The default is 1000.
	Capacity int

	// Secret resolves the references to secrets in specs. It is called by several goroutines at once.
	Secret SecretFunc

	// Options are given to each request before those of its spec: TLS, a proxy, the instrumentation of
	// otelreqws, a signature.
	Options []reqws.Option

	// MaxPending and MaxPendingBytes bound what has come in and JetStream has not acknowledged; past them
	// sockets are left to fill. The defaults are 4096 messages and 64 MiB.
	MaxPending      int
	MaxPendingBytes int

	// MaxOpening is how many handshakes are under way at once. The default is 64.
	MaxOpening int

	// Logger gets what happens to the worker; its streams tell what happens to them in the bucket of
	// states. The default is slog.Default().
	Logger *slog.Logger
}

// Worker holds streams of a fleet. It is made by [Fleet.Join], and ends with [Worker.Drain] or [Worker.Close].
type Worker struct {
	f   *Fleet
	cfg WorkerConfig
	log *slog.Logger

	ctx  context.Context // of all that the worker does
	stop context.CancelFunc
	done sync.WaitGroup

	publisher *publisher
	limiter   *limiter
	reporter  *reporter
	openings  chan struct{} // has an element for each handshake under way
	moves     chan struct{} // likewise for streams that are being given up or taken
	wakes     chan *nats.Msg
	kick      chan struct{} // has an element when the view has changed

	mu      sync.Mutex // guards what follows
	view    view
	member  *member
	held    map[string]*held
	taking  map[string]bool // being claimed
	burying map[string]bool // workers that are being made sure of
	badSent map[string]uint64
	leaving bool
	left    bool
	changed *sync.Cond // of held and taking, and of who else there is
}

// mostMoves is how many streams a worker gives up or takes at once.
const mostMoves = 64

func (c *WorkerConfig) complete() error {
	if c.Name == "" {
		host, err := os.Hostname()
		if err != nil {
			return err
		}
		c.Name = strings.ReplaceAll(host, ".", "-")
	}
	c.Capacity = cmp.Or(c.Capacity, 1000)
	c.MaxPending = cmp.Or(c.MaxPending, 4096)
	c.MaxPendingBytes = cmp.Or(c.MaxPendingBytes, 64<<20)
	c.MaxOpening = cmp.Or(c.MaxOpening, 64)
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Capacity < 0 || c.MaxPending < 0 || c.MaxPendingBytes < 0 || c.MaxOpening < 0 {
		return errors.New("a bound is negative")
	}
	if !isName(c.Name) {
		return fmt.Errorf("the name %q is not made of up to %d letters, digits, - and _", c.Name, mostName)
	}
	return nil
}

// Join makes this process a worker of the fleet: it claims streams up to its capacity, as they are shared out among
// the workers that are alive. ctx is that of joining alone.
func (f *Fleet) Join(ctx context.Context, cfg WorkerConfig) (*Worker, error) {
	if err := cfg.complete(); err != nil {
		return nil, fmt.Errorf("fleet: worker: %w", err)
	}
	w := &Worker{
		f: f, cfg: cfg, log: cfg.Logger.With("fleet", f.cfg.Name, "worker", cfg.Name),
		limiter: newLimiter(f), reporter: newReporter(f),
		openings: make(chan struct{}, cfg.MaxOpening), moves: make(chan struct{}, mostMoves),
		wakes: make(chan *nats.Msg, 1<<14), kick: make(chan struct{}, 1),
		view: newView(),
		held: map[string]*held{}, taking: map[string]bool{}, burying: map[string]bool{}, badSent: map[string]uint64{},
	}
	w.changed = sync.NewCond(&w.mu)
	w.ctx, w.stop = context.WithCancel(context.Background())
	var err error
	if w.publisher, err = newPublisher(f, cfg.MaxPending, cfg.MaxPendingBytes, w.log); err != nil {
		return nil, fmt.Errorf("fleet: worker: %w", err)
	}
	if err := w.watch(ctx); err != nil {
		w.end()
		return nil, fmt.Errorf("fleet: worker: %w", err)
	}
	if w.member, err = f.join(ctx, w.entry()); err != nil {
		w.end()
		return nil, err
	}
	w.log.Info("fleet: joined", "capacity", cfg.Capacity, "id", w.member.id)
	w.start(w.keep)
	w.start(w.work)
	w.start(w.listen)
	w.start(func() { w.reporter.run(w.ctx, w.streams) })
	return w, nil
}

// start runs f in a goroutine of the worker's.
func (w *Worker) start(f func()) {
	w.done.Add(1)
	go func() {
		defer w.done.Done()
		f()
	}()
}

func (w *Worker) end() {
	w.stop()
	w.done.Wait()
}

// entry is what the worker says of itself.
func (w *Worker) entry() memberEntry {
	return memberEntry{Name: w.cfg.Name, Capacity: w.cfg.Capacity, Leaving: w.leaving, Held: len(w.held)}
}

// Held returns how many streams the worker holds.
func (w *Worker) Held() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.held)
}

// Pending returns how many messages wait for JetStream's acknowledgement.
func (w *Worker) Pending() int { return w.publisher.budget.pending() }

// streams lists what the worker holds.
func (w *Worker) streams() []*held {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := make([]*held, 0, len(w.held))
	for _, h := range w.held {
		all = append(all, h)
	}
	return all
}

// keep renews the lease. Where that cannot be done in time, the streams are stopped, and the worker joins anew.
func (w *Worker) keep() {
	every := w.f.cfg.Lease / 4
	wait := every
	for {
		m, over := w.lease()
		if over {
			return
		}
		left := time.Duration(m.until.Load() - clock())
		if sleep(w.ctx, min(wait, left)) != nil {
			return
		}
		if _, over := w.lease(); over {
			return
		}
		if err := w.renew(m); err == nil {
			wait = every
			continue
		} else if errors.Is(err, errLeaseLost) || !m.valid() {
			w.lapse(err)
			wait = every
			continue
		} else if w.ctx.Err() == nil {
			w.log.Warn("fleet: the lease could not be renewed; trying on", "error", err, "left", time.Duration(m.until.Load()-clock()))
		}
		wait = every / 5
	}
}

// lease returns the worker's lease, and whether it has been given back.
func (w *Worker) lease() (m *member, over bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.member, w.left
}

// renew renews the lease, and does not try for longer than that lasts.
func (w *Worker) renew(m *member) error {
	left := time.Duration(m.until.Load() - clock())
	if left <= 0 {
		return errLeaseLost
	}
	ctx, cancel := context.WithTimeout(w.ctx, min(left, w.f.cfg.Lease/4))
	defer cancel()
	w.mu.Lock()
	now := w.entry()
	w.mu.Unlock()
	return m.renew(ctx, func(e *memberEntry) { e.Leaving, e.Held = now.Leaving, now.Held })
}

// lapse stops all streams, since the lease is over, and makes a new one as soon as NATS is there.
func (w *Worker) lapse(why error) {
	w.log.Error("fleet: the lease is over: all streams are stopped", "error", why, "streams", w.Held())
	if left := w.abortAll(errLeaseLost); left > 0 {
		w.log.Warn("fleet: streams were stopped with messages of which JetStream may have some or none", "messages", left)
	}
	for wait := w.f.cfg.Lease / 20; ; wait = min(2*wait, w.f.cfg.Lease) {
		ctx, cancel := context.WithTimeout(w.ctx, callTimeout)
		m, err := w.f.join(ctx, w.entryNow())
		cancel()
		if err == nil {
			w.mu.Lock()
			w.member = m
			w.mu.Unlock()
			w.log.Info("fleet: joined again", "id", m.id)
			w.look()
			return
		}
		if sleep(w.ctx, wait) != nil {
			return
		}
	}
}

func (w *Worker) entryNow() memberEntry {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.entry()
}

// abortAll stops all streams at once, and returns when they are stopped: how many messages were left of which
// JetStream may have some or none.
func (w *Worker) abortAll(why error) int {
	w.mu.Lock()
	all := w.held
	w.held = map[string]*held{}
	w.changed.Broadcast()
	w.mu.Unlock()
	var group sync.WaitGroup
	var left atomic.Int64
	for _, h := range all {
		group.Go(func() { left.Add(int64(h.abort(why))) })
	}
	group.Wait()
	return int(left.Load())
}

// lose gives up one stream that turns out to be another worker's.
func (w *Worker) lose(h *held, why error) {
	w.forget(h)
	w.log.Warn("fleet: a stream is another worker's now", "id", h.id, "error", why)
	h.abort(why)
	w.look()
}

// listen wakes the outboxes that something was published for. What a subscription misses while NATS is away, and
// in other gaps, is looked for now and then.
func (w *Worker) listen() {
	sweep, tidy := time.NewTicker(w.f.cfg.Lease), time.NewTicker(markersAge)
	defer sweep.Stop()
	defer tidy.Stop()
	prefix := w.f.outSubject("")
	for {
		select {
		case m := <-w.wakes:
			w.wakeOut(strings.TrimPrefix(m.Subject, prefix))
		case <-sweep.C:
			w.sweep()
		case <-tidy.C:
			w.start(w.tidy)
		case <-w.ctx.Done():
			return
		}
	}
}

func (w *Worker) wakeOut(id string) {
	w.mu.Lock()
	h := w.held[id]
	w.mu.Unlock()
	if h != nil {
		h.out.wake(true)
	}
}

// look has the view looked at.
func (w *Worker) look() {
	select {
	case w.kick <- struct{}{}:
	default:
	}
}

// Drain gives all streams to other workers and leaves the fleet. Each is closed in good order when there is another worker with room
// for it, and when it may be opened there at once under its host's opening limit; until then it stays
// up. Where there is no other worker that takes streams, the rest is closed without waiting; when ctx ends, too, and then
// the error says how many were. After that the worker is gone.
func (w *Worker) Drain(ctx context.Context) error {
	w.mu.Lock()
	w.leaving = true
	w.mu.Unlock()
	m, _ := w.lease()
	if err := w.renew(m); err != nil {
		w.log.Warn("fleet: others were not told of the leave", "error", err)
	}
	w.look()
	w.await(ctx, func() bool { return w.empty() || !w.view.hasOthers(w.member.id) })
	left := w.quitAll()
	err := w.leave()
	if left > 0 && ctx.Err() != nil {
		return errors.Join(fmt.Errorf("fleet: %d streams were closed before another worker could take them", left), err)
	}
	return err
}

// await waits until what done says of the worker is true, or ctx ends.
func (w *Worker) await(ctx context.Context, done func() bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	await(ctx, w.changed, done)
}

// empty reports whether no stream is held or being claimed. mu is held.
func (w *Worker) empty() bool { return len(w.held)+len(w.taking) == 0 }

// quitAll closes what is left, in good order, in the time that closing takes.
func (w *Worker) quitAll() int {
	ctx, cancel := context.WithTimeout(context.Background(), quitTime)
	defer cancel()
	all := w.streams()
	var group sync.WaitGroup
	for _, h := range all {
		group.Go(func() { w.giveUp(ctx, h, false) })
	}
	group.Wait()
	w.await(ctx, w.empty) // some may have been being ended already
	return len(all)
}

// quitTime is how long a stream may take to be closed in good order.
const quitTime = 15 * time.Second

// Close stops all streams at once, without a closing handshake, and leaves the fleet: others have them
// as soon as they see that. For a leave in good order, call [Worker.Drain].
func (w *Worker) Close() error {
	w.mu.Lock()
	w.leaving = true
	w.mu.Unlock()
	w.abortAll(errLeaving)
	return w.leave()
}

// leave ends the worker.
func (w *Worker) leave() error {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	w.mu.Lock()
	w.left = true
	m := w.member
	w.mu.Unlock()
	err := m.leave(ctx)
	w.end()
	if err != nil {
		return fmt.Errorf("fleet: leave: %w", err)
	}
	return nil
}

// Run joins the fleet, and drains the worker when ctx ends, for as long as grace: what main calls. It is no error that ctx
// ends before it has joined.
func (f *Fleet) Run(ctx context.Context, cfg WorkerConfig, grace time.Duration) error {
	w, err := f.Join(ctx, cfg)
	if err != nil && ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return err
	}
	<-ctx.Done()
	leave, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	return w.Drain(leave)
}
