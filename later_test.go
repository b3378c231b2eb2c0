package reqws

import (
	"context"
	"crypto/tls"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/coder/websocket"
	"github.com/matryer/is"
)

// exportedOptions names the functions of this package that make an Option.
func exportedOptions(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	is.New(t).NoErr(err)
	var names []string
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		is.New(t).NoErr(err)
		for _, decl := range parsed.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || f.Recv != nil || !f.Name.IsExported() || f.Type.Results == nil || len(f.Type.Results.List) != 1 {
				continue
			}
			if result, ok := f.Type.Results.List[0].Type.(*ast.Ident); ok && result.Name == "Option" {
				names = append(names, f.Name.Name)
			}
		}
	}
	return names
}

// An option given twice: the later one stands, in New, With and Options alike; some
// stand by name, some add.
func TestTheLaterOptionStands(t *testing.T) {
	step := func(next http.RoundTripper) http.RoundTripper { return next }
	wrap := func(next Handler) Handler { return next }
	jars := [2]http.CookieJar{}
	for i := range jars {
		jar, err := cookiejar.New(nil)
		is.New(t).NoErr(err)
		jars[i] = jar
	}
	boxes := [2]chan Message{make(chan Message), make(chan Message)}
	loggers := [2]*slog.Logger{slog.New(slog.DiscardHandler), slog.New(slog.DiscardHandler)}
	halts := func(d Directive) bool { return d.Halts() }
	header := func(names ...string) func(*config) any {
		return func(c *config) any {
			var all []string
			for _, name := range names {
				all = append(all, c.header.fields[name]...)
			}
			return strings.Join(all, " ")
		}
	}
	req := &http.Request{URL: &url.URL{Scheme: "ws", Host: "h"}}

	tests := []struct {
		name          string
		first, second Option
		get           func(*config) any
		want          any // of both; nil: what the second alone makes
	}{
		{"URL", URL("ws://a"), URL("ws://b"), func(c *config) any { return c.target.url }, nil},
		{"BaseURL", BaseURL("ws://a"), BaseURL("ws://b"), func(c *config) any { return c.target.baseURL() }, nil},
		{"BaseURLFunc", BaseURL("ws://a"), BaseURLFunc(func() string { return "ws://b" }), func(c *config) any { return c.target.baseURL() }, nil},
		{"Header", Header("x_a", 1), Header("X-A", 2), header("X-A"), nil},
		{"Header", Header("X-A", 1), Header("X-B", 2), header("X-A", "X-B"), "1 2"},
		{"Header", Header("X-A", 1), Header("X-A", nil), header("X-A"), nil},
		{"Headers", Header("X-A", 1), Headers(http.Header{"x-a": {"2"}}), header("X-A", "x-a"), nil},
		{"Headers", Headers(http.Header{"x-a": {"1"}, "X-B": {"1"}}), Headers(http.Header{"X-A": {"2"}}), header("x-a", "X-A", "X-B"), "2 1"},
		{"Params", Params(map[string]any{"a": 1}), Params(map[string]any{"a": 2}), func(c *config) any { return c.target.query() }, nil},
		{"Params", Params(map[string]any{"a": 1}), Params(map[string]any{"b": 2}), func(c *config) any { return c.target.query() }, "a=1&b=2"},
		{"Params", Params(map[string]any{"a": 1}), Params(map[string]any{"a": nil}), func(c *config) any { return c.target.query() }, nil},
		{"Param", Param("a", 1), Param("a", 2), func(c *config) any { return c.target.query() }, "a=1&a=2"},
		{"PathParams", PathParams(map[string]any{"a": 1}), PathParams(map[string]any{"a": 2}), func(c *config) any { return c.target.pathParams["a"] }, nil},
		{"PathParamsStyle", PathParamsStyle(Curly), PathParamsStyle(Colon), func(c *config) any { return c.target.pathStyle }, nil},
		{"Method", Method("PUT"), Method("HEAD"), func(c *config) any { return c.plain.method }, nil},
		{"Body", Body("", []byte("a")), Body("", []byte("b")), func(c *config) any { return string(c.plain.body.data) }, nil},
		{"Body", JSONBody(1), Body("", []byte("b")), func(c *config) any { return string(c.plain.body.data) }, nil},
		{"JSONBody", Body("", []byte("a")), JSONBody(2), func(c *config) any { return string(c.plain.body.data) }, nil},
		{"CookieJar", CookieJar(jars[0]), CookieJar(jars[1]), func(c *config) any { return c.jar }, nil},
		{"CookieJar", CookieJar(jars[0]), CookieJar(nil), func(c *config) any { return c.jar == nil }, nil},
		{"Subprotocols", Subprotocols("a"), Subprotocols("b", "c"), func(c *config) any { return strings.Join(c.header.protocols.names, " ") }, nil},
		{"SecretSubprotocol", SecretSubprotocol("a"), SecretSubprotocol("b"), func(c *config) any { return c.header.protocols.secret }, nil},
		{"Auth", Auth(Bearer("a")), Auth(nil), func(c *config) any { return c.auth == nil }, nil},
		{"AWSSigV4", AWSSigV4(vectorKeys("a")), AWSSigV4(vectorKeys("b")), func(c *config) any { return c.sigV4.SessionToken }, nil},
		{"Into", Into(Each(func(Frame) Directive { return Cont() })), Into(func(Event, *Response) Directive { return Halt() }), func(c *config) any { return halts(c.into.handler(Event{}, nil)) }, nil},
		{"Into", IntoMailbox(boxes[0]), Into(func(Event, *Response) Directive { return Halt() }), func(c *config) any { return c.into.mailbox == nil && c.into.handler != nil }, nil},
		{"IntoMailbox", Into(func(Event, *Response) Directive { return Halt() }), IntoMailbox(boxes[1]), func(c *config) any { return c.into.mailbox != nil && c.into.handler == nil }, nil},
		{"IntoMailbox", IntoMailbox(boxes[0]), IntoMailbox(boxes[1]), func(c *config) any { return c.into.mailbox == (chan<- Message)(boxes[1]) }, nil},
		{"OnOpen", OnOpen(func(*Response) Directive { return Cont() }), OnOpen(func(*Response) Directive { return Halt() }), func(c *config) any { return halts(c.into.onOpen(nil)) }, nil},
		{"AutoPong", AutoPong(false), AutoPong(true), func(c *config) any { return c.into.noAutoPong }, nil},
		{"ReadAhead", ReadAhead(1), ReadAhead(0), func(c *config) any { return c.into.readAhead }, nil},
		{"HearOut", HearOut(true), HearOut(false), func(c *config) any { return c.into.hearOut }, nil},
		{"MaxMessageSize", MaxMessageSize(1), MaxMessageSize(-1), func(c *config) any { return c.into.maxMessage }, nil},
		{"Pieces", Pieces(true), Pieces(false), func(c *config) any { return c.into.pieces }, nil},
		{"Redirect", Redirect(false), Redirect(true), func(c *config) any { return c.redirect.off }, nil},
		{"RedirectTrusted", RedirectTrusted(true), RedirectTrusted(false), func(c *config) any { return c.redirect.trusted }, nil},
		{"MaxRedirects", MaxRedirects(1), MaxRedirects(2), func(c *config) any { return c.redirect.most }, nil},
		{"RedirectLogLevel", RedirectLogLevel(slog.LevelInfo), RedirectLogLevel(slog.LevelWarn), func(c *config) any { return c.redirect.level }, nil},
		{"HTTPErrors", HTTPErrors(RaiseErrors), HTTPErrors(ReturnErrors), func(c *config) any { return c.httpErrors }, nil},
		{"Retry", Retry(Never), Retry(Transient), func(c *config) any { return c.retry.mode }, nil},
		{"Retry", RetryFunc(func(*http.Request, *http.Response, error) RetryDecision { return Again }), Retry(Never), func(c *config) any { return c.retry.decides == nil }, nil},
		{"RetryFunc", Retry(Never), RetryFunc(func(*http.Request, *http.Response, error) RetryDecision { return Again }), func(c *config) any { return c.retry.decide(req, http.MethodGet, nil, net.ErrClosed) }, nil},
		{"RetryDelay", RetryDelay(func(int) time.Duration { return 1 }), RetryDelay(func(int) time.Duration { return 2 }), func(c *config) any { return c.retry.delay(0) }, nil},
		{"RetryDelay", RetryBackOff(func() backoff.BackOff { return nil }), RetryDelay(func(int) time.Duration { return 2 }), func(c *config) any { return c.retry.backOff == nil }, nil},
		{"RetryBackOff", RetryDelay(func(int) time.Duration { return 2 }), RetryBackOff(func() backoff.BackOff { return nil }), func(c *config) any { return c.retry.delay == nil && c.retry.backOff != nil }, nil},
		{"MaxRetries", MaxRetries(1), MaxRetries(2), func(c *config) any { return c.retry.most }, nil},
		{"RetryLogLevel", RetryLogLevel(slog.LevelInfo), RetryLogLevel(slog.LevelError), func(c *config) any { return c.retry.level }, nil},
		{"Logger", Logger(loggers[0]), Logger(loggers[1]), func(c *config) any { return c.logs.logger() }, nil},
		{"Logger", Logger(nil), Logger(loggers[1]), func(c *config) any { return c.logs.logger() != nil }, nil},
		{"ConnectTimeout", ConnectTimeout(1), ConnectTimeout(2), func(c *config) any { return c.connect.own.Timeout }, nil},
		{"Protocols", Protocols(HTTP1), Protocols(HTTP2), func(c *config) any { return c.connect.own.Protocols[0] }, nil},
		{"Hostname", Hostname("a"), Hostname("b"), func(c *config) any { return c.connect.hostname }, nil},
		{"TLSConfig", TLSConfig(&tls.Config{ServerName: "a"}), TLSConfig(&tls.Config{ServerName: "b"}), func(c *config) any { return c.connect.own.TLS.ServerName }, nil},
		{"DialContext", DialContext(failingDial("a")), DialContext(failingDial("b")), func(c *config) any {
			_, err := c.connect.own.DialContext(context.Background(), "", "")
			return err.Error()
		}, nil},
		{"Proxy", ProxyURL("http://a"), Proxy(func(*http.Request) (*url.URL, error) { return nil, errors.New("b") }), func(c *config) any {
			_, err := c.connect.own.Proxy(req)
			return err != nil
		}, nil},
		{"ProxyURL", ProxyURL("http://a"), ProxyURL("http://b"), func(c *config) any {
			u, _ := c.connect.own.Proxy(req)
			return u.Host
		}, nil},
		{"ProxyHeader", ProxyHeader(http.Header{"X-A": {"1"}}), ProxyHeader(http.Header{"X-A": {"2"}}), func(c *config) any { return c.connect.own.ProxyHeader.Get("X-A") }, nil},
		{"HTTP2Settings", HTTP2Settings(http.HTTP2Config{MaxReadFrameSize: 1}), HTTP2Settings(http.HTTP2Config{MaxReadFrameSize: 2}), func(c *config) any { return c.connect.own.HTTP2.MaxReadFrameSize }, nil},
		{"Compression", Compression(websocket.CompressionContextTakeover), Compression(websocket.CompressionDisabled), func(c *config) any { return c.connect.compression }, nil},
		{"Transport", Transport(http.DefaultTransport), Transport(nil), func(c *config) any { return c.connect.transport == nil }, nil},
		{"WriteTimeout", WriteTimeout(1), WriteTimeout(2), func(c *config) any { return c.life.writeTimeout }, nil},
		{"CloseTimeout", CloseTimeout(1), CloseTimeout(2), func(c *config) any { return c.life.closeTimeout }, nil},
		{"Heartbeat", Heartbeat(1, 2), Heartbeat(3, 4), func(c *config) any { return c.life.heartbeat.interval + c.life.heartbeat.timeout }, nil},
		{"HeartbeatFrame", HeartbeatFrame(func() Frame { return Text("a") }), HeartbeatFrame(func() Frame { return Text("b") }), func(c *config) any { return c.life.heartbeat.frame().Text() }, nil},
		{"Reconnect", Reconnect(1), Reconnect(-1), func(c *config) any { return c.life.reconnect.most }, nil},
		{"ReconnectBackOff", ReconnectBackOff(func() backoff.BackOff { return nil }), ReconnectBackOff(func() backoff.BackOff { return &backoff.ZeroBackOff{} }), func(c *config) any { return c.life.reconnect.backOff() == nil }, nil},
		{"ReconnectFunc", ReconnectFunc(func(error) RetryDecision { return GiveUp }), ReconnectFunc(func(error) RetryDecision { return Again }), func(c *config) any { return c.life.reconnect.decide(nil) }, nil},
		{"MinUptime", MinUptime(1), MinUptime(2), func(c *config) any { return c.life.reconnect.minUptime }, nil},
		{"Trace", Trace(&ClientTrace{Retry: func(RetryInfo) {}}), Trace(&ClientTrace{Closed: func(ClosedInfo) {}}), func(c *config) any { return [2]bool{c.watch.hooks.Retry != nil, c.watch.hooks.Closed != nil} }, nil},
		{"Trace", Trace(&ClientTrace{Retry: func(RetryInfo) {}}), Trace(nil), func(c *config) any { return c.watch.hooks.Retry == nil }, nil},
		{"Trace", AddTrace(&ClientTrace{Retry: func(RetryInfo) {}}), Trace(&ClientTrace{Closed: func(ClosedInfo) {}}), func(c *config) any { return [2]bool{c.watch.hooks.Retry != nil, c.watch.hooks.Closed != nil} }, [2]bool{true, true}},
		{"AddTrace", Trace(&ClientTrace{Retry: func(RetryInfo) {}}), AddTrace(&ClientTrace{Closed: func(ClosedInfo) {}}), func(c *config) any { return [2]bool{c.watch.hooks.Retry != nil, c.watch.hooks.Closed != nil} }, [2]bool{true, true}},
		{"AddTrace", AddTrace(&ClientTrace{}), AddTrace(&ClientTrace{}), func(c *config) any { return len(c.watch.added) }, 2},
		{"LogFrames", LogFrames(slog.LevelInfo), LogFrames(slog.LevelDebug), func(c *config) any { return c.watch.log }, nil},
		{"Use", Use(step), Use(step, step), func(c *config) any { return len(c.steps) }, 3},
		{"Wrap", Wrap(wrap), Wrap(wrap, wrap), func(c *config) any { return len(c.into.wraps) }, 3},
		{"UseOuter", UseOuter(step), UseOuter(step, step), func(c *config) any { return len(c.outerSteps) }, 3},
	}
	var covered []string
	for _, tt := range tests {
		covered = append(covered, tt.name)
		t.Run(tt.name, func(t *testing.T) {
			is := is.New(t)
			want := tt.want
			if want == nil {
				want = tt.get(New(tt.second).c)
			}
			first := New(tt.first)
			before := tt.get(first.c)
			is.True(before != want) // else the test could not fail
			for _, r := range []*Request{
				New(tt.first, tt.second),
				first.With(tt.second),
				New(Options(tt.first, tt.second)),
				New(Options(tt.first), Options(Options(tt.second))),
			} {
				is.NoErr(r.c.err())
				is.Equal(tt.get(r.c), want)
			}
			is.Equal(tt.get(first.c), before)
		})
	}
	for _, name := range exportedOptions(t) {
		if name != "Options" && !slices.Contains(covered, name) {
			t.Errorf("the option %s has no row here", name)
		}
	}
}

func failingDial(text string) func(context.Context, string, string) (net.Conn, error) {
	return func(context.Context, string, string) (net.Conn, error) { return nil, errors.New(text) }
}
