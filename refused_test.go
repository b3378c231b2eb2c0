package reqws_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matryer/is"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/internal/wiretest"
	"github.com/reqws/reqws/reqwstest"
)

// A refused handshake is an answer of Do, with its status, headers and body, and
// an *HTTPError of everything else.
func TestARefusedHandshake(t *testing.T) {
	for _, status := range []int{200, 202, 300, 304, 400, 401, 403, 404, 410, 418, 429, 500, 503} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			tidy(t)
			is := is.New(t)
			header := http.Header{"X-Why": {"no room"}, "Www-Authenticate": {"Basic"}}
			body := "the house is full"
			if status == 304 {
				body = "" // it cannot have one
			}
			srv := reqwstest.New(t, reqwstest.Script(reqwstest.Refuse(status, header, body)).Times(6))
			w := &witness{}
			req := to(srv, reqws.URL(srv.URL+"/chat?token=secret"), reqws.OnOpen(func(*reqws.Response) reqws.Directive {
				t.Error("OnOpen was called")
				return reqws.Cont()
			}))
			check := func(h http.Header, got int, b []byte) {
				t.Helper()
				is.Equal(got, status)
				is.Equal(h.Get("X-Why"), "no room")
				is.Equal(string(b), body)
			}
			for _, opts := range [][]reqws.Option{nil, {w.into()}} {
				resp, err := req.Do(t.Context(), append(opts, reqws.HTTPErrors(reqws.ReturnErrors))...)
				is.NoErr(err)
				check(resp.Header, resp.StatusCode, resp.Body)
				is.Equal(resp.Proto, "HTTP/1.1")
				is.Equal(resp.Request.URL.Path, "/chat")
				<-resp.Done()
				if opts == nil {
					_, err = resp.Receive(t.Context())
					is.Equal(err, resp.Wait())
				}
				is.True(resp.Send(t.Context(), reqws.Text("x")) != nil)
				is.NoErr(resp.Close(1000, ""))
			}
			for name, execute := range map[string]func() error{
				"Do":          func() error { _, err := req.Do(t.Context()); return err },
				"RaiseErrors": func() error { _, err := req.Do(t.Context(), reqws.HTTPErrors(reqws.RaiseErrors)); return err },
				"Run":         func() error { return req.Run(t.Context(), w.into()) },
				"Dial":        func() error { _, _, err := req.Dial(t.Context()); return err },
			} {
				t.Run(name, func(t *testing.T) {
					err := execute()
					var he *reqws.HTTPError
					is.True(errors.As(err, &he))
					check(he.Header, he.StatusCode, he.Body)
					is.True(strings.Contains(err.Error(), "handshake"))
					is.True(strings.Contains(err.Error(), fmt.Sprint(status)))
					is.True(strings.Contains(err.Error(), srv.URL+"/chat"))
					is.True(strings.HasSuffix(err.Error(), body))
					is.Equal(he.URL, srv.URL+"/chat")
					is.True(!strings.Contains(err.Error(), "secret"))
				})
			}
			is.Equal(w.frames(), nil)
			is.Equal(w.errs, nil)
		})
	}
}

// A refusal counts, whatever its headers say of how long the body is.
func TestARefusalOfNoKnownLength(t *testing.T) {
	for _, says := range []string{
		"Content-Length: secret", "Content-Length: 1\r\nContent-Length: 2", "Content-Length: 99999999999999999999",
		"Transfer-Encoding: identity", "Transfer-Encoding: gzip, chunked", "Transfer-Encoding: secret",
	} {
		for name, way := range ways {
			t.Run(says+"/"+name, func(t *testing.T) {
				tidy(t)
				is := is.New(t)
				answer := wiretest.RawResponse("HTTP/1.1 403 Forbidden\r\n" + says + "\r\n\r\nno room")
				srv := reqwstest.New(t, reqwstest.Script(answer).Times(2))
				err := way(t.Context(), to(srv, reqws.URL(srv.URL)))
				var he *reqws.HTTPError
				is.True(errors.As(err, &he))
				is.Equal(he.StatusCode, 403)
				is.True(strings.HasSuffix(err.Error(), ": refused with status 403 Forbidden: no room"))

				err = way(t.Context(), to(srv, reqws.URL("ws://example.com/"), reqws.ProxyURL(strings.Replace(srv.URL, "ws", "http", 1))))
				var pe *reqws.ProxyError
				is.True(errors.As(err, &pe))
				is.Equal(pe.StatusCode, 403)
				is.Equal(string(pe.Body), "no room")
			})
		}
	}
}

// Of a refusal's body the first 1 MiB are kept.
func TestTheBodyOfARefusalIsBounded(t *testing.T) {
	tidy(t)
	is := is.New(t)
	srv := reqwstest.New(t, reqwstest.Script(reqwstest.Refuse(403, nil, strings.Repeat("x", 1<<20+1))))
	_, err := to(srv).Do(t.Context())
	var he *reqws.HTTPError
	is.True(errors.As(err, &he))
	is.Equal(len(he.Body), 1<<20)
}

// With Redirect(false) a redirect is a refusal like any other.
func TestARedirectNotFollowed(t *testing.T) {
	tidy(t)
	is := is.New(t)
	srv := reqwstest.New(t, reqwstest.Script(reqwstest.Redirect(307, "/elsewhere")).Times(2))
	req := to(srv, reqws.Redirect(false))
	resp, err := req.Do(t.Context(), reqws.HTTPErrors(reqws.ReturnErrors))
	is.NoErr(err)
	is.Equal(resp.StatusCode, 307)
	is.Equal(resp.Header.Get("Location"), "/elsewhere")
	var he *reqws.HTTPError
	is.True(errors.As(req.Run(t.Context(), (&witness{}).into()), &he))
	is.Equal(he.StatusCode, 307)
}

// The body of a refusal may have no end: nobody waits for it longer than a second,
// and ctx ends that too.
func TestARefusalWithoutEnd(t *testing.T) {
	for name, opts := range map[string]func(*reqwstest.Server) []reqws.Option{
		"own":       func(*reqwstest.Server) []reqws.Option { return nil },
		"Transport": func(srv *reqwstest.Server) []reqws.Option { return []reqws.Option{reqws.Transport(netHTTP(srv))} },
		"a body that does not hear of its end": func(*reqwstest.Server) []reqws.Option {
			return []reqws.Option{reqws.Use(func(next http.RoundTripper) http.RoundTripper {
				return reqws.RoundTripFunc(func(req *http.Request) (*http.Response, error) {
					resp, err := next.RoundTrip(req)
					if err == nil {
						inner, stuck := resp.Body, make(chan struct{})
						time.AfterFunc(time.Hour, func() { close(stuck); inner.Close() })
						resp.Body = stubborn{io.LimitReader(inner, 9), stuck}
					}
					return resp, err
				})
			})}
		},
	} {
		for wayName, way := range ways {
			t.Run(name+"/"+wayName, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					is := is.New(t)
					srv := reqwstest.NewMemory(t, reqwstest.Script(wiretest.RawResponse("HTTP/1.1 503 Busy\r\n\r\nso busy!\n"), reqwstest.ExpectGone()).Times(2))
					req := to(srv, append(opts(srv), reqws.ConnectTimeout(0))...)
					start := time.Now()
					err := way(t.Context(), req)
					is.Equal(time.Since(start), time.Second)
					var he *reqws.HTTPError
					is.True(errors.As(err, &he))
					is.Equal(string(he.Body), "so busy!\n")
					is.True(strings.HasSuffix(err.Error(), "refused with status 503 Service Unavailable: so busy!"))

					ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
					defer cancel()
					start = time.Now()
					is.True(errors.As(way(ctx, req), &he))
					is.Equal(time.Since(start), time.Millisecond)
					time.Sleep(2 * time.Hour)
				})
			})
		}
	}
}

// stubborn goes on reading when it is closed, and closing waits for that.
type stubborn struct {
	io.Reader
	end chan struct{}
}

func (s stubborn) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err == io.EOF {
		<-s.end
	}
	return n, err
}

func (s stubborn) Close() error { <-s.end; return nil }
