package reqws

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/coder/websocket"
	"github.com/matryer/is"

	"github.com/reqws/reqws/internal/wiretest"
	"github.com/reqws/reqws/reqwstest"
)

// noTime takes the time off a log line.
func noTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

// dialByPort reaches several servers through one client.
func dialByPort(servers map[string]*reqwstest.Server) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		return servers[addr[strings.LastIndexByte(addr, ':')+1:]].DialContext(ctx, network, addr)
	}
}

// outcome is one answer, or an error, of a scripted transport.
type outcome struct {
	status     int
	retryAfter string
	err        error
}

// scripted is a transport that answers with one outcome after the other, and 200
// behind them. It records when it was asked.
type scripted struct {
	outcomes []outcome
	at       []time.Time
}

func (s *scripted) RoundTrip(req *http.Request) (*http.Response, error) {
	n := len(s.at)
	s.at = append(s.at, time.Now())
	o := outcome{status: 200}
	if n < len(s.outcomes) {
		o = s.outcomes[n]
	}
	if o.err != nil {
		return nil, o.err
	}
	header := make(http.Header)
	if o.retryAfter != "" {
		header.Set("Retry-After", o.retryAfter)
	}
	return &http.Response{StatusCode: o.status, Header: header, Body: http.NoBody, Request: req, ProtoMajor: 1}, nil
}

// gaps returns the time between the attempts.
func (s *scripted) gaps() []time.Duration {
	var gaps []time.Duration
	for i := 1; i < len(s.at); i++ {
		gaps = append(gaps, s.at[i].Sub(s.at[i-1]))
	}
	return gaps
}

func repeat(o outcome, n int) []outcome {
	var all []outcome
	for range n {
		all = append(all, o)
	}
	return all
}

// gap is the time between two attempts.
type gap struct{ least, most time.Duration }

func TestRetryDelays(t *testing.T) {
	const s = time.Second
	usual := func(d time.Duration) gap { return gap{d - d/10, d} }
	exact := func(d time.Duration) gap { return gap{d, d} }
	busy := outcome{status: 503}
	after := func(status int, v string) outcome { return outcome{status: status, retryAfter: v} }
	// The clock of a bubble begins at midnight of 2000-01-01.
	tests := []struct {
		name     string
		opts     []Option
		outcomes []outcome
		want     []gap
		status   int // in the end
	}{
		{name: "no need", status: 200},
		{name: "default", outcomes: repeat(busy, 2), want: []gap{usual(s), usual(2 * s)}, status: 200},
		{name: "exhausted", outcomes: repeat(busy, 9), want: []gap{usual(s), usual(2 * s), usual(4 * s)}, status: 503},
		{name: "more", opts: []Option{MaxRetries(6)}, outcomes: repeat(busy, 9), want: []gap{usual(s), usual(2 * s), usual(4 * s), usual(8 * s), usual(16 * s), usual(32 * s)}, status: 503},
		{name: "no bound", opts: []Option{MaxRetries(-1), RetryDelay(func(int) time.Duration { return 0 })}, outcomes: repeat(busy, 99), want: slices.Repeat([]gap{exact(0)}, 99), status: 200},
		{name: "none", opts: []Option{MaxRetries(0)}, outcomes: repeat(busy, 9), status: 503},
		{name: "never", opts: []Option{Retry(Never)}, outcomes: repeat(busy, 9), status: 503},

		{name: "seconds", outcomes: []outcome{after(503, "7")}, want: []gap{exact(7 * s)}, status: 200},
		{name: "seconds with spaces", outcomes: []outcome{after(429, " 7 ")}, want: []gap{exact(7 * s)}, status: 200},
		{name: "zero", outcomes: []outcome{after(429, "0")}, want: []gap{exact(0)}, status: 200},
		{name: "date", outcomes: []outcome{after(429, "Sat, 01 Jan 2000 00:01:30 GMT")}, want: []gap{exact(90 * s)}, status: 200},
		{name: "date of RFC 850", outcomes: []outcome{after(429, "Saturday, 01-Jan-00 00:00:05 GMT")}, want: []gap{exact(5 * s)}, status: 200},
		{name: "date in the past", outcomes: []outcome{after(503, "Fri, 31 Dec 1999 23:59:59 GMT")}, want: []gap{usual(s)}, status: 200},
		{name: "date that is now", outcomes: []outcome{after(503, "Sat, 01 Jan 2000 00:00:00 GMT")}, want: []gap{usual(s)}, status: 200},
		{name: "date long past", outcomes: []outcome{after(429, "Thu, 01 Jan 1970 00:00:00 GMT"), after(429, "Mon, 01 Jan 0001 00:00:00 GMT")}, want: []gap{usual(s), usual(2 * s)}, status: 200},
		{name: "nothing", outcomes: []outcome{after(503, " ")}, want: []gap{usual(s)}, status: 200},
		{name: "nonsense", outcomes: []outcome{after(503, "soon")}, want: []gap{usual(s)}, status: 200},
		{name: "negative", outcomes: []outcome{after(503, "-5")}, want: []gap{usual(s)}, status: 200},
		{name: "fraction", outcomes: []outcome{after(503, "1.5")}, want: []gap{usual(s)}, status: 200},
		{name: "not of a 502", outcomes: []outcome{after(502, "7")}, want: []gap{usual(s)}, status: 200},
		{name: "between defaults", outcomes: []outcome{busy, after(503, "7"), busy}, want: []gap{usual(s), exact(7 * s), usual(4 * s)}, status: 200},

		{name: "RetryDelay", opts: []Option{RetryDelay(func(n int) time.Duration { return time.Duration(n) * time.Millisecond })},
			outcomes: []outcome{busy, after(503, "7"), busy}, want: []gap{exact(0), exact(time.Millisecond), exact(2 * time.Millisecond)}, status: 200},
		{name: "negative RetryDelay", opts: []Option{RetryDelay(func(int) time.Duration { return -s })}, outcomes: []outcome{busy}, want: []gap{exact(0)}, status: 200},
		{name: "RetryBackOff", opts: []Option{RetryBackOff(func() backoff.BackOff { return backoff.NewConstantBackOff(5 * time.Millisecond) })},
			outcomes: []outcome{busy, after(503, "7")}, want: []gap{exact(5 * time.Millisecond), exact(5 * time.Millisecond)}, status: 200},
		{name: "RetryBackOff is Reset", opts: []Option{RetryBackOff(func() backoff.BackOff {
			return &backoff.ExponentialBackOff{InitialInterval: 20 * time.Millisecond, Multiplier: 2, MaxInterval: time.Hour, Stop: backoff.Stop, Clock: backoff.SystemClock}
		})}, outcomes: repeat(busy, 2), want: []gap{exact(20 * time.Millisecond), exact(40 * time.Millisecond)}, status: 200},
		{name: "RetryBackOff stops", opts: []Option{RetryBackOff(func() backoff.BackOff { return backoff.WithMaxRetries(&backoff.ZeroBackOff{}, 2) })},
			outcomes: repeat(busy, 9), want: []gap{exact(0), exact(0)}, status: 503},
		{name: "later delay stands", opts: []Option{RetryBackOff(func() backoff.BackOff { return &backoff.StopBackOff{} }), RetryDelay(func(int) time.Duration { return s })},
			outcomes: []outcome{busy}, want: []gap{exact(s)}, status: 200},

		{name: "RetryFunc gives up", opts: []Option{RetryFunc(decision(GiveUp))}, outcomes: []outcome{busy}, status: 503},
		{name: "RetryFunc, usual delay", opts: []Option{RetryFunc(decision(Again))}, outcomes: []outcome{{status: 404}, after(503, "7"), {status: 200}}, want: []gap{usual(s), exact(7 * s), usual(4 * s)}, status: 200},
		{name: "RetryFunc with RetryDelay", opts: []Option{RetryFunc(decision(Again)), RetryDelay(func(n int) time.Duration { return time.Duration(n+1) * time.Minute })},
			outcomes: repeat(busy, 9), want: []gap{exact(time.Minute), exact(2 * time.Minute), exact(3 * time.Minute)}, status: 503},
		{name: "RetryFunc, named delay", opts: []Option{RetryFunc(decision(AgainAfter(1234 * time.Millisecond))), RetryDelay(func(int) time.Duration { return s })},
			outcomes: []outcome{after(503, "7")}, want: []gap{exact(1234 * time.Millisecond), exact(1234 * time.Millisecond), exact(1234 * time.Millisecond)}, status: 200},
		{name: "RetryFunc, no delay", opts: []Option{RetryFunc(decision(AgainAfter(0))), MaxRetries(2)}, outcomes: repeat(busy, 2), want: []gap{exact(0), exact(0)}, status: 200},
		{name: "RetryFunc, negative delay", opts: []Option{RetryFunc(decision(AgainAfter(-1))), MaxRetries(1)}, outcomes: repeat(busy, 1), want: []gap{exact(0)}, status: 200},
		{name: "Retry after RetryFunc", opts: []Option{RetryFunc(decision(AgainAfter(0))), Retry(Never)}, outcomes: repeat(busy, 2), status: 503},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				is := is.New(t)
				rt := &scripted{outcomes: tt.outcomes}
				resp, err := New(append([]Option{URL("http://example.com/"), Transport(rt), Logger(nil)}, tt.opts...)...).Do(t.Context())
				is.NoErr(err)
				is.Equal(resp.StatusCode, tt.status)
				gaps := rt.gaps()
				is.Equal(len(gaps), len(tt.want))
				for i, want := range tt.want {
					if gaps[i] < want.least || gaps[i] > want.most {
						t.Errorf("retry %d came after %v, not %v to %v", i+1, gaps[i], want.least, want.most)
					}
				}
			})
		})
	}
}

func decision(d RetryDecision) func(*http.Request, *http.Response, error) RetryDecision {
	return func(*http.Request, *http.Response, error) RetryDecision { return d }
}

// timeoutError is a timeout of a kind that this package does not know.
type timeoutError struct{}

func (timeoutError) Error() string   { return "timeout" }
func (timeoutError) Timeout() bool   { return true }
func (timeoutError) Temporary() bool { return true }

type retryableError bool

func (e retryableError) Error() string   { return "retryable" }
func (e retryableError) Retryable() bool { return bool(e) }

func TestWhatIsTriedAgain(t *testing.T) {
	op := func(err error) error { return &net.OpError{Op: "read", Net: "tcp", Err: err} }
	sys := func(errno syscall.Errno) error { return op(os.NewSyscallError("read", errno)) }
	tests := []struct {
		name string
		outcome
		again bool
	}{
		{"200", outcome{status: 200}, false},
		{"400", outcome{status: 400}, false},
		{"401", outcome{status: 401}, false},
		{"404", outcome{status: 404}, false},
		{"408", outcome{status: 408}, true},
		{"425", outcome{status: 425}, false},
		{"429", outcome{status: 429}, true},
		{"500", outcome{status: 500}, true},
		{"501", outcome{status: 501}, false},
		{"502", outcome{status: 502}, true},
		{"503", outcome{status: 503}, true},
		{"504", outcome{status: 504}, true},
		{"505", outcome{status: 505}, false},

		{"timeout", outcome{err: op(os.ErrDeadlineExceeded)}, true},
		{"deadline of a step's own", outcome{err: fmt.Errorf("step: %w", context.DeadlineExceeded)}, true},
		{"some timeout", outcome{err: timeoutError{}}, true},
		{"refused", outcome{err: sys(syscall.ECONNREFUSED)}, true},
		{"reset", outcome{err: sys(syscall.ECONNRESET)}, true},
		{"aborted", outcome{err: sys(syscall.ECONNABORTED)}, true},
		{"broken pipe", outcome{err: sys(syscall.EPIPE)}, true},
		{"refused on Windows", outcome{err: sys(10061)}, true},
		{"reset on Windows", outcome{err: sys(10054)}, true},
		{"closed", outcome{err: io.EOF}, true},
		{"closed in an answer", outcome{err: fmt.Errorf("reading: %w", io.ErrUnexpectedEOF)}, true},
		{"retryable", outcome{err: fmt.Errorf("stream: %w", retryableError(true))}, true},
		{"not retryable", outcome{err: retryableError(false)}, false},

		{"no such host", outcome{err: op(&net.DNSError{Err: "no such host", IsNotFound: true})}, false},
		{"DNS timeout", outcome{err: op(&net.DNSError{Err: "timeout", IsTimeout: true})}, false},
		{"unknown authority", outcome{err: &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}}, false},
		{"bare unknown authority", outcome{err: x509.UnknownAuthorityError{}}, false},
		{"hostname", outcome{err: x509.HostnameError{Certificate: &x509.Certificate{}, Host: "x"}}, false},
		{"no TLS", outcome{err: tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}}, false},
		{"alert", outcome{err: op(tls.AlertError(40))}, false},
		{"host unreachable", outcome{err: sys(syscall.EHOSTUNREACH)}, false},
		{"protocol violation", outcome{err: &ProtocolError{Code: websocket.StatusProtocolError, Reason: "x"}}, false},
		{"any other", outcome{err: errors.New("other")}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				is := is.New(t)
				for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE"} {
					for _, mode := range []RetryMode{SafeTransient, Transient, Never} {
						rt := &scripted{outcomes: []outcome{tt.outcome}}
						resp, err := New(URL("http://example.com/"), Method(method), Retry(mode), Transport(rt), Logger(nil)).Do(t.Context())
						want := tt.again && (mode == Transient || mode == SafeTransient && (method == "GET" || method == "HEAD"))
						is.Equal(len(rt.at) == 2, want)
						switch {
						case want:
							is.NoErr(err)
							is.Equal(resp.StatusCode, 200)
						case tt.err != nil:
							is.True(errors.Is(err, tt.err))
						default:
							is.Equal(resp.StatusCode, tt.status)
						}
					}
				}
			})
		})
	}
}

// A handshake is a GET, whatever Method says, and a new one each time: reqwstest
// fails the test where a Sec-WebSocket-Key comes twice.
func TestHandshakeIsTriedAgain(t *testing.T) {
	tests := []struct {
		name  string
		first reqwstest.Option
	}{
		{"refused by status", reqwstest.Script(reqwstest.Refuse(503, nil, "busy"))},
		{"refused", reqwstest.DialError(os.NewSyscallError("connect", syscall.ECONNREFUSED))},
		{"closed before an answer", reqwstest.Script(reqwstest.Drop())},
		{"reset before an answer", reqwstest.Script(reqwstest.Reset())},
		{"closed within the answer", reqwstest.Script(wiretest.RawResponse("HTTP/1.1 101 Switch"))},
		{"silent", reqwstest.Script(reqwstest.Stall())},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				is := is.New(t)
				srv := reqwstest.NewMemory(t, tt.first, reqwstest.Script(reqwstest.Accept()))
				begin := time.Now()
				resp, err := New(URL("ws://example.com/"), Method("POST"), ConnectTimeout(10*time.Second),
					DialContext(srv.DialContext), Logger(nil)).Do(t.Context())
				is.NoErr(err)
				resp.CloseNow()
				took := time.Since(begin)
				if tt.name == "silent" {
					took -= 10 * time.Second
				}
				is.True(took >= 900*time.Millisecond && took <= time.Second)
				keys := map[string]bool{}
				for _, r := range srv.Requests() {
					is.Equal(r.Method, "GET")
					keys[r.Header.Get("Sec-Websocket-Key")] = true
				}
				is.Equal(len(keys), len(srv.Requests()))
			})
		})
	}
}

// What breaks the rules of the handshake breaks them the next time, too.
func TestHandshakeIsNotTriedAgain(t *testing.T) {
	tests := []struct {
		name string
		step reqwstest.Step
	}{
		{"wrong accept", reqwstest.Accept(reqwstest.Without("Sec-WebSocket-Accept"), reqwstest.WithHeader("Sec-WebSocket-Accept", "AAAAAAAAAAAAAAAAAAAAAAAAAAA="))},
		{"no upgrade", reqwstest.Accept(reqwstest.Without("Upgrade"))},
		{"unasked subprotocol", reqwstest.Accept(reqwstest.WithSubprotocol("x"))},
		{"200", reqwstest.Respond(200, nil, "hello")},
		{"no HTTP", wiretest.RawResponse("SSH-2.0-x\r\n\r\n")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			is := is.New(t)
			srv := reqwstest.NewMemory(t, reqwstest.Script(tt.step))
			_, err := New(URL("ws://example.com/"), DialContext(srv.DialContext), Logger(nil)).Do(t.Context())
			is.True(err != nil)
			is.Equal(len(srv.Requests()), 1)
		})
	}
}

func TestRetryFuncSeesWhatHappened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		srv := reqwstest.NewMemory(t,
			reqwstest.DialError(syscall.ECONNREFUSED),
			reqwstest.Script(reqwstest.Redirect(302, "/b?x=1")),
			reqwstest.Script(reqwstest.Refuse(418, http.Header{"X-A": {"1"}}, "")),
			reqwstest.Script(reqwstest.Accept()))
		var got []string
		resp, err := New(URL("ws://example.com/a"), Header("X-Room", "go"), Auth(Bearer("canary")), DialContext(srv.DialContext), Logger(nil),
			RetryFunc(func(req *http.Request, resp *http.Response, err error) RetryDecision {
				is.Equal(req.Header.Get("X-Room"), "go")
				is.Equal(req.Header.Get("Authorization"), "")
				line := req.URL.String()
				if err != nil {
					is.True(resp == nil)
					is.True(errors.Is(err, syscall.ECONNREFUSED))
				} else {
					line += fmt.Sprint(" ", resp.StatusCode, resp.Header["X-A"])
				}
				got = append(got, line)
				return AgainAfter(time.Millisecond)
			})).Do(t.Context())
		is.NoErr(err)
		resp.CloseNow()
		is.Equal(got, []string{"ws://example.com/a", "ws://example.com/b?x=1 418 [1]"})
	})
}

func TestRetryEndsWithContext(t *testing.T) {
	tests := []struct {
		outcome
		want string
	}{
		{outcome{status: 503, retryAfter: "3600"}, "reqws: retry: http://example.com/x: context deadline exceeded while waiting to try again after status 503"},
		{outcome{err: io.EOF}, "reqws: retry: http://example.com/x: context deadline exceeded while waiting to try again after: reqws: request: http://example.com/x: EOF"},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			is := is.New(t)
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			rt := &scripted{outcomes: []outcome{tt.outcome}}
			begin := time.Now()
			_, err := New(URL("http://u:canary@example.com/x?canary"), Transport(rt), Logger(nil)).Do(ctx)
			is.Equal(time.Since(begin), 500*time.Millisecond)
			is.True(errors.Is(err, context.DeadlineExceeded))
			is.Equal(err.Error(), tt.want)
			is.Equal(len(rt.at), 1)
		})
	}
	for name, opt := range map[string]Option{
		"waiting":    Transport(&scripted{outcomes: []outcome{{status: 503}}}),
		"asking":     Auth(AuthFunc(func(context.Context) (Step, error) { time.Sleep(time.Minute); return nil, nil })),
		"connecting": DialContext(func(ctx context.Context, _, _ string) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }),
	} {
		t.Run("the cause, while "+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				is := is.New(t)
				shutdown := errors.New("shutting down")
				ctx, cancel := context.WithTimeoutCause(t.Context(), 500*time.Millisecond, shutdown)
				defer cancel()
				_, err := New(URL("ws://example.com/"), Logger(nil), opt).Do(ctx)
				is.True(errors.Is(err, context.DeadlineExceeded))
				is.True(errors.Is(err, shutdown))
				time.Sleep(time.Minute) // what was asked returns
			})
		})
	}
	t.Run("cancelled during an attempt", func(t *testing.T) {
		is := is.New(t)
		ctx, cancel := context.WithCancel(t.Context())
		rt := RoundTripFunc(func(*http.Request) (*http.Response, error) {
			cancel()
			return nil, syscall.ECONNRESET
		})
		_, err := New(URL("http://example.com/"), Transport(rt), Logger(nil), RetryFunc(func(*http.Request, *http.Response, error) RetryDecision {
			t.Error("RetryFunc was asked")
			return Again
		})).Do(ctx)
		is.True(err != nil)
	})
}

// Each execution has a BackOff of its own.
func TestRetryBackOffPerExecution(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		made := 0
		r := New(URL("http://example.com/"), Logger(nil), RetryBackOff(func() backoff.BackOff {
			made++
			return backoff.WithMaxRetries(backoff.NewConstantBackOff(time.Second), 1)
		}))
		for range 2 {
			rt := &scripted{outcomes: repeat(outcome{status: 500}, 1)}
			resp, err := r.Do(t.Context(), Transport(rt))
			is.NoErr(err)
			is.Equal(resp.StatusCode, 200)
		}
		is.Equal(made, 2)
	})
	is := is.New(t)
	err := failed(t, URL("http://example.com/"), RetryBackOff(func() backoff.BackOff { return nil }))
	is.True(strings.Contains(err.Error(), "option RetryBackOff: the function returned nil"))
}

func TestRetryLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		var out bytes.Buffer
		log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: noTime}))
		rt := &scripted{outcomes: []outcome{{status: 503, retryAfter: "7"}, {err: io.EOF}, {status: 500}, {status: 500}}}
		usual := regexp.MustCompile(`delay=(1\.[89]\d*|2|3\.[6-9]\d*|4)s`)
		r := New(URL("http://u:canary@example.com/x?canary"), Transport(rt), Logger(log))
		resp, err := r.Do(t.Context())
		is.NoErr(err)
		is.Equal(resp.StatusCode, 500)
		is.Equal(usual.ReplaceAllString(out.String(), "delay=usual"), strings.Join([]string{
			`level=WARN msg="reqws: will try again" url=http://example.com/x status=503 delay=7s attempts_left=3`,
			`level=WARN msg="reqws: will try again" url=http://example.com/x error="reqws: request: http://example.com/x: EOF" delay=usual attempts_left=2`,
			`level=WARN msg="reqws: will try again" url=http://example.com/x status=500 delay=usual attempts_left=1`,
			"",
		}, "\n"))

		out.Reset()
		_, err = r.Do(t.Context(), Transport(&scripted{outcomes: []outcome{{status: 503}}}), RetryLogLevel(slog.LevelDebug))
		is.NoErr(err)
		is.Equal(out.String(), "") // below what the handler shows

		_, err = r.Do(t.Context(), Transport(&scripted{outcomes: repeat(outcome{status: 503, retryAfter: "7"}, 2)}), MaxRetries(-1))
		is.NoErr(err)
		is.Equal(strings.Count(out.String(), "delay=7s attempts_left=-1\n"), 2)
	})
}

// The delay is not the same for all who failed together, and grows without
// overflowing.
func TestUsualDelay(t *testing.T) {
	is := is.New(t)
	seen := map[time.Duration]bool{}
	for range 100 {
		seen[usualDelay(0)] = true
	}
	is.True(len(seen) > 90)
	last := time.Duration(0)
	for n := range 34 {
		d := usualDelay(n)
		is.True(d > last)
		last = d
	}
	for _, n := range []int{34, 63, 64, math.MaxInt} {
		is.True(usualDelay(n) > 240*365*24*time.Hour)
	}
}

func TestRetryAfterOverflow(t *testing.T) {
	is := is.New(t)
	for _, v := range []string{"9223372036", "9223372037", "18446744073709551615", "99999999999999999999999999"} {
		d, ok := retryAfter(&http.Response{StatusCode: 503, Header: http.Header{"Retry-After": {v}}})
		is.True(ok)
		is.Equal(d, 9223372036*time.Second)
	}
}

func TestRetryDecision(t *testing.T) {
	is := is.New(t)
	var zero RetryDecision
	is.Equal(zero, GiveUp)
	for _, d := range []RetryDecision{GiveUp, Again} {
		_, ok := d.after()
		is.True(!ok)
	}
	for _, d := range []time.Duration{0, 1, time.Hour, math.MaxInt64 - 1} {
		after, ok := AgainAfter(d).after()
		is.True(ok)
		is.Equal(after, d)
	}
	after, ok := AgainAfter(math.MaxInt64).after()
	is.True(ok)
	is.Equal(after, time.Duration(math.MaxInt64-1))
}

func FuzzRetryAfter(f *testing.F) {
	for _, v := range []string{"", "0", "-1", "1e9", "99999999999999999999", "Sat, 01 Jan 2000 00:01:30 GMT", "Fri, 01 Jan 9999 00:00:00 GMT"} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, v string) {
		d, ok := retryAfter(&http.Response{StatusCode: 429, Header: http.Header{"Retry-After": {v}}})
		if d < 0 || !ok && d != 0 {
			t.Fatalf("%q is %v", v, d)
		}
		value := strings.TrimSpace(v)
		if date, err := http.ParseTime(value); err == nil && (ok != (time.Until(date) > 0) && time.Until(date).Abs() > time.Minute || ok && d-time.Minute > time.Until(date)) {
			t.Fatalf("the date %q is %v, %v", v, d, ok)
		}
		isNumber := value != "" && strings.Trim(value, "0123456789") == ""
		switch seconds, err := strconv.ParseInt(value, 10, 64); {
		case !isNumber && ok && d == 0:
			t.Fatalf("%q, which is no number, is no delay at all", v)
		case isNumber && !ok:
			t.Fatalf("%q, which is a number, is no delay", v)
		case isNumber && err == nil && seconds < math.MaxInt64/int64(time.Second) && d != time.Duration(seconds)*time.Second:
			t.Fatalf("%q is %v", v, d)
		case isNumber && (err != nil || seconds >= math.MaxInt64/int64(time.Second)) && d < math.MaxInt64-time.Second:
			t.Fatalf("%q is only %v", v, d)
		}
	})
}
