package otelreqws

import (
	"context"
	"sync"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/reqws/reqws"
)

// meters are the instruments.
type meters struct {
	handshakes metric.Float64Histogram
	active     metric.Int64UpDownCounter
	lived      metric.Float64Histogram
	frames     metric.Int64Counter
	bytes      metric.Int64Counter
	heartbeats metric.Float64Histogram
	reconnects metric.Int64Counter
}

// newMeters makes them. One that cannot be made is told to the global error handler, and measures
// nothing.
func newMeters(m metric.Meter) *meters {
	return &meters{
		handshakes: made(m.Float64Histogram("http.client.request.duration", metric.WithUnit("s"),
			metric.WithDescription("Duration of HTTP client requests."),
			metric.WithExplicitBucketBoundaries(0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10))),
		active: made(m.Int64UpDownCounter("reqws.client.connections.active", metric.WithUnit("{connection}"),
			metric.WithDescription("WebSockets that are open."))),
		lived: made(m.Float64Histogram("reqws.client.connection.duration", metric.WithUnit("s"),
			metric.WithDescription("How long WebSockets were open."),
			metric.WithExplicitBucketBoundaries(0.1, 1, 10, 60, 300, 900, 3600, 3*3600, 12*3600, 24*3600, 7*24*3600))),
		frames: made(m.Int64Counter("reqws.client.frames", metric.WithUnit("{frame}"),
			metric.WithDescription("Messages and control frames, in and out."))),
		bytes: made(m.Int64Counter("reqws.client.io", metric.WithUnit("By"),
			metric.WithDescription("Payload of messages and control frames, in and out, without compression."))),
		heartbeats: made(m.Float64Histogram("reqws.client.heartbeat.duration", metric.WithUnit("s"),
			metric.WithDescription("Round trips of heartbeats."),
			metric.WithExplicitBucketBoundaries(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10))),
		reconnects: made(m.Int64Counter("reqws.client.reconnects", metric.WithUnit("{attempt}"),
			metric.WithDescription("Attempts to open a lost WebSocket again."))),
	}
}

func made[I any](instrument I, err error) I {
	if err != nil {
		otel.Handle(err)
	}
	return instrument
}

// watcher measures open connections.
type watcher struct {
	meters *meters
	open   sync.Map // *connection, by its *reqws.Response
}

// connection has the attributes of one connection ready: to make them for each batch would be to
// allocate.
type connection struct {
	attrs   []attribute.KeyValue
	add     []metric.AddOption
	in, out []metric.AddOption
	record  []metric.RecordOption
}

func newConnection(o reqws.OpenedInfo) *connection {
	c := &connection{attrs: attributesOf(o.Response)}
	set := func(more ...attribute.KeyValue) metric.MeasurementOption {
		return metric.WithAttributeSet(attribute.NewSet(append(c.attrs[:len(c.attrs):len(c.attrs)], more...)...))
	}
	c.add = []metric.AddOption{set()}
	c.in = []metric.AddOption{set(semconv.NetworkIODirectionReceive)}
	c.out = []metric.AddOption{set(semconv.NetworkIODirectionTransmit)}
	c.record = []metric.RecordOption{set()}
	return c
}

// attributesOf are those of a connection, from its handshake.
func attributesOf(r *reqws.Response) []attribute.KeyValue {
	var attrs []attribute.KeyValue
	if r.Request != nil {
		attrs = serverOf(r.Request.URL)
	}
	if version := versionOf(r.Proto); version != "" {
		attrs = append(attrs, semconv.NetworkProtocolVersion(version))
	}
	return attrs
}

func (w *watcher) trace() *reqws.ClientTrace {
	return &reqws.ClientTrace{
		Opened:       w.opened,
		BatchIn:      w.batchIn,
		BatchOut:     w.batchOut,
		Heartbeat:    w.heartbeat,
		Reconnecting: w.reconnecting,
		Closed:       w.closed,
	}
}

// of is the connection that opened with r, nil where it was not seen to.
func (w *watcher) of(r *reqws.Response) *connection {
	if c, ok := w.open.Load(r); ok {
		return c.(*connection)
	}
	return nil
}

func (w *watcher) opened(o reqws.OpenedInfo) {
	c := newConnection(o)
	w.open.Store(o.Response, c)
	w.meters.active.Add(context.Background(), 1, c.add...)
}

func (w *watcher) batchIn(b reqws.BatchInfo) {
	if c := w.of(b.Response); c != nil {
		w.count(b, c.in)
	}
}

func (w *watcher) batchOut(b reqws.BatchInfo) {
	if c := w.of(b.Response); c != nil {
		w.count(b, c.out)
	}
}

func (w *watcher) count(b reqws.BatchInfo, opts []metric.AddOption) {
	w.meters.frames.Add(context.Background(), int64(b.Frames), opts...)
	w.meters.bytes.Add(context.Background(), int64(b.Bytes), opts...)
}

func (w *watcher) heartbeat(h reqws.HeartbeatInfo) {
	if c := w.of(h.Response); c != nil {
		w.meters.heartbeats.Record(context.Background(), h.RoundTrip.Seconds(), c.record...)
	}
}

func (w *watcher) reconnecting(r reqws.ReconnectingInfo) {
	attrs := append(attributesOf(r.Response), errorType(r.Err))
	w.meters.reconnects.Add(context.Background(), 1, metric.WithAttributes(attrs...))
}

func (w *watcher) closed(i reqws.ClosedInfo) {
	c := w.of(i.Response)
	if c == nil {
		return
	}
	w.open.Delete(i.Response)
	w.meters.active.Add(context.Background(), -1, c.add...)
	attrs := c.attrs
	if i.Err != nil {
		attrs = append(attrs[:len(attrs):len(attrs)], errorType(i.Err))
	}
	w.meters.lived.Record(context.Background(), i.Lived.Seconds(), metric.WithAttributes(attrs...))
}
