package reqws

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/reqws/reqws/internal/failure"
	"github.com/reqws/reqws/internal/host"
)

// redirectConfig is what the options of the group redirect come to.
type redirectConfig struct {
	off     bool
	trusted bool
	most    int
	level   slog.Level
}

// Redirect says whether redirects are followed; the default is true.
func Redirect(follow bool) Option {
	return option("Redirect", func(c *config) { c.redirect.off = !follow })
}

// RedirectTrusted says whether credentials go along to another origin (scheme,
// host, port; ws counts as http, wss as https) and whether a redirect may lead from
// wss to ws, or from https to http. The default is false: then [Auth], userinfo of the
// URL, [AWSSigV4], the client certificates of [TLSConfig], [SecretSubprotocol] and
// most headers stay behind from the first hop to another origin on, also where a later
// one leads back. Of the headers of [Header], [Headers] and steps of [UseOuter] only
// these are sent then: Accept, Accept-Charset, Accept-Encoding, Accept-Language,
// Cache-Control, Content-Encoding, Content-Language, Content-Type, Origin, Pragma and
// User-Agent; of the subprotocols those that are plain names: at most 64 characters,
// made of words with . - _ + or / between them, each of at most 20 letters with up to
// four digits in one place, and none of them a word for a credential, such as token or
// bearer. v4.channel.k8s.io is a plain name. [CookieJar] decides by itself, and what
// steps of [Use] set is beyond reach.
//
// The Host header and [Hostname] hold for the first origin alone, trusted or not.
// Userinfo in a Location is dropped.
func RedirectTrusted(trusted bool) Option {
	return option("RedirectTrusted", func(c *config) { c.redirect.trusted = trusted })
}

// MaxRedirects sets how many redirects are followed before the execution fails
// with [ErrTooManyRedirects]; the default is 10.
func MaxRedirects(n int) Option {
	return checked("MaxRedirects", n, notNegative[int], func(c *config, n int) { c.redirect.most = n })
}

// RedirectLogLevel sets the level of the line that each redirect logs; the
// default is debug.
func RedirectLogLevel(l slog.Level) Option {
	return option("RedirectLogLevel", func(c *config) { c.redirect.level = l })
}

// hop is one request in a chain of redirects. It goes with the context of the
// request, and says to the steps behind what they may send.
type hop struct {
	n           int // 0 is the request itself; the options give its method, url, origin and user
	method      string
	url         *url.URL      // where it goes
	origin      *url.URL      // where hop 0 went
	user        *url.Userinfo // of the user's URL
	crossOrigin bool          // it goes to another origin than hop 0
	foreign     bool          // it is not to get credentials
	bodiless    bool          // a redirect has made a GET without a body of it
	sent        url.URL       // of the first one, url for its request
}

type hopKey struct{}

// hopOf returns the hop that ctx belongs to; outside an execution one that
// holds nothing.
func hopOf(ctx context.Context) *hop {
	if h, ok := ctx.Value(hopKey{}).(*hop); ok {
		return h
	}
	return &hop{}
}

// Foreign reports whether credentials must stay behind: ctx is the context of a
// request that a redirect leads to another origin, or that has been to one, without
// [RedirectTrusted]. It is for steps of [Use] that set what only the user's own
// server may see. On the way to that server it is false, and so it is for steps of
// [UseOuter], which redirects happen behind, and outside an execution.
func Foreign(ctx context.Context) bool { return hopOf(ctx).foreign }

// followRedirects is the step that follows redirects (RFC 9110, section 15.4).
// All steps behind it run again on each hop, with a request of its own, which is completed here.
func (c *config) followRedirects(next http.RoundTripper) http.RoundTripper {
	return RoundTripFunc(func(req *http.Request) (*http.Response, error) {
		h, before := hopOf(req.Context()), *req
		for {
			if err := c.complete(req); err != nil {
				return nil, err
			}
			resp, err := next.RoundTrip(req)
			if err != nil || c.redirect.off || !isRedirect(resp) {
				return resp, err
			}
			_ = resp.Body.Close()
			to, err := c.redirect.follow(h, resp)
			if err != nil {
				return nil, fail("redirect", h.url, err)
			}
			if log := c.logs.logger(); log != nil {
				log.LogAttrs(before.Context(), c.redirect.level, "reqws: redirect",
					slog.Int("status", resp.StatusCode), slog.String("from", failure.SafeURL(h.url)), slog.String("to", failure.SafeURL(to.url)))
			}
			c.watch.hooks.redirects(h, to, resp)
			req = before.Clone(context.WithValue(before.Context(), hopKey{}, to))
			req.URL, req.Method = cloneURL(to.url), to.method
			h = to
		}
	})
}

func isRedirect(resp *http.Response) bool {
	switch resp.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
		http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return resp.Header.Get("Location") != ""
	}
	return false
}

// follow returns the hop that the answer to h leads to.
func (c *redirectConfig) follow(h *hop, resp *http.Response) (*hop, error) {
	if h.n >= c.most {
		return nil, fmt.Errorf("%w: MaxRedirects is %d", ErrTooManyRedirects, c.most)
	}
	u, err := h.resolve(resp.Header.Get("Location"))
	if err != nil {
		return nil, err
	}
	if isTLS(h.url) && !isTLS(u) && !c.trusted {
		return nil, fmt.Errorf("it leads from %s to %s, to %s, which RedirectTrusted alone permits", h.url.Scheme, u.Scheme, failure.SafeURL(u))
	}
	crossOrigin := origin(u) != origin(h.origin)
	method := redirectedMethod(resp.StatusCode, h.method)
	return &hop{
		n:           h.n + 1,
		method:      method,
		url:         u,
		origin:      h.origin,
		user:        h.user,
		crossOrigin: crossOrigin,
		// Credentials that were left behind stay behind, also on the way back:
		// whoever is in between has chosen the URL. net/http and browsers do so too.
		foreign:  h.foreign || crossOrigin && !c.trusted,
		bodiless: h.bodiless || method != h.method || resp.StatusCode == http.StatusSeeOther,
	}, nil
}

// resolve reads a Location as it is meant for the hop: relative to its URL, and
// during a handshake http as ws and https as wss.
func (h *hop) resolve(location string) (*url.URL, error) {
	loc, err := parseLocation(location)
	if err != nil {
		return nil, err
	}
	u := h.url.ResolveReference(loc)
	if isWebSocket(h.origin) {
		u.Scheme = asWebSocket(u.Scheme)
	}
	if host.Ports[u.Scheme] == "" || isWebSocket(u) != isWebSocket(h.origin) {
		return nil, errors.New("the Location has a scheme that cannot be followed")
	}
	if err := normalize(u); err != nil {
		return nil, fmt.Errorf("the Location cannot be followed: %w", err)
	}
	return u, nil
}

// locationHead matches the scheme and the authority of a Location, or as much of
// them as there is.
var locationHead = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9+.-]*:)?(//[^/?#]*)?`)

// parseLocation reads a Location (RFC 9110, section 10.2.2) as browsers do: what no
// URL may hold is escaped, a % that begins no escape included. Such are all bytes
// but those of the host. Userinfo is dropped, and so is the fragment.
func parseLocation(location string) (*url.URL, error) {
	location = strings.TrimSpace(location)
	m := locationHead.FindStringSubmatch(location)
	rest, _, _ := strings.Cut(location[len(m[0]):], "#")
	path, query, hasQuery := strings.Cut(rest, "?")

	authority := m[2]
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		authority = "//" + authority[at+1:]
	}
	if authority == "//" {
		return nil, errors.New("the Location cannot be followed: it has no host")
	}
	loc, err := url.Parse(m[1] + authority)
	if err != nil {
		return nil, fmt.Errorf("the Location is no URL: %w", parseError(err))
	}
	loc.RawPath = escapeBytes(escapePercent(path), inPath)
	if loc.Path, err = url.PathUnescape(loc.RawPath); err != nil {
		return nil, fmt.Errorf("the Location is no URL: %w", parseError(err))
	}
	loc.RawQuery, loc.ForceQuery = query, hasQuery && query == ""
	return loc, nil
}

// strayPercent matches each %, with the two hexadecimal digits that make an escape
// of it where they follow.
var strayPercent = regexp.MustCompile(`%(?:[0-9A-Fa-f]{2})?`)

// escapePercent escapes each % that begins no escape.
func escapePercent(s string) string {
	return strayPercent.ReplaceAllStringFunc(s, func(m string) string {
		if m == "%" {
			return "%25"
		}
		return m
	})
}

func isTLS(u *url.URL) bool { return u.Scheme == "wss" || u.Scheme == "https" }

// origin names scheme, host and port, with ws as http and wss as https.
func origin(u *url.URL) string {
	scheme := asHTTP(u.Scheme)
	return scheme + "://" + strings.ToLower(u.Hostname()) + ":" + cmp.Or(u.Port(), host.Ports[scheme])
}

// redirectedMethod is what RFC 9110, sections 15.4.2 to 15.4.4, makes of a
// method. A handshake is a GET always.
func redirectedMethod(status int, method string) string {
	switch {
	case status == http.StatusSeeOther && method != http.MethodHead,
		(status == http.StatusMovedPermanently || status == http.StatusFound) && method == http.MethodPost:
		return http.MethodGet
	}
	return method
}
