package failure

import (
	"errors"
	"fmt"
	"io"
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
	for _, u := range []url.URL{ // as package url writes it, where nothing is hidden
		{Scheme: "ws", Host: "h:1", Path: "/"},
		{Scheme: "ws", Host: "h", Path: "/a b\u20ac%"},
		{Scheme: "ws", Host: "h", Path: "/a/b", RawPath: "/a%2Fb"},
		{Scheme: "ws", Host: "h", Path: "/a/b", RawPath: "/not the same"},
		{Scheme: "ws", Host: "h"},
		{Scheme: "ws", Host: "h", Path: "a:b"},
		{Scheme: "ws", Host: "[fe80::1%eth0]:1", Path: "/"},
		{Scheme: "ws", Host: "a b\u20ac", Path: "/"},
		{Host: "h", Path: "/"},
		{Path: "/a"},
		{Scheme: "ws", Path: "//a"},
	} {
		is.Equal(SafeURL(&u), u.String())
	}
}

// What is in an error is found, however it is wrapped.
func TestHas(t *testing.T) {
	is := is.New(t)
	inner := &Error{Phase: "p", Err: io.EOF}
	for _, err := range []error{inner, fmt.Errorf("x: %w", inner), errors.Join(io.EOF, inner), fmt.Errorf("%w, %w", io.EOF, inner)} {
		is.True(Has[*Error](err))
		is.Equal(In("q", nil, err), err)
	}
	for _, err := range []error{io.EOF, fmt.Errorf("x: %w", io.EOF), errors.Join(io.EOF)} {
		is.True(!Has[*Error](err))
		is.Equal(In("q", nil, err).Error(), "reqws: q: (no URL): "+err.Error())
	}
}
