package main

import (
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// flags is the command line.
type flags struct {
	url string
	set func(name string) bool // the flag was given

	// Request
	headers, subprotocols, path, query []string
	base, method, data, jsonData       string
	cookies                            bool

	// Credentials
	user, bearer, netrcFile, secretSubprotocol string
	netrc                                      bool

	// AWS
	aws, awsProfile string
	presign         time.Duration
	tokenAfter      bool

	// Connection
	proxy, cacert, cert, key, hostname, unixSocket string
	proxyHeaders, resolve                          []string
	noProxy, insecure, http1, http2, compress      bool
	noRedirect, redirectTrusted                    bool
	maxRedirects                                   int
	connectTimeout                                 time.Duration
	maxMessage                                     int64

	// Retry and life
	retry, reconnect           int
	retryDelay                 time.Duration
	heartbeat                  string
	writeTimeout, closeTimeout time.Duration

	// Input
	onOpen         []string
	binary, silent bool
	one, noStdin   bool
	count          int
	wait           time.Duration

	// Output
	hex, json, compact, timestamps, verbose, replayFast bool
	record, replay                                      string
}

// register makes the flags, in the groups of the help.
func (f *flags) register() []group {
	return []group{
		{"Request", f.requestFlags()}, {"Credentials", f.credentialFlags()}, {"AWS", f.awsFlags()},
		{"Connection", f.connectionFlags()}, {"Retries, and the life of the connection", f.lifeFlags()},
		{"Input", f.inputFlags()}, {"Output", f.outputFlags()},
	}
}

func flagSet(fill func(s *pflag.FlagSet)) *pflag.FlagSet {
	s := pflag.NewFlagSet("", pflag.ContinueOnError)
	s.SortFlags = false
	fill(s)
	return s
}

func (f *flags) requestFlags() *pflag.FlagSet {
	return flagSet(func(s *pflag.FlagSet) {
		s.StringArrayVarP(&f.headers, "header", "H", nil, "a header, as `'Name: value'`; may be repeated")
		s.StringArrayVarP(&f.subprotocols, "subprotocol", "s", nil, "offer a subprotocol by `name`; may be repeated")
		s.StringArrayVarP(&f.path, "path", "p", nil, "a path parameter, `name=value` for :name in the URL")
		s.StringArrayVarP(&f.query, "query", "q", nil, "a parameter of the query, `name=value`")
		s.StringVar(&f.base, "base", "", "what a `URL` that is relative is relative to")
		s.BoolVar(&f.cookies, "cookies", false, "keep cookies over redirects, retries and reconnects")
		s.StringVarP(&f.method, "method", "X", "", "the `method`, for http and https")
		s.StringVarP(&f.data, "data", "d", "", "the `body`, or @FILE, for http and https; the method is POST then")
		s.StringVar(&f.jsonData, "json-data", "", "likewise a `body`, as application/json")
	})
}

func (f *flags) credentialFlags() *pflag.FlagSet {
	return flagSet(func(s *pflag.FlagSet) {
		s.StringVarP(&f.user, "user", "u", "", "basic credentials, `USER:PASSWORD`; without a password it is asked for")
		s.StringVar(&f.bearer, "bearer", "", "a bearer `token`")
		s.BoolVar(&f.netrc, "netrc", false, "credentials of $NETRC, or ~/.netrc")
		s.StringVar(&f.netrcFile, "netrc-file", "", "credentials of this netrc `file`")
		s.StringVar(&f.secretSubprotocol, "secret-subprotocol", "", "offer a subprotocol that is a `credential`")
	})
}

func (f *flags) awsFlags() *pflag.FlagSet {
	return flagSet(func(s *pflag.FlagSet) {
		s.StringVar(&f.aws, "aws-sigv4", "", "sign for `SERVICE[:REGION]`, with what the AWS SDK finds: environment, profile, role")
		s.StringVar(&f.awsProfile, "aws-profile", "", "the `profile` of the AWS configuration")
		s.DurationVar(&f.presign, "presign", 0, "sign the query in place of headers, valid for this `duration`")
		s.BoolVar(&f.tokenAfter, "token-after-signing", false, "leave the session token unsigned, as AWS IoT asks")
	})
}

func (f *flags) connectionFlags() *pflag.FlagSet {
	return flagSet(func(s *pflag.FlagSet) {
		s.StringVar(&f.proxy, "proxy", "", "an http, https, socks5 or socks5h proxy's `URL`, with credentials")
		s.StringArrayVar(&f.proxyHeaders, "proxy-header", nil, "a header for the proxy, as `'Name: value'`")
		s.BoolVar(&f.noProxy, "no-proxy", false, "no proxy, whatever the environment says")
		s.StringVar(&f.cacert, "cacert", "", "trust the certificates in this PEM `file` alone")
		s.StringVar(&f.cert, "cert", "", "the client's certificate, a PEM `file`")
		s.StringVar(&f.key, "key", "", "its key, a PEM `file`; by default in that of --cert")
		s.BoolVarP(&f.insecure, "insecure", "k", false, "do not check the server's certificate")
		s.BoolVar(&f.http1, "http1", false, "HTTP/1.1 only")
		s.BoolVar(&f.http2, "http2", false, "HTTP/2 only (RFC 8441)")
		s.BoolVar(&f.compress, "compress", false, "offer permessage-deflate")
		s.StringVar(&f.hostname, "hostname", "", "the `name` for the Host header and TLS, in place of the URL's")
		s.StringArrayVar(&f.resolve, "resolve", nil, "connect to another address: `HOST:PORT:ADDRESS`, ADDRESS with or without a port")
		s.StringVar(&f.unixSocket, "unix-socket", "", "connect to this socket, by its `path`")
		s.DurationVar(&f.connectTimeout, "connect-timeout", 30*time.Second, "the `duration` that an attempt may take; 0 is no limit")
		s.BoolVar(&f.noRedirect, "no-redirect", false, "follow no redirects")
		s.IntVar(&f.maxRedirects, "max-redirects", 10, "the most `redirects` that are followed")
		s.BoolVar(&f.redirectTrusted, "redirect-trusted", false, "keep credentials on redirects to other origins")
		s.Int64Var(&f.maxMessage, "max-message-size", 16<<20, "the most `bytes` of a message; -1 is no limit")
	})
}

func (f *flags) lifeFlags() *pflag.FlagSet {
	return flagSet(func(s *pflag.FlagSet) {
		s.IntVar(&f.retry, "retry", 0, "try again this `number` of times where that may help; -1 is no limit")
		s.DurationVar(&f.retryDelay, "retry-delay", 0, "the `duration` between tries; by default 1s, 2s, 4s and so on")
		s.IntVar(&f.reconnect, "reconnect", 0, "open a lost connection again, with this `number` of attempts in a row")
		s.Lookup("reconnect").NoOptDefVal = "-1"
		s.StringVar(&f.heartbeat, "heartbeat", "20s,20s", "ping after so much silence, give up after so much more: `INTERVAL[,TIMEOUT]`, 0 for none")
		s.DurationVar(&f.writeTimeout, "write-timeout", 30*time.Second, "the `duration` for which the server may take nothing")
		s.DurationVar(&f.closeTimeout, "close-timeout", 5*time.Second, "the `duration` that the end may take")
	})
}

func (f *flags) inputFlags() *pflag.FlagSet {
	return flagSet(func(s *pflag.FlagSet) {
		s.StringArrayVar(&f.onOpen, "on-open", nil, "send this `text` on each open; may be repeated")
		s.BoolVar(&f.binary, "binary", false, "send lines as binary messages; with --hex they are typed as hex")
		s.BoolVar(&f.noStdin, "no-stdin", false, "send nothing, and run until the server closes")
		s.DurationVar(&f.wait, "wait", time.Second, "after the end of a piped input, run until nothing has come for this `duration`; -1s: until the server closes")
		s.BoolVarP(&f.one, "one", "1", false, "end after one message")
		s.IntVarP(&f.count, "count", "n", 0, "end after this `number` of messages")
	})
}

func (f *flags) outputFlags() *pflag.FlagSet {
	return flagSet(func(s *pflag.FlagSet) {
		s.BoolVar(&f.hex, "hex", false, "print binary messages as hex")
		s.BoolVar(&f.json, "json", false, "print JSON indented")
		s.BoolVarP(&f.compact, "compact", "c", false, "print JSON compact, a message a line")
		s.BoolVar(&f.timestamps, "timestamps", false, "print when each message came")
		s.BoolVarP(&f.verbose, "verbose", "v", false, "print the handshake, all frames, and the time of each phase, to stderr; credentials are hidden")
		s.BoolVar(&f.silent, "silent", false, "no summary at the end")
		s.StringVar(&f.record, "record", "", "write all messages with their times to this `file`")
		s.StringVar(&f.replay, "replay", "", "be the server of a recording: serve this `file` on loopback")
		s.BoolVar(&f.replayFast, "replay-fast", false, "replay without the waits")
	})
}

// check looks for flags that do not go together.
func (f *flags) check() error {
	switch {
	case f.replay != "" && f.url != "":
		return usagef("--replay takes no URL: it is a server, and prints its own")
	case f.url == "" && f.replay == "" && f.base == "":
		return usagef("the URL is missing")
	case f.http1 && f.http2:
		return usagef("--http1 and --http2 exclude each other")
	case f.one && f.set("count"):
		return usagef("-1 and -n exclude each other")
	case f.set("count") && f.count < 1:
		return usagef("-n %d: at least 1", f.count)
	case f.key != "" && f.cert == "":
		return usagef("--key needs --cert")
	case f.noProxy && f.proxy != "":
		return usagef("--proxy and --no-proxy exclude each other")
	case f.data != "" && f.jsonData != "":
		return usagef("--data and --json-data exclude each other")
	case f.aws == "" && (f.presign != 0 || f.tokenAfter || f.awsProfile != ""):
		return usagef("--presign, --token-after-signing and --aws-profile need --aws-sigv4")
	}
	if f.one {
		f.count = 1
	}
	return nil
}

// beats is the value of --heartbeat.
func (f *flags) beats() (interval, timeout time.Duration, err error) {
	first, second, both := strings.Cut(f.heartbeat, ",")
	if interval, err = parseDuration(first); err != nil {
		return 0, 0, usagef("--heartbeat %s: %v", f.heartbeat, err)
	}
	timeout = 20 * time.Second
	if both {
		if timeout, err = parseDuration(second); err != nil {
			return 0, 0, usagef("--heartbeat %s: %v", f.heartbeat, err)
		}
	}
	return interval, timeout, nil
}

// parseDuration also takes a number of seconds.
func parseDuration(s string) (time.Duration, error) {
	if n, err := strconv.Atoi(s); err == nil {
		return time.Duration(n) * time.Second, nil
	}
	return time.ParseDuration(s)
}
