package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"strings"

	"github.com/reqws/reqws"
)

func (s *settings) proxyOption() reqws.Option {
	if s.proxy == "" {
		return reqws.Proxy(nil)
	}
	return reqws.ProxyURL(s.proxy)
}

// protocolOption is --http1 and --http2.
func (s *settings) protocolOption() (reqws.Option, error) {
	var all []reqws.Protocol
	if s.http2 {
		all = append(all, reqws.HTTP2)
	}
	if s.http1 {
		all = append(all, reqws.HTTP1)
	}
	if len(all) == 0 {
		return reqws.Option{}, nil
	}
	return reqws.Protocols(all...), nil
}

// tlsOption is all flags of TLS, whichever of them was given: a later one makes the same again.
func (s *settings) tlsOption() (reqws.Option, error) {
	config := &tls.Config{InsecureSkipVerify: s.insecure}
	if s.cacert != "" {
		pem, err := os.ReadFile(s.cacert)
		if err != nil {
			return reqws.Option{}, fileError(err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return reqws.Option{}, errors.New(s.cacert + ": there is no certificate in it")
		}
	}
	if s.cert != "" {
		pair, err := tls.LoadX509KeyPair(s.cert, pick(s.key != "", s.key, s.cert))
		if err != nil {
			return reqws.Option{}, fileError(err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return reqws.TLSConfig(config), nil
}

func (s *settings) keyOption() (reqws.Option, error) {
	if s.cert == "" {
		return reqws.Option{}, errors.New("it goes with --cert")
	}
	return reqws.Option{}, nil
}

func (s *settings) unixOption() (reqws.Option, error) {
	if s.given("resolve") {
		return reqws.Option{}, errors.New("it does not go with --resolve")
	}
	if s.unixSocket == "" {
		return reqws.Option{}, errors.New("it takes a path")
	}
	return reqws.Options(reqws.Proxy(nil), reqws.DialContext(func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", s.unixSocket)
	})), nil
}

// resolveOption is --resolve: HOST:PORT:ADDRESS, the address of IPv6 with or without brackets,
// and several of them with commas between, which are tried in order.
func (s *settings) resolveOption() (reqws.Option, error) {
	known := map[string][]string{}
	for _, r := range s.resolve {
		host, rest, ok := cutHost(strings.TrimPrefix(r, "+"))
		port, addresses, two := strings.Cut(rest, ":")
		if !ok || !two || host == "" || port == "" {
			return reqws.Option{}, errors.New("it takes HOST:PORT:ADDRESS")
		}
		var all []string
		for a := range strings.SplitSeq(addresses, ",") {
			a = strings.TrimSuffix(strings.TrimPrefix(a, "["), "]")
			if net.ParseIP(a) == nil {
				return reqws.Option{}, errors.New("the ADDRESS of HOST:PORT:ADDRESS is an IP address")
			}
			all = append(all, net.JoinHostPort(a, port))
		}
		known[net.JoinHostPort(strings.ToLower(host), port)] = all
	}
	return reqws.DialContext(func(ctx context.Context, network, addr string) (net.Conn, error) {
		return dialOneOf(ctx, network, resolved(known, addr))
	}), nil
}

// cutHost cuts a host off, which is in brackets where it has colons.
func cutHost(s string) (host, rest string, ok bool) {
	if strings.HasPrefix(s, "[") {
		host, rest, ok = strings.Cut(s[1:], "]:")
		return host, rest, ok
	}
	return strings.Cut(s, ":")
}

func resolved(known map[string][]string, addr string) []string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return []string{addr}
	}
	for _, key := range []string{strings.ToLower(host), "*"} {
		if all := known[net.JoinHostPort(key, port)]; all != nil {
			return all
		}
	}
	return []string{addr}
}

func dialOneOf(ctx context.Context, network string, addrs []string) (conn net.Conn, err error) {
	for _, addr := range addrs {
		if conn, err = new(net.Dialer).DialContext(ctx, network, addr); err == nil {
			break
		}
	}
	return conn, err
}
