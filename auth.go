package reqws

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/reqws/reqws/internal/failure"
)

// Auth sets the credentials: one of [Basic], [Bearer], [AuthHeader], [Netrc],
// [NetrcFile] and [AuthFunc], or a step of your own. It runs on each attempt, but
// not on a redirect to another origin (see [RedirectTrusted]). nil takes
// credentials back.
func Auth(s Step) Option {
	return option("Auth", func(c *config) { c.auth = s })
}

// authenticate is the step for [Auth], and for userinfo in the URL where there
// is none. It does nothing on the way to another origin.
func authenticate(auth Step, t *targetConfig, next http.RoundTripper) http.RoundTripper {
	if auth == nil && !t.mayHaveUser() {
		return next
	}
	given := next
	if auth != nil {
		given = applyStep("auth", auth, completing("request", next))
	}
	return RoundTripFunc(func(req *http.Request) (*http.Response, error) {
		h := hopOf(req.Context())
		switch {
		case h.foreign:
			return next.RoundTrip(req)
		case auth == nil && h.user != nil && req.Header.Get("Authorization") == "":
			return userinfo(h.user)(next).RoundTrip(req)
		}
		return given.RoundTrip(req)
	})
}

func userinfo(u *url.Userinfo) Step {
	password, _ := u.Password()
	return Basic(u.Username(), password)
}

// applyStep applies a step that may be anyone's: one that returns nothing fails the
// request, in the phase given, in place of panicking, and so does one that answers
// nothing.
func applyStep(phase string, s Step, next http.RoundTripper) http.RoundTripper {
	if rt := s(next); !isNil(rt) {
		return completing(phase, rt)
	}
	return RoundTripFunc(func(req *http.Request) (*http.Response, error) {
		return nil, fail(phase, req.URL, errors.New("a step returned nil in place of an http.RoundTripper"))
	})
}

// completing makes up for what a step in front of rt may have left out of its request, and rt of
// its answer.
func completing(phase string, rt http.RoundTripper) http.RoundTripper {
	return RoundTripFunc(func(req *http.Request) (*http.Response, error) {
		req, err := completed(req)
		if err != nil {
			return nil, fail(phase, nil, err)
		}
		resp, err := answerOf(rt, req)
		if err != nil && req.URL.Host != "" {
			err = fail(phase, req.URL, err)
		}
		return resp, err
	})
}

// completed makes up for what a step may have left out of the request that it hands on.
func completed(req *http.Request) (*http.Request, error) {
	if req == nil || req.URL == nil {
		return nil, errors.New("a step handed on a request without a URL")
	}
	if req.Header == nil {
		req = req.WithContext(req.Context())
		req.Header = make(http.Header)
	}
	return req, nil
}

// authorization makes a step that sets the Authorization header to what value
// returns, unless that is nothing or the request goes to another origin.
func authorization(value func(*http.Request) (string, error)) Step {
	return func(next http.RoundTripper) http.RoundTripper {
		return RoundTripFunc(func(req *http.Request) (*http.Response, error) {
			req, err := completed(req)
			if err != nil {
				return nil, fail("auth", nil, err)
			}
			if Foreign(req.Context()) {
				return next.RoundTrip(req)
			}
			v, err := value(req)
			if err == nil && checkHeaderValue(v) != nil {
				err = errors.New("the credentials have a line break or another control character")
			}
			if err != nil {
				return nil, fail("auth", req.URL, err)
			}
			if v != "" {
				req = req.Clone(req.Context())
				replaceHeader(req.Header, "Authorization", []string{v})
			}
			return next.RoundTrip(req)
		})
	}
}

// Basic returns the step that sends user and password (RFC 7617). A colon in
// user and control characters in either are refused, as the standard asks.
func Basic(user, password string) Step {
	return authorization(func(*http.Request) (string, error) { return basic(user, password) })
}

func basic(user, password string) (string, error) {
	if strings.Contains(user, ":") {
		return "", errors.New("the user of Basic credentials has a colon")
	}
	if checkHeaderValue(user) != nil || checkHeaderValue(password) != nil {
		return "", errors.New("the credentials have a line break or another control character")
	}
	return basicCredentials(user, password), nil
}

// basicCredentials is what the header says of credentials (RFC 7617, section 2).
func basicCredentials(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// Bearer returns the step that sends a bearer token (RFC 6750). An empty token
// is an error: a handshake without credentials is not what was asked for.
func Bearer(token string) Step {
	return authorization(func(*http.Request) (string, error) {
		if token == "" {
			return "", errors.New("the bearer token is empty")
		}
		return "Bearer " + token, nil
	})
}

// AuthHeader returns the step that sends value as the Authorization header, as
// it is. An empty one is an error.
func AuthHeader(value string) Step {
	return authorization(func(*http.Request) (string, error) {
		if value == "" {
			return "", errors.New("the Authorization header is empty")
		}
		return value, nil
	})
}

// AuthFunc returns the step that asks f for credentials on each attempt and
// each redirect, with the context of the request. A nil Step from f means none;
// an error from f fails the attempt. When the context ends the attempt does not
// wait for f any longer: f runs in a goroutine of its own, which ends when f
// returns.
func AuthFunc(f func(context.Context) (Step, error)) Step {
	return func(next http.RoundTripper) http.RoundTripper {
		return RoundTripFunc(func(req *http.Request) (*http.Response, error) {
			if Foreign(req.Context()) {
				return next.RoundTrip(req)
			}
			if f == nil {
				return nil, fail("auth", req.URL, errors.New("the function of AuthFunc is nil"))
			}
			s, err := await(req.Context(), f)
			if err != nil {
				return nil, fail("auth", req.URL, err)
			}
			if s == nil {
				return next.RoundTrip(req)
			}
			return applyStep("auth", s, next).RoundTrip(req)
		})
	}
}

// await returns what f returns, or the error of ctx where that ends first. A
// panic in f goes on in the caller.
func await[T any](ctx context.Context, f func(context.Context) (T, error)) (T, error) {
	type result struct {
		value    T
		err      error
		panicked any
	}
	done := make(chan result, 1)
	go func() {
		r := result{err: errors.New("the function ended its goroutine")}
		defer func() {
			r.panicked = recover()
			done <- r
		}()
		r.value, r.err = f(ctx)
	}()
	select {
	case r := <-done:
		if r.panicked != nil {
			panic(r.panicked)
		}
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, failure.Ended(ctx, nil)
	}
}
