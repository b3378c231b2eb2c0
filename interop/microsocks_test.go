package interop

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"github.com/matryer/is"

	"github.com/reqws/reqws"
)

func startMicrosocks(t *testing.T, more ...string) *program {
	path := find(t, "microsocks", "microsocks")
	return start(t, path, func(port string) []string {
		return append([]string{"-i", "127.0.0.1", "-p", port}, more...)
	})
}

func TestMicrosocks(t *testing.T) {
	free := startMicrosocks(t)
	guarded := startMicrosocks(t, "-u", "someone", "-P", "p@ss:word")
	backends := map[string]*backend{"ws": newBackend(t, plain), "wss": newBackend(t, overTLS)}
	for _, scheme := range []string{"socks5", "socks5h"} {
		for target, b := range backends {
			for name, proxy := range map[string]string{
				"open":            free.addr,
				"with a password": "someone:p%40ss%3Aword@" + guarded.addr,
			} {
				t.Run(strings.Join([]string{scheme, target, name}, " "), func(t *testing.T) {
					is := is.New(t)
					resp := open(t, reqws.URL(b.wsURL()), trust(b), reqws.ProxyURL(scheme+"://"+proxy))
					exchange(t, resp, messages(1<<20))
					is.NoErr(resp.Close(4001, "enough"))
					is.Equal(int(b.how(t).code), 4001)
				})
			}
		}
	}
}

// The proxy looks names up, and the server is asked by its name.
func TestMicrosocksResolves(t *testing.T) {
	is := is.New(t)
	b := newBackend(t, plain)
	proxy := startMicrosocks(t)
	resp := open(t, reqws.URL("ws://localhost:"+b.port()+"/"), reqws.ProxyURL("socks5h://"+proxy.addr))
	exchange(t, resp, messages(100))
	is.NoErr(resp.Close(1000, ""))
	is.Equal(b.last().Host, "localhost:"+b.port())
}

func TestMicrosocksRefuses(t *testing.T) {
	b := newBackend(t, plain)
	guarded := startMicrosocks(t, "-u", "someone", "-P", "secret")
	free := startMicrosocks(t)
	for _, c := range []struct{ name, proxy, addr, url, want string }{
		{"no password", "", guarded.addr, b.wsURL(), "no acceptable authentication methods"},
		{"a wrong password", "someone:wrong@", guarded.addr, b.wsURL(), "username/password authentication failed"},
		{"a server that is not there", "", free.addr, "ws://127.0.0.1:" + freePort(t), "connection refused"},
		{"a name that nobody knows", "", free.addr, "ws://" + strings.Repeat("no-such-name-", 5) + ".invalid", "general SOCKS server failure"},
	} {
		t.Run(c.name, func(t *testing.T) {
			is := is.New(t)
			err := refused(t, reqws.URL(c.url), reqws.ProxyURL("socks5://"+c.proxy+c.addr))
			t.Log(err)
			is.True(strings.Contains(err.Error(), "proxy socks5://"+c.addr+": "))
			is.True(strings.Contains(err.Error(), c.want))
			is.True(!strings.Contains(err.Error(), "wrong"))
			is.True(!errors.Is(err, syscall.ECONNREFUSED)) // that is the proxy's trouble, not ours
		})
	}
}
