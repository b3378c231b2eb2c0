package main

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/matryer/is"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/reqwstest"
)

// atOnce lets no test wait between two connections, nor log that it is about to.
var atOnce = reqws.Options(
	reqws.Logger(nil),
	reqws.ReconnectBackOff(func() backoff.BackOff { return &backoff.ZeroBackOff{} }),
)

func environment(vars map[string]string) func(string) string {
	return func(name string) string { return vars[name] }
}

// The whole program: two connections, each of them signed, and every job done once.
func TestRun(t *testing.T) {
	is := is.New(t)
	reqwstest.NoLeaks(t)
	var out bytes.Buffer
	is.NoErr(run(t.Context(), nil, environment(nil), &out, atOnce))
	is.Equal(strings.Split(out.String(), "\n"), []string{
		"no URL given: working for a stand-in on loopback",
		"connected: HTTP/1.1",
		"job 1: bread -> BREAD",
		"job 2: butter -> BUTTER",
		"job 3: cheese -> CHEESE",
		"connected: HTTP/1.1",
		"job 4: apples -> APPLES",
		"job 5: tea -> TEA",
		"no jobs left",
		"",
	})
}

func TestKeysOfTheEnvironment(t *testing.T) {
	gateway, err := startGateway(demoRegion, map[string]string{"AKIDEXAMPLE": "secret"})
	is.New(t).NoErr(err)
	defer gateway.stop()
	for _, c := range []struct {
		name   string
		vars   map[string]string
		reason string // "" where it works
	}{
		{"the right ones", map[string]string{"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": demoRegion}, ""},
		{"temporary ones", map[string]string{"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "token", "AWS_REGION": demoRegion}, ""},
		{"none", nil, "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not both set"},
		{"one", map[string]string{"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE"}, "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not both set"},
		{"no region", map[string]string{"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret"}, "/us-east-1/"},
	} {
		t.Run(c.name, func(t *testing.T) {
			is := is.New(t)
			reqwstest.NoLeaks(t)
			var out bytes.Buffer
			err := run(t.Context(), []string{gateway.url}, environment(c.vars), &out, atOnce)
			if c.reason == "" {
				is.NoErr(err)
				is.True(strings.HasSuffix(out.String(), "no jobs left\n"))
				return
			}
			is.True(err != nil)
			is.True(strings.Contains(err.Error(), c.reason))
			is.Equal(out.String(), "")
		})
	}
}

// Who does not prove to have the secret gets a 403 that says why, and is not tried again.
func TestRefused(t *testing.T) {
	gateway, err := startGateway(demoRegion, map[string]string{demoKeyID: demoSecret})
	is.New(t).NoErr(err)
	defer gateway.stop()
	right := reqws.SigV4{AccessKeyID: demoKeyID, SecretAccessKey: demoSecret, Region: demoRegion}
	ago := func(d time.Duration) func() time.Time {
		return func() time.Time { return time.Now().Add(-d) }
	}
	for _, c := range []struct {
		name   string
		change func(*reqws.SigV4)
		reason string
	}{
		{"another secret", func(s *reqws.SigV4) { s.SecretAccessKey = "guessed" }, "the signature does not match"},
		{"another key", func(s *reqws.SigV4) { s.AccessKeyID = "AKIDOTHER" }, "the access key is not known"},
		{"another region", func(s *reqws.SigV4) { s.Region = "us-west-2" }, "/us-west-2/execute-api/aws4_request"},
		{"a clock that is slow", func(s *reqws.SigV4) { s.Time = ago(time.Hour) }, "the signature is too old"},
		{"a clock that is fast", func(s *reqws.SigV4) { s.Time = ago(-time.Hour) }, "or too new"},
		{"signed in the query", func(s *reqws.SigV4) { s.Presign = time.Minute }, "the request is not signed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			is := is.New(t)
			reqwstest.NoLeaks(t)
			signature := right
			c.change(&signature)
			var out bytes.Buffer
			err := newBot(&out).work(t.Context(), gateway.url, signature, atOnce)
			var refused *reqws.HTTPError
			is.True(errors.As(err, &refused))
			is.Equal(refused.StatusCode, 403)
			is.True(strings.Contains(err.Error(), "403 Forbidden"))
			is.True(strings.Contains(err.Error(), c.reason))
			is.Equal(out.String(), "")
		})
	}
}

// What was signed cannot be changed on the way.
func TestAuthorize(t *testing.T) {
	gateway := &gateway{region: demoRegion, keys: map[string]string{demoKeyID: demoSecret}}
	now := time.Date(2024, 5, 1, 10, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name   string
		change func(*http.Request)
		reason string // "" where it is let in
	}{
		{"as it was signed", func(*http.Request) {}, ""},
		{"what is not signed", func(r *http.Request) { r.Header.Set("User-Agent", "other") }, ""},
		{"the path", func(r *http.Request) { r.URL.Path, r.URL.RawPath = "/other", "" }, "does not match"},
		{"the query", func(r *http.Request) { r.URL.RawQuery += "&room=9" }, "does not match"},
		{"the host", func(r *http.Request) { r.Host = "other.example.com" }, "does not match"},
		{"a header", func(r *http.Request) { r.Header.Set("X-Room", "9") }, "does not match"},
		{"the date", func(r *http.Request) { r.Header.Set("X-Amz-Date", "20240501T100001Z") }, "does not match"},
		{"no date", func(r *http.Request) { r.Header.Del("X-Amz-Date") }, "X-Amz-Date is missing"},
		{"nothing signed", func(r *http.Request) { r.Header.Del("Authorization") }, "the request is not signed"},
		{"no host signed", func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "host;", "", 1))
		}, "the header host is not signed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			is := is.New(t)
			r := signedRequest(t, now)
			c.change(r)
			err := gateway.authorize(r, now)
			if c.reason == "" {
				is.NoErr(err)
				return
			}
			is.True(err != nil)
			is.True(strings.Contains(err.Error(), c.reason))
		})
	}
}

// signedRequest is what a server gets of a handshake with an awkward path and query.
func signedRequest(t *testing.T, now time.Time) *http.Request {
	t.Helper()
	srv := reqwstest.NewMemory(t, reqwstest.Script(reqwstest.Refuse(404, nil, "")))
	_, err := reqws.New(
		reqws.URL(srv.URL+"/prod/a%2Fb c"),
		reqws.Params(map[string]any{"room": "go lang", "a": []string{"2", "1"}}),
		reqws.Header("X-Room", "1"),
		reqws.DialContext(srv.DialContext),
		reqws.AWSSigV4(reqws.SigV4{
			AccessKeyID: demoKeyID, SecretAccessKey: demoSecret, Service: "execute-api", Region: demoRegion,
			Time: func() time.Time { return now },
		}),
	).Do(t.Context())
	var refused *reqws.HTTPError
	is.New(t).True(errors.As(err, &refused))
	sent := srv.Requests()[0]
	r := httptest.NewRequest(sent.Method, sent.RequestURI, nil)
	r.Host, r.Header = sent.Host, sent.Header
	return r
}

// What the gateway says in place of a backend ends the bot.
func TestGatewaySpeaks(t *testing.T) {
	is := is.New(t)
	d := newBot(&bytes.Buffer{}).handle(t.Context(), message{Message: "Internal server error"}, nil)
	is.Equal(d.String(), "fail(the gateway says: Internal server error)")
}

func TestRoutes(t *testing.T) {
	is := is.New(t)
	gateway := &gateway{jobs: []string{"bread", "tea"}}
	for _, c := range []struct {
		name string
		in   request
		want message
	}{
		{"a job", request{Action: "next"}, message{Type: "job", ID: 1, Text: "bread"}},
		{"the same, while it is not done", request{Action: "next"}, message{Type: "job", ID: 1, Text: "bread"}},
		{"done", request{Action: "done", ID: 1, Result: "BREAD"}, message{Type: "job", ID: 2, Text: "tea"}},
		{"done twice", request{Action: "done", ID: 1, Result: "BREAD"}, message{Type: "job", ID: 2, Text: "tea"}},
		{"the last one", request{Action: "done", ID: 2, Result: "TEA"}, message{Type: "empty"}},
		{"a result of no job", request{Action: "done", ID: 3}, message{Type: "empty"}},
		{"heartbeat", request{Action: "ping"}, message{Type: "pong"}},
		{"no route", request{Action: "dance"}, message{Message: `no route for the action "dance"`}},
	} { // in this order: each goes on where the one before it ended
		if got := gateway.route(c.in); got != c.want {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
	is.Equal(gateway.results, []string{"BREAD", "TEA"})
}
