package otelreqws

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/reqws/reqws"
)

// spans makes one for each exchange.
type spans struct {
	tracer      trace.Tracer
	propagators propagation.TextMapPropagator
	meters      *meters
}

// sends counts the exchanges of one execution. It goes with the context of the request.
type sends struct{ n atomic.Int64 }

type sendsKey struct{}

// countSends is the step around retries and redirects.
func countSends(next http.RoundTripper) http.RoundTripper {
	return reqws.RoundTripFunc(func(req *http.Request) (*http.Response, error) {
		return next.RoundTrip(req.WithContext(context.WithValue(req.Context(), sendsKey{}, new(sends))))
	})
}

// resends is how many exchanges were made before this one.
func resends(ctx context.Context) int {
	if s, ok := ctx.Value(sendsKey{}).(*sends); ok {
		return int(s.n.Add(1)) - 1
	}
	return 0
}

// step is inside retries and redirects, and runs for each exchange.
func (s *spans) step(next http.RoundTripper) http.RoundTripper {
	return reqws.RoundTripFunc(func(req *http.Request) (*http.Response, error) {
		start := time.Now()
		method := methodOf(req)
		server := serverOf(req.URL)
		ctx, span := s.tracer.Start(req.Context(), nameOf(method, req), trace.WithSpanKind(trace.SpanKindClient),
			trace.WithAttributes(s.request(method, server, req)...))
		defer span.End() // also where a step panics
		req = req.Clone(ctx)
		if !reqws.Foreign(ctx) {
			s.propagators.Inject(ctx, propagation.HeaderCarrier(req.Header))
		}
		resp, err := next.RoundTrip(req)
		outcome := outcomeOf(req, resp, err)
		span.SetAttributes(outcome.attrs...)
		if outcome.failed {
			span.SetStatus(codes.Error, outcome.says)
		}
		attrs := append(append([]attribute.KeyValue{method}, server...), outcome.attrs...)
		s.meters.handshakes.Record(ctx, time.Since(start).Seconds(), metric.WithAttributes(attrs...))
		return resp, err
	})
}

// request is what is known of an exchange before it.
func (s *spans) request(method attribute.KeyValue, server []attribute.KeyValue, req *http.Request) []attribute.KeyValue {
	attrs := append([]attribute.KeyValue{method, semconv.URLFull(shown(req.URL))}, server...)
	if method == semconv.HTTPRequestMethodOther {
		attrs = append(attrs, semconv.HTTPRequestMethodOriginal(req.Method))
	}
	if req.Pattern != "" {
		attrs = append(attrs, semconv.URLTemplate(req.Pattern))
	}
	if n := resends(req.Context()); n > 0 {
		attrs = append(attrs, semconv.HTTPRequestResendCount(n))
	}
	return attrs
}

// nameOf is the name of a span: what it is about, without what differs from one to the next.
func nameOf(method attribute.KeyValue, req *http.Request) string {
	name := method.Value.AsString()
	if method == semconv.HTTPRequestMethodOther {
		name = "HTTP"
	}
	if req.Pattern != "" {
		name += " " + req.Pattern
	}
	return name
}

// outcome is what came of an exchange.
type outcome struct {
	attrs  []attribute.KeyValue
	failed bool
	says   string
}

func outcomeOf(req *http.Request, resp *http.Response, err error) outcome {
	if err != nil {
		return outcome{[]attribute.KeyValue{errorType(err)}, true, err.Error()}
	}
	o := outcome{attrs: []attribute.KeyValue{semconv.HTTPResponseStatusCode(resp.StatusCode)}}
	if version := versionOf(resp.Proto); version != "" {
		o.attrs = append(o.attrs, semconv.NetworkProtocolVersion(version))
	}
	if isError(req, resp) {
		o.failed = true // the status says why
		o.attrs = append(o.attrs, errorStatus(resp.StatusCode))
	}
	return o
}

// isError reports whether a status is not what was asked for. A redirect is a step on the way.
func isError(req *http.Request, resp *http.Response) bool {
	opens := req.URL.Scheme == "ws" || req.URL.Scheme == "wss"
	switch {
	case resp.StatusCode >= 400:
		return true
	case !opens || resp.StatusCode/100 == 3 || resp.StatusCode == http.StatusSwitchingProtocols:
		return false
	}
	return resp.ProtoMajor != 2 // over HTTP/2 a 2xx opens a WebSocket (RFC 8441, section 5)
}
