package main

import (
	"encoding/pem"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/matryer/is"

	"github.com/reqws/reqws/reqwstest"
)

// Each flag of the request does on the wire what its help says.
func TestRequestFlags(t *testing.T) {
	token := file(t, "token", "s3cret\n")
	netrc := file(t, "netrc", "machine 127.0.0.1 login me password pw\n")
	header := func(name, value string) func(*reqwstest.Request) bool {
		return func(r *reqwstest.Request) bool { return slices.Contains(r.Header.Values(name), value) }
	}
	for _, c := range []struct {
		name string
		args []string
		path string
		env  []string
		want func(*reqwstest.Request) bool
	}{
		{"-H", []string{"-H", "X-A: 1", "-H", "x-a:2", "--header", "Origin: https://o"}, "", nil,
			func(r *reqwstest.Request) bool {
				return slices.Equal(r.Header.Values("X-A"), []string{"1", "2"}) && r.Header.Get("Origin") == "https://o"
			}},
		{"-s", []string{"-s", "v2", "--subprotocol", "v1"}, "", nil, func(r *reqwstest.Request) bool {
			return strings.ReplaceAll(r.Header.Get("Sec-Websocket-Protocol"), " ", "") == "v2,v1"
		}},
		{"-p", []string{"-p", "room=a/b", "--path", "n=1"}, "rooms/:room/:n", nil,
			func(r *reqwstest.Request) bool { return r.RequestURI == "/rooms/a%2Fb/1" }},
		{"-q", []string{"-q", "a=1", "--query", "a=2", "-q", "b=x y"}, "?z=0", nil,
			func(r *reqwstest.Request) bool {
				return slices.Equal(r.URL.Query()["a"], []string{"1", "2"}) && r.URL.Query().Get("b") == "x y" && r.URL.Query().Get("z") == "0"
			}},
		{"-u", []string{"-u", "me:pw"}, "", nil, header("Authorization", "Basic bWU6cHc=")},
		{"-u of a variable", []string{"-u", "env:WHO"}, "", []string{"WHO=me:pw"}, header("Authorization", "Basic bWU6cHc=")},
		{"--bearer", []string{"--bearer", "s3cret"}, "", nil, header("Authorization", "Bearer s3cret")},
		{"--bearer of a file", []string{"--bearer", "@" + token}, "", nil, header("Authorization", "Bearer s3cret")},
		{"--netrc-file", []string{"--netrc-file", netrc}, "", nil, header("Authorization", "Basic bWU6cHc=")},
		{"--netrc", []string{"--netrc"}, "", []string{"NETRC=" + netrc}, header("Authorization", "Basic bWU6cHc=")},
		{"--secret-subprotocol", []string{"--secret-subprotocol", "env:SUB"}, "", []string{"SUB=tok"}, header("Sec-Websocket-Protocol", "tok")},
		{"--hostname", []string{"--hostname", "other.example"}, "", nil, func(r *reqwstest.Request) bool { return strings.HasPrefix(r.Host, "other.example") }},
		{"--compress", []string{"--compress"}, "", nil,
			func(r *reqwstest.Request) bool {
				return strings.Contains(r.Header.Get("Sec-Websocket-Extensions"), "permessage-deflate")
			}},
		{"--aws-sigv4", []string{"--aws-sigv4", "execute-api:eu-west-1"}, "", []string{"AWS_ACCESS_KEY_ID=AKID", "AWS_SECRET_ACCESS_KEY=SECRET"},
			func(r *reqwstest.Request) bool {
				return strings.Contains(r.Header.Get("Authorization"), "/eu-west-1/execute-api/aws4_request")
			}},
		{"--presign, the region of the environment", []string{"--aws-sigv4", "iotdevicegateway", "--presign", "60s", "--token-after-signing"}, "",
			[]string{"AWS_ACCESS_KEY_ID=AKID", "AWS_SECRET_ACCESS_KEY=SECRET", "AWS_SESSION_TOKEN=TOK", "AWS_REGION=us-west-2"},
			func(r *reqwstest.Request) bool {
				q := r.URL.Query()
				return q.Get("X-Amz-Expires") == "60" && strings.Contains(q.Get("X-Amz-Credential"), "us-west-2/iotdevicegateway") &&
					strings.HasSuffix(r.RequestURI, "X-Amz-Security-Token=TOK")
			}},
		{"--aws-profile", []string{"--aws-sigv4", "execute-api", "--aws-profile", "two"}, "",
			[]string{"AWS_SHARED_CREDENTIALS_FILE=" + file(t, "credentials", "[two]\naws_access_key_id=AKTWO\naws_secret_access_key=x\nregion=eu-north-1\n")},
			func(r *reqwstest.Request) bool {
				return strings.Contains(r.Header.Get("Authorization"), "AKTWO/") && strings.Contains(r.Header.Get("Authorization"), "/eu-north-1/")
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			is := is.New(t)
			srv := reqwstest.New(t, reqwstest.Script(reqwstest.Accept(), reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, "")))
			cmd := program(t, append(c.args, "--no-stdin", srv.URL+"/"+c.path)...)
			cmd.Env = append(cmd.Env, c.env...)
			is.Equal(finish(t, cmd, ""), result{})
			is.True(c.want(srv.Requests()[0]))
		})
	}
}

func TestBase(t *testing.T) {
	is := is.New(t)
	srv := reqwstest.New(t, reqwstest.Script(reqwstest.Accept(), reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, "")))
	is.Equal(runs(t, "", "--no-stdin", "--base", srv.URL+"/v1", "feed"), result{})
	is.Equal(srv.Requests()[0].RequestURI, "/v1/feed")
}

// TLS: trusted by a file, by -k, or not at all.
func TestTLSFlags(t *testing.T) {
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, err := websocket.Accept(w, r, nil); err == nil {
			_ = c.Close(websocket.StatusNormalClosure, "")
		}
	}))
	t.Cleanup(srv.Close)
	url := "wss" + strings.TrimPrefix(srv.URL, "https")
	ca := file(t, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})))
	for _, c := range []struct {
		args []string
		code int
	}{
		{nil, exitTLS}, {[]string{"-k"}, 0}, {[]string{"--cacert", ca}, 0},
		{[]string{"--cacert", file(t, "empty.pem", "")}, exitUsage}, {[]string{"--cacert", "/none"}, exitUsage},
		{[]string{"--cert", ca}, exitUsage}, {[]string{"--http2", "-k"}, exitTLS},
		{[]string{"-k", "--resolve", "example.test:1:" + srv.Listener.Addr().String()}, 0},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			target := url
			if len(c.args) > 1 && c.args[1] == "--resolve" {
				target = "wss://example.test:1/"
			}
			r := runs(t, "", append(c.args, "--no-stdin", target)...)
			if r.code != c.code {
				t.Errorf("exit code %d, not %d: %s", r.code, c.code, r.err)
			}
		})
	}
}

// A client certificate is shown.
func TestClientCertificate(t *testing.T) {
	is := is.New(t)
	srv := reqwstest.NewTLS(t, reqwstest.Script(reqwstest.Accept(), reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, "")))
	is.Equal(runs(t, "", "-k", "--no-stdin", srv.URL), result{})
}

func TestUnixSocket(t *testing.T) {
	is := is.New(t)
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	is.NoErr(err)
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { //nolint:gosec // a test's
		if c, err := websocket.Accept(w, r, nil); err == nil {
			_ = c.Close(websocket.StatusNormalClosure, "")
		}
	})}
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close() })
	is.Equal(runs(t, "", "--no-stdin", "--unix-socket", path, "ws://whoever/"), result{})
}

// A proxy is asked, with its header; --no-proxy asks none whatever the environment says.
func TestProxyFlags(t *testing.T) {
	is := is.New(t)
	var seen http.Header
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = r.Header.Clone()
		w.WriteHeader(http.StatusForbidden)
	}))
	t.Cleanup(proxy.Close)
	r := runs(t, "", "--no-stdin", "--proxy", strings.Replace(proxy.URL, "http://", "http://me:pw@", 1), "--proxy-header", "X-Via: me", "ws://example.test/")
	is.Equal(r.code, exitProxy)
	is.Equal(seen.Get("X-Via"), "me")
	is.Equal(seen.Get("Proxy-Authorization"), "Basic bWU6cHc=")
	is.True(!strings.Contains(r.err, "pw"))

	srv := reqwstest.New(t, reqwstest.Script(reqwstest.Accept(), reqwstest.SendClose(1000, ""), reqwstest.ExpectClose(1000, "")))
	cmd := program(t, "--no-stdin", "--no-proxy", "--resolve", "example.test:80:"+srv.Addr(), "ws://example.test/")
	cmd.Env = append(cmd.Env, "HTTP_PROXY="+proxy.URL, "HTTPS_PROXY="+proxy.URL)
	is.Equal(finish(t, cmd, "").code, 0)
}

// Wrong values end with code 2 before anything is sent, and name the flag.
func TestBadFlags(t *testing.T) {
	for _, c := range []struct {
		args []string
		says string
	}{
		{nil, "URL"},
		{[]string{"ws://a", "ws://b"}, "accepts"},
		{[]string{"--nonsense", "ws://a"}, "--nonsense"},
		{[]string{"-n", "0", "ws://a"}, "-n"},
		{[]string{"-n", "x", "ws://a"}, "count"},
		{[]string{"-1", "-n", "2", "ws://a"}, "-1"},
		{[]string{"-H", "none", "ws://a"}, "--header"},
		{[]string{"-H", "A b: c", "ws://a"}, "Header"},
		{[]string{"-q", "none", "ws://a"}, "--query"},
		{[]string{"-p", "=x", "ws://a"}, "--path"},
		{[]string{"--heartbeat", "often", "ws://a"}, "--heartbeat"},
		{[]string{"--heartbeat", "-1s", "ws://a"}, "Heartbeat"},
		{[]string{"--http1", "--http2", "ws://a"}, "--http2"},
		{[]string{"--presign", "1m", "ws://a"}, "--aws-sigv4"},
		{[]string{"--key", "k", "ws://a"}, "--cert"},
		{[]string{"--proxy", "ftp://p", "ws://a"}, "Proxy"},
		{[]string{"--proxy", "http://p", "--no-proxy", "ws://a"}, "--no-proxy"},
		{[]string{"--resolve", "a:1", "ws://a"}, "--resolve"},
		{[]string{"--bearer", "x", "-u", "a:b", "ws://a"}, "--bearer"},
		{[]string{"--max-redirects", "-1", "ws://a"}, "MaxRedirects"},
		{[]string{"--retry-delay", "-1s", "--retry", "1", "ws://a"}, "--retry-delay"},
		{[]string{"--replay", "/none"}, "--replay"},
		{[]string{"--replay", "/none", "ws://a"}, "--replay"},
		{[]string{"--record", "/none/x", "ws://a"}, "/none/x"},
		{[]string{"-d", "@/none", "http://a"}, "--data"},
		{[]string{"ftp://a"}, "URL"},
		{[]string{"ws://a/#x"}, "fragment"},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			r := runs(t, "", c.args...)
			if r.code != exitUsage || !strings.Contains(r.err, c.says) || r.out != "" {
				t.Errorf("exit code %d, and it says %q", r.code, r.err)
			}
		})
	}
}

func TestHelp(t *testing.T) {
	is := is.New(t)
	r := runs(t, "", "--help")
	is.Equal(r.code, 0)
	var f flags
	for _, g := range f.register() {
		is.True(strings.Contains(r.out, "\n"+g.name+":\n"))
	}
	for _, line := range strings.Split(r.out, "\n") {
		is.True(len(line) <= 125) // it fits
	}
	is.True(strings.HasPrefix(runs(t, "", "--version").out, "reqws version "))
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		r := runs(t, "", "completion", shell)
		is.Equal(r.code, 0)
		is.True(strings.Contains(r.out, "reqws"))
	}
	r = runs(t, "", "__complete", "--aws-sigv4", "")
	is.True(strings.Contains(r.out, "execute-api"))
	r = runs(t, "", "__complete", "--rec")
	is.True(strings.Contains(r.out, "--record") && strings.Contains(r.out, "--reconnect") == strings.HasPrefix("--reconnect", "--rec"))
	_ = os.Stdout
}
