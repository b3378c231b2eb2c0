package otelreqws_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/coder/websocket"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/otelreqws"
)

// A WebSocket that is refused at first: each handshake is a span.
func ExampleInstrument() {
	tries := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if tries++; tries == 1 {
			http.Error(w, "not yet", http.StatusServiceUnavailable)
			return
		}
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		conn.Close(websocket.StatusNormalClosure, "")
	}))
	defer srv.Close()
	spans := tracetest.NewInMemoryExporter()

	err := reqws.New(
		reqws.URL("ws"+srv.URL[len("http"):]+"/rooms/:room"),
		reqws.PathParams(map[string]any{"room": "go"}),
		reqws.RetryFunc(func(*http.Request, *http.Response, error) reqws.RetryDecision { return reqws.AgainAfter(0) }),
		reqws.Logger(nil),
		otelreqws.Instrument(otelreqws.WithTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans)))),
	).Run(context.Background(), reqws.Into(reqws.Each(func(reqws.Frame) reqws.Directive { return reqws.Cont() })))
	fmt.Println(err)
	for _, s := range spans.GetSpans() {
		fmt.Println(s.Name, s.Status.Code)
	}
	// Output:
	// <nil>
	// GET /rooms/:room Error
	// GET /rooms/:room Unset
}
