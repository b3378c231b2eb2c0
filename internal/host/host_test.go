package host

import (
	"testing"

	"github.com/matryer/is"
)

func TestASCII(t *testing.T) {
	for name, want := range map[string]string{
		"example.com": "example.com", "bücher.example": "xn--bcher-kva.example", "::1": "::1", "Host": "Host",
	} {
		got, err := ASCII(name)
		is := is.New(t)
		is.NoErr(err)
		is.Equal(got, want)
	}
	for _, bad := range []string{"", "a\u200d.example"} {
		_, err := ASCII(bad)
		is.New(t).True(err != nil)
	}
}

func TestJoin(t *testing.T) {
	is := is.New(t)
	is.Equal(Join("host", ""), "host")
	is.Equal(Join("host", "1"), "host:1")
	is.Equal(Join("::1", ""), "[::1]")
	is.Equal(Join("::1", "1"), "[::1]:1")
}

func TestBracketsAndZones(t *testing.T) {
	is := is.New(t)
	is.Equal(Unbracketed("[::1]"), "::1")
	is.Equal(Unbracketed("host"), "host")
	for name, want := range map[string]string{
		"[fe80::1%lo]": "[fe80::1]", "[fe80::1%lo]:8080": "[fe80::1]:8080", "[fe80::1]": "[fe80::1]", "host": "host", "a%b": "a%b",
	} {
		is.Equal(WithoutZone(name), want)
	}
}
