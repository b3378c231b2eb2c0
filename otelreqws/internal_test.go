package otelreqws

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"
	"testing"

	"github.com/coder/websocket"
	"github.com/matryer/is"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/reqws/reqws"
)

// Errors come in few kinds, whatever is around them.
func TestErrorTypes(t *testing.T) {
	for want, err := range map[string]error{
		"403":                &reqws.HTTPError{StatusCode: 403},
		"close_1012":         websocket.CloseError{Code: 1012},
		"protocol_error":     &reqws.ProtocolError{Code: 1002},
		"proxy":              &reqws.ProxyError{StatusCode: 407},
		"lookup":             &net.DNSError{IsTimeout: true},
		"certificate":        &tls.CertificateVerificationError{Err: errors.New("x")},
		"peer_unresponsive":  reqws.ErrPeerUnresponsive,
		"canceled":           context.Canceled,
		"closed":             reqws.ErrClosed,
		"timeout":            os.ErrDeadlineExceeded,
		"connection_refused": &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED},
		"connection_reset":   syscall.EPIPE,
		"connection_lost":    io.ErrUnexpectedEOF,
		"_OTHER":             errors.New("token=secret"),
	} {
		is := is.New(t)
		is.Equal(errorType(err).Value.AsString(), want)
		is.Equal(errorType(fmt.Errorf("around it: %w", err)).Value.AsString(), want)
	}
	is.New(t).Equal(errorType(context.DeadlineExceeded).Value.AsString(), "timeout")
}

func TestVersions(t *testing.T) {
	for proto, want := range map[string]string{"HTTP/1.1": "1.1", "HTTP/1.0": "1", "HTTP/2.0": "2", "": "", "other": ""} {
		is.New(t).Equal(versionOf(proto), want)
	}
}

// Over HTTP/2 any 2xx opens a WebSocket, over HTTP/1.1 none.
func TestIsError(t *testing.T) {
	for _, tt := range []struct {
		scheme string
		major  int
		status int
		want   bool
	}{
		{"ws", 1, 101, false}, {"ws", 1, 200, true}, {"wss", 2, 200, false}, {"wss", 2, 404, true}, {"ws", 1, 302, false},
		{"http", 1, 200, false}, {"https", 2, 404, true}, {"https", 1, 304, false},
	} {
		req, _ := http.NewRequest(http.MethodGet, tt.scheme+"://host/", nil)
		is.New(t).Equal(isError(req, &http.Response{StatusCode: tt.status, ProtoMajor: tt.major}), tt.want)
	}
}

// To count a batch allocates nothing here.
func TestNothingIsAllocatedPerBatch(t *testing.T) {
	is := is.New(t)
	w := &watcher{meters: newMeters(noop.NewMeterProvider().Meter(""))}
	r := &reqws.Response{Proto: "HTTP/1.1"}
	w.opened(reqws.OpenedInfo{Response: r})
	is.Equal(testing.AllocsPerRun(100, func() {
		w.batchIn(reqws.BatchInfo{Response: r, Frames: 3, Bytes: 100})
		w.batchOut(reqws.BatchInfo{Response: r, Frames: 3, Bytes: 100})
		w.heartbeat(reqws.HeartbeatInfo{Response: r})
	}), 0.0)
	w.closed(reqws.ClosedInfo{Response: r})
	is.True(w.of(r) == nil)
	w.closed(reqws.ClosedInfo{Response: r}) // one that is not known is nothing
	w.batchIn(reqws.BatchInfo{Response: r})
}
