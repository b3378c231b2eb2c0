// Package host writes the hosts of URLs: as they are looked up, sent and read.
package host

import (
	"errors"
	"fmt"
	"net"
	"strings"

	"golang.org/x/net/idna"
)

// Ports are the default ports of the schemes.
var Ports = map[string]string{"ws": "80", "http": "80", "wss": "443", "https": "443"}

// ASCII returns a host name beyond ASCII in its IDNA form (RFC 5891), and others as they are.
func ASCII(name string) (string, error) {
	if name == "" {
		return "", errors.New("the URL has no host")
	}
	if !strings.ContainsFunc(name, func(r rune) bool { return r > 0x7F }) {
		return name, nil
	}
	ascii, err := idna.Lookup.ToASCII(name)
	if err != nil {
		return "", fmt.Errorf("the host name is not valid: %w", err)
	}
	return ascii, nil
}

// Join writes a host without brackets and a port, which may be empty, as URLs
// and Host have them.
func Join(name, port string) string {
	if port != "" {
		return net.JoinHostPort(name, port)
	}
	if strings.Contains(name, ":") {
		return "[" + name + "]"
	}
	return name
}

// Unbracketed takes the brackets off an IPv6 address.
func Unbracketed(name string) string {
	return strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")
}

// WithoutZone takes the zone off an IPv6 address in brackets: it says something to
// this machine alone (RFC 6874, section 1).
func WithoutZone(name string) string {
	zone, end := strings.IndexByte(name, '%'), strings.IndexByte(name, ']')
	if zone < 0 || end < zone {
		return name
	}
	return name[:zone] + name[end:]
}
