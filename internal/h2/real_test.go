package h2

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/matryer/is"
)

// TestGoServer runs the tests named TestWithGoServer in a process of their own: net/http's server
// offers extended CONNECT only if GODEBUG says so when the process starts.
func TestGoServer(t *testing.T) {
	if strings.Contains(os.Getenv("GODEBUG"), "http2xconnect=1") {
		t.Skip("this is that process")
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestWithGoServer", "-test.v")
	cmd.Env = append(os.Environ(), "GODEBUG=http2xconnect=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("--- PASS: TestWithGoServer")) {
		t.Fatalf("%v\n%s", err, out)
	}
}

// goServer starts net/http's server, which echoes each stream.
func goServer(t *testing.T) (*httptest.Server, func(context.Context) (net.Conn, error)) {
	if !strings.Contains(os.Getenv("GODEBUG"), "http2xconnect=1") {
		t.Skip("run by TestGoServer")
	}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/no" {
			http.Error(w, "not here", http.StatusForbidden)
			return
		}
		w.Header().Set("X-Protocol", r.Header.Get(":protocol"))
		w.WriteHeader(200)
		rc := http.NewResponseController(w)
		rc.Flush()
		buf := make([]byte, 32<<10)
		for {
			n, err := r.Body.Read(buf)
			if n > 0 {
				w.Write(buf[:n])
				rc.Flush()
			}
			if err != nil {
				return
			}
		}
	}))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	t.Cleanup(srv.Close)
	config := srv.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	config.NextProtos = []string{"h2"}
	return srv, func(ctx context.Context) (net.Conn, error) {
		return (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", srv.Listener.Addr().String())
	}
}

func TestWithGoServerEcho(t *testing.T) {
	srv, dial := goServer(t)
	var p Pool
	var wg sync.WaitGroup
	for i := range 300 {
		wg.Go(func() {
			is := is.New(t)
			req, err := http.NewRequest("GET", srv.URL+"/echo?q=1", nil)
			is.NoErr(err)
			resp, s, err := p.Connect(t.Context(), "k", req, dial, Config{})
			is.NoErr(err)
			is.Equal(resp.StatusCode, 200)
			is.Equal(resp.Header.Get("X-Protocol"), "websocket")
			message := bytes.Repeat([]byte{byte(i)}, 50_000)
			go func() {
				s.Write(message)
				s.CloseWrite()
			}()
			got, err := io.ReadAll(s)
			is.NoErr(err)
			is.True(bytes.Equal(got, message))
			is.NoErr(s.Close())
			<-s.c.Done() // the last stream's end is the connection's
		})
	}
	wg.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	is.New(t).Equal(len(p.groups), 0)
}

func TestWithGoServerRefusal(t *testing.T) {
	is := is.New(t)
	srv, dial := goServer(t)
	var p Pool
	req, err := http.NewRequest("GET", srv.URL+"/no", nil)
	is.NoErr(err)
	resp, s, err := p.Connect(t.Context(), "k", req, dial, Config{})
	is.NoErr(err)
	is.True(s == nil)
	is.Equal(resp.StatusCode, 403)
	b, err := io.ReadAll(resp.Body)
	is.NoErr(err)
	is.Equal(string(b), "not here\n")
	is.NoErr(resp.Body.Close())
}

func TestWithGoServerDirect(t *testing.T) {
	is := is.New(t)
	srv, dial := goServer(t)
	nc, err := dial(t.Context())
	is.NoErr(err)
	c := NewConn(nc, Config{})
	req, err := http.NewRequest("GET", srv.URL+"/", nil)
	is.NoErr(err)
	_, s, err := c.Connect(t.Context(), req)
	is.NoErr(err)
	for i := range 100 {
		text := fmt.Sprint("message ", i)
		_, err := s.Write([]byte(text))
		is.NoErr(err)
		got := make([]byte, len(text))
		_, err = io.ReadFull(s, got)
		is.NoErr(err)
		is.Equal(string(got), text)
	}
	is.NoErr(c.Close())
	_, err = s.Read(make([]byte, 1))
	is.True(errors.Is(err, net.ErrClosed))
	<-c.Done()
}
