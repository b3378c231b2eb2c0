package reqws

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matryer/is"

	"github.com/reqws/reqws/reqwstest"
)

func basicValue(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

func fixedAuth(s Step) Step {
	return AuthFunc(func(context.Context) (Step, error) { return s, nil })
}

// customAuth is a step of a user's own.
func customAuth(next http.RoundTripper) http.RoundTripper {
	return RoundTripFunc(func(req *http.Request) (*http.Response, error) {
		req = req.Clone(req.Context())
		req.Header.Set("Authorization", "Custom "+req.URL.Scheme)
		return next.RoundTrip(req)
	})
}

func TestAuthOnTheWire(t *testing.T) {
	const plain = "ws://example.com/"
	const withUser = "ws://jane:s%40cret@example.com/"
	tests := []struct {
		name string
		opts []Option
		want string
	}{
		{"none", []Option{URL(plain)}, ""},
		{"basic", []Option{URL(plain), Auth(Basic("jane", "s:cret ü"))}, basicValue("jane", "s:cret ü")},
		{"basic without password", []Option{URL(plain), Auth(Basic("jane", ""))}, basicValue("jane", "")},
		{"bearer", []Option{URL(plain), Auth(Bearer("t0ken"))}, "Bearer t0ken"},
		{"header", []Option{URL(plain), Auth(AuthHeader("Digest a=1"))}, "Digest a=1"},
		{"function", []Option{URL(plain), Auth(fixedAuth(Bearer("t")))}, "Bearer t"},
		{"function in a function", []Option{URL(plain), Auth(fixedAuth(fixedAuth(Bearer("t"))))}, "Bearer t"},
		{"function with nothing", []Option{URL(plain), Auth(fixedAuth(nil))}, ""},
		{"own step", []Option{URL(plain), Auth(customAuth)}, "Custom ws"},
		{"userinfo", []Option{URL(withUser)}, basicValue("jane", "s@cret")},
		{"userinfo without password", []Option{URL("ws://token@example.com/")}, basicValue("token", "")},
		{"userinfo of the base", []Option{BaseURL(withUser), URL("x")}, basicValue("jane", "s@cret")},
		{"Auth before userinfo", []Option{URL(withUser), Auth(Bearer("t"))}, "Bearer t"},
		{"header before userinfo", []Option{URL(withUser), Header("authorization", "X y")}, "X y"},
		{"Auth before header", []Option{URL(plain), Headers(http.Header{"authorization": {"X y"}}), Auth(Bearer("t"))}, "Bearer t"},
		{"later stands", []Option{URL(plain), Auth(Bearer("a")), Auth(Bearer("b"))}, "Bearer b"},
		{"nil takes back", []Option{URL(plain), Auth(Bearer("a")), Auth(nil)}, ""},
		{"as a step of Use", []Option{URL(plain), Use(Bearer("u"))}, "Bearer u"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			is := is.New(t)
			got := sent(t, tt.opts...)
			is.Equal(got.Header.Get("Authorization"), tt.want)
			is.True(len(got.Header.Values("Authorization")) <= 1)
			is.True(!strings.Contains(string(got.Head), "authorization:")) // no second one in another case
			is.True(!strings.Contains(string(got.Head), "cret@"))
		})
	}
}

func TestBadAuth(t *testing.T) {
	boom := errors.New("boom")
	tests := []struct {
		name string
		opt  Option
		want string
	}{
		{"empty bearer", Auth(Bearer("")), "the bearer token is empty"},
		{"bearer with line break", Auth(Bearer("canary\r\nX: y")), "the credentials have a line break"},
		{"basic with line break", Auth(Basic("jane", "canary\n")), "the credentials have a line break"},
		{"basic with colon in user", Auth(Basic("canary:x", "")), "the user of Basic credentials has a colon"},
		{"userinfo with line break", URL("ws://jane:canary%0D@example.com/"), "the credentials have a line break"},
		{"userinfo with colon", URL("ws://ja%3Ane:canary@example.com/"), "the user of Basic credentials has a colon"},
		{"empty header", Auth(AuthHeader("")), "the Authorization header is empty"},
		{"header with NUL", Auth(AuthHeader("canary\x00")), "the credentials have a line break or another control character"},
		{"function fails", Auth(AuthFunc(func(context.Context) (Step, error) { return nil, boom })), "boom"},
		{"function is nil", Auth(AuthFunc(nil)), "the function of AuthFunc is nil"},
		{"step that returns nil", Auth(func(http.RoundTripper) http.RoundTripper { return nil }), "a step returned nil"},
		{"function with such a step", Auth(fixedAuth(func(http.RoundTripper) http.RoundTripper { return nil })), "a step returned nil"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			is := is.New(t)
			err := failed(t, URL("ws://example.com/x?canary=1"), tt.opt)
			if want := "reqws: auth: ws://example.com/"; !strings.HasPrefix(err.Error(), want) || !strings.HasSuffix(err.Error(), tt.want) && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v\n  is not %s…: %s", err, want, tt.want)
			}
			is.True(!strings.Contains(err.Error(), "canary"))
			is.Equal(errors.Is(err, boom), tt.want == "boom")
		})
	}
}

func TestAuthFuncIsAskedOnEachAttempt(t *testing.T) {
	is := is.New(t)
	type key struct{}
	ctx := context.WithValue(t.Context(), key{}, "mine")
	srv := reqwstest.NewMemory(t,
		reqwstest.Script(reqwstest.Refuse(503, nil, "")),
		reqwstest.Script(reqwstest.Redirect(307, "/again")),
		reqwstest.Script(reqwstest.Accept()))
	n := 0
	resp, err := New(
		URL("ws://example.com/"),
		Auth(AuthFunc(func(ctx context.Context) (Step, error) {
			n++
			return Bearer(fmt.Sprintf("%v-%d", ctx.Value(key{}), n)), nil
		})),
		DialContext(srv.DialContext), RetryDelay(func(int) time.Duration { return 0 }), Logger(nil),
	).Do(ctx)
	is.NoErr(err)
	defer resp.CloseNow()
	var got []string
	for _, req := range srv.Requests() {
		got = append(got, req.Header.Get("Authorization"))
	}
	is.Equal(got, []string{"Bearer mine-1", "Bearer mine-2", "Bearer mine-3"})
}

// A function that does not look at its ctx holds nobody up.
func TestAuthFuncThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		release := make(chan struct{})
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		begin := time.Now()
		_, err := New(URL("ws://example.com/"), Auth(AuthFunc(func(context.Context) (Step, error) {
			<-release
			return nil, nil
		}))).Do(ctx)
		is.Equal(time.Since(begin), 3*time.Second)
		is.True(errors.Is(err, context.DeadlineExceeded))
		is.True(strings.HasPrefix(err.Error(), "reqws: auth: ws://example.com/: "))
		close(release) // its goroutine ends: the bubble would report it otherwise
	})
}

// A panic in the user's function comes up in the caller of Do.
func TestAuthFuncPanic(t *testing.T) {
	is := is.New(t)
	defer func() { is.Equal(recover(), "ouch") }()
	New(URL("ws://example.com/"), Auth(AuthFunc(func(context.Context) (Step, error) { panic("ouch") }))).Do(t.Context())
	t.Error("Do returned")
}

func TestStepsShowNothing(t *testing.T) {
	is := is.New(t)
	for _, s := range []Step{Basic("jane", "canary"), Bearer("canary"), AuthHeader("canary"), NetrcFile("canary")} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%q", "%x"} {
			is.True(!strings.Contains(fmt.Sprintf(verb, s), "canary"))
			is.True(!strings.Contains(fmt.Sprintf(verb, Auth(s)), "canary"))
		}
	}
}
