package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matryer/is"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/reqwstest"
)

// outcome is what a run printed and ended with. Times are taken out of it, and
// where the server was.
type outcome struct {
	code        int
	out, errOut string
}

func (o *outcome) clean(addr string) {
	times := regexp.MustCompile(`(?m)^ *\d+\.\d\ds  | in \d+\.\d s$`)
	for _, s := range []*string{&o.out, &o.errOut} {
		*s = strings.ReplaceAll(times.ReplaceAllString(*s, ""), addr, "HOST")
	}
}

// play runs pingbot against srv, with the arguments that follow.
func play(ctx context.Context, srv *reqwstest.Server, args ...string) outcome {
	var out, errOut bytes.Buffer
	opts := []reqws.Option{reqws.DialContext(srv.DialContext)}
	if strings.HasPrefix(srv.URL, "wss") {
		opts = append(opts, reqws.TLSConfig(srv.TLSConfig()))
	}
	o := outcome{code: run(ctx, args, &out, &errOut, opts...)}
	o.out, o.errOut = out.String(), errOut.String()
	o.clean(srv.Addr())
	return o
}

func lines(ss ...string) string { return strings.Join(ss, "\n") + "\n" }

func TestTalk(t *testing.T) {
	bye := []reqwstest.Step{reqwstest.SendClose(1000, "bye"), reqwstest.ExpectClose(1000, "")}
	for _, c := range []struct {
		name   string
		args   []string // before the URL
		script []reqwstest.Step
		code   int
		out    string // behind the line that says where to
		errOut string
	}{
		{"ping and message", nil,
			append([]reqwstest.Step{
				reqwstest.Accept(),
				reqwstest.SendPing("p"), reqwstest.ExpectPong("p"),
				reqwstest.SendText("hi"), reqwstest.ExpectText("you said: hi"),
			}, bye...),
			0, lines("connected: HTTP/1.1", `← ping "p"`, `→ pong "p"`, `← text "hi"`, `→ text "you said: hi"`,
				`← close 1000 "bye"`, "", "answered 1 ping and 1 message"), ""},
		{"binary messages and pongs are only shown", nil,
			append([]reqwstest.Step{reqwstest.Accept(), reqwstest.SendBinary("b"), reqwstest.SendPong("")}, bye...),
			0, lines("connected: HTTP/1.1", `← binary "b"`, "← pong", `← close 1000 "bye"`, "", "answered 0 pings and 0 messages"), ""},
		{"a close frame without a reason", nil,
			[]reqwstest.Step{reqwstest.Accept(), reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, "")},
			0, lines("connected: HTTP/1.1", "← close 1000", "", "answered 0 pings and 0 messages"), ""},
		{"what the server sends cannot paint the terminal", nil,
			append([]reqwstest.Step{reqwstest.Accept(), reqwstest.SendText("\x1b[31m"), reqwstest.ExpectText("you said: \x1b[31m")}, bye...),
			0, lines("connected: HTTP/1.1", `← text "\x1b[31m"`, `→ text "you said: \x1b[31m"`, `← close 1000 "bye"`, "", "answered 0 pings and 1 message"), ""},
		{"an echo", nil,
			append([]reqwstest.Step{
				reqwstest.Accept(),
				reqwstest.SendText("hi"), reqwstest.ExpectText("you said: hi"),
				reqwstest.SendText("you said: hi"),
				reqwstest.SendText("bot> You Said: hi"),
			}, bye...),
			0, lines("connected: HTTP/1.1", `← text "hi"`, `→ text "you said: hi"`,
				`← text "you said: hi" (my own words: no answer)`,
				`← text "bot> You Said: hi" (my own words: no answer)`,
				`← close 1000 "bye"`, "", "answered 0 pings and 1 message"), ""},
		{"a subprotocol", []string{"-subprotocol", "chat.v2,chat.v1", "-url"},
			append([]reqwstest.Step{reqwstest.Accept(reqwstest.WithSubprotocol("chat.v1"))}, bye...),
			0, lines("connected: HTTP/1.1, subprotocol chat.v1", `← close 1000 "bye"`, "", "answered 0 pings and 0 messages"), ""},
		{"a bad subprotocol", []string{"-subprotocol", "a b"}, nil,
			exitFailed, "", "pingbot: reqws: option Subprotocols: name 1 is no token\n"},
		{"the server goes away", nil,
			[]reqwstest.Step{reqwstest.Accept(), reqwstest.SendClose(1001, "restart"), reqwstest.ExpectClose(1001, "")},
			exitFailed, lines("connected: HTTP/1.1", `← close 1001 "restart"`, "", "answered 0 pings and 0 messages"),
			"pingbot: reqws: stream: ws://HOST/: closed by the peer: status = StatusGoingAway and reason = \"restart\"\n"},
		{"refused", nil,
			[]reqwstest.Step{reqwstest.Refuse(403, nil, "")},
			exitFailed, "", "pingbot: reqws: handshake: ws://HOST/: refused with status 403 Forbidden\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			is := is.New(t)
			reqwstest.NoLeaks(t)
			var scripts []reqwstest.Option
			if c.script != nil {
				scripts = append(scripts, reqwstest.Script(c.script...))
			}
			srv := reqwstest.NewMemory(t, scripts...)
			got := play(t.Context(), srv, append(c.args, srv.URL)...)
			is.Equal(got.out, "connecting to ws://HOST\n"+c.out)
			is.Equal(got.errOut, c.errOut)
			is.Equal(got.code, c.code)
		})
	}
}

// A redirect is followed, and TLS is that of where it leads.
func TestTLS(t *testing.T) {
	is := is.New(t)
	srv := reqwstest.NewTLS(t,
		reqwstest.Script(reqwstest.Redirect(302, "/other")),
		reqwstest.Script(reqwstest.Accept(), reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, "")),
	)
	got := play(t.Context(), srv, srv.URL)
	is.Equal(got, outcome{0, lines("connecting to wss://HOST", "connected: HTTP/1.1, TLS 1.3",
		"← close 1000", "", "answered 0 pings and 0 messages"), ""})
}

func TestDescribe(t *testing.T) {
	for _, c := range []struct {
		proto, scheme, subprotocol string
		tls                        uint16
		want                       string
	}{
		{"HTTP/1.1", "ws", "", 0, "HTTP/1.1"},
		{"HTTP/2.0", "ws", "", 0, "HTTP/2"},
		{"HTTP/2.0", "wss", "mqtt", tls.VersionTLS13, "HTTP/2, TLS 1.3, subprotocol mqtt"},
		{"HTTP/1.1", "wss", "", tls.VersionTLS12, "HTTP/1.1, TLS 1.2"},
		{"HTTP/1.1", "ws", "", tls.VersionTLS12, "HTTP/1.1"}, // sent on from wss
	} {
		t.Run(c.want, func(t *testing.T) {
			resp := &reqws.Response{
				Proto:       c.proto,
				Subprotocol: c.subprotocol,
				Request:     &http.Request{URL: &url.URL{Scheme: c.scheme}},
			}
			is.New(t).Equal(describe(resp, c.tls), c.want)
		})
	}
}

// Ctrl-C is the end of ctx.
func TestInterrupted(t *testing.T) {
	const connecting = "connecting to ws://HOST\n"
	interrupted := outcome{exitInterrupted, connecting, "pingbot: interrupted while connecting\n"}
	type script = *reqwstest.ConnScript
	for _, c := range []struct {
		name   string
		script func(ctrlC reqwstest.Step) []script
		want   outcome
	}{
		{"while the server says nothing",
			func(ctrlC reqwstest.Step) []script {
				request := reqwstest.Do(func(c *reqwstest.Conn) error { _, err := c.ReadRequest(); return err })
				return []script{reqwstest.Script(request, ctrlC, reqwstest.ExpectGone())}
			}, interrupted},
		{"while it waits to try again",
			func(ctrlC reqwstest.Step) []script {
				return []script{reqwstest.Script(reqwstest.Respond(503, http.Header{"Retry-After": {"60"}}, ""), reqwstest.Sleep(time.Second), ctrlC)}
			},
			outcome{exitInterrupted, connecting + "reqws: will try again status=503 delay=1m0s attempts_left=3\n", interrupted.errOut}},
		{"while connected",
			func(ctrlC reqwstest.Step) []script {
				return []script{reqwstest.Script(reqwstest.Accept(), reqwstest.SendText("hi"), reqwstest.ExpectText("you said: hi"), ctrlC,
					reqwstest.ExpectClose(1000, "bye"), reqwstest.SendClose(1000, "bye"))}
			},
			outcome{0, connecting + lines("connected: HTTP/1.1", `← text "hi"`, `→ text "you said: hi"`, "closing", "", "answered 0 pings and 1 message"), ""}},
		{"while connected to a server that says no goodbye",
			func(ctrlC reqwstest.Step) []script {
				return []script{reqwstest.Script(reqwstest.Accept(), reqwstest.Sleep(time.Second), ctrlC, reqwstest.ExpectClose(1000, "bye"), reqwstest.ExpectGone())}
			},
			outcome{exitFailed, connecting + lines("connected: HTTP/1.1", "closing", "", "answered 0 pings and 0 messages"),
				"pingbot: reqws: close: ws://HOST/: the peer did not answer the close frame within the close timeout of 5s"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				is := is.New(t)
				ctx, cancel := context.WithCancel(t.Context())
				scripts := c.script(reqwstest.Do(func(*reqwstest.Conn) error { cancel(); return nil }))
				options := []reqwstest.Option{}
				for _, s := range scripts {
					options = append(options, s)
				}
				srv := reqwstest.NewMemory(t, options...)
				got := play(ctx, srv, srv.URL)
				is.True(strings.HasPrefix(got.errOut, c.want.errOut)) // then what the system calls it
				got.errOut = c.want.errOut
				is.Equal(got, c.want)
			})
		})
	}
}

// The interrupt may come in the moment in which the connection opens.
func TestInterruptedAsItOpens(t *testing.T) {
	is := is.New(t)
	reqwstest.NoLeaks(t)
	ctx, cancel := context.WithCancel(t.Context())
	srv := reqwstest.NewMemory(t, reqwstest.Script(reqwstest.Accept()))
	var out, errOut bytes.Buffer
	code := run(ctx, []string{srv.URL}, &out, &errOut, reqws.DialContext(srv.DialContext),
		reqws.Use(func(next http.RoundTripper) http.RoundTripper {
			return reqws.RoundTripFunc(func(req *http.Request) (*http.Response, error) {
				resp, err := next.RoundTrip(req)
				cancel()
				return resp, err
			})
		}))
	is.Equal(code, exitInterrupted)
	is.Equal(errOut.String(), "pingbot: interrupted while connecting\n")
}

func TestConnectionRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		refuse := reqwstest.DialError(syscall.ECONNREFUSED)
		srv := reqwstest.NewMemory(t, refuse.Times(4))
		start := time.Now()
		got := play(t.Context(), srv, srv.URL)
		is.True(time.Since(start) > 6*time.Second) // and a seventh, shortened at random
		tries := strings.Split(strings.TrimSuffix(got.out, "\n"), "\n")
		is.Equal(len(tries), 4)
		is.Equal(tries[0], "connecting to ws://HOST")
		for _, line := range tries[1:] {
			is.True(strings.HasPrefix(line, "reqws: will try again ") && strings.Contains(line, "connection refused"))
		}
		is.True(strings.HasPrefix(got.errOut, "pingbot: reqws: dial: ws://HOST/: ") && strings.HasSuffix(got.errOut, "connection refused\n"))
		is.Equal(got.code, exitFailed)
	})
}

func TestUsage(t *testing.T) {
	for _, c := range []struct {
		name   string
		args   []string
		code   int
		reason string
	}{
		{"help", []string{"-h"}, 0, ""},
		{"long help", []string{"--help"}, 0, ""},
		{"no such flag", []string{"-nosuch"}, exitUsage, "flag provided but not defined: -nosuch"},
		{"a flag without its value", []string{"-url"}, exitUsage, "flag needs an argument: -url"},
		{"no URL", []string{"example.com"}, exitUsage, "the argument is no ws:// or wss:// URL"},
		{"no host", []string{"ws:/chat"}, exitUsage, "the argument is no ws:// or wss:// URL"},
		{"another scheme", []string{"https://example.com"}, exitUsage, "the argument is no ws:// or wss:// URL"},
		{"an empty argument", []string{""}, exitUsage, "the argument is no ws:// or wss:// URL"},
		{"a URL that does not parse", []string{"ws://bot:hunter2#@host"}, exitUsage, "the argument is no ws:// or wss:// URL"},
		{"two URLs", []string{"ws://a", "ws://b"}, exitUsage, "there is more than one URL, or a flag behind it"},
		{"two ways", []string{"-url", "ws://a", "ws://b"}, exitUsage, "there is more than one URL, or a flag behind it"},
		{"a flag behind", []string{"ws://a", "-subprotocol", "b"}, exitUsage, "there is more than one URL, or a flag behind it"},
	} {
		t.Run(c.name, func(t *testing.T) {
			is := is.New(t)
			var out, errOut bytes.Buffer
			is.Equal(run(t.Context(), c.args, &out, &errOut), c.code)
			if c.code == 0 {
				is.Equal(out.String(), usage)
				is.Equal(errOut.String(), "")
				return
			}
			is.Equal(out.String(), "")
			is.Equal(errOut.String(), "pingbot: "+c.reason+"\n\n"+usage)
		})
	}
}

func TestPasswordIsNotShown(t *testing.T) {
	is := is.New(t)
	srv := reqwstest.New(t, reqwstest.Script(reqwstest.Refuse(401, nil, "")))
	got := play(t.Context(), srv, strings.Replace(srv.URL, "ws://", "ws://bot:hunter2@", 1)+"/chat?token=hunter2")
	is.Equal(got, outcome{exitFailed, "connecting to ws://HOST/chat\n",
		"pingbot: reqws: handshake: ws://HOST/chat: refused with status 401 Unauthorized\n"})
	is.Equal(srv.Requests()[0].RequestURI, "/chat?token=hunter2")
	is.True(srv.Requests()[0].Header.Get("Authorization") != "")
}

// trigger is an output that calls f once a line with text in it was written.
type trigger struct {
	text string
	f    func()
	mu   sync.Mutex
	all  bytes.Buffer
}

func (w *trigger) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if bytes.Contains(p, []byte(w.text)) {
		w.f()
	}
	return w.all.Write(p)
}

func TestOwnServer(t *testing.T) {
	t.Run("the whole conversation", func(t *testing.T) {
		is := is.New(t)
		srv, err := startServer(0)
		is.NoErr(err)
		defer srv.stop()
		var out, errOut bytes.Buffer
		is.Equal(run(t.Context(), []string{srv.url.String()}, &out, &errOut), 0)
		is.Equal(errOut.String(), "")
		is.True(strings.Contains(out.String(), `← close 1000 "that was nice"`))
		is.True(strings.Contains(out.String(), "\nanswered 5 pings and 5 messages in "))
	})
	t.Run("which starts without a URL, and is interrupted", func(t *testing.T) {
		is := is.New(t)
		ctx, cancel := context.WithCancel(t.Context())
		out, errOut := &trigger{text: "← ping", f: cancel}, &bytes.Buffer{}
		is.Equal(run(ctx, nil, out, errOut), 0)
		is.Equal(errOut.String(), "")
		got := out.all.String()
		is.True(strings.Contains(got, "no URL given: talking with a server of my own\n"))
		is.True(strings.Contains(got, "closing\n"))
		is.True(strings.Contains(got, "\nanswered 1 ping and "))
	})
}

// No colours but for people, whatever the environment says.
func TestNoColoursInFiles(t *testing.T) {
	is := is.New(t)
	t.Setenv("NO_COLOR", "")
	t.Setenv("TERM", "xterm-256color")
	f, err := os.Create(filepath.Join(t.TempDir(), "out"))
	is.NoErr(err)
	defer f.Close()
	is.Equal(run(t.Context(), []string{"-nosuch"}, f, f), exitUsage)
	written, err := os.ReadFile(f.Name())
	is.NoErr(err)
	is.True(strings.HasPrefix(string(written), "pingbot: flag"))
}
