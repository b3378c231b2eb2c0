package main

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/reqws/reqws/reqwstest"
)

// Each kind of failure has its code.
func TestExitCodes(t *testing.T) {
	closes := func(code int) *reqwstest.ConnScript {
		return reqwstest.Script(reqwstest.Accept(), reqwstest.SendClose(code, ""), reqwstest.ExpectCloseCode(code))
	}
	refusesProxy := reqwstest.Script(reqwstest.Respond(403, nil, "not you"))
	for _, test := range []struct {
		name   string
		script *reqwstest.ConnScript // nil: no server
		call
		code int
		text string // in stderr
	}{
		{"the server's 1000", closes(1000), args("$URL"), 0, ""},
		{"a plain answer", reqwstest.Script(reqwstest.Respond(200, nil, "")), args("$HTTP"), 0, ""},
		{"an output that cannot be", nil, args("-o", "/nowhere/x", "ws://127.0.0.1:1"), exitOther, "/nowhere/x: "},
		{"a recording that cannot be", nil, args("--record", "/nowhere/x", "ws://127.0.0.1:1"), exitOther, "/nowhere/x: "},
		{"a line that is no text", echo(), call{args: []string{"$URL"}, stdin: "\xff\n"}, exitOther, "UTF-8"},
		{"no URL", nil, args("-v"), exitUsage, "a URL is missing"},
		{"two URLs", nil, args("ws://a", "ws://b"), exitUsage, "one URL"},
		{"another scheme", nil, args("ftp://a"), exitUsage, "ws://, wss://"},
		{"a fragment", nil, args("ws://127.0.0.1:1/#x"), exitUsage, "fragment"},
		{"a name in the path", nil, args("-p", "a=b", "ws://127.0.0.1:1/:c"), exitUsage, "PathParams"},
		{"lookup", nil, args("--proxy", "", "ws://nowhere.invalid"), exitLookup, "nowhere.invalid"},
		{"connection refused", nil, args("ws://127.0.0.1:1"), exitConnect, "refused"},
		{"TLS", echo(), args(), exitTLS, ""},
		{"the proxy refuses", refusesProxy, args("--proxy", "$HTTP", "ws://a.invalid"), exitProxy, "403"},
		{"no proxy", nil, args("--proxy", "http://127.0.0.1:1", "ws://a.invalid"), exitProxy, ""},
		{"refused", reqwstest.Script(reqwstest.Refuse(401, nil, "who are you")), args("$URL"), exitRefused, "who are you"},
		{"a plain answer of 404", reqwstest.Script(reqwstest.Respond(404, nil, "")), args("$HTTP"), exitRefused, "404"},
		{"the server's 1011", closes(1011), args("$URL"), exitBroken, "InternalError"},
		{"the connection breaks", reqwstest.Script(reqwstest.Accept(), reqwstest.Drop()), args("$URL"), exitBroken, "EOF"},
		{"the server breaks the protocol", reqwstest.Script(reqwstest.Accept(), reqwstest.Send(reqwstest.Frame{Op: 3, Fin: true}), reqwstest.ExpectCloseCode(1002)),
			args("$URL"), exitProtocol, "opcode"},
		{"no netrc", nil, args("--netrc-file", "/nowhere", "ws://127.0.0.1:1"), exitCredentials, "/nowhere"},
		{"no file of a secret", nil, args("--bearer", "@/nowhere", "ws://127.0.0.1:1"), exitCredentials, "--bearer: /nowhere"},
		{"no variable of a secret", nil, args("-u", "env:NONE", "ws://127.0.0.1:1"), exitCredentials, "--user: "},
		{"no AWS credentials", nil, call{args: []string{"--aws-sigv4", "execute-api:x", "ws://127.0.0.1:1"}, env: []string{
			"AWS_ACCESS_KEY_ID=", "AWS_SECRET_ACCESS_KEY=", "AWS_SESSION_TOKEN="}}, exitCredentials, ""},
		{"no such AWS profile", nil, args("--aws-sigv4", "execute-api:x", "--aws-profile", "none", "ws://127.0.0.1:1"), exitCredentials, "--aws-sigv4: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			is := is.New(t)
			if test.script != nil {
				srv := reqwstest.New(t, test.script.Repeat())
				if test.name == "TLS" { // what comes is no request, which the server would report
					test.args = []string{"wss://" + listenOnly(t)}
				}
				r := strings.NewReplacer("$URL", srv.URL, "$HTTP", srv.HTTPURL())
				for i := range test.args {
					test.args[i] = r.Replace(test.args[i])
				}
			}
			got := tool(t, test.call)
			is.Equal(got.code, test.code)
			is.True(strings.Contains(got.err, test.text))
		})
	}
}

// listenOnly is the address of a listener that says what no TLS server does.
func listenOnly(t *testing.T) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
			conn.Close()
		}
	}()
	return ln.Addr().String()
}

// A bad value is told by the name of its flag, before anything is sent, and is not repeated.
func TestBadValues(t *testing.T) {
	for _, test := range []struct {
		args string // in front of a URL
		flag string
	}{
		{"-H hunter2", "--header"},
		{"-H hunter2\x01:x", "--header"},
		{"-H Upgrade:hunter2", "--header"},
		{"-H @/hunter", "--header"},
		{"-s hunter2,x", "--subprotocol"},
		{"-p hunter2", "--path"},
		{"-q hunter2", "--query"},
		{"-X GET", "--method"},
		{"-d hunter2", "--data"},
		{"--json-data hunter2", "--json-data"},
		{"-u hunter2", "--user"},
		{"-u a:b --bearer hunter2", "--bearer"},
		{"-u a:b --netrc", "--netrc"},
		{"-u a:b --netrc-file x", "--netrc-file"},
		{"--bearer=", "--bearer"},
		{"--secret-subprotocol hunter2,x", "--secret-subprotocol"},
		{"--aws-sigv4 :hunter2", "--aws-sigv4"},
		{"--aws-sigv4 execute-api", "--aws-sigv4: no region"},
		{"--aws-sigv4 execute-api:x --presign 1ms", "--aws-sigv4"},
		{"--presign 5m", "--presign"},
		{"--presign hunter2", "--presign"},
		{"--token-after-signing", "--token-after-signing"},
		{"--aws-profile x", "--aws-profile"},
		{"--proxy ftp://u:hunter2@x", "--proxy"},
		{"--proxy-header hunter2", "--proxy-header"},
		{"--cacert /nowhere", "--cacert"},
		{"--cert /nowhere", "--cert"},
		{"--key /nowhere", "--key"},
		{"--hostname a/x", "--hostname"},
		{"--resolve hunter2", "--resolve"},
		{"--resolve a:1:hunter2", "--resolve"},
		{"--unix-socket=", "--unix-socket"},
		{"--unix-socket x --resolve *:80:127.0.0.1", "--unix-socket"},
		{"--connect-timeout -1s", "--connect-timeout"},
		{"--max-redirects -1", "--max-redirects"},
		{"--max-message-size -2", "--max-message-size"},
		{"--retry hunter2", "--retry"},
		{"--retry -2", "--retry"},
		{"--retry-delay 1s", "--retry-delay"},
		{"--retry-unsafe", "--retry-unsafe"},
		{"--reconnect=-2", "--reconnect"},
		{"--min-uptime -1s", "--min-uptime"},
		{"--heartbeat hunter2", "--heartbeat"},
		{"--heartbeat -1s", "--heartbeat"},
		{"--write-timeout -1s", "--write-timeout"},
		{"--close-timeout -1s", "--close-timeout"},
		{"--on-open \xff", "--on-open"},
		{"-n 0", "--count"},
		{"--wait hunter2", "--wait"},
		{"--wait -2s", "--wait"},
		{"--silent=hunter2", "--silent"},
		{"--replay-fast", "--replay-fast"},
		{"--listen x", "--listen"},
		{"--replay /nowhere", "--replay"},
		{"--Zhunter2", "unknown flag"},
		{"-Zhunter2", "unknown flag -Z"},
		{"--subprotcol=hunter2", "did you mean --subprotocol?"},
		{"--reconect", "did you mean --reconnect?"},
		{"--time", "did you mean --timestamps?"},
	} {
		t.Run(test.args, func(t *testing.T) {
			is := is.New(t)
			got := tool(t, call{args: append(strings.Split(test.args, " "), "ws://127.0.0.1:1")})
			t.Log(got.err)
			is.Equal(got.code, exitUsage)
			is.True(strings.Contains(got.err, test.flag))
			is.True(!strings.Contains(got.err, "hunter2"))
		})
	}
}

// Every code is in the help, and every flag.
func TestHelp(t *testing.T) {
	is := is.New(t)
	got := tool(t, args("--help"))
	is.Equal(got.code, 0)
	for _, r := range new(settings).table() {
		is.True(strings.Contains(got.out, "--"+r.name))
	}
	for _, e := range exitCodes {
		is.True(strings.Contains(got.out, e.text))
	}
	for line := range strings.Lines(got.out) {
		if len([]rune(line)) > 101 {
			t.Errorf("too long: %s", line)
		}
	}
	is.True(strings.HasPrefix(tool(t, args("--version")).out, "reqws version "))
}

// The README has the flags as the help has them, and the exit codes.
func TestReadme(t *testing.T) {
	is := is.New(t)
	text, err := os.ReadFile("README.md")
	is.NoErr(err)
	help := help(new(settings).table())
	flags := help[strings.Index(help, "Request:\n"):strings.Index(help, "\n\nExit codes:")]
	is.True(strings.Contains(string(text), "```\n"+flags+"\n```\n"))
	for _, e := range exitCodes {
		is.True(strings.Contains(string(text), fmt.Sprintf("| %d | %s |\n", e.code, e.text)))
	}
}

func TestCompletion(t *testing.T) {
	for shell, want := range map[string]string{
		"bash": "__start_reqws", "zsh": "#compdef reqws", "fish": "complete -c reqws", "powershell": "Register-ArgumentCompleter",
	} {
		is := is.New(t)
		got := tool(t, args("completion", shell))
		is.Equal(got.code, 0)
		is.True(strings.Contains(got.out, want))
	}
	is := is.New(t)
	is.True(strings.Contains(tool(t, args("__complete", "--sub")).out, "--subprotocol\t"))
	is.True(strings.HasSuffix(tool(t, args("__complete", "--cacert", "")).out, ":0\n")) // files
	is.True(strings.HasSuffix(tool(t, args("__complete", "--bearer", "")).out, ":4\n")) // none
}
