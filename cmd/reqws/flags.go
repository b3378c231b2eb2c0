package main

import (
	"time"

	"github.com/coder/websocket"

	"github.com/reqws/reqws"
)

// table is the one list of all flags, in the order of the help.
func (s *settings) table() []row {
	var all []row
	all = append(all, s.requestFlags()...)
	all = append(all, s.credentialFlags()...)
	all = append(all, s.awsFlags()...)
	all = append(all, s.connectionFlags()...)
	all = append(all, s.lifeFlags()...)
	all = append(all, s.inputFlags()...)
	return append(all, s.outputFlags()...)
}

func (s *settings) requestFlags() []row {
	const g = "Request"
	return []row{
		{g, "header", "H", "'Name: value'", "a header of the request; with @FILE those of a file, a line each (repeat)", &s.headers, s.headerOption, ""},
		{g, "subprotocol", "s", "NAME", "offer a subprotocol, the preferred one first (repeat)", &s.subprotocols, one(func() reqws.Option { return reqws.Subprotocols(s.subprotocols...) }), ""},
		{g, "path", "p", "NAME=VALUE", "what stands for :NAME in the path of the URL (repeat)", &s.paths, s.pathOption, ""},
		{g, "curly", "", "", "names in the path are written {NAME}", &s.curly, one(func() reqws.Option { return reqws.PathParamsStyle(pick(s.curly, reqws.Curly, reqws.Colon)) }), ""},
		{g, "query", "q", "NAME=VALUE", "a parameter, appended to the query (repeat)", &s.queries, s.queryOption, ""},
		{g, "base", "", "URL", "what a relative URL is joined to", &s.base, one(func() reqws.Option { return reqws.BaseURL(s.base) }), ""},
		{g, "cookie-jar", "", "", "keep cookies in memory, for redirects and reconnects", &s.cookies, s.cookieOption, ""},
		{g, "method", "X", "METHOD", "the method of a plain http or https request", &s.method, one(func() reqws.Option { return reqws.Method(s.method) }), ""},
		{g, "data", "d", "TEXT|@FILE", "the form body of a plain request, which is a POST then", &s.data, s.dataOption, ""},
		{g, "json-data", "", "JSON|@FILE", "the JSON body of a plain request, which is a POST then", &s.jsonData, s.jsonDataOption, ""},
	}
}

func (s *settings) credentialFlags() []row {
	const g = "Credentials"
	return []row{
		{g, "user", "u", "USER[:PASSWORD]", "Basic credentials, or @FILE or env:NAME of them; without a password it is asked for", &s.user, s.userOption, ""},
		{g, "bearer", "", "SECRET", "a bearer token", &s.bearer, s.bearerOption, ""},
		{g, "netrc", "", "", "credentials from $NETRC, else ~/.netrc", &s.netrc, s.netrcOption, ""},
		{g, "netrc-file", "", "FILE", "credentials from this netrc file", &s.netrcFile, s.netrcFileOption, ""},
		{g, "secret-subprotocol", "", "SECRET", "offer a subprotocol that is a credential", &s.secretSubprotocol, s.secretSubprotocolOption, ""},
	}
}

func (s *settings) awsFlags() []row {
	const g = "AWS"
	return []row{
		{g, "aws-sigv4", "", "SERVICE[:REGION]", "sign with AWS Signature Version 4; credentials, and the region if none is given, come from the AWS SDK's default chain", &s.aws, s.awsOption, ""},
		{g, "presign", "", "DURATION", "sign the query in place of headers, valid for so long", &s.presign, s.needsAWS(), ""},
		{g, "token-after-signing", "", "", "add the session token behind the signature, as AWS IoT asks", &s.tokenAfter, s.needsAWS(), ""},
		{g, "aws-profile", "", "NAME", "the profile of the AWS configuration files", &s.awsProfile, s.needsAWS(), ""},
	}
}

func (s *settings) connectionFlags() []row {
	const g = "Connection"
	return []row{
		{g, "proxy", "", "URL", "an http, https, socks5 or socks5h proxy in place of the environment's; \"\" is none", &s.proxy, one(s.proxyOption), ""},
		{g, "no-proxy", "", "", "use no proxy, whatever the environment says", &s.noProxy, one(func() reqws.Option { return unless(!s.noProxy, reqws.Proxy(nil)) }), ""},
		{g, "proxy-header", "", "'Name: value'", "a header for the proxy; with @FILE those of a file (repeat)", &s.proxyHeaders, s.proxyHeaderOption, ""},
		{g, "cacert", "", "FILE", "trust the certificates in this PEM file alone", &s.cacert, s.tlsOption, ""},
		{g, "cert", "", "FILE", "a client certificate in PEM, with its key unless --key is given", &s.cert, s.tlsOption, ""},
		{g, "key", "", "FILE", "the key of --cert, in PEM", &s.key, s.keyOption, ""},
		{g, "insecure", "k", "", "do not verify the server's certificate", &s.insecure, s.tlsOption, ""},
		{g, "http1", "", "", "only HTTP/1.1; together with --http2 what is tried second", &s.http1, s.protocolOption, ""},
		{g, "http2", "", "", "only HTTP/2, with extended CONNECT (RFC 8441)", &s.http2, s.protocolOption, ""},
		{g, "compress", "", "", "offer permessage-deflate", &s.compress, one(func() reqws.Option {
			return unless(!s.compress, reqws.Compression(websocket.CompressionContextTakeover))
		}), ""},
		{g, "hostname", "", "NAME", "the name for SNI, certificate and Host, in place of the URL's", &s.hostname, one(func() reqws.Option { return reqws.Hostname(s.hostname) }), ""},
		{g, "resolve", "", "HOST:PORT:ADDRESS", "connect to ADDRESS for HOST:PORT; * is any host (repeat)", &s.resolve, s.resolveOption, ""},
		{g, "unix-socket", "", "PATH", "connect to this Unix socket", &s.unixSocket, s.unixOption, ""},
		{g, "connect-timeout", "", "DURATION", "the bound of each attempt to connect; 30s, 0 is none", &s.connectTimeout, one(func() reqws.Option { return reqws.ConnectTimeout(s.connectTimeout) }), ""},
		{g, "max-redirects", "", "N", "follow at most so many redirects; 10", &s.maxRedirects, one(func() reqws.Option { return reqws.MaxRedirects(s.maxRedirects) }), ""},
		{g, "no-redirect", "", "", "follow no redirects", &s.noRedirect, one(func() reqws.Option { return reqws.Redirect(!s.noRedirect) }), ""},
		{g, "redirect-trusted", "", "", "take credentials along to other origins, and from wss to ws", &s.redirectTrusted, one(func() reqws.Option { return reqws.RedirectTrusted(s.redirectTrusted) }), ""},
		{g, "max-message-size", "", "BYTES", "the largest message that may come; 16 MiB, -1 is no bound", &s.maxMessageSize, one(func() reqws.Option { return reqws.MaxMessageSize(s.maxMessageSize) }), ""},
	}
}

func (s *settings) lifeFlags() []row {
	const g = "Retry and life"
	return []row{
		{g, "retry", "", "N", "try up to N times more where that may help, after 1s, 2s, 4s…; 0, -1 is no bound", &s.retry, one(s.retryOption), ""},
		{g, "retry-delay", "", "DURATION", "wait so long before each retry", &s.retryDelay, s.retryDelayOption, ""},
		{g, "retry-unsafe", "", "", "with --retry: also methods other than GET and HEAD", &s.retryUnsafe, s.needsRetry(), ""},
		{g, "reconnect", "", "N", "open another connection for a lost one, with up to N attempts in a row; without N no bound", &s.reconnect, one(func() reqws.Option { return reqws.Reconnect(s.reconnect) }), "-1"},
		{g, "min-uptime", "", "DURATION", "with --reconnect: after so long the attempts are counted anew; 5s", &s.minUptime, one(func() reqws.Option { return reqws.MinUptime(s.minUptime) }), ""},
		{g, "heartbeat", "", "INTERVAL[,TIMEOUT]", "ping a silent server, and give it up; 20s,20s; 0 is off", &s.heartbeat, s.heartbeatOption, ""},
		{g, "heartbeat-text", "", "TEXT", "send this message in place of the ping", &s.heartbeatText, one(s.heartbeatTextOption), ""},
		{g, "no-auto-pong", "", "", "leave pings unanswered", &s.noAutoPong, one(func() reqws.Option { return reqws.AutoPong(!s.noAutoPong) }), ""},
		{g, "write-timeout", "", "DURATION", "how long the server may take no bytes at all; 30s, 0 is no bound", &s.writeTimeout, one(func() reqws.Option { return reqws.WriteTimeout(s.writeTimeout) }), ""},
		{g, "close-timeout", "", "DURATION", "how long to wait for the server's close; 5s", &s.closeTimeout, one(func() reqws.Option { return reqws.CloseTimeout(s.closeTimeout) }), ""},
	}
}

func (s *settings) inputFlags() []row {
	const g = "Input"
	return []row{
		{g, "on-open", "", "TEXT", "send a message when the connection opens, each time it does (repeat)", &s.onOpen, nil, ""},
		{g, "binary", "", "", "send lines as binary messages", &s.binary, nil, ""},
		{g, "hex", "", "", "print binary messages in hexadecimal; with --binary lines are written so, too", &s.hex, nil, ""},
		{g, "one", "1", "", "end after one message has come", &s.one, nil, ""},
		{g, "count", "n", "COUNT", "end after COUNT messages have come", &s.count, nil, ""},
		{g, "wait", "", "DURATION", "after the end of stdin, close when no message has come for so long; 1s, on a terminal 0; -1 waits for the server to close, and so do -1 and -n for their messages", &s.wait, nil, ""},
		{g, "no-stdin", "", "", "send nothing, and only print; as with /dev/null for stdin", &s.noStdin, nil, ""},
	}
}

func (s *settings) outputFlags() []row {
	const g = "Output"
	return []row{
		{g, "json", "", "", "print JSON messages over several lines", &s.json, nil, ""},
		{g, "compact", "c", "", "print JSON messages in one line each", &s.compact, nil, ""},
		{g, "timestamps", "", "", "print the time in front of each message", &s.timestamps, nil, ""},
		{g, "verbose", "v", "", "print on stderr the handshake without credentials, its time by phase, and all frames", &s.verbose, nil, ""},
		{g, "silent", "", "", "print no summary at the end, nor what is tried again; errors are printed", &s.silent, nil, ""},
		{g, "output", "o", "FILE", "print what comes into this file", &s.output, nil, ""},
		{g, "record", "", "FILE", "write all messages with their times into this file", &s.record, nil, ""},
		{g, "replay", "", "FILE", "be a server on loopback that says what was recorded, at its times, to each connection", &s.replay, nil, ""},
		{g, "replay-fast", "", "", "with --replay: at once", &s.replayFast, nil, ""},
		{g, "listen", "", "ADDRESS", "with --replay: where to listen; 127.0.0.1:0, a free port", &s.listen, nil, ""},
	}
}

// one is for options that cannot fail to be made.
func one(o func() reqws.Option) option {
	return func() (reqws.Option, error) { return o(), nil }
}

func pick[T any](yes bool, a, b T) T {
	if yes {
		return a
	}
	return b
}

// unless is for switches that are written --flag=false.
func unless(off bool, o reqws.Option) reqws.Option { return pick(off, reqws.Option{}, o) }

func (s *settings) retryOption() reqws.Option {
	return reqws.Options(
		reqws.MaxRetries(s.retry),
		reqws.Retry(pick(s.retryUnsafe, reqws.Transient, reqws.SafeTransient)),
	)
}

func (s *settings) retryDelayOption() (reqws.Option, error) {
	if !s.given("retry") {
		return reqws.Option{}, usagef("it goes with --retry")
	}
	if s.retryDelay < 0 {
		return reqws.Option{}, usagef("it is negative")
	}
	return reqws.RetryDelay(func(int) time.Duration { return s.retryDelay }), nil
}

func (s *settings) needsRetry() option {
	return func() (reqws.Option, error) {
		if !s.given("retry") {
			return reqws.Option{}, usagef("it goes with --retry")
		}
		return reqws.Option{}, nil
	}
}

func (s *settings) heartbeatOption() (reqws.Option, error) {
	interval, timeout, err := durations(s.heartbeat)
	return reqws.Heartbeat(interval, timeout), err
}

func (s *settings) heartbeatTextOption() reqws.Option {
	return reqws.HeartbeatFrame(func() reqws.Frame { return reqws.Text(s.heartbeatText) })
}
