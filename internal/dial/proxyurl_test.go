package dial

import (
	"strconv"
	"strings"
	"testing"

	"github.com/matryer/is"
)

func TestParseProxy(t *testing.T) {
	for s, want := range map[string]string{
		"http://proxy":                  "http://proxy",
		"https://u:p@proxy:1/":          "https://u:p@proxy:1/",
		"socks5://proxy:1080":           "socks5://proxy:1080",
		"socks5h://u:p@[::1]:1080":      "socks5h://u:p@[::1]:1080",
		"proxy:3128":                    "http://proxy:3128",
		"u:p@127.0.0.1:3128":            "http://u:p@127.0.0.1:3128",
		"HTTP://proxy":                  "http://proxy",
		"http://" + strconv.Itoa(1<<10): "http://1024",
	} {
		is := is.New(t)
		u, err := ParseProxy(s)
		is.NoErr(err)
		is.Equal(u.String(), want)
	}
	for _, bad := range []string{"", "http://", "ftp://u:secret@proxy", "http://u:secret@", "http://u:sec/ret@proxy", "http://u:%zzsecret@proxy",
		"http://proxy:0", "http://u:secret@proxy:70000", "http://u:secret@proxy:port", "http://u:secret @proxy", "socks4://u:secret@proxy",
		"socks5://:secret@proxy", "socks5://u:" + strings.Repeat("secret", 50) + "@proxy", "ws://u:secret@proxy"} {
		is := is.New(t)
		_, err := ParseProxy(bad)
		is.True(err != nil)
		is.True(!strings.Contains(err.Error(), "sec"))
	}
}

func FuzzParseProxy(f *testing.F) {
	for _, s := range []string{"http://user:password@proxy:3128", "socks5h://[::1]:1080", "proxy:1", "http://%zz", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := ParseProxy(s)
		if err != nil {
			return
		}
		if _, err := address(u); err != nil && !strings.Contains(err.Error(), "host name is not valid") {
			t.Errorf("%q was taken, but %v", s, err)
		}
	})
}

// A port may be the beginning of a password.
func TestProxyPortIsNotShown(t *testing.T) {
	is := is.New(t)
	_, err := ParseProxy("http://user:12345678@proxy:99999")
	is.True(err != nil)
	_, err = ParseProxy("http://user:12345678#@proxy")
	is.True(err != nil)
	is.True(!strings.Contains(err.Error(), "1234"))
}
