package reqws

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/reqws/reqws/internal/failure"
	"github.com/reqws/reqws/reqwstest"
)

// sent executes a Request against a server in memory, whatever host its URL
// names, and returns what arrived there.
func sent(t *testing.T, opts ...Option) *reqwstest.Request {
	t.Helper()
	reqwstest.NoLeaks(t)
	srv := reqwstest.NewMemory(t, reqwstest.Script(reqwstest.Accept()))
	resp, err := New(append(opts, DialContext(srv.DialContext))...).Do(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.CloseNow()
	return srv.Requests()[0]
}

// failed executes a Request that no server is to hear of, and returns its error.
func failed(t *testing.T, opts ...Option) error {
	t.Helper()
	srv := reqwstest.NewMemory(t)
	_, err := New(append(opts, DialContext(srv.DialContext))...).Do(t.Context())
	if err == nil {
		t.Fatal("Do returned no error")
	}
	return err
}

type stringer struct{ s string }

func (s stringer) String() string { return s.s }

func TestURLOnTheWire(t *testing.T) {
	seven := 7
	params := func(kv map[string]any) Option { return PathParams(kv) }
	tests := []struct {
		name string
		opts []Option
		host string // example.com where empty
		want string // of the request line
	}{
		{name: "no path", opts: []Option{URL("ws://example.com")}, want: "/"},
		{name: "no path but a query", opts: []Option{URL("ws://example.com?a=1")}, want: "/?a=1"},
		{name: "scheme in capitals", opts: []Option{URL("WS://example.com/x")}, want: "/x"},
		{name: "default port", opts: []Option{URL("ws://example.com:80/x")}, want: "/x"},
		{name: "empty port", opts: []Option{URL("ws://example.com:/x")}, want: "/x"},
		{name: "another port", opts: []Option{URL("ws://example.com:8080/x")}, host: "example.com:8080", want: "/x"},
		{name: "the other scheme's port", opts: []Option{URL("ws://example.com:443/x")}, host: "example.com:443", want: "/x"},
		{name: "IPv6", opts: []Option{URL("ws://[::1]:80/")}, host: "[::1]", want: "/"},
		{name: "IPv6 and port", opts: []Option{URL("ws://[::1]:81/")}, host: "[::1]:81", want: "/"},
		{name: "international name", opts: []Option{URL("ws://bücher.example/")}, host: "xn--bcher-kva.example", want: "/"},
		{name: "escapes stay", opts: []Option{URL("ws://example.com/a%2Fb%20c")}, want: "/a%2Fb%20c"},
		{name: "characters that need an escape", opts: []Option{URL("ws://example.com/a b/ü{x}|")}, want: "/a%20b/%C3%BC%7Bx%7D%7C"},
		{name: "an escape beside them stays one", opts: []Option{URL("ws://example.com/ü/a%2Fb")}, want: "/%C3%BC/a%2Fb"},
		{name: "query that needs escapes", opts: []Option{URL(`ws://example.com/?q=a b"ü<>`)}, want: "/?q=a%20b%22%C3%BC%3C%3E"},
		{name: "query as it is", opts: []Option{URL("ws://example.com/?b=2&a=1;x&&c=%zz+[]")}, want: "/?b=2&a=1;x&&c=%zz+[]"},
		{name: "dot segments of the user's own", opts: []Option{URL("ws://example.com/a/../b")}, want: "/a/../b"},
		{name: "double slash", opts: []Option{URL("ws://example.com//a")}, want: "//a"},

		{name: "base and relative", opts: []Option{BaseURL("ws://example.com/v1"), URL("rooms")}, want: "/v1/rooms"},
		{name: "slash in both", opts: []Option{BaseURL("ws://example.com/v1/"), URL("/rooms/")}, want: "/v1/rooms/"},
		{name: "slashes in both", opts: []Option{BaseURL("ws://example.com//"), URL("//rooms")}, want: "/rooms"},
		{name: "base without path", opts: []Option{BaseURL("ws://example.com"), URL("rooms")}, want: "/rooms"},
		{name: "base alone", opts: []Option{BaseURL("ws://example.com/v1/")}, want: "/v1/"},
		{name: "base and query", opts: []Option{BaseURL("ws://example.com/v1"), URL("?x=1")}, want: "/v1?x=1"},
		{name: "both queries", opts: []Option{BaseURL("ws://example.com/v1?k=1"), URL("a?x=2")}, want: "/v1/a?k=1&x=2"},
		{name: "what looks like a host is none", opts: []Option{BaseURL("ws://example.com/v1"), URL("//evil.example/x")}, want: "/v1/evil.example/x"},
		{name: "absolute URL ignores base", opts: []Option{BaseURL("ws://other.example/v1"), URL("ws://example.com/x")}, want: "/x"},
		{name: "base from a function", opts: []Option{BaseURLFunc(func() string { return "ws://example.com/f" }), URL("x")}, want: "/f/x"},
		{name: "later base stands", opts: []Option{BaseURL("ws://other.example"), BaseURLFunc(func() string { return "ws://example.com" }), URL("x")}, want: "/x"},

		{name: "colon", opts: []Option{URL("ws://example.com/rooms/:room/:id"), params(map[string]any{"room": "go", "id": 7})}, want: "/rooms/go/7"},
		{name: "colon inside a segment", opts: []Option{URL("ws://example.com/v:major.:minor"), params(map[string]any{"major": 1, "minor": uint8(2)})}, want: "/v1.2"},
		{name: "colon in the first segment of a relative URL", opts: []Option{BaseURL("ws://example.com"), URL(":room"), params(map[string]any{"room": "go"})}, want: "/go"},
		{name: "parameter in the base", opts: []Option{BaseURL("ws://example.com/:tenant"), URL("x"), params(map[string]any{"tenant": "t"})}, want: "/t/x"},
		{name: "a value that no path asks for", opts: []Option{URL("ws://example.com/x"), params(map[string]any{"room": "go"})}, want: "/x"},
		{name: "a name inside a longer one", opts: []Option{URL("ws://example.com/:roomid/:room"), params(map[string]any{"room": "go"})}, want: "/:roomid/go"},
		{name: "unknown stay", opts: []Option{URL("ws://example.com/:a/:b"), params(map[string]any{"b": true})}, want: "/:a/true"},
		{name: "no names", opts: []Option{URL("ws://example.com/12:30/:1"), params(map[string]any{"x": 1})}, want: "/12:30/:1"},
		{name: "a port is no parameter", opts: []Option{URL("ws://example.com:8080/:a"), params(map[string]any{"a": "x"})}, host: "example.com:8080", want: "/x"},
		{name: "a query is no template", opts: []Option{URL("ws://example.com/:a?t=:a"), params(map[string]any{"a": "x"})}, want: "/x?t=:a"},
		{name: "curly is off", opts: []Option{URL("ws://example.com/{a}/:a"), params(map[string]any{"a": "x"})}, want: "/%7Ba%7D/x"},
		{name: "curly", opts: []Option{URL("ws://example.com/{a}/:a/{b_2}{c}"), PathParamsStyle(Curly), params(map[string]any{"a": "x", "b_2": "y"})}, want: "/x/:a/y%7Bc%7D"},
		{name: "value with slash, query, fragment", opts: []Option{URL("ws://example.com/:a/z"), params(map[string]any{"a": "x/y?q#f"})}, want: "/x%2Fy%3Fq%23f/z"},
		{name: "value with an escape in it", opts: []Option{URL("ws://example.com/:a"), params(map[string]any{"a": "100%41"})}, want: "/100%2541"},
		{name: "value with dots that lead nowhere", opts: []Option{URL("ws://example.com/:a/:b"), params(map[string]any{"a": "../..", "b": "..."})}, want: "/..%2F../..."},
		{name: "unreserved only", opts: []Option{URL("ws://example.com/:a"), params(map[string]any{"a": "aZ09-._~!$&'()*+,;=:@ü\x00"})},
			want: "/aZ09-._~%21%24%26%27%28%29%2A%2B%2C%3B%3D%3A%40%C3%BC%00"},
		{name: "value that looks like a parameter", opts: []Option{URL("ws://example.com/:a"), params(map[string]any{"a": ":b", "b": "no"})}, want: "/%3Ab"},
		{name: "empty value", opts: []Option{URL("ws://example.com/a/:b"), params(map[string]any{"b": ""})}, want: "/a/"},
		{name: "escape kept beside a character that needs one", opts: []Option{URL("ws://example.com/ü/:a"), params(map[string]any{"a": "x/y"})}, want: "/%C3%BC/x%2Fy"},
		{name: "later path parameters stand", opts: []Option{URL("ws://example.com/:a"), params(map[string]any{"a": 1}), params(map[string]any{"a": 2})}, want: "/2"},
		{name: "a step of the user's keeps escapes", opts: []Option{URL("ws://example.com/:a"), params(map[string]any{"a": "x/y"}), Use(func(next http.RoundTripper) http.RoundTripper { return next })}, want: "/x%2Fy"},

		{name: "params sorted", opts: []Option{URL("ws://example.com/"), Params(map[string]any{"b": 2, "a": "x y", "c": true})}, want: "/?a=x+y&b=2&c=true"},
		{name: "behind the query", opts: []Option{URL("ws://example.com/?z=1"), Params(map[string]any{"a": 1})}, want: "/?z=1&a=1"},
		{name: "behind an open query", opts: []Option{URL("ws://example.com/?z=1&"), Params(map[string]any{"a": 1})}, want: "/?z=1&a=1"},
		{name: "slice, nil, time, bytes, stringer, pointer", opts: []Option{URL("ws://example.com/"), Params(map[string]any{
			"a": []string{"x", "y"}, "b": nil, "c": time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC), "d": []byte("raw"),
			"e": stringer{"s&s"}, "f": &seven, "g": (*int)(nil), "h": []any{1, nil, "z"}, "i": []int{}, "j": 1.5, "k": [2]bool{true, false},
		})}, want: "/?a=x&a=y&c=2024-01-02T03%3A04%3A05Z&d=raw&e=s%26s&f=7&h=1&h=z&j=1.5&k=true&k=false"},
		{name: "Param adds behind Params, in order", opts: []Option{URL("ws://example.com/"), Param("z", 1), Params(map[string]any{"a": 1}), Param("b", 2), Param("z", 3)}, want: "/?a=1&z=1&b=2&z=3"},
		{name: "Params add names", opts: []Option{URL("ws://example.com/"), Params(map[string]any{"b": 1}), Params(map[string]any{"a": 1})}, want: "/?a=1&b=1"},
		{name: "later Params stand by name", opts: []Option{URL("ws://example.com/"), Params(map[string]any{"a": []int{1, 2}, "b": 1}), Params(map[string]any{"a": 3})}, want: "/?a=3&b=1"},
		{name: "nil takes one of Params back", opts: []Option{URL("ws://example.com/"), Params(map[string]any{"a": 1, "b": 1, "c": 1}), Params(map[string]any{"a": nil, "c": (*int)(nil), "d": nil})}, want: "/?b=1"},
		{name: "Params leave Param and the URL's own alone", opts: []Option{URL("ws://example.com/?a=0"), Param("a", 1), Params(map[string]any{"a": 2}), Params(map[string]any{"a": nil})}, want: "/?a=0&a=1"},
		{name: "names are escaped", opts: []Option{URL("ws://example.com/"), Param("a&b=c", "")}, want: "/?a%26b%3Dc="},

		{name: "userinfo is not sent", opts: []Option{URL("ws://u:p@example.com/x")}, want: "/x"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			is := is.New(t)
			got := sent(t, tt.opts...)
			is.Equal(got.RequestURI, tt.want)
			if tt.host == "" {
				tt.host = "example.com"
			}
			is.Equal(got.Host, tt.host)
			is.Equal(got.Method, "GET")
		})
	}
}

func TestBadURL(t *testing.T) {
	tests := []struct {
		name string
		opts []Option
		want string // the error holds it
	}{
		{"nothing", nil, "option URL: it is missing"},
		{"relative without base", []Option{URL("rooms")}, "option URL: it has no scheme and host, and there is no BaseURL"},
		{"host and port alone", []Option{URL("example.com:80/x")}, "option URL: it has no scheme and host"},
		{"relative base", []Option{BaseURL("/v1"), URL("x")}, "option BaseURL: it has no scheme and host"},
		{"base that is empty", []Option{BaseURLFunc(func() string { return "" })}, "option URL: it is missing"},
		{"unknown scheme", []Option{URL("ftp://example.com/")}, `option URL: its scheme is "ftp", not ws, wss, http or https`},
		{"no host", []Option{URL("ws:///x")}, "option URL: it has no host"},
		{"IPv6 without brackets", []Option{URL("ws://::1/")}, "option URL: its host is no IPv6 address in brackets"},
		{"no IPv6 in brackets", []Option{URL("ws://[:]/")}, "option URL: it"},
		{"port alone", []Option{URL("ws://:80/x")}, "option URL: it has no host"},
		{"port that is none", []Option{URL("ws://user:canary/x@example.com/")}, "option URL: it cannot be parsed"},
		{"port too high", []Option{URL("ws://example.com:65536/")}, "option URL: its port is above 65535"},
		{"space in the host", []Option{URL("ws://exa mple.com/")}, "option URL: its host has a character"},
		{"bad escape", []Option{URL("ws://example.com/%zz")}, "option URL: it has a percent-encoding that is not valid"},
		{"line break", []Option{URL("ws://example.com/canary\r\nX: y")}, "option URL: it cannot be parsed"},
		{"bad international name", []Option{URL("ws://xn--ü/")}, "option URL: the host name is not valid"},
		{"fragment", []Option{URL("ws://example.com/a#b")}, "option URL: a WebSocket URL has no fragment"},
		{"fragment in the base", []Option{BaseURL("ws://example.com/v1?key=ab#canary")}, "option BaseURL: a WebSocket URL has no fragment"},
		{"fragment in the base, beside a URL", []Option{BaseURL("ws://example.com/v1#canary"), URL("a?b=c")}, "option BaseURL: a WebSocket URL has no fragment"},
		{"fragment beside a base", []Option{BaseURL("ws://example.com/v1"), URL("a#canary")}, "option URL: a WebSocket URL has no fragment"},
		{"empty fragment", []Option{BaseURLFunc(func() string { return "ws://example.com/v1#" })}, "option BaseURL: a WebSocket URL has no fragment"},
		{"scheme of the base", []Option{BaseURL("ftp://example.com/"), URL("x")}, `option BaseURL: its scheme is "ftp"`},
		{"port of the base", []Option{BaseURL("ws://example.com:65536/"), URL("x")}, "option BaseURL: its port is above 65535"},
		{"escape in the base", []Option{BaseURL("ws://example.com/%zz"), URL("x")}, "option BaseURL: it has a percent-encoding that is not valid"},
		{"escape beside a base", []Option{BaseURL("ws://example.com/x"), URL("%zz")}, "option URL: it has a percent-encoding that is not valid"},
		{"template in the host", []Option{URL("ws://:tenant.example.com/"), PathParams(map[string]any{"tenant": "t"})}, "option URL: it cannot be parsed"},
		{"dot segment", []Option{URL("ws://example.com/a/:b"), PathParams(map[string]any{"b": ".."})}, `option PathParams: the values of :b make the path segment ".."`},
		{"single dot", []Option{URL("ws://example.com/:b/c"), PathParams(map[string]any{"b": "."})}, `option PathParams: the values of :b make the path segment "."`},
		{"dot segment of two values", []Option{URL("ws://example.com/{a}{b}"), PathParamsStyle(Curly), PathParams(map[string]any{"a": ".", "b": "."})}, `make the path segment ".."`},
		{"dot segment with the template's dot", []Option{URL("ws://example.com/%2E:b"), PathParams(map[string]any{"b": "."})}, `make the path segment "%2E."`},
		{"path parameter misspelt", []Option{URL("ws://example.com/:romm/:id"), PathParams(map[string]any{"room": "canary", "id": 1})}, "option PathParams: the path does not use room, and has no value for :romm"},
		{"path parameters misspelt", []Option{BaseURL("ws://example.com/{a}"), URL("{b}{c}"), PathParamsStyle(Curly), PathParams(map[string]any{"C": 1, "B": 1, "a": 1})}, "the path does not use B, C, and has no value for {b}, {c}"},
		{"path parameter of a longer name", []Option{URL("ws://example.com/:roomid"), PathParams(map[string]any{"room": "go"})}, "the path does not use room, and has no value for :roomid"},
		{"path parameter without a name", []Option{URL("ws://example.com/"), PathParams(map[string]any{"1a": 1})}, `option PathParams: "1a" is no name`},
		{"path parameter nil", []Option{URL("ws://example.com/"), PathParams(map[string]any{"a": nil})}, "option PathParams: a is nil"},
		{"path parameter nil pointer", []Option{URL("ws://example.com/"), PathParams(map[string]any{"a": (*int)(nil)})}, "option PathParams: a is nil"},
		{"path parameter slice", []Option{URL("ws://example.com/"), PathParams(map[string]any{"a": []int{1}})}, "option PathParams: a is of the type []int"},
		{"parameter map", []Option{URL("ws://example.com/"), Params(map[string]any{"a": map[string]int{"x": 1}})}, "option Params(a): a is of the type map[string]int"},
		{"parameter func", []Option{URL("ws://example.com/"), Param("a", func() {})}, "option Param(a): a is of the type func()"},
		{"parameter chan", []Option{URL("ws://example.com/"), Param("a", make(chan int))}, "option Param(a): a is of the type chan int"},
		{"parameter struct", []Option{URL("ws://example.com/"), Param("a", struct{ n int }{1})}, "option Param(a): a is of the type struct"},
		{"parameter slice of slices", []Option{URL("ws://example.com/"), Param("a", [][]int{{1}})}, "option Param(a): a is of the type []int"},
		{"parameter without name", []Option{URL("ws://example.com/"), Param("", 1)}, "option Param(): a name is empty"},
		{"style", []Option{URL("ws://example.com/"), PathParamsStyle(9)}, "option PathParamsStyle: unknown style 9"},
		{"method", []Option{URL("http://example.com/"), Method("GE T")}, `option Method: "GE T" is no method`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			is := is.New(t)
			msg := failed(t, tt.opts...).Error()
			if !strings.Contains(msg, tt.want) {
				t.Errorf("%s\n  does not hold: %s", msg, tt.want)
			}
			is.True(strings.HasPrefix(msg, "reqws: "))
			is.True(!strings.Contains(msg, "canary"))
		})
	}
}

// A fragment is left off a plain URL and its base, and one in a base that is not
// asked does not matter.
func TestFragmentThatDoesNotMatter(t *testing.T) {
	is := is.New(t)
	is.Equal(sent(t, BaseURL("ws://other.example/#x"), URL("ws://example.com/a")).RequestURI, "/a")

	srv := reqwstest.NewMemory(t, reqwstest.Script(reqwstest.Respond(200, nil, "")))
	_, err := New(BaseURL("http://example.com/v1?k=1#x"), URL("a#y"), DialContext(srv.DialContext)).Do(t.Context())
	is.NoErr(err)
	is.Equal(srv.Requests()[0].RequestURI, "/v1/a?k=1")
}

// The steps and RetryFunc see the template of the path; a redirect has none.
func TestPattern(t *testing.T) {
	for _, tt := range []struct {
		name string
		opts []Option
		want string
	}{
		{"template", []Option{URL("ws://example.com/rooms/:room?x=1"), PathParams(map[string]any{"room": "go/lang"})}, "/rooms/:room"},
		{"curly", []Option{URL("ws://example.com/rooms/{room}"), PathParamsStyle(Curly), PathParams(map[string]any{"room": "go"})}, "/rooms/{room}"},
		{"base", []Option{BaseURL("ws://example.com/:v/"), URL("/rooms/:room"), PathParams(map[string]any{"room": "go", "v": 1})}, "/:v/rooms/:room"},
		{"no parameter", []Option{URL("ws://example.com/a b")}, "/a b"},
		{"no path", []Option{URL("ws://example.com?x=1")}, "/"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			is := is.New(t)
			var seen []string
			note := func(req *http.Request) { seen = append(seen, req.Pattern) }
			srv := reqwstest.NewMemory(t,
				reqwstest.Script(reqwstest.Refuse(500, nil, "")),
				reqwstest.Script(reqwstest.Redirect(307, "/elsewhere")),
				reqwstest.Script(reqwstest.Accept()))
			resp, err := New(append(tt.opts, DialContext(srv.DialContext), Logger(nil),
				Auth(func(next http.RoundTripper) http.RoundTripper { return noting(note, next) }),
				Use(func(next http.RoundTripper) http.RoundTripper { return noting(note, next) }),
				RetryFunc(func(req *http.Request, _ *http.Response, _ error) RetryDecision { note(req); return AgainAfter(0) }))...).Do(t.Context())
			is.NoErr(err)
			resp.CloseNow()
			is.Equal(seen, []string{tt.want, tt.want, tt.want, tt.want, tt.want, "", ""})
		})
	}
}

func noting(note func(*http.Request), next http.RoundTripper) http.RoundTripper {
	return RoundTripFunc(func(req *http.Request) (*http.Response, error) {
		note(req)
		return next.RoundTrip(req)
	})
}

func TestBaseURLFuncIsAskedOnEachAttempt(t *testing.T) {
	is := is.New(t)
	srv := reqwstest.NewMemory(t,
		reqwstest.Script(reqwstest.Refuse(503, nil, "")),
		reqwstest.Script(reqwstest.Accept()))
	hosts := []string{"ws://a.example", "ws://b.example"}
	resp, err := New(
		BaseURLFunc(func() string {
			h := hosts[0]
			hosts = hosts[1:]
			return h
		}),
		URL("x"), DialContext(srv.DialContext), RetryDelay(func(int) time.Duration { return 0 }), Logger(nil),
	).Do(t.Context())
	is.NoErr(err)
	defer resp.CloseNow()
	is.Equal(len(srv.Requests()), 2)
	is.Equal(srv.Requests()[0].Host, "a.example")
	is.Equal(srv.Requests()[1].Host, "b.example")
}

// What options are given is taken in at once: a Request never changes.
func TestParamsAreCopied(t *testing.T) {
	is := is.New(t)
	list, m, n, fields := []any{"a", 1}, map[string]any{}, 1, []string{"1"}
	m["q"] = list
	opts := []Option{URL("ws://example.com/:n"), Params(m), Param("p", list), PathParams(map[string]any{"n": &n}), Header("X-A", fields)}
	list[0], list[1], m["r"], n, fields[0] = "spoilt", func() {}, 1, 2, "spoilt"
	got := sent(t, opts...)
	is.Equal(got.RequestURI, "/1?q=a&q=1&p=a&p=1")
	is.Equal(got.Header.Get("X-A"), "1")
}

func TestPlainURL(t *testing.T) {
	is := is.New(t)
	srv := reqwstest.NewMemory(t, reqwstest.Script(reqwstest.Respond(200, nil, "ok")))
	resp, err := New(URL("http://example.com/:a#part"), PathParams(map[string]any{"a": "x/y"}), Method("DELETE"),
		DialContext(srv.DialContext)).Do(t.Context())
	is.NoErr(err)
	is.Equal(string(resp.Body), "ok")
	got := srv.Requests()[0]
	is.Equal(got.Method, "DELETE")
	is.Equal(got.RequestURI, "/x%2Fy") // a fragment is never sent
}

func FuzzResolve(f *testing.F) {
	f.Add("ws://example.com/rooms/:room?x=1", "", "go/..")
	f.Add(":room/x", "wss://u:p@example.com:443/v1/", "..")
	f.Add("{a}", "http://bücher.example/%2f", "a b\r\n")
	f.Add("ws://[::1%25eth0]:80/ü/%2F", "", "%2e%2e")
	f.Fuzz(func(t *testing.T, raw, base, value string) {
		for _, style := range []PathStyle{Colon, Curly} {
			c := defaults().with([]Option{
				URL(raw), BaseURL(base), PathParamsStyle(style), Param("q", value),
				PathParams(map[string]any{"room": value, "a": value}),
			})
			u, _, err := c.target.resolve(c.target.baseURL())
			if err != nil {
				if u != nil && strings.Contains(err.Error(), value) && len(value) > 12 {
					t.Fatalf("%v quotes the value", err)
				}
				continue
			}
			// What goes out is one line of ASCII without spaces, and reads back as the same.
			line := u.RequestURI()
			for i := range len(line) {
				if line[i] <= ' ' || line[i] >= 0x7f {
					t.Fatalf("%q goes on the wire", line)
				}
			}
			back, err := url.Parse(u.String())
			if err != nil {
				t.Fatalf("%s: %v", u, err)
			}
			if back.RequestURI() != line || back.Host != u.Host {
				t.Fatalf("%q reads back as %q", u, back)
			}
		}
	})
}

func TestMissingURLIsAnErrorOfRunAndDial(t *testing.T) {
	is := is.New(t)
	_, _, err := New().Dial(context.Background())
	is.True(err != nil)
	is.True(strings.Contains(err.Error(), "option URL: it is missing"))
	err = New(Into(func(Event, *Response) Directive { return Halt() })).Run(context.Background())
	is.True(err != nil)
	var pe *failure.Error
	is.True(errors.As(err, &pe))
	is.Equal(pe.Phase, "url")
}

func TestZeroRequest(t *testing.T) {
	is := is.New(t)
	var zero Request
	_, err := zero.Do(context.Background())
	is.True(err != nil)
	is.True(strings.Contains(err.Error(), "option URL: it is missing"))
	is.Equal(zero.With(MaxRetries(7)).c.retry.most, 7)
	is.Equal(zero.With().c.redirect.most, 10)
}
