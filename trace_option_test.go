package reqws

import (
	"strings"
	"testing"

	"github.com/matryer/is"
)

// Which hooks are called, and in which order, for options that follow each other.
func TestTracesTogether(t *testing.T) {
	var called []string
	named := func(name string) *ClientTrace {
		return &ClientTrace{Retry: func(RetryInfo) { called = append(called, name) }}
	}
	other := &ClientTrace{Closed: func(ClosedInfo) {}}
	for _, tt := range []struct {
		name string
		opts []Option
		want string
	}{
		{"none", nil, ""},
		{"nil", []Option{Trace(nil), AddTrace(nil)}, ""},
		{"one", []Option{Trace(named("a"))}, "a"},
		{"the later one", []Option{Trace(named("a")), Trace(named("b"))}, "b"},
		{"the later one is nil", []Option{Trace(named("a")), Trace(nil)}, ""},
		{"the later one has other hooks", []Option{Trace(named("a")), Trace(other)}, ""},
		{"added", []Option{AddTrace(named("a")), AddTrace(named("b"))}, "a b"},
		{"added before", []Option{AddTrace(named("plugin")), Trace(named("a")), Trace(named("b"))}, "b plugin"},
		{"added after", []Option{Trace(named("a")), AddTrace(named("plugin"))}, "a plugin"},
		{"what is added stays", []Option{AddTrace(named("plugin")), Trace(named("a")), Trace(nil), AddTrace(nil)}, "plugin"},
		{"other hooks between", []Option{AddTrace(named("a")), AddTrace(other), AddTrace(named("b"))}, "a b"},
		{"twice the same", []Option{AddTrace(named("a")), AddTrace(named("a"))}, "a a"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			is := is.New(t)
			called = nil
			if f := New(tt.opts...).c.watch.hooks.Retry; f != nil {
				f(RetryInfo{})
			}
			is.Equal(strings.Join(called, " "), tt.want)
		})
	}
}

// Two Requests never share what was added, and what becomes of a ClientTrace after it was given
// changes nothing.
func TestTracesAreCopied(t *testing.T) {
	is := is.New(t)
	called := 0
	count := &ClientTrace{Retry: func(RetryInfo) { called++ }}
	base := New(AddTrace(count), AddTrace(count), AddTrace(count))
	one, two := base.With(AddTrace(count)), base.With(AddTrace(&ClientTrace{}))
	set := New(Trace(count), AddTrace(count))
	count.Retry = func(RetryInfo) { t.Error("the later one") }
	for r, want := range map[*Request]int{base: 3, one: 4, two: 3, set: 2} {
		called = 0
		r.c.watch.hooks.Retry(RetryInfo{})
		is.Equal(called, want)
	}
}

// Who watches nothing of a link has none that is told of it.
func TestNobodyWatches(t *testing.T) {
	watching := func(opts ...Option) bool {
		e := New(opts...).c
		x, err := e.execution()
		is.New(t).NoErr(err)
		s := &stream{}
		a := &answer{resp: &Response{}, open: &handshake{}, protocols: &subprotocols{}}
		return x.newWatch(s, a) != nil
	}
	is := is.New(t)
	is.True(!watching())
	is.True(!watching(Trace(&ClientTrace{Attempt: func(AttemptInfo) {}, Retry: func(RetryInfo) {}, Redirect: func(RedirectInfo) {}, Reconnecting: func(ReconnectingInfo) {}})))
	is.True(!watching(LogFrames(0), Logger(nil)))
	is.True(watching(LogFrames(0)))
	is.True(watching(Trace(&ClientTrace{Heartbeat: func(HeartbeatInfo) {}})))
	is.True(watching(AddTrace(&ClientTrace{BatchOut: func(BatchInfo) {}})))
}
