// Package otelreqws watches WebSockets of github.com/reqws/reqws with OpenTelemetry.
//
//	req := reqws.New(reqws.URL(url), otelreqws.Instrument())
//
// # Spans
//
// Each handshake, and each plain HTTP exchange, is one client span, which ends with the head of the
// answer: retries, the hops of redirects and attempts to reconnect have spans of their own, and a
// stream that stays open for days has none. Parent is the span in the ctx of Do, Run or Dial.
// Spans follow the semantic conventions for HTTP clients: http.request.method, url.full (without
// userinfo and query, which may hold credentials), url.template, server.address, server.port,
// network.protocol.version, http.response.status_code, http.request.resend_count, and error.type.
// The name is the method, and the template of the path where there is one.
//
// The configured propagator puts its headers into each request, but for those that a redirect leads
// to another origin: baggage is not for strangers.
//
// # Metrics
//
// http.client.request.duration is that of the conventions: seconds from a request to the head of
// its answer. The others, whose names begin with reqws.client, are of open connections, and have the attributes
// server.address, server.port and network.protocol.version:
//
//	connections.active    {connection}  those that are open
//	connection.duration   s             how long one was; error.type says what it was lost to
//	frames                {frame}       by network.io.direction; a message is one, however it came
//	io                    By            bytes of payload, likewise
//	heartbeat.duration    s             round trips of heartbeats
//	reconnects            {attempt}     attempts to reconnect, by error.type of what came before
//
// The connections of Request.Dial are the caller's, and in none of these.
package otelreqws

import (
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/reqws/reqws"
)

// scope is what spans and metrics say that they come from.
const scope = "github.com/reqws/reqws/otelreqws"

// Option sets where spans and metrics go to.
type Option func(*config)

type config struct {
	tracers     trace.TracerProvider
	meters      metric.MeterProvider
	propagators propagation.TextMapPropagator
}

// WithTracerProvider sets where spans go to. The default, and nil, is the global provider.
func WithTracerProvider(p trace.TracerProvider) Option { return func(c *config) { c.tracers = p } }

// WithMeterProvider sets where metrics go to. The default, and nil, is the global provider.
func WithMeterProvider(p metric.MeterProvider) Option { return func(c *config) { c.meters = p } }

// WithPropagators sets what puts the context of a span into the headers of its request. The default,
// and nil, is the global one.
func WithPropagators(p propagation.TextMapPropagator) Option {
	return func(c *config) { c.propagators = p }
}

// Instrument returns a plugin for reqws: an option of a Request, for New, With, Do, Run and Dial. One
// may serve any number of Requests. It is made of steps and of AddTrace, so that it leaves a Trace of the
// user's alone. Given twice, it counts twice.
//
// Its step is among those of Use: steps that were given before it are around its spans, and later
// ones inside. It comes in front of AWS signing, which signs what the propagator sets.
func Instrument(opts ...Option) reqws.Option {
	c := config{}
	for _, o := range opts {
		o(&c)
	}
	if c.tracers == nil {
		c.tracers = otel.GetTracerProvider()
	}
	if c.meters == nil {
		c.meters = otel.GetMeterProvider()
	}
	if c.propagators == nil {
		c.propagators = otel.GetTextMapPropagator()
	}
	m := newMeters(c.meters.Meter(scope, metric.WithSchemaURL(semconv.SchemaURL)))
	s := &spans{
		tracer:      c.tracers.Tracer(scope, trace.WithSchemaURL(semconv.SchemaURL)),
		propagators: c.propagators,
		meters:      m,
	}
	w := &watcher{meters: m}
	return reqws.Options(
		reqws.UseOuter(countSends),
		reqws.Use(s.step),
		reqws.AddTrace(w.trace()),
	)
}
