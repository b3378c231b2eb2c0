package reqws

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/reqws/reqws/reqwstest"
)

// credentials is what a request arrived with that only its own origin may see.
func credentials(r *reqwstest.Request) []string {
	var got []string
	for _, name := range []string{"Authorization", "Cookie", "Proxy-Authorization", "X-Api-Key", "X-Amz-Security-Token", "X-Amz-Date"} {
		if r.Header.Get(name) != "" {
			got = append(got, name)
		}
	}
	return got
}

func TestRedirects(t *testing.T) {
	type to struct {
		status   int
		location string
	}
	type seen struct{ host, uri string }
	many := func(n int) (tos []to, all []seen) {
		for range n {
			tos = append(tos, to{302, "/"})
			all = append(all, seen{"example.com", "/"})
		}
		return tos, append(all, seen{"example.com", "/"})
	}
	ten, tenSeen := many(10)
	eleven, _ := many(11)

	tests := []struct {
		name string
		opts []Option
		hops []to
		want []seen // all requests
		err  string // in place of an open WebSocket
	}{
		{name: "301", hops: []to{{301, "/b"}}, want: []seen{{"example.com", "/a/x"}, {"example.com", "/b"}}},
		{name: "302", hops: []to{{302, "/b"}}, want: []seen{{"example.com", "/a/x"}, {"example.com", "/b"}}},
		{name: "303", hops: []to{{303, "/b"}}, want: []seen{{"example.com", "/a/x"}, {"example.com", "/b"}}},
		{name: "307", hops: []to{{307, "/b"}}, want: []seen{{"example.com", "/a/x"}, {"example.com", "/b"}}},
		{name: "308", hops: []to{{308, "/b"}}, want: []seen{{"example.com", "/a/x"}, {"example.com", "/b"}}},
		{name: "relative path", hops: []to{{302, "b/../c"}}, want: []seen{{"example.com", "/a/x"}, {"example.com", "/a/c"}}},
		{name: "query alone", hops: []to{{302, "?q=1"}}, want: []seen{{"example.com", "/a/x"}, {"example.com", "/a/x?q=1"}}},
		{name: "relative to the last hop", hops: []to{{302, "http://other.example/p/q"}, {302, "r"}},
			want: []seen{{"example.com", "/a/x"}, {"other.example", "/p/q"}, {"other.example", "/p/r"}}},
		{name: "scheme-relative", hops: []to{{302, "//other.example:81"}}, want: []seen{{"example.com", "/a/x"}, {"other.example:81", "/"}}},
		{name: "http is ws", hops: []to{{302, "http://example.com/b"}}, want: []seen{{"example.com", "/a/x"}, {"example.com", "/b"}}},
		{name: "ws", hops: []to{{302, "ws://example.com/b"}}, want: []seen{{"example.com", "/a/x"}, {"example.com", "/b"}}},
		{name: "default port", hops: []to{{302, "http://example.com:80/b"}}, want: []seen{{"example.com", "/a/x"}, {"example.com", "/b"}}},
		{name: "userinfo and fragment dropped", hops: []to{{302, "http://u:p@example.com/b#c"}}, want: []seen{{"example.com", "/a/x"}, {"example.com", "/b"}}},
		{name: "escapes stay", hops: []to{{302, "/b%2Fc d/ü?e f=ü"}}, want: []seen{{"example.com", "/a/x"}, {"example.com", "/b%2Fc%20d/%C3%BC?e%20f=%C3%BC"}}},
		{name: "a stray % in the path", hops: []to{{302, "/off/100%"}}, want: []seen{{"example.com", "/a/x"}, {"example.com", "/off/100%25"}}},
		{name: "a stray % in the query", hops: []to{{302, "?x=100%"}}, want: []seen{{"example.com", "/a/x"}, {"example.com", "/a/x?x=100%"}}},
		{name: "several of them", hops: []to{{302, "/%zz%4%2F%%41"}}, want: []seen{{"example.com", "/a/x"}, {"example.com", "/%25zz%254%2F%25%41"}}},
		{name: "a stray % in a relative path", hops: []to{{302, "50%/../b%"}}, want: []seen{{"example.com", "/a/x"}, {"example.com", "/a/b%25"}}},
		{name: "a stray % behind a host", hops: []to{{302, "//example.com/%?%"}}, want: []seen{{"example.com", "/a/x"}, {"example.com", "/%25?%"}}},
		{name: "a stray % in the fragment", hops: []to{{302, "/b#%"}}, want: []seen{{"example.com", "/a/x"}, {"example.com", "/b"}}},
		{name: "a stray % in the userinfo", hops: []to{{302, "http://u:100%@example.com/b"}}, want: []seen{{"example.com", "/a/x"}, {"example.com", "/b"}}},
		{name: "two @", hops: []to{{302, "http://u@v:p@example.com/b"}}, want: []seen{{"example.com", "/a/x"}, {"example.com", "/b"}}},
		{name: "@ in the path", hops: []to{{302, "http://example.com/@b"}}, want: []seen{{"example.com", "/a/x"}, {"example.com", "/@b"}}},
		{name: "colon in the first segment", hops: []to{{302, "12:30/b"}}, want: []seen{{"example.com", "/a/x"}, {"example.com", "/a/12:30/b"}}},
		{name: "Latin-1", hops: []to{{302, "/caf\xe9?\xe9"}}, want: []seen{{"example.com", "/a/x"}, {"example.com", "/caf%E9?%E9"}}},
		{name: "what no path may hold", hops: []to{{302, "/\"<>[\\]^`{|}"}}, want: []seen{{"example.com", "/a/x"}, {"example.com", "/%22%3C%3E%5B%5C%5D%5E%60%7B%7C%7D"}}},
		{name: "a backslash is no slash", hops: []to{{302, "/\\other.example/"}}, want: []seen{{"example.com", "/a/x"}, {"example.com", "/%5Cother.example/"}}},
		{name: "a tab", hops: []to{{302, "/a\tb"}}, want: []seen{{"example.com", "/a/x"}, {"example.com", "/a%09b"}}},
		{name: "? alone", hops: []to{{302, "?q"}, {302, "?"}}, want: []seen{{"example.com", "/a/x"}, {"example.com", "/a/x?q"}, {"example.com", "/a/x?"}}},
		{name: "parameters are not put in again", opts: []Option{PathParams(map[string]any{"b": "no"}), Params(map[string]any{"q": 1}), Param("r", 2)},
			hops: []to{{302, "/:b"}}, want: []seen{{"example.com", "/a/x?q=1&r=2"}, {"example.com", "/:b"}}},
		{name: "ten", hops: ten, want: append([]seen{{"example.com", "/a/x"}}, tenSeen[1:]...)},
		{name: "eleven", hops: eleven, err: "too many redirects: MaxRedirects is 10"},
		{name: "none allowed", opts: []Option{MaxRedirects(0)}, hops: []to{{302, "/b"}}, err: "too many redirects: MaxRedirects is 0"},
		{name: "unparsable", hops: []to{{302, "http://canary%zz/"}}, err: "the Location is no URL"},
		{name: "port that is none", hops: []to{{302, "http://a:canary/"}}, err: "the Location is no URL: it cannot be parsed"},
		{name: "no host", hops: []to{{302, "http:///x"}}, err: "the Location cannot be followed: it has no host"},
		{name: "no host behind userinfo", hops: []to{{302, "//canary@/x"}}, err: "the Location cannot be followed: it has no host"},
		{name: "three slashes", hops: []to{{302, "///canary/x"}}, err: "the Location cannot be followed: it has no host"},
		{name: "stray % in the host", hops: []to{{302, "http://canary%/"}}, err: "the Location is no URL: it has a percent-encoding that is not valid"},
		{name: "space in the host", hops: []to{{302, "http://can ary/"}}, err: "the Location is no URL: its host has a character that no host may have"},
		{name: "scheme", hops: []to{{302, "ftp://example.com/"}}, err: "the Location has a scheme that cannot be followed"},
		{name: "opaque", hops: []to{{302, "mailto:canary@example.com"}}, err: "the Location has a scheme that cannot be followed"},
		{name: "opaque http", hops: []to{{302, "http:x"}}, err: "the Location cannot be followed: it has no host"},
		{name: "second hop fails", hops: []to{{302, "/b"}, {302, "javascript:canary"}}, err: "the Location has a scheme"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			is := is.New(t)
			reqwstest.NoLeaks(t)
			var scripts []reqwstest.Option
			for _, h := range tt.hops {
				scripts = append(scripts, reqwstest.Script(reqwstest.Redirect(h.status, h.location)))
			}
			if tt.err == "" {
				scripts = append(scripts, reqwstest.Script(reqwstest.Accept()))
			}
			srv := reqwstest.NewMemory(t, scripts...)
			resp, err := New(append([]Option{URL("ws://example.com/a/x"), DialContext(srv.DialContext)}, tt.opts...)...).Do(t.Context())
			if tt.err != "" {
				is.True(err != nil)
				is.True(strings.HasPrefix(err.Error(), "reqws: redirect: ws://example.com/"))
				is.True(strings.Contains(err.Error(), tt.err))
				is.True(!strings.Contains(err.Error(), "canary"))
				is.Equal(errors.Is(err, ErrTooManyRedirects), strings.Contains(tt.err, "too many"))
				return
			}
			is.NoErr(err)
			defer resp.CloseNow()
			var got []seen
			for _, r := range srv.Requests() {
				got = append(got, seen{r.Host, r.RequestURI})
				is.Equal(r.Method, "GET")
				is.Equal(r.Header.Get("Upgrade"), "websocket")
			}
			is.Equal(got, tt.want)
			is.Equal(resp.StatusCode, 101)
			last := tt.want[len(tt.want)-1]
			is.Equal(resp.Request.URL.RequestURI(), last.uri)
		})
	}
}

// What is no redirect is a refusal, as it came.
func TestNotRedirected(t *testing.T) {
	tests := []struct {
		name   string
		opt    Option
		status int
		header http.Header
	}{
		{"switched off", Redirect(false), 302, http.Header{"Location": {"/b"}}},
		{"no Location", Redirect(true), 302, nil},
		{"empty Location", Redirect(true), 302, http.Header{"Location": {""}}},
		{"300", Redirect(true), 300, http.Header{"Location": {"/b"}}},
		{"304", Redirect(true), 304, http.Header{"Location": {"/b"}}},
		{"404", Redirect(true), 404, http.Header{"Location": {"/b"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			is := is.New(t)
			srv := reqwstest.NewMemory(t, reqwstest.Script(reqwstest.Refuse(tt.status, tt.header, "")))
			resp, err := New(URL("ws://example.com/"), tt.opt, HTTPErrors(ReturnErrors), DialContext(srv.DialContext)).Do(t.Context())
			is.NoErr(err)
			is.Equal(resp.StatusCode, tt.status)
			is.Equal(resp.Header.Get("Location"), tt.header.Get("Location"))
		})
	}
}

func TestRedirectCredentials(t *testing.T) {
	all := []string{"Authorization", "Cookie", "X-Api-Key"}
	headers := Options(Header("Cookie", "a=canary"), Header("X-Api-Key", "canary"), Header("Origin", "https://example.com"))
	userinfo := URL("ws://u:canary@example.com/")
	tests := []struct {
		name string
		opts []Option
		to   []string
		want [][]string // credentials of each request
	}{
		{"same origin", []Option{Auth(Bearer("canary"))}, []string{"/b"}, [][]string{all, all}},
		{"same origin, written out", []Option{Auth(Bearer("canary"))}, []string{"http://EXAMPLE.com:80/b"}, [][]string{all, all}},
		{"another host", []Option{Auth(Bearer("canary"))}, []string{"http://other.example/"}, [][]string{all, nil}},
		{"a host below", []Option{Auth(Bearer("canary"))}, []string{"http://sub.example.com/"}, [][]string{all, nil}},
		{"another port", []Option{Auth(Bearer("canary"))}, []string{"http://example.com:81/"}, [][]string{all, nil}},
		{"another host, trusted", []Option{Auth(Bearer("canary")), RedirectTrusted(true)}, []string{"http://other.example/"}, [][]string{all, all}},
		{"and back", []Option{Auth(Bearer("canary"))}, []string{"http://other.example/", "http://example.com/"}, [][]string{all, nil, nil}},
		{"and back, trusted", []Option{Auth(Bearer("canary")), RedirectTrusted(true)}, []string{"http://other.example/", "http://example.com/"}, [][]string{all, all, all}},
		{"userinfo", []Option{userinfo}, []string{"/b", "http://other.example/"}, [][]string{all, all, nil}},
		{"userinfo, trusted", []Option{userinfo, RedirectTrusted(true)}, []string{"http://other.example/"}, [][]string{all, all}},
		{"userinfo in the Location", nil, []string{"http://u:canary@example.com/"}, [][]string{all[1:], all[1:]}},
		{"netrc", []Option{Auth(NetrcFile("testdata/netrc/sample"))}, []string{"/b", "http://other.example/"}, [][]string{all, all, nil}},
		{"function", []Option{Auth(fixedAuth(Bearer("canary")))}, []string{"http://other.example/"}, [][]string{all, nil}},
		{"own step", []Option{Auth(customAuth)}, []string{"http://other.example/"}, [][]string{all, nil}},
		{"a step of Use", []Option{Use(Bearer("canary"))}, []string{"http://other.example/"}, [][]string{all, nil}},
		{"header", []Option{Header("authorization", "canary")}, []string{"/b", "http://other.example/"}, [][]string{all, all, nil}},
		{"header in another case", []Option{Headers(http.Header{"aUTHORIZATION": {"canary"}})}, []string{"http://other.example/"}, [][]string{all, nil}},
		{"signature", []Option{AWSSigV4(vectorKeys("canary"))}, []string{"/b", "http://other.example/"},
			[][]string{append(slices.Clone(all), "X-Amz-Security-Token", "X-Amz-Date"), append(slices.Clone(all), "X-Amz-Security-Token", "X-Amz-Date"), nil}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			is := is.New(t)
			var scripts []reqwstest.Option
			for _, to := range tt.to {
				scripts = append(scripts, reqwstest.Script(reqwstest.Redirect(307, to)))
			}
			srv := reqwstest.NewMemory(t, append(scripts, reqwstest.Script(reqwstest.Accept()))...)
			opts := append([]Option{URL("ws://example.com/"), headers, DialContext(srv.DialContext)}, tt.opts...)
			resp, err := New(opts...).Do(t.Context())
			is.NoErr(err)
			defer resp.CloseNow()
			var got [][]string
			for i, r := range srv.Requests() {
				got = append(got, credentials(r))
				is.Equal(r.Header.Get("Origin"), "https://example.com")
				if tt.want[i] == nil {
					is.True(!bytes.Contains(r.Head, []byte("canary")))
				}
			}
			is.Equal(got, tt.want)
		})
	}
}

func TestRedirectFromTLS(t *testing.T) {
	tests := []struct {
		name string
		opts []Option
		to   string
		err  bool
	}{
		{"wss stays", nil, "wss://example.com/b", false},
		{"https is wss", nil, "https://example.com/b", false},
		{"to ws", nil, "ws://example.com/b", true},
		{"http is ws", nil, "http://example.com/b", true},
		{"another host", nil, "ws://other.example/b", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			is := is.New(t)
			scripts := []reqwstest.Option{reqwstest.TLS(), reqwstest.Script(reqwstest.Redirect(302, tt.to))}
			if !tt.err {
				scripts = append(scripts, reqwstest.Script(reqwstest.Accept()))
			}
			srv := reqwstest.NewMemory(t, scripts...)
			opts := append([]Option{URL("wss://example.com/"), DialContext(srv.DialContext), TLSConfig(srv.TLSConfig())}, tt.opts...)
			resp, err := New(opts...).Do(t.Context())
			if tt.err {
				is.True(err != nil)
				is.True(strings.HasPrefix(err.Error(), "reqws: redirect: wss://example.com/: it leads from wss to ws, to ws://"))
				is.True(strings.HasSuffix(err.Error(), "/b, which RedirectTrusted alone permits"))
				return
			}
			is.NoErr(err)
			resp.CloseNow()
		})
	}
	t.Run("to ws, trusted", func(t *testing.T) {
		is := is.New(t)
		open := reqwstest.NewMemory(t, reqwstest.Script(reqwstest.Accept()))
		srv := reqwstest.NewMemory(t, reqwstest.TLS(), reqwstest.Script(reqwstest.Redirect(302, "http://example.com/b")))
		resp, err := New(URL("wss://example.com/"), RedirectTrusted(true), Auth(Bearer("t")), TLSConfig(srv.TLSConfig()),
			DialContext(dialByPort(map[string]*reqwstest.Server{"443": srv, "80": open}))).Do(t.Context())
		is.NoErr(err)
		defer resp.CloseNow()
		is.Equal(open.Requests()[0].Header.Get("Authorization"), "Bearer t")
	})
	t.Run("from https to http", func(t *testing.T) {
		for _, trusted := range []bool{false, true} {
			is := is.New(t)
			answer := reqwstest.Script(reqwstest.Respond(200, nil, "open"))
			if !trusted {
				answer = answer.Times(0)
			}
			open := reqwstest.NewMemory(t, answer)
			srv := reqwstest.NewMemory(t, reqwstest.TLS(), reqwstest.Script(reqwstest.Redirect(302, "http://example.com/b")))
			resp, err := New(URL("https://example.com/"), RedirectTrusted(trusted), TLSConfig(srv.TLSConfig()),
				DialContext(dialByPort(map[string]*reqwstest.Server{"443": srv, "80": open}))).Do(t.Context())
			if !trusted {
				is.True(err != nil)
				is.Equal(err.Error(), "reqws: redirect: https://example.com/: it leads from https to http, to http://example.com/b, which RedirectTrusted alone permits")
				continue
			}
			is.NoErr(err)
			is.Equal(string(resp.Body), "open")
		}
	})
	t.Run("from ws to wss is another origin", func(t *testing.T) {
		is := is.New(t)
		open := reqwstest.NewMemory(t, reqwstest.Script(reqwstest.Redirect(301, "https://example.com/b")))
		srv := reqwstest.NewMemory(t, reqwstest.TLS(), reqwstest.Script(reqwstest.Accept()))
		resp, err := New(URL("ws://example.com/"), Auth(Bearer("t")), TLSConfig(srv.TLSConfig()),
			DialContext(dialByPort(map[string]*reqwstest.Server{"443": srv, "80": open}))).Do(t.Context())
		is.NoErr(err)
		defer resp.CloseNow()
		is.Equal(open.Requests()[0].Header.Get("Authorization"), "Bearer t")
		is.Equal(srv.Requests()[0].Header.Get("Authorization"), "")
	})
}

// To another origin go the headers that say what the client can do, and none that
// might say who the user is.
func TestRedirectHeaders(t *testing.T) {
	stay := []string{
		"X-Room", "X-User-Id", "Referer", "From", "Via", "Forwarded", "X-Forwarded-For", "Traceparent", "Baggage", "If-None-Match", "Range", "Date",
		"X-Honeycomb-Team", "X-Parse-Application-Id", "x-lower", "X-Amz-Target", "Accept-Token",
	}
	travel := []string{
		"Accept", "Accept-Charset", "accept-encoding", "Accept-Language", "Cache-Control", "Content-Type", "Content-Language", "Origin", "Pragma", "uSer-agent",
	}
	header := make(http.Header)
	for _, name := range slices.Concat(stay, travel) {
		header[name] = []string{"mine"}
	}
	outer := UseOuter(onHeader(func(h http.Header) {
		h.Set("X-Outer", "mine")
		h["x-outer-too"] = []string{"mine"}
		h.Set("Authorization", "mine")
	}))
	stay = append(stay, "X-Outer", "x-outer-too", "Authorization")
	for _, scheme := range []string{"ws", "http"} {
		for _, trusted := range []bool{false, true} {
			is := is.New(t)
			last := reqwstest.Accept()
			if scheme == "http" {
				last = reqwstest.Respond(200, nil, "")
			}
			srv := reqwstest.NewMemory(t,
				reqwstest.Script(reqwstest.Redirect(307, "/same")),
				reqwstest.Script(reqwstest.Redirect(307, "//other.example/")),
				reqwstest.Script(reqwstest.Redirect(307, "//example.com/back")),
				reqwstest.Script(last))
			resp, err := New(URL(scheme+"://example.com/"), Headers(header), outer, RedirectTrusted(trusted), DialContext(srv.DialContext)).Do(t.Context())
			is.NoErr(err)
			is.NoErr(resp.CloseNow())
			for i, r := range srv.Requests() {
				for _, name := range travel {
					is.Equal(r.Header.Get(name), "mine")
				}
				for _, name := range stay {
					if got := r.Header.Get(name) == "mine"; got != (trusted || i < 2) {
						t.Errorf("request %d, trusted %v: %s is sent: %v", i, trusted, name, got)
					}
				}
			}
		}
	}
}

// Subprotocols that are, or may be, credentials are not offered to another origin.
func TestRedirectSubprotocols(t *testing.T) {
	const token = "base64url.bearer.authorization.k8s.io.Y2FuYXJ5"
	for _, trusted := range []bool{false, true} {
		for _, given := range []Option{
			Options(Subprotocols("v4.channel.k8s.io", token), SecretSubprotocol("canary")),
			Options(Header("Sec-WebSocket-Protocol", []string{"v4.channel.k8s.io", token}), SecretSubprotocol("canary")),
			Options(Subprotocols("v4.channel.k8s.io", token, "canary"), SecretSubprotocol("canary")),
		} {
			is := is.New(t)
			srv := reqwstest.NewMemory(t,
				reqwstest.Script(reqwstest.Redirect(302, "/same")),
				reqwstest.Script(reqwstest.Redirect(302, "//other.example/")),
				reqwstest.Script(reqwstest.Accept(reqwstest.WithSubprotocol("v4.channel.k8s.io"))))
			resp, err := New(URL("ws://example.com/"), given, RedirectTrusted(trusted), DialContext(srv.DialContext)).Do(t.Context())
			is.NoErr(err)
			is.NoErr(resp.CloseNow())
			all, plain := []string{"v4.channel.k8s.io", token, "canary"}, []string{"v4.channel.k8s.io"}
			if trusted {
				plain = all
			}
			is.Equal(offered(t, srv.Requests()[0]), all)
			is.Equal(offered(t, srv.Requests()[1]), all)
			is.Equal(offered(t, srv.Requests()[2]), plain)
		}
	}
	t.Run("none left", func(t *testing.T) {
		is := is.New(t)
		srv := reqwstest.NewMemory(t, reqwstest.Script(reqwstest.Redirect(302, "//other.example/")), reqwstest.Script(reqwstest.Accept()))
		resp, err := New(URL("ws://example.com/"), SecretSubprotocol("canary"), DialContext(srv.DialContext)).Do(t.Context())
		is.NoErr(err)
		is.NoErr(resp.CloseNow())
		is.Equal(srv.Requests()[1].Header.Values("Sec-WebSocket-Protocol"), nil)
	})
}

// The user's Host and Hostname are names of the first origin.
func TestRedirectHost(t *testing.T) {
	for _, opt := range []Option{Header("Host", "virtual.example"), Hostname("virtual.example")} {
		for _, trusted := range []bool{false, true} {
			is := is.New(t)
			srv := reqwstest.NewMemory(t,
				reqwstest.Script(reqwstest.Redirect(302, "/b")),
				reqwstest.Script(reqwstest.Redirect(302, "//other.example/")),
				reqwstest.Script(reqwstest.Redirect(302, "//example.com/")),
				reqwstest.Script(reqwstest.Accept()))
			resp, err := New(URL("ws://example.com/"), opt, RedirectTrusted(trusted), DialContext(srv.DialContext)).Do(t.Context())
			is.NoErr(err)
			resp.CloseNow()
			var got []string
			for _, r := range srv.Requests() {
				got = append(got, r.Host)
			}
			is.Equal(got, []string{"virtual.example", "virtual.example", "other.example", "virtual.example"})
		}
	}
}

func TestRedirectOfPlainRequests(t *testing.T) {
	tests := []struct {
		method string
		status int
		to     string
		want   string
		body   bool // is sent again
	}{
		{"GET", 301, "/b", "GET", true},
		{"GET", 303, "/b", "GET", false},
		{"POST", 301, "/b", "GET", false},
		{"POST", 302, "/b", "GET", false},
		{"PUT", 302, "/b", "PUT", true},
		{"POST", 303, "/b", "GET", false},
		{"PUT", 303, "/b", "GET", false},
		{"HEAD", 303, "/b", "HEAD", false},
		{"HEAD", 302, "/b", "HEAD", true},
		{"POST", 307, "/b", "POST", true},
		{"POST", 307, "http://other.example/b", "POST", true},
		{"PATCH", 308, "/b", "PATCH", true},
		{"DELETE", 308, "/b", "DELETE", true},
		{"GET", 302, "http://example.com/b", "GET", true},
	}
	for _, tt := range tests {
		t.Run(tt.method+" "+http.StatusText(tt.status), func(t *testing.T) {
			is := is.New(t)
			srv := reqwstest.NewMemory(t,
				reqwstest.Script(reqwstest.Redirect(tt.status, tt.to)),
				reqwstest.Script(reqwstest.Redirect(307, "/c")), // what is gone stays gone
				reqwstest.Script(reqwstest.Respond(200, nil, "")))
			resp, err := New(URL("http://example.com/a"), Method(tt.method), DialContext(srv.DialContext), Body("text/x", []byte("body")),
				Headers(http.Header{"content-encoding": {"x"}, "Content-Language": {"de"}, "Accept": {"text/y"}})).Do(t.Context())
			is.NoErr(err)
			is.Equal(resp.StatusCode, 200)
			first := srv.Requests()[0]
			is.Equal(string(first.Body), "body")
			is.Equal(first.Header.Get("Content-Type"), "text/x")
			for i, path := range []string{"/b", "/c"} {
				got := srv.Requests()[i+1]
				is.Equal(got.Method, tt.want)
				is.Equal(got.RequestURI, path)
				is.Equal(got.Header.Get("Upgrade"), "")
				is.Equal(got.Header.Get("Accept"), "text/y")
				is.Equal(string(got.Body) == "body", tt.body)
				is.Equal(len(got.Body) == 0, !tt.body)
				for name, value := range map[string]string{"Content-Type": "text/x", "Content-Encoding": "x", "Content-Language": "de", "Content-Length": "4"} {
					if !tt.body {
						value = ""
					}
					is.Equal(got.Header.Get(name), value)
				}
			}
		})
	}
	t.Run("to ws", func(t *testing.T) {
		is := is.New(t)
		srv := reqwstest.NewMemory(t, reqwstest.Script(reqwstest.Redirect(302, "ws://example.com/b")))
		_, err := New(URL("http://example.com/a"), DialContext(srv.DialContext)).Do(t.Context())
		is.True(err != nil)
		is.Equal(err.Error(), "reqws: redirect: http://example.com/a: the Location has a scheme that cannot be followed")
	})
}

func TestRedirectLog(t *testing.T) {
	is := is.New(t)
	var out bytes.Buffer
	srv := reqwstest.NewMemory(t,
		reqwstest.Script(reqwstest.Redirect(307, "http://u:canary@other.example/b?token=canary#canary")),
		reqwstest.Script(reqwstest.Accept()))
	log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelInfo, ReplaceAttr: noTime}))
	resp, err := New(URL("ws://v:canary@example.com/a?x=canary"), RedirectLogLevel(slog.LevelInfo), Logger(log),
		DialContext(srv.DialContext)).Do(t.Context())
	is.NoErr(err)
	resp.CloseNow()
	is.Equal(out.String(), "level=INFO msg=\"reqws: redirect\" status=307 from=ws://example.com/a to=ws://other.example/b\n")
}

// The body of an answer that is not returned is closed.
func TestDiscardedBodiesAreClosed(t *testing.T) {
	is := is.New(t)
	var bodies []*closeRecorder
	answers := []*http.Response{
		{StatusCode: 302, Header: http.Header{"Location": {"/b"}}},
		{StatusCode: 503, Header: http.Header{"Retry-After": {"0"}}},
		{StatusCode: 302, Header: http.Header{"Location": {"ftp://x/"}}},
	}
	_, err := New(URL("http://example.com/"), Logger(nil), Transport(RoundTripFunc(func(req *http.Request) (*http.Response, error) {
		a := answers[len(bodies)]
		body := &closeRecorder{Reader: strings.NewReader("body")}
		bodies = append(bodies, body)
		a.Body, a.Request = body, req
		return a, nil
	}))).Do(t.Context())
	is.True(err != nil)
	is.Equal(len(bodies), 3)
	for _, b := range bodies {
		is.Equal(b.closed, 1)
	}
}

type closeRecorder struct {
	*strings.Reader
	closed int
}

func (c *closeRecorder) Close() error { c.closed++; return nil }
