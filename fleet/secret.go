package fleet

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"

	"github.com/reqws/reqws"
)

// References to secrets in the strings of a spec.

const (
	secretOpens  = "${secret:"
	secretCloses = "}"
)

// SecretFunc returns the secret of a name. It is called whenever a connection is made, by several
// goroutines at once, and ctx bounds it.
type SecretFunc func(ctx context.Context, name string) (string, error)

// references lists the secrets that s refers to.
func references(s string) (names []string, err error) {
	_, err = replace(s, func(name string) (string, error) {
		names = append(names, name)
		return "", nil
	})
	return names, err
}

// replace puts what secret returns in the place of each reference.
func replace(s string, secret func(name string) (string, error)) (string, error) {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(s, secretOpens)
		b.WriteString(before)
		if !found {
			return b.String(), nil
		}
		name, after, closed := strings.Cut(rest, secretCloses)
		if !closed || name == "" {
			return "", errors.New("a reference to a secret has no name or no end")
		}
		value, err := secret(name)
		if err != nil {
			return "", err
		}
		b.WriteString(value)
		s = after
	}
}

// secrets resolves references, and knows afterwards what must not be shown.
type secrets struct {
	resolve SecretFunc
	shown   func(secret string) // is told of each
}

// in returns s with its secrets.
func (x secrets) in(ctx context.Context, s string) (string, error) {
	return replace(s, func(name string) (string, error) {
		if x.resolve == nil {
			return "", fmt.Errorf("the secret %q is referred to, and WorkerConfig.Secret is not set", name)
		}
		value, err := x.resolve(ctx, name)
		if err != nil {
			return "", fmt.Errorf("the secret %q: %w", name, err)
		}
		x.shown(value)
		return value, nil
	})
}

// all returns values with their secrets.
func (x secrets) all(ctx context.Context, values map[string]any) (map[string]any, error) {
	resolved := make(map[string]any, len(values))
	for name, v := range values {
		if s, ok := v.(string); ok {
			with, err := x.in(ctx, s)
			if err != nil {
				return nil, err
			}
			v = with
		}
		resolved[name] = v
	}
	return resolved, nil
}

// divide parts values into those that are to be shown and those that hold a secret, all strings.
func divide(values map[string]any) (plain, secret map[string]any) {
	plain, secret = map[string]any{}, map[string]any{}
	for name, v := range values {
		if s, ok := v.(string); ok && strings.Contains(s, secretOpens) {
			secret[name] = v
		} else {
			plain[name] = v
		}
	}
	return plain, secret
}

// auth returns the step that puts the secrets of headers and of the query into each request: they are
// asked for afresh on each attempt, and a redirect to another origin does not get them.
func (x secrets) auth(headers, params map[string]any) reqws.Step {
	return reqws.AuthFunc(func(ctx context.Context) (reqws.Step, error) {
		h, err := x.all(ctx, headers)
		if err != nil {
			return nil, err
		}
		p, err := x.all(ctx, params)
		if err != nil {
			return nil, err
		}
		header, query := http.Header{}, url.Values{}
		for name, v := range h {
			header.Set(name, v.(string))
		}
		for name, v := range p {
			query.Set(name, v.(string))
		}
		return withCredentials(header, query), nil
	})
}

// withCredentials is the step that adds a header and a query.
func withCredentials(header http.Header, query url.Values) reqws.Step {
	return func(next http.RoundTripper) http.RoundTripper {
		return reqws.RoundTripFunc(func(req *http.Request) (*http.Response, error) {
			req = req.Clone(req.Context())
			maps.Copy(req.Header, header)
			if q := query.Encode(); q != "" {
				if req.URL.RawQuery != "" {
					q = req.URL.RawQuery + "&" + q
				}
				req.URL.RawQuery = q
			}
			return next.RoundTrip(req)
		})
	}
}
