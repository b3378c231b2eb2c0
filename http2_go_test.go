package reqws

import (
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/reqws/reqws/reqwstest"
)

// TestGoServer runs the tests named TestWithGoServer in a process of their own:
// net/http's server offers extended CONNECT only if GODEBUG says so from the start.
func TestGoServer(t *testing.T) {
	if strings.Contains(os.Getenv("GODEBUG"), "http2xconnect=1") {
		t.Skip("this is that process")
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestWithGoServer", "-test.v")
	cmd.Env = append(os.Environ(), "GODEBUG=http2xconnect=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestWithGoServer") {
		t.Fatalf("%v\n%s", err, out)
	}
}

func TestWithGoServer(t *testing.T) {
	if !strings.Contains(os.Getenv("GODEBUG"), "http2xconnect=1") {
		t.Skip("run by TestGoServer")
	}
	is := is.New(t)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get(":protocol") != "websocket" || r.Header.Get("Sec-Websocket-Key") != "" {
			http.Error(w, "that is no extended CONNECT", http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusOK)
		w.Write(reqwstest.Encode(reqwstest.Text("over "+r.Proto), reqwstest.Close(1000, "")))
		http.NewResponseController(w).Flush()
		io.Copy(io.Discard, r.Body)
	}))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	roots := srv.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	for _, protocols := range [][]Protocol{{HTTP2, HTTP1}, {HTTP2}, {HTTP1, HTTP2}} {
		var got []string
		err := New(
			URL("wss"+strings.TrimPrefix(srv.URL, "https")),
			TLSConfig(&tls.Config{RootCAs: roots}),
			Protocols(protocols...),
			Into(Each(func(f Frame) Directive {
				got = append(got, f.String())
				return Cont()
			})),
		).Run(t.Context())
		if protocols[0] == HTTP1 { // the handler refuses that, and no other protocol would help
			var refused *HTTPError
			is.True(errors.As(err, &refused))
			is.Equal(refused.StatusCode, http.StatusBadRequest)
			continue
		}
		is.NoErr(err)
		is.Equal(got, []string{`text "over HTTP/2.0"`, `close 1000`})
	}
}
