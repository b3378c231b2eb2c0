package reqws

import (
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/reqws/reqws/reqwstest"
)

// cookieHeader is what a request says of cookies, in one field if at all.
func cookieHeader(t *testing.T, r *reqwstest.Request) string {
	t.Helper()
	is.New(t).True(len(r.Header.Values("Cookie")) <= 1)
	return r.Header.Get("Cookie")
}

func set(cookie string) http.Header { return http.Header{"Set-Cookie": {cookie}} }

// redirectWith is a redirect that sets a cookie.
func redirectWith(to, cookie string) reqwstest.Step {
	h := set(cookie)
	h.Set("Location", to)
	return reqwstest.Refuse(302, h, "")
}

// The jar is asked on each attempt and hop, and told of every answer.
func TestCookieJar(t *testing.T) {
	is := is.New(t)
	jar, err := cookiejar.New(nil)
	is.NoErr(err)
	srv := reqwstest.NewMemory(t,
		reqwstest.Script(reqwstest.Refuse(503, set("retried=1"), "")),
		reqwstest.Script(redirectWith("/b", "hop=1")),
		reqwstest.Script(redirectWith("//other.example/", "path=1; Path=/elsewhere")),
		reqwstest.Script(redirectWith("//example.com/back", "other=1")),
		reqwstest.Script(reqwstest.Accept(reqwstest.WithHeader("Set-Cookie", "opened=1"))),
		reqwstest.Script(reqwstest.Refuse(401, set("refused=1"), "")),
		reqwstest.Script(reqwstest.Respond(200, set("plain=1"), "")),
		reqwstest.Script(reqwstest.Accept()),
	)
	r := New(URL("ws://example.com/a"), CookieJar(jar), DialContext(srv.DialContext), Logger(nil),
		HTTPErrors(ReturnErrors), RetryDelay(func(int) time.Duration { return 0 }))
	resp, err := r.Do(t.Context())
	is.NoErr(err)
	is.NoErr(resp.CloseNow())
	for _, u := range []string{"ws://example.com/a", "http://example.com/a"} {
		_, err = r.Do(t.Context(), URL(u))
		is.NoErr(err)
	}
	conn, _, err := r.Dial(t.Context())
	is.NoErr(err)
	is.NoErr(conn.CloseNow())

	var got []string
	for _, req := range srv.Requests() {
		got = append(got, req.Host+": "+cookieHeader(t, req))
	}
	is.Equal(got, []string{
		"example.com: ",
		"example.com: retried=1",
		"example.com: retried=1; hop=1",
		"other.example: ",
		"example.com: retried=1; hop=1",
		"example.com: retried=1; hop=1; opened=1",
		"example.com: retried=1; hop=1; opened=1; refused=1",
		"example.com: retried=1; hop=1; opened=1; refused=1; plain=1",
	})
	is.Equal(resp.Request.Header.Get("Cookie"), "REDACTED")
	of := func(raw string) (names []string) {
		u, err := url.Parse(raw)
		is.NoErr(err)
		for _, c := range jar.Cookies(u) {
			names = append(names, c.Name)
		}
		return names
	}
	is.Equal(of("http://other.example/"), []string{"other"}) // also what another origin set
	is.Equal(of("http://example.com/elsewhere"), []string{"path", "retried", "hop", "opened", "refused", "plain"})
}

// spyJar notes the URLs that it is asked for.
type spyJar struct {
	http.CookieJar
	asked []string
}

func (j *spyJar) Cookies(u *url.URL) []*http.Cookie {
	j.asked = append(j.asked, u.String())
	return j.CookieJar.Cookies(u)
}

// A jar knows http and https alone: a cookie that is Secure goes over wss, not ws.
func TestCookieJarURLs(t *testing.T) {
	is := is.New(t)
	store, err := cookiejar.New(nil)
	is.NoErr(err)
	store.SetCookies(&url.URL{Scheme: "https", Host: "example.com", Path: "/"}, []*http.Cookie{{Name: "safe", Value: "1", Secure: true}, {Name: "any", Value: "1"}})
	jar := &spyJar{CookieJar: store}
	open := reqwstest.NewMemory(t, reqwstest.Script(reqwstest.Accept()))
	srv := reqwstest.NewMemory(t, reqwstest.TLS(), reqwstest.Script(reqwstest.Accept()), reqwstest.Script(reqwstest.Respond(200, nil, "")))
	r := New(CookieJar(jar), TLSConfig(srv.TLSConfig()), DialContext(dialByPort(map[string]*reqwstest.Server{"443": srv, "80": open})))
	for _, u := range []string{"ws://u:p@example.com/a?q=1", "wss://example.com/b", "https://example.com/c"} {
		resp, err := r.Do(t.Context(), URL(u))
		is.NoErr(err)
		is.NoErr(resp.CloseNow())
	}
	is.Equal(cookieHeader(t, open.Requests()[0]), "any=1")
	is.Equal(cookieHeader(t, srv.Requests()[0]), "safe=1; any=1")
	is.Equal(cookieHeader(t, srv.Requests()[1]), "safe=1; any=1")
	is.Equal(jar.asked, []string{"http://example.com/a?q=1", "https://example.com/b", "https://example.com/c"})
}

// Cookies of a header and of the jar are sent in one field, and only the jar's to
// another origin.
func TestCookieHeaderAndJar(t *testing.T) {
	for _, header := range []Option{
		Header("Cookie", "own=1; too=1"),
		Header("Cookie", []string{"own=1", "too=1"}),
		Headers(http.Header{"cookie": {"own=1; too=1"}}),
	} {
		is := is.New(t)
		jar, err := cookiejar.New(nil)
		is.NoErr(err)
		jar.SetCookies(&url.URL{Scheme: "http", Host: "example.com"}, []*http.Cookie{{Name: "jar", Value: "1"}})
		jar.SetCookies(&url.URL{Scheme: "http", Host: "other.example"}, []*http.Cookie{{Name: "foreign", Value: "1"}})
		srv := reqwstest.NewMemory(t,
			reqwstest.Script(reqwstest.Redirect(302, "//other.example/")),
			reqwstest.Script(reqwstest.Accept()), reqwstest.Script(reqwstest.Accept()))
		r := New(URL("ws://example.com/"), CookieJar(jar), header, DialContext(srv.DialContext))
		for _, opts := range [][]Option{nil, {CookieJar(nil), Header("Cookie", nil)}} {
			resp, err := r.Do(t.Context(), opts...)
			is.NoErr(err)
			is.NoErr(resp.CloseNow())
		}
		is.Equal(cookieHeader(t, srv.Requests()[0]), "own=1; too=1; jar=1")
		is.Equal(cookieHeader(t, srv.Requests()[1]), "foreign=1")
		is.Equal(cookieHeader(t, srv.Requests()[2]), "")
	}
}

// Cookies come before auth, which may sign them.
func TestCookiesAreThereForAuth(t *testing.T) {
	is := is.New(t)
	jar, err := cookiejar.New(nil)
	is.NoErr(err)
	jar.SetCookies(&url.URL{Scheme: "http", Host: "example.com"}, []*http.Cookie{{Name: "a", Value: "1"}})
	got := sent(t, URL("ws://example.com/"), CookieJar(jar), Auth(onHeader(func(h http.Header) { h.Set("Authorization", "over "+h.Get("Cookie")) })))
	is.Equal(got.Header.Get("Authorization"), "over a=1")
	signed := sent(t, URL("ws://example.com/"), CookieJar(jar), AWSSigV4(vectorKeys("")))
	is.True(strings.Contains(signed.Header.Get("Authorization"), "SignedHeaders=cookie;host;"))
}
