package failure

import (
	"net/url"
	"testing"

	"github.com/matryer/is"
)

func TestSafeURL(t *testing.T) {
	is := is.New(t)
	u, err := url.Parse("wss://u:canary@example.com:1/a%2Fb?canary#canary")
	is.NoErr(err)
	is.Equal(SafeURL(u), "wss://example.com:1/a%2Fb")
	is.Equal(SafeURL(&url.URL{Opaque: "canary"}), "(no URL)")
	is.Equal(SafeURL(nil), "(no URL)")
	for raw, want := range map[string]string{
		"wss://example.com:1/@room":     "wss://example.com/REDACTED",
		"wss://admin:12/34@host/":       "wss://REDACTED/REDACTED",
		"wss://admin:12/?34@host":       "wss://REDACTED/REDACTED",
		"wss://example.com:1/x?mail=@b": "wss://example.com:1/x",
	} {
		u, err := url.Parse(raw)
		is.NoErr(err)
		is.Equal(SafeURL(u), want)
	}
}
