package interop

import (
	"crypto/tls"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/reqws/reqws"
)

// startTinyproxy starts it with CONNECT to allowed alone.
func startTinyproxy(t *testing.T, allowed, more string) *program {
	path := find(t, "tinyproxy", "tinyproxy-bin")
	return start(t, path, func(port string) []string {
		return []string{"-d", "-c", file(t, "tinyproxy.conf", `
Port %s
Listen 127.0.0.1
Timeout 600
MaxClients 50
LogLevel Info
ConnectPort %s
%s
`, port, allowed, more)}
	})
}

func TestTinyproxy(t *testing.T) {
	backends := map[string]*backend{"ws": newBackend(t, plain), "wss": newBackend(t, overTLS)}
	for _, c := range []struct{ name, config, user string }{
		{"open", "", ""},
		{"with a password", "BasicAuth someone p.a-s_s0", "someone:p.a-s_s0@"},
	} {
		for scheme, b := range backends {
			t.Run(c.name+" "+scheme, func(t *testing.T) {
				is := is.New(t)
				proxy := startTinyproxy(t, b.port(), c.config)
				resp := open(t, reqws.URL(b.wsURL()), trust(b), reqws.ProxyURL("http://"+c.user+proxy.addr))
				exchange(t, resp, messages(1<<20))
				is.NoErr(resp.Close(4001, "enough"))
				end := b.how(t)
				is.Equal(int(end.code), 4001)
				is.Equal(end.reason, "enough")
				is.Equal(b.last().Header.Get("Proxy-Authorization"), "") // it is not the server's
				is.True(strings.Contains(proxy.out.String(), "CONNECT "+b.addr()))
			})
		}
	}
}

// What tinyproxy refuses is told as the proxy's doing.
func TestTinyproxyRefuses(t *testing.T) {
	b := newBackend(t, plain)
	nobody := freePort(t)
	const password = "BasicAuth someone secret"
	for _, c := range []struct {
		name, allowed, config, user, port string
		want                              []string
	}{
		{name: "a port", allowed: "443", port: b.port(), want: []string{"403 Forbidden"}},
		{name: "no password", allowed: b.port(), config: password, port: b.port(), want: []string{"407 ", "Proxy Authentication Required"}},
		{name: "a wrong password", allowed: b.port(), config: password, user: "someone:wrong@", port: b.port(), want: []string{"401 Unauthorized"}},
		{name: "a server that is not there", allowed: nobody, port: nobody, want: []string{"500 Internal Server Error"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			is := is.New(t)
			proxy := startTinyproxy(t, c.allowed, c.config)
			err := refused(t, reqws.URL("ws://127.0.0.1:"+c.port), reqws.ProxyURL("http://"+c.user+proxy.addr))
			t.Log(err)
			for _, want := range append(c.want, "proxy http://"+proxy.addr+": refused to connect: ") {
				is.True(strings.Contains(err.Error(), want)) // error names it
			}
			is.True(!strings.Contains(err.Error(), "wrong"))
			var he *reqws.HTTPError
			is.True(!errors.As(err, &he)) // that would be the server's answer
		})
	}
}

// The environment names the proxy, as it does for other programs.
func TestTinyproxyFromEnvironment(t *testing.T) {
	is := is.New(t)
	b := newBackend(t, plain)
	proxy := startTinyproxy(t, b.port(), "")
	t.Setenv("HTTP_PROXY", "http://"+proxy.addr)
	t.Setenv("NO_PROXY", "")
	// Loopback addresses never take the proxy of the environment. This one counts as
	// none, although Linux takes it for one.
	resp := open(t, reqws.URL("ws://0.0.0.0:"+b.port()))
	exchange(t, resp, messages(100))
	is.NoErr(resp.Close(1000, ""))
	is.True(strings.Contains(proxy.out.String(), "CONNECT 0.0.0.0:"+b.port()))
}

// The proxy is chosen anew for each execution, from the request as it is sent.
func TestTinyproxyPerRequest(t *testing.T) {
	is := is.New(t)
	b := newBackend(t, plain)
	proxy := startTinyproxy(t, b.port(), "")
	asked := 0
	req := reqws.New(reqws.URL(b.wsURL()), reqws.Proxy(func(r *http.Request) (*url.URL, error) {
		asked++
		if r.Header.Get("X-Direct") != "" {
			return nil, nil
		}
		return url.Parse("http://" + proxy.addr)
	}))
	for _, header := range []reqws.Option{reqws.Options(), reqws.Header("X-Direct", "yes")} {
		resp, err := req.Do(within(t, 20e9), header)
		is.NoErr(err)
		is.NoErr(resp.Close(1000, ""))
	}
	is.Equal(asked, 2)
	is.Equal(strings.Count(proxy.out.String(), "CONNECT "+b.addr()), 1)
}

// trust makes the client accept b's certificate.
func trust(b *backend) reqws.Option {
	if b.TLS == nil {
		return reqws.Options()
	}
	roots := b.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	return reqws.TLSConfig(&tls.Config{RootCAs: roots})
}
