package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/config"
	"golang.org/x/term"

	"github.com/reqws/reqws"
)

func (f *flags) credentialOptions(std stdio) ([]reqws.Option, error) {
	given := 0
	var options []reqws.Option
	auth := func(step reqws.Step) {
		given++
		options = append(options, reqws.Auth(step))
	}
	if f.user != "" {
		user, password, err := f.basic(std)
		if err != nil {
			return nil, err
		}
		auth(reqws.Basic(user, password))
	}
	if f.bearer != "" {
		token, err := secret("bearer", f.bearer)
		if err != nil {
			return nil, err
		}
		auth(reqws.Bearer(token))
	}
	if f.netrc {
		auth(reqws.Netrc())
	}
	if f.netrcFile != "" {
		auth(reqws.NetrcFile(f.netrcFile))
	}
	if given > 1 {
		return nil, usagef("one of --user, --bearer, --netrc and --netrc-file")
	}
	if f.secretSubprotocol != "" {
		value, err := secret("secret-subprotocol", f.secretSubprotocol)
		if err != nil {
			return nil, err
		}
		options = append(options, reqws.SecretSubprotocol(value))
	}
	return options, nil
}

// basic is the user and the password, which is asked for where there is none.
func (f *flags) basic(std stdio) (user, password string, err error) {
	value, err := secret("user", f.user)
	if err != nil {
		return "", "", err
	}
	user, password, found := strings.Cut(value, ":")
	if found {
		return user, password, nil
	}
	if !std.typed {
		return "", "", credentialError{errNoTerminal}
	}
	fmt.Fprintf(std.err, "Password of %s: ", user)
	typed, err := term.ReadPassword(int(std.in.Fd()))
	fmt.Fprintln(std.err)
	if err != nil {
		return "", "", credentialError{err}
	}
	return user, string(typed), nil
}

// secret is the value of a flag that may be in a file or in the environment. Of a file, the line break at the end
// is not part of it.
func secret(flag, value string) (string, error) {
	if file, isFile := strings.CutPrefix(value, "@"); isFile {
		data, err := os.ReadFile(file)
		if err != nil {
			return "", credentialError{fmt.Errorf("--%s: %w", flag, err)}
		}
		return strings.TrimRight(string(data), "\r\n"), nil
	}
	if name, isVariable := strings.CutPrefix(value, "env:"); isVariable {
		value, ok := os.LookupEnv(name)
		if !ok {
			return "", credentialError{fmt.Errorf("--%s: there is no variable %s", flag, name)}
		}
		return value, nil
	}
	return value, nil
}

func (f *flags) awsOptions() ([]reqws.Option, error) {
	if f.aws == "" {
		return nil, nil
	}
	service, region, _ := strings.Cut(f.aws, ":")
	if service == "" {
		return nil, usagef("--aws-sigv4 %s: it is SERVICE[:REGION]", f.aws)
	}
	var load []func(*config.LoadOptions) error
	if f.awsProfile != "" {
		load = append(load, config.WithSharedConfigProfile(f.awsProfile))
	}
	cfg, err := config.LoadDefaultConfig(context.Background(), load...)
	if err != nil {
		return nil, credentialError{fmt.Errorf("AWS configuration: %w", err)}
	}
	if region == "" {
		region = cfg.Region
	}
	if _, err := cfg.Credentials.Retrieve(context.Background()); err != nil {
		return nil, credentialError{fmt.Errorf("AWS credentials: %w", err)}
	}
	return []reqws.Option{reqws.AWSSigV4(reqws.SigV4{
		Credentials: cfg.Credentials, Service: service, Region: region, Presign: f.presign, TokenAfterSigning: f.tokenAfter,
	})}, nil
}

// dialer is what --resolve and --unix-socket ask for; nil if neither does.
func (f *flags) dialer() (func(ctx context.Context, network, address string) (net.Conn, error), error) {
	var d net.Dialer
	if f.unixSocket != "" {
		return func(ctx context.Context, _, _ string) (net.Conn, error) {
			return d.DialContext(ctx, "unix", f.unixSocket)
		}, nil
	}
	if len(f.resolve) == 0 {
		return nil, nil
	}
	other := map[string]string{}
	for _, r := range f.resolve {
		host, rest, ok := strings.Cut(r, ":")
		port, address, ok2 := strings.Cut(rest, ":")
		if !ok || !ok2 || host == "" || address == "" {
			return nil, usagef("--resolve %s: it is HOST:PORT:ADDRESS", r)
		}
		if _, _, err := net.SplitHostPort(address); err != nil {
			address = net.JoinHostPort(strings.Trim(address, "[]"), port)
		}
		other[net.JoinHostPort(strings.ToLower(host), port)] = address
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if to, ok := other[strings.ToLower(address)]; ok {
			address = to
		}
		return d.DialContext(ctx, network, address)
	}, nil
}
