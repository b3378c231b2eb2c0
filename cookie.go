package reqws

import (
	"net/http"
	"net/url"
	"strings"
)

// cookies is the step for [CookieJar].
func cookies(c *config) Step {
	return func(next http.RoundTripper) http.RoundTripper {
		if c.jar == nil {
			return next
		}
		return RoundTripFunc(func(req *http.Request) (*http.Response, error) {
			u := httpURL(req.URL)
			if found := c.jar.Cookies(u); len(found) > 0 {
				req = req.Clone(req.Context())
				addCookies(req, found)
			}
			resp, err := next.RoundTrip(req)
			if err != nil {
				return nil, err
			}
			if set := resp.Cookies(); len(set) > 0 {
				c.jar.SetCookies(u, set)
			}
			return resp, nil
		})
	}
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
