package reqws_test

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/matryer/is"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/internal/wiretest"
	"github.com/reqws/reqws/reqwstest"
)

// linesTo is a logger whose lines have no time.
func linesTo(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
}

// What the lines of frames look like.
func TestLogFrames(t *testing.T) {
	const prefix = `level=DEBUG msg="reqws: frame" url=ws://reqwstest.test/ direction=`
	long := strings.Repeat("0123456789abcde", 10) // 150 bytes
	for _, tt := range []struct {
		name  string
		steps []reqwstest.Step
		send  []reqws.Frame
		want  []string
	}{
		{"text in", []reqwstest.Step{reqwstest.SendText(`{"op":"hi"}`)}, nil, []string{`in kind=text length=11 data="{\"op\":\"hi\"}"`}},
		{"text out", []reqwstest.Step{reqwstest.ExpectText("hello")}, []reqws.Frame{reqws.Text("hello")}, []string{`out kind=text length=5 data=hello`}},
		{"empty", []reqwstest.Step{reqwstest.ExpectText(""), reqwstest.SendBinary("")}, []reqws.Frame{reqws.Text("")}, []string{`out kind=text length=0`, `in kind=binary length=0`}},
		{"binary", []reqwstest.Step{reqwstest.ExpectBinary("\x00\xff"), reqwstest.SendBinary("ab")}, []reqws.Frame{reqws.Binary("\x00\xff")}, []string{`out kind=binary length=2 data=00ff`, `in kind=binary length=2 data=6162`}},
		{"what cannot be printed", []reqwstest.Step{reqwstest.SendText("a\x1b[31m\n\u202eb\ufffd")}, nil, []string{`in kind=text length=14 data="a\\x1b[31m\\n\\u202eb` + "\ufffd" + `"`}},
		{"long", []reqwstest.Step{reqwstest.SendText(long)}, nil, []string{`in kind=text length=150 data=` + long[:128] + `…`}},
		{"long, cut in a character", []reqwstest.Step{reqwstest.SendText(long[:126] + "€€")}, nil, []string{`in kind=text length=132 data=` + long[:126] + `…`}},
		{"long, cut behind a character", []reqwstest.Step{reqwstest.SendText(long[:125] + "€€")}, nil, []string{`in kind=text length=131 data=` + long[:125] + `€…`}},
		{"long and binary", []reqwstest.Step{reqwstest.ExpectBinary(long)}, []reqws.Frame{reqws.Binary(long)}, []string{`out kind=binary length=150 data=` + strings.Repeat("303132333435363738396162636465", 10)[:256] + `…`}},
		{"many writes", []reqwstest.Step{reqwstest.ExpectText(strings.Repeat("x", 200_000))}, []reqws.Frame{reqws.Text(strings.Repeat("x", 200_000))}, []string{`out kind=text length=200000 data=` + strings.Repeat("x", 128) + `…`}},
		{"fragments", []reqwstest.Step{reqwstest.Send(wiretest.Fragments(3, reqwstest.Text("abcdef"))...)}, nil, []string{`in kind=text length=6 data=abcdef`}},
		{"several", []reqwstest.Step{reqwstest.Send(reqwstest.Text("a"), reqwstest.Text("b"))}, nil, []string{`in kind=text length=1 data=a`, `in kind=text length=1 data=b`}},
		{"a ping, and its pong", []reqwstest.Step{reqwstest.SendPing("p"), reqwstest.ExpectPong("p"), reqwstest.SendPing("\xff"), reqwstest.ExpectPong("\xff")}, nil,
			[]string{`in kind=ping length=1 data=p`, `out kind=pong length=1 data=p`, `in kind=ping length=1 data=ff`, `out kind=pong length=1 data=ff`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tidy(t)
				is := is.New(t)
				steps := append([]reqwstest.Step{reqwstest.Accept()}, tt.steps...)
				srv := reqwstest.NewMemory(t, reqwstest.Script(append(steps, reqwstest.SendClose(4000, "so\n"), reqwstest.ExpectClose(4000, ""))...))
				var out lockedBuilder
				resp, err := to(srv).Do(t.Context(), reqws.Into(reqws.Each(func(reqws.Frame) reqws.Directive { return reqws.Cont() })),
					reqws.LogFrames(slog.LevelDebug), reqws.Logger(linesTo(&out)))
				is.NoErr(err)
				is.NoErr(resp.Send(t.Context(), tt.send...))
				is.True(resp.Wait() != nil)
				want := append(tt.want, `in kind=close length=5 code=4000 data=so\n`, `out kind=close length=2 code=4000`)
				is.Equal(out.String(), prefix+strings.Join(want, "\n"+prefix)+"\n")
			})
		})
	}
}

// Of a message in pieces each piece has a line, on its way in and out.
func TestLogFramesOfPieces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tidy(t)
		is := is.New(t)
		const prefix = `level=DEBUG msg="reqws: frame" url=ws://reqwstest.test/ direction=`
		srv := reqwstest.NewMemory(t, reqwstest.Script(
			reqwstest.Accept(),
			reqwstest.ExpectText("abc"),
			reqwstest.Send(reqwstest.Frame{Op: reqwstest.OpText, Payload: []byte("de")}),
			reqwstest.Sleep(1),
			reqwstest.Send(reqwstest.Frame{Op: reqwstest.OpContinuation, Fin: true, Payload: []byte("f")}),
			reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, "")))
		var out lockedBuilder
		resp, err := to(srv, reqws.Pieces(true)).Do(t.Context(), reqws.Into(reqws.Each(func(reqws.Frame) reqws.Directive { return reqws.Cont() })),
			reqws.LogFrames(slog.LevelDebug), reqws.Logger(linesTo(&out)))
		is.NoErr(err)
		is.NoErr(resp.SendReader(t.Context(), reqws.KindText, io.MultiReader(strings.NewReader("ab"), strings.NewReader("c"))))
		is.NoErr(resp.Wait())
		is.Equal(out.String(), prefix+strings.Join([]string{
			`out kind=text length=2 more=true data=ab`,
			`out kind=continuation length=1 more=true data=c`,
			`out kind=continuation length=0`,
			`in kind=text length=2 more=true data=de`,
			`in kind=text length=1 data=f`,
			`in kind=close length=2 code=1000`,
			`out kind=close length=2 code=1000`,
		}, "\n"+prefix)+"\n")
	})
}

type lockedBuilder struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedBuilder) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuilder) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// levels is a log handler that counts what it is asked, and what it is given.
type levels struct {
	slog.Handler
	least          slog.Level
	asked, handled int
}

func (l *levels) Enabled(_ context.Context, level slog.Level) bool {
	l.asked++
	return level >= l.least
}

func (l *levels) Handle(context.Context, slog.Record) error {
	l.handled++
	return nil
}

// A level that is not enabled, and a logger that is nil, log nothing; a frame without a close code
// has none in its line.
func TestLogFramesOff(t *testing.T) {
	for _, tt := range []struct {
		name    string
		least   slog.Level
		opts    []reqws.Option
		handled int
	}{
		{"by default", slog.LevelDebug, nil, 0},
		{"enabled", slog.LevelDebug, []reqws.Option{reqws.LogFrames(slog.LevelDebug)}, 3},
		{"disabled", slog.LevelInfo, []reqws.Option{reqws.LogFrames(slog.LevelDebug)}, 0},
		{"silenced", slog.LevelDebug, []reqws.Option{reqws.LogFrames(slog.LevelDebug), reqws.Logger(nil)}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tidy(t)
				is := is.New(t)
				h := &levels{Handler: slog.DiscardHandler, least: tt.least}
				srv := reqwstest.NewMemory(t, reqwstest.Script(reqwstest.Accept(), reqwstest.Send(reqwstest.Text("x"), reqwstest.Close(0, "")), reqwstest.ExpectClose(0, "")))
				is.NoErr(to(srv, reqws.Logger(slog.New(h))).Run(t.Context(), append(tt.opts, reqws.Into(reqws.Each(func(reqws.Frame) reqws.Directive { return reqws.Cont() })))...))
				is.Equal(h.handled, tt.handled)
			})
		})
	}
}
