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
		{Subprotocols("a b"), `option Subprotocols: "a b" is no token`},
		{Subprotocols("a", "a"), `option Subprotocols: "a" is given twice`},
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
