package dial

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpproxy"
)

// proxyFromEnvironment chooses as HTTP_PROXY, HTTPS_PROXY and NO_PROXY (or their
// lower-case forms) said when it was called. Package httpproxy goes without a proxy
// where it cannot read a variable, so it only decides whether one applies.
func proxyFromEnvironment() func(*http.Request) (*url.URL, error) {
	env := httpproxy.FromEnvironment()
	if env.HTTPProxy == "" && env.HTTPSProxy == "" {
		return func(*http.Request) (*url.URL, error) { return nil, nil }
	}
	env.NoProxy = withoutRootDots(env.NoProxy)
	proxies := map[string]func() (*url.URL, error){
		"http":  proxyVariable(&env.HTTPProxy, "http_proxy", "HTTP_PROXY"),
		"https": proxyVariable(&env.HTTPSProxy, "https_proxy", "HTTPS_PROXY"),
	}
	choose := env.ProxyFunc()
	return func(req *http.Request) (*url.URL, error) {
		u := *req.URL
		u.Host = withoutRootDots(u.Host)
		via, err := choose(&u)
		if via == nil || err != nil {
			return nil, err
		}
		return proxies[u.Scheme]()
	}
}

// proxyVariable reads value, which came from the first of names that is set, and
// puts what can be read in its place. No error shows the value.
func proxyVariable(value *string, names ...string) func() (*url.URL, error) {
	u, err := ParseProxy(*value)
	if err != nil {
		name := names[slices.IndexFunc(names, func(n string) bool { return os.Getenv(n) != "" || n == names[len(names)-1] })]
		err = fmt.Errorf("the variable %s: %w", name, err)
	}
	if *value != "" {
		*value = "http://proxy"
	}
	return func() (*url.URL, error) { return u, err }
}

// withoutRootDots takes the dots off that end the names of a list, or of a host
// with a port: example.com. is example.com (RFC 1034, section 3.1).
func withoutRootDots(names string) string {
	list := strings.Split(names, ",")
	for i, name := range list {
		list[i] = strings.TrimSuffix(strings.Replace(strings.TrimSpace(name), ".:", ":", 1), ".")
	}
	return strings.Join(list, ",")
}

// ParseProxy reads the value of the option ProxyURL. Like the environment's it
// may be host:port alone, which is an http proxy. No error shows the value, since
// it may hold credentials.
func ParseProxy(s string) (*url.URL, error) {
	if !strings.Contains(s, "://") {
		s = "http://" + s
	}
	u, err := url.Parse(s)
	if err != nil {
		return nil, errors.New("the value is no valid URL (not shown, since it may hold a password)")
	}
	return u, checkProxy(u)
}

// checkProxy says why u cannot be the URL of a proxy. It quotes nothing: where a
// password has a # or a slash in it, any part may be a piece of that.
func checkProxy(u *url.URL) error {
	if !slices.Contains([]string{"http", "https", "socks5", "socks5h"}, u.Scheme) {
		return errors.New("its scheme is not one of http, https, socks5 and socks5h")
	}
	if u.Hostname() == "" {
		return errors.New("the proxy's URL has no host")
	}
	if u.Fragment != "" || u.RawQuery != "" || u.ForceQuery || strings.Contains(u.Path, "@") {
		return errors.New("the proxy's URL goes on behind host and port (a #, ? or / in a password is written %23, %3F, %2F)")
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return errors.New("the proxy's URL has a port that is not one of 1 to 65535")
		}
	}
	if isSOCKS(u) && u.User != nil {
		password, _ := u.User.Password()
		if n := len(u.User.Username()); n == 0 || n > 255 || len(password) > 255 {
			return errors.New("SOCKS5 takes a user name of 1 to 255 bytes and a password of at most 255") // RFC 1929, section 2
		}
	}
	return nil
}

func isSOCKS(u *url.URL) bool { return strings.HasPrefix(u.Scheme, "socks5") }
