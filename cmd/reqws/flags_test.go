package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/reqws/reqws/reqwstest"
)

// flagTest is a flag, and what it does to what is sent.
type flagTest struct {
	flags string // those that it tests
	call
	script *reqwstest.ConnScript // greet without one
	code   int
	check  func(is *is.I, r *reqwstest.Request, got result)
}

// header is a check that a header was sent.
func header(name string, want ...string) func(*is.I, *reqwstest.Request, result) {
	return func(is *is.I, r *reqwstest.Request, _ result) {
		is.Helper()
		is.Equal(r.Header.Values(name), want)
	}
}

// prefix is a check of how a header begins.
func prefix(name, want string) func(*is.I, *reqwstest.Request, result) {
	return func(is *is.I, r *reqwstest.Request, _ result) {
		is.Helper()
		is.True(strings.HasPrefix(r.Header.Get(name), want))
	}
}

func target(want string) func(*is.I, *reqwstest.Request, result) {
	return func(is *is.I, r *reqwstest.Request, _ result) { is.Helper(); is.Equal(r.RequestURI, want) }
}

// prints is a check of stdout.
func prints(want string) func(*is.I, *reqwstest.Request, result) {
	return func(is *is.I, _ *reqwstest.Request, got result) { is.Helper(); is.Equal(got.out, want) }
}

// notes is a check that stderr has a text.
func notes(want string) func(*is.I, *reqwstest.Request, result) {
	return func(is *is.I, _ *reqwstest.Request, got result) {
		is.Helper()
		is.True(strings.Contains(got.err, want))
	}
}

func basic(userinfo string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(userinfo))
}

// args are arguments in front of URL, which is written $URL where its place or path matters.
func args(all ...string) call { return call{args: all} }

func answers(body string) *reqwstest.ConnScript {
	return reqwstest.Script(reqwstest.Respond(200, nil, body))
}

func body(method, contentType, want string) func(*is.I, *reqwstest.Request, result) {
	return func(is *is.I, r *reqwstest.Request, got result) {
		is.Helper()
		is.Equal(r.Method, method)
		is.Equal(r.Header.Get("Content-Type"), contentType)
		is.Equal(string(r.Body), want)
		is.Equal(got.out, "ok")
	}
}

// expectCloseAfter expects close frame 1000 after any number of messages text: how many heartbeats a client gets in before it
// has read of the end is a matter of the machine.
func expectCloseAfter(text string) func(*reqwstest.Conn) error {
	return func(c *reqwstest.Conn) error {
		for {
			f, err := c.ReadFrame()
			if err != nil {
				return err
			}
			if f.Op == reqwstest.OpClose && string(f.Payload) == "\x03\xe8" {
				return nil
			}
			if f.Op != reqwstest.OpText || string(f.Payload) != text {
				return fmt.Errorf("want text %q or close 1000, got %v", text, f)
			}
		}
	}
}

func flagTests(t *testing.T) []flagTest {
	file := write(t, "file", "text of a file\n")
	lines := write(t, "headers", "X-A: 1\n\nX-B: 2\n")
	netrc := write(t, "netrc", "machine 127.0.0.1 login sam password pw\n")
	two := reqwstest.Script(reqwstest.Accept(), reqwstest.SendText("one"), reqwstest.SendText("two"), reqwstest.ExpectClose(1000, ""), reqwstest.SendClose(1000, ""))
	json := reqwstest.Script(reqwstest.Accept(), reqwstest.SendText(`{"a": [1]}`), reqwstest.SendText("no json"),
		reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, ""))
	pings := reqwstest.Script(reqwstest.Accept(), reqwstest.SendPing("are you there"), reqwstest.ExpectText("x"),
		reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, ""))
	alive := reqwstest.Script(reqwstest.Accept(), reqwstest.ExpectText("alive"), reqwstest.SendClose(1000, ""),
		reqwstest.Named("nothing but more of the same, and a close frame", expectCloseAfter("alive")))
	again := reqwstest.Script(reqwstest.Refuse(503, nil, ""))
	bytes := reqwstest.Script(reqwstest.Accept(), reqwstest.ExpectBinary("\x00\xff"), reqwstest.SendBinary("\x01\xfe"),
		reqwstest.ExpectClose(1000, ""), reqwstest.SendClose(1000, ""))
	return []flagTest{
		{"header", args("-H", "X-A: 1", "--header=x-a:2"), nil, 0, header("X-A", "1", "2")},
		{"header", args("-H", "@"+lines), nil, 0, header("X-B", "2")},
		{"subprotocol", args("-s", "v1", "-s", "v2"), nil, 0, header("Sec-Websocket-Protocol", "v1,v2")},
		{"path", args("-p", "room=a/b", "$URL/rooms/:room"), nil, 0, target("/rooms/a%2Fb")},
		{"curly", args("--curly", "-p", "room=go", "$URL/rooms/{room}"), nil, 0, target("/rooms/go")},
		{"query", args("-q", "a=1", "-q", "a=2 3", "$URL/?z=0"), nil, 0, target("/?z=0&a=1&a=2+3")},
		{"base", args("--base", "$URL/v1", "feed"), nil, 0, target("/v1/feed")},
		{"method", args("-X", "PUT", "$HTTP"), answers("ok"), 0, body("PUT", "", "")},
		{"data", args("-d", "a=b", "$HTTP"), answers("ok"), 0, body("POST", "application/x-www-form-urlencoded", "a=b")},
		{"data method", args("-d", "@"+file, "-X", "PATCH", "$HTTP"), answers("ok"), 0, body("PATCH", "application/x-www-form-urlencoded", "text of a file\n")},
		{"json-data", args("--json-data", `{"a":1}`, "$HTTP"), answers("ok"), 0, body("POST", "application/json", `{"a":1}`)},
		{"user", args("-u", "sam:pw:x"), nil, 0, header("Authorization", basic("sam:pw:x"))},
		{"user", call{args: []string{"-u", "env:LOGIN"}, env: []string{"LOGIN=sam:pw"}}, nil, 0, header("Authorization", basic("sam:pw"))},
		{"bearer", args("--bearer", "abc"), nil, 0, header("Authorization", "Bearer abc")},
		{"bearer", args("--bearer", "@"+write(t, "token", "abc\n")), nil, 0, header("Authorization", "Bearer abc")},
		{"bearer", call{args: []string{"--bearer", "env:TOKEN"}, env: []string{"TOKEN=abc"}}, nil, 0, header("Authorization", "Bearer abc")},
		{"netrc", call{args: []string{"--netrc"}, env: []string{"NETRC=" + netrc}}, nil, 0, header("Authorization", basic("sam:pw"))},
		{"netrc-file", args("--netrc-file", netrc), nil, 0, header("Authorization", basic("sam:pw"))},
		{"secret-subprotocol", args("--secret-subprotocol", "env:SUB", "-v"), nil, 0, nil},
		{"aws-sigv4", args("--aws-sigv4", "execute-api:eu-central-1"), nil, 0, prefix("Authorization", "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")},
		{"aws-sigv4", call{args: []string{"--aws-sigv4", "execute-api"}, env: []string{"AWS_REGION=eu-west-3"}}, nil, 0, func(is *is.I, r *reqwstest.Request, _ result) {
			is.True(strings.Contains(r.Header.Get("Authorization"), "/eu-west-3/execute-api/aws4_request"))
			is.Equal(r.Header.Get("X-Amz-Security-Token"), "sessiontoken")
		}},
		{"presign token-after-signing", args("--aws-sigv4", "iotdevicegateway:eu-west-1", "--presign", "5m", "--token-after-signing"), nil, 0, func(is *is.I, r *reqwstest.Request, _ result) {
			q := r.URL.Query()
			is.Equal(q.Get("X-Amz-Expires"), "300")
			is.True(strings.HasSuffix(r.RequestURI, "&X-Amz-Security-Token=sessiontoken")) // behind the signature
			is.True(q.Has("X-Amz-Signature"))
		}},
		{"aws-profile", call{args: []string{"--aws-sigv4", "execute-api", "--aws-profile", "other"}, env: []string{
			"AWS_ACCESS_KEY_ID=", "AWS_SECRET_ACCESS_KEY=", "AWS_SESSION_TOKEN=",
			"AWS_CONFIG_FILE=" + write(t, "config", "[profile other]\nregion = eu-north-1\naws_access_key_id = AKIDOTHER\naws_secret_access_key = s\n"),
		}}, nil, 0, prefix("Authorization", "AWS4-HMAC-SHA256 Credential=AKIDOTHER/")},
		{"hostname", args("--hostname", "example.com"), nil, 0, func(is *is.I, r *reqwstest.Request, _ result) {
			is.True(strings.HasPrefix(r.Host, "example.com"))
		}},
		{"resolve", args("--resolve", "nowhere.invalid:$PORT:127.0.0.1", "ws://nowhere.invalid:$PORT"), nil, 0, prints("hello\n")},
		{"resolve", args("--resolve", "*:$PORT:127.0.0.1", "ws://nowhere.invalid:$PORT"), nil, 0, prints("hello\n")},
		{"compress", args("--compress"), nil, 0, func(is *is.I, r *reqwstest.Request, _ result) {
			is.True(strings.Contains(r.Header.Get("Sec-Websocket-Extensions"), "permessage-deflate"))
		}},
		{"http1", args("--http1"), nil, 0, prints("hello\n")},
		{"no-proxy", call{args: []string{"--no-proxy", "--resolve", "a.invalid:$PORT:127.0.0.1", "ws://a.invalid:$PORT"}, env: []string{"HTTP_PROXY=http://127.0.0.1:1"}}, nil, 0, prints("hello\n")},
		{"proxy", call{args: []string{"--proxy", "", "--resolve", "a.invalid:$PORT:127.0.0.1", "ws://a.invalid:$PORT"}, env: []string{"HTTP_PROXY=http://127.0.0.1:1"}}, nil, 0, prints("hello\n")},
		{"no-redirect", args("--no-redirect"), reqwstest.Script(reqwstest.Redirect(302, "/x")), exitRefused, nil},
		{"max-redirects", args("--max-redirects", "0"), reqwstest.Script(reqwstest.Redirect(302, "/x")), exitRefused, notes("too many redirects")},
		{"max-message-size", args("--max-message-size", "4"), reqwstest.Script(reqwstest.Accept(), reqwstest.SendText("hello"), reqwstest.ExpectCloseCode(1009)), exitProtocol, nil},
		{"retry retry-delay", args("--retry", "1", "--retry-delay", "1ms"), again.Times(2), exitRefused, notes("again in 1ms")},
		{"retry-unsafe", args("--retry", "1", "--retry-delay", "1ms", "--retry-unsafe", "-d", "x", "$HTTP"),
			reqwstest.Script(reqwstest.Respond(503, nil, "")).Times(2), exitRefused, notes("again in 1ms")},
		{"heartbeat heartbeat-text", args("--heartbeat", "1ms,0", "--heartbeat-text", "alive", "--no-stdin"), alive, 0, nil},
		{"heartbeat", args("--heartbeat", "1ms,1ms", "--close-timeout", "0"), reqwstest.Script(reqwstest.Accept(), reqwstest.Stall()), exitBroken, notes("does not respond")},
		{"no-auto-pong", call{args: []string{"--no-auto-pong", "--wait", "-1"}, stdin: "x\n"}, pings, 0, nil},
		{"write-timeout", args("--write-timeout", "10s"), nil, 0, prints("hello\n")},
		{"close-timeout", args("--close-timeout", "1ms", "-1"), reqwstest.Script(reqwstest.Accept(), reqwstest.SendText("x"), reqwstest.ExpectClose(1000, ""), reqwstest.ExpectGone()), exitBroken, prints("x\n")},
		{"on-open", args("--on-open", "a", "--on-open", "b", "-n", "2"), echo(), 0, prints("a\nb\n")},
		{"binary hex", call{args: []string{"--binary", "--hex", "-1"}, stdin: "00 ff\n"}, bytes, 0, prints("01fe\n")},
		{"binary", call{args: []string{"--binary", "-1"}, stdin: "\x00\xff"}, bytes, 0, prints("\x01\xfe\n")},
		{"one", args("-1"), two, 0, prints("one\n")},
		{"count", args("-n", "2"), two, 0, prints("one\ntwo\n")},
		{"wait", call{args: []string{"--wait", "0"}, stdin: "x\n"}, reqwstest.Script(reqwstest.Accept(), reqwstest.ExpectText("x"), reqwstest.ExpectClose(1000, ""), reqwstest.SendClose(1000, "")), 0, prints("")},
		{"wait", call{args: []string{"--wait", "-1"}, stdin: "x\n"}, reqwstest.Script(reqwstest.Accept(), reqwstest.ExpectText("x"), reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, "")), 0, nil},
		{"no-stdin", call{args: []string{"--no-stdin"}, stdin: "x\n"}, nil, 0, prints("hello\n")},
		{"json", args("--json"), json, 0, prints("{\n  \"a\": [\n    1\n  ]\n}\nno json\n")},
		{"compact", args("-c"), json, 0, prints("{\"a\":[1]}\nno json\n")},
		{"timestamps", args("--timestamps"), nil, 0, func(is *is.I, _ *reqwstest.Request, got result) {
			is.Equal(got.out[4:5]+got.out[10:11], "-T")
			is.True(strings.HasSuffix(got.out, " hello\n"))
		}},
		{"verbose", args("-v", "--bearer", "hunter2"), nil, 0, func(is *is.I, _ *reqwstest.Request, got result) {
			is.Equal(got.out, "hello\n")
			for _, want := range []string{"> GET / HTTP/1.1\n", "> Authorization: REDACTED\n", "< HTTP/1.1 101 Switching Protocols\n",
				"<< text (5 bytes) hello\n", "<< close 1000 (5 bytes) bye\n", ">> close 1000", "handshake ", `closed with 1000 "bye"`} {
				is.True(strings.Contains(got.err, want))
			}
			is.True(!strings.Contains(got.err, "hunter2"))
		}},
		{"silent", args("-v", "--silent"), nil, 0, func(is *is.I, _ *reqwstest.Request, got result) {
			is.True(!strings.Contains(got.err, "closed with"))
		}},
	}
}

// Every flag does what its line in the help says, as far as the server or the user can see it.
func TestFlags(t *testing.T) {
	for _, test := range flagTests(t) {
		t.Run(strings.Join(append([]string{test.flags}, test.args...), " "), func(t *testing.T) {
			check := is.New(t)
			script := test.script
			if script == nil {
				script = greet()
			}
			if test.flags == "secret-subprotocol" {
				test.env = append(test.env, "SUB=tokenhunter2")
				test.check = func(is *is.I, r *reqwstest.Request, got result) {
					is.Equal(r.Header.Get("Sec-Websocket-Protocol"), "tokenhunter2")
					is.True(!strings.Contains(got.err, "hunter2"))
				}
			}
			srv := reqwstest.New(t, script)
			got := tool(t, call{withURL(srv, test.args), test.stdin, test.env})
			check.Equal(got.code, test.code) // the exit code
			if test.check != nil {
				var last *reqwstest.Request
				if all := srv.Requests(); len(all) > 0 {
					last = all[len(all)-1]
				}
				test.check(check, last, got)
			}
		})
	}
}

// withURL fills in where the server is, and adds its URL where none is among the arguments.
func withURL(srv *reqwstest.Server, args []string) []string {
	_, port, _ := net.SplitHostPort(srv.Addr())
	text := strings.Join(args, "\n")
	if !strings.Contains(text, "$URL") && !strings.Contains(text, "$HTTP") && !strings.Contains(text, "ws://") {
		text += "\n$URL"
	}
	r := strings.NewReplacer("$URL", srv.URL, "$HTTP", srv.HTTPURL(), "$PORT", port)
	return strings.Split(strings.TrimPrefix(r.Replace(text), "\n"), "\n")
}

// No flag is without a test: those that need a server of their own have one of that name.
func TestEveryFlagIsTested(t *testing.T) {
	tested := strings.Fields("cookie-jar redirect-trusted unix-socket proxy-header cacert cert key insecure http2 " +
		"reconnect min-uptime output record replay replay-fast listen connect-timeout")
	for _, test := range flagTests(t) {
		tested = append(tested, strings.Fields(test.flags)...)
	}
	for _, r := range new(settings).table() {
		if !slices.Contains(tested, r.name) {
			t.Errorf("--%s has no test", r.name)
		}
	}
}

func TestConnectTimeout(t *testing.T) {
	is := is.New(t)
	l, err := net.Listen("tcp", "127.0.0.1:0") // nobody accepts
	is.NoErr(err)
	defer l.Close()
	got := tool(t, args("--connect-timeout", "1ms", "ws://"+l.Addr().String()))
	is.Equal(got.code, exitConnect)
}

func TestCookieJar(t *testing.T) {
	is := is.New(t)
	cookie := http.Header{"Set-Cookie": {"a=b; Path=/"}, "Location": {"/next"}}
	srv := reqwstest.New(t, reqwstest.Script(reqwstest.Respond(302, cookie, "")), greet())
	is.Equal(tool(t, args("--cookie-jar", srv.URL)).code, 0)
	is.Equal(srv.Requests()[1].Header.Get("Cookie"), "a=b")
}

func TestRedirectTrusted(t *testing.T) {
	for flag, want := range map[string]string{"--redirect-trusted": "Bearer abc", "--redirect-trusted=false": ""} {
		is := is.New(t)
		there := reqwstest.New(t, greet())
		srv := reqwstest.New(t, reqwstest.Script(reqwstest.Redirect(307, there.URL)))
		is.Equal(tool(t, args(flag, "--bearer", "abc", srv.URL)).out, "hello\n")
		is.Equal(there.Requests()[0].Header.Get("Authorization"), want)
	}
}

func TestUnixSocket(t *testing.T) {
	is := is.New(t)
	srv := reqwstest.New(t, greet())
	path := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Skip("no Unix sockets here:", err)
	}
	defer ln.Close()
	go relay(ln, srv.Addr())
	got := tool(t, args("--unix-socket", path, "ws://somewhere.invalid/x"))
	is.Equal(got.out, "hello\n")
	is.Equal(srv.Requests()[0].Host, "somewhere.invalid")
}

func TestProxyAndHeader(t *testing.T) {
	is := is.New(t)
	proxy := reqwstest.New(t, reqwstest.Script(reqwstest.Respond(200, nil, ""), reqwstest.Accept(),
		reqwstest.SendText("hello"), reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, "")))
	got := tool(t, args("--proxy", "http://u:pw@"+proxy.Addr(), "--proxy-header", "X-P: 1", "ws://server.invalid/"))
	is.Equal(got.out, "hello\n")
	connect := proxy.Requests()[0]
	is.Equal(connect.Method+" "+connect.RequestURI, "CONNECT server.invalid:80")
	is.Equal(connect.Header.Get("X-P"), "1")
	is.Equal(connect.Header.Get("Proxy-Authorization"), basic("u:pw"))
}

func TestCertificates(t *testing.T) {
	is := is.New(t)
	var own []byte
	asks := reqwstest.TLS(func(c *tls.Config) {
		own = c.Certificates[0].Certificate[0]
		c.ClientAuth = tls.RequireAndVerifyClientCert
	})
	srv := reqwstest.New(t, asks, greet().Times(3))
	client := srv.TLSConfig().Certificates[0]
	der, err := x509.MarshalPKCS8PrivateKey(client.PrivateKey)
	is.NoErr(err)
	cacert := write(t, "ca.pem", pemOf("CERTIFICATE", own))
	cert, key := pemOf("CERTIFICATE", client.Certificate[0]), pemOf("PRIVATE KEY", der)
	both, certFile, keyFile := write(t, "both.pem", cert+key), write(t, "cert.pem", cert), write(t, "key.pem", key)
	is.Equal(tool(t, args("--cacert", cacert, "--cert", both, srv.URL)).out, "hello\n")
	is.Equal(tool(t, args("-k", "--cert", certFile, "--key", keyFile, srv.URL)).out, "hello\n")
	is.Equal(tool(t, args("--insecure", "--cert", both, srv.URL)).out, "hello\n")
}

func TestHTTP2(t *testing.T) {
	is := is.New(t)
	const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	srv := reqwstest.New(t, reqwstest.Script(reqwstest.Do(func(c *reqwstest.Conn) error {
		got := make([]byte, len(preface))
		if _, err := io.ReadFull(c, got); err != nil || string(got) != preface {
			return fmt.Errorf("%q: %v", got, err)
		}
		return c.Close()
	})))
	is.Equal(tool(t, args("--http2", srv.URL)).code, exitBroken)
}

func TestReconnect(t *testing.T) {
	is := is.New(t)
	srv := reqwstest.New(t, reqwstest.Script(reqwstest.Accept(), reqwstest.ExpectText("me"), reqwstest.Drop()),
		reqwstest.Script(reqwstest.Accept(), reqwstest.ExpectText("me"), reqwstest.SendText("again"), reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, "")))
	got := tool(t, args("--reconnect=2", "--min-uptime", "1h", "--on-open", "me", srv.URL))
	is.Equal(got.out, "again\n")
	is.True(strings.Contains(got.err, "(attempt 1)"))
	is.Equal(got.code, 0)
}

// relay passes bytes on to an address, until the listener is closed.
func relay(ln net.Listener, addr string) {
	for {
		in, err := ln.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", addr)
		if err != nil {
			in.Close()
			continue
		}
		go pipe(in, out)
		go pipe(out, in)
	}
}

func pipe(from, to net.Conn) {
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		if _, failed := to.Write(buf[:n]); err != nil || failed != nil {
			to.Close()
			return
		}
	}
}

func pemOf(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func TestOutputFile(t *testing.T) {
	is := is.New(t)
	srv := reqwstest.New(t, greet())
	path := filepath.Join(t.TempDir(), "out")
	is.Equal(tool(t, args("-o", path, srv.URL)), result{})
	text, err := os.ReadFile(path)
	is.NoErr(err)
	is.Equal(string(text), "hello\n")
}
