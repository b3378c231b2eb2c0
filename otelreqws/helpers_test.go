package otelreqws_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/otelreqws"
	"github.com/reqws/reqws/reqwstest"
)

// observed keeps what is measured in memory.
type observed struct {
	exporter *tracetest.InMemoryExporter
	tracers  *sdktrace.TracerProvider
	reader   *metric.ManualReader
	meters   *metric.MeterProvider
}

func observe() *observed {
	o := &observed{exporter: tracetest.NewInMemoryExporter(), reader: metric.NewManualReader()}
	o.tracers = sdktrace.NewTracerProvider(sdktrace.WithSyncer(o.exporter))
	o.meters = metric.NewMeterProvider(metric.WithReader(o.reader))
	return o
}

func (o *observed) instrument() reqws.Option {
	return otelreqws.Instrument(
		otelreqws.WithTracerProvider(o.tracers),
		otelreqws.WithMeterProvider(o.meters),
		otelreqws.WithPropagators(propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{})),
	)
}

// spans are the spans that have ended, each in a line.
func (o *observed) spans() []string {
	var lines []string
	for _, s := range o.exporter.GetSpans() {
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %s: %s %v %s", s.SpanKind, s.Name, listed(s.Attributes), s.Status.Code, s.Status.Description)))
	}
	return lines
}

// metrics are the points of the metrics, each in a line: counters with their value, histograms with count
// and sum.
func (o *observed) metrics(t *testing.T) []string {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := o.reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					lines = append(lines, fmt.Sprintf("%s{%s} %d %s", m.Name, listed(p.Attributes.ToSlice()), p.Value, m.Unit))
				}
			case metricdata.Histogram[float64]:
				for _, p := range data.DataPoints {
					lines = append(lines, fmt.Sprintf("%s{%s} %d times, %v %s", m.Name, listed(p.Attributes.ToSlice()), p.Count, p.Sum, m.Unit))
				}
			default:
				t.Fatalf("%s is a %T", m.Name, m.Data)
			}
		}
	}
	slices.Sort(lines)
	return lines
}

func listed(attrs []attribute.KeyValue) string {
	var all []string
	for _, a := range attrs {
		all = append(all, string(a.Key)+"="+a.Value.String())
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// to returns a Request to a server in memory, whose handler echoes.
func to(srv *reqwstest.Server, opts ...reqws.Option) *reqws.Request {
	return reqws.New(
		reqws.URL(srv.URL), reqws.DialContext(srv.DialContext), reqws.Retry(reqws.Never), reqws.Logger(nil),
		reqws.Into(reqws.Each(func(f reqws.Frame) reqws.Directive {
			if f.Kind == reqws.KindText {
				return reqws.Cont(f)
			}
			return reqws.Cont()
		})),
	).With(opts...)
}
