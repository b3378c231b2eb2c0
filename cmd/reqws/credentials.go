package main

import (
	"errors"
	"net/http"
	"os"
	"strings"

	"github.com/reqws/reqws"
)

// credentials notes why there were none, which an error of the library's does not tell from
// others.
type credentials struct{ failed error }

// auth is the option of a step that adds credentials.
func (s *settings) auth(step reqws.Step) reqws.Option {
	return reqws.Auth(func(next http.RoundTripper) http.RoundTripper {
		return reqws.RoundTripFunc(func(req *http.Request) (*http.Response, error) {
			passed := false
			inner := step(reqws.RoundTripFunc(func(req *http.Request) (*http.Response, error) {
				passed = true
				return next.RoundTrip(req)
			}))
			resp, err := inner.RoundTrip(req)
			if err != nil && !passed && req.Context().Err() == nil {
				s.creds.failed = err
			}
			return resp, err
		})
	})
}

// alone says that one kind of credentials is enough.
func (s *settings) alone(others ...string) error {
	for _, other := range others {
		if s.given(other) {
			return errors.New("it does not go with --" + other)
		}
	}
	return nil
}

func (s *settings) userOption() (reqws.Option, error) {
	text, err := secret(s.user)
	if err != nil {
		return reqws.Option{}, err
	}
	user, password, ok := strings.Cut(text, ":")
	if !ok {
		if password, err = askPassword(user); err != nil {
			return reqws.Option{}, err
		}
	}
	return s.auth(reqws.Basic(user, password)), nil
}

func (s *settings) bearerOption() (reqws.Option, error) {
	if err := s.alone("user"); err != nil {
		return reqws.Option{}, err
	}
	token, err := secret(s.bearer)
	if err != nil {
		return reqws.Option{}, err
	}
	if token == "" {
		return reqws.Option{}, errors.New("the token is empty")
	}
	return s.auth(reqws.Bearer(token)), nil
}

func (s *settings) netrcOption() (reqws.Option, error) {
	if !s.netrc {
		return reqws.Option{}, nil
	}
	return s.auth(reqws.Netrc()), s.alone("user", "bearer")
}

func (s *settings) netrcFileOption() (reqws.Option, error) {
	return s.auth(reqws.NetrcFile(s.netrcFile)), s.alone("user", "bearer", "netrc")
}

func (s *settings) secretSubprotocolOption() (reqws.Option, error) {
	name, err := secret(s.secretSubprotocol)
	return reqws.SecretSubprotocol(name), err
}

// secret reads a secret from where it is: @FILE, env:NAME, or the flag itself.
func secret(given string) (string, error) {
	if path, ok := strings.CutPrefix(given, "@"); ok {
		text, err := os.ReadFile(path)
		if err != nil {
			return "", &credentialsError{fileError(err)}
		}
		return strings.TrimRight(string(text), "\r\n"), nil
	}
	if name, ok := strings.CutPrefix(given, "env:"); ok {
		text, ok := os.LookupEnv(name)
		if !ok {
			return "", &credentialsError{errors.New("there is no such variable in the environment")}
		}
		return text, nil
	}
	return given, nil
}
