package main

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"strings"

	"github.com/reqws/reqws"
)

// headerOption is --header. A name that is given twice is sent twice.
func (s *settings) headerOption() (reqws.Option, error) {
	h, err := headers(s.headers)
	return reqws.Headers(h), err
}

func (s *settings) proxyHeaderOption() (reqws.Option, error) {
	h, err := headers(s.proxyHeaders)
	return reqws.ProxyHeader(h), err
}

func headers(given []string) (http.Header, error) {
	lines, err := headerLines(given)
	if err != nil {
		return nil, err
	}
	all := http.Header{}
	for _, line := range lines {
		name, value, err := pair(line, ":", "'Name: value'")
		if err != nil {
			return nil, err
		}
		if strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r) }) {
			return nil, errors.New("what stands before the colon is no name of a header")
		}
		name = knownSpelling(all, name)
		all[name] = append(all[name], strings.TrimSpace(value))
	}
	return all, nil
}

// knownSpelling returns the name as it was written first.
func knownSpelling(h http.Header, name string) string {
	for known := range h {
		if strings.EqualFold(known, name) {
			return known
		}
	}
	return name
}

// headerLines reads the files among what was given: a header a line, empty ones apart.
func headerLines(given []string) ([]string, error) {
	var lines []string
	for _, one := range given {
		path, isFile := strings.CutPrefix(one, "@")
		if !isFile {
			lines = append(lines, one)
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, fileError(err)
		}
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimSpace(line); line != "" {
				lines = append(lines, line)
			}
		}
	}
	return lines, nil
}

func (s *settings) pathOption() (reqws.Option, error) {
	all := map[string]any{}
	for _, p := range s.paths {
		name, value, err := pair(p, "=", "NAME=VALUE")
		if err != nil {
			return reqws.Option{}, err
		}
		all[name] = value
	}
	return reqws.PathParams(all), nil
}

func (s *settings) queryOption() (reqws.Option, error) {
	var all []reqws.Option
	for _, q := range s.queries {
		name, value, err := pair(q, "=", "NAME=VALUE")
		if err != nil {
			return reqws.Option{}, err
		}
		all = append(all, reqws.Param(name, value))
	}
	return reqws.Options(all...), nil
}

func (s *settings) cookieOption() (reqws.Option, error) {
	if !s.cookies {
		return reqws.Option{}, nil
	}
	jar, err := cookiejar.New(nil)
	return reqws.CookieJar(jar), err
}

func (s *settings) dataOption() (reqws.Option, error) {
	if s.given("json-data") {
		return reqws.Option{}, errors.New("it does not go with --json-data")
	}
	return s.body("application/x-www-form-urlencoded", s.data)
}

func (s *settings) jsonDataOption() (reqws.Option, error) {
	return s.body("application/json", s.jsonData)
}

// body is that of a plain request, which it makes a POST unless --method says otherwise.
func (s *settings) body(contentType, data string) (reqws.Option, error) {
	body := []byte(data)
	if path, isFile := strings.CutPrefix(data, "@"); isFile {
		var err error
		if body, err = os.ReadFile(path); err != nil {
			return reqws.Option{}, fileError(err)
		}
	}
	o := reqws.Body(contentType, bytes.Clone(body))
	if !s.given("method") {
		o = reqws.Options(o, reqws.Method(http.MethodPost))
	}
	return o, nil
}

// plain tells from the URL whether it is no WebSocket.
func (s *settings) plain() bool {
	u := s.url
	if !strings.Contains(u, "://") && s.base != "" {
		u = s.base
	}
	scheme, _, _ := strings.Cut(u, ":")
	return strings.EqualFold(scheme, "http") || strings.EqualFold(scheme, "https")
}

// checkURL says early what is wrong with the URL, without what may be a secret in it.
func (s *settings) checkURL() error {
	for _, u := range []string{s.url, s.base} {
		if u == "" || u == s.url && s.base != "" {
			continue
		}
		parsed, err := url.Parse(u)
		if err != nil {
			continue // the library says why
		}
		switch strings.ToLower(parsed.Scheme) {
		case "ws", "wss", "http", "https":
		default:
			return usagef("the URL has to begin with ws://, wss://, http:// or https://")
		}
	}
	if s.plain() {
		return nil
	}
	for _, name := range []string{"method", "data", "json-data"} {
		if s.given(name) {
			return usagef("--%s: it is for http and https URLs", name)
		}
	}
	return nil
}
