package otelreqws_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/matryer/is"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/baggage"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/otelreqws"
	"github.com/reqws/reqws/reqwstest"
)

const (
	host   = "server.address=reqwstest.test server.port=80"
	open   = "network.protocol.version=1.1 " + host
	get    = "http.request.method=GET"
	status = " http.response.status_code="
	full   = " url.full=ws://reqwstest.test"
)

// goodbye is a connection that is closed in good order, some time after it was asked for.
func goodbye(after time.Duration, steps ...reqwstest.Step) *reqwstest.ConnScript {
	steps = append([]reqwstest.Step{reqwstest.Sleep(after), reqwstest.Accept()}, steps...)
	return reqwstest.Script(append(steps, reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, ""))...)
}

func refuse(code int) *reqwstest.ConnScript {
	return reqwstest.Script(reqwstest.Refuse(code, nil, ""))
}

// Spans and metrics of what may become of an execution, end to end.
func TestWhatIsObserved(t *testing.T) {
	soon := reqws.Options(reqws.Retry(reqws.SafeTransient), reqws.RetryDelay(func(int) time.Duration { return time.Second }))
	atOnce := reqws.ReconnectBackOff(func() backoff.BackOff { return &backoff.ZeroBackOff{} })
	opened := "client GET /: " + get + status + "101 " + open + full + "/ url.template=/ Unset"
	closed := []string{
		"reqws.client.connection.duration{" + open + "} 1 times, 0 s",
		"reqws.client.connections.active{" + open + "} 0 {connection}",
		"reqws.client.frames{network.io.direction=receive " + open + "} 1 {frame}",
		"reqws.client.frames{network.io.direction=transmit " + open + "} 1 {frame}",
		"reqws.client.io{network.io.direction=receive " + open + "} 2 By",
		"reqws.client.io{network.io.direction=transmit " + open + "} 2 By",
	}
	with := func(first string, more ...string) []string { return append([]string{first}, more...) }
	for _, tt := range []struct {
		name    string
		scripts []reqwstest.Option
		opts    []reqws.Option
		spans   []string
		metrics []string
	}{
		{"opened and closed", []reqwstest.Option{goodbye(2 * time.Second)}, nil, []string{opened},
			with("http.client.request.duration{"+get+status+"101 "+open+"} 1 times, 2 s", closed...)},
		{"refused", []reqwstest.Option{refuse(404)}, nil,
			[]string{"client GET /: error.type=404 " + get + status + "404 " + open + full + "/ url.template=/ Error"},
			[]string{"http.client.request.duration{error.type=404 " + get + status + "404 " + open + "} 1 times, 0 s"}},
		{"no WebSocket", []reqwstest.Option{refuse(200)}, nil,
			[]string{"client GET /: error.type=200 " + get + status + "200 " + open + full + "/ url.template=/ Error"},
			[]string{"http.client.request.duration{error.type=200 " + get + status + "200 " + open + "} 1 times, 0 s"}},
		{"no server", []reqwstest.Option{reqwstest.DialError(syscall.ECONNREFUSED)}, nil,
			[]string{"client GET /: error.type=connection_refused " + get + " " + host + full + "/ url.template=/ Error reqws: dial: ws://reqwstest.test/: dial memory memory:server: connect: connection refused"},
			[]string{"http.client.request.duration{error.type=connection_refused " + get + " " + host + "} 1 times, 0 s"}},
		{"a retry", []reqwstest.Option{refuse(503), goodbye(0)}, []reqws.Option{soon},
			[]string{
				"client GET /: error.type=503 " + get + status + "503 " + open + full + "/ url.template=/ Error",
				"client GET /: " + get + " http.request.resend_count=1" + status + "101 " + open + full + "/ url.template=/ Unset",
			},
			append([]string{
				"http.client.request.duration{error.type=503 " + get + status + "503 " + open + "} 1 times, 0 s",
				"http.client.request.duration{" + get + status + "101 " + open + "} 1 times, 0 s",
			}, closed...)},
		{"a redirect", []reqwstest.Option{reqwstest.Script(reqwstest.Redirect(307, "/there?token=secret")), goodbye(0)}, nil,
			[]string{
				"client GET /: " + get + status + "307 " + open + full + "/ url.template=/ Unset",
				"client GET: " + get + " http.request.resend_count=1" + status + "101 " + open + full + "/there Unset",
			},
			append([]string{
				"http.client.request.duration{" + get + status + "101 " + open + "} 1 times, 0 s",
				"http.client.request.duration{" + get + status + "307 " + open + "} 1 times, 0 s",
			}, closed...)},
		{"a reconnect", []reqwstest.Option{reqwstest.Script(reqwstest.Accept(), reqwstest.Sleep(3*time.Second), reqwstest.Reset()), refuse(503), goodbye(0)},
			[]reqws.Option{reqws.Reconnect(-1), atOnce},
			[]string{opened, "client GET /: error.type=503 " + get + status + "503 " + open + full + "/ url.template=/ Error", opened},
			append([]string{
				"http.client.request.duration{error.type=503 " + get + status + "503 " + open + "} 1 times, 0 s",
				"http.client.request.duration{" + get + status + "101 " + open + "} 2 times, 0 s",
				"reqws.client.connection.duration{error.type=connection_reset " + open + "} 1 times, 3 s",
			}, append(closed[:len(closed):len(closed)],
				"reqws.client.reconnects{error.type=503 "+open+"} 1 {attempt}",
				"reqws.client.reconnects{error.type=connection_reset "+open+"} 1 {attempt}")...)},
		{"closed with an error", []reqwstest.Option{reqwstest.Script(reqwstest.Accept(), reqwstest.SendClose(4001, ""), reqwstest.ExpectClose(4001, ""))}, nil, []string{opened},
			append([]string{
				"http.client.request.duration{" + get + status + "101 " + open + "} 1 times, 0 s",
				"reqws.client.connection.duration{error.type=close_4001 " + open + "} 1 times, 0 s",
			}, closed[1:]...)},
		{"messages and a heartbeat", []reqwstest.Option{goodbye(0, reqwstest.Send(reqwstest.Text("abc"), reqwstest.Binary("de")), reqwstest.ExpectText("abc"), reqwstest.AnswerPing(), reqwstest.Sleep(time.Second))},
			[]reqws.Option{reqws.Heartbeat(10*time.Second, 0)}, []string{opened},
			[]string{
				"http.client.request.duration{" + get + status + "101 " + open + "} 1 times, 0 s",
				"reqws.client.connection.duration{" + open + "} 1 times, 11 s",
				"reqws.client.connections.active{" + open + "} 0 {connection}",
				"reqws.client.frames{network.io.direction=receive " + open + "} 4 {frame}",
				"reqws.client.frames{network.io.direction=transmit " + open + "} 3 {frame}",
				"reqws.client.heartbeat.duration{" + open + "} 1 times, 0 s",
				"reqws.client.io{network.io.direction=receive " + open + "} 15 By",
				"reqws.client.io{network.io.direction=transmit " + open + "} 13 By",
			}},
		{"a template and secrets", []reqwstest.Option{goodbye(0)},
			[]reqws.Option{reqws.URL("ws://user:secret@reqwstest.test/rooms/:room?token=secret"), reqws.PathParams(map[string]any{"room": 7}), reqws.Auth(reqws.Bearer("secret"))},
			[]string{"client GET /rooms/:room: " + get + status + "101 " + open + full + "/rooms/7 url.template=/rooms/:room Unset"},
			with("http.client.request.duration{"+get+status+"101 "+open+"} 1 times, 0 s", closed...)},
		{"a method of its own", []reqwstest.Option{reqwstest.Script(reqwstest.Respond(200, nil, "ok"))},
			[]reqws.Option{reqws.URL("http://reqwstest.test:8080/"), reqws.Method("PURGE")},
			[]string{"client HTTP /: http.request.method=_OTHER http.request.method_original=PURGE" + status + "200 network.protocol.version=1.1 server.address=reqwstest.test server.port=8080 url.full=http://reqwstest.test:8080/ url.template=/ Unset"},
			[]string{"http.client.request.duration{http.request.method=_OTHER" + status + "200 network.protocol.version=1.1 server.address=reqwstest.test server.port=8080} 1 times, 0 s"}},
		{"plain", []reqwstest.Option{reqwstest.Script(reqwstest.Respond(500, nil, "no"))}, []reqws.Option{reqws.URL("http://reqwstest.test/")},
			[]string{"client GET /: error.type=500 " + get + status + "500 " + open + " url.full=http://reqwstest.test/ url.template=/ Error"},
			[]string{"http.client.request.duration{error.type=500 " + get + status + "500 " + open + "} 1 times, 0 s"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				reqwstest.NoLeaks(t)
				is := is.New(t)
				srv := reqwstest.NewMemory(t, tt.scripts...)
				o := observe()
				_ = to(srv, tt.opts...).Run(t.Context(), o.instrument())
				is.Equal(o.spans(), tt.spans)
				is.Equal(o.metrics(t), tt.metrics)
			})
		})
	}
}

// A connection is active from its opening to its end.
func TestActiveConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reqwstest.NoLeaks(t)
		is := is.New(t)
		srv := reqwstest.NewMemory(t, reqwstest.Script(reqwstest.Accept(), reqwstest.EchoUntilClose()).Times(2))
		o := observe()
		r := to(srv, o.instrument())
		active := func() string {
			for _, line := range o.metrics(t) {
				if value, ok := strings.CutPrefix(line, "reqws.client.connections.active{"+open+"} "); ok {
					return value
				}
			}
			return "none"
		}
		is.Equal(active(), "none")
		one, err := r.Do(t.Context())
		is.NoErr(err)
		two, err := r.Do(t.Context())
		is.NoErr(err)
		is.Equal(active(), "2 {connection}")
		is.NoErr(one.Close(1000, ""))
		is.NoErr(one.Wait())
		is.Equal(active(), "1 {connection}")
		is.NoErr(two.Close(1000, ""))
		is.NoErr(two.Wait())
		is.Equal(active(), "0 {connection}")
	})
}

// Each attempt carries the context of its own span, whose parent is the caller's; where a redirect
// leads to a stranger nothing is said.
func TestPropagation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reqwstest.NoLeaks(t)
		is := is.New(t)
		srv := reqwstest.NewMemory(t, refuse(503), reqwstest.Script(reqwstest.Redirect(302, "ws://other.test/")), goodbye(0))
		o := observe()
		member, err := baggage.NewMember("user", "7")
		is.NoErr(err)
		bag, err := baggage.New(member)
		is.NoErr(err)
		ctx, parent := o.tracers.Tracer("test").Start(baggage.ContextWithBaggage(t.Context(), bag), "parent")
		is.NoErr(to(srv, reqws.Retry(reqws.SafeTransient)).Run(ctx, o.instrument()))
		parent.End()
		spans := o.exporter.GetSpans()
		is.Equal(len(spans), 4)
		for i, req := range srv.Requests() {
			is.Equal(spans[i].Parent.SpanID(), parent.SpanContext().SpanID())
			if i == 2 {
				is.Equal(req.Header.Get("Traceparent"), "")
				is.Equal(req.Header.Get("Baggage"), "")
				continue
			}
			is.Equal(req.Header.Get("Traceparent"), "00-"+spans[i].SpanContext.TraceID().String()+"-"+spans[i].SpanContext.SpanID().String()+"-01")
			is.Equal(req.Header.Get("Baggage"), "user=7")
		}
	})
}

// The user's own hooks and steps work beside it, and steps inside see the span.
func TestBesideTheUsers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reqwstest.NoLeaks(t)
		is := is.New(t)
		srv := reqwstest.NewMemory(t, goodbye(0))
		o := observe()
		told, header := 0, ""
		is.NoErr(to(srv, o.instrument()).Run(t.Context(),
			reqws.Trace(&reqws.ClientTrace{Opened: func(reqws.OpenedInfo) { told++ }, Closed: func(reqws.ClosedInfo) { told++ }}),
			reqws.Use(func(next http.RoundTripper) http.RoundTripper {
				return reqws.RoundTripFunc(func(req *http.Request) (*http.Response, error) {
					header = req.Header.Get("Traceparent")
					return next.RoundTrip(req)
				})
			})))
		is.Equal(told, 2)
		is.True(header != "")
		is.Equal(len(o.spans()), 1)
		is.Equal(len(o.metrics(t)), 7)
	})
}

// The handshake of Request.Dial has its span; the connection is the caller's.
func TestDial(t *testing.T) {
	reqwstest.NoLeaks(t)
	is := is.New(t)
	srv := reqwstest.NewMemory(t, reqwstest.Script(reqwstest.Accept(), reqwstest.EchoUntilClose()))
	o := observe()
	conn, _, err := to(srv, o.instrument()).Dial(t.Context())
	is.NoErr(err)
	is.NoErr(conn.Close(1000, ""))
	is.Equal(len(o.spans()), 1)
	is.Equal(len(o.metrics(t)), 1)
}

// Without options the global providers are used, also those that are set later.
func TestGlobalProviders(t *testing.T) {
	reqwstest.NoLeaks(t)
	is := is.New(t)
	srv := reqwstest.NewMemory(t, goodbye(0))
	plugin := otelreqws.Instrument(otelreqws.WithTracerProvider(nil), otelreqws.WithMeterProvider(nil), otelreqws.WithPropagators(nil))
	o := globally() // only the first providers are handed on to what was made before
	o.exporter.Reset()
	is.NoErr(to(srv, plugin).Run(context.Background()))
	is.Equal(len(o.spans()), 1)
	is.Equal(len(o.metrics(t)), 7)
}

// globally has the global providers keep what they are told in memory.
var globally = sync.OnceValue(func() *observed {
	o := observe()
	otel.SetTracerProvider(o.tracers)
	otel.SetMeterProvider(o.meters)
	return o
})

// A URL that may hold a part of a password shows nothing of it.
func TestPasswordsInPaths(t *testing.T) {
	is := is.New(t)
	o := observe()
	_ = reqws.New(reqws.URL("ws://127.0.0.1:1/se@cret"), reqws.Retry(reqws.Never), reqws.ProxyURL("http://127.0.0.1:1"),
		reqws.Proxy(func(*http.Request) (*url.URL, error) { return nil, syscall.ECONNREFUSED })).Run(t.Context(), o.instrument(),
		reqws.Into(reqws.Each(func(reqws.Frame) reqws.Directive { return reqws.Cont() })))
	spans := o.spans()
	is.Equal(len(spans), 1)
	is.True(strings.Contains(spans[0], "url.full=ws://REDACTED/REDACTED"))
	is.True(!strings.Contains(spans[0], "server.address"))
}
