package reqws

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"sync/atomic"
	"time"
)

// An Option sets one thing of a [Request]. Options are values made by the
// functions of this package; they may be kept, shared and given to [New],
// [Request.With], [Request.Do], [Request.Run] and [Request.Dial] alike. The package
// page lists them in their groups.
//
// Given twice, the later one stands; of [Header], [Headers] and [Params] that holds
// name by name, while [Param], [Wrap], [AddTrace], [Use] and [UseOuter] add. A bad value is reported
// by Do, Run and Dial as an error that names the option. The zero Option does nothing.
type Option struct {
	name     string
	subject  string // what it sets: of those that set the same the later one stands
	adds     bool   // but it takes nothing back of what came before, an error included
	connects bool   // it changes what the transport is made of
	apply    func(*config) error
}

// config is what the options of one Request come to. It is never changed after
// it was built: [config.with] works on a copy.
type config struct {
	errs map[string]error // by option; a later good value takes the error back

	// by the groups of the package page
	target     targetConfig
	header     headerConfig
	plain      plainConfig
	jar        http.CookieJar
	auth       Step
	sigV4      *SigV4
	into       intoConfig
	redirect   redirectConfig
	httpErrors HTTPErrorMode
	retry      retryConfig
	logs       logConfig
	connect    connectConfig
	life       lifeConfig
	watch      watchConfig
	outerSteps []Step
	steps      []Step
}

func defaults() *config {
	return &config{
		plain:    plainConfig{method: http.MethodGet},
		into:     intoConfig{maxMessage: 16 << 20},
		redirect: redirectConfig{most: 10, level: slog.LevelDebug},
		retry:    retryConfig{most: 3, level: slog.LevelWarn},
		connect:  connectConfig{timeout: 30 * time.Second, protocols: []Protocol{HTTP1, HTTP2}},
		life: lifeConfig{
			writeTimeout: 30 * time.Second,
			closeTimeout: 5 * time.Second,
			heartbeat:    heartbeat{interval: 20 * time.Second, timeout: 20 * time.Second},
			reconnect:    reconnectConfig{minUptime: 5 * time.Second},
		},
		watch: watchConfig{hooks: &ClientTrace{}},
	}
}

// with returns a copy of c that opts have been applied to. What options add to
// is copied first, so that two Requests never share a map or spare capacity.
func (c *config) with(opts []Option) *config {
	if c == nil { // of the zero Request
		c = defaults()
	}
	if len(opts) == 0 && c.connect.own != nil {
		return c
	}
	d := *c
	d.errs = maps.Clone(c.errs)
	d.header.fields = c.header.fields.Clone()
	d.target.last = new(atomic.Pointer[destination])
	d.target.params = maps.Clone(c.target.params)
	d.target.extraParams = slices.Clip(c.target.extraParams)
	d.steps = slices.Clip(c.steps)
	d.outerSteps = slices.Clip(c.outerSteps)
	d.into.wraps = slices.Clip(c.into.wraps)
	for _, o := range opts {
		d.set(o)
	}
	if d.connect.own == nil {
		d.connect.own = d.connect.newTransport()
	}
	return &d
}

func (c *config) set(o Option) {
	if o.apply == nil {
		return
	}
	if err := o.apply(c); err != nil {
		if c.errs == nil {
			c.errs = make(map[string]error)
		}
		c.errs[o.subject] = fmt.Errorf("reqws: option %s: %w", o.name, err)
		return
	}
	if !o.adds {
		delete(c.errs, o.subject)
	}
	if o.connects {
		c.connect.own = nil
	}
}

// err joins what was wrong with the options, in the order of their names.
func (c *config) err() error {
	if len(c.errs) == 0 {
		return nil
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(c.errs)) {
		errs = append(errs, c.errs[name])
	}
	return errors.Join(errs...)
}

func fallible(name string, apply func(*config) error) Option {
	return Option{name: name, subject: name, apply: apply}
}

func option(name string, apply func(*config)) Option {
	return fallible(name, func(c *config) error { apply(c); return nil })
}

func checked[T any](name string, v T, check func(T) error, set func(*config, T)) Option {
	return fallible(name, func(c *config) error {
		if err := check(v); err != nil {
			return err
		}
		set(c, v)
		return nil
	})
}

// inPlaceOf says that o sets what the option subject does.
func (o Option) inPlaceOf(subject string) Option {
	o.subject = subject
	return o
}

// adding says that o adds to others of its name.
func (o Option) adding() Option {
	o.adds = true
	return o
}

// connecting says that o is for the transport.
func (o Option) connecting() Option {
	o.connects = true
	return o
}

func notNegative[N int | time.Duration](n N) error {
	if n < 0 {
		return fmt.Errorf("%v is negative", n)
	}
	return nil
}

func countOrNoBound(n int) error {
	if n < -1 {
		return fmt.Errorf("%d is neither a count nor -1", n)
	}
	return nil
}

// Options groups several options into one, applied in order. It is how a
// plugin is made: a function that returns Options(...).
func Options(opts ...Option) Option {
	opts = slices.Clone(opts)
	return option("Options", func(c *config) {
		for _, o := range opts {
			c.set(o)
		}
	})
}

func notNilFunc[F any](f F) error {
	if isNil(f) {
		return errors.New("the function is nil")
	}
	return nil
}

// noNilPointer refuses an interface that is not nil, but holds nothing to call.
func noNilPointer[I any](v I) error {
	if any(v) != nil && isNil(v) {
		return fmt.Errorf("it is a nil %T", v)
	}
	return nil
}

// isNil reports whether v is nil, or holds a nil function, pointer, map, slice or
// channel.
func isNil(v any) bool {
	switch rv := reflect.ValueOf(v); rv.Kind() {
	case reflect.Invalid:
		return true
	case reflect.Func, reflect.Pointer, reflect.Map, reflect.Slice, reflect.Chan, reflect.Interface:
		return rv.IsNil()
	}
	return false
}
