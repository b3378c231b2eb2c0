package reqws_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/coder/websocket"
	"github.com/matryer/is"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/reqwstest"
)

var errNoNetwork = errors.New("no network in this test")

// offline returns a Request whose execution ends with errNoNetwork at the latest.
func offline(opts ...reqws.Option) *reqws.Request {
	return reqws.New(
		reqws.URL("ws://example.com/"),
		reqws.Retry(reqws.Never),
		reqws.Logger(nil),
		reqws.DialContext(func(context.Context, string, string) (net.Conn, error) { return nil, errNoNetwork }),
	).With(opts...)
}

// Each wrong option is an error of Do, Run and Dial that names it, and a later
// good value takes it back.
func TestWrongOptions(t *testing.T) {
	handler := func(reqws.Event, *reqws.Response) reqws.Directive { return reqws.Cont() }
	dial := func(context.Context, string, string) (net.Conn, error) { return nil, errNoNetwork }
	keys := reqws.SigV4{AccessKeyID: "AKID", SecretAccessKey: "secret", Service: "execute-api"}
	for _, tc := range []struct {
		name string
		bad  reqws.Option
		good reqws.Option
	}{
		{"BaseURLFunc", reqws.BaseURLFunc(nil), reqws.BaseURLFunc(func() string { return "" })},
		{"Header(X-A)", reqws.Header("x_a", "a\r\nX-B: b"), reqws.Header("X-A", "a")},
		{"Header(X-A)", reqws.Header("X-A", "a\x00"), reqws.Header("x_a", 1)},
		{"Header(X-A)", reqws.Header("X-A", "a\nb"), reqws.Header("X-A", time.Time{})},
		{"Headers", reqws.Headers(http.Header{"X-A": {"a\rb"}}), reqws.Headers(nil)},
		{"Headers", reqws.Headers(http.Header{"X A": {"a"}}), reqws.Headers(http.Header{"X-A": {"a"}})},
		{"Headers", reqws.Headers(http.Header{"Sec-WebSocket-Key": {"a"}}), reqws.Headers(http.Header{})},
		{"Header(X-A)", reqws.Header("X-A", map[string]int{}), reqws.Header("X-A", nil)},
		{"Params(f)", reqws.Params(map[string]any{"f": func() {}, "g": 1}), reqws.Params(map[string]any{"f": nil})},
		{"Params(f)", reqws.Params(map[string]any{"f": func() {}}), reqws.Params(map[string]any{"f": 1})},
		{"PathParams", reqws.PathParams(map[string]any{"name": nil}), reqws.PathParams(map[string]any{"name": "x"})},
		{"PathParams", reqws.PathParams(map[string]any{"no name": 1}), reqws.PathParams(nil)},
		{"PathParamsStyle", reqws.PathParamsStyle(7), reqws.PathParamsStyle(reqws.Curly)},
		{"Method", reqws.Method(""), reqws.Method("GET")},
		{"Method", reqws.Method("GE T"), reqws.Method("HEAD")},
		{"Header(X-A)", reqws.Header("X-A", "\n"), reqws.Headers(http.Header{"x-a": {"a"}})},
		{"Headers", reqws.Headers(http.Header{"X-A": {"a"}, "x-a": {"a"}}), reqws.Headers(http.Header{"x-a": {"a"}})},
		{"Body", reqws.Body("no media type", nil), reqws.Body("text/plain; charset=utf-8", nil)},
		{"Body", reqws.Body("{}", nil), reqws.Body("", nil)},
		{"Body", reqws.Body("text", nil), reqws.JSONBody(1)},
		{"Body", reqws.Body("text/plain\r\nX: y", nil), reqws.Body("text/plain", nil)},
		{"JSONBody", reqws.JSONBody(func() {}), reqws.JSONBody(nil)},
		{"JSONBody", reqws.JSONBody(make(chan int)), reqws.Body("", nil)},
		{"CookieJar", reqws.CookieJar((*cookiejar.Jar)(nil)), reqws.CookieJar(nil)},
		{"SecretSubprotocol", reqws.SecretSubprotocol(""), reqws.SecretSubprotocol("a")},
		{"SecretSubprotocol", reqws.SecretSubprotocol("a, b"), reqws.SecretSubprotocol("a")},
		{"Subprotocols", reqws.Subprotocols("a", ""), reqws.Subprotocols("a", "b")},
		{"Subprotocols", reqws.Subprotocols("a", "a"), reqws.Subprotocols("a")},
		{"Subprotocols", reqws.Subprotocols("a b"), reqws.Subprotocols()},
		{"AWSSigV4", reqws.AWSSigV4(reqws.SigV4{}), reqws.AWSSigV4(keys)},
		{"Into", reqws.Into(nil), reqws.Into(handler)},
		{"Into", reqws.Into(reqws.Each(nil)), reqws.Into(handler)},
		{"IntoMailbox", reqws.IntoMailbox(nil), reqws.IntoMailbox(make(chan reqws.Message))},
		{"IntoMailbox", reqws.IntoMailbox(nil), reqws.Into(handler)},
		{"OnOpen", reqws.OnOpen(nil), reqws.OnOpen(func(*reqws.Response) reqws.Directive { return reqws.Cont() })},
		{"MaxMessageSize", reqws.MaxMessageSize(-2), reqws.MaxMessageSize(-1)},
		{"MaxMessageSize", reqws.MaxMessageSize(math.MinInt64), reqws.MaxMessageSize(math.MaxInt64)},
		{"ReadAhead", reqws.ReadAhead(-1), reqws.ReadAhead(0)},
		{"ReadAhead", reqws.ReadAhead(math.MinInt), reqws.ReadAhead(math.MaxInt)},
		{"MaxRedirects", reqws.MaxRedirects(-1), reqws.MaxRedirects(0)},
		{"HTTPErrors", reqws.HTTPErrors(9), reqws.HTTPErrors(reqws.RaiseErrors)},
		{"Retry", reqws.Retry(9), reqws.Retry(reqws.Never)},
		{"RetryFunc", reqws.RetryFunc(nil), reqws.RetryFunc(func(*http.Request, *http.Response, error) reqws.RetryDecision { return reqws.GiveUp })},
		{"RetryDelay", reqws.RetryDelay(nil), reqws.RetryDelay(func(int) time.Duration { return 0 })},
		{"RetryBackOff", reqws.RetryBackOff(nil), reqws.RetryBackOff(func() backoff.BackOff { return &backoff.ZeroBackOff{} })},
		{"MaxRetries", reqws.MaxRetries(-2), reqws.MaxRetries(-1)},
		{"ConnectTimeout", reqws.ConnectTimeout(-1), reqws.ConnectTimeout(0)},
		{"Protocols", reqws.Protocols(), reqws.Protocols(reqws.HTTP1)},
		{"Protocols", reqws.Protocols(3), reqws.Protocols(reqws.HTTP1, reqws.HTTP2)},
		{"Protocols", reqws.Protocols(reqws.HTTP1, reqws.HTTP1), reqws.Protocols(reqws.HTTP1)},
		{"Hostname", reqws.Hostname("no host"), reqws.Hostname("example.com")},
		{"DialContext", reqws.DialContext(nil), reqws.DialContext(dial)},
		{"ProxyURL", reqws.ProxyURL("ftp://proxy"), reqws.ProxyURL("http://proxy:3128")},
		{"ProxyURL", reqws.ProxyURL(":"), reqws.ProxyURL("socks5h://u:p@proxy")},
		{"ProxyHeader", reqws.ProxyHeader(http.Header{"X": {"\n"}}), reqws.ProxyHeader(http.Header{"X": {"y"}})},
		{"Compression", reqws.Compression(9), reqws.Compression(websocket.CompressionDisabled)},
		{"WriteTimeout", reqws.WriteTimeout(-time.Second), reqws.WriteTimeout(0)},
		{"Heartbeat", reqws.Heartbeat(-time.Second, 0), reqws.Heartbeat(0, 0)},
		{"Heartbeat", reqws.Heartbeat(time.Second, -1), reqws.Heartbeat(time.Second, 0)},
		{"Reconnect", reqws.Reconnect(-2), reqws.Reconnect(-1)},
		{"ReconnectBackOff", reqws.ReconnectBackOff(nil), reqws.ReconnectBackOff(func() backoff.BackOff { return &backoff.ZeroBackOff{} })},
		{"ReconnectFunc", reqws.ReconnectFunc(nil), reqws.ReconnectFunc(func(error) reqws.RetryDecision { return reqws.Again })},
		{"MinUptime", reqws.MinUptime(-1), reqws.MinUptime(0)},
		{"HeartbeatFrame", reqws.HeartbeatFrame(nil), reqws.HeartbeatFrame(func() reqws.Frame { return reqws.Ping("") })},
		{"CloseTimeout", reqws.CloseTimeout(-time.Second), reqws.CloseTimeout(0)},
		{"Transport", reqws.Transport((*http.Transport)(nil)), reqws.Transport(nil)},
		{"Transport", reqws.Transport(reqws.RoundTripFunc(nil)), reqws.Transport(nil)},
		{"BaseURLFunc", reqws.BaseURLFunc(nil), reqws.BaseURL("")},
		{"ProxyURL", reqws.ProxyURL(":"), reqws.Proxy(nil)},
		{"RetryFunc", reqws.RetryFunc(nil), reqws.Retry(reqws.Never)},
		{"RetryBackOff", reqws.RetryBackOff(nil), reqws.RetryDelay(func(int) time.Duration { return 0 })},
	} {
		for name, way := range ways {
			t.Run(tc.name+"/"+name, func(t *testing.T) {
				is := is.New(t)
				says := func(err error) {
					t.Helper()
					is.True(err != nil)
					if !strings.Contains(err.Error(), "reqws: option "+tc.name+": ") {
						t.Errorf("%q does not name %s", err, tc.name)
					}
					is.True(!errors.Is(err, errNoNetwork)) // nothing was tried
				}
				ok := func(err error) {
					t.Helper()
					is.True(errors.Is(err, errNoNetwork))
				}
				if name == "Run" && (tc.name == "Into" || tc.name == "IntoMailbox") {
					// Run's own handler is given last.
					says(offline().Run(t.Context(), tc.bad))
					ok(offline().Run(t.Context(), tc.bad, tc.good))
					return
				}
				says(way(t.Context(), offline(tc.bad)))
				says(way(t.Context(), offline().With(tc.bad)))
				says(way(t.Context(), offline(tc.good, tc.bad)))
				says(way(t.Context(), offline(reqws.Options(reqws.Options(tc.bad)))))
				ok(way(t.Context(), offline(tc.bad, tc.good)))
				ok(way(t.Context(), offline(tc.bad).With(tc.good)))
				ok(way(t.Context(), offline(tc.bad).With(reqws.Options(tc.good))))
				ok(way(t.Context(), offline(tc.good)))
			})
		}
	}
}

// What adds to others of its name takes no error of theirs back: the bad one is
// still missing.
func TestWrongOptionsAmongThoseThatAdd(t *testing.T) {
	step := func(next http.RoundTripper) http.RoundTripper { return next }
	wrap := func(h reqws.Handler) reqws.Handler { return h }
	for _, tc := range []struct {
		name      string
		bad, good reqws.Option
	}{
		{"Param(c)", reqws.Param("c", make(chan int)), reqws.Param("c", "1")},
		{"Use", reqws.Use(nil), reqws.Use(step)},
		{"Use", reqws.Use(step, nil, step), reqws.Use()},
		{"UseOuter", reqws.UseOuter(step, nil), reqws.UseOuter(step)},
		{"Wrap", reqws.Wrap(nil), reqws.Wrap(wrap)},
	} {
		for name, way := range ways {
			t.Run(tc.name+"/"+name, func(t *testing.T) {
				for _, r := range []*reqws.Request{
					offline(tc.bad), offline(tc.good, tc.bad), offline(tc.bad, tc.good), offline(tc.bad).With(tc.good), offline(reqws.Options(tc.bad, tc.good)),
				} {
					err := way(t.Context(), r)
					if err == nil || !strings.Contains(err.Error(), "reqws: option "+tc.name+": ") {
						t.Errorf("%v does not name %s", err, tc.name)
					}
				}
				is.New(t).True(errors.Is(way(t.Context(), offline(tc.good)), errNoNetwork))
			})
		}
	}
}

// All that is wrong is told at once.
func TestSeveralWrongOptions(t *testing.T) {
	is := is.New(t)
	_, err := offline(reqws.MaxRetries(-2), reqws.Into(nil), reqws.Header("X-A", "\n"), reqws.Header("X-B", "\n")).Do(t.Context())
	for _, name := range []string{"MaxRetries", "Into", "Header(X-A)", "Header(X-B)"} {
		is.True(strings.Contains(err.Error(), "reqws: option "+name+": "))
	}
	err = offline(reqws.MaxRetries(-2)).Run(t.Context())
	is.True(strings.Contains(err.Error(), "MaxRetries"))
	is.True(strings.Contains(err.Error(), "Into or IntoMailbox"))
}

// A wrong URL is told of in the same way, though it is put together only when
// all options are known.
func TestAWrongURL(t *testing.T) {
	for _, u := range []string{"", ":", "/only/a/path", "ftp://example.com/", "ws://", "ws://example.com:99999/", "ws://exa mple.com/", "ws://example.com/#fragment"} {
		for name, way := range ways {
			t.Run(u+"/"+name, func(t *testing.T) {
				is := is.New(t)
				err := way(t.Context(), offline(reqws.URL(u)))
				is.True(err != nil)
				is.True(!errors.Is(err, errNoNetwork))
				is.True(strings.Contains(err.Error(), "reqws"))
				is.True(strings.Contains(err.Error(), "URL"))
			})
		}
	}
}

// Run without a place for the frames is an error, before anything is tried.
func TestRunNeedsAHandler(t *testing.T) {
	is := is.New(t)
	err := offline().Run(t.Context())
	is.True(err != nil)
	is.True(!errors.Is(err, errNoNetwork))
	is.True(strings.Contains(err.Error(), "Into or IntoMailbox"))
}

// Of Into and IntoMailbox the later one stands.
func TestIntoAndIntoMailbox(t *testing.T) {
	tidy(t)
	is := is.New(t)
	srv := reqwstest.New(t, reqwstest.Script(reqwstest.Accept(), reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, "")).Times(2))
	w := &witness{}
	box := make(chan reqws.Message, 2)
	is.NoErr(to(srv, w.into()).Run(t.Context(), reqws.IntoMailbox(box)))
	is.Equal(w.frames(), nil)
	is.Equal(len(box), 2)
	is.NoErr(to(srv, reqws.IntoMailbox(box)).Run(t.Context(), w.into()))
	is.Equal(w.frames(), []string{"close 1000"})
	is.Equal(len(box), 2)
}

// The later of two stands; Param and Use add.
func TestOptionsGivenTwice(t *testing.T) {
	tidy(t)
	is := is.New(t)
	srv := reqwstest.New(t, reqwstest.Script(reqwstest.Accept(), reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, "")))
	var order []string
	mark := func(name string) reqws.Step {
		return func(next http.RoundTripper) http.RoundTripper {
			return reqws.RoundTripFunc(func(req *http.Request) (*http.Response, error) {
				order = append(order, name)
				return next.RoundTrip(req)
			})
		}
	}
	is.NoErr(to(srv,
		reqws.URL("ws://nowhere.invalid/"), reqws.URL(srv.URL+"/p"),
		reqws.Header("X-A", "old"), reqws.Headers(http.Header{"x-a": {"new"}}), reqws.Header("X-B", "kept"),
		reqws.Params(map[string]any{"old": 1, "kept": 1, "back": 1}), reqws.Params(map[string]any{"old": 2, "new": 1, "back": nil}),
		reqws.Param("p", 1), reqws.Param("p", 2),
		reqws.Use(mark("a"), mark("b")), reqws.Use(mark("c")),
		reqws.Option{}, // the zero Option does nothing
		(&witness{}).into(),
	).Run(t.Context()))
	got := srv.Requests()[0]
	is.Equal(got.RequestURI, "/p?kept=1&new=1&old=2&p=1&p=2")
	is.Equal(got.Header.Values("X-A"), []string{"new"})
	is.Equal(got.Header.Values("X-B"), []string{"kept"})
	is.Equal(order, []string{"a", "b", "c"})
}

// With makes a changed copy: neither the original nor its other copies notice,
// also of what options add to.
func TestWithLeavesTheOriginalAlone(t *testing.T) {
	tidy(t)
	is := is.New(t)
	srv := reqwstest.New(t, reqwstest.Script(reqwstest.Accept(), reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, "")).Times(5))
	var steps []string
	mark := func(name string) reqws.Option {
		return reqws.Use(func(next http.RoundTripper) http.RoundTripper {
			return reqws.RoundTripFunc(func(req *http.Request) (*http.Response, error) {
				steps = append(steps, name)
				return next.RoundTrip(req)
			})
		})
	}
	base := to(srv, (&witness{}).into(), reqws.Header("X-A", "base"), reqws.Param("p", "base"), mark("base"), reqws.Params(map[string]any{"m": 1}),
		reqws.Param("q", 1), reqws.Param("r", 1), mark("base2"), mark("base3"))
	one := base.With(reqws.Header("X-A", "one"), reqws.Param("p", "one"), mark("one"), reqws.MaxRetries(-2), reqws.MaxRetries(1))
	two := base.With(reqws.Header("X-B", "two"), reqws.Param("p", "two"), reqws.Params(map[string]any{"m": 2, "n": 2}), mark("two"), reqws.Subprotocols("two"))
	bad := base.With(reqws.MaxRetries(-2))

	for _, tc := range []struct {
		req  *reqws.Request
		opts []reqws.Option
		uri  string
		a, b string
		last string
	}{
		{base, nil, "/?m=1&p=base&q=1&r=1", "base", "", "base3"},
		{one, nil, "/?m=1&p=base&q=1&r=1&p=one", "one", "", "one"},
		{two, nil, "/?m=2&n=2&p=base&q=1&r=1&p=two", "base", "two", "two"},
		{base, []reqws.Option{reqws.Param("p", "run"), mark("run")}, "/?m=1&p=base&q=1&r=1&p=run", "base", "", "run"},
		{base, nil, "/?m=1&p=base&q=1&r=1", "base", "", "base3"},
	} {
		steps = nil
		is.NoErr(tc.req.Run(t.Context(), tc.opts...))
		all := srv.Requests()
		got := all[len(all)-1]
		is.Equal(got.RequestURI, tc.uri)
		is.Equal(got.Header.Get("X-A"), tc.a)
		is.Equal(got.Header.Get("X-B"), tc.b)
		is.Equal(steps[len(steps)-1], tc.last)
	}
	is.True(bad.Run(t.Context()) != nil)
}

// Options copy what they are given: what the caller does with it later changes
// nothing.
func TestOptionsCopyWhatTheyAreGiven(t *testing.T) {
	tidy(t)
	is := is.New(t)
	srv := reqwstest.New(t, reqwstest.Script(reqwstest.Accept(), reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, "")))
	header := http.Header{"X-A": {"a"}}
	params := map[string]any{"p": 1}
	path := map[string]any{"name": "x"}
	protocols := []string{"a", "b"}
	group := []reqws.Option{reqws.Header("X-G", "g")}
	req := to(srv, (&witness{}).into(), reqws.URL(srv.URL+"/:name"),
		reqws.Headers(header), reqws.Params(params), reqws.PathParams(path), reqws.Subprotocols(protocols...), reqws.Options(group...))
	header["X-A"][0], header["X-B"] = "changed", []string{"new"}
	params["p"], path["name"], protocols[0], group[0] = 2, "y", "changed", reqws.Header("X-G", "changed")
	is.NoErr(req.Run(t.Context()))
	got := srv.Requests()[0]
	is.Equal(got.RequestURI, "/x?p=1")
	is.Equal(got.Header.Get("X-A"), "a")
	is.Equal(got.Header.Get("X-B"), "")
	is.Equal(got.Header.Get("X-G"), "g")
	is.True(strings.HasPrefix(got.Header.Get("Sec-WebSocket-Protocol"), "a"))
}

// One Request may be executed, and changed copies of it made, by many goroutines
// at once.
func TestConcurrentUseOfOneRequest(t *testing.T) {
	tidy(t)
	const n = 20
	srv := reqwstest.New(t, reqwstest.Script(
		reqwstest.Accept(), reqwstest.SendText("hi"), reqwstest.ExpectText("hi"), reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, ""),
	).Times(2*n))
	req := to(srv, reqws.Header("X-A", "a"), reqws.Param("p", 1), reqws.Use(func(next http.RoundTripper) http.RoundTripper { return next }))
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			if err := req.Run(t.Context(), reqws.Into(reqws.Each(echo)), reqws.Param("i", i)); err != nil {
				t.Error(err)
			}
		})
		all.Go(func() {
			mine := req.With(reqws.Header("X-A", i), reqws.ConnectTimeout(time.Minute), reqws.Use(func(next http.RoundTripper) http.RoundTripper { return next }))
			resp, err := mine.Do(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			for f, err := range resp.Frames(t.Context()) {
				if err != nil {
					t.Error(err)
				}
				if f.Kind == reqws.KindText {
					_ = resp.Send(t.Context(), f)
				}
			}
		})
	}
	all.Wait()
}

// All options of the design, with values that do no harm, are taken together.
func TestAllOptionsTogether(t *testing.T) {
	tidy(t)
	is := is.New(t)
	srv := reqwstest.NewTLS(t, reqwstest.Script(
		reqwstest.Accept(reqwstest.WithSubprotocol("v1")), reqwstest.ExpectText("open"), reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, "")))
	is.NoErr(reqws.New(
		reqws.BaseURL(srv.URL), reqws.URL("/{name}"), reqws.Header("user_agent", "test"), reqws.Headers(http.Header{"X": {"y"}}),
		reqws.Params(map[string]any{"a": 1}), reqws.Param("b", 2), reqws.PathParams(map[string]any{"name": "x"}), reqws.PathParamsStyle(reqws.Curly),
		reqws.Method("GET"), reqws.Body("text/plain", []byte("ignored")), reqws.JSONBody("ignored"), reqws.CookieJar(nil),
		reqws.Subprotocols("v1"), reqws.SecretSubprotocol("secret"), reqws.Auth(reqws.Bearer("token")),
		reqws.Into(reqws.Each(func(reqws.Frame) reqws.Directive { return reqws.Cont() })),
		reqws.OnOpen(func(*reqws.Response) reqws.Directive { return reqws.Cont(reqws.Text("open")) }), reqws.AutoPong(true), reqws.HearOut(true), reqws.MaxMessageSize(1<<20), reqws.ReadAhead(1<<10),
		reqws.Redirect(true), reqws.RedirectTrusted(false), reqws.MaxRedirects(3), reqws.RedirectLogLevel(slog.LevelInfo),
		reqws.HTTPErrors(reqws.RaiseErrors), reqws.Retry(reqws.Transient), reqws.RetryDelay(func(int) time.Duration { return 0 }), reqws.MaxRetries(1),
		reqws.RetryLogLevel(slog.LevelInfo), reqws.Logger(slog.New(slog.DiscardHandler)),
		reqws.ConnectTimeout(time.Minute), reqws.Protocols(reqws.HTTP1), reqws.Hostname("example.com"), reqws.TLSConfig(&tls.Config{RootCAs: srv.TLSConfig().RootCAs}),
		reqws.DialContext(srv.DialContext), reqws.Proxy(func(*http.Request) (*url.URL, error) { return nil, nil }), reqws.ProxyHeader(http.Header{"X": {"y"}}),
		reqws.HTTP2Settings(http.HTTP2Config{}), reqws.Compression(websocket.CompressionContextTakeover), reqws.Transport(nil),
		reqws.WriteTimeout(time.Minute), reqws.CloseTimeout(time.Minute),
		reqws.Trace(&reqws.ClientTrace{}), reqws.AddTrace(&reqws.ClientTrace{}), reqws.LogFrames(slog.LevelDebug),
		reqws.Use(func(next http.RoundTripper) http.RoundTripper { return next }),
		reqws.UseOuter(func(next http.RoundTripper) http.RoundTripper { return next }), reqws.Options(reqws.Options()),
	).Run(t.Context()))
	got := srv.Requests()[0]
	is.Equal(got.RequestURI, "/x?a=1&b=2")
	is.True(strings.HasPrefix(got.Host, "example.com:"))
	is.Equal(fmt.Sprint(got.Header["Authorization"]), "[Bearer token]")
}
