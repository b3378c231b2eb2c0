package dial

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matryer/is"

	"github.com/reqws/reqws/internal/wiretest"
	"github.com/reqws/reqws/reqwstest"
)

func TestPlain(t *testing.T) {
	reqwstest.NoLeaks(t, "net/http")
	wiretest.NoFDLeaks(t)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s over %s", r.Method, r.URL.Path, r.Proto)
	})
	get := func(t *testing.T, u string, opts ...Option) (string, error) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, u, nil)
		is.New(t).NoErr(err)
		resp, err := transportOf(opts...).RoundTrip(req)
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		return string(body), err
	}
	t.Run("http", func(t *testing.T) {
		is := is.New(t)
		srv := httptest.NewServer(handler)
		defer srv.Close()
		got, err := get(t, srv.URL+"/p")
		is.NoErr(err)
		is.Equal(got, "GET /p over HTTP/1.1")
	})
	for _, tt := range []struct {
		protocols []Protocol
		want      string
	}{
		{[]Protocol{HTTP1}, "GET /p over HTTP/1.1"},
		{[]Protocol{HTTP2}, "GET /p over HTTP/2.0"},
		{[]Protocol{HTTP2, HTTP1}, "GET /p over HTTP/2.0"},
	} {
		t.Run(fmt.Sprint("https ", tt.protocols), func(t *testing.T) {
			is := is.New(t)
			srv := httptest.NewUnstartedServer(handler)
			srv.EnableHTTP2 = true
			srv.StartTLS()
			defer srv.Close()
			roots := srv.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
			got, err := get(t, srv.URL+"/p", Protocols(tt.protocols...), TLSConfig(&tls.Config{RootCAs: roots}))
			is.NoErr(err)
			is.Equal(got, tt.want)
		})
	}
	t.Run("refused", func(t *testing.T) {
		is := is.New(t)
		_, err := get(t, "https://host/p?token=secret", DialContext(lan{}.dial))
		is.Equal(err.Error(), "reqws: dial: https://host/p: dial tcp: connection refused")
	})
	for _, answer := range []string{"HTTP/1.1 secret\r\n\r\n", "secret\r\n", "HTTP/1.1 200 OK\r\nSet-Cookie session=secret\r\n\r\n", "HTTP/1.1 200 OK\r\n secret: x\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: secret\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: secret\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2secret\r\n\r\n"} {
		t.Run("a bad answer", func(t *testing.T) {
			is := is.New(t)
			_, err := get(t, "http://host/p", DialContext(lan{"host:80": hangingUp(answer)}.dial))
			is.True(strings.HasPrefix(err.Error(), "reqws: request: http://host/p: "))
			is.True(!strings.Contains(err.Error(), "secret"))
		})
	}
	t.Run("no answer", func(t *testing.T) {
		is := is.New(t)
		_, err := get(t, "http://host/p?token=secret", DialContext(lan{"host:80": hangingUp("")}.dial))
		is.True(errors.Is(err, io.EOF))
		is.True(strings.HasPrefix(err.Error(), "reqws: request: http://host/p: "))
		is.True(!strings.Contains(err.Error(), "secret"))
	})
	t.Run("timeout", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			is := is.New(t)
			start := time.Now()
			_, err := get(t, "https://host/p", DialContext(lan{"host:443": silent}.dial))
			is.Equal(time.Since(start), 30*time.Second)
			is.Equal(err.Error(), "reqws: TLS: https://host/p: no answer within the connect timeout of 30s")
		})
	})
	t.Run("cancelled", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			is := is.New(t)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://host/p", nil)
			is.NoErr(err)
			_, err = transportOf(DialContext(lan{"host:80": nil}.dial)).RoundTrip(req)
			is.True(errors.Is(err, context.DeadlineExceeded))
			is.True(strings.HasPrefix(err.Error(), "reqws: "))
		})
	})
}
