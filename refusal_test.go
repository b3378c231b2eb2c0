package reqws

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/matryer/is"

	"github.com/reqws/reqws/internal/failure"
	"github.com/reqws/reqws/reqwstest"
)

// What an error says of a body is short and printable.
func TestExcerpt(t *testing.T) {
	for _, tc := range []struct{ name, body, want string }{
		{"nothing", "", ""},
		{"blank", " \r\n\t\n", ""},
		{"a line", "not you\n", "not you"},
		{"two lines", "one\r\ntwo\r\nthree", "one two"},
		{"blank lines between", "\n\none\n\n \ntwo", "one two"},
		{"spaces", "  <h1>\n\t Denied\u00a0here </h1>", "<h1> Denied here </h1>"},
		{"control characters", "\x1b[31mred\x1b[0m\x07 \u202eright to left", "[31mred [0m right to left"},
		{"bytes that are no text", "a\xffb", "ab"},
		{"200 bytes", strings.Repeat("x", 200), strings.Repeat("x", 200)},
		{"201 bytes", strings.Repeat("x", 201), strings.Repeat("x", 200)},
		{"a cut within a letter", strings.Repeat("x", 199) + "éé", strings.Repeat("x", 199)},
		{"without end", strings.Repeat("y", 1<<20), strings.Repeat("y", 200)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			is := is.New(t)
			is.Equal(excerpt(nil, []byte(tc.body), nil), tc.want)
			is.Equal(excerpt(http.Header{"Content-Encoding": {"gzip"}}, []byte(tc.body), nil), "")
			is.Equal(excerpt(http.Header{"Content-Encoding": {"identity"}}, []byte(tc.body), nil), tc.want)
		})
	}
}

// No error repeats what a server repeats of the request's credentials.
func TestHTTPErrorsHideWhatTheRequestSaid(t *testing.T) {
	const token = "eyJhbGciOiJIUzI1NiJ9.Y2FuYXJ5.c2lnbmF0dXJl"
	for _, tc := range []struct {
		name string
		opts []Option
		body string
		want string
	}{
		{"bearer", []Option{Auth(Bearer(token))}, "bad token: " + token + "!", "bad token: REDACTED!"},
		{"twice", []Option{Auth(Bearer(token))}, token + " " + token, "REDACTED REDACTED"},
		{"cut short", []Option{Auth(Bearer(token))}, "bad token eyJhbGciOiJIUzI1...", "bad token REDACTED..."},
		{"in another case", []Option{Header("X-Api-Key", "0A1B2C3D4E")}, "key 0a1b2c3d4e is blocked", "key REDACTED is blocked"},
		{"the scheme stays", []Option{Auth(Bearer(token))}, `Bearer error="invalid_token"`, `Bearer error="invalid_token"`},
		{"basic", []Option{Auth(Basic("me", "open sesame"))}, "me:open sesame bWU6b3BlbiBzZXNhbWU=", "me:REDACTED REDACTED"},
		{"a short password", []Option{Auth(Basic("me", "pw"))}, "not pw", ""},
		{"a short password, not told", []Option{Auth(Basic("me", "pw"))}, "no", "no"},
		{"a key as the user", []Option{Auth(Basic("sk_live_1", ""))}, "invalid key sk_live_1", "invalid key REDACTED"},
		{"a key as the user, and a word for the password", []Option{Auth(Basic("ghp_abcdef", "x-oauth-basic"))}, "bad ghp_abcdef", "bad REDACTED"},
		{"a key as userinfo", []Option{URL("ws://sk_live_1@example.com/")}, "invalid key sk_live_1", "invalid key REDACTED"},
		{"userinfo", []Option{URL("ws://me:s3same@example.com/")}, "user me, password s3same", "user me, password REDACTED"},
		{"cookie", []Option{Header("Cookie", "lang=en; session=abc123; id=0123456789")}, "session abc123 of 0123456789 has ended", "session REDACTED of REDACTED has ended"},
		{"header", []Option{Header("X-Auth-Token", "tok/en+1=")}, "tok/en+1= tok%2Fen%2B1%3D", "REDACTED REDACTED"},
		{"header in JSON and HTML", []Option{Header("X-Auth-Token", `q"u<ote>d`)}, `{"got":"q\"u\u003cote\u003ed"} q&#34;u&lt;ote&gt;d`, `{"got":"REDACTED"} REDACTED`},
		{"query", []Option{Param("token", "s3cret/x"), Param("room", "go")}, "no /?token=s3cret%2Fx&room=go, s3cret/x", "no /?token=REDACTED&room=go, REDACTED"},
		{"long parameters may be secret", []Option{Param("t", "0123456789")}, "0123456789", "REDACTED"},
		{"subprotocol", []Option{Subprotocols("v4.channel.k8s.io", "base64url.bearer.authorization.k8s.io.Y2FuYXJ5")}, "offered v4.channel.k8s.io, base64url.bearer.authorization.k8s.io.Y2FuYXJ5", "offered v4.channel.k8s.io, REDACTED"},
		{"signature", []Option{Header("Authorization", "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/2024/x, SignedHeaders=host, Signature=5d672d79c15b13162d9279b0855cfba6")},
			"Credential AKIDEXAMPLE on host: expected 5d672d79c15b13162d9279b0855cfba6", "Credential REDACTED on host: expected REDACTED"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			is := is.New(t)
			srv := reqwstest.NewMemory(t, reqwstest.Script(reqwstest.Refuse(403, nil, tc.body)))
			_, err := New(append([]Option{URL("ws://example.com/"), DialContext(srv.DialContext), Logger(nil)}, tc.opts...)...).Do(t.Context())
			var he *HTTPError
			is.True(errors.As(err, &he))
			is.Equal(string(he.Body), tc.body) // which is for those who ask for it
			want := "reqws: handshake: ws://example.com/: refused with status 403 Forbidden"
			if tc.want != "" {
				want += ": " + tc.want
			}
			is.Equal(err.Error(), want)
			is.Equal(he.URL, "ws://example.com/")
		})
	}
}

// No verb shows more of a refusal than its text: its headers and body may repeat what
// the request said.
func TestRefusalsWithAnyVerb(t *testing.T) {
	header := http.Header{"Set-Cookie": {"session=canary"}, "X-Echo": {"canary"}}
	for _, err := range []error{
		&HTTPError{StatusCode: 403, Header: header, Body: []byte("canary"), URL: "ws://example.com/"},
		&ProxyError{StatusCode: 407, Header: header, Body: []byte("canary")},
	} {
		var text strings.Builder
		for _, verb := range verbs {
			fmt.Fprintf(&text, verb+" ", err)
			fmt.Fprintf(&text, verb+" ", reflect.ValueOf(err).Elem().Interface())
			fmt.Fprintf(&text, verb+" ", fail("proxy", nil, err))
			fmt.Fprintf(&text, verb+" ", failure.Unquoted(fmt.Errorf("malformed %w", err)))
		}
		hides(t, text.String())
	}
}

// Without a phase and a body an HTTPError made by hand has a text, too.
func TestHTTPErrorByHand(t *testing.T) {
	is := is.New(t)
	is.Equal((&HTTPError{StatusCode: 404, URL: "ws://host/"}).Error(), "reqws: request: ws://host/: refused with status 404 Not Found")
	is.Equal((&HTTPError{StatusCode: 599}).Error(), "reqws: request: : refused with status 599")
	is.Equal((&ProxyError{StatusCode: 502}).Error(), "refused to connect: 502 Bad Gateway")
}

func FuzzHide(f *testing.F) {
	f.Add("the token abc12345 is bad", "abc12345")
	f.Add("ABC1234 \xff", "abc1234\xff")
	f.Add("aaaaaaaaaaaaaaaaaaaa", "aaaaaaaa")
	f.Fuzz(func(t *testing.T, body, secret string) {
		req := &http.Request{URL: &url.URL{}, Header: http.Header{"X-Api-Key": {secret}}}
		got := excerpt(nil, []byte(body), secretsIn(req))
		if len(got) > maxExcerpt || !utf8.ValidString(got) || strings.ContainsAny(got, "\r\n") {
			t.Errorf("%q", got)
		}
		secret = printable(secret)
		shown := strings.ReplaceAll(lowered(got), lowered(failure.Hidden), "\n")
		if secret != "" && !strings.ContainsAny(secret, ";,") && strings.Contains(shown, lowered(secret)) {
			t.Errorf("%q shows %q", got, secret)
		}
	})
}
