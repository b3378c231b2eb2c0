package reqws

import (
	"net/http"
	"net/url"
	"strings"
)

// CookieJar sets where cookies are kept: one of net/http/cookiejar, say, which may be
// shared with an http.Client. It is asked on each attempt and each redirect, with
// http for ws and https for wss in the URL, and given the Set-Cookie of every answer,
// that of an opened WebSocket and of a refusal included. It alone decides what goes to
// which origin, on redirects too. Its cookies are sent behind those of a Cookie header
// of yours. It is called by the goroutine that connects, and by several at once where
// Requests are executed at once. nil takes it back.
func CookieJar(jar http.CookieJar) Option {
	return checked("CookieJar", jar, noNilPointer, func(c *config, jar http.CookieJar) { c.jar = jar })
}

// cookies is the step for [CookieJar].
func cookies(jar http.CookieJar, next http.RoundTripper) http.RoundTripper {
	if jar == nil {
		return next
	}
	return RoundTripFunc(func(req *http.Request) (*http.Response, error) {
		u := httpURL(req.URL)
		if found := jar.Cookies(u); len(found) > 0 {
			req = req.Clone(req.Context())
			addCookies(req, found)
		}
		resp, err := next.RoundTrip(req)
		if err != nil {
			return nil, err
		}
		if set := resp.Cookies(); len(set) > 0 {
			jar.SetCookies(u, set)
		}
		return resp, nil
	})
}

// addCookies puts cookies behind the user's own, in the one field that RFC 6265,
// section 5.4, allows.
func addCookies(req *http.Request, found []*http.Cookie) {
	if own := req.Header["Cookie"]; len(own) > 1 {
		req.Header.Set("Cookie", strings.Join(own, "; "))
	}
	for _, cookie := range found {
		req.AddCookie(cookie)
	}
}

// httpURL is u as cookie jars know it: with http for ws and https for wss.
func httpURL(u *url.URL) *url.URL {
	c := cloneURL(u)
	c.Scheme = asHTTP(c.Scheme)
	return c
}
