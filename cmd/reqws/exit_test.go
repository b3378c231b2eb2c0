package main

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/reqws/reqws/reqwstest"
)

// The exit code says what kind of failure it was, and stderr which one.
func TestExitCodes(t *testing.T) {
	refused := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte("no entry here"))
	}))
	t.Cleanup(refused.Close)
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	server := func(steps ...reqwstest.Step) func(t *testing.T) string {
		return func(t *testing.T) string {
			return reqwstest.New(t, reqwstest.Script(append([]reqwstest.Step{reqwstest.Accept()}, steps...)...)).URL
		}
	}
	at := func(url string) func(*testing.T) string { return func(*testing.T) string { return url } }
	for _, c := range []struct {
		name string
		url  func(t *testing.T) string
		args []string
		code int
		says string
	}{
		{"1000", server(reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, "")), nil, exitOK, ""},
		{"no code", server(reqwstest.SendClose(0, ""), reqwstest.ExpectClose(0, "")), nil, exitOK, ""},
		{"no such name", at("ws://nowhere.invalid/"), nil, exitLookup, "nowhere.invalid"},
		{"nobody listens", at("ws://" + closed.Addr().String()), nil, exitConnect, "refused"},
		{"nobody answers", at("ws://" + silent.Addr().String()), []string{"--connect-timeout", "50ms"}, exitConnect, "timeout"},
		{"no TLS there", at("wss" + strings.TrimPrefix(refused.URL, "http")), nil, exitTLS, "tls"},
		{"the proxy is away", at("ws://example.test/"), []string{"--proxy", "http://" + closed.Addr().String()}, exitProxy, "proxy"},
		{"403", at("ws" + strings.TrimPrefix(refused.URL, "http")), nil, exitRefused, "no entry here"},
		{"http 403", at(refused.URL), nil, exitRefused, "403"},
		{"1011", server(reqwstest.SendClose(1011, "oh"), reqwstest.ExpectClose(1011, "")), nil, exitLost, "oh"},
		{"the connection ends", server(reqwstest.Do(func(c *reqwstest.Conn) error { return c.Close() })), nil, exitLost, ""},
		{"a bad frame", server(reqwstest.Send(reqwstest.Frame{Fin: true, Op: 3}), reqwstest.ExpectCloseCode(1002)), nil, exitProtocol, "opcode"},
		{"too big", server(reqwstest.SendText("12345"), reqwstest.ExpectCloseCode(1009)), []string{"--max-message-size", "4"}, exitProtocol, "limit"},
		{"no netrc", at("ws://example.test/"), []string{"--netrc-file", "/none"}, exitCredentials, "/none"},
		{"no such variable", at("ws://example.test/"), []string{"--bearer", "env:NONE"}, exitCredentials, "NONE"},
		{"no such file", at("ws://example.test/"), []string{"-u", "@/none"}, exitCredentials, "/none"},
		{"no terminal for the password", at("ws://example.test/"), []string{"-u", "me"}, exitCredentials, "password"},
		{"no AWS credentials", at("ws://example.test/"), []string{"--aws-sigv4", "execute-api:x"}, exitCredentials, "AWS"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := runs(t, "", append(c.args, "--no-stdin", c.url(t))...)
			if r.code != c.code || !strings.Contains(r.err, c.says) {
				t.Errorf("exit code %d, not %d; it says %q, not %q", r.code, c.code, r.err, c.says)
			}
		})
	}
}

// Retries and reconnects are told of, and help.
func TestRetryAndReconnect(t *testing.T) {
	is := is.New(t)
	srv := reqwstest.New(t,
		reqwstest.Script(reqwstest.Refuse(503, nil, "")),
		reqwstest.Script(reqwstest.Accept(), reqwstest.ExpectText("hi"), reqwstest.SendText("one"), reqwstest.SendClose(1012, ""), reqwstest.ExpectClose(1012, "")),
		reqwstest.Script(reqwstest.Accept(), reqwstest.ExpectText("hi"), reqwstest.SendText("two"), reqwstest.ExpectClose(1000, ""), reqwstest.SendClose(1000, "")))
	r := runs(t, "", "--no-stdin", "--retry", "1", "--retry-delay", "1ms", "--reconnect", "--on-open", "hi", "-n", "2", srv.URL)
	is.Equal(r.out, "one\ntwo\n")
	is.Equal(r.code, 0)
	is.True(strings.Contains(r.err, "503"))
	is.True(strings.Contains(r.err, "lost"))
}

// Plain HTTP goes the same way.
func TestPlain(t *testing.T) {
	is := is.New(t)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := make([]byte, 100)
		n, _ := r.Body.Read(body)
		_, _ = w.Write([]byte(r.Method + " " + r.Header.Get("Content-Type") + " " + string(body[:n])))
	}))
	t.Cleanup(srv.Close)
	is.Equal(runs(t, "", srv.URL), result{"GET  ", "", 0})
	is.Equal(runs(t, "", "--json-data", `{"a":1}`, srv.URL), result{`POST application/json {"a":1}`, "", 0})
	is.Equal(runs(t, "", "-X", "PUT", "-d", "@"+file(t, "body", "a=1"), srv.URL), result{"PUT application/x-www-form-urlencoded a=1", "", 0})
}

// -v shows the handshake, the frames and the phases, and no credential.
func TestVerbose(t *testing.T) {
	is := is.New(t)
	srv := reqwstest.New(t, reqwstest.Script(
		reqwstest.Accept(reqwstest.WithHeader("Set-Cookie", "sid=hush")), reqwstest.ExpectText("hello"), reqwstest.SendPing("p"), reqwstest.ExpectPong("p"), reqwstest.SendText("world"),
		reqwstest.ExpectClose(1000, ""), reqwstest.SendClose(1000, "")))
	r := runs(t, "hello\n", "-v", "-1", "--bearer", "hush", "-q", "token=hush", "-H", "X-Api-Key: hush", srv.URL)
	is.Equal(r.code, 0)
	is.Equal(r.out, "world\n")
	for _, want := range []string{"> GET /", "> User-Agent: reqws", "> Authorization: REDACTED", "< HTTP/1.1 101", "< Set-Cookie: sid=…", "* open: HTTP/1.1", "handshake", "<< ping 1 p", ">> pong 1 p", ">> text 5 hello", "<< text 5 world", ">> close", "1 in (5 bytes), 1 out (5 bytes)"} {
		if !strings.Contains(r.err, want) {
			t.Errorf("it does not say %q: %s", want, r.err)
		}
	}
	is.True(!strings.Contains(r.err, "hush"))
}
