package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Config says what a fleet is called and what it keeps. All who open a fleet of one name give the same.
type Config struct {
	// Name is the PREFIX of subjects (PREFIX.in.ID, PREFIX.out.ID), and begins the names of buckets and
	// streams. The default is "fleet". Letters, digits, - and _.
	Name string

	// Lease is how long a worker that is not heard of keeps its streams: then others take them. A worker
	// that cannot reach NATS stops its streams after four fifths of it. The default is 15s, the least 500ms.
	Lease time.Duration

	// Replicas is how many servers keep each stream and bucket (1, the default, 3 or 5).
	Replicas int

	// Storage is where they keep them: on disk, or with jetstream.MemoryStorage in memory.
	Storage jetstream.StorageType

	// InMaxAge and InMaxBytes bound what came in: the oldest goes first. The defaults are 24h and no
	// bound of bytes. OutMaxAge is how long what is to go out waits for its stream; the default is 1h.
	InMaxAge   time.Duration
	InMaxBytes int64
	OutMaxAge  time.Duration
}

// Fleet is a set of streams and those who work on it: open it to add and remove specs, to send, to look, or to
// [Fleet.Join] as a worker. Its methods may be called from any goroutine.
type Fleet struct {
	nc  *nats.Conn
	js  jetstream.JetStream
	cfg Config

	specs, claims, workers, states, limits jetstream.KeyValue
	in, out                                jetstream.Stream
}

const (
	leastLease = 500 * time.Millisecond
	mostName   = 64
	// callTimeout bounds one request to JetStream.
	callTimeout = 5 * time.Second
)

// Connect connects to NATS as a worker should: it comes back however long NATS is away, and keeps nothing for it
// meanwhile, since a message that nats.go keeps may overtake those that are published again. options are
// added, and stand where they say otherwise.
func Connect(url string, options ...nats.Option) (*nats.Conn, error) {
	return nats.Connect(url, append([]nats.Option{
		nats.MaxReconnects(-1), nats.ReconnectBufSize(-1), nats.ReconnectWait(500 * time.Millisecond),
		nats.ReconnectJitter(500*time.Millisecond, 500*time.Millisecond),
	}, options...)...)
}

// Open opens the fleet that cfg names, and makes its buckets and streams where they are missing. nc stays
// the caller's; see [Connect]. A fleet
// that exists with another lease is an error: two opinions of when a worker is dead are worse than none.
func Open(ctx context.Context, nc *nats.Conn, cfg Config) (*Fleet, error) {
	if err := cfg.complete(); err != nil {
		return nil, fmt.Errorf("fleet: %w", err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("fleet: %w", err)
	}
	f := &Fleet{nc: nc, js: js, cfg: cfg}
	if err := errors.Join(f.openBuckets(ctx), f.openStreams(ctx)); err != nil {
		return nil, fmt.Errorf("fleet %s: %w", cfg.Name, err)
	}
	return f, nil
}

// complete puts in the defaults.
func (c *Config) complete() error {
	c.Name = cmp.Or(c.Name, "fleet")
	c.Lease = cmp.Or(c.Lease, 15*time.Second)
	c.Replicas = cmp.Or(c.Replicas, 1)
	c.InMaxAge = cmp.Or(c.InMaxAge, 24*time.Hour)
	c.InMaxBytes = cmp.Or(c.InMaxBytes, -1)
	c.OutMaxAge = cmp.Or(c.OutMaxAge, time.Hour)
	switch {
	case !isName(c.Name):
		return fmt.Errorf("the name %q is not made of letters, digits, - and _", c.Name)
	case c.Lease < leastLease:
		return fmt.Errorf("a lease of %v is shorter than %v", c.Lease, leastLease)
	case c.InMaxAge < 0 || c.OutMaxAge < 0 || c.InMaxBytes < -1 || c.Replicas < 0:
		return errors.New("a bound is negative")
	}
	return nil
}

func (f *Fleet) openBuckets(ctx context.Context) error {
	for _, b := range []struct {
		name string
		kv   *jetstream.KeyValue
		ttl  time.Duration
	}{
		{"specs", &f.specs, 0},
		{"claims", &f.claims, 0},
		{"workers", &f.workers, f.cfg.Lease}, // what makes a lease one: an entry that is not renewed goes
		{"states", &f.states, 0},
		{"limits", &f.limits, 0},
	} {
		cfg := jetstream.KeyValueConfig{
			Bucket: f.cfg.Name + "_" + b.name, History: 1, TTL: b.ttl,
			Replicas: f.cfg.Replicas, Storage: f.cfg.Storage,
		}
		kv, err := f.openBucket(ctx, cfg)
		if err != nil {
			return fmt.Errorf("bucket %s: %w", cfg.Bucket, err)
		}
		*b.kv = kv
	}
	return nil
}

func (f *Fleet) openBucket(ctx context.Context, cfg jetstream.KeyValueConfig) (jetstream.KeyValue, error) {
	kv, err := f.js.CreateKeyValue(ctx, cfg)
	if !errors.Is(err, jetstream.ErrBucketExists) {
		return kv, err
	}
	if kv, err = f.js.KeyValue(ctx, cfg.Bucket); err != nil {
		return nil, err
	}
	status, err := kv.Status(ctx)
	if err != nil {
		return nil, err
	}
	if cfg.TTL > 0 && status.TTL() != cfg.TTL {
		return nil, fmt.Errorf("the fleet has a lease of %v already, not %v", status.TTL(), cfg.TTL)
	}
	return kv, nil
}

// openStreams makes the streams of messages. In holds what came, and the fence of each of the fleet's
// streams, to which each publish is held; out is a queue, whose messages go when they are acknowledged.
func (f *Fleet) openStreams(ctx context.Context) (err error) {
	name := f.cfg.Name
	f.in, err = f.openStream(ctx, jetstream.StreamConfig{
		Name: name + "_in", Subjects: []string{name + ".in.>", name + ".fence.>"},
		MaxAge: f.cfg.InMaxAge, MaxBytes: f.cfg.InMaxBytes, Discard: jetstream.DiscardOld,
		// A message is published again only while its worker has its lease. JetStream keeps all IDs of this time in memory.
		Duplicates: min(f.cfg.InMaxAge, max(30*time.Second, 2*f.cfg.Lease)),
		Replicas:   f.cfg.Replicas, Storage: f.cfg.Storage,
	})
	if err != nil {
		return fmt.Errorf("stream %s_in: %w", name, err)
	}
	f.out, err = f.openStream(ctx, jetstream.StreamConfig{
		Name: name + "_out", Subjects: []string{name + ".out.>"}, Retention: jetstream.WorkQueuePolicy,
		MaxAge: f.cfg.OutMaxAge, Replicas: f.cfg.Replicas, Storage: f.cfg.Storage,
	})
	if err != nil {
		return fmt.Errorf("stream %s_out: %w", name, err)
	}
	return nil
}

// openStream leaves a stream as it is that exists: whoever runs NATS may have set it up with more care.
func (f *Fleet) openStream(ctx context.Context, cfg jetstream.StreamConfig) (jetstream.Stream, error) {
	s, err := f.js.CreateStream(ctx, cfg)
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		s, err = f.js.Stream(ctx, cfg.Name)
	}
	return s, err
}

func (f *Fleet) inSubject(id string) string  { return f.cfg.Name + ".in." + id }
func (f *Fleet) outSubject(id string) string { return f.cfg.Name + ".out." + id }
func (f *Fleet) fenceSubject(n int, id string) string {
	return f.cfg.Name + ".fence." + strconv.Itoa(n) + "." + id
}

// isName reports whether s can be one token of a subject and a part of a bucket's name.
func isName(s string) bool {
	for _, c := range []byte(s) {
		if !isWord(c) && c != '-' {
			return false
		}
	}
	return s != "" && len(s) <= mostName
}

func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_'
}

// mostID is the length of the longest ID.
const mostID = 200

// checkID holds an ID to what a key of a bucket and the end of a subject can be.
func checkID(id string) error {
	last := byte('.')
	for _, c := range []byte(id) {
		if !isWord(c) && c != '-' && c != '=' && c != '/' && (c != '.' || last == '.') {
			return fmt.Errorf("fleet: the ID %q: letters, digits and _ - = / with single dots between them", id)
		}
		last = c
	}
	if last == '.' || len(id) > mostID {
		return fmt.Errorf("fleet: the ID %q is empty, longer than %d bytes, or ends in a dot", id, mostID)
	}
	return nil
}
