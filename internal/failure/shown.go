package failure

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Hidden stands for what is not shown.
const Hidden = "REDACTED"

// WithoutURL takes each *url.Error off err, with what is around it: it quotes a
// URL whose query may hold a secret.
func WithoutURL(err error) error {
	if !wraps(err) {
		return err
	}
	var ue *url.Error
	for errors.As(err, &ue) && ue.Err != nil {
		err = ue.Err
	}
	return err
}

// SafeURL writes u without what may be secret in it: userinfo, query, fragment, and
// port and path where they may be a password.
func SafeURL(u *url.URL) string {
	if u == nil || u.Scheme == "" && u.Host == "" && u.Path == "" {
		return "(no URL)"
	}
	if IsCutOff(u.Path, u.RawQuery) {
		host := u.Hostname()
		if host != "" && !strings.Contains(host, ".") { // it may be the password's beginning, too
			host = Hidden
		}
		return (&url.URL{Scheme: u.Scheme, Host: host, Path: "/" + Hidden}).String()
	}
	if path := u.EscapedPath(); strings.HasPrefix(path, "/") && u.Scheme != "" && isPlainHost(u.Host) {
		return u.Scheme + "://" + u.Host + path
	}
	s := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
	return s.String()
}

// isPlainHost tells a host, with or without a port, that has nothing to escape.
func isPlainHost(host string) bool {
	for _, c := range []byte(host) {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '.' || c == '-' || c == ':') {
			return false
		}
	}
	return host != ""
}

// IsCutOff reports whether what stands for host and port may be the beginning of a
// password that has a /, ? or # in it: then the @ that ends the userinfo is behind that.
func IsCutOff(path, behind string) bool {
	return strings.Contains(path, "@") || strings.Trim(path, "/") == "" && strings.Contains(behind, "@")
}

// Unquoted takes out of the text of an error of net/http what it quotes of the
// peer's answer, where it is about that.
func Unquoted(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	quotes := []string{"malformed ", "transport connection broken", "server sent GOAWAY", "invalid header field", "pseudo-header"}
	if !slices.ContainsFunc(quotes, func(q string) bool { return strings.Contains(text, q) }) {
		return err
	}
	end := len(text)
	for _, before := range []string{`"`, "header line:", "header initial line:", "encoding:", "; got", ", debug="} {
		if i := strings.Index(text, before); i >= 0 {
			end = min(end, i)
		}
	}
	return &reworded{strings.TrimSuffix(strings.TrimRight(text[:end], " :"), " for"), err}
}

// reworded is an error in other words.
type reworded struct {
	text string
	err  error
}

func (e *reworded) Error() string                 { return e.text }
func (e *reworded) Unwrap() error                 { return e.err }
func (e *reworded) Format(f fmt.State, verb rune) { Format(f, verb, e.text) }
