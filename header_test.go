package reqws

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/reqws/reqws/reqwstest"
)

func headLines(r *reqwstest.Request) []string {
	return strings.Split(strings.TrimSpace(string(r.Head)), "\r\n")
}

func TestHeaderOnTheWire(t *testing.T) {
	when := time.Date(2024, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600))
	tests := []struct {
		name string
		opts []Option
		want []string // lines of the head
		not  []string // no line begins so
	}{
		{name: "underscore", opts: []Option{Header("x_user_id", 7)}, want: []string{"X-User-Id: 7"}},
		{name: "time", opts: []Option{Header("if_modified_since", when)}, want: []string{"If-Modified-Since: Tue, 02 Jan 2024 02:04:05 GMT"}},
		{name: "several", opts: []Option{Header("X-A", []string{"1", "2"})}, want: []string{"X-A: 1", "X-A: 2"}},
		{name: "later stands, whatever the case", opts: []Option{Header("X-A", 1), Headers(http.Header{"x-a": {"2"}})}, want: []string{"x-a: 2"}, not: []string{"X-A:"}},
		{name: "names as they are", opts: []Option{Headers(http.Header{"x_y": {"1"}, "SOAPAction": {"a"}})}, want: []string{"x_y: 1", "SOAPAction: a"}},
		{name: "by name", opts: []Option{Header("X-A", 1), Headers(http.Header{"X-B": {"2"}})}, want: []string{"X-A: 1", "X-B: 2"}},
		{name: "nil takes back", opts: []Option{Header("X-A", 1), Header("X-A", nil)}, not: []string{"X-A:"}},
		{name: "host", opts: []Option{Header("host", "other.example")}, want: []string{"Host: other.example"}},
		{name: "hostname", opts: []Option{Hostname("other.example")}, want: []string{"Host: other.example:8080"}},
		{name: "hostname IPv6", opts: []Option{Hostname("[::1]")}, want: []string{"Host: [::1]:8080"}},
		{name: "hostname and default port", opts: []Option{URL("ws://example.com:80/"), Hostname("[::1]")}, want: []string{"Host: [::1]"}},
		{name: "host before hostname", opts: []Option{Hostname("a.example"), Header("Host", "b.example")}, want: []string{"Host: b.example"}},
		{name: "user agent", want: []string{"User-Agent: reqws"}},
		{name: "own user agent", opts: []Option{Header("user_agent", "bot")}, want: []string{"User-Agent: bot"}},
		{name: "no user agent", opts: []Option{Header("user_agent", nil)}, not: []string{"User-Agent:"}},
		{name: "tab", opts: []Option{Header("X-A", "a\tb")}, want: []string{"X-A: a\tb"}},
		{name: "UTF-8", opts: []Option{Header("X-A", "ü")}, want: []string{"X-A: ü"}},
		{name: "stringer", opts: []Option{Header("X-A", stringer{"s"})}, want: []string{"X-A: s"}},
		{name: "the handshake's own", want: []string{"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"}},
		{name: "subprotocols", opts: []Option{Subprotocols("v2", "v1")}, want: []string{"Sec-WebSocket-Protocol: v2,v1"}},
		{name: "no subprotocols", not: []string{"Sec-WebSocket-Protocol"}},
		{name: "user agent in another case", opts: []Option{Headers(http.Header{"user-agent": {"bot"}})}, want: []string{"User-Agent: bot"}, not: []string{"user-agent:", "User-Agent: reqws"}},
		{name: "user agent taken back in another case", opts: []Option{Headers(http.Header{"uSER-aGENT": nil})}, not: []string{"User-Agent:", "uSER"}},
		{name: "host in another case", opts: []Option{Headers(http.Header{"HOST": {"other.example"}})}, want: []string{"Host: other.example"}, not: []string{"HOST:", "Host: example.com"}},
		{name: "authorization in another case beats userinfo", opts: []Option{URL("ws://u:p@example.com/"), Headers(http.Header{"authorization": {"X y"}})}, want: []string{"authorization: X y"}, not: []string{"Authorization:"}},
		{name: "a step finds the canonical name, the server the user's", opts: []Option{Headers(http.Header{"x-a": {"1"}, "x-b": {"1"}}), Use(onHeader(func(h http.Header) {
			h.Set("X-Found", h.Get("X-A"))
			h.Set("X-B", "2")
		}))}, want: []string{"x-a: 1", "X-Found: 1", "X-B: 2"}, not: []string{"X-A:", "x-b:"}},
		{name: "a step takes one back", opts: []Option{Headers(http.Header{"x-a": {"1"}}), Use(onHeader(func(h http.Header) { h.Del("X-A") }))}, not: []string{"x-a:", "X-A:"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			lines := headLines(sent(t, append([]Option{URL("ws://example.com:8080/")}, tt.opts...)...))
			for _, want := range tt.want {
				if !slices.Contains(lines, want) {
					t.Errorf("%q lacks %q", lines, want)
				}
			}
			for _, not := range tt.not {
				if slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, not) }) {
					t.Errorf("%q holds %q", lines, not)
				}
			}
		})
	}
}

// onHeader is a step that works on the header of a request.
func onHeader(f func(http.Header)) Step {
	return func(next http.RoundTripper) http.RoundTripper {
		return RoundTripFunc(func(req *http.Request) (*http.Response, error) {
			req = req.Clone(req.Context())
			f(req.Header)
			return next.RoundTrip(req)
		})
	}
}

// offered is the list of subprotocols in a request.
func offered(t *testing.T, r *reqwstest.Request) []string {
	t.Helper()
	fields := r.Header.Values("Sec-WebSocket-Protocol")
	is.New(t).True(len(fields) <= 1) // some servers read the first alone
	return append([]string(nil), protocolNames(r.Header)...)
}

// Whatever way subprotocols are given in, the server may choose each of them.
func TestSubprotocolsOffered(t *testing.T) {
	header := func(name string, values ...string) Option { return Headers(http.Header{name: values}) }
	tests := []struct {
		name string
		opts []Option
		want []string
	}{
		{"option", []Option{Subprotocols("a", "b")}, []string{"a", "b"}},
		{"header as the RFC spells it", []Option{header("Sec-WebSocket-Protocol", "a, b")}, []string{"a", "b"}},
		{"header as Go spells it", []Option{header("Sec-Websocket-Protocol", "a,b")}, []string{"a", "b"}},
		{"header in lower case", []Option{header("sec-websocket-protocol", "a", "b")}, []string{"a", "b"}},
		{"several fields", []Option{Header("Sec-WebSocket-Protocol", []string{"a", "b, c"})}, []string{"a", "b", "c"}},
		{"underscores", []Option{Header("sec_websocket_protocol", "a")}, []string{"a"}},
		{"the option before the header", []Option{Subprotocols("a"), Header("Sec-WebSocket-Protocol", "b")}, []string{"a"}},
		{"taken back", []Option{header("Sec-WebSocket-Protocol", "b"), Header("Sec-WebSocket-Protocol", nil)}, nil},
		{"none left", []Option{Subprotocols("a"), Subprotocols()}, nil},
		{"a step adds one", []Option{Subprotocols("a"), Use(onHeader(func(h http.Header) { h.Add("Sec-WebSocket-Protocol", "b") }))}, []string{"a", "b"}},
		{"a step gives one as the RFC spells it", []Option{Use(onHeader(func(h http.Header) { h["Sec-WebSocket-Protocol"] = []string{"a", "b, c"} }))}, []string{"a", "b", "c"}},
		{"a step adds one as the RFC spells it", []Option{Subprotocols("a"), Use(onHeader(func(h http.Header) { h["Sec-WebSocket-Protocol"] = []string{"b"} }))}, []string{"b", "a"}},
		{"an outer step gives one as the RFC spells it", []Option{UseOuter(onHeader(func(h http.Header) { h["Sec-WebSocket-Protocol"] = []string{"a"} }))}, []string{"a"}},
		{"secret", []Option{SecretSubprotocol("canary"), Subprotocols("a", "b")}, []string{"a", "b", "canary"}},
		{"secret alone", []Option{SecretSubprotocol("x"), SecretSubprotocol("canary")}, []string{"canary"}},
		{"secret behind a header", []Option{SecretSubprotocol("canary"), header("Sec-WebSocket-Protocol", "a")}, []string{"a", "canary"}},
		{"secret given as both", []Option{SecretSubprotocol("canary"), Subprotocols("canary", "a")}, []string{"canary", "a"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			is := is.New(t)
			is.Equal(offered(t, sent(t, append([]Option{URL("ws://example.com/")}, tt.opts...)...)), tt.want)
			for _, choice := range tt.want {
				srv := reqwstest.NewMemory(t, reqwstest.Script(reqwstest.Accept(reqwstest.WithSubprotocol(choice))).Times(3))
				r := New(URL("ws://example.com/"), DialContext(srv.DialContext)).With(tt.opts...)
				resp, err := r.Do(t.Context())
				is.NoErr(err)
				is.Equal(resp.Subprotocol, choice)
				is.NoErr(resp.CloseNow())
				for _, u := range []string{"ws://example.com/", "http://example.com/"} {
					conn, _, err := r.With(URL(u)).Dial(t.Context())
					is.NoErr(err)
					is.Equal(conn.Subprotocol(), choice)
					is.NoErr(conn.CloseNow())
				}
			}
		})
	}
}

// net/http looks for some names itself, and would send a value of its own besides.
func TestHeaderSpellingOfPlainRequests(t *testing.T) {
	is := is.New(t)
	srv := reqwstest.NewMemory(t, reqwstest.Script(reqwstest.Respond(200, nil, "")))
	_, err := New(URL("http://u:p@example.com/"), DialContext(srv.DialContext), Body("text/plain", []byte("hi")), Subprotocols("a"), Headers(http.Header{
		"user-agent": {"bot"}, "accept-encoding": {"br"}, "authorization": {"X y"}, "x-a": {"1"}, "content-type": {"text/x"}, "range": {"bytes=0-1"},
	})).Do(t.Context())
	is.NoErr(err)
	lines := headLines(srv.Requests()[0])
	slices.Sort(lines)
	is.Equal(lines, []string{
		"Accept-Encoding: br", "Connection: close", "Content-Length: 2", "GET / HTTP/1.1", "Host: example.com", "Range: bytes=0-1",
		"User-Agent: bot", "authorization: X y", "content-type: text/x", "x-a: 1",
	})
}

func TestBadHeader(t *testing.T) {
	tests := []struct {
		opt  Option
		want string
	}{
		{Header("X A", 1), `option Header(X A): "X A" is no header name`},
		{Header("", 1), `option Header(): "" is no header name`},
		{Header("X-A", "canary\r\nX-B: 1"), "option Header(X-A): the value of X-A has a line break"},
		{Header("X-A", "canary\n"), "option Header(X-A): the value of X-A has a line break"},
		{Header("X-A", "canary\x00"), "option Header(X-A): the value of X-A has a line break or another control character"},
		{Header("X-A", "canary\x7f"), "option Header(X-A): "},
		{Header("X-A", []string{"ok", "canary\r"}), "option Header(X-A): "},
		{Headers(http.Header{"X-A:": {"1"}}), `option Headers: "X-A:" is no header name`},
		{Headers(http.Header{"X-A": {"canary\n"}}), "option Headers: the value of X-A has a line break"},
		{Header("connection", "close"), "option Header(Connection): Connection is a header of the handshake itself"},
		{Header("content_length", 5), "option Header(Content-Length): "},
		{Headers(http.Header{"transfer-encoding": {"chunked"}}), "option Headers: "},
		{Header("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="), "option Header(Sec-Websocket-Key): "},
		{Header("Authorization: Bearer canary", nil), `option Header(Authorization:…): "Authorization:…" is no header name`},
		{Headers(http.Header{"Authorization: Bearer canary": nil}), `option Headers: "Authorization:…" is no header name`},
		{Header("Host", "a b"), "option Header(Host): the Host is no host with or without a port"},
		{Header("Host", "canary@host"), "option Header(Host): the Host is no host"},
		{Header("Host", "host/canary"), "option Header(Host): the Host is no host"},
		{Header("Host", []string{"a", "b"}), "option Header(Host): a request has one Host"},
		{Headers(http.Header{"host": {"canary canary"}}), "option Headers: the Host is no host"},
		{Headers(http.Header{"X-A": {"1"}, "x-a": {"2"}}), "option Headers: X-A and x-a are the same header"},
		{ProxyHeader(http.Header{"X-A": {"1"}, "x-a": {"2"}}), "option ProxyHeader: X-A and x-a are the same header"},
		{Subprotocols("v1", "Bearer canary"), "option Subprotocols: name 2 is no token"},
		{Subprotocols("canary", "b", "canary"), "option Subprotocols: name 3 is the same as name 1"},
		{SecretSubprotocol("canary="), "option SecretSubprotocol: it is no token"},
		{SecretSubprotocol(""), "option SecretSubprotocol: it is no token"},
	}
	for _, tt := range tests {
		t.Run(tt.want, func(t *testing.T) {
			is := is.New(t)
			msg := failed(t, URL("ws://example.com/"), tt.opt).Error()
			if !strings.Contains(msg, tt.want) {
				t.Errorf("%s\n  does not hold: %s", msg, tt.want)
			}
			is.True(!strings.Contains(msg, "canary"))
		})
	}
}

// What a step has made of a request that cannot be sent as it is, is an error, where
// net/http would leave it out or change it.
func TestBadRequestOfAStep(t *testing.T) {
	for name, spoil := range map[string]func(*http.Request){
		"Host":         func(r *http.Request) { r.Host = "a b\r\ncanary" },
		"Host, a path": func(r *http.Request) { r.Host = "host/canary" },
		"value":        func(r *http.Request) { r.Header["X-A"] = []string{"a\r\nX-B: canary"} },
		"name":         func(r *http.Request) { r.Header["Authorization: Bearer canary"] = []string{""} },
		"no URL":       func(r *http.Request) { r.URL = nil },
	} {
		for _, u := range []string{"ws://example.com/", "http://example.com/"} {
			for p, protocol := range map[string]Protocol{"1": HTTP1, "2": HTTP2} {
				for place, use := range map[string]func(...Step) Option{"Use": Use, "UseOuter": UseOuter} {
					t.Run(name+"/"+u+p+place, func(t *testing.T) {
						is := is.New(t)
						msg := failed(t, URL(u), Protocols(protocol), use(func(next http.RoundTripper) http.RoundTripper {
							return RoundTripFunc(func(req *http.Request) (*http.Response, error) {
								req = req.Clone(req.Context())
								spoil(req)
								return next.RoundTrip(req)
							})
						})).Error()
						is.True(strings.HasPrefix(msg, "reqws: request: "))
						is.True(!strings.Contains(msg, "canary"))
					})
				}
			}
		}
	}
}

// A step may hand on a request without headers.
func TestRequestWithoutHeaders(t *testing.T) {
	bare := func(next http.RoundTripper) http.RoundTripper {
		return RoundTripFunc(func(req *http.Request) (*http.Response, error) {
			return next.RoundTrip((&http.Request{URL: req.URL}).WithContext(req.Context()))
		})
	}
	for name, opts := range map[string][]Option{
		"outer":  {UseOuter(bare), Subprotocols("a")},
		"auth":   {Auth(func(next http.RoundTripper) http.RoundTripper { return bare(Basic("u", "p")(next)) })},
		"signed": {Use(bare), AWSSigV4(SigV4{AccessKeyID: "a", SecretAccessKey: "b", Service: "c"})},
	} {
		t.Run(name, func(t *testing.T) {
			sent(t, append([]Option{URL("ws://u:p@example.com/"), Header("X-A", 1)}, opts...)...)
		})
	}
}

// The values of a Request's headers are its own: no step can change them for the
// next execution.
func TestHeaderValuesAreCopied(t *testing.T) {
	is := is.New(t)
	given := http.Header{"X-A": {"1"}}
	spoil := func(next http.RoundTripper) http.RoundTripper {
		return RoundTripFunc(func(req *http.Request) (*http.Response, error) {
			req.Header["X-A"][0] += "!"
			return next.RoundTrip(req)
		})
	}
	srv := reqwstest.NewMemory(t, reqwstest.Script(reqwstest.Accept()).Times(2))
	r := New(URL("ws://example.com/"), Headers(given), Use(spoil), DialContext(srv.DialContext))
	given["X-A"][0] = "spoilt"
	for range 2 {
		resp, err := r.Do(t.Context())
		is.NoErr(err)
		resp.Request.Header["X-A"][0] = "spoilt"
		resp.CloseNow()
	}
	for _, req := range srv.Requests() {
		is.Equal(req.Header.Get("X-A"), "1!")
	}
}

func TestIsToken(t *testing.T) {
	is := is.New(t)
	for _, s := range []string{"GET", "a", "x-!#$%&'*+.^_`|~1"} {
		is.True(isToken(s))
	}
	for _, s := range []string{"", " ", "a b", "a/b", "ü", "a\n", "(", "a:"} {
		is.True(!isToken(s))
	}
}
