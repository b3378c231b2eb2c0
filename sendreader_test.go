package reqws_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/matryer/is"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/reqwstest"
)

// yields returns a reader that returns the parts one by one, nothing for an empty one, and then err.
func yields(err error, parts ...string) *slowReader {
	r := &slowReader{parts: make(chan string, len(parts)), err: err}
	for _, part := range parts {
		r.parts <- part
	}
	close(r.parts)
	return r
}

// slowReader returns what a test puts into parts, and err when that is closed.
type slowReader struct {
	parts chan string
	err   error
}

func slowly() *slowReader { return &slowReader{make(chan string), io.EOF} }

func (r *slowReader) Read(p []byte) (int, error) {
	part, ok := <-r.parts
	if !ok {
		return 0, r.err
	}
	return copy(p, part), nil
}

// readerFunc is a reader that is a function.
type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// expectShown expects frames that look like this, as they are on the wire.
func expectShown(want ...string) reqwstest.Step {
	return reqwstest.Named("expectShown", func(c *reqwstest.Conn) error {
		for _, want := range want {
			f, err := c.ReadFrame()
			if err != nil {
				return err
			}
			if got := f.String(); got != want {
				return fmt.Errorf("got %s, want %s", got, want)
			}
		}
		return nil
	})
}

// closes is the end of a script whose client closes.
func closes() reqwstest.Step {
	return reqwstest.Named("closes", func(c *reqwstest.Conn) error {
		return c.Play(reqwstest.ExpectClose(1000, ""), reqwstest.SendClose(1000, ""))
	})
}

// What each Read returns is a fragment of one message.
func TestSendReaderOnTheWire(t *testing.T) {
	const most = 32 << 10
	x := strings.Repeat("x", 2*most+100)
	part := func(op, p, end string) string {
		f := reqwstest.Text(p).String()
		return op + strings.TrimPrefix(f, "text") + end
	}
	for _, tc := range []struct {
		name string
		from func() io.Reader
		want []string
	}{
		{"short", func() io.Reader { return strings.NewReader("hello") }, []string{`text "hello"`}},
		{"empty", func() io.Reader { return strings.NewReader("") }, []string{`text ""`}},
		{"empty, of an unknown kind", func() io.Reader { return yields(io.EOF) }, []string{`text ""`}},
		{"a buffer", func() io.Reader { return bytes.NewBufferString("hello") }, []string{`text "hello"`}},
		{"long", func() io.Reader { return bytes.NewReader([]byte(x)) },
			[]string{part("text", x[:most], " without FIN"), part("continuation", x[:most], " without FIN"), part("continuation", x[:100], "")}},
		{"as long as two", func() io.Reader { return strings.NewReader(x[:2*most]) },
			[]string{part("text", x[:most], " without FIN"), part("continuation", x[:most], "")}},
		{"parts", func() io.Reader { return yields(io.EOF, "one", "two", "three") },
			[]string{`text "one" without FIN`, `continuation "two" without FIN`, `continuation "three" without FIN`, `continuation ""`}},
		{"the end with the last bytes", func() io.Reader { return iotest.DataErrReader(yields(io.EOF, "one", "two")) },
			[]string{`text "one" without FIN`, `continuation "two"`}},
		{"reads of nothing", func() io.Reader { return yields(io.EOF, "", "", "one", "", "two") },
			[]string{`text "one" without FIN`, `continuation "two" without FIN`, `continuation ""`}},
		{"cut inside a code point", func() io.Reader { return iotest.OneByteReader(yields(io.EOF, "\xe2", "\x82", "\xac")) },
			[]string{`text "\xe2" without FIN`, `continuation "\x82" without FIN`, `continuation "\xac" without FIN`, `continuation ""`}},
	} {
		for name, server := range servers {
			t.Run(tc.name+"/"+name, func(t *testing.T) {
				tidy(t)
				is := is.New(t)
				srv := server(t, reqwstest.Script(
					reqwstest.Accept(), expectShown(tc.want...), reqwstest.ExpectText("next"), closes(),
				))
				resp, err := to(srv).Do(t.Context())
				is.NoErr(err)
				is.NoErr(resp.SendReader(t.Context(), reqws.KindText, tc.from()))
				is.NoErr(resp.Send(t.Context(), reqws.Text("next")))
				is.NoErr(resp.Close(1000, ""))
			})
		}
	}
}

// What goes wrong before the first fragment is written leaves the connection as it is; later it
// breaks the stream.
func TestSendReaderFails(t *testing.T) {
	oops := errors.New("oops")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	var nothing *bytes.Reader
	for _, tc := range []struct {
		name  string
		ctx   context.Context
		kind  reqws.Kind
		from  io.Reader
		says  string
		is    error
		begun bool
	}{
		{"a ping", t.Context(), reqws.KindPing, strings.NewReader("x"), "text and binary messages alone", nil, false},
		{"a chunk", t.Context(), reqws.KindChunk, strings.NewReader("x"), "text and binary messages alone", nil, false},
		{"no kind", t.Context(), 0, strings.NewReader("x"), "text and binary messages alone", nil, false},
		{"no reader", t.Context(), reqws.KindText, nil, "reader is nil", nil, false},
		{"no reader behind it", t.Context(), reqws.KindText, nothing, "reader is nil", nil, false},
		{"an ended ctx", ended, reqws.KindText, strings.NewReader("x"), "send", context.Canceled, false},
		{"fails at once", t.Context(), reqws.KindText, yields(oops), "reading the message", oops, false},
		{"fails later", t.Context(), reqws.KindBinary, yields(oops, "a"), "cut off between its fragments", oops, true},
		{"not UTF-8 at once", t.Context(), reqws.KindText, yields(io.EOF, "\xff"), "UTF-8", nil, false},
		{"not UTF-8 in the end", t.Context(), reqws.KindText, strings.NewReader("a\xe2"), "UTF-8", nil, false},
		{"not UTF-8 later", t.Context(), reqws.KindText, yields(io.EOF, "a\xe2", "x"), "UTF-8", nil, true},
		{"not UTF-8 in the later end", t.Context(), reqws.KindText, yields(io.EOF, "a\xe2"), "UTF-8", nil, true},
		{"reads nothing for ever", t.Context(), reqws.KindText, readerFunc(func([]byte) (int, error) { return 0, nil }), "", io.ErrNoProgress, false},
		{"an impossible count", t.Context(), reqws.KindText, readerFunc(func(p []byte) (int, error) { return len(p) + 1, nil }), "impossible count", nil, false},
		{"a negative count", t.Context(), reqws.KindText, readerFunc(func(p []byte) (int, error) { return -1, nil }), "impossible count", nil, false},
		{"ends its goroutine", t.Context(), reqws.KindText, readerFunc(func([]byte) (int, error) { runtime.Goexit(); return 0, nil }), "ended its goroutine", nil, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tidy(t)
			is := is.New(t)
			script := []reqwstest.Step{reqwstest.Accept(), reqwstest.ExpectText("usable"), closes()}
			if tc.begun {
				script = []reqwstest.Step{reqwstest.Accept(), reqwstest.Named("a fragment", func(c *reqwstest.Conn) error {
					_, err := c.ReadFrame()
					return err
				}), reqwstest.ExpectGone()}
			}
			srv := reqwstest.New(t, reqwstest.Script(script...))
			resp, err := to(srv).Do(t.Context())
			is.NoErr(err)
			err = resp.SendReader(tc.ctx, tc.kind, tc.from)
			is.True(err != nil)
			is.True(strings.Contains(err.Error(), tc.says))
			is.True(tc.is == nil || errors.Is(err, tc.is))
			if tc.begun {
				waited := resp.Wait()
				is.True(waited != nil)
				is.True(strings.Contains(waited.Error(), "cut off between its fragments"))
				is.True(tc.is == nil || errors.Is(waited, tc.is))
				is.True(resp.Send(t.Context(), reqws.Text("x")) != nil)
				return
			}
			is.NoErr(resp.Send(t.Context(), reqws.Text("usable")))
			is.NoErr(resp.Close(1000, ""))
			err = resp.SendReader(t.Context(), reqws.KindText, strings.NewReader("x"))
			is.True(errors.Is(err, reqws.ErrClosed))
		})
	}
	is := is.New(t)
	is.True(errors.Is((*reqws.Response)(nil).SendReader(t.Context(), reqws.KindText, strings.NewReader("x")), reqws.ErrClosed))
}

// A reader's panic goes on in the caller, and breaks a message that it was in the middle of.
func TestSendReaderPanics(t *testing.T) {
	for _, begun := range []bool{false, true} {
		t.Run(fmt.Sprint(begun), func(t *testing.T) {
			tidy(t)
			is := is.New(t)
			script := []reqwstest.Step{reqwstest.Accept(), reqwstest.ExpectText("usable"), closes()}
			if begun {
				script = []reqwstest.Step{reqwstest.Accept(), expectShown(`text "a" without FIN`), reqwstest.ExpectGone()}
			}
			srv := reqwstest.New(t, reqwstest.Script(script...))
			resp, err := to(srv).Do(t.Context())
			is.NoErr(err)
			reads := 0
			func() {
				defer func() { is.Equal(recover(), "oops") }()
				_ = resp.SendReader(t.Context(), reqws.KindText, readerFunc(func(p []byte) (int, error) {
					if reads++; reads == 1 && begun {
						return copy(p, "a"), nil
					}
					panic("oops")
				}))
			}()
			if begun {
				is.True(strings.Contains(resp.Wait().Error(), "the reader panicked"))
				return
			}
			is.NoErr(resp.Send(t.Context(), reqws.Text("usable")))
			is.NoErr(resp.Close(1000, ""))
		})
	}
}

// A ctx that ends is the end of the call, also where the reader never returns.
func TestSendReaderGivenUp(t *testing.T) {
	for _, tc := range []struct {
		name   string
		parts  []string
		reads  bool // the server does
		stream bool // it is the stream's ctx
		begun  bool
	}{
		{"before it begins", nil, true, false, false},
		{"between two fragments", []string{"a"}, true, false, true},
		{"in a fragment", []string{"a", strings.Repeat("b", 10_000)}, false, false, true},
		{"the stream's, before it begins", nil, true, true, true},
		{"the stream's, between two fragments", []string{"a"}, true, true, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				is := is.New(t)
				script := []reqwstest.Step{reqwstest.Accept()}
				switch {
				case !tc.reads:
					script = append(script, reqwstest.Stall())
				case tc.begun:
					script = append(script, reqwstest.Do(func(c *reqwstest.Conn) error {
						for {
							if _, err := c.ReadFrame(); err != nil {
								return nil
							}
						}
					}))
				default:
					script = append(script, reqwstest.ExpectText("usable"), closes())
				}
				srv := reqwstest.NewMemory(t, reqwstest.BufferSize(1000), reqwstest.Script(script...))
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				life, call := t.Context(), ctx
				if tc.stream {
					life, call = ctx, t.Context()
				}
				resp, err := to(srv, reqws.WriteTimeout(time.Hour), reqws.Heartbeat(0, 0)).Do(life)
				is.NoErr(err)
				from := slowly()
				go func() {
					for _, part := range tc.parts {
						from.parts <- part
					}
				}()
				start := time.Now()
				err = resp.SendReader(call, reqws.KindText, from)
				// With the stream's goes a close frame, behind which nothing can be sent.
				is.True(errors.Is(err, context.DeadlineExceeded) || tc.stream && errors.Is(err, reqws.ErrClosed))
				is.Equal(time.Since(start).Truncate(time.Second), time.Minute)
				if tc.begun {
					is.True(errors.Is(resp.Wait(), context.DeadlineExceeded))
				} else {
					is.NoErr(resp.Send(t.Context(), reqws.Text("usable")))
					is.NoErr(resp.Close(1000, ""))
				}
				close(from.parts) // the Read that was left to itself
			})
		})
	}
}

// WriteTimeout is not for a reader that takes its time, but for a peer that takes nothing.
func TestSendReaderAndTheWriteTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		srv := reqwstest.NewMemory(t, reqwstest.BufferSize(1000), reqwstest.Script(reqwstest.Accept(),
			expectShown(`text "a" without FIN`, `continuation "b" without FIN`), reqwstest.Stall()))
		resp, err := to(srv, reqws.WriteTimeout(time.Minute), reqws.Heartbeat(0, 0)).Do(t.Context())
		is.NoErr(err)
		from := slowly()
		start := time.Now()
		go func() {
			for _, part := range []string{"a", "b", strings.Repeat("c", 10_000)} {
				time.Sleep(time.Hour)
				from.parts <- part
			}
		}()
		err = resp.SendReader(t.Context(), reqws.KindText, from)
		is.True(errors.Is(err, os.ErrDeadlineExceeded))
		is.Equal(time.Since(start).Truncate(time.Minute), 3*time.Hour+time.Minute)
		is.True(errors.Is(resp.Wait(), os.ErrDeadlineExceeded))
	})
}
