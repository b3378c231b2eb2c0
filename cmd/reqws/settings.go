package main

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/reqws/reqws"
)

// settings is what the command line says.
type settings struct {
	url string

	headers, subprotocols, paths, queries []string
	curly, cookies                        bool
	base, method, data, jsonData          string

	user, bearer, netrcFile, secretSubprotocol string
	netrc                                      bool

	aws, awsProfile string
	presign         time.Duration
	tokenAfter      bool

	proxy                          string
	noProxy                        bool
	proxyHeaders                   []string
	cacert, cert, key              string
	insecure, http1, http2         bool
	compress                       bool
	hostname, unixSocket           string
	connectTimeout                 time.Duration
	resolve                        []string
	maxRedirects                   int
	noRedirect, redirectTrusted    bool
	maxMessageSize                 int64
	retry, reconnect               int
	retryDelay, minUptime          time.Duration
	retryUnsafe, noAutoPong        bool
	heartbeat, heartbeatText       string
	writeTimeout, closeTimeout     time.Duration
	onOpen                         []string
	binary, hex, one, noStdin      bool
	count                          int
	wait                           time.Duration
	json, compact, timestamps      bool
	verbose, silent                bool
	output, record, replay, listen string
	replayFast                     bool

	given func(flag string) bool
	creds credentials
}

// row is one flag: what it is called, what it sets, and which option of the library it becomes.
type row struct {
	group, name, short string
	arg                string // what stands for its value in the help; "" for a switch
	text               string
	value              any    // where the value goes
	option             option // nil where it is none of the library's, or part of another's
	implied            string // its value where it is given without one
}

// option makes the option of a flag that was given.
type option func() (reqws.Option, error)

// bind adds the flag to the command.
func (r row) bind(fs *pflag.FlagSet) {
	switch v := r.value.(type) {
	case *bool:
		fs.BoolVarP(v, r.name, r.short, false, r.text)
	case *string:
		fs.StringVarP(v, r.name, r.short, "", r.text)
	case *[]string:
		fs.StringArrayVarP(v, r.name, r.short, nil, r.text)
	case *int:
		fs.IntVarP(v, r.name, r.short, 0, r.text)
	case *int64:
		fs.Int64VarP(v, r.name, r.short, 0, r.text)
	case *time.Duration:
		if r.name == "wait" {
			fs.VarP((*waitValue)(v), r.name, r.short, r.text)
			break
		}
		fs.DurationVarP(v, r.name, r.short, 0, r.text)
	}
	fs.Lookup(r.name).NoOptDefVal = r.noOptDefVal()
}

func (r row) noOptDefVal() string {
	if r.isBool() {
		return "true"
	}
	return r.implied
}

func (r row) isBool() bool {
	_, ok := r.value.(*bool)
	return ok
}

// waitValue is a duration, or -1 for no end.
type waitValue time.Duration

func (w *waitValue) String() string { return time.Duration(*w).String() }
func (w *waitValue) Type() string   { return "wait" }
func (w *waitValue) Set(s string) error {
	if s == "-1" {
		*w = -1
		return nil
	}
	d, err := time.ParseDuration(s)
	if err == nil && d < 0 {
		err = errors.New("negative")
	}
	*w = waitValue(d)
	return err
}

// options makes the options of all flags that were given, and checks each by itself, so that
// what is wrong is told by the name of the flag.
func (s *settings) options(table []row) (reqws.Option, error) {
	all := []reqws.Option{s.unasked()}
	for _, r := range table {
		if r.option == nil || !s.given(r.name) {
			continue
		}
		o, err := r.option()
		if err == nil {
			err = check(o)
		}
		if err != nil {
			return reqws.Option{}, flagFailure(r.name, err)
		}
		all = append(all, o)
	}
	return reqws.Options(all...), nil
}

// unasked is what the tool does unless a flag says otherwise: it tries once, since somebody
// sits before it, and reads ahead of a slow output.
func (s *settings) unasked() reqws.Option {
	return reqws.Options(reqws.Retry(reqws.Never), reqws.ReadAhead(readAhead))
}

// readAhead is how much is read while the output is slow; see [reqws.ReadAhead].
const readAhead = 4 << 20

// flagFailure names the flag in front of why it cannot be used.
func flagFailure(name string, err error) error {
	switch {
	case errors.Is(err, errInterrupted):
		return err
	case as[*otherError](err):
		return &otherError{prefixed("--"+name+": ", err)}
	case as[*credentialsError](err):
		return &credentialsError{prefixed("--"+name+": ", err)}
	}
	return usagef("--%s: %s", name, strings.TrimPrefix(err.Error(), "reqws: "))
}

// check asks the library whether an option is one that it takes. Options are looked at before
// the first step, so that nothing is sent.
func check(o reqws.Option) error {
	checked := errors.New("checked")
	stop := func(http.RoundTripper) http.RoundTripper {
		return reqws.RoundTripFunc(func(*http.Request) (*http.Response, error) { return nil, checked })
	}
	_, err := reqws.New(reqws.URL("ws://localhost/"), o, reqws.UseOuter(stop)).Do(context.Background())
	if errors.Is(err, checked) {
		return nil
	}
	return err
}

// pair cuts a "name=value" or "name: value" in two. What is wrong is told without the text: it
// may be a secret.
func pair(s, separator, form string) (name, value string, err error) {
	name, value, ok := strings.Cut(s, separator)
	name = strings.TrimSpace(name)
	if !ok || name == "" {
		return "", "", errors.New("it takes " + form)
	}
	return name, value, nil
}

// durations reads one duration, or two with a comma between them; one counts for both.
func durations(s string) (first, second time.Duration, err error) {
	a, b, two := strings.Cut(s, ",")
	if !two {
		b = a
	}
	if first, err = duration(a); err != nil {
		return 0, 0, err
	}
	second, err = duration(b)
	return first, second, err
}

func duration(s string) (time.Duration, error) {
	s = strings.TrimSpace(s)
	if n, err := strconv.Atoi(s); err == nil && n == 0 {
		return 0, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, errors.New("it takes durations, such as 20s or 20s,5s")
	}
	return d, nil
}

type prefixedError struct {
	prefix string
	err    error
}

func prefixed(prefix string, err error) error { return &prefixedError{prefix, err} }
func (e *prefixedError) Error() string {
	return e.prefix + strings.TrimPrefix(e.err.Error(), "reqws: ")
}
func (e *prefixedError) Unwrap() error { return e.err }
